"""What `alexnet-tools train` does around a training: checkpoints, signals, log, progress, event files."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path

import click

from gluon_alexnet.errors import OperationFailed
from gluon_alexnet.training import checkpoint
from gluon_alexnet.training.callbacks import TrainingCallback
from gluon_alexnet.training.trainer import Trainer

from .progress import progress


class RunCallback(TrainingCallback):
    """Keeps a run on disk. Where that is full, training goes on with the old checkpoints: ``failure`` is the last."""

    def __init__(self, run: Path, trainer: Trainer, log, mean, images: int, minutes: float, received: list, board):
        self.failure: OperationFailed | None = None
        self._run, self._trainer, self._log, self._mean = run, trainer, log, mean
        self._images, self._received, self._board = images, received, board
        self._seconds, self._saved = 60 * minutes, time.monotonic()
        self._asked: tuple[float, str] | None = None  # a rate that was taken, till it is saved

    def save(self, state, best):
        self._saved = time.monotonic()
        state.log_bytes = self._log.bytes
        parameters = {**self._trainer.parameters(), "mean": self._mean}
        try:
            checkpoint.save(self._run, state, parameters, self._trainer.momentum(), best)
            self.failure = None
            if self._asked is not None:  # only now, so that a kill before this does not lose it
                checkpoint.rate_taken(self._run)
                self._asked = None
        except OperationFailed as error:
            self.failure = error
            click.echo(f"{error} Training goes on, and the checkpoints there stay.", err=True)

    def due(self):
        return time.monotonic() - self._saved >= self._seconds

    def stop(self):
        return bool(self._received)

    def rate_asked(self):
        try:
            asked = checkpoint.asked_rate(self._run)
        except OperationFailed as error:
            click.echo(f"{error} It is ignored.", err=True)
            checkpoint.rate_taken(self._run)
            return None
        if asked == self._asked:
            return None  # taken, but not yet saved: the disk is full
        self._asked = asked
        return asked

    def rate_changed(self, state, rates, by):
        self._log.write("rate", step=state.step, learning_rate=rates.weights, by=by)
        click.echo(f"step {state.step}: the learning rate is {rates.weights:g} from now on ({by})", err=True)

    def stalled(self, state):
        self._log.write("stalled", step=state.step, recent_loss=state.recent_loss)
        click.echo(
            f"After {state.step} updates the loss is {state.recent_loss:.3f}, that of guessing: these initial values "
            "sometimes stall. Wait, turn the rate with `alexnet-tools lr`, or stop and begin anew with another "
            "--seed, a smaller --lr, or --recipe as-run, whose initial weights are larger.",
            err=True,
        )

    @contextmanager
    def epoch(self, state):
        with progress(self._images, "images", f"epoch {state.epoch + 1}", initial=state.position) as bar:

            def advance(count, loss, rate):
                bar.update(count, loss=f"{loss:.4f}", rate=f"{rate:g}")
                self._board.step(state.step, loss, rate)

            yield advance

    def epoch_done(self, state):
        self._log.write("epoch", **state.epochs[-1])
        self._board.epoch(state.epochs[-1])
        click.echo(_line(state.epochs[-1]), err=True)


class WorkerCallback(TrainingCallback):
    """In a job's other workers: the first one writes and says everything, with what it gathers from all."""

    def __init__(self, trainer: Trainer, received: list):
        self._trainer, self._received = trainer, received

    def save(self, state, best):
        self._trainer.parameters()
        self._trainer.momentum()

    def stop(self):
        return bool(self._received)


class TensorBoardWriter:
    """Event files for TensorBoard in RUN/tensorboard; what a killed run wrote after ``step`` is struck out."""

    def __init__(self, run: Path, step: int):
        from tensorboardX import SummaryWriter

        # Files are named by the second; the step keeps those of a run that is resumed at once apart, and in order.
        suffix = f".{step:09d}"
        self._writer = SummaryWriter(
            str(run / "tensorboard"), purge_step=step + 1, flush_secs=10, filename_suffix=suffix
        )

    def step(self, step, loss, rate):
        self._writer.add_scalar("training/loss", loss, step)
        self._writer.add_scalar("training/rate", rate, step)

    def epoch(self, epoch):
        self._writer.add_scalar("validation/top1_error", epoch["validation_top1"], epoch["step"])
        self._writer.add_scalar("validation/top5_error", epoch["validation_top5"], epoch["step"])
        self._writer.add_scalar("training/images_per_second", epoch["images"] / epoch["seconds"], epoch["step"])

    def close(self):
        self._writer.close()


class NoTensorBoard:
    """Writes nothing."""

    def step(self, step, loss, rate):
        pass

    def epoch(self, epoch):
        pass

    def close(self):
        pass


@contextmanager
def signals(quiet: bool = False):
    """The numbers of SIGINT and SIGTERM received; a second one stops at once."""
    received: list[int] = []

    def receive(number, frame):
        if received:
            raise SystemExit(128 + number)
        received.append(number)
        if not quiet:
            click.echo("Saving a checkpoint and stopping; once more stops at once.", err=True)

    previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _line(epoch):
    speed = f", {epoch['images'] / epoch['seconds']:.1f} images/s" if epoch["seconds"] else ""
    skipped = f", {epoch['skipped']} damaged images skipped" if epoch.get("skipped") else ""
    return (
        f"epoch {epoch['epoch']}: training loss {epoch['training_loss']:.4f}, validation error "
        f"{epoch['validation_top1']:.2f} % (top-5 {epoch['validation_top5']:.2f} %, {epoch['validation_images']} "
        f"images), learning rate {epoch['learning_rate']:g}{speed}{skipped}"
    )
