"""`alexnet-tools export`: a run as a symbol/params pair."""

from __future__ import annotations

from pathlib import Path

import click

from .options import devices, open_contexts

PICTURES_COMPARED = 8


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Pictures to verify with.  [default: the run's data set]")
def command(run, out, devices, data):
    """Write OUT-symbol.json, OUT-0000.params and OUT.json from a run or checkpoint folder.

    \b
    Example: alexnet-tools export runs/20120930-paper alexnet

    The net is one graph for one device: RGB grey levels 0-255 (N, 3, 224, 224) in, probabilities out. What
    was written is read back and compared with the run on real pictures before it gets its name.
    """
    from gluon_alexnet import deployment
    from gluon_alexnet.augmentation import crop_views
    from gluon_alexnet.recordio.reader import Reader

    from .models import open_run

    context = open_contexts(devices, 1)[0]
    classifier, description, state = open_run(run, context)
    reader = Reader(data or Path(description.data), "val")
    size = description.recipe.network.input_size
    pictures = crop_views(next(iter(reader.batches(PICTURES_COMPARED))).images, size, 1)[:, 0]
    written = deployment.export(
        classifier,
        out,
        size,
        {
            "classes": description.classes,
            "provenance": {
                "run": run.name,
                "recipe": description.recipe.name,
                "variants": list(description.recipe.variants),
                "step": state.step,
                "epochs": state.epoch,
                "data_digest": description.data_digest,
                "versions": description.versions,
            },
            "validation_error": {
                "views": "centre",
                "after_epoch": state.epochs[-1]["epoch"] if state.epochs else None,
                "top1": state.epochs[-1]["validation_top1"] if state.epochs else None,
                "top5": state.epochs[-1]["validation_top5"] if state.epochs else None,
            },
        },
        pictures,
        context,
    )
    largest = max(written["verified"]["largest_difference"].values())
    click.echo(
        f"{out}-symbol.json, {out}-0000.params, {out}.json: read back by SymbolBlock and Module, largest difference "
        f"{largest:.1e} in a probability over {len(pictures)} pictures"
    )
