"""Learning (Sec. 5): one step, one epoch, a run."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import fast_normalization, schedule
from .augmentation import network_order
from .backend import mx
from .checkpoint import State
from .columns import ColumnParallel, join, split
from .errors import FailedWork, WrongUse
from .evaluation import evaluate
from .network import AlexNet, initial_parameters, set_parameters
from .recipe import Network, Recipe


class Learner:
    """A network on one context or on one context a column, with the momentum of each weight.

    Raises WrongUse unless ``contexts`` are one, or as many as the network has columns.
    """

    def __init__(self, recipe: Recipe, classes: int, contexts: Sequence):
        network = recipe.network
        self.classes = classes
        self._network, self._contexts = network, list(contexts)
        fast = normalization_obstacle(network, contexts) is None
        if len(contexts) == 1:
            self._net = AlexNet(network, classes, fast)
            self._net.initialize(ctx=contexts[0])
            blocks = [self._net]
        elif len(contexts) == network.columns:
            self._net = ColumnParallel(network, classes, contexts, fast)
            blocks = self._net.columns
        else:
            raise WrongUse(
                f"A net of {network.columns} columns runs on 1 device or on {network.columns}, not on {len(contexts)}."
            )
        self._net.hybridize(static_alloc=True)
        self._blocks = blocks
        self._loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
        for block in blocks:
            block.collect_params(".*_bias").setattr("wd_mult", 0)  # Gluon decays biases otherwise
        sgd = {
            "learning_rate": recipe.learning.rate,
            "momentum": recipe.learning.momentum,
            "wd": recipe.learning.weight_decay,
        }
        # A list keeps the order of collect_params; Trainer would sort a dict, and momentum goes by position.
        self._parameters = [list(block.collect_params().items()) for block in blocks]
        self._trainers = [
            mx.gluon.Trainer([parameter for _, parameter in parameters], "sgd", dict(sgd), kvstore=None)
            for parameters in self._parameters
        ]

    def initialize(self, classes: int, seed: int) -> None:
        """The initial parameters of a seed, the same on one context and on two; momentum 0."""
        self.restore(initial_parameters(self._network, classes, seed), {})

    def step(self, crops: np.ndarray, labels: np.ndarray, rates: schedule.Rates, seed: int) -> float:
        """One update on float32 (N, 3, size, size) and labels (N,); returns the mean loss before it.

        seed: of this step's dropout masks. Raises FloatingPointError, and updates nothing, where the loss or
        a gradient is not finite: ReLU turns NaN into 0, so the loss alone would not tell.
        """
        mx.random.seed(seed)
        context = self._contexts[0]
        images, targets = mx.nd.array(crops, ctx=context), mx.nd.array(labels, ctx=context)
        with mx.autograd.record():
            loss = self._loss(self._net(images), targets).mean()
        loss.backward()
        value = float(loss.asscalar())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}")
        self._check_gradients()
        for parameters, trainer in zip(self._parameters, self._trainers):
            trainer.set_learning_rate(rates.weights)
            for name, parameter in parameters:
                parameter.lr_mult = rates.of(name) / rates.weights
            trainer.step(1)  # the loss is a mean already
        return value

    def _check_gradients(self):
        for parameters in self._parameters:
            gradients = [parameter.grad() for _, parameter in parameters]
            if not mx.nd.multi_all_finite(*gradients, num_arrays=len(gradients)).asscalar():
                names = [name for name, p in parameters if not mx.nd.all_finite(p.grad()).asscalar()]
                raise FloatingPointError(f"the gradient of {names[0]} is not finite")

    def classifier(self, mean: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function from uint8 (M, size, size, 3) to probabilities (M, classes); mean: (3, size, size)."""

        def classify(pictures):
            images = mx.nd.array(network_order(pictures) - mean, ctx=self._contexts[0])
            return self._net(images).softmax().asnumpy()

        return classify

    def parameters(self) -> dict:
        """Name → array on cpu(0), in the fused net's form."""
        return join([{name: parameter.data() for name, parameter in parameters} for parameters in self._parameters])

    def momentum(self) -> dict:
        """The momentum of each parameter that has been updated, in the form of :meth:`parameters`."""
        parts = []
        for parameters, trainer in zip(self._parameters, self._trainers):
            states = trainer._updaters[0].states  # Trainer.save_states would pickle them
            parts.append({parameters[index][0]: state for index, state in states.items() if state is not None})
        return join(parts)

    def restore(self, parameters: dict, momentum: dict) -> None:
        """Take what :meth:`parameters` and :meth:`momentum` gave, on any number of contexts."""
        columns = len(self._blocks)
        for index, (values, velocities) in enumerate(zip(split(parameters, columns), split(momentum, columns))):
            set_parameters(self._blocks[index], values)
            updater = self._trainers[index]._updaters[0]
            for place, (name, parameter) in enumerate(self._parameters[index]):
                if name in velocities:
                    updater.states[place] = velocities[name].copyto(parameter.list_ctx()[0])
                    updater.states_synced[place] = True


def normalization_obstacle(network: Network, contexts: Sequence) -> str | None:
    """Why training on these contexts takes MXNet's own response normalisation, in words; None where it does not."""
    if network.normalization is None:
        return "there is none"
    if any(context.device_type != "cpu" for context in contexts):
        return "MXNet's own is fast on a GPU"
    return fast_normalization.obstacle(network.normalization)


