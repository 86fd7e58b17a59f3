"""`alexnet-tools verify`: prove that a data set is what was packed."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import click

from gluon_alexnet.workflows.folders import DATA_DEFAULT

from ..options import report_shared

SHARED_SHOWN = 10  # images that are in train, too


@click.command("verify")
@click.option(
    "--data", type=click.Path(path_type=Path), default=DATA_DEFAULT, show_default=True, help="Data set folder."
)
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one per core.")
def command(data, workers):
    """Read all of a data set and check everything.

    \b
    Example: alexnet-tools verify --data data/ilsvrc2012

    Digests, framing, checksums, places, labels and images of all records, images per class, the statistics
    computed again. Each damaged record is named on stdout: shard, position, image, reason. Images of val and
    test that are in train, too, are named and counted: they are no test of a net.
    """
    from gluon_alexnet.recordio.dataset.manifest import DatasetError, read_manifest
    from gluon_alexnet.recordio.reading.verify import verify

    from ..progress import progress

    began = time.monotonic()
    manifest = read_manifest(data)
    images = sum(split.images for split in manifest.splits)
    shared: Counter[str] = Counter()
    named: list[str] = []

    def count_shared(split, key, twin):
        shared[split] += 1
        if len(named) < SHARED_SHOWN:
            named.append(f"  {split}: {key} is train's {twin}")

    with progress(images, "images", "verify") as bar:
        problems = verify(data, workers, bar.update, count_shared)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise DatasetError(f"{data}: {len(problems)} problems; copy the named files again, or pack the data set again")
    seconds = time.monotonic() - began
    for split in manifest.splits:
        report_shared(split.name, split.images, shared[split.name])
    for sentence in named:
        click.echo(sentence, err=True)
    click.echo(f"{data}: {images} images are what was packed; {seconds:.1f} s, {images / seconds:.0f} images/s")
