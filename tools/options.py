"""Options that several commands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.workflows.output_paths import check_drawing, check_file, check_folder

from .progress import tell, warn

Command = TypeVar("Command", bound=Callable[..., Any])

LAYERS_OF = {"conv": (1, 6), "fc": (6, 8)}  # numbers of the first and the last layer of a kind


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


class AboveZero(click.ParamType):
    """A number above 0 that is not infinite."""

    name = "NUMBER"

    def convert(self, value, param, ctx):
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 < number < float("inf"):
            self.fail(f"{value!r} is not a number above 0.", param, ctx)
        return number


class Layers(click.ParamType):
    """Names of layers and ranges of them: conv1-5,fc6."""

    name = "LAYERS"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        named = []
        for part in value.split(","):
            found = re.fullmatch(r"(conv|fc)(\d)(?:-(\d))?", part)
            if found is None:
                self.fail(f"{part!r} is no layer, nor a range of layers such as conv1-5.", param, ctx)
            kind, first, last = found[1], int(found[2]), int(found[3] or found[2])
            if not LAYERS_OF[kind][0] <= first <= last <= LAYERS_OF[kind][1]:
                self.fail(f"{part!r}: there are conv1 to conv6 and fc6 to fc8.", param, ctx)
            named += [f"{kind}{number}" for number in range(first, last + 1)]
        return tuple(dict.fromkeys(named))


class LayerFactors(click.ParamType):
    """Layers with a number each: conv1=0.1,fc8=10."""

    name = "LAYER=N,…"

    def convert(self, value, param, ctx):
        if isinstance(value, dict):
            return value
        factors = {}
        for part in value.split(","):
            layers, equals, factor = part.partition("=")
            try:
                number = float(factor)
            except ValueError:
                number = -1.0
            if not equals or not 0 <= number < float("inf"):
                self.fail(f"{part!r} is not a layer with a number, 0 or more, such as conv1=0.1.", param, ctx)
            factors.update(dict.fromkeys(Layers().convert(layers, param, ctx), number))
        return factors


def checkpoint_choice(parameter: str, always: bool = False) -> Callable[[Command], Command]:
    """--checkpoint: which one of a run is meant by the command's argument or option of this name.

    Where nothing is named, the newest run is meant. always: say which one it is even where the latest is the best.
    """

    def decorate(command: Command) -> Command:
        @click.option(
            "--checkpoint",
            type=click.Choice(["latest", "best"]),
            default="latest",
            show_default=True,
            help="Of a run: the last one saved, or that with the least validation error.",
        )
        @functools.wraps(command)
        def chosen(*args: Any, checkpoint: str, **values: Any) -> Any:
            from gluon_alexnet.workflows.default_paths import RUNS
            from gluon_alexnet.workflows.run_data import choose_checkpoint, newest_run

            from .progress import say

            def path_of(path: Path) -> Path:
                path, sentence, doubtful = choose_checkpoint(path, checkpoint)
                if sentence and (doubtful or (always and not values.get("as_json"))):
                    say(sentence)
                return path

            given = values[parameter] or [newest_run(RUNS)]
            values[parameter] = path_of(given) if isinstance(given, Path) else [path_of(one) for one in given]
            return command(*args, **values)

        return cast(Command, chosen)

    return decorate


class OutputFile(click.ParamType):
    """A file that the command writes. Whether it can be written there is found out before any work."""

    name = "FILE"

    def convert(self, value, param, ctx):
        try:
            self.check(Path(value))
        except InvalidRequest as error:
            self.fail(str(error), param, ctx)
        return Path(value)

    def check(self, file):
        check_file(file)


class DrawingFile(OutputFile):
    """A file that a drawing is written to: its ending says the format."""

    def check(self, file):
        check_drawing(file)


class OutputFolder(OutputFile):
    """A folder that the command makes, or goes on with."""

    name = "FOLDER"

    def check(self, folder):
        check_folder(folder)


class OutputNames(OutputFile):
    """OUT of OUT.json, OUT-symbol.json and the other files of an export."""

    name = "OUT"

    def check(self, path):
        check_folder(path.parent)
        if not path.name or path.is_dir():
            raise InvalidRequest(f"{path} is a folder; OUT is the beginning of the files' names, such as {path}/net.")


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


def report_damaged(found: list[str]):
    """Print how many records were left out as damaged, and the sentences that name them."""
    if found:
        tell(f"Skipped {len(found)} damaged records:")
        for sentence in found[:DAMAGED_SHOWN]:
            tell(f"  {sentence}")
        if len(found) > DAMAGED_SHOWN:
            tell(f"  and {len(found) - DAMAGED_SHOWN} more; alexnet-tools verify names each")


def report_shared(split: str, images: int, shared: int | None):
    """Say how many images of a split are in train, too, if any: they are no test of a net."""
    if shared:
        warn(
            f"{shared} of the {images} images of {split} are in train, too: a net has seen them, and its error on "
            f"{split} looks better than it is. alexnet-tools verify names them."
        )


def names_of(chosen):
    """The devices the user chose as names, ["gpu(0)", "gpu(1)"], or None."""
    return None if chosen is None else [f"{chosen[0]}({number})" for number in chosen[1]]


kvstore = click.option(
    "--kvstore",
    type=click.Choice(["dist_sync", "dist_async"]),
    help="Distributed training: join the job described by DMLC_ROLE and its like; `launch` sets them.",
)
