"""`alexnet-tools import`: other programs' weights as an exported net."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from gluon_alexnet.workflows.option_choices import KINDS

from ..console import verbosity
from ..options import OutputNames, devices, names_of

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("import")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.argument("out", type=OutputNames())
@devices
@click.option("--kind", type=click.Choice(KINDS), help="Whose files they are.  [default: what their content says]")
@click.option("--mean", type=FILE, help="Caffe's mean image, a binaryproto.  [default: ILSVRC-2012's mean of a colour]")
@click.option("--classes", type=FILE, help="A class a line: wnid and name.  [default: ILSVRC-2012's, or numbers]")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of images to verify with.  [default: noise]")
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
@verbosity
@click.pass_context
def command(ctx, files, out, devices, kind, mean, classes, images, overwrite):
    """Write another program's AlexNet as an exported net.

    \b
    Example: alexnet-tools import alexnet.pth OUT
    Example: alexnet-tools import deploy.prototxt bvlc_alexnet.caffemodel OUT

    Known: torchvision's (.pth in both forms, .safetensors), Gluon's model zoo's (.params), BVLC's AlexNet and CaffeNet,
    and conv1 to conv5 alone, as lpips's packages hold them, to fine-tune from. OUT is what `export` writes: RGB grey
    levels 0-255 in, what the source does to an image is inside. Nothing in a file is executed, and another program's
    computation judges before anything gets its name.
    """
    from gluon_alexnet.workflows.import_weights import import_weights

    words = shlex.join(["alexnet-tools", *ctx.meta.get("words", [])])
    found = import_weights(
        files,
        out,
        kind=kind,
        device=names_of(devices),
        mean=mean,
        classes=classes,
        images=images,
        command=words,
        overwrite=overwrite,
    )
    known = f", BVLC's {found.published_as}" if found.published_as else ""
    outputs = f"{found.classes} classes" if found.classes else "no classifier: a net to fine-tune from"
    click.echo(f"{found.format}: {found.architecture}, {outputs}, crops of {found.size} pixels{known}")
    if found.mean is not None:
        caffe = found.kind == "caffe"
        remark = "; --mean takes a mean image" if caffe else "; each colour is divided by its standard deviation"
        click.echo(f"mean: {', '.join(f'{one:.2f}' for one in found.mean)} (RGB, ILSVRC-2012's){remark}")
    click.echo(found.kernels.sentence, err=not found.kernels.trained)
    noise = " (--images takes real ones)" if images is None else ""
    what = "a probability" if found.classes else "an activation of pool5"
    click.echo(
        f"{out}-symbol.json, {out}-0000.params, {out}.json, {out}.md: {found.judge} computes the same, largest "
        f"difference {found.differences[found.judge]:.1e} in {what} over {found.images} {found.images_source}{noise}"
    )
