"""`alexnet-tools average`: the mean of several nets' saved predictions, without running them again (Sec. 6)."""

from __future__ import annotations

from pathlib import Path

import click

from ..progress import image_progress
from ..results_table import EvaluationTable, ReportOptions, WeightList, results_options


@click.command("average")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--weights", type=WeightList(), help="Weights of the files.  [default: the number of nets in each]")
@results_options
def command(files, weights, **options):
    """Average the predictions that eval saved, and score them.

    \b
    Example: alexnet-tools average a.npz b.npz --ilsvrc 2012

    FILES are made by `alexnet-tools eval --save-predictions`, of the same split of the same data set. One file alone
    is scored as it is.
    """
    wanted = ReportOptions(**options)
    from gluon_alexnet.workflows.evaluate import average_predictions

    EvaluationTable(wanted, average_predictions(files, weights, wanted.files, image_progress)).show()
