"""`alexnet-tools merge`: parts that were packed apart → one data set."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_alexnet.workflows.folders import DATA_DEFAULT

from ..options import OutputFolder, report_shared


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", type=OutputFolder(), default=DATA_DEFAULT, show_default=True, help="New data set.")
@click.option("--overwrite", is_flag=True, help="Replace the data set that is there.")
def command(parts, data, overwrite):
    """Join the PARTS that `pack --part` made into one data set.

    \b
    Example: alexnet-tools merge parts/1 parts/2 parts/3 --data data/ilsvrc2012

    The result is the same, byte for byte, as of one pack of everything. Its shards are hard links to those of the
    parts, which may be removed afterwards.
    """
    from gluon_alexnet.recordio.dataset.manifest import read_manifest
    from gluon_alexnet.recordio.packing.merge import merge

    report, stay = merge(parts, data, overwrite)
    for part in stay:
        click.echo(f"{part}: on another file system, so {data} holds links into it: keep that folder", err=True)
    for split in read_manifest(data).splits:
        report_shared(split.name, split.images, split.also_in_train)
    packed = ", ".join(f"{count} {name}" for name, count in report.packed.items())
    click.echo(f"merged {len(parts)} parts: {packed}; rejected {report.rejected}; {report.seconds:.1f} s; {data}")
