"""`alexnet-tools merge`: parts that were packed apart → one data set."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_alexnet.workflows.default_paths import DATA_DEFAULT

from ..options import OutputFolder, report_shared
from ..progress import warn


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", "out", type=OutputFolder(), default=DATA_DEFAULT, show_default=True, help="New data set.")
@click.option("--overwrite", is_flag=True, help="Replace the data set that is there.")
def command(parts, out, overwrite):
    """Join the PARTS that `pack --part` made into one data set.

    \b
    Example: alexnet-tools merge parts/1 parts/2 parts/3 --data data/ilsvrc2012

    The result is the same, byte for byte, as of one pack of everything. Its shards are hard links to those of the
    parts, which may be removed afterwards.
    """
    from gluon_alexnet.workflows.merge import merge

    done = merge(parts, out, overwrite)
    for part in done.linked:
        warn(f"{part}: on another file system, so {out} holds links into it: keep that folder")
    for split, shared in done.also_in_train.items():
        report_shared(split, done.packed[split], shared)
    packed = ", ".join(f"{count} {name}" for name, count in done.packed.items())
    click.echo(f"merged {len(parts)} parts: {packed}; rejected {done.rejected}; {done.seconds:.1f} s; {out}")
