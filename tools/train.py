"""`alexnet-tools train`: learn from a packed data set (paper Sec. 5)."""

from __future__ import annotations

import dataclasses
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import click

from gluon_alexnet.recipe import RECIPES

from .options import DATA_DEFAULT, RUNS, NumberList, devices, on_damaged, open_contexts, report_damaged


@click.command("train")
@devices
@click.option("--data", type=click.Path(path_type=Path), help=f"Data set folder.  [default: {DATA_DEFAULT}]")
@click.option("--recipe", "recipe_name", type=click.Choice(list(RECIPES)), help="Whose numbers.  [default: paper]")
@click.option("--variant", "variant_names", multiple=True, help="A change to the recipe; may be given more than once.")
@click.option("--run", "run", type=click.Path(path_type=Path), help=f"Run folder.  [default: {RUNS}/<date>-<recipe>]")
@click.option("--resume", is_flag=True, help="Continue the run of --run, or the newest one.")
@click.option("--epochs", type=int, help="Passes over the training pictures.")
@click.option("--batch-size", type=int, help="Pictures in an update.")
@click.option("--lr", "rate", type=float, help="Initial learning rate.")
@click.option("--lr-steps", "steps", type=NumberList(), help="Epochs after which the rate drops, e.g. 25,51,79.")
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
@on_damaged
def command(
    devices,
    data,
    recipe_name,
    variant_names,
    run,
    resume,
    epochs,
    batch_size,
    rate,
    steps,
    seed,
    checkpoint_minutes,
    on_damaged,
):
    """Train a net: --gpus 0,1 puts one column on each of two GPUs.

    \b
    Example: alexnet-tools train --gpus 0,1 --lr-steps 25,51,79

    Every epoch ends with the validation error (centre view), a checkpoint and a line in RUN/log.jsonl.
    Ctrl-C saves a checkpoint and stops; --resume goes on exactly there.
    """
    from gluon_alexnet import backend, checkpoint, variants
    from gluon_alexnet.recordio.dataset import read_manifest

    changes = {"epochs": epochs, "batch_size": batch_size, "rate": rate, "rate_steps": steps}
    changes = {name: value for name, value in changes.items() if value is not None}
    if resume:
        if recipe_name or variant_names or seed is not None or batch_size is not None:
            raise click.UsageError("--resume keeps the run's recipe, seed and batch size; leave those options out.")
        run = run or checkpoint.newest_run(RUNS)
        description = checkpoint.read_description(run)
        description = dataclasses.replace(description, recipe=_changed(description.recipe, changes))
        contexts = open_contexts(devices, description.recipe.network.columns)
        folder = data or Path(description.data)
        manifest = read_manifest(folder)
        _check_same_data(run, folder, manifest.digest, description.data_digest)
    else:
        recipe = _changed(variants.apply(RECIPES[recipe_name or "paper"], variant_names), changes)
        run = run or RUNS / "-".join([time.strftime("%Y%m%d-%H%M%S"), recipe.name, *recipe.variants])
        if (run / "recipe.json").exists():
            raise click.UsageError(f"{run} holds a run already; continue it with --resume or name another folder.")
        contexts = open_contexts(devices, recipe.network.columns)
        folder = data or DATA_DEFAULT
        manifest = read_manifest(folder)
        _check_batch(recipe.learning.batch_size, folder, manifest.split("train").images)
        classes = [{"wnid": c.wnid, "name": c.name} for c in manifest.classes]
        description = checkpoint.RunDescription(recipe, classes, str(folder), manifest.digest, backend.versions())
    _train(run, folder, description, contexts, resume, seed or 0, checkpoint_minutes, on_damaged)


def _changed(recipe, changes):
    return dataclasses.replace(recipe, learning=dataclasses.replace(recipe.learning, **changes))


def _check_same_data(run, folder, digest, expected):
    if digest != expected:
        raise click.UsageError(
            f"{run} was trained on another data set than {folder} (digest {expected[:12]}…, not {digest[:12]}…); "
            "name the right one with --data."
        )


def _check_batch(batch_size, folder, images):
    if batch_size > images:
        raise click.UsageError(
            f"The batch size is {batch_size}, but {folder} has {images} training pictures; give --batch-size {images} "
            "or less."
        )


