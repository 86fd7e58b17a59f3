"""`alexnet-tools export`: a run as files that others load: a symbol/params pair, ONNX, int8."""

from __future__ import annotations

import math
from pathlib import Path

import click

from ..options import devices, open_contexts

PICTURES_COMPARED = 8
BATCH_TIMED = 32


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Pictures to verify with.  [default: the run's data set]")
@click.option("--onnx", is_flag=True, help="Write OUT.onnx, too, and run it in onnxruntime and OpenCV.")
@click.option("--int8", is_flag=True, help="Write OUT-int8, too: 8-bit integers, calibrated and measured.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Folder of pictures.  [default: training pictures of --data]"
)
@click.option(
    "--calibration-pictures",
    type=click.IntRange(1, 4096),
    default=256,
    show_default=True,
    help="At most so many of them.",
)
@click.option(
    "--compare-pictures",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Validation pictures on which int8 is measured beside float32.",
)
@click.option(
    "--max-drop", type=float, default=1.0, show_default=True, help="Points by which int8's top-1 error may be higher."
)
def command(run, out, devices, data, onnx, int8, calibration, calibration_pictures, compare_pictures, max_drop):
    """Write a run as files that others load: MXNet, ONNX, int8.

    \b
    Example: alexnet-tools export runs/20120930-paper alexnet --onnx

    Writes OUT-symbol.json, OUT-0000.params and OUT.json. The net is one graph for one device: RGB grey levels 0-255
    (N, 3, 224, 224) in, probabilities out, N free. What was written is read back and compared with the run on real
    pictures before it gets its name.
    """
    if calibration is not None and not int8:
        raise click.UsageError("--calibration belongs to --int8.")
    if not math.isfinite(max_drop):
        raise click.BadParameter("give a number of percentage points such as 1.", param_hint="--max-drop")
    from gluon_alexnet.data.augmentation import crop_views
    from gluon_alexnet.export import symbol
    from gluon_alexnet.export.files import Publication
    from gluon_alexnet.model.classifier import classify_with
    from gluon_alexnet.workflows.load import open_run
    from gluon_alexnet.workflows.sample_images import of_data

    if onnx:
        from gluon_alexnet.export import onnx as onnx_export

        onnx_export.check_installed()
    context = open_contexts(devices, 1)[0]
    classifier, description, state = open_run(run, context)
    folder = data or Path(description.data)
    size = description.recipe.network.input_size
    pictures = crop_views(of_data(folder, "val", PICTURES_COMPARED), size, 1)[:, 0]
    facts = _facts(run, description, state)
    calibrating = _calibration(calibration, folder, calibration_pictures) if int8 else None
    with Publication() as publication:
        draft = publication.draft(out)
        differences = symbol.write_pair(publication, draft, classifier, pictures, context)
        files = f"{out}-symbol.json, {out}-0000.params, {out}.json: read back by SymbolBlock and Module"
        said = [_largest(files, differences, pictures)]
        if onnx:
            onnx_export.write(draft, size, len(description.classes))
            expected = classify_with(classifier, context)(pictures)
            found = onnx_export.verify(publication, draft, pictures, expected)
            said.append(_largest(f"{out}.onnx: run by {' and '.join(found)}", found, pictures))
            differences |= found
        verified = {"pictures": len(pictures), "largest_difference": differences}
        publication.describe(draft, size, {**facts, "verified": verified})
        if calibrating:
            said += _add_int8(publication, draft, out, size, facts, folder, calibrating, compare_pictures, max_drop)
        publication.publish()
    click.echo("\n".join(said))


def _facts(run, description, state):
    """What an export's description says of the run."""
    last = state.epochs[-1] if state.epochs else {}
    return {
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
            "after_epoch": last.get("epoch"),
            "top1": last.get("validation_top1"),
            "top5": last.get("validation_top5"),
        },
    }


def _largest(what, differences, pictures):
    return f"{what}, largest difference {max(differences.values()):.1e} in a probability over {len(pictures)} pictures"


def _calibration(own, folder, count):
    """(uint8 (N, 256, 256, 3), where they are from): of the user's own folder, or training pictures of the data set."""
    from gluon_alexnet.workflows.sample_images import of_data, of_folder

    if own is None:
        return of_data(folder, "train", count), f"{folder} (train)"
    pictures, left_out = of_folder(own, count)
    if left_out:
        click.echo(f"{own}: {len(left_out)} files are no pictures, {left_out[0]} the first.", err=True)
    return pictures, str(own)


def _add_int8(publication, draft, out, size, facts, folder, calibrating, compared, max_drop):
    """OUT-int8 as a part of the publication; the lines to say of it."""
    from dataclasses import asdict

    from gluon_alexnet.data.augmentation import crop_views
    from gluon_alexnet.export import int8 as quantization
    from gluon_alexnet.recordio.reading.reader import Reader
    from gluon_alexnet.workflows.sample_images import batches_of

    from ..progress import progress

    pictures, source = calibrating
    views = crop_views(pictures, size, 1)[:, 0]
    name = out.with_name(f"{out.name}-int8")
    with Reader(folder, "val") as reader, progress(min(compared, len(reader)), "images", "int8 and float32") as bar:
        batches = batches_of(reader, compared, BATCH_TIMED)
        pair, found, differences = quantization.add_int8(publication, draft, name, views, batches, max_drop, bar.update)
    verified = {"pictures": min(len(views), quantization.CALIBRATION_BATCH), "largest_difference": differences}
    measured = {"calibration": {"pictures": len(views), "source": source}, "compared": asdict(found)}
    kept = {key: value for key, value in facts.items() if key != "validation_error"}  # that was float32's
    publication.describe(pair, size, {**kept, "int8": measured, "verified": verified})
    before, after = found.float32, found.int8
    speed = after.images_per_second / before.images_per_second
    return [
        f"{name}-symbol.json, {name}-0000.params, {name}.json: int8 for oneDNN on a CPU, calibrated on {len(views)} "
        f"pictures of {source}",
        f"float32: top-1 error {before.top1_error:.2f} %, {before.images_per_second} images/s; int8: "
        f"{after.top1_error:.2f} %, {after.images_per_second} images/s ({speed:.2f} times), the same first guess for "
        f"{found.same_first_guess:.2f} % of {found.pictures} pictures of {folder} (val), batches of {found.batch_size}",
    ]
