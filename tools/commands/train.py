"""`alexnet-tools train`: learn from a packed data set (paper Sec. 5)."""

from __future__ import annotations

import dataclasses
import signal
import time
from pathlib import Path
from typing import Any

import click

from gluon_alexnet.recipes.presets import RECIPES
from gluon_alexnet.recipes.schema import LayerRates
from gluon_alexnet.workflows.folders import DATA_DEFAULT, RUNS

from ..cluster import check_parts, kvstore, take_part, workers_of
from ..options import LayerFactors, Layers, NumberList, devices, on_damaged, open_contexts, report_damaged


@click.command("train")
@devices
@click.option("--data", type=click.Path(path_type=Path), help=f"Data set folder.  [default: {DATA_DEFAULT}]")
@click.option("--recipe", "recipe_name", type=click.Choice(list(RECIPES)), help="Whose numbers.  [default: paper]")
@click.option(
    "--cuda-convnet",
    "layer_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    nargs=2,
    help="The net and the rates of cuda-convnet's files LAYERS and PARAMS, in place of a recipe.",
)
@click.option("--input-size", type=click.IntRange(min=1), help="Pixels a side that such a net reads.  [default: 224]")
@click.option("--variant", "variant_names", multiple=True, help="A change to the recipe; may be given more than once.")
@click.option("--run", "run", type=click.Path(path_type=Path), help=f"Run folder.  [default: {RUNS}/<date>-<recipe>]")
@click.option("--resume", is_flag=True, help="Continue the run of --run, or the newest one.")
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch-size", type=int, help="Images in an update.")
@click.option("--lr", "rate", type=float, help="Initial learning rate.")
@click.option("--lr-steps", "steps", type=NumberList(), help="Epochs after which the rate drops, e.g. 25,51,79.")
@click.option(
    "--plateau", type=click.IntRange(1), help="Epochs without a better validation error until it drops, three times."
)
@click.option("--layer-rates", type=LayerFactors(), help="Factors of layers' rates, e.g. conv1=0.1,fc8=10; 0 freezes.")
@click.option("--init-from", type=click.Path(path_type=Path), help="Begin with the layers of this run or exported net.")
@click.option("--layers", type=Layers(), help="Layers taken from it, e.g. conv1-5.  [default: all that fit]")
@click.option("--match-classes", is_flag=True, help="Take layer 8 of it, too, for classes of the same wnid.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Of initial weights, order, crops, dropout.  [default: 0]"
)
@click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Save within an epoch, too, this often.",
)
@kvstore
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard to RUN/tensorboard.")
@on_damaged
def command(
    devices,
    data,
    recipe_name,
    layer_files,
    input_size,
    variant_names,
    run,
    resume,
    epochs,
    batch_size,
    rate,
    steps,
    plateau,
    layer_rates,
    init_from,
    layers,
    match_classes,
    seed,
    checkpoint_minutes,
    kvstore,
    tensorboard,
    on_damaged,
):
    """Train a net, e.g. one column on each of two GPUs.

    \b
    Example: alexnet-tools train --gpus 0,1 --lr-steps 25,51,79

    Every epoch ends with the validation error (centre view), a checkpoint and a line in RUN/log.jsonl.
    Ctrl-C saves a checkpoint and stops; --resume goes on exactly there.
    """
    from gluon_alexnet import backend
    from gluon_alexnet.recipes import variants
    from gluon_alexnet.recordio.dataset.manifest import read_manifest
    from gluon_alexnet.training import checkpoint
    from gluon_alexnet.workflows.layer_files import check_memory

    job = take_part(kvstore)
    if job is not None and job.role != "worker":
        return
    if plateau is not None and steps is not None:
        raise click.UsageError("Give --lr-steps or --plateau, not both.")
    if init_from is None and (layers or match_classes):
        raise click.UsageError(
            "--layers and --match-classes say what to take of another net; name it with --init-from."
        )
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate,
        "rate_steps": steps,
        "patience": plateau,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if plateau is not None:
        changes["rate_steps"] = ()
    if layer_rates is not None:
        changes["layer_rates"] = LayerRates(**layer_rates)
    if resume:
        if recipe_name or layer_files or variant_names or seed is not None or batch_size is not None or init_from:
            raise click.UsageError(
                "--resume keeps the run's recipe, seed and batch size, and its net; leave those options out."
            )
        run = run or checkpoint.newest_run(RUNS)
        description = checkpoint.read_description(run)
        description = dataclasses.replace(description, recipe=_changed(description.recipe, changes))
        contexts = open_contexts(devices, description.recipe.network.columns)
        folder = data or Path(description.data)
        manifest = read_manifest(folder)
        _check_same_data(run, folder, manifest.digest, description.data_digest)
    else:
        chosen = _of_files(layer_files, input_size, recipe_name, init_from is not None)
        recipe = _changed(variants.apply(chosen or RECIPES[recipe_name or "paper"], variant_names), changes)
        run = run or RUNS / "-".join([time.strftime("%Y%m%d-%H%M%S"), recipe.name, *recipe.variants])
        if (run / "recipe.json").exists():
            raise click.UsageError(f"{run} holds a run already; continue it with --resume or name another folder.")
        contexts = open_contexts(devices, recipe.network.columns)
        check_memory(recipe, contexts)
        folder = data or DATA_DEFAULT
        manifest = read_manifest(folder)
        _check_batch(recipe.learning.batch_size, folder, manifest.split("train").images)
        classes = [{"wnid": c.wnid, "name": c.name} for c in manifest.classes]
        description = checkpoint.RunDescription(recipe, classes, str(folder), manifest.digest, backend.versions())
    check_parts(job, manifest, description.recipe.learning.batch_size)
    beginning = None if init_from is None else (init_from, layers, match_classes)
    trainer, description, state = _ready(run, description, contexts, resume, rate is not None, seed or 0, beginning)
    with workers_of(job, kvstore, trainer, description, state) as workers:
        training_data, readers = _data(folder, description.recipe, state.seed, on_damaged, workers)
        if workers.rank == 0:
            lead = _Lead(run, description, contexts, checkpoint_minutes, tensorboard)
            signals = lead.train(trainer, training_data, state, workers, new=not resume)
        else:
            signals = _follow(trainer, description.recipe, training_data, state, workers, new=not resume)
    report_damaged(*readers)
    if workers.rank == 0:
        lead.say_how_it_ended(state, training_data.images, ended=signals is None)
    if signals is not None:
        raise SystemExit(128 + (signals or [signal.SIGTERM])[0])  # another worker may have got the signal


