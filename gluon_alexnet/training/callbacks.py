"""What goes on around the training loop: checkpoints, the log, progress, changes of the learning rate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import OperationFailed
from ..recipes.timetable import Change, RateRequest
from . import checkpoint, lr_schedule, run_folder, run_log
from .checkpoint import State

Advance = Callable[[int, float, float], None]  # images of an update, its mean loss, the weights' learning rate


@dataclass(frozen=True)
class TrainingStart:
    """What is about to be trained."""

    run: Path
    images: int  # of an epoch
    classes: int
    devices: list[str]
    workers: int  # processes that learn together
    learning: dict[str, Any] = field(default_factory=dict)  # the numbers of the recipe's Learning


class TrainingCallback:
    """What goes on around a training: a subclass overrides what it needs. Every method is called in the main thread.

    The calls do not depend on each other's order: where several callbacks are given, each is called at each moment.
    """

    def begin(self, start: TrainingStart, state: State) -> None:
        """Before the first update of this process."""

    def message(self, sentence: str) -> None:
        """Something that the user should know."""

    def save(self, state: State, best: bool) -> None:
        """Keep the parameters and the state: before and after each validation, and when ``due`` or ``stop`` asks."""

    def due(self) -> bool:
        """Whether to save after this update, too."""
        return False

    def stop(self) -> bool:
        """Whether to save and stop after this update."""
        return False

    def rate_asked(self) -> RateRequest | None:
        """A learning rate that somebody wants from now on; ``save`` comes next."""
        return None

    def rate_changed(self, state: State, rates: lr_schedule.LearningRates, by: str) -> None:
        """The learning rate is another one from the next update on."""

    def timetable_reached(self, state: State, changes: Sequence[Change]) -> None:
        """The epochs done are those after which the timetable has these changes."""

    def stalled(self, state: State) -> None:
        """The loss is still at chance after as many updates as should have moved it."""

    @contextlib.contextmanager
    def epoch(self, state: State) -> Iterator[Advance]:
        """Around each epoch; gives a function of (images, loss, learning rate) for each update."""
        yield lambda images, loss, rate: None

    def epoch_done(self, state: State) -> None:
        """The last of ``state.epochs`` is new; it is saved next."""

    def end(self) -> None:
        """Training is over, whatever ended it."""


class CallbackList(TrainingCallback):
    """Several callbacks as one."""

    def __init__(self, callbacks: Sequence[TrainingCallback]) -> None:
        self._all = list(callbacks)

    def begin(self, start: TrainingStart, state: State) -> None:
        for one in self._all:
            one.begin(start, state)

    def message(self, sentence: str) -> None:
        for one in self._all:
            one.message(sentence)

    def save(self, state: State, best: bool) -> None:
        for one in self._all:
            one.save(state, best)

    def due(self) -> bool:
        return any([one.due() for one in self._all])

    def stop(self) -> bool:
        return any([one.stop() for one in self._all])

    def rate_asked(self) -> RateRequest | None:
        asked = [one.rate_asked() for one in self._all]
        return next((one for one in asked if one is not None), None)

    def rate_changed(self, state: State, rates: lr_schedule.LearningRates, by: str) -> None:
        for one in self._all:
            one.rate_changed(state, rates, by)

    def timetable_reached(self, state: State, changes: Sequence[Change]) -> None:
        for one in self._all:
            one.timetable_reached(state, changes)

    def stalled(self, state: State) -> None:
        for one in self._all:
            one.stalled(state)

    @contextlib.contextmanager
    def epoch(self, state: State) -> Iterator[Advance]:
        with contextlib.ExitStack() as stack:
            every = [stack.enter_context(one.epoch(state)) for one in self._all]

            def advance(images: int, loss: float, rate: float) -> None:
                for one in every:
                    one(images, loss, rate)

            yield advance

    def epoch_done(self, state: State) -> None:
        for one in self._all:
            one.epoch_done(state)

    def end(self) -> None:
        for one in self._all:
            one.end()


class LogWriter(TrainingCallback):
    """Writes RUN/log.jsonl, a JSON object per line."""

    def __init__(self, log: run_log.Log) -> None:
        self._log = log

    def begin(self, start: TrainingStart, state: State) -> None:
        self._log.write("start", step=state.step, contexts=start.devices, workers=start.workers, **start.learning)

    def rate_changed(self, state: State, rates: lr_schedule.LearningRates, by: str) -> None:
        said = lr_schedule.to_dict(rates)
        self._log.write("rate", step=state.step, learning_rate=rates.weights, learning_rates=said, by=by)

    def timetable_reached(self, state: State, changes: Sequence[Change]) -> None:
        for change in changes:
            self._log.write("timetable", step=state.step, change=str(change))

    def stalled(self, state: State) -> None:
        self._log.write("stalled", step=state.step, recent_loss=state.recent_loss)

    def epoch_done(self, state: State) -> None:
        self._log.write("epoch", **state.epochs[-1])


@dataclass(frozen=True)
class RunArrays:
    """Functions that give what a checkpoint holds; the workers of a job call them together."""

    parameters: Callable[[], dict]
    momentum: Callable[[], dict]
    residuals: Callable[[], list[dict]] = list

    def all(self) -> tuple[dict, dict, list[dict]]:
        """Parameters, momentum and residuals, one after the other."""
        return self.parameters(), self.momentum(), self.residuals()


class CheckpointWriter(TrainingCallback):
    """Keeps a run on disk. Where that is full, training goes on with the old checkpoints: ``failure`` is the last.

    arrays: functions that give parameters, momentum and residuals, as :func:`gluon_alexnet.training.checkpoint.save`
    takes them. minutes: between two saves within an epoch. report: called with a sentence where something went wrong.
    """

    def __init__(
        self,
        run: Path,
        log: run_log.Log,
        arrays: RunArrays,
        minutes: float,
        report: Callable[[str], None],
    ) -> None:
        self.failure: OperationFailed | None = None
        self._run, self._log, self._report = run, log, report
        self._arrays = arrays
        self._seconds, self._saved = 60 * minutes, time.monotonic()
        self._asked: RateRequest | None = None  # a rate that was taken, till it is saved

    def save(self, state: State, best: bool) -> None:
        self._saved = time.monotonic()
        state.log_bytes = self._log.bytes
        try:
            parameters, momentum, residuals = self._arrays.all()
            checkpoint.save(self._run, state, parameters, momentum, best, residuals)
            self.failure = None
            if self._asked is not None:  # only now, so that a kill before this does not lose it
                run_folder.rate_taken(self._run)
                self._asked = None
        except OperationFailed as error:
            self.failure = error
            self._report(f"{error} Training goes on, and the checkpoints there stay.")

    def due(self) -> bool:
        return time.monotonic() - self._saved >= self._seconds

    def rate_asked(self) -> RateRequest | None:
        try:
            asked = run_folder.asked_rate(self._run)
        except OperationFailed as error:
            self._report(f"{error} It is ignored.")
            run_folder.rate_taken(self._run)
            return None
        if asked == self._asked:
            return None  # taken, but not yet saved: the disk is full
        self._asked = asked
        return asked


class WorkerCallback(TrainingCallback):
    """In a job's other workers: the first one writes and reports everything, with what it gathers from all."""

    def __init__(self, arrays: RunArrays) -> None:
        self._arrays = arrays

    def save(self, state: State, best: bool) -> None:
        self._arrays.all()
