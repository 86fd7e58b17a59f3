"""`alexnet-tools train`: learn from a packed data set (paper Sec. 5)."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from gluon_alexnet.workflows.default_paths import DATA_DEFAULT, RUNS
from gluon_alexnet.workflows.option_choices import RECIPES

from ..console import verbosity
from ..options import (
    AboveZero,
    LayerFactors,
    Layers,
    NumberList,
    OutputFolder,
    devices,
    kvstore,
    names_of,
    on_damaged,
    report_damaged,
)
from ..progress import say


@click.command("train")
@devices
@click.option("--data", type=click.Path(path_type=Path), help=f"Data set folder.  [default: {DATA_DEFAULT}]")
@click.option("--recipe", type=click.Choice(list(RECIPES)), help="Training recipe.  [default: paper]")
@click.option(
    "--cuda-convnet",
    "layer_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    nargs=2,
    help="The net and the rates of cuda-convnet's files LAYERS and PARAMS, in place of a recipe.",
)
@click.option("--input-size", type=click.IntRange(min=1), help="Pixels a side that such a net reads.  [default: 224]")
@click.option("--variant", "variants", multiple=True, help="A change to the recipe; may be given more than once.")
@click.option("--run", "run", type=OutputFolder(), help=f"Run folder.  [default: {RUNS}/<date>-<recipe>]")
@click.option("--resume", is_flag=True, help="Continue the run of --run, or the newest one.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images in an update.")
@click.option("--lr", "learning_rate", type=AboveZero(), help="Initial learning rate.")
@click.option("--lr-steps", "steps", type=NumberList(), help="Epochs after which the rate drops, e.g. 25,51,79.")
@click.option(
    "--plateau", type=click.IntRange(1), help="Epochs without a better validation error until it drops, three times."
)
@click.option(
    "--layer-rates",
    "layer_factors",
    type=LayerFactors(),
    help="Factors of layers' rates, e.g. conv1=0.1,fc8=10; 0 freezes.",
)
@click.option(
    "--timetable",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of dated changes, such as the line 67: conv1 0.00001, colour 0; in place of the recipe's.",
)
@click.option("--init-from", type=click.Path(path_type=Path), help="Initialise from this run or exported net.")
@click.option("--layers", type=Layers(), help="Layers taken from it, e.g. conv1-5.  [default: all that fit]")
@click.option("--weights-only", is_flag=True, help="Take the weights of those layers, and leave their biases new.")
@click.option("--match-classes", is_flag=True, help="Take layer 8 of it, too, for classes of the same wnid.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of initial weights, order, crops and dropout.  [default: 0]"
)
@click.option(
    "--checkpoint-minutes",
    type=AboveZero(),
    default=30.0,
    show_default=True,
    help="Save within an epoch, too, this often.",
)
@kvstore
@click.option("--compress", type=click.Choice(["none", "2bit"]), help="How workers send gradients.  [default: none]")
@click.option(
    "--compress-threshold", type=AboveZero(), help="What 2bit sends of a worker's summed gradient.  [default: 0.5]"
)
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard to RUN/tensorboard.")
@on_damaged
@verbosity
def command(
    devices,
    data,
    recipe,
    layer_files,
    input_size,
    variants,
    run,
    resume,
    init_from,
    layers,
    weights_only,
    match_classes,
    seed,
    checkpoint_minutes,
    kvstore,
    tensorboard,
    on_damaged,
    **learning,
):
    """Train a net, e.g. one column on each of two GPUs.

    \b
    Example: alexnet-tools train --gpus 0,1 --lr-steps 25,51,79

    Every epoch ends with the validation error (centre view), a checkpoint and a line in RUN/log.jsonl.
    Ctrl-C saves a checkpoint and stops; --resume goes on exactly there.
    """
    from gluon_alexnet.workflows.distributed_training import join_job
    from gluon_alexnet.workflows.train import TrainingOptions, train
    from gluon_alexnet.workflows.training_plan import InitFrom

    from ..console_callbacks import ConsoleCallback, StopOnSignal, TensorBoardWriter

    job = join_job(kvstore, say)
    if job is not None and job.role != "worker":
        return
    if init_from is None and (layers or match_classes or weights_only):
        raise click.UsageError(
            "--layers, --match-classes and --weights-only say what to take of another net; name it with --init-from."
        )
    if resume and layer_files:
        raise click.UsageError("--resume keeps the run's net; leave --cuda-convnet out.")
    stopper = StopOnSignal(announce=job is None)
    with stopper.watching():
        result = train(
            data,
            recipe=_of_files(layer_files, input_size, recipe, init_from is not None) or recipe,
            variants=variants,
            devices=names_of(devices),
            run=run,
            resume=resume,
            seed=seed,
            init_from=None if init_from is None else InitFrom(init_from, layers, match_classes, not weights_only),
            callbacks=[ConsoleCallback(), stopper, *([TensorBoardWriter()] if tensorboard else [])],
            options=TrainingOptions(checkpoint_minutes, on_damaged, job, kvstore),
            **{name: value for name, value in learning.items() if value is not None},
        )
    report_damaged(result.damaged)
    if result.leads:
        _say_how_it_ended(result)
    if not result.finished:
        raise SystemExit(128 + (stopper.received or [signal.SIGTERM])[0])  # another worker may have got the signal


def _say_how_it_ended(result):
    if result.finished:
        error = result.epochs[-1]["validation_top1"]
        click.echo(
            f"{result.run}: {len(result.epochs)} epochs, validation error {error:.2f} %; curves in {result.curves}"
        )
        say(f"All of it on one page: alexnet-tools report {click.format_filename(result.run)}")
        return
    say(
        f"Stopped in epoch {len(result.epochs) + 1} after {result.position} of {result.images} images; continue with: "
        f"alexnet-tools train --resume --run {click.format_filename(result.run)}"
    )


def _of_files(files, input_size, recipe, initialized):
    """The recipe of a pair of layer files, if there is one."""
    if not files:
        if input_size is not None:
            raise click.UsageError("--input-size belongs to --cuda-convnet; a recipe has its own.")
        return None
    if recipe:
        raise click.UsageError("Give --recipe or --cuda-convnet, not both.")
    from gluon_alexnet.workflows.layer_files import INPUT_SIZE, recipe_of

    layers, params = files
    return recipe_of(layers, params, input_size or INPUT_SIZE, initialized)
