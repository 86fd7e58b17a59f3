"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click


class NumberList(click.ParamType):
    """Whole numbers with commas between them: 0,1."""

    name = "N,N"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 0,1.", param, ctx)


def devices(command):
    """--gpus and --cpus, given to the command as one argument ``devices``: (kind, numbers) or None."""

    def choose(ctx, param, value):
        chosen = ctx.params.get("devices")
        if value is not None:
            if chosen is not None:
                raise click.UsageError("Give --gpus or --cpus, not both.", ctx)
            chosen = (param.name[:-1], value)
        ctx.params["devices"] = chosen

    for name, text in (("--cpus", "CPU contexts, e.g. 0,1: two columns without a GPU."), ("--gpus", "GPUs, e.g. 0,1.")):
        command = click.option(name, type=NumberList(), expose_value=False, callback=choose, help=text)(command)
    return command


DATA_DEFAULT = Path("data/ilsvrc2012")
RUNS = Path("runs")


def folder_of_year(year: int | None) -> Path:
    """Default data set folder of an ILSVRC year."""
    return Path(f"data/ilsvrc{year}") if year else DATA_DEFAULT


def open_contexts(chosen, columns: int):
    """MXNet contexts of the devices the user chose, or of the best ones here."""
    from gluon_alexnet import backend

    kind, indices = chosen or backend.default_devices(columns)
    return backend.contexts(kind, indices)
