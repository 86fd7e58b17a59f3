"""Training a small net on CIFAR-10 in memory, interrupted or not (NIPS 2012, Sec. 3.1, 3.3, 5).

A trial is one training: a net, a rate, a seed. Each has a folder with checkpoints, written now and then, from which
it goes on; what it does at a step follows from its seed and the step alone, so that a trial that was interrupted ends
bit for bit as one that was not.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import write_text
from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest, OperationFailed
from ..safe_files import opened, read_text
from ..training import checkpoint
from .config import Descent

SAVE_EVERY = 100  # updates

# name, updates to do at most, updates done before → function of (updates, training error in per cent)
Report = Callable[[str, int, int], AbstractContextManager[Callable[[int, float], None]]]


@contextmanager
def _silent(_images: int, _what: str) -> Iterator[Callable[[int], None]]:
    yield lambda _done: None


class Interrupted(Exception):
    """The user stopped the work; what was done is saved."""


class Diverged(Exception):
    """The loss of a trial is not a number."""


@dataclass(frozen=True)
class TrialContext:
    """Where trials run: the folder of all, the device, whether to stop now, and who hears of progress."""

    out: Path
    context: object
    stop: Callable[[], bool]
    report: Report
    testing: Callable[[int, str], AbstractContextManager[Callable[[int], None]]] = _silent  # (images, what)


@dataclass(frozen=True)
class Data:
    """uint8 (N, height, width, 3) with labels (N,), for training and test."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    def mean(self) -> np.ndarray:
        """The training images' mean, float64 (height, width, 3)."""
        return self.train.mean(axis=0, dtype=np.float64)

    def first(self, images: int) -> Data:
        """The same with the first training images only."""
        return replace(self, train=self.train[:images], train_labels=self.train_labels[:images])

    def first_of_test(self, images: int) -> Data:
        """The same with the first test images only."""
        return replace(self, test=self.test[:images], test_labels=self.test_labels[:images])


