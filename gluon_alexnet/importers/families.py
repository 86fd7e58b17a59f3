"""The AlexNets that people mean, each as one line per layer, and which of them a net is.

The lines leave out what makes no other architecture: the number of classes, the mean, dropout, and how pooled sizes
are rounded where it changes none.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..model import layer_chain as chain
from ..model.shapes import parameter_shapes
from ..recipes import schema
from ..recipes.nets_2012 import RECIPES_2012, SIX_CONV_2009_HALF
from ..recipes.presets import RECIPES

TITLES = {"bvlc": "BVLC AlexNet", "caffenet": "CaffeNet"}  # of nets that are known by another name than their recipe's
CAFFE_ORDERS = {"BVLC AlexNet": ("norm", "pool"), "CaffeNet": ("pool", "norm")}  # what follows ReLU 1 and 2
_DIFFERENCES = 6  # lines that are shown
# What a net can be, but is not compared with: the rows of the 2012 diary, the print word for word, a program few know.
_ALONE = ("printed", "korean-summary", "korean-summary-code")
_ROWS = [*(recipe.name for recipe in (*RECIPES_2012, SIX_CONV_2009_HALF)), *_ALONE]


@dataclass(frozen=True)
class Match:
    """family: its name, or the nearest one's. differences: from it, in words; none where it is that family."""

    family: str
    differences: tuple[str, ...] = ()


