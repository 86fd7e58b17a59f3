"""`alexnet-tools plot`: the paper's images of a net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..options import DrawingFile, NumberList, checkpoint_choice, devices, names_of, open_context

MODEL = click.Path(path_type=Path)
MOST_SALIENT = 16  # images that one drawing can hold
OUTPUT: dict[str, Any] = {
    "type": DrawingFile(),
    "help": "File to write, .png or .svg.",
}


@click.group("plot")
def command():
    """Draw the paper's figures: kernels, predictions, curves.

    \b
    Example: alexnet-tools plot filters RUN
    """


@command.command("filters")
@click.argument("run", type=MODEL)
@checkpoint_choice("run")
@click.option("--output", default="filters.png", show_default=True, **OUTPUT)
def filters(run, output):
    """Draw the kernels of layer 1, the columns apart, as in Fig. 3."""
    from gluon_alexnet import plots
    from gluon_alexnet.model.build import first_kernels
    from gluon_alexnet.training import checkpoint

    description, _, parameters, _ = checkpoint.load_run(run)
    network = description.recipe.network
    kernels = first_kernels(network, parameters)
    if len(kernels) != 96:
        click.echo(f"{run} has {len(kernels)} kernels in layer 1; Fig. 3 shows the 96 of the full net.", err=True)
    plots.draw_filters(kernels, network.columns, output)
    click.echo(f"{output}: {len(kernels)} kernels")


@command.command("curves")
@click.argument("runs", type=MODEL, nargs=-1, required=True)
@click.option("--output", default="curves.png", show_default=True, **OUTPUT)
def curves(runs, output):
    """Draw the validation errors of one or more runs over each other."""
    from gluon_alexnet import plots
    from gluon_alexnet.training import checkpoint

    epochs = {}
    for run in runs:
        state = checkpoint.read_state(checkpoint.find_checkpoint(run))
        if not state.epochs:
            raise click.UsageError(f"{run} has not finished an epoch yet, so it has no curve.")
        epochs[str(run)] = state.epochs
    plots.draw_curves(epochs, output)
    click.echo(f"{output}: {', '.join(f'{name} ({len(e)} epochs)' for name, e in epochs.items())}")


@command.command("predictions")
@click.argument("model", type=MODEL)
@checkpoint_choice("model")
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@devices
@click.option("--output", default="predictions.png", show_default=True, **OUTPUT)
def predictions(model, images, devices, output):
    """Draw images with the five best classes of ten views as bars, as in Fig. 4 left.

    An image's true class is known if it lies in a folder named like a class.
    """
    from gluon_alexnet.workflows.load import load
    from gluon_alexnet.workflows.predictions_figure import draw_predictions

    from .predict import line

    net = load(model, names_of(devices))
    drawn = net.predict(list(images))
    draw_predictions(drawn, net.classes, output)
    for prediction in drawn:
        click.echo(line(prediction))


@command.command("units")
@click.argument("model", type=MODEL)
@checkpoint_choice("model")
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Data set to search.  [default: the run's]")
@click.option("--split", default="val", show_default=True, help="Split to search.")
@click.option("--layer", required=True, help="Layer, such as conv5; `activations MODEL --list` prints all.")
@click.option("--units", type=NumberList(), help="Units of the layer, e.g. 0,17.  [default: six, spread]")
@click.option("--count", type=click.IntRange(1, 12), default=9, show_default=True, help="Images of each unit.")
@click.option("--output", default="units.png", show_default=True, **OUTPUT)
def units(model, devices, data, split, layer, units, count, output):
    """Draw the images that excite single units of a layer most.

    \b
    Example: alexnet-tools plot units RUN --layer conv5 --units 3,130

    The receptive field, which is all that a unit sees of an image, is framed, and what lies in it is drawn beneath.
    """
    from gluon_alexnet.recordio.reading.reader import Reader
    from gluon_alexnet.workflows.inside import draw_units
    from gluon_alexnet.workflows.run_data import data_of_run

    from ..progress import progress

    context = open_context(devices)
    folder = data or data_of_run(model)
    with Reader(folder, split) as reader, progress(len(reader), "images", layer) as bar:
        told = draw_units(model, reader, layer, units, output, context, count=count, report=bar.update)
        searched = len(reader)
    for unit in told:
        column = f" (column {unit.column})" if unit.column else ""
        best = ", ".join(f"{key} {value:.3g}" for key, value in zip(unit.keys[:3], unit.values))
        click.echo(f"{layer} unit {unit.unit}{column}: {best}")
    click.echo(f"{output}: {len(told)} units, {count} of {searched} images of {folder} ({split}) for each")


@command.command("saliency")
@click.argument("model", type=MODEL)
@checkpoint_choice("model")
@click.argument("images", nargs=-1, required=True)
@devices
@click.option("--class", "wanted", metavar="CLASS", help="Class by wnid, name or number.  [default: the first guess]")
@click.option("--output", default="saliency.png", show_default=True, **OUTPUT)
def saliency(model, images, devices, wanted, output):
    """Draw which pixels of images speak for a class.

    \b
    Example: alexnet-tools plot saliency RUN dog.jpg --class n02099601

    It is the gradient of the class's output in front of the softmax, in each pixel of the centre view.
    """
    from gluon_alexnet.errors import OperationFailed
    from gluon_alexnet.workflows.image_files import ImageFiles, load_images
    from gluon_alexnet.workflows.inside import draw_saliency

    loaded = []
    for batch in load_images(ImageFiles(images), 8):
        for image in batch:
            if image.pixels is None:
                raise OperationFailed(image.problem)
            loaded.append((image.name, image.pixels))
        if len(loaded) > MOST_SALIENT:
            raise click.UsageError(f"More than {MOST_SALIENT} images cannot be read in one drawing; give fewer.")
    if not loaded:
        raise OperationFailed("There is not one image to draw.")
    for one in draw_saliency(model, loaded, wanted, output, open_context(devices)):
        click.echo(f"{one.name}: {one.class_name} ({one.wnid}), probability {one.probability:.3f}")
    click.echo(f"{output}: {len(loaded)} images")