class SmallTrainer:
    """A small net on one device with its momentum. decay: of each layer's weights, by the layer's name."""

    def __init__(self, net: Any, descent: Descent, context: Any, decay: dict[str, float] | None = None) -> None:
        self._net, self._context = net, context
        net.initialize(ctx=context)
        net.hybridize(static_alloc=True)
        self._loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
        self._parameters = list(net.collect_params().items())
        for name, parameter in self._parameters:
            layer, kind = name.split("_")
            parameter.lr_mult = descent.bias_factor if kind == "bias" else 1.0
            parameter.wd_mult = (decay or {}).get(layer, 0.0) if kind == "weight" else 0.0
        sgd = {"learning_rate": descent.rate, "momentum": descent.momentum, "wd": 1.0}
        self._trainer = mx.gluon.Trainer([p for _, p in self._parameters], "sgd", sgd, kvstore=None)

    def initialize(self, seed: int) -> None:
        """The initial weights of a seed; momentum 0."""
        mx.random.seed(seed)
        self._net.initialize(ctx=self._context, force_reinit=True)
        self._trainer._updaters[0].states.clear()

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> int:
        """One update on float32 (N, 3, height, width); how many guesses were wrong before it. Raises Diverged."""
        with mx.autograd.record():
            outputs = self._net(mx.nd.array(images, ctx=self._context))
            loss = self._loss(outputs, mx.nd.array(labels, ctx=self._context)).mean()
        loss.backward()
        if not np.isfinite(loss.asscalar()):
            raise Diverged
        self._trainer.set_learning_rate(rate)
        self._trainer.step(1)  # the loss is a mean already
        return int((outputs.asnumpy().argmax(axis=1) != labels).sum())

    def classifier(self, mean: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function from uint8 (M, size, size, 3) to probabilities (M, 10); mean: (3, size, size)."""

        def classify(images: np.ndarray) -> np.ndarray:
            inputs = mx.nd.array(network_order(images) - mean, ctx=self._context)
            return self._net(inputs).softmax().asnumpy()

        return classify

    def arrays(self) -> tuple[dict, dict]:
        """(parameters, momentum) by name."""
        states = self._trainer._updaters[0].states  # Trainer.save_states would pickle them
        momentum = {self._parameters[index][0]: state for index, state in states.items()}
        return {name: parameter.data() for name, parameter in self._parameters}, momentum

    def restore(self, parameters: dict, momentum: dict) -> None:
        """Take what :meth:`arrays` gave."""
        updater = self._trainer._updaters[0]
        for place, (name, parameter) in enumerate(self._parameters):
            parameter.set_data(parameters[name])
            updater.states[place] = momentum[name].copyto(self._context)
            updater.states_synced[place] = True


@dataclass
class Trial:
    """How far a training is: wrong guesses of each update's batch, made before that update, and the batches' sizes."""

    wrong: list[int]
    sizes: list[int]
    seconds: float = 0.0
    diverged: bool = False

    @property
    def step(self) -> int:
        """Updates done."""
        return len(self.wrong)

    def error(self, window: int, step: int | None = None) -> float:
        """Training error in per cent, the mean over the images of the last ``window`` updates up to ``step``."""
        end = self.step if step is None else step
        begin = max(0, end - window)
        return 100 * sum(self.wrong[begin:end]) / max(1, sum(self.sizes[begin:end]))

    def below(self, target: float, window: int) -> bool:
        """Whether the error over a full window is at most ``target`` now."""
        return self.step >= window and self.error(window) <= target


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """The training images' order in an epoch of a seed."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def batches_from(step: int, images: int, batch_size: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """(epoch, indices) of every update from ``step`` on, for ever; an epoch's last batch may be smaller."""
    each = -(-images // batch_size)
    epoch, place = divmod(step, each)
    while True:
        order = epoch_order(images, seed, epoch)
        for batch in range(place, each):
            yield epoch, order[batch * batch_size : (batch + 1) * batch_size]
        epoch, place = epoch + 1, 0


@dataclass(frozen=True)
class TrialPlan:
    """What one training reads, at which rates, and when it ends."""

    name: str  # of its folder
    seed: int
    images: int  # in the training set
    batch_size: int
    prepared: Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]]  # (epoch, indices) → (images, labels)
    learning_rate: Callable[[int], float]  # of an update; the first is 0
    ended: Callable[[Trial], bool]
    most: int  # updates at most
    window: int  # updates whose error is shown


def run_trial(place: TrialContext, trainer: SmallTrainer, plan: TrialPlan) -> Trial:
    """Train until the plan says that it has ended, from the last checkpoint in the trial's folder if there is one.

    Raises Interrupted, after saving, when the user stops.
    """
    folder = place.out / plan.name
    trial = _resume(folder, trainer, plan)
    unsaved, since = 0, time.monotonic()

    def save() -> None:
        nonlocal unsaved, since
        trial.seconds, since = trial.seconds + time.monotonic() - since, time.monotonic()
        parameters, momentum = trainer.arrays()
        state = checkpoint.State(plan.seed, trial.step, seconds=trial.seconds)
        counts = {"wrong_guesses": mx.nd.array(trial.wrong)}
        checkpoint.save(folder, state, {**parameters, **counts}, momentum, best=False)
        unsaved = 0

    with place.report(plan.name, plan.most, trial.step) as advance:
        for epoch, indices in batches_from(trial.step, plan.images, plan.batch_size, plan.seed):
            if plan.ended(trial):
                break
            if place.stop():
                if unsaved:
                    save()
                raise Interrupted
            try:
                wrong = trainer.step(*plan.prepared(epoch, indices), plan.learning_rate(trial.step))
            except Diverged:
                trial.diverged = True
                return trial
            trial.wrong.append(wrong)
            trial.sizes.append(len(indices))
            unsaved += 1
            if unsaved == SAVE_EVERY:
                save()
            advance(1, trial.error(plan.window))
    if unsaved:
        save()
    return trial


def _resume(folder: Path, trainer: SmallTrainer, plan: TrialPlan) -> Trial:
    if not (folder / "latest").exists():
        trainer.initialize(plan.seed)
        return Trial([], [])
    state, parameters, momentum = checkpoint.load((folder / "latest").resolve())
    if state.seed != plan.seed or "wrong_guesses" not in parameters:
        raise OperationFailed(f"{folder} holds no training of seed {plan.seed}; name another `out`.")
    wrong = parameters.pop("wrong_guesses").asnumpy().astype(int).tolist()
    trainer.restore(parameters, momentum)
    each = -(-plan.images // plan.batch_size)
    sizes = [min(plan.batch_size, plan.images - plan.batch_size * (step % each)) for step in range(len(wrong))]
    return Trial(wrong, sizes, state.seconds)


@contextmanager
def claimed(out: Path, data: Data, settings: dict) -> Iterator[None]:
    """Take the folder for trials of these settings, or go on in it, alone.

    Raises InvalidRequest where it holds those of other settings or data, or where another process works in it.
    """
    digest = hashlib.sha256()
    for array in (data.train, data.train_labels, data.test, data.test_labels):
        digest.update(array.tobytes())
    content = json.loads(json.dumps(settings, default=asdict))
    text = json.dumps({**content, "data_sha256": digest.hexdigest()}, indent=1) + "\n"
    file = out / "settings.json"
    if file.exists():
        if read_text(file) != text:
            raise InvalidRequest(
                f"{out} holds results of other settings or data (see {file}); name another folder with `out`."
            )
    elif out.exists() and any(out.iterdir()):
        raise InvalidRequest(
            f"{out} is not empty and holds no results of this experiment; name another folder with `out`."
        )
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    with opened(file) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidRequest(f"{out} is being worked in by another process; stop that one first.") from error
        yield
