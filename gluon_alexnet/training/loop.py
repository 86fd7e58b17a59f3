"""Learning (Sec. 5): an epoch, a run. One update is in `trainer.py`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..data.prefetch import prefetched
from ..distributed.collectives import Alone, Counted
from ..errors import FailedWork
from ..evaluation.ensemble import evaluate
from ..evaluation.metrics import Score
from ..recipes.schema import Recipe
from . import lr_schedule
from .callbacks import Supervisor
from .checkpoint import State
from .trainer import Learner


@dataclass(frozen=True)
class Data:
    """What a run learns from and is measured on.

    epoch(number, position): batches (crops, labels, skipped) of that epoch from that picture on; skipped: how
    many damaged pictures of the batch's share were left out, perhaps all of them. One worker of several gets its part
    of each batch, perhaps an empty one.
    validation(): batches of (pictures uint8 (N, 256, 256, 3), labels, ids), each picture once, or this worker's part.
    """

    images: int
    epoch: Callable[[int, int], Iterable[tuple[np.ndarray, np.ndarray, int]]]
    validation: Callable[[], Iterable]
    mean: np.ndarray


def train(
    learner: Learner, recipe: Recipe, data: Data, state: State, supervisor: Supervisor, workers: Alone | None = None
) -> bool:
    """Train until the schedule ends; True if it did, False if the supervisor stopped it.

    ``state`` is brought forward in place. workers: those the learner has joined; each calls this, each supervisor
    saves. Raises FailedWork, naming step and rate, where the loss is not a finite number.
    """
    workers = workers or Alone()
    learning = recipe.learning
    while not lr_schedule.finished(learning, state.errors):
        rates = lr_schedule.rates(learning, state.errors, state.by_hand)
        if state.position == 0 and state.epochs and rates.weights != state.epochs[-1]["rate"]:
            supervisor.rate_changed(state, rates, "steps" if learning.rate_steps else "plateau")
        if not _epoch(learner, learning, data, state, supervisor, workers):
            supervisor.save(state, False)
            return False
        supervisor.save(state, False)  # what was learned outlasts a validation that is killed
        if workers.heed(None, False, supervisor.stop())[2]:
            return False
        error = _validate(learner, recipe, data, workers)
        best = error.top1 < min(state.errors, default=math.inf)
        rates = lr_schedule.rates(learning, state.errors, state.by_hand)
        finished = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "images": state.position - state.skipped,
            "skipped": state.skipped,
            "rate": rates.weights,
            "rates": lr_schedule.to_dict(rates),
            "training_loss": state.loss_sum / (state.position - state.skipped),
            "validation_images": error.images,
            "validation_top1": error.top1,
            "validation_top5": error.top5,
            "seconds": round(state.seconds, 1),
        }
        state.epochs.append(finished)
        state.position, state.skipped, state.loss_sum, state.seconds = 0, 0, 0.0, 0.0
        supervisor.epoch_done(state)
        supervisor.save(state, best)
    return True


def _validate(learner, recipe, data, workers):
    own = evaluate(learner.classifier(data.mean), data.validation(), recipe.network.input_size, views=[1])[0]
    return Score(1, *(int(count) for count in workers.add_counts([own.images, own.top1_wrong, own.top5_wrong])))


def _epoch(learner, learning, data, state, supervisor, workers):
    batches_left = -(-(data.images - state.position) // learning.batch_size)
    rates = lr_schedule.rates(learning, state.errors, state.by_hand)
    with supervisor.epoch(state) as advance, prefetched(data.epoch(state.epoch, state.position)) as batches:
        began = time.monotonic()
        for number, (crops, labels, skipped) in enumerate(batches, 1):
            if lr_schedule.changes_within(learning):
                rates = _rates_now(learning, data, state)
            try:
                loss = learner.step(crops, labels, rates, step_seed(state.seed, state.step))
            except FloatingPointError as error:
                workers.together = workers.synchronous
                raise FailedWork(
                    f"At step {state.step + 1} (epoch {state.epoch + 1}, rate {rates.weights:g}) {error}: training "
                    "stopped before that update and the last checkpoint is good; resume it with a smaller --lr."
                ) from error
            counted = workers.tally(Counted(len(labels), skipped, loss), last=number == batches_left)
            if counted is None:
                state.step += 1  # its pictures are counted at the next meeting
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
            if lr_schedule.stalled(learning, state.step, state.recent_loss, learner.classes):
                supervisor.stalled(state)
            asked, due, stop = workers.heed(supervisor.rate_asked(), supervisor.due(), supervisor.stop())
            if asked is not None:
                state.by_hand = lr_schedule.ByHand(asked[0], lr_schedule.rate(learning, state.errors), asked[1])
                rates = lr_schedule.rates(learning, state.errors, state.by_hand)
                supervisor.rate_changed(state, rates, asked[1])
                supervisor.save(state, False)  # a kill after this does not bring the old rate back
            elif due and state.position < data.images:
                supervisor.save(state, False)
            if stop and state.position < data.images:  # a finished epoch is saved by the caller
                return False
    if state.position != data.images:
        raise FailedWork(f"The epoch had {state.position} pictures where the data set has {data.images}.")
    if state.position == state.skipped:
        raise FailedWork("All pictures of the epoch are damaged: there is nothing to learn from.")
    return True


def _rates_now(learning, data, state):
    """Rates of the next update, of a graph whose rates fall from step to step."""
    updates = learning.epochs * -(-data.images // learning.batch_size)
    generator = np.random.default_rng([state.seed, state.step, 1])
    progress = min(state.step / updates, 1.0)
    return lr_schedule.rates(learning, state.errors, state.by_hand, progress, generator.standard_normal)


def step_seed(seed: int, step: int) -> int:
    """Seed of the dropout masks of one step: MXNet's generators cannot be read back, so each step sets them."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0] >> 1)