def _of_files(files, input_size, recipe_name, initialized):
    """The recipe of a pair of layer files, if there is one."""
    if not files:
        if input_size is not None:
            raise click.UsageError("--input-size belongs to --cuda-convnet; a recipe has its own.")
        return None
    if recipe_name:
        raise click.UsageError("Give --recipe or --cuda-convnet, not both.")
    from gluon_alexnet.workflows.layer_files import INPUT_SIZE, recipe_of

    return recipe_of(*files, input_size or INPUT_SIZE, initialized)


def _changed(recipe, changes):
    if recipe.learning.updates:
        changes = _of_updates(recipe.learning, dict(changes))
    return dataclasses.replace(recipe, learning=dataclasses.replace(recipe.learning, **changes))


def _of_updates(learning, changes):
    """The changes for a net whose files give each parameter a rate: --lr is its weights' largest one."""
    for option, name in (("--layer-rates", "layer_rates"), ("--plateau", "patience")):
        if name in changes:
            raise click.UsageError(
                f"{option} is for recipes: a net of layer files has its rates in the parameter file."
            )
    if "learning_rate" in changes:
        rate, weights = (
            changes.pop("learning_rate"),
            [u.rate for u in learning.updates if not u.parameter.endswith("_bias")],
        )
        if not max(weights):
            raise click.UsageError("All rates of the parameter file are 0: --lr has none to set; write epsW= there.")
        changes["updates"] = tuple(
            one if one.parameter.endswith("_bias") else dataclasses.replace(one, rate=one.rate * rate / max(weights))
            for one in learning.updates
        )
    return changes


def _check_same_data(run, folder, digest, expected):
    if digest != expected:
        raise click.UsageError(
            f"{run} was trained on another data set than {folder} (digest {expected[:12]}…, not {digest[:12]}…); "
            "name the right one with --data."
        )


def _check_batch(batch_size, folder, images):
    if batch_size > images:
        raise click.UsageError(
            f"The batch size is {batch_size}, but {folder} has {images} training images; give --batch-size {images} "
            "or less."
        )


def _ready(run, description, contexts, resume, new_rate, seed, beginning):
    """(trainer with its parameters, description, state) of a run that begins or goes on."""
    from gluon_alexnet.training import checkpoint
    from gluon_alexnet.training.trainer import Trainer

    trainer = Trainer(description.recipe, len(description.classes), contexts)
    if not resume:
        return trainer, _begin(trainer, description, seed, beginning), checkpoint.State(seed)
    _, state, parameters, momentum = checkpoint.load_run(run)
    if new_rate:
        state.manual_rate = None  # the rate given now is the one that counts
    trainer.restore(parameters, momentum)
    return trainer, description, state


