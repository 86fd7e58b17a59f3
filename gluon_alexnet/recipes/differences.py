"""What a recipe does otherwise than the paper, in words."""

from __future__ import annotations

import dataclasses
from typing import Any

from .layer_graph import LayerGraph
from .presets import PAPER, SUMMARIES
from .schema import Recipe
from .timetable import Change
from .variants import VARIANTS

# What the paper leaves open or cannot mean, and what `paper` and the recipes made of it do.
SETTLED = (
    "conv1 reads 3 pixels of zeros beyond the right and the bottom of the crop: 224 pixels give the printed 55×55 "
    "neurons only with them, and the 2012 code does so.",
    "Response normalisation sums over the maps of its own column, as in the 2012 code; alpha is not divided by n, as "
    "printed.",
    "The colour shift multiplies by the square roots of the eigenvalues, as the 2012 code does; printed are the "
    "eigenvalues.",
    "The centre of the mean image is subtracted from every crop, wherever the crop lies.",
    'Biases do not decay; the learning rate drops after 5 epochs without a new minimum where the paper says "when the '
    'validation error rate stopped improving".',
)
_GROUPS = {"network": "", "augmentation": "training images: ", "learning": "learning: "}
_WORDS = {
    "weight_std": "standard deviation of the initial weights",
    "bias": "initial bias",
    "padding": "zeros left and top, right and bottom",
    "normalization": "response normalisation",
    "map_normalization": "a second normalisation, within each map of conv2",
    "relu_before_normalization": "ReLU before the normalisation of conv1",
    "dropout_before": "dropout of what fc6 and fc7 read, rather than of what they give",
    "inverted_dropout": "inverted dropout: kept outputs are doubled in training, rather than halved in test",
    "channel_mean": "red, green and blue subtracted in place of the data's mean image",
    "channel_std": "red, green and blue that the colours are divided by",
    "timetable": "what changes when",
    "drops_on_plateau": "the learning rate drops when the validation error stalls",
    "same_batches": "the same images in a batch in every epoch",
    "both_columns": "reads the maps of every column",
    "colour_by_eigenvalue": "colour shifts by the eigenvalue instead of its square root",
    "mean_before_crop": "each pixel's own mean subtracted, before the crop",
    "pool_before_normalization": "pooling before the normalisation of conv1 and conv2",
    "brightness": "grey levels added or taken away, up to",
    "contrast": "factor of the contrast, least and largest",
    "saturation": "factor of the saturation, least and largest",
    "compress": "gradients that workers exchange",
    "compress_threshold": "threshold of gradients in two bits",
    "shared_crops": "neighbours in the pack that share a crop and a mirror",
}


def from_paper(recipe: Recipe) -> list[str]:
    """One sentence for each number in which a recipe differs from the paper's; none for the paper's own.

    Variants come first, in their own words; what they change is not repeated number by number.
    """
    if isinstance(recipe.network, LayerGraph):
        graph = recipe.network
        return [f"the net is that of the layer file {graph.source}: {len(graph.layers)} layers, with their own rates"]
    said = [f"{one.name}: {one.summary}" for one in VARIANTS if one.name in recipe.variants]
    expected = PAPER
    for one in VARIANTS:
        if one.name in recipe.variants:
            changed = one.change(expected)
            expected = expected if changed is None else changed
    for group, words in _GROUPS.items():
        said += [f"{words}{line}" for line in _lines(getattr(recipe, group), getattr(expected, group))]
    return said


def summary(recipe: Recipe) -> str:
    """What a recipe is, in words: "what the paper prints (NIPS 2012)"; empty for one that has no name of ours."""
    return SUMMARIES.get(recipe.name, "")


def _lines(ours: Any, paper: Any) -> list[str]:
    """One for each field that differs; the same field of several layers in one line."""
    whole: list[str] = []
    layers: dict[str, dict] = {}
    for field in dataclasses.fields(ours):
        one, other = getattr(ours, field.name), getattr(paper, field.name)
        if one == other:
            continue
        if not (dataclasses.is_dataclass(one) and dataclasses.is_dataclass(other)):
            whole.append(f"{_name(field.name)}: {_words(one)} instead of {_words(other)}")
            continue
        for inner in dataclasses.fields(one):
            pair = getattr(one, inner.name), getattr(other, inner.name)
            if pair[0] != pair[1]:
                layers.setdefault(inner.name, {}).setdefault(pair, []).append(field.name)
    for name, pairs in layers.items():
        parts = [f"{_words(one)} instead of {_words(other)} in {_list(where)}" for (one, other), where in pairs.items()]
        whole.append(f"{_name(name)}: {'; '.join(parts)}")
    return whole


def _name(field: str) -> str:
    return _WORDS.get(field, field.replace("_", " "))


def _list(names: list[str]) -> str:
    return ", ".join(_name(name) for name in names)


def _words(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Change):
        return str(value)
    if dataclasses.is_dataclass(value):
        set_fields = [field.name for field in dataclasses.fields(value) if getattr(value, field.name) is not None]
        return ", ".join(f"{_name(name)} {_words(getattr(value, name))}" for name in set_fields)
    return str(value)
