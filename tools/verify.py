"""`alexnet-tools verify`: prove that a data set is what was packed."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .options import DATA_DEFAULT


@click.command("verify")
@click.option(
    "--data", type=click.Path(path_type=Path), default=DATA_DEFAULT, show_default=True, help="Data set folder."
)
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one a core.")
def command(data, workers):
    """Read all of a data set and check everything; exit code 1 if anything is wrong.

    \b
    Example: alexnet-tools verify --data data/ilsvrc2012

    Digests, framing, checksums, places, labels and pictures of all records, images a class, the statistics
    computed again. Each damaged record is named on stdout: shard, position, picture, reason.
    """
    from gluon_alexnet.recordio.dataset import DatasetError, read_manifest
    from gluon_alexnet.recordio.verify import verify

    from .progress import progress

    began = time.monotonic()
    manifest = read_manifest(data)
    images = sum(split.images for split in manifest.splits)
    with progress(images, "images", "verify") as bar:
        problems = verify(data, workers, bar.update)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise DatasetError(f"{data}: {len(problems)} problems; copy the named files again, or pack the data set again")
    seconds = time.monotonic() - began
    click.echo(f"{data}: {images} images are what was packed; {seconds:.1f} s, {images / seconds:.0f} images/s")
