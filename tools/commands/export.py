"""`alexnet-tools export`: a run as files that others load: a symbol/params pair, ONNX, PyTorch, int8, bf16."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

import click

from ..console import verbosity
from ..options import OutputNames, checkpoint_choice, devices, names_of
from ..progress import image_progress, say

PATH = click.Path(path_type=Path)


@click.command("export")
@click.argument("run", type=PATH)
@click.argument("out", type=OutputNames())
@checkpoint_choice("run")
@devices
@click.option("--data", type=PATH, help="Images to verify with.  [default: the run's data set]")
@click.option("--onnx", is_flag=True, help="Write OUT.onnx, too, and run it in onnxruntime and OpenCV.")
@click.option("--plain", is_flag=True, help="With --onnx: LRN as operators that every runtime knows.")
@click.option("--pytorch", is_flag=True, help="Write OUT.py and OUT.safetensors, too: plain PyTorch.")
@click.option("--torch-python", metavar="PYTHON", help="Python to run OUT.py in.  [default: this one, if it has torch]")
@click.option("--int8", is_flag=True, help="Write OUT-int8, too: 8-bit integers, calibrated and measured.")
@click.option("--bf16", is_flag=True, help="Write OUT-bf16, too: bfloat16 for a CPU that has it, measured.")
@click.option("--calibration", type=PATH, help="Folder of images.  [default: training images of --data]")
@click.option(
    "--calibration-images",
    type=click.IntRange(1, 4096),
    default=256,
    show_default=True,
    help="At most so many of them.",
)
@click.option(
    "--compare-images",
    "compared_images",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Validation images on which int8 and bf16 are measured beside float32.",
)
@click.option(
    "--max-drop", type=float, default=1.0, show_default=True, help="Points by which their top-1 error may be higher."
)
@click.option(
    "--license", help="Licence that the model card names.  [default: Apache-2.0; of imported weights: theirs]"
)
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
@verbosity
@click.pass_context
def command(ctx, run, out, devices, overwrite, **options):
    """Write a net for others: MXNet, ONNX, PyTorch, int8, bf16.

    \b
    Example: alexnet-tools export runs/20120930-paper alexnet --onnx --pytorch

    Writes OUT-symbol.json, OUT-0000.params, OUT.json and OUT.md, the model card. RUN is a run, a checkpoint or another
    export, an imported net, say. The net is one graph for one device: RGB grey levels 0-255 (N, 3, 224, 224) in,
    probabilities out, N free. What was written is read back and compared with the run on real images before it gets
    its name.
    """
    if options["calibration"] is not None and not options["int8"]:
        raise click.UsageError("--calibration belongs to --int8.")
    if options["torch_python"] is not None and not options["pytorch"]:
        raise click.UsageError("--torch-python belongs to --pytorch.")
    if options["plain"] and not options["onnx"]:
        raise click.UsageError("--plain belongs to --onnx.")
    if not math.isfinite(options["max_drop"]):
        raise click.BadParameter("give a number of percentage points such as 1.", param_hint="--max-drop")
    from gluon_alexnet.workflows.export import CardText, Checks, export

    formats = {name: options[name] for name in ("onnx", "plain", "pytorch", "int8", "bf16")}
    checks = Checks(
        options["data"],
        options["calibration"],
        options["calibration_images"],
        options["compared_images"],
        options["max_drop"],
        options["torch_python"],
    )
    words = shlex.join(["alexnet-tools", *ctx.meta.get("words", [])])
    card = CardText(words, options["license"])
    device = names_of(devices)
    written = export(
        run, out, device=device, checks=checks, card=card, progress=image_progress, overwrite=overwrite, **formats
    )
    for net in written:
        for line in _lines(net):
            click.echo(line)
        for remark in net.remarks:
            say(remark)


def _lines(net):
    """What was written, and what was found."""
    files = ", ".join(map(str, net.files))
    programs = ", ".join(f"{name} {value:.1e}" for name, value in net.differences.items())
    yield f"{files}"
    yield f"  largest difference in a probability over {net.images} images: {programs}"
    if net.calibration:
        count, source = net.calibration
        yield f"  calibrated on {count} images of {source}"
    found = net.comparison
    if found:
        yield (
            f"  float32: top-1 error {found.float32.top1_error:.2f} %, {found.float32.images_per_second} images/s; "
            f"{found.form}: {found.reduced.top1_error:.2f} %, {found.reduced.images_per_second} images/s "
            f"({found.speed:.2f} times), the same first guess for {found.same_first_guess:.2f} % of {found.images} "
            f"images of {net.measured_on}, batches of {found.batch_size}"
        )
