"""`alexnet-tools reproduce table-1` and `table-2`: the rows of the paper's tables, from the first step to the last."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_alexnet.workflows.default_paths import DATA_DEFAULT

from .console import verbosity
from .options import OutputFolder, devices, names_of


class NamedFolder(click.ParamType):
    """A data set's name and its folder: fall-2009=DIR."""

    name = "NAME=DIR"

    def convert(self, value, param, ctx):
        from gluon_alexnet.workflows.reproduce.tables_1_and_2 import DATA_SETS

        if isinstance(value, tuple):
            return value
        name, equals, folder = value.partition("=")
        if name not in DATA_SETS or not equals or not folder:
            self.fail(f"{value!r} is not one of {', '.join(DATA_SETS)} with = and its folder.", param, ctx)
        return name, Path(folder)


def _table(table, command):
    options = (
        click.option("--plan", "plan_only", is_flag=True, help="Print the steps, and train nothing."),
        click.option("--row", "rows", multiple=True, help="A row of the table; may be given more than once."),
        click.option(
            "--data",
            type=NamedFolder(),
            multiple=True,
            help="Folder of a data set, e.g. fall-2009=DIR; may be given more than once.  [default: "
            f"{DATA_DEFAULT.parent}/<NAME without ->]",
        ),
        click.option("--rehearsal", is_flag=True, help="The same steps at an eighth of the width, on any data sets."),
        click.option("--epochs", type=click.IntRange(1), help="Of every training.  [default: each recipe's]"),
        click.option("--batch-size", type=click.IntRange(1), help="Images in an update.  [default: 128]"),
        click.option(
            "--out",
            type=OutputFolder(),
            help=f"Runs and results.  [default: reproduced/{table}]",
        ),
        devices,
        verbosity,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _reproduce(table, plan_only, rows, data, rehearsal, out, devices, **changes):
    from gluon_alexnet.workflows.reproduce.tables_1_and_2 import (
        DATA_SETS,
        plan_of,
        rehearsed,
        reproduce_table,
        write_results,
    )

    if plan_only:
        click.echo(plan_of(table, rows))
        return
    from .console_callbacks import ConsoleCallback, StopOnSignal
    from .progress import image_progress

    out = out or Path("reproduced", f"{table}-rehearsal" if rehearsal else table)
    folders = {name: DATA_DEFAULT.with_name(name.replace("-", "")) for name in DATA_SETS}
    stopper = StopOnSignal()
    with stopper.watching():
        measured = reproduce_table(
            table,
            {**folders, **dict(data)},
            out,
            rows=rows,
            devices=names_of(devices),
            callbacks=[ConsoleCallback(), stopper],
            progress=image_progress,
            rehearsal=rehearsed if rehearsal else None,
            **{name: value for name, value in changes.items() if value is not None},
        )
    if measured:
        click.echo(write_results(table, measured, out, rehearsal))
    if stopper.received:
        click.echo(f"Stopped; what was done is in {out}, and the same command goes on from there.", err=True)
        raise SystemExit(128 + stopper.received[0])


@click.command("table-1")
def table_1(**options):
    """Train and measure the paper's row of Table 1 (ILSVRC-2010).

    \b
    Example: alexnet-tools reproduce table-1 --plan
    Example: alexnet-tools reproduce table-1 --data ilsvrc-2010=data/ilsvrc2010 --gpus 0,1

    Ctrl-C saves; the same command goes on, and repeats nothing that is finished.
    """
    _reproduce("table-1", **options)


@click.command("table-2")
def table_2(**options):
    """Train and measure the rows of Table 2 (ILSVRC-2012).

    Pre-training is included.

    \b
    Example: alexnet-tools reproduce table-2 --plan
    Example: alexnet-tools reproduce table-2 --row 5-cnns --data ilsvrc-2012=data/ilsvrc2012 --gpus 0,1

    Ctrl-C saves; the same command goes on, and repeats nothing that is finished.
    """
    _reproduce("table-2", **options)


_table("table-1", table_1)
_table("table-2", table_2)
