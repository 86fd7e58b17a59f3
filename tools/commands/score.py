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
    from gluon_alexnet.workflows.score_submission import score_submission

    score = score_submission(file, kit, int(year), truth)
    click.echo("guesses  flat error")
    for count, error in enumerate(score.errors, 1):
        click.echo(f"{count:>7}  {error:>10.4f}")
    click.echo(f"{score.images} images of {truth or kit}, each counted once")
