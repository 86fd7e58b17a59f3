"""`alexnet-tools average`: the mean of several nets' saved predictions, without running them again (Sec. 6)."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..results_table import ReportOptions, Results, WeightList, results_options

IMAGES_PER_PASS = 256


@click.command("average")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--weights", type=WeightList(), help="Of the files.  [default: as many as nets were averaged in each]")
@results_options
def command(files, weights, **wanted):
    """Average the predictions that eval saved, and score them.

    \b
    Example: alexnet-tools average a.npz b.npz --ilsvrc 2012

    FILES are made by `alexnet-tools eval --save-predictions`, of the same split of the same data set. One file alone
    is scored as it is.
    """
    wanted = ReportOptions(**wanted)
    from dataclasses import replace

    from gluon_alexnet.evaluation.ensemble import average
    from gluon_alexnet.evaluation.predictions import Predictions, compatible

    from ..progress import progress

    began = time.monotonic()
    opened = [Predictions(file) for file in files]
    compatible(opened)
    if weights is None:
        weights = [one.description.weight for one in opened]
    if len(weights) != len(opened):
        raise click.UsageError(f"--weights has {len(weights)} numbers for {len(opened)} files.")
    first = opened[0]
    nets = [
        replace(net, weight=net.weight * weight / one.description.weight)
        for one, weight in zip(opened, weights)
        for net in one.description.nets
    ]
    description = replace(first.description, nets=tuple(nets))
    labelled = not (first.labels < 0).any()
    results = Results(wanted, description, lambda: first.keys, list(map(str, files)), labelled)
    done = 0
    with results, progress(len(first), "images", "average") as bar:
        for rows in zip(*(one.rows(IMAGES_PER_PASS) for one in opened)):
            each = [row.probabilities for row in rows]
            mean = [average([one[v] for one in each], weights) for v in range(len(description.views))]
            count = len(rows[0].keys)
            results.add(range(done, done + count), rows[0].keys, rows[0].labels, each, mean)
            done += count
            bar.update(count)
    parameters = [sum(net.parameters for net in one.description.nets) for one in opened]
    results.show(len(first), 0, None, time.monotonic() - began, parameters)
