"""An exported graph read back as what it is: one layer after the other (Sec. 3.5).

The layers of every AlexNet form a chain, whoever wrote the graph: a run's export, or an import of Caffe's or another
program's weights. :func:`read` names them (conv1, relu1, norm1, pool1, …) and gives their settings in the terms of the
paper, for those who write the net in another form or look inside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Union

from ..errors import InvalidRequest


@dataclass(frozen=True)
class Subtract:
    """The mean image or the mean of each colour is subtracted (Sec. 2)."""

    parameter: str  # the array's name
    shape: tuple[int, ...]  # (3, height, width) or (3, 1, 1)


@dataclass(frozen=True)
class Divide:
    """Each colour is divided by a constant of its own."""

    values: tuple[float, ...]  # red, green, blue


@dataclass(frozen=True)
class Pad:
    """Zeros around the maps, pixels."""

    left: int
    right: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Convolution:
    """A convolutional layer; ``groups``: columns that see only their own maps (Sec. 3.2)."""

    inputs: int  # maps below, of all groups
    kernels: int
    size: int
    stride: int
    padding: int
    groups: int


@dataclass(frozen=True)
class FullyConnected:
    """A fully connected layer."""

    inputs: int
    neurons: int


@dataclass(frozen=True)
class Activation:
    """relu or tanh (Sec. 3.1)."""

    function: str


@dataclass(frozen=True)
class ResponseNorm:
    """b = a / (k + alpha / n · Σa²)^beta over n maps of the same column (Sec. 3.3); ``alpha``: divided by n there."""

    columns: int
    n: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class MapNorm:
    """x / (1 + alpha · mean of x² over size×size pixels of the same map)^beta: the 2012 code's second normalisation."""

    size: int
    alpha: float
    beta: float


@dataclass(frozen=True)
class Pooling:
    """Max-pooling (Sec. 3.4); ``rounds_up``: a last window may overrun the map."""

    size: int
    stride: int
    rounds_up: bool


@dataclass(frozen=True)
class Dropout:
    """Dropout (Sec. 4.2), as published (a 0/1 mask, outputs times 1 - p in test) or inverted (mask over 1 - p)."""

    p: float
    inverted: bool


@dataclass(frozen=True)
class Flatten:
    """Maps to one vector, map by map and row by row."""


@dataclass(frozen=True)
class Softmax:
    """Outputs to probabilities."""


Windowed = Union[Pad, Convolution, Pooling]
Pointwise = Union[Subtract, Divide, Activation, ResponseNorm, MapNorm, Dropout, Softmax]
Kind = Union[Windowed, Pointwise, FullyConnected, Flatten]
Node = dict[str, Any]  # of a graph's JSON


@dataclass(frozen=True)
class Layer:
    """One layer of a chain. ``shape``: of its output for one image, (maps, height, width) or (neurons,)."""

    name: str  # conv1, relu1, norm1, pool1, …
    kind: Kind
    shape: tuple[int, ...]
    output: str  # the graph's own name of the output


def read(symbol: Any, size: int) -> list[Layer]:
    """The layers of a graph from ``data`` (N, 3, size, size) to its last output, in order.

    symbol: an MXNet symbol as `export` or an import wrote it. Raises InvalidRequest, naming the operator, where the
    graph is no chain of the layers above.
    """
    return list(_Reader(symbol, size).layers())


