"""`alexnet-tools eval`: test error beside the paper's (Sec. 6)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from .options import RUNS, devices, folder_of_year, on_damaged, open_contexts, report_damaged

PICTURES_A_PASS = 16  # of ten views each: about 2 GB for the full net


@click.command("eval")
@devices
@click.option(
    "--ilsvrc", "year", type=click.Choice(["2010", "2012"]), help="Compare with the paper's row of that year."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Data set folder.  [default: that of --ilsvrc, or the run's]"
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Run, checkpoint or exported OUT.  [default: the newest run]"
)
@click.option("--split", default="val", show_default=True, help="Split to evaluate.")
@click.option("--views", default="10,1", show_default=True, help="Ten views, the centre view, or both.")
@on_damaged
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(devices, year, data, model, split, views, on_damaged, as_json):
    """Measure top-1 and top-5 error: ten views and the centre view.

    \b
    Example: alexnet-tools eval --ilsvrc 2012
    """
    counts = _views(views)
    from gluon_alexnet.evaluation import evaluate
    from gluon_alexnet.recordio.dataset import read_manifest
    from gluon_alexnet.recordio.reader import Reader

    from .models import data_of_run, open_model
    from .progress import progress

    if model is None:
        from gluon_alexnet.checkpoint import newest_run

        model = newest_run(RUNS)
    folder = data or (folder_of_year(int(year)) if year else data_of_run(model))
    manifest = read_manifest(folder)
    images = manifest.split(split).images
    net = open_model(model, open_contexts(devices, 1)[0])
    ours, theirs = [c["wnid"] for c in net.classes], [c.wnid for c in manifest.classes]
    if ours != theirs:
        raise click.UsageError(
            f"{model} knows {len(ours)} classes and {folder} has {len(theirs)}, and they are not the same; "
            "name the data set it was trained on with --data."
        )
    began = time.monotonic()
    reader = Reader(folder, split, on_damaged=on_damaged)
    batches = (batch for batch in reader.batches(PICTURES_A_PASS) if len(batch.ids))
    with progress(images, "images", f"eval {split}") as bar:
        scores = evaluate(net.classify, batches, net.size, counts, bar.update)
    seconds = time.monotonic() - began
    report_damaged(reader)
    skipped = len(reader.damaged)
    if scores[0].images + skipped != images:
        raise click.ClickException(
            f"{scores[0].images} pictures were counted and {skipped} skipped where {folder} has {images}."
        )
    (_print_json if as_json else _print_table)(net, folder, split, year, scores, skipped, seconds)


def _views(text):
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or len(set(counts)) != len(counts) or not set(counts) <= {1, 10}:
        raise click.BadParameter(f"{text!r}; give 10, 1 or 10,1.", param_hint="--views")
    return counts


def _name(score):
    return "10 views" if score.views == 10 else "centre view"


def _print_table(net, folder, split, year, scores, skipped, seconds):
    from gluon_alexnet.published import results

    rows = [(f"{net.source}, {_name(score)}", split, f"{score.top1:.2f}", f"{score.top5:.2f}") for score in scores]
    for row in results(int(year), split, net.variants) if year else []:
        rows.append((f"{row.net} ({row.source})", f"{row.year} {row.split}", f"{row.top1:.2f}", f"{row.top5:.2f}"))
    width = max(len(row[0]) for row in rows)
    click.echo(f"{'error, %':<{width}}  {'split':<9} {'top-1':>6} {'top-5':>6}")
    for name, where, top1, top5 in rows:
        click.echo(f"{name:<{width}}  {where:<9} {top1:>6} {top5:>6}")
    left_out = f", {skipped} damaged ones skipped" if skipped else ""
    click.echo(f"{scores[0].images} pictures of {folder} ({split}), each counted once{left_out}, in {seconds:.1f} s")
    if len(net.classes) <= 5:
        click.echo(f"With {len(net.classes)} classes the five best guesses are all of them: top-5 error is always 0.")


def _print_json(net, folder, split, year, scores, skipped, seconds):
    from dataclasses import asdict

    from gluon_alexnet.published import results

    document = {
        "model": net.source,
        "data": str(folder),
        "split": split,
        "images": scores[0].images,
        "skipped": skipped,
        "classes": len(net.classes),
        "seconds": round(seconds, 2),
        "scores": [{**asdict(score), "top1_error": score.top1, "top5_error": score.top5} for score in scores],
        "published": [asdict(row) for row in (results(int(year), split, net.variants) if year else [])],
    }
    click.echo(json.dumps(document, indent=1))
