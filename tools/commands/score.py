"""`alexnet-tools score`: the challenge's own file of results, by the development kit's rules."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("score")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--ilsvrc", "year", type=click.Choice(["2010", "2012"]), default="2012", show_default=True, help="Year.")
@click.option("--kit", type=click.Path(path_type=Path), required=True, help="Development kit, packed or unpacked.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Ground truth of another split.  [default: validation's, in the kit]",
)
def command(file, year, kit, truth):
    """Score a submission file against a ground truth.

    \b
    Example: alexnet-tools score results.txt --kit ILSVRC2012_devkit_t12.tar.gz
    Example: alexnet-tools score test.txt --ilsvrc 2010 --kit devkit-1.0 --truth ILSVRC2010_test_ground_truth.txt

    Prints the kit's flat error, the share of images whose class is not among the first 1…5 guesses.
    """
    import numpy as np

    from gluon_alexnet.recordio.dataset.manifest import SourceError
    from gluon_alexnet.recordio.sources.ilsvrc_devkit import read_devkit
    from gluon_alexnet.recordio.sources.ilsvrc_submission import flat_errors, kit_numbers, read_submission

    if not kit.exists():
        raise SourceError(f"{kit}: no such file or folder; name the development kit")
    read = read_devkit(kit, int(year))
    labels = read.labels(truth.read_bytes(), truth) if truth else read.validation
    numbers = np.array(kit_numbers(read.classes))[labels]
    errors = flat_errors(read_submission(file, len(read.classes)), numbers, file)
    click.echo("guesses  flat error")
    for count, error in enumerate(errors, 1):
        click.echo(f"{count:>7}  {error:>10.4f}")
    click.echo(f"{len(numbers)} images of {truth or kit}, each counted once")
