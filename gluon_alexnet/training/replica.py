"""The whole net once, on one context or on one a column, with its momentum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backend import mx
from ..model.alexnet import AlexNet, set_parameters
from ..model.column_parallel import ColumnParallel, split
from ..recipes.schema import Recipe
from . import lr_schedule, optimizer


class Replica:
    """The whole net once, on one context or on one a column, with the momentum of each weight."""

    def __init__(self, recipe: Recipe, classes: int, contexts: Sequence, fast: bool):
        self.context = contexts[0]
        if len(contexts) == 1:
            self.net = AlexNet(recipe.network, classes, fast)
            self.net.initialize(ctx=self.context)
            self.blocks = [self.net]
        else:
            self.net = ColumnParallel(recipe.network, classes, contexts, fast)
            self.blocks = self.net.columns
        self.net.hybridize(static_alloc=True)
        self._loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
        for block in self.blocks:
            block.collect_params(".*_bias").setattr("wd_mult", 0)  # Gluon decays biases otherwise
        sgd = {
            "learning_rate": recipe.learning.rate,
            "momentum": recipe.learning.momentum,
            "wd": recipe.learning.weight_decay,
        }
        # A list keeps the order of collect_params; Trainer would sort a dict, and momentum goes by position.
        self.parameters = [list(block.collect_params().items()) for block in self.blocks]
        self.trainers = [
            mx.gluon.Trainer(
                [parameter for _, parameter in parameters], optimizer.optimizer(context, **sgd), kvstore=None
            )
            for parameters, context in zip(self.parameters, contexts)
        ]

    def loss(self, crops: np.ndarray, labels: np.ndarray):
        """Loss of each picture, (N,) on the first context."""
        images, targets = (mx.nd.array(array, ctx=self.context) for array in (crops, labels))
        return self._loss(self.net(images), targets)

    def values(self) -> list:
        """Each parameter's array, column by column."""
        return [parameter.data() for parameters in self.parameters for _, parameter in parameters]

    def gradients(self) -> list:
        """Each gradient, in the order of :meth:`values`."""
        return [parameter.grad() for parameters in self.parameters for _, parameter in parameters]

    def velocities(self) -> list:
        """Each momentum, in the order of :meth:`values`; made where there is none yet."""
        found = []
        for parameters, trainer in zip(self.parameters, self.trainers):
            updater = trainer._updaters[0]
            for place, (_, parameter) in enumerate(parameters):
                if updater.states.get(place) is None:
                    updater.states[place] = mx.nd.zeros_like(parameter.data())
                    updater.states_synced[place] = True
                found.append(updater.states[place])
        return found

    def update(self, rates: lr_schedule.Rates, share: float, images: int) -> None:
        """One update by gradients that are sums over so many images, with this share of the rates."""
        for parameters, trainer in zip(self.parameters, self.trainers):
            trainer.set_learning_rate(rates.weights * share)
            for name, parameter in parameters:
                parameter.lr_mult = rates.of(name) / rates.weights
                parameter.data()._fresh_grad = True  # where the gradient came from other pictures, Gluon would warn
            trainer.step(images)

    def check_gradients(self) -> None:
        """Raises FloatingPointError, naming one, where a gradient is not finite."""
        for parameters in self.parameters:
            place = optimizer.first_not_finite([parameter.grad() for _, parameter in parameters])
            if place is not None:
                raise FloatingPointError(f"the gradient of {parameters[place][0]} is not finite")

    def momentum(self) -> list[dict]:
        """For each block, the momentum of each parameter that has been updated, by name."""
        return [
            {parameters[place][0]: state for place, state in trainer._updaters[0].states.items() if state is not None}
            for parameters, trainer in zip(self.parameters, self.trainers)  # Trainer.save_states would pickle them
        ]

    def restore(self, parameters: dict, momentum: dict) -> None:
        """Take parameters and momentum in the fused net's form."""
        columns = len(self.blocks)
        for index, (values, velocities) in enumerate(zip(split(parameters, columns), split(momentum, columns))):
            set_parameters(self.blocks[index], values)
            updater = self.trainers[index]._updaters[0]
            for place, (name, parameter) in enumerate(self.parameters[index]):
                if name in velocities:
                    updater.states[place] = velocities[name].copyto(parameter.list_ctx()[0])
                    updater.states_synced[place] = True
