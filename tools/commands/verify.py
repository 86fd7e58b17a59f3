"""`alexnet-tools verify`: prove that a data set is what was packed."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_alexnet.errors import OperationFailed
from gluon_alexnet.workflows.default_paths import DATA_DEFAULT

from ..console import verbosity
from ..options import report_shared
from ..progress import image_progress, say


@click.command("verify")
@click.option(
    "--data", type=click.Path(path_type=Path), default=DATA_DEFAULT, show_default=True, help="Data set folder."
)
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one per core.")
@verbosity
def command(data, workers):
    """Read all of a data set and check everything.

    \b
    Example: alexnet-tools verify --data data/ilsvrc2012

    Digests, framing, checksums, places, labels and images of all records, images per class, the statistics
    computed again. Each damaged record is named on stdout: shard, position, image, reason. Images of val and
    test that are in train, too, are named and counted: they are no test of a net.
    """
    from gluon_alexnet.workflows.verify import verify

    found = verify(data, workers, image_progress)
    for problem in found.problems:
        click.echo(problem)
    if found.problems:
        raise OperationFailed(
            f"{data}: {len(found.problems)} problems; copy the named files again, or pack the data set again"
        )
    for split, images in found.images.items():
        report_shared(split, images, found.also_in_train[split])
    for sentence in found.duplicates:
        say(f"  {sentence}")
    images = sum(found.images.values())
    speed = f"{found.seconds:.1f} s, {images / found.seconds:.0f} images/s"
    click.echo(f"{data}: {images} images are what was packed; {speed}")
