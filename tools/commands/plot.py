"""`alexnet-tools plot`: the paper's images of a net."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import devices, open_contexts

MODEL = click.Path(path_type=Path)
OUTPUT = {"type": click.Path(path_type=Path, dir_okay=False), "help": "PNG file to write."}


@click.group("plot")
def command():
    """Draw the paper's images: kernels, predictions, curves.

    \b
    Example: alexnet-tools plot filters RUN
    """


@command.command("filters")
@click.argument("run", type=MODEL)
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
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@devices
@click.option("--output", default="predictions.png", show_default=True, **OUTPUT)
def predictions(model, images, devices, output):
    """Draw images with the five best classes of ten views as bars, as in Fig. 4 left.

    A image's true class is known if it lies in a folder named like a class.
    """
    from gluon_alexnet.errors import OperationFailed
    from gluon_alexnet.workflows.load import open_model

    from .predict import draw, guesses, line

    net = open_model(model, open_contexts(devices, 1)[0])
    drawn = list(guesses(net, map(str, images), 10))
    for guess in drawn:
        if guess.problem:
            raise OperationFailed(guess.problem)
    draw(drawn, net, output)
    for guess in drawn:
        click.echo(line(guess))