def _train(run, folder, description, contexts, resume, seed, checkpoint_minutes, on_damaged):
    from gluon_alexnet import backend, checkpoint, figures, training

    recipe, classes = description.recipe, len(description.classes)
    learner = training.Learner(recipe, classes, contexts)
    if resume:
        state, parameters, momentum = checkpoint.load(checkpoint.find_checkpoint(run))
        learner.restore(parameters, momentum)
    else:
        state = checkpoint.State(seed)
        learner.initialize(classes, seed)
    data, readers = _data(folder, recipe, state.seed, on_damaged)
    run.mkdir(parents=True, exist_ok=True)
    with checkpoint.Log(run, state) as log, _signals() as received:
        checkpoint.write_description(run, description)
        _say_if_slow(recipe.network, contexts)
        click.echo(f"{run}: {data.images} pictures, {classes} classes, on {', '.join(map(str, contexts))}", err=True)
        log.write("start", step=state.step, contexts=[str(c) for c in contexts], **dataclasses.asdict(recipe.learning))
        saver = _Saver(run, learner, log, backend.mx.nd.array(data.mean), checkpoint_minutes)
        if not resume:
            saver.save(state, best=False)  # a run that is killed in its first epoch can be resumed, too

        def save(state, best):
            if state.position == 0:
                log.write("epoch", **state.epochs[-1])
                click.echo(_line(state.epochs[-1]), err=True)
            saver.save(state, best)

        ended = training.train(
            learner, recipe, data, state, save, lambda: bool(received), _progress(data.images), saver.due
        )
    if saver.failure is not None:
        raise saver.failure
    report_damaged(*readers)
    curves = run / "curves.png"
    if state.epochs:
        figures.draw_curves({run.name: state.epochs}, curves)
    if not ended:
        click.echo(
            f"Stopped in epoch {state.epoch + 1} after {state.position} of {data.images} pictures; continue with: "
            f"alexnet-tools train --resume --run {run}",
            err=True,
        )
        raise SystemExit(128 + received[0])
    click.echo(f"{run}: {len(state.epochs)} epochs, validation error {state.errors[-1]:.2f} %; curves in {curves}")


class _Saver:
    """Writes checkpoints. Where the disk is full training goes on with the old ones; ``failure`` is the last one's."""

    def __init__(self, run, learner, log, mean, minutes):
        self.failure = None
        self._run, self._learner, self._log, self._mean = run, learner, log, mean
        self._seconds, self._saved = 60 * minutes, time.monotonic()

    def due(self):
        return time.monotonic() - self._saved >= self._seconds

    def save(self, state, best):
        from gluon_alexnet import checkpoint
        from gluon_alexnet.errors import FailedWork

        self._saved = time.monotonic()
        state.log_bytes = self._log.bytes
        parameters = {**self._learner.parameters(), "mean": self._mean}
        try:
            checkpoint.save(self._run, state, parameters, self._learner.momentum(), best)
            self.failure = None
        except FailedWork as error:
            self.failure = error
            click.echo(f"{error} Training goes on, and the checkpoints there stay.", err=True)


def _say_if_slow(network, contexts):
    from gluon_alexnet.training import normalization_obstacle

    obstacle = normalization_obstacle(network, contexts)
    if obstacle is not None and network.normalization is not None and contexts[0].device_type == "cpu":
        click.echo(f"Training takes MXNet's own, slower response normalisation: {obstacle}.", err=True)


def _data(folder, recipe, seed, on_damaged):
    """What the run learns from, and the readers of its two splits."""
    from gluon_alexnet.augmentation import TrainingAugmentation, central_patch
    from gluon_alexnet.recordio.reader import Reader, epoch_order
    from gluon_alexnet.recordio.statistics import read_statistics
    from gluon_alexnet.training import Data

    statistics = read_statistics(folder)
    size = recipe.network.input_size
    mean = central_patch(statistics.mean_image, size)
    augment = TrainingAugmentation(recipe.augmentation, size, mean, statistics.eigenvalues, statistics.axes, seed)
    train, validation = (Reader(folder, split, on_damaged=on_damaged) for split in ("train", "val"))
    batch_size = recipe.learning.batch_size

    def epoch(number, position):
        order = epoch_order(len(train), seed, number)
        for crops, labels, ids in train.batches(batch_size, order, position, augment.of_epoch(number)):
            share = min(batch_size, len(train) - position)
            position += share
            yield crops, labels, share - len(ids)

    def validate():
        return (batch for batch in validation.batches(batch_size) if len(batch.ids))

    return Data(len(train), epoch, validate, mean), (train, validation)


def _line(epoch):
    speed = f", {epoch['images'] / epoch['seconds']:.1f} images/s" if epoch["seconds"] else ""
    skipped = f", {epoch['skipped']} damaged pictures skipped" if epoch.get("skipped") else ""
    return (
        f"epoch {epoch['epoch']}: training loss {epoch['training_loss']:.4f}, validation error "
        f"{epoch['validation_top1']:.2f} % (top-5 {epoch['validation_top5']:.2f} %, {epoch['validation_images']} "
        f"pictures), rate {epoch['rate']:g}{speed}{skipped}"
    )


def _progress(images):
    from .progress import progress

    @contextmanager
    def report(state):
        with progress(images, "images", f"epoch {state.epoch + 1}", initial=state.position) as bar:
            yield lambda count, loss, rate: bar.update(count, loss=f"{loss:.4f}", rate=f"{rate:g}")

    return report


@contextmanager
def _signals():
    """The numbers of SIGINT and SIGTERM received; a second one stops at once."""
    received: list[int] = []

    def receive(number, frame):
        if received:
            raise SystemExit(128 + number)
        received.append(number)
        click.echo("Saving a checkpoint and stopping; once more stops at once.", err=True)

    previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
