"""What goes on around the training loop: checkpoints, progress, changes of the learning rate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from . import lr_schedule
from .checkpoint import State


class TrainingCallback:
    """What goes on around a training; `train` calls these, and a subclass does what is wanted."""

    def save(self, state: State, best: bool) -> None:
        """Keep the trainer and the state: before and after each validation, and whenever it is asked for below."""

    def due(self) -> bool:
        """Whether to save after this step, too."""
        return False

    def stop(self) -> bool:
        """Whether to save and stop after this step."""
        return False

    def rate_asked(self) -> tuple[float, str] | None:
        """A learning rate that somebody wants from now on, and who; ``save`` comes next."""
        return None

    def rate_changed(self, state: State, rates: lr_schedule.LearningRates, by: str) -> None:
        """The rate is another one from the next step on."""

    def stalled(self, state: State) -> None:
        """The loss is still at chance after as many updates as should have moved it."""

    @contextlib.contextmanager
    def epoch(self, state: State) -> Iterator[Callable[[int, float, float], None]]:
        """Around each epoch; gives a function of (images, loss, rate) for each step."""
        yield lambda images, loss, rate: None

    def epoch_done(self, state: State) -> None:
        """The last of ``state.epochs`` is new; it is saved next."""
