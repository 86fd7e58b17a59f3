"""`alexnet-tools stats`: what a data set's training images are like (paper Sec. 2, 4.1)."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_alexnet.workflows.default_paths import DATA_DEFAULT

from ..options import DrawingFile


@click.command("stats")
@click.option(
    "--data", type=click.Path(path_type=Path), default=DATA_DEFAULT, show_default=True, help="Data set folder."
)
@click.option("--figure", type=DrawingFile(), help="Draw mean, axes, classes and source sizes: .png, .svg or .pdf.")
def command(data, figure):
    """Show a data set's counts, mean, colour axes and sizes.

    \b
    Example: alexnet-tools stats --data data/ilsvrc2012 --figure stats.png
    """
    from gluon_alexnet.workflows.stats import describe_data

    for line in describe_data(data, figure):
        click.echo(line)
    if figure is not None:
        click.echo(f"figure: {figure}")
