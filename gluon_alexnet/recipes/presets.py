"""The named recipes: the paper in print, what the 2012 code ran, and a narrow net for small images."""

from __future__ import annotations

from dataclasses import replace

from .schema import (
    Augmentation,
    Convolution,
    FullyConnected,
    Learning,
    MapNormalization,
    Network,
    Recipe,
    ResponseNormalization,
)

PAPER = Recipe("paper")


def _as_run(name, steps, conv1_slow_after, conv1_frozen_after, epochs):
    """What the 2012 code did for net #145, the paper's net."""
    network = PAPER.network
    return Recipe(
        name,
        network=replace(
            network,
            conv3=replace(network.conv3, weight_deviation=0.03),
            conv4=replace(network.conv4, weight_deviation=0.03),
            conv5=replace(network.conv5, weight_deviation=0.03),
            normalization=ResponseNormalization(alpha_divided_by_n=True),
            relu_before_normalization=False,
            map_normalization=MapNormalization(),
        ),
        augmentation=Augmentation(colour_divisor=1.1, colour_epochs=67),
        learning=Learning(
            bias_rate=0.02,
            rate_steps=steps,
            conv1_slow_after=conv1_slow_after,
            conv1_frozen_after=conv1_frozen_after,
            epochs=epochs,
        ),
    )


AS_RUN = _as_run("as-run", (25, 51, 79), 67, 72, 91)  # on the data of ILSVRC-2012


AS_RUN_2010 = _as_run("as-run-2010", (23, 51, 78), 68, 72, 93)


# An eighth of every layer, for demonstrations on a CPU. The initial deviations grow by about the
# square root of 8, because a neuron has 8 times fewer inputs; in conv1 it has as many as ever.
_NARROW_DEVIATION = 0.03


NARROW = Recipe(
    "narrow",
    network=Network(
        conv1=Convolution(kernels=12, size=11, stride=4, border=(0, 3), both_columns=True),
        conv2=Convolution(kernels=32, size=5, border=(2, 2), bias=1.0, weight_deviation=_NARROW_DEVIATION),
        conv3=Convolution(kernels=48, size=3, border=(1, 1), both_columns=True, weight_deviation=_NARROW_DEVIATION),
        conv4=Convolution(kernels=48, size=3, border=(1, 1), bias=1.0, weight_deviation=_NARROW_DEVIATION),
        conv5=Convolution(kernels=32, size=3, border=(1, 1), bias=1.0, weight_deviation=_NARROW_DEVIATION),
        fc6=FullyConnected(neurons=512, weight_deviation=_NARROW_DEVIATION),
        fc7=FullyConnected(neurons=512, weight_deviation=_NARROW_DEVIATION),
        fc8_weight_deviation=_NARROW_DEVIATION,
    ),
    learning=Learning(batch_size=32, epochs=10),
)


SUMMARIES = {
    "paper": "what the paper prints (NIPS 2012)",
    "as-run": "what the 2012 code did for the paper's net, #145, on ILSVRC-2012",
    "as-run-2010": "the same with its schedule on ILSVRC-2010",
    "narrow": "an eighth of every layer, for demonstrations on a CPU",
}


RECIPES = {recipe.name: recipe for recipe in (PAPER, AS_RUN, AS_RUN_2010, NARROW)}
