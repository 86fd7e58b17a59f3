"""`alexnet-tools plot`: the paper's images of a net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..options import DrawingFile, NumberList, checkpoint_choice, devices, names_of
from ..progress import image_progress, say

MODEL = click.Path(path_type=Path)
MOST_PREDICTED = 40  # images that one drawing can hold
OUTPUT: dict[str, Any] = {
    "type": DrawingFile(),
    "help": "File to write: .png, .svg or .pdf.",
}


@click.group("plot")
def command():
    """Draw a net and what it sees: kernels, curves, guesses.

    \b
    Example: alexnet-tools plot filters RUN
    """


@command.command("filters")
@click.argument("run", type=MODEL)
@checkpoint_choice("run")
@click.option("--output", default="filters.png", show_default=True, **OUTPUT)
def filters(run, output):
    """Draw the kernels of layer 1, as in Figure 3."""
    from gluon_alexnet.workflows.figures import plot_filters

    kernels = plot_filters(run, output)
    if len(kernels) != 96:
        say(f"{run} has {len(kernels)} kernels in layer 1; Fig. 3 shows the 96 of the full net.")
    click.echo(f"{output}: {len(kernels)} kernels")


@command.command("curves")
@click.argument("runs", type=MODEL, nargs=-1, required=True)
@click.option("--output", default="curves.png", show_default=True, **OUTPUT)
def curves(runs, output):
    """Draw the errors and the loss of runs over each other.

    \b
    Example: alexnet-tools plot curves runs/paper runs/no-lrn --output both.svg
    """
    from gluon_alexnet.workflows.figures import plot_curves

    found = plot_curves(runs, output)
    click.echo(f"{output}: {', '.join(f'{name} ({len(epochs)} epochs)' for name, epochs in found.items())}")


@command.command("predictions")
@click.argument("model", type=MODEL)
@checkpoint_choice("model")
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@devices
@click.option("--output", default="predictions.png", show_default=True, **OUTPUT)
def predictions(model, images, devices, output):
    """Draw images with their five best classes (Figure 4).

    The bars are the probabilities over ten views. IMAGES are files, or folders with all that is below them. An image's
    true class is known if it lies in a folder named like a class.
    """
    from gluon_alexnet.workflows.figures import draw_predictions
    from gluon_alexnet.workflows.load import load

    from .predict import line

    net = load(model, names_of(devices))
    drawn = _few(net.predictions([str(image) for image in images]))
    draw_predictions(drawn, net.classes, output)
    for prediction in drawn:
        click.echo(line(prediction))


def _few(predictions):
    """All of them; refuses more than a drawing can hold before the rest is computed."""
    from gluon_alexnet.errors import OperationFailed

    found = []
    for one in predictions:
        if one.problem:
            raise OperationFailed(one.problem)
        found.append(one)
        if len(found) > MOST_PREDICTED:
            raise click.UsageError(f"More than {MOST_PREDICTED} images cannot be read in one drawing; give fewer.")
    if not found:
        raise OperationFailed("There is not one image to draw.")
    return found


@command.command("confusion")
@click.argument("model", type=MODEL)
@checkpoint_choice("model")
@devices
@click.option("--data", type=click.Path(path_type=Path), help="Data set.  [default: the run's]")
@click.option("--split", default="val", show_default=True, help="Split to look at.")
@click.option(
    "--views", type=click.Choice(["1", "10"]), default="1", show_default=True, help="The centre view, or ten."
)
@click.option("--output", default="confusion.png", show_default=True, **OUTPUT)
def confusion(model, devices, data, split, views, output):
    """Draw which classes a net takes for which.

    \b
    Example: alexnet-tools plot confusion RUN --views 10
    Example: alexnet-tools plot confusion predictions.npz

    MODEL is a run, a checkpoint, an exported OUT, or a file of `eval --save-predictions`. Up to 20 classes are a
    matrix; of more, the 25 pairs most often confused are drawn.
    """
    from gluon_alexnet.workflows.figures import plot_confusion

    from ..progress import image_progress

    found = plot_confusion(
        model, output, data, split=split, views=int(views), device=names_of(devices), progress=image_progress
    )
    correct = f"{found.accuracy:.2f} % classified correctly"
    click.echo(f"{output}: {found.images} images of {len(found.classes)} classes, {correct}")


@command.command("views")
@click.argument("model", type=MODEL)
@checkpoint_choice("model")
@click.argument("images", nargs=-1, required=True)
@devices
@click.option("--output", default="views.png", show_default=True, **OUTPUT)
def views(model, images, devices, output):
    """Draw the ten views of images with what the net says of each.

    \b
    Example: alexnet-tools plot views RUN dog.jpg

    IMAGES are files, or folders with all that is below them.
    """
    from gluon_alexnet.workflows.figures import plot_views

    for one in plot_views(model, images, output, names_of(devices)):
        agreed = sum(name == one.mean[0][0] for name, _ in one.views)
        name, probability = one.mean[0]
        click.echo(
            f"{click.format_filename(one.source)}: {name.split(',')[0]} {probability:.3f}, the first guess of {agreed} "
            "of 10 views"
        )
    click.echo(f"{output}")


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
    from gluon_alexnet.workflows.plot_units import plot_units

    found = plot_units(
        model,
        layer,
        output,
        data=data,
        split=split,
        units=units,
        count=count,
        device=names_of(devices),
        progress=image_progress,
    )
    for unit in found.units:
        column = f" (column {unit.column})" if unit.column else ""
        best = ", ".join(f"{key} {value:.3g}" for key, value in zip(unit.keys[:3], unit.values))
        click.echo(f"{layer} unit {unit.unit}{column}: {best}")
    click.echo(
        f"{output}: {len(found.units)} units, {count} of {found.searched} images of {found.data} ({split}) for each"
    )


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
    from gluon_alexnet.workflows.plot_saliency import plot_saliency

    followed = plot_saliency(model, images, output, wanted=wanted, device=names_of(devices))
    for one in followed:
        click.echo(f"{one.name}: {one.class_name} ({one.wnid}), probability {one.probability:.3f}")
    click.echo(f"{output}: {len(followed)} images")
