"""Learning (Sec. 5): an epoch, a run. One update is in `trainer.py`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..data.prefetch import prefetched
from ..distributed.collectives import Counted, SingleWorker
from ..errors import OperationFailed
from ..evaluation.ensemble import evaluate
from ..evaluation.metrics import Score
from ..recipes.schema import Learning, Recipe
from ..recipes.timetable import Change, RateRequest
from . import lr_schedule
from .callbacks import TrainingCallback
from .checkpoint import State
from .trainer import Trainer


@dataclass(frozen=True)
class Data:
    """What a run learns from and is measured on.

    epoch(number, position): batches (crops, labels, skipped) of that epoch from that image on; skipped: how
    many damaged images of the batch's share were left out, perhaps all of them. One worker of several gets its part
    of each batch, perhaps an empty one.
    validation(): batches of (images uint8 (N, 256, 256, 3), labels, ids), each image once, or this worker's part.
    """

    images: int
    epoch: Callable[[int, int], Iterable[tuple[np.ndarray, np.ndarray, int]]]
    validation: Callable[[], Iterable]
    mean: np.ndarray


def train(
    trainer: Trainer,
    recipe: Recipe,
    data: Data,
    state: State,
    callback: TrainingCallback,
    workers: SingleWorker | None = None,
) -> bool:
    """Train until the schedule ends; True if it did, False if the callback stopped it.

    ``state`` is brought forward in place. workers: those the trainer has joined; each calls this, each callback
    saves. Raises OperationFailed, naming step and learning rate, where the loss is not a finite number.
    """
    workers = workers or SingleWorker()
    learning = recipe.learning
    while not lr_schedule.finished(learning, state.errors):
        if state.position == 0 and state.epochs:
            _say_what_changes(learning, state, callback)
        if not _epoch(trainer, learning, data, state, callback, workers):
            callback.save(state, False)
            return False
        callback.save(state, False)  # what was learned outlasts a validation that is killed
        if workers.broadcast_requests(None, False, callback.stop())[2]:
            return False
        error = _validate(trainer, recipe, data, workers)
        best = error.top1 < min(state.errors, default=math.inf)
        rates = lr_schedule.rates(learning, state.moment)
        finished = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "images": state.position - state.skipped,
            "skipped": state.skipped,
            "learning_rate": rates.weights,
            "learning_rates": lr_schedule.to_dict(rates),
            "training_loss": state.loss_sum / (state.position - state.skipped),
            "validation_images": error.images,
            "validation_top1": error.top1,
            "validation_top5": error.top5,
            "seconds": round(state.seconds, 1),
        }
        state.epochs.append(finished)
        state.position, state.skipped, state.loss_sum, state.seconds = 0, 0, 0.0, 0.0
        callback.epoch_done(state)
        callback.save(state, best)
    _say_how_it_ended(learning, state, callback, trainer.classes)
    return True


def _validate(trainer: Trainer, recipe: Recipe, data: Data, workers: SingleWorker) -> Score:
    own = evaluate(trainer.classifier(data.mean), data.validation(), recipe.network.input_size, views=[1])[0]
    return Score(1, *(int(count) for count in workers.add_counts([own.images, own.top1_wrong, own.top5_wrong])))


def _epoch(
    trainer: Trainer,
    learning: Learning,
    data: Data,
    state: State,
    callback: TrainingCallback,
    workers: SingleWorker,
) -> bool:
    batches_left = -(-(data.images - state.position) // learning.batch_size)
    rates = lr_schedule.rates(learning, state.moment)
    with callback.epoch(state) as advance, prefetched(data.epoch(state.epoch, state.position)) as batches:
        began = time.monotonic()
        for number, (crops, labels, skipped) in enumerate(batches, 1):
            if lr_schedule.changes_within(learning, state.changes):
                before, rates = rates, _rates_now(learning, data, state)
                if rates != before and not rates.each:
                    callback.rate_changed(state, rates, "timetable")
            loss = _step(trainer, crops, labels, rates, state, workers)
            counted = workers.reduce_counts(Counted(len(labels), skipped, loss), last=number == batches_left)
            if counted is None:
                state.step += 1  # its images are counted at the next meeting
                continue
            state.position += counted.skipped
            state.skipped += counted.skipped
            if not counted.images:
                continue
            loss = counted.loss
            state.count(loss, counted.images)
            began, last = time.monotonic(), began
            state.seconds += began - last
            advance(counted.images + counted.skipped, loss, rates.weights)
            if lr_schedule.stalled(learning, state.step, state.recent_loss, trainer.classes):
                callback.stalled(state)
            asked, due, stop = workers.broadcast_requests(callback.rate_asked(), callback.due(), callback.stop())
            if asked is not None:
                _take(asked, learning, state)
                rates = lr_schedule.rates(learning, state.moment)
                callback.rate_changed(state, rates, asked.by)
                callback.save(state, False)  # a kill after this does not bring the old rate back
            elif due and state.position < data.images:
                callback.save(state, False)
            if stop and state.position < data.images:  # a finished epoch is saved by the caller
                return False
    _check_counts(data, state)
    return True


def _step(
    trainer: Trainer,
    crops: np.ndarray,
    labels: np.ndarray,
    rates: lr_schedule.LearningRates,
    state: State,
    workers: SingleWorker,
) -> float:
    """The loss of one update. Raises OperationFailed where a number is none."""
    try:
        return trainer.step(crops, labels, rates, step_seed(state.seed, state.step))
    except FloatingPointError as error:
        workers.together = workers.synchronous
        raise OperationFailed(
            f"At step {state.step + 1} (epoch {state.epoch + 1}, learning rate {rates.weights:g}) {error}: "
            "training stopped before that update and the last checkpoint is good; resume it with a smaller "
            "`learning_rate`."
        ) from error


def _check_counts(data: Data, state: State) -> None:
    if state.position != data.images:
        raise OperationFailed(f"The epoch had {state.position} images where the data set has {data.images}.")
    if state.position == state.skipped:
        raise OperationFailed("All images of the epoch are damaged: there is nothing to learn from.")


def _rates_now(learning: Learning, data: Data, state: State) -> lr_schedule.LearningRates:
    """Rates of the next update, of a graph whose rates fall from step to step."""
    updates = learning.epochs * -(-data.images // learning.batch_size)
    generator = np.random.default_rng([state.seed, state.step, 1])
    progress = min(state.step / updates, 1.0)
    moment = replace(state.moment, progress=progress, chance=generator.standard_normal)
    return lr_schedule.rates(learning, moment)


def _take(asked: RateRequest, learning: Learning, state: State) -> None:
    """Keep what somebody asked for while the run goes on: another rate for all, or for some layers."""
    if not asked.layers and not asked.biases:
        state.manual_rate = lr_schedule.ManualRate(asked.rate, lr_schedule.rate(learning, state.moment), asked.by)
        return
    rate = {"bias_rate" if asked.biases else "weight_rate": asked.rate}
    state.changes.append(Change(state.epoch, state.position, asked.layers, **rate))


def _say_how_it_ended(learning: Learning, state: State, callback: TrainingCallback, classes: int) -> None:
    """Why before its time, and what to do where nothing was learned."""
    early = lr_schedule.why_early(learning, state.errors)
    if early is not None:
        callback.message(early)
    if lr_schedule.guesses(state.errors[-1], classes):
        callback.message(
            f"The net still guesses: {state.step:,} updates are too few for one that begins from noise (the paper's "
            "has some 900,000). Give it more epochs or images, or begin with a net that has learned: `init_from`."
        )


def _say_what_changes(learning: Learning, state: State, callback: TrainingCallback) -> None:
    """Between two epochs, what the timetable says of this moment, and a rate that is another one."""
    now = [one for one in learning.timetable if one.epoch == state.epoch and not one.images]
    rates = lr_schedule.rates(learning, state.moment)
    if now:
        callback.timetable_reached(state, now)
    if rates.weights != state.epochs[-1]["learning_rate"]:
        callback.rate_changed(state, rates, "timetable" if now else "plateau")


def step_seed(seed: int, step: int) -> int:
    """Seed of the dropout masks of one step: MXNet's generators cannot be read back, so each step sets them."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0] >> 1)
