"""`alexnet-tools activations`: what the layers of a net make of images, as NumPy files."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gluon_alexnet.errors import OperationFailed

from ..console import verbosity
from ..options import OutputFolder, checkpoint_choice, devices, names_of
from ..process import exit_code
from ..progress import image_progress, tell


@click.command("activations")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1)
@checkpoint_choice("model")
@devices
@click.option("--layer", "layers", multiple=True, help="Layer to write; may be given more than once.")
@click.option("--before-activation", is_flag=True, help="conv1 to fc7 before their ReLU instead of after it.")
@click.option(
    "--views", type=click.Choice(["1", "10"]), default="1", show_default=True, help="The centre, or ten views."
)
@click.option("--output", type=OutputFolder(), help="Folder to make.")
@click.option("--data", type=click.Path(path_type=Path), help="Packed data set, instead of IMAGES.")
@click.option("--split", default="val", show_default=True, help="Split of --data.")
@click.option("--list", "listing", is_flag=True, help="Print the layers' names and shapes, and stop.")
@verbosity
def command(model, images, devices, layers, before_activation, views, output, data, split, listing):
    """Write what layers make of images, a NumPy file per layer.

    \b
    Example: alexnet-tools activations RUN photos/ --layer conv5 --layer fc6 --output out
    Example: alexnet-tools activations RUN --list

    MODEL is a run, a checkpoint or an exported OUT, imported ones too. IMAGES are files, folders with all that is below
    them, or `-` for names on stdin. --output gets LAYER.npy, float32 (images, …), and keys.txt, the images' names in
    the same order. Memory is flat; what was stopped goes on with the same command. A file that is no image is
    reported on stderr, and the exit code is 1 at the end.
    """
    from gluon_alexnet.workflows import activations

    if listing:
        for name, shape in activations.list_layers(model, names_of(devices)).items():
            click.echo(f"{name:<12} {'×'.join(map(str, shape))}")
        return
    if not layers:
        raise click.UsageError("Name a layer with --layer; --list prints the layers that there are.")
    if output is None:
        raise click.UsageError("Name the folder to make with --output.")
    if bool(images) == (data is not None):
        raise click.UsageError("Give IMAGES, or a packed data set with --data.")
    began = time.monotonic()
    try:
        written = activations.save_activations(
            model,
            images or None,
            output,
            layers,
            data=data,
            split=split,
            before_activation=before_activation,
            views=int(views),
            device=names_of(devices),
            progress=image_progress,
            on_problem=tell,
        )
    except activations.Stopped as stopped:
        click.echo(f"Stopped after {stopped.images} images; the same command goes on.", err=True)
        raise SystemExit(exit_code(stopped)) from None
    _show(written, time.monotonic() - began)


def _show(written, seconds):
    for name, shape in written.shapes.items():
        click.echo(f"{written.folder / name}.npy: float32 {(written.images, *shape)}")
    before = f", {written.resumed} of them done before" if written.resumed else ""
    rate = (written.images - written.resumed) / seconds
    click.echo(f"{written.folder / 'keys.txt'}: {written.images} images{before}, {rate:.1f} images/s")
    if written.unreadable:
        raise OperationFailed(f"{written.unreadable} files could not be read as images; they have no row.")
