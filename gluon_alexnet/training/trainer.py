"""One update (Sec. 5) of a net that is on one device, on one per column, or on several such groups of devices.

A group of devices that holds the whole net is a replica. Each replica learns from its part of the batch, the gradients
are added in a fixed order, and every replica makes the same update: that of the mean loss over the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..distributed.collectives import SingleWorker, WorkerGroup
from ..errors import InvalidRequest
from ..model import build
from ..model.pixels import on_device
from ..recipes.schema import Recipe
from . import lr_schedule
from .exchange import AsynchronousExchange, LocalExchange, SummedExchange
from .replica import Replica


class Trainer:
    """A net that learns, on one context, on one per column, or on several such groups; alone or with other workers.

    Raises InvalidRequest unless ``contexts`` are one, or a multiple of the network's columns.
    """

    def __init__(self, recipe: Recipe, classes: int, contexts: Sequence):
        network, count = recipe.network, len(contexts)
        if count > 1 and count % network.devices:
            each = network.devices
            raise InvalidRequest(
                f"A net of {each} columns runs on 1 device or on a multiple of {each}, not on {count}."
            )
        self.classes = classes
        self._network, self._learning = network, recipe.learning
        build.check_classes(network, classes)
        fast = build.trained_on_cpu(contexts)
        each = 1 if count == 1 else network.devices
        groups = [contexts[start : start + each] for start in range(0, count, each)]
        self._replicas = [Replica(recipe, classes, group, fast) for group in groups]
        self._workers: SingleWorker = SingleWorker()
        self._asynchronous: WorkerGroup | None = None  # the workers, if those do not wait for each other
        single = len(self._replicas) == 1
        self._exchange: LocalExchange = LocalExchange() if single else SummedExchange(self._workers)
        first = self._replicas[0]
        self._net, self._blocks, self._parameters = first.net, first.blocks, first.parameters

    @property
    def columns(self) -> int:
        """On how many contexts each replica is."""
        return len(self._blocks)

    def initialize(self, seed: int) -> None:
        """The initial parameters of a seed, the same on any number of contexts; momentum 0."""
        self.restore(build.initial_parameters(self._network, self.classes, seed), {})

    def join(self, workers: WorkerGroup) -> None:
        """Learn with these workers from now on; all of them get the first one's parameters."""
        self._workers = workers
        first = self._replicas[0]
        workers.begin(first.values())
        self._exchange = SummedExchange(workers)
        if workers.asynchronous:
            self._asynchronous = workers
            self._exchange = AsynchronousExchange(workers, summed=len(self._replicas) > 1)
            velocities = first.velocities()
            if workers.rank:  # each adds its own share of the momentum, and what was saved is the sum
                for velocity in velocities:
                    velocity[:] = 0
        if self._learning.compress != "none":
            workers.compress(self._learning.compress_threshold, first.values())
        self._copy_to_others(Replica.values)

    def step(self, crops: np.ndarray, labels: np.ndarray, rates: lr_schedule.LearningRates, seed: int) -> float:
        """One update on float32 (N, 3, size, size) and labels (N,); returns the mean loss before it.

        N is this worker's part of the batch, perhaps 0; the update and the loss are of the whole batch, unless the
        workers are asynchronous. Without an image nothing is updated. seed: of this step's dropout masks. Raises
        FloatingPointError, and updates nothing, where the loss or a gradient is not finite: ReLU turns NaN into 0,
        so the loss alone would not tell.
        """
        mx.random.seed(self._workers.own_seed(seed))
        parts, exchange = len(self._replicas), self._exchange
        losses = []
        with mx.autograd.record():
            for replica, part, targets in zip(
                self._replicas, np.array_split(crops, parts), np.array_split(labels, parts)
            ):
                if len(targets):
                    losses.append(exchange.reduced(replica.loss(part, targets)))
        if losses:
            mx.autograd.backward(losses)
        first = self._replicas[0]
        self._add_gradients(len(losses))
        value, images, divisor = exchange.combine(first.gradients(), losses, len(labels))
        if not images:
            return 0.0
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}")
        first.check_gradients()
        self._copy_to_others(Replica.gradients)
        for replica in self._replicas:
            replica.update(rates, exchange.share_of_rate, divisor)
        if exchange.after_update(first.velocities, first.values):
            self._copy_to_others(Replica.values)
        return value

    def _add_gradients(self, busy: int) -> None:
        first, *others = (replica.gradients() for replica in self._replicas)
        if not busy:  # no image for this worker
            for gradient in first:
                gradient[:] = 0
        for other in others[: max(busy - 1, 0)]:
            for total, gradient in zip(first, other):
                total += gradient.as_in_context(total.context)

    def _copy_to_others(self, arrays: Callable[[Replica], Sequence[Any]]) -> None:
        first, *others = (arrays(replica) for replica in self._replicas)
        for other in others:
            for source, target in zip(first, other):
                source.copyto(target)

    def classifier(self, mean: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function from uint8 (M, size, size, 3) to probabilities (M, classes); mean: (3, size, size)."""

        def classify(images: np.ndarray) -> np.ndarray:
            parts = np.array_split(images, len(self._replicas))
            outputs = []
            for replica, part in zip(self._replicas, parts):
                if len(part):
                    planes = network_order(part)
                    planes -= mean
                    outputs.append(replica.net(on_device(planes, replica.context)))
            return np.concatenate([build.scores(mx.nd, self._network, output).asnumpy() for output in outputs])

        return classify

    def parameters(self) -> dict:
        """Name → array on cpu(0), in the fused net's form. Asynchronous workers call this together."""
        if self._asynchronous is not None:
            self._asynchronous.sync_weights(self._replicas[0].values())
            self._copy_to_others(Replica.values)
        return build.join(self._network, self._replicas[0].parts())

    def momentum(self) -> dict:
        """The momentum of each parameter that has been updated, in the form of :meth:`parameters`."""
        parts = self._replicas[0].momentum()
        if self._asynchronous is not None:
            parts = [{name: state.copy() for name, state in part.items()} for part in parts]
            self._asynchronous.add_momentum([state for part in parts for state in part.values()])
        return build.join(self._network, parts)

    def residuals(self) -> list[dict]:
        """Of each worker what compression has kept back, in the form of :meth:`parameters`; in the first worker alone.

        Workers call this together. Empty where nothing is compressed.
        """
        found = []
        for arrays in self._workers.gather_residuals():
            each = iter(arrays)
            parts = [{name: next(each) for name, _ in parameters} for parameters in self._parameters]
            found.append(build.join(self._network, parts))
        return found

    def restore_residuals(self, saved: list[dict]) -> None:
        """Take what :meth:`residuals` gave: each worker its own, or an equal part of all where there were others."""
        group = self._workers
        if len(saved) == group.count:
            own = saved[group.rank]
        else:
            own = {name: mx.nd.add_n(*[one[name] for one in saved]) / group.count for name in saved[0]}
        parts = build.split(self._network, own, len(self._blocks))
        arrays = [part[name] for part, one in zip(parts, self._parameters) for name, _ in one]
        for kept, array in zip(group.residuals, arrays):
            kept[:] = array.as_in_context(kept.context)

    def restore(self, parameters: dict, momentum: dict) -> None:
        """Take what :meth:`parameters` and :meth:`momentum` gave, on any number of contexts."""
        for replica in self._replicas:
            replica.restore(parameters, momentum)