class _Reader:
    def __init__(self, symbol: Any, size: int) -> None:
        if "data" not in symbol.list_inputs():
            raise InvalidRequest("The graph has no input named data.")
        self._nodes = json.loads(symbol.tojson())["nodes"]
        self._consumers: dict[int, list[int]] = {}
        for number, node in enumerate(self._nodes):
            for source, *_ in node["inputs"]:
                self._consumers.setdefault(source, []).append(number)
        internals = symbol.get_internals()
        _, shapes, _ = internals.infer_shape(data=(1, 3, size, size))
        self._shapes = dict(zip(internals.list_outputs(), shapes))
        self._weighted = "input"  # the last layer with weights: conv1, fc6

    def layers(self) -> Iterator[Layer]:
        """From the node ``data`` on."""
        at = next(number for number, node in enumerate(self._nodes) if node["name"] == "data")
        seen: set[str] = set()
        while self._consumers.get(at):
            name, kind, after = self._layer(at)
            before = self._shape(at)[1:]
            if isinstance(kind, FullyConnected) and len(before) > 1:
                yield Layer("flatten", Flatten(), (math.prod(before),), self._output(at))
            # CNN* has a conv6 and a fc6: relu6 is what follows the first, relu_fc6 what follows the second.
            if name in seen and name != self._weighted:
                name = f"{name.rstrip('0123456789')}_{self._weighted}"
            if name in seen:
                raise InvalidRequest(f"The graph has the layer {name} twice.")
            seen.add(name)
            yield Layer(name, kind, self._shape(after)[1:], self._output(after))
            at = after

    def _layer(self, at: int) -> tuple[str, Kind, int]:
        """(name, kind, its last node) of the layer that reads node ``at``."""
        consumers = self._consumers[at]
        if len(consumers) == 2 and self._nodes[consumers[0]]["op"] == "square":
            return self._map_norm(consumers)
        if len(consumers) != 1:
            raise InvalidRequest(f"{self._nodes[at]['name']} is read by {len(consumers)} layers: the net is no chain.")
        (number,) = consumers
        node = self._nodes[number]
        read = getattr(self, f"_read_{node['op'].lstrip('_')}", None)
        if read is None:
            raise InvalidRequest(f"{node['name']} is a {node['op']}, which no layer of an AlexNet is.")
        return read(number, node, node.get("attrs", {}))

    def _read_broadcast_sub(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        return "mean", Subtract(*self._constant(node)), number

    def _read_SliceChannel(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        """The colours apart, each divided, and together again."""
        colours = self._consumers.get(number, [])
        if len(colours) != 3 or {self._nodes[colour]["op"] for colour in colours} != {"_div_scalar"}:
            raise InvalidRequest(f"{node['name']} splits what is not put together again as it was.")
        joined = {self._next(colour, "Concat") for colour in colours}
        last = joined.pop()
        order = [source for source, *_ in self._nodes[last]["inputs"]]
        if joined or order != sorted(colours, key=lambda colour: self._nodes[colour]["inputs"][0][1]):
            raise InvalidRequest(f"{node['name']} splits what is not put together again as it was.")
        return "scale", Divide(tuple(float(self._nodes[colour]["attrs"]["scalar"]) for colour in order)), last

    def _constant(self, node: Node) -> tuple[str, tuple[int, ...]]:
        variable = node["inputs"][1][0]
        return self._nodes[variable]["name"], self._shape(variable)[1:]

    def _read_Pad(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        top, bottom, left, right = _integers(settings["pad_width"])[4:]
        if settings["mode"] != "constant" or float(settings.get("constant_value", 0)) != 0:
            raise InvalidRequest(f"{node['name']} pads with something else than zeros.")
        return "padding", Pad(left, right, top, bottom), number

    def _read_Convolution(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        name = _layer_name(node, "_fwd")
        self._weighted = name
        usual = {"stride": "(1, 1)", "pad": "(0, 0)", "dilate": "(1, 1)"}
        settings = {**usual, **settings}
        kernel, steps, sides, gaps = (_integers(settings[key]) for key in ("kernel", *usual))
        if any(len(set(pair)) > 1 for pair in (kernel, steps, sides)) or set(gaps) != {1}:
            raise InvalidRequest(f"{name} is no convolution of square windows without gaps.")
        size, stride, padding = kernel[0], steps[0], sides[0]
        groups, below = int(settings.get("num_group", 1)), self._shape(node["inputs"][0][0])[1]
        kind = Convolution(below, int(settings["num_filter"]), size, stride, padding, groups)
        return name, kind, number

    def _read_FullyConnected(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        name = _layer_name(node, "_fwd")
        self._weighted = name
        weight = self._shape(node["inputs"][1][0])
        return name, FullyConnected(weight[1], weight[0]), number

    def _read_Activation(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        if settings["act_type"] not in ("relu", "tanh"):
            raise InvalidRequest(f"{node['name']} is the activation {settings['act_type']}; relu and tanh are known.")
        return f"{settings['act_type']}{self._weighted[-1]}", Activation(settings["act_type"]), number

    def _read_Reshape(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        """Columns folded into the batch, normalised, and unfolded."""
        normalization = self._next(number, "LRN")
        back = self._next(normalization, "Reshape")
        columns = self._shape(number)[0]
        return self._response_norm(normalization, columns, back)

    def _read_LRN(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        return self._response_norm(number, 1, number)

    def _response_norm(self, number: int, columns: int, last: int) -> tuple[str, Kind, int]:
        settings = self._nodes[number]["attrs"]
        alpha, beta, k = (float(settings.get(key, usual)) for key, usual in _LRN_DEFAULTS.items())
        return f"norm{self._weighted[-1]}", ResponseNorm(columns, int(settings["nsize"]), alpha, beta, k), last

    def _map_norm(self, consumers: list[int]) -> tuple[str, Kind, int]:
        square, _ = consumers
        average = self._next(square, "Pooling")
        times = self._next(average, "_mul_scalar")
        plus = self._next(times, "_plus_scalar")
        power = self._next(plus, "_power_scalar")
        quotient = self._next(power, "elemwise_div")
        settings = self._nodes[average]["attrs"]
        size = _integers(settings["kernel"])[0]
        alpha, beta = (float(self._nodes[node]["attrs"]["scalar"]) for node in (times, power))
        if quotient not in consumers or float(self._nodes[plus]["attrs"]["scalar"]) != 1:
            raise InvalidRequest(f"{self._nodes[square]['name']} begins no normalisation that is known.")
        return f"map_norm{self._weighted[-1]}", MapNorm(size, alpha, beta), quotient

    def _read_Pooling(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        (size, width), (stride, across) = _integers(settings["kernel"]), _integers(settings["stride"])
        odd = settings["pool_type"] != "max" or settings.get("global_pool") == "True" or any(_integers(settings["pad"]))
        if odd or (size, stride) != (width, across):
            raise InvalidRequest(f"{node['name']} is no max-pooling over square windows without padding.")
        return f"pool{self._weighted[-1]}", Pooling(size, stride, settings.get("pooling_convention") == "full"), number

    def _read_Flatten(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        return "flatten", Flatten(), number

    def _read_Dropout(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        p = float(settings.get("p", 0.5))
        above = self._consumers.get(number, [])
        published = len(above) == 1 and self._nodes[above[0]]["op"] == "_mul_scalar"
        if published and abs(float(self._nodes[above[0]]["attrs"]["scalar"]) - (1 - p)) > 1e-9:
            raise InvalidRequest(f"{node['name']} drops {p:g} and is not scaled by what is kept.")
        return f"dropout{self._weighted[-1]}", Dropout(p, inverted=not published), above[0] if published else number

    def _read_softmax(self, number: int, node: Node, settings: dict[str, str]) -> tuple[str, Kind, int]:
        return "softmax", Softmax(), number

    def _next(self, number: int, operator: str) -> int:
        consumers = self._consumers.get(number, [])
        if len(consumers) != 1 or self._nodes[consumers[0]]["op"] != operator:
            raise InvalidRequest(f"{self._nodes[number]['name']} is not followed by {operator} alone.")
        return consumers[0]

    def _output(self, number: int) -> str:
        node = self._nodes[number]
        return node["name"] if node["op"] == "null" else f"{node['name']}_output"

    def _shape(self, number: int) -> tuple[int, ...]:
        return self._shapes[self._output(number)]


_LRN_DEFAULTS = {"alpha": 1e-4, "beta": 0.75, "knorm": 2.0}  # MXNet's own


def _layer_name(node: Node, end: str) -> str:
    name = node["name"][: -len(end)] if node["name"].endswith(end) else node["name"]
    if not name or not name[-1].isdigit():
        raise InvalidRequest(f"{node['name']} has not the name of a layer, such as conv1 or fc6.")
    return name


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.strip("()[] ").split(",") if part.strip()]
