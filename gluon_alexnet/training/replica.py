"""The whole net once, on one context or on one per column, with its momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import mx
from ..model import build
from ..model.alexnet import set_parameters
from ..model.pixels import on_device
from ..recipes import timetable
from ..recipes.schema import Recipe
from . import lr_schedule, optimizer
from .constraints import constrain


class Replica:
    """The whole net once, on one context or on one per column, with the momentum of each weight."""

    def __init__(self, recipe: Recipe, classes: int, contexts: Sequence, fast: bool):
        self.context, self.recipe, self._network = contexts[0], recipe, recipe.network
        self.net, self.blocks = build.place(recipe.network, classes, contexts, fast)
        self.net.hybridize(static_alloc=True)
        self._loss = build.loss(recipe.network)
        # A list keeps the order of collect_params; Trainer would sort a dict, and momentum goes by position.
        everything = [list(block.collect_params().items()) for block in self.blocks]
        frozen = timetable.frozen(recipe.learning.learning_rate, recipe.learning.timetable)
        for name, parameter in (one for some in everything for one in some):
            if name.rpartition("_")[0] in frozen:
                parameter.grad_req = "null"  # a layer that never moves: below the first that does, nothing is derived
        self.parameters = [[one for one in some if one[1].grad_req != "null"] for some in everything]
        # What does not learn: frozen layers, and what a graph chose at random when training began.
        self._constants = [[one for one in some if one[1].grad_req == "null"] for some in everything]
        self._updates = {update.parameter: update for update in recipe.learning.updates}
        self.trainers = [
            mx.gluon.Trainer(
                [parameter for _, parameter in parameters],
                optimizer.optimizer(recipe.learning, [name for name, _ in parameters]),
                kvstore=None,
            )
            for parameters in self.parameters
        ]

    def loss(self, crops: np.ndarray, labels: np.ndarray) -> Any:
        """Loss of each image, (N,) on the first context."""
        if self.context.device_type == "cpu" and crops.dtype == np.float32 and crops.flags.c_contiguous:
            images = on_device(crops, self.context)  # read where they are
        else:
            images = mx.nd.array(crops, ctx=self.context)
        return self._loss(self.net(images), mx.nd.array(labels, ctx=self.context))

    def values(self) -> list:
        """Each parameter's array, column by column."""
        return [parameter.data() for parameters in self.parameters for _, parameter in parameters]

    def parts(self) -> list[dict]:
        """For each block, all its arrays by name, those that are not learned among them."""
        return [
            {name: parameter.data() for name, parameter in [*parameters, *constants]}
            for parameters, constants in zip(self.parameters, self._constants)
        ]

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

    def update(self, rates: lr_schedule.LearningRates, share: float, images: int) -> None:
        """One update by gradients that are sums over so many images, with this share of the rates."""
        for parameters, trainer in zip(self.parameters, self.trainers):
            trainer.set_learning_rate(share)
            for name, parameter in parameters:
                parameter.lr_mult = rates.of(name)
                parameter.data()._fresh_grad = True  # where the gradient came from other images, Gluon would warn
            trainer.step(images)
            for name, parameter in parameters:
                if name in self._updates and rates.of(name):
                    constrain(parameter.data(), self._updates[name])

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
        parts = [build.split(self._network, arrays, len(self.blocks)) for arrays in (parameters, momentum)]
        for index, (values, velocities) in enumerate(zip(*parts)):
            set_parameters(self.blocks[index], values)
            updater = self.trainers[index]._updaters[0]
            for place, (name, parameter) in enumerate(self.parameters[index]):
                if name in velocities:
                    updater.states[place] = velocities[name].copyto(parameter.list_ctx()[0])
                    updater.states_synced[place] = True