def lines_of_network(network: schema.Network) -> list[str]:
    """A recipe's network, one line per layer."""
    lines = [] if network.channel_std is None else [_scaled(network.channel_std)]
    numbers = network.normalization
    norm = None if numbers is None else _norm_of(1 if numbers.both_columns else network.columns, numbers)
    pool = _pool(network.pooling.size, network.pooling.stride)
    below = 3
    for name, layer in network.convolutions():
        number = name[-1]
        if name == "conv6":
            lines.append(f"pool5: {pool}")
        groups = 1 if layer.both_columns else network.columns
        lines.append(_convolution(name, layer.kernels, layer.size, below // groups, layer.stride, layer.padding))
        below = layer.kernels
        after = [f"activation{number}: {network.activation}"]
        if name in ("conv1", "conv2"):
            norms = [f"norm{number}: {norm}"] if norm else []
            if name == "conv2" and network.map_normalization:
                same_map = network.map_normalization
                norms.append(f"norm2: {_map_norm(same_map.size, same_map.alpha, same_map.beta)}")
            pooled = f"pool{number}: {pool}"
            after += [pooled, *norms] if network.pool_before_normalization else [*norms, pooled]
            if name == "conv1" and not network.relu_before_normalization:
                after = [*after[1:], after[0]]
        if name == "conv5" and network.normalization5:
            after = [*([f"norm5: {norm}"] if norm else []), f"pool5: {pool}", *after]
        lines += after
    if network.conv6 is None and not network.normalization5:
        lines.append(f"pool5: {pool}")
    for name, hidden in network.hidden():
        own = "" if hidden.both_columns else ", each of its own column"
        lines.append(f"{name}: {hidden.neurons} neurons{own}")
        lines += [] if name == "bottleneck" else [f"activation {name}: {network.activation}"]
    return [*lines, "fc8"]


def families() -> dict[str, list[str]]:
    """Name → lines, of the recipes and of the nets that came after the paper's."""
    return {TITLES.get(name, name): lines_of_network(recipe.alexnet) for name, recipe in RECIPES.items()}


def lines_of_chain(layers: Iterable[chain.Layer]) -> list[str]:
    """An exported graph's layers, one line each."""
    lines: list[str] = []
    padding, last = (0, 0), ""
    for layer in layers:
        kind, number = layer.kind, last[-1:]
        if isinstance(kind, chain.Pad):
            padding = (kind.left, kind.right)
        elif isinstance(kind, chain.Divide):
            lines.append(_scaled(kind.values))
        elif isinstance(kind, chain.Convolution):
            last, both = layer.name, (padding[0] + kind.padding, padding[1] + kind.padding)
            lines.append(_convolution(last, kind.kernels, kind.size, kind.inputs // kind.groups, kind.stride, both))
            padding = (0, 0)
        elif isinstance(kind, chain.FullyConnected):
            last = layer.name
            lines.append(last if last == "fc8" else f"{last}: {kind.neurons} neurons")
        elif isinstance(kind, chain.Activation):
            lines.append(
                f"activation {last}: {kind.function}"
                if last.startswith("fc")
                else f"activation{number}: {kind.function}"
            )
        elif isinstance(kind, chain.ResponseNorm):
            lines.append(f"norm{number}: {_norm(kind.columns, kind.n, kind.alpha, kind.beta, kind.k)}")
        elif isinstance(kind, chain.MapNorm):
            lines.append(f"norm{number}: {_map_norm(kind.size, kind.alpha, kind.beta)}")
        elif isinstance(kind, chain.Pooling):
            lines.append(f"pool{number}: {_pool(kind.size, kind.stride)}")
    return lines


def match(lines: Sequence[str]) -> Match:
    """The family that a net is, or the nearest one and what differs from it. A part ends where its lines end.

    The rows of the 2012 diary are named where a net is one of them, and are nearest to none.
    """
    best, differing = "", None
    for name in families():
        found = differences_from(name, lines)
        if differing is None or (len(found) < len(differing) and not (found and name in _ROWS)):
            best, differing = name, found
    assert differing is not None
    more = [f"and {len(differing) - _DIFFERENCES} more"] if len(differing) > _DIFFERENCES else []
    return Match(best, (*differing[:_DIFFERENCES], *more))


def differences_from(family: str, lines: Sequence[str]) -> list[str]:
    """What a net has otherwise than a family, in words. Of a convolutional part, only its layers are compared."""
    known = families()[family]
    if not any(line.startswith("fc") for line in lines):
        known = known[: next(place for place, line in enumerate(known) if line.startswith("fc6"))]
    return _differences(known, lines)


def _differences(known: Sequence[str], lines: Sequence[str]) -> list[str]:
    found = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, known, lines, autojunk=False).get_opcodes():
        theirs, ours = list(known[a:b]), list(lines[c:d])
        if what == "equal":
            continue
        named = {_layer(line): line for line in theirs}
        for line in ours:
            other = named.pop(_layer(line), None)
            found.append(f"{line} added" if other is None else f"{line} instead of {other}")
        found += [f"no {line}" for line in named.values()]
    return found


def _layer(line: str) -> str:
    return line.partition(":")[0]


def match_shapes(shapes: Mapping[str, tuple[int, ...]]) -> Match:
    """What the shapes of the weights alone say. shapes: by our names, such as conv1_weight; biases may be missing.

    The family is "" where no layer is that of a known net.
    """
    given = {name: shape for name, shape in shapes.items() if name.endswith("_weight")}
    classes = given.get("fc8_weight", (1000,))[0]
    best, differing, layers = "", None, 0
    for name, recipe in RECIPES.items():
        known = parameter_shapes(recipe.network, classes)
        known = {key: shape for key, shape in known.items() if key.endswith("_weight")}
        if not any(key.startswith("fc") for key in given):
            known = {key: shape for key, shape in known.items() if key.startswith("conv")}
        found = [
            f"{key.partition('_')[0]} is {_times(given.get(key))} instead of {_times(known.get(key))}"
            for key in (*known, *(key for key in given if key not in known))
            if given.get(key) != known.get(key)
        ]
        if differing is None or (len(found) < len(differing) and not (found and name in _ROWS)):
            best, differing, layers = name, found, len(known)
    if differing is None or len(differing) >= layers:
        return Match("", ("no layer has the shape of a known net's",))
    if best == "paper":
        *others, last = _of_the_paper_s_shapes()
        best = f"two columns: {', '.join(others)} or {last}, whose weights have the same shapes"
    return Match(best, tuple(differing[:_DIFFERENCES]))


def _of_the_paper_s_shapes() -> list[str]:
    shapes = {name: parameter_shapes(recipe.network, 1000) for name, recipe in RECIPES.items() if name not in _ROWS}
    return [TITLES.get(name, name) for name, one in shapes.items() if one == shapes["paper"]]


def _times(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape))


def _scaled(stds: Sequence[float]) -> str:
    return f"input: colours divided by {', '.join(f'{std:g}' for std in stds)}"


def _convolution(name: str, kernels: int, size: int, below: int, stride: int, padding: tuple[int, int]) -> str:
    zeros = f"{padding[0]}" if padding[0] == padding[1] else f"{padding[0]} before and {padding[1]} after"
    return f"{name}: {kernels} of {size}×{size}×{below}, stride {stride}, padding {zeros}"


def _norm_of(columns: int, numbers: schema.ResponseNormalization) -> str:
    alpha = numbers.alpha if numbers.alpha_divided_by_n else numbers.alpha * numbers.n
    return _norm(1 if numbers.both_columns else columns, numbers.n, alpha, numbers.beta, numbers.k)


def _norm(columns: int, n: int, alpha: float, beta: float, k: float) -> str:
    """alpha: divided by n in the formula."""
    where = "" if columns == 1 else " of a column"
    return f"LRN over {n} maps{where}, k {k:g}, α/n {alpha / n:.3g}, β {beta:g}"


def _map_norm(size: int, alpha: float, beta: float) -> str:
    return f"normalisation over {size}×{size} of a map, α {alpha:g}, β {beta:g}"


def _pool(size: int, stride: int) -> str:
    return f"max over {size}×{size}, stride {stride}"
