"""The other nets of the paper and of the 2012 code's diary, each one change to a recipe (Sec. 3, 4, 6, 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidRequest
from . import timetable
from .schema import Convolution, Network, Pooling, Recipe


@dataclass(frozen=True)
class Variant:
    """One change: its name, what it changes in words, and the recipe after it.

    ``change`` returns None where the recipe leaves it nothing to change.
    """

    name: str
    summary: str
    change: Callable[[Recipe], Recipe | None]


def _on_network(change: Callable[[Network], Network | None]) -> Callable[[Recipe], Recipe | None]:
    def changed(recipe: Recipe) -> Recipe | None:
        network = change(recipe.alexnet)
        return None if network is None or network == recipe.network else replace(recipe, network=network)

    return changed


def _one_gpu(network: Network) -> Network | None:
    if network.columns == 1:
        return None
    layers: dict[str, Any] = {
        name: replace(layer, kernels=layer.kernels // network.columns)
        for name, layer in network.convolutions()
        if name not in ("conv5", "conv6")  # kept, so that the number of parameters stays about the same
    }
    return replace(network, columns=1, **layers)


def _no_lrn(network: Network) -> Network:
    return replace(network, normalization=None, map_normalization=None)


def _pool_2x2(network: Network) -> Network:
    return replace(network, pooling=Pooling(size=2, stride=2))


def _no_cross_link(network: Network) -> Network | None:
    if network.columns == 1 or network.conv3 is None:
        return None
    return replace(network, conv3=replace(network.conv3, both_columns=False))


def _without(name: str) -> Callable[[Network], Network]:
    nothing: dict[str, Any] = {name: None}
    return lambda network: replace(network, **nothing)


def _six_conv(network: Network) -> Network | None:
    if network.conv6 is not None:
        return None
    below = network.convolutions()[-1][1]  # as wide as the layer below: 256 in the paper
    sixth = Convolution(below.kernels, 3, padding=(1, 1), both_columns=True, bias=1.0, weight_std=below.weight_std)
    return replace(network, conv6=sixth)


def _no_colour_shift(recipe: Recipe) -> Recipe | None:
    changed = replace(recipe.augmentation, colour_std=0.0, colour_divisor=1.0)
    learning = replace(recipe.learning, timetable=timetable.without_colour(recipe.learning.timetable))
    return None if changed == recipe.augmentation else replace(recipe, augmentation=changed, learning=learning)


def _no_crops(recipe: Recipe) -> Recipe | None:
    changed = replace(recipe.augmentation, random_crops=False, mirror=False)
    return None if changed == recipe.augmentation else replace(recipe, augmentation=changed)


def _no_decay(recipe: Recipe) -> Recipe | None:
    changed = replace(recipe.learning, weight_decay=0.0)
    return None if changed == recipe.learning else replace(recipe, learning=changed)


def _zero_bias(network: Network) -> Network:
    layers: dict[str, Any] = {name: replace(layer, bias=0.0) for name, layer in network.convolutions()}
    layers.update({name: replace(layer, bias=0.0) for name, layer in network.hidden()})
    return replace(network, fc8_bias=0.0, **layers)


VARIANTS = (
    Variant("one-gpu", "one column with half the kernels, conv5 kept (Sec. 3.2)", _on_network(_one_gpu)),
    Variant("without-conv3", "no third layer (Sec. 7)", _on_network(_without("conv3"))),
    Variant("without-conv4", "no fourth layer (Sec. 7)", _on_network(_without("conv4"))),
    Variant("without-conv5", "no fifth layer (Sec. 7)", _on_network(_without("conv5"))),
    Variant("no-lrn", "no response normalisation (Sec. 3.3)", _on_network(_no_lrn)),
    Variant("pool-2x2", "pooling of 2×2, stride 2, without overlap (Sec. 3.4)", _on_network(_pool_2x2)),
    Variant("no-cross-link", "conv3 reads its own column, too (Sec. 3.2)", _on_network(_no_cross_link)),
    Variant("tanh", "tanh instead of ReLU (Sec. 3.1)", _on_network(lambda n: replace(n, activation="tanh"))),
    Variant("no-dropout", "no dropout (Sec. 4.2)", _on_network(lambda n: replace(n, dropout=0.0))),
    Variant("no-colour-shift", "crops and mirror only (Sec. 4.1)", _no_colour_shift),
    Variant("no-crops", "the middle of each image, not mirrored: neither crops nor mirror (Sec. 4.1)", _no_crops),
    Variant("no-decay", "no weight decay (Sec. 5)", _no_decay),
    Variant("six-conv", "a sixth convolutional layer on the last pooling: CNN* (Sec. 6)", _on_network(_six_conv)),
    Variant("zero-bias", "every bias begins at 0 (Sec. 5)", _on_network(_zero_bias)),
)


def apply(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe with these changes made, in the order of ``VARIANTS``.

    Raises InvalidRequest where one contradicts it.
    """
    known = [variant.name for variant in VARIANTS]
    for name in names:
        if name not in known:
            raise InvalidRequest(f"There is no variant {name!r}; there are {', '.join(known)}.")
        if list(names).count(name) > 1:
            raise InvalidRequest(f"The variant {name} is named twice.")
    for variant in VARIANTS:
        if variant.name in names:
            changed = variant.change(recipe)
            if changed is None:
                already = "+".join([recipe.name, *recipe.variants])
                raise InvalidRequest(
                    f"The variant {variant.name} changes nothing in {already}: the two contradict each other."
                )
            recipe = replace(changed, variants=(*recipe.variants, variant.name))
    return recipe
