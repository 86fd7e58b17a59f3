"""The named recipes: the paper in print, what the 2012 code ran, and a narrow net for small images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .nets_2012 import RECIPES_2012, SIX_CONV_2009_HALF, SUMMARIES_2012
from .other_nets import OTHER_NETS, SUMMARIES_OTHER_NETS
from .schema import Augmentation, Learning, Network, Recipe, ResponseNormalization

PAPER = Recipe("paper")

# The print word for word, also where it cannot be meant.
PRINTED = Recipe(
    "printed",
    network=Network(normalization=ResponseNormalization(both_columns=True)),
    augmentation=Augmentation(colour_by_eigenvalue=True, mean_before_crop=True),
)


_OF_2012 = {recipe.name: recipe for recipe in RECIPES_2012}

AS_RUN = replace(_OF_2012["net-145"], name="as-run")  # on the data of ILSVRC-2012
AS_RUN_2010 = replace(_OF_2012["net-145-2010"], name="as-run-2010")


def an_eighth(network: Network) -> Network:
    """An eighth of every layer, for demonstrations on a CPU.

    The initial deviations grow by about the square root of 8, because a neuron has 8 times fewer inputs; in conv1 it
    has as many as ever.
    """
    layers: dict[str, Any] = {}
    for name, layer in network.convolutions():
        std = layer.weight_std if name == "conv1" else 3 * layer.weight_std
        layers[name] = replace(layer, kernels=layer.kernels // 8, weight_std=std)
    for name, hidden in network.hidden():
        layers[name] = replace(hidden, neurons=hidden.neurons // 8, weight_std=3 * hidden.weight_std)
    return replace(network, fc8_weight_std=3 * network.fc8_weight_std, **layers)


NARROW = Recipe("narrow", network=an_eighth(Network()), learning=Learning(batch_size=32, epochs=10))


SUMMARIES = {
    "paper": "what the paper prints (NIPS 2012)",
    "printed": "the print word for word, where `paper` takes what the 2012 code shows",
    "as-run": "what the 2012 code did for the paper's net, on ILSVRC-2012: net-145",
    "as-run-2010": "the same on ILSVRC-2010: net-145-2010",
    "narrow": "an eighth of every layer, for demonstrations on a CPU",
    **SUMMARIES_OTHER_NETS,
    **SUMMARIES_2012,
}


RECIPES = {
    recipe.name: recipe
    for recipe in (PAPER, PRINTED, AS_RUN, AS_RUN_2010, NARROW, *OTHER_NETS, *RECIPES_2012, SIX_CONV_2009_HALF)
}