@dataclass(frozen=True)
class Data:
    """What a run learns from and is measured on.

    epoch(number, position): batches (crops, labels, skipped) of that epoch from that picture on; skipped: how
    many damaged pictures of the batch's share were left out, perhaps all of them.
    validation(): batches of (pictures uint8 (N, 256, 256, 3), labels, ids), each picture once.
    """

    images: int
    epoch: Callable[[int, int], Iterable[tuple[np.ndarray, np.ndarray, int]]]
    validation: Callable[[], Iterable]
    mean: np.ndarray


class Supervisor:
    """What goes on around a training; `train` calls these, and a subclass does what is wanted."""

    def save(self, state: State, best: bool) -> None:
        """Keep the learner and the state: before and after each validation, and whenever it is asked for below."""

    def due(self) -> bool:
        """Whether to save after this step, too."""
        return False

    def stop(self) -> bool:
        """Whether to save and stop after this step."""
        return False

    def rate_asked(self) -> tuple[float, str] | None:
        """A learning rate that somebody wants from now on, and who; ``save`` comes next."""
        return None

    def rate_changed(self, state: State, rates: schedule.Rates, by: str) -> None:
        """The rate is another one from the next step on."""

    def stalled(self, state: State) -> None:
        """The loss is still at chance after as many updates as should have moved it."""

    @contextlib.contextmanager
    def epoch(self, state: State) -> Iterator[Callable[[int, float, float], None]]:
        """Around each epoch; gives a function of (pictures, loss, rate) for each step."""
        yield lambda pictures, loss, rate: None

    def epoch_done(self, state: State) -> None:
        """The last of ``state.epochs`` is new; it is saved next."""


def train(learner: Learner, recipe: Recipe, data: Data, state: State, supervisor: Supervisor) -> bool:
    """Train until the schedule ends; True if it did, False if the supervisor stopped it.

    ``state`` is brought forward in place. Raises FailedWork, naming step and rate, where the loss is not a finite
    number.
    """
    learning = recipe.learning
    while not schedule.finished(learning, state.errors):
        rates = schedule.rates(learning, state.errors, state.by_hand)
        if state.position == 0 and state.epochs and rates.weights != state.epochs[-1]["rate"]:
            supervisor.rate_changed(state, rates, "steps" if learning.rate_steps else "plateau")
        if not _epoch(learner, learning, data, state, supervisor):
            supervisor.save(state, False)
            return False
        supervisor.save(state, False)  # what was learned outlasts a validation that is killed
        if supervisor.stop():
            return False
        error = evaluate(learner.classifier(data.mean), data.validation(), recipe.network.input_size, views=[1])[0]
        best = error.top1 < min(state.errors, default=math.inf)
        rates = schedule.rates(learning, state.errors, state.by_hand)
        finished = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "images": state.position - state.skipped,
            "skipped": state.skipped,
            "rate": rates.weights,
            "rates": {name: rate for name, rate in dataclasses.asdict(rates).items() if name != "layers"},
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


def _epoch(learner, learning, data, state, supervisor):
    rates = schedule.rates(learning, state.errors, state.by_hand)
    with supervisor.epoch(state) as advance, prefetched(data.epoch(state.epoch, state.position)) as batches:
        began = time.monotonic()
        for crops, labels, skipped in batches:
            state.position += skipped
            state.skipped += skipped
            if not len(labels):
                continue
            try:
                loss = learner.step(crops, labels, rates, step_seed(state.seed, state.step))
            except FloatingPointError as error:
                raise FailedWork(
                    f"At step {state.step + 1} (epoch {state.epoch + 1}, rate {rates.weights:g}) {error}: training "
                    "stopped before that update and the last checkpoint is good; resume it with a smaller --lr."
                ) from error
            state.count(loss, len(labels))
            began, last = time.monotonic(), began
            state.seconds += began - last
            advance(len(labels) + skipped, loss, rates.weights)
            if schedule.stalled(learning, state.step, state.recent_loss, learner.classes):
                supervisor.stalled(state)
            asked = supervisor.rate_asked()
            if asked is not None:
                state.by_hand = schedule.ByHand(asked[0], schedule.rate(learning, state.errors), asked[1])
                rates = schedule.rates(learning, state.errors, state.by_hand)
                supervisor.rate_changed(state, rates, asked[1])
                supervisor.save(state, False)  # a kill after this does not bring the old rate back
            elif supervisor.due() and state.position < data.images:
                supervisor.save(state, False)
            if supervisor.stop() and state.position < data.images:  # a finished epoch is saved by the caller
                return False
    if state.position != data.images:
        raise FailedWork(f"The epoch had {state.position} pictures where the data set has {data.images}.")
    if state.position == state.skipped:
        raise FailedWork("All pictures of the epoch are damaged: there is nothing to learn from.")
    return True


def step_seed(seed: int, step: int) -> int:
    """Seed of the dropout masks of one step: MXNet's generators cannot be read back, so each step sets them."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0] >> 1)


@contextlib.contextmanager
def prefetched(batches: Iterable, depth: int = 2) -> Iterator[Iterator]:
    """The same batches, prepared by a thread up to ``depth`` ahead; its exceptions come out here."""
    ready: queue.Queue = queue.Queue(depth)
    closed = threading.Event()

    def fill():
        try:
            for batch in batches:
                if not put((batch, None)):
                    return
            put((None, None))
        except BaseException as error:
            put((None, error))

    def put(item):
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def drain():
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch

    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        yield drain()
    finally:
        closed.set()
        thread.join()
