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


DAMAGED_SHOWN = 10  # records named at the end of a command

on_damaged = click.option(
    "--on-damaged",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="Stop at a damaged record, or leave it out and count it.",
)


def report_damaged(*readers):
    """Say how many records the readers left out as damaged, and which."""
    found = [sentence for reader in readers for sentence in reader.damaged.values()]
    if found:
        click.echo(f"Skipped {len(found)} damaged records:", err=True)
        for sentence in found[:DAMAGED_SHOWN]:
            click.echo(f"  {sentence}", err=True)
        if len(found) > DAMAGED_SHOWN:
            click.echo(f"  and {len(found) - DAMAGED_SHOWN} more; alexnet-tools verify names each", err=True)


DATA_DEFAULT = Path("data/ilsvrc2012")
RUNS = Path("runs")


def folder_of_year(year: int) -> Path:
    """Default data set folder of an ILSVRC year."""
    return Path(f"data/ilsvrc{year}")


def open_contexts(chosen, columns: int):
    """MXNet contexts of the devices the user chose, or of the best ones here."""
    from gluon_alexnet import backend

    kind, indices = chosen or backend.default_devices(columns)
    return backend.contexts(kind, indices)
