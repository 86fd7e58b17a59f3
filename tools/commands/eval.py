"""`alexnet-tools eval`: test error beside the paper's (Sec. 6)."""

from __future__ import annotations

from pathlib import Path

import click

from gluon_alexnet.workflows.default_paths import folder_of_year

from ..console import verbosity
from ..options import checkpoint_choice, devices, names_of, on_damaged, report_damaged
from ..progress import image_progress
from ..results_table import EvaluationTable, ReportOptions, WeightList, results_options


@click.command("eval")
@devices
@click.option(
    "--data", type=click.Path(path_type=Path), help="Data set folder.  [default: that of --ilsvrc, or the run's]"
)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Run, checkpoint or exported OUT; several are averaged.  [default: the newest run]",
)
@checkpoint_choice("models", always=True)
@click.option("--weights", type=WeightList(), help="Weights of several models in the mean.  [default: all the same]")
@click.option("--split", default="val", show_default=True, help="Split to evaluate.")
@click.option("--views", default="10,1", show_default=True, help="Ten views, the centre view, or both.")
@on_damaged
@results_options
@verbosity
def command(devices, data, models, weights, split, views, on_damaged, **options):
    """Measure the error of one net, or of several averaged.

    \b
    Example: alexnet-tools eval --ilsvrc 2012
    Example: alexnet-tools eval --ilsvrc 2012 --model runs/a --model runs/b --weights 2,1
    """
    wanted, counts = ReportOptions(**options), _views(views)
    from gluon_alexnet.workflows.evaluate import evaluate

    found = evaluate(
        list(models),
        data or (folder_of_year(int(wanted.year)) if wanted.year else None),
        split=split,
        views=counts,
        weights=weights,
        device=names_of(devices),
        on_damaged=on_damaged,
        files=wanted.files,
        progress=image_progress,
    )
    report_damaged(found.damaged)
    EvaluationTable(wanted, found).show()


def _views(text):
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or len(set(counts)) != len(counts) or not set(counts) <= {1, 10}:
        raise click.BadParameter(f"{text!r}; give 10, 1 or 10,1.", param_hint="--views")
    return counts
