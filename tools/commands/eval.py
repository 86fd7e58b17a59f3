"""`alexnet-tools eval`: test error beside the paper's (Sec. 6)."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gluon_alexnet.workflows.folders import RUNS, folder_of_year

from ..options import devices, on_damaged, open_contexts, report_damaged
from ..results_table import ReportOptions, Results, WeightList, results_options

IMAGES_PER_PASS = 16  # of ten views each, shared among the nets: about 2 GB for full nets


@click.command("eval")
@devices
@click.option(
    "--data", type=click.Path(path_type=Path), help="Data set folder.  [default: that of --ilsvrc, or the run's]"
)
@click.option(
    "--model",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Run, checkpoint or exported OUT; several are averaged.  [default: the newest run]",
)
@click.option("--weights", type=WeightList(), help="Weights of several models in the mean.  [default: all the same]")
@click.option("--split", default="val", show_default=True, help="Split to evaluate.")
@click.option("--views", default="10,1", show_default=True, help="Ten views, the centre view, or both.")
@on_damaged
@results_options
def command(devices, data, paths, weights, split, views, on_damaged, **wanted):
    """Measure the error of one net, or of several averaged.

    \b
    Example: alexnet-tools eval --ilsvrc 2012
    Example: alexnet-tools eval --ilsvrc 2012 --model runs/a --model runs/b --weights 2,1
    """
    wanted, counts, paths = ReportOptions(**wanted), _views(views), list(paths)
    if wanted.submission and on_damaged == "skip":
        raise click.UsageError("--submission needs a line for each image, so no record can be skipped.")
    from gluon_alexnet.evaluation.ensemble import predict
    from gluon_alexnet.evaluation.predictions import Description, Net
    from gluon_alexnet.recordio.dataset.manifest import read_manifest
    from gluon_alexnet.recordio.reading.reader import Reader
    from gluon_alexnet.workflows.load import data_of_run, open_models

    from ..progress import progress

    if not paths:
        from gluon_alexnet.training.checkpoint import newest_run

        paths = [newest_run(RUNS)]
    weights = weights or [1.0] * len(paths)
    if len(weights) != len(paths):
        raise click.UsageError(f"--weights has {len(weights)} numbers for {len(paths)} models.")
    folder = data or (folder_of_year(int(wanted.year)) if wanted.year else data_of_run(paths[0]))
    manifest = read_manifest(folder)
    part = manifest.split(split)
    nets = open_models(paths, open_contexts(devices, 1)[0])
    ours, theirs = [c["wnid"] for c in nets[0].classes], [c.wnid for c in manifest.classes]
    if ours != theirs:
        raise click.UsageError(
            f"{paths[0]} knows {len(ours)} classes and {folder} has {len(theirs)}, and they are not the same; "
            "name the data set it was trained on with --data."
        )
    description = Description(
        str(folder),
        manifest.digest,
        split,
        [{"wnid": c.wnid, "name": c.name, "devkit_id": c.devkit_id} for c in manifest.classes],
        tuple(counts),
        tuple(Net(net.source, weight, net.parameters, net.variants) for net, weight in zip(nets, weights)),
    )
    began = time.monotonic()
    reader = Reader(folder, split, on_damaged=on_damaged)
    results = Results(
        wanted, description, lambda: map(reader.key, range(len(reader))), list(map(str, paths)), not part.unlabelled
    )
    batches = (batch for batch in reader.batches(max(2, IMAGES_PER_PASS // len(nets))) if len(batch.ids))
    with results, progress(part.images, "images", f"eval {split}") as bar:
        for labels, ids, each, mean in predict(nets, weights, batches, counts):
            results.add(ids, [reader.key(number) for number in ids.tolist()] if wanted.save else [], labels, each, mean)
            bar.update(len(ids))
    report_damaged(reader)
    seconds = time.monotonic() - began
    results.show(part.images, len(reader.damaged), part.also_in_train, seconds, [net.parameters for net in nets])


def _views(text):
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or len(set(counts)) != len(counts) or not set(counts) <= {1, 10}:
        raise click.BadParameter(f"{text!r}; give 10, 1 or 10,1.", param_hint="--views")
    return counts