@dataclasses.dataclass
class _Lead:
    """The process that writes the run and speaks of it: the only one, or a job's first worker."""

    run: Path
    description: Any
    contexts: list
    checkpoint_minutes: float
    tensorboard: bool
    failure: Exception | None = None  # of the last checkpoint

    def train(self, trainer, data, state, workers, new):
        """Train; None at the end of the schedule, or the signals that stopped it."""
        from gluon_alexnet import backend
        from gluon_alexnet.training import checkpoint, loop

        from .. import console_callbacks

        recipe, places = self.description.recipe, [str(context) for context in self.contexts]
        self.run.mkdir(parents=True, exist_ok=True)
        with checkpoint.Log(self.run, state) as log, console_callbacks.signals() as received:
            checkpoint.write_description(self.run, self.description)
            _say_if_slow(recipe.network, self.contexts)
            others = f", with {workers.count} workers" if workers.count > 1 else ""
            classes = len(self.description.classes)
            click.echo(f"{self.run}: {data.images} images, {classes} classes, on {', '.join(places)}{others}", err=True)
            learning = dataclasses.asdict(recipe.learning)
            log.write("start", step=state.step, contexts=places, workers=workers.count, **learning)
            board = (
                console_callbacks.TensorBoardWriter(self.run, state.step)
                if self.tensorboard
                else console_callbacks.NoTensorBoard()
            )
            mean = backend.mx.nd.array(data.mean)
            callback = console_callbacks.RunCallback(
                self.run, trainer, log, mean, data.images, self.checkpoint_minutes, received, board
            )
            if new:
                callback.save(state, best=False)  # a run that is killed in its first epoch can be resumed, too
            try:
                ended = loop.train(trainer, recipe, data, state, callback, workers)
            finally:
                board.close()
        self.failure = callback.failure
        return None if ended else received

    def say_how_it_ended(self, state, images, ended):
        """Draw the curves, print the last lines. Raises OperationFailed where the last checkpoint was not written."""
        from gluon_alexnet import plots

        if self.failure is not None:
            raise self.failure
        curves = self.run / "curves.png"
        if state.epochs:
            plots.draw_curves({self.run.name: state.epochs}, curves)
        if ended:
            error = state.errors[-1]
            click.echo(f"{self.run}: {len(state.epochs)} epochs, validation error {error:.2f} %; curves in {curves}")
            click.echo(f"All of it on one page: alexnet-tools report {click.format_filename(self.run)}", err=True)
            return
        click.echo(
            f"Stopped in epoch {state.epoch + 1} after {state.position} of {images} images; continue with: "
            f"alexnet-tools train --resume --run {self.run}",
            err=True,
        )


def _follow(trainer, recipe, data, state, workers, new):
    """Train as another worker of a job; None at the end of the schedule, or the signals that stopped it."""
    from gluon_alexnet.training import loop

    from .. import console_callbacks

    with console_callbacks.signals(quiet=True) as received:
        callback = console_callbacks.WorkerCallback(trainer, received)
        if new:
            callback.save(state, best=False)
        return None if loop.train(trainer, recipe, data, state, callback, workers) else received


def _begin(trainer, description, seed, init):
    """Give the trainer its first parameters; the run's description with where they are from."""
    from gluon_alexnet.model.build import initial_parameters, output_layers
    from gluon_alexnet.training import finetune

    classes = description.classes
    if init is None:
        trainer.initialize(len(classes), seed)
        return description
    path, layers, match = init
    initial = initial_parameters(description.recipe.network, len(classes), seed)
    last = output_layers(description.recipe.network)
    parameters, taken = finetune.transfer(initial, classes, path, layers, match, last)
    trainer.restore(parameters, {})
    matched = f", and {taken.matched_classes} of {len(classes)} classes of fc8" if match else ""
    click.echo(f"{', '.join(taken.layers)} of {path}{matched}; the other layers are new", err=True)
    return dataclasses.replace(description, initialized_from=finetune.to_dict(taken))


def _say_if_slow(network, contexts):
    from gluon_alexnet.model.build import NONE, normalization_obstacle

    obstacle = normalization_obstacle(network, contexts)
    if obstacle not in (None, NONE) and contexts[0].device_type == "cpu":
        click.echo(f"Training takes MXNet's own, slower response normalisation: {obstacle}.", err=True)


def _data(folder, recipe, seed, on_damaged, workers):
    """What this worker of the run learns from, and the readers of its two splits."""
    import numpy as np

    from gluon_alexnet import backend
    from gluon_alexnet.data.augmentation import TrainingAugmentation, input_mean
    from gluon_alexnet.recordio.dataset.statistics import read_statistics
    from gluon_alexnet.recordio.reading.reader import Reader, epoch_order
    from gluon_alexnet.training.loop import Data

    statistics = read_statistics(folder)
    size = recipe.network.input_size
    mean = input_mean(recipe.network, statistics.mean_image)
    augment = TrainingAugmentation(recipe.augmentation, size, mean, statistics.eigenvalues, statistics.axes, seed)
    threads = backend.threads() if workers.count > 1 else None
    train, validation = (Reader(folder, split, threads, on_damaged) for split in ("train", "val"))
    batch_size = recipe.learning.batch_size

    def epoch(number, position):
        order = epoch_order(len(train), seed, number)
        parts = [workers.part(order[begin : begin + batch_size]) for begin in range(position, len(order), batch_size)]
        own, most = np.concatenate([order[:0], *parts]), max([1, *map(len, parts)])
        read = train.batches(most, own, transform=augment.of_epoch(number))
        for part in parts:
            if not len(part):  # of a last batch with fewer images than workers
                yield np.empty((0, 3, size, size), np.float32), np.empty(0, np.int64), 0
                continue
            crops, labels, ids = next(read)
            yield crops, labels, len(part) - len(ids)

    def validate():
        return (
            batch
            for batch in validation.batches(batch_size, workers.part(np.arange(len(validation))))
            if len(batch.ids)
        )

    return Data(len(train), epoch, validate, mean), (train, validation)
