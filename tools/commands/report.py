"""`alexnet-tools report`: a run on one page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from ..console import verbosity
from ..options import OutputFile, checkpoint_choice, devices, names_of


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@checkpoint_choice("run")
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Data set folder.  [default: the run's]")
@click.option(
    "--views", type=click.Choice(["10,1", "1"]), default="10,1", show_default=True, help="Views to judge images by."
)
@click.option(
    "--output",
    type=OutputFile(),
    default="report.html",
    show_default=True,
    help="HTML file to write.",
)
@verbosity
def command(run, devices, data, views, output):
    """Show a run on one page: how it went, what the net knows.

    \b
    Example: alexnet-tools report RUN --output report.html

    The page stands alone: curves with the changes of the rate, errors beside the published ones, differences from the
    paper in words, the classes that are taken for each other with images, kernels, ten views of some images, time and
    speed, and the commands and digests to do it again. The validation images are judged once for it. It holds images
    of the data set: mind their licence where you hand it on.
    """
    from gluon_alexnet.workflows.report import report

    from ..progress import progress

    counts = [int(part) for part in views.split(",")]
    with ExitStack() as stack:
        bars: list = []

        def progressed(images, total):  # how many there are is known with the first batch
            if not bars:
                bars.append(stack.enter_context(progress(total, "images", "report")))
            bars[0].update(images)

        scores = report(run, output, data, counts, names_of(devices), progressed)
    if not scores:
        click.echo(
            f"{output}: the data set of {run} is not there any more, so no image was judged; --data names another.",
            err=True,
        )
        return
    errors = "; ".join(
        f"{'ten views' if score.views == 10 else 'centre view'} {score.top1:.2f} % (top-5 {score.top5:.2f} %)"
        for score in scores
    )
    click.echo(f"{output}: error over {scores[0].images} images: {errors}")
