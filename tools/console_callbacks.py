"""A training on the console: progress bars and sentences, signals, event files for TensorBoard."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager

import click

from gluon_alexnet import TrainingCallback

from .option_names import with_options
from .process import leave_dead_terminal, stop_signals
from .progress import close_bar, duration, open_bar, progress, say, warn

RUN_BAR = "{desc}: {percentage:3.0f} %|{bar}| {remaining} left{postfix}"


class ConsoleCallback(TrainingCallback):
    """Prints what happens to standard error: bars of the run and of its epoch, and a line where something changes."""

    def __init__(self):
        self._command = click.get_current_context(silent=True)  # unknown in the thread that watches a job

    def begin(self, start, state):
        self._images, self._epochs = start.images, start.learning["epochs"]
        others = f", with {start.workers} workers" if start.workers > 1 else ""
        devices = ", ".join(start.devices)
        self.message(f"{start.run}: {start.images} images, {start.classes} classes, on {devices}{others}")
        self._done = self._first = state.epoch * start.images + state.position
        self._began, self._rate = time.monotonic(), None
        # Its speed is the mean since the beginning: validations are in it.
        self._run = open_bar(self._epochs * start.images, "run", self._done, " images", RUN_BAR, 0, leave=False)
        self._show(state)

    def end(self):
        close_bar(getattr(self, "_run", None))
        self._run = None

    def message(self, sentence):
        say(with_options(sentence, self._command))

    def rate_changed(self, state, rates, by):
        others = ", ".join(f"{layer} {weights:g}/{biases:g}" for layer, (weights, biases) in rates.layers.items())
        own = f"; weights/biases of {others}" if others else ""
        self.message(f"step {state.step}: the learning rate is {rates.weights:g} from now on{own} ({by})")

    def timetable_reached(self, state, changes):
        for change in changes:
            self.message(f"step {state.step}: {change}")

    def stalled(self, state):
        warn(
            f"After {state.step} updates the loss is {state.recent_loss:.3f}, that of guessing: these initial values "
            "sometimes stall. Wait, turn the rate with `alexnet-tools lr`, or stop and begin anew with another "
            "--seed, a smaller --lr, or --recipe as-run, whose initial weights are larger."
        )

    @contextmanager
    def epoch(self, state):
        label = f"epoch {state.epoch + 1}/{self._epochs}"
        with progress(self._images, "images", label, initial=state.position) as bar:

            def advance(count, loss, rate):
                self._done += count
                self._rate = rate
                if self._run is None:  # the lines of a log say all in one
                    bar.update(count, loss=f"{loss:.4f}", rate=f"{rate:g}", **self._last(state), run=self._left())
                    return
                self._show(state)
                self._run.update(count)
                bar.update(count, loss=f"{loss:.3f}")

            yield advance
        self._show(state, "validating")

    def epoch_done(self, state):
        self.message(_line(state.epochs[-1], self._epochs))

    def _show(self, state, doing=None):
        """What the run's bar says beside its time."""
        if self._run is not None:
            rate = None if self._rate is None else f"rate {self._rate:g}"
            error = [f"last {name} {value}" for name, value in self._last(state).items()]
            self._run.set_postfix_str(", ".join(word for word in (rate, *error, doing) if word), refresh=bool(doing))

    @staticmethod
    def _last(state):
        return {"error": f"{state.epochs[-1]['validation_top1']:.2f} %"} if state.epochs else {}

    def _left(self):
        done = self._done - self._first
        left = self._epochs * self._images - self._done
        return f"{duration(left * (time.monotonic() - self._began) / done)} left" if done else "?"


class TensorBoardWriter(TrainingCallback):
    """Event files for TensorBoard in RUN/tensorboard; what a killed run wrote after its checkpoint is struck out."""

    def begin(self, start, state):
        from tensorboardX import SummaryWriter

        # Files are named by the second; the step keeps those of a run that is resumed at once apart, and in order.
        suffix = f".{state.step:09d}"
        self._writer = SummaryWriter(
            str(start.run / "tensorboard"), purge_step=state.step + 1, flush_secs=10, filename_suffix=suffix
        )

    @contextmanager
    def epoch(self, state):
        def advance(_images, loss, rate):
            self._writer.add_scalar("training/loss", loss, state.step)
            self._writer.add_scalar("training/rate", rate, state.step)

        yield advance

    def epoch_done(self, state):
        epoch = state.epochs[-1]
        self._writer.add_scalar("validation/top1_error", epoch["validation_top1"], epoch["step"])
        self._writer.add_scalar("validation/top5_error", epoch["validation_top5"], epoch["step"])
        if epoch["seconds"]:  # in tenths: 0 for a handful of images
            self._writer.add_scalar("training/images_per_second", epoch["images"] / epoch["seconds"], epoch["step"])

    def end(self):
        self._writer.close()


class StopOnSignal(TrainingCallback):
    """Stops the training after the update during which SIGINT, SIGTERM or SIGHUP came; a second one ends it at once.

    announce: whether to print so from the start; in a job only the worker that begins the run does.
    """

    def __init__(self, announce: bool = True) -> None:
        self.received: list[int] = []
        self._announce = announce

    def begin(self, start, state):
        self._announce = True

    def stop(self):
        return bool(self.received)

    @contextmanager
    def watching(self):
        """Around the work that signals are to stop."""

        def receive(number, _):
            leave_dead_terminal()
            if self.received:
                raise SystemExit(128 + number)
            self.received.append(number)
            if self._announce:
                say("Saving a checkpoint and stopping; once more stops at once.")

        previous = {number: signal.signal(number, receive) for number in stop_signals()}
        try:
            yield self.received
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _line(epoch, epochs):
    speed = f", {epoch['images'] / epoch['seconds']:.1f} images/s" if epoch["seconds"] else ""
    skipped = f", {epoch['skipped']} damaged images skipped" if epoch.get("skipped") else ""
    return (
        f"epoch {epoch['epoch']}/{epochs}: loss {epoch['training_loss']:.3f}, error {epoch['validation_top1']:.2f} % "
        f"(top-5 {epoch['validation_top5']:.2f} %), rate {epoch['learning_rate']:g}{speed}{skipped}"
    )
