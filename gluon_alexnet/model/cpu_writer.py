"""Writes a graph anew for :mod:`.cpu_graph`: columns apart, fully connected layers as convolutions of one pixel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import mx
from .graph_writer import GraphWriter

PIXEL = "_pixel"  # what a fully connected layer's weights as kernels of one pixel are called behind their name


class Plan(NamedTuple):
    """What becomes of the old graph's nodes, by their numbers."""

    replaced: int  # the node that prepared pixels take the place of
    columns: dict[int, int]  # nodes that are written once a column, and how many those are
    dropped: set[int]  # reshapes that are not needed there
    readers: list[list[int]]  # of each node


class Writer(GraphWriter):
    """The new graph's nodes, and where each old node's output is: whole, one node a column, or images as places."""

    def __init__(self, old: list[dict], arrays: dict[str, Any], plan: Plan) -> None:
        super().__init__(old, arrays)
        self._plan = plan
        self._places: dict[int, int] = {}  # (1, outputs, N, 1) instead of (N, outputs)
        self._factors: dict[int, float] = {}  # what a node's readers have to multiply by

    def add(self, number: int, node: dict) -> None:
        """Write one node of the old graph, all before it being written."""
        source = node["inputs"][0][0] if node["inputs"] else -1
        if number == self._plan.replaced:
            self.whole[number] = next(place for place, one in enumerate(self.nodes) if one["name"] == "data")
        elif number in self._plan.dropped:
            self.columns[number] = self.columns[source]
        elif number in self._plan.columns:
            self.columns[number] = self._each(node, self._plan.columns[number])
        elif node["op"] == "FullyConnected" and self._is_plain(node):
            self._places[number] = self._connected(node)
        elif node["op"] == "Activation" and source in self._places and source not in self._factors:
            inputs = [[self._places[source], 0, 0]]
            self._places[number] = self.node("Activation", node["name"], inputs, node["attrs"])
        elif self._passes(number, node, source):
            self._places[number] = self._places[source]
            factor = float(node["attrs"]["scalar"]) if node["op"] == "_mul_scalar" else 1.0
            self._factors[number] = self._factors.get(source, 1.0) * factor
        else:
            inputs = [self.joined(*one[:2]) for one in node["inputs"]]
            self.nodes.append({**node, "inputs": inputs})
            self.whole[number] = len(self.nodes) - 1

    def joined(self, number: int, output: int) -> list[int]:
        """The output of an old node as an input of a new one."""
        if number in self._places and number not in self.whole:
            name, inputs = self.old[number]["name"], [[self._places[number], 0, 0]]
            rows = self.node("Reshape", f"{name}_rows", inputs, {"shape": "(-3, -3)"})  # (1 · outputs, N · 1)
            self.whole[number] = self.node("transpose", f"{name}_images", [[rows, 0, 0]], None)
        return super().joined(number, output)

    def _each(self, node: dict, count: int) -> list[int]:
        """One node a column."""
        source, output, *_ = node["inputs"][0]
        attributes, made = dict(node["attrs"]), []
        own = len(self.columns.get(source, [])) == count
        if node["op"] == "Convolution":
            own = own and int(attributes.get("num_group", 1)) == count
            attributes.update(num_group="1", num_filter=str(int(attributes["num_filter"]) // count))
        for column in range(count):
            inputs = [[self.columns[source][column], 0, 0]] if own else [self.joined(source, output)]
            inputs += [[self._share(self.old[one[0]]["name"], column, count), 0, 0] for one in node["inputs"][1:]]
            made.append(self.node(node["op"], f"{node['name']}_column{column}", inputs, attributes))
        return made

    def _is_plain(self, node: dict) -> bool:
        """Whether a fully connected layer reads all of an image, with weights and biases of its own."""
        learned = [self.old[source] for source, *_ in node["inputs"][1:]]
        flat = node["attrs"].get("flatten", "True") in ("True", "1")
        return flat and len(learned) == 2 and all(one["op"] == "null" for one in learned)

    def _passes(self, number: int, node: dict, source: int) -> bool:
        """Whether a fully connected layer alone reads what this node gives, and can multiply by its factor instead."""
        if source not in self._places or node["op"] not in ("Dropout", "_mul_scalar"):
            return False
        above = number
        while len(self._plan.readers[above]) == 1:
            above = self._plan.readers[above][0]
            if self.old[above]["op"] == "FullyConnected":
                return self._is_plain(self.old[above])
            if self.old[above]["op"] not in ("Dropout", "_mul_scalar"):
                return False
        return False

    def _connected(self, node: dict) -> int:
        """A fully connected layer as a convolution of one pixel."""
        (source, output, *_), *learned = node["inputs"]
        name, weight = node["name"], self.old[learned[0][0]]["name"]
        array = self.arrays[weight].asnumpy()
        inputs, factor = array.shape[1], np.float32(self._factors.get(source, 1.0))
        if source in self._places:
            data = self._places[source]
        else:
            flat = self.node("Flatten", f"{name}_flat", [self.joined(source, output)], None)
            turned = self.node("transpose", f"{name}_turned", [[flat, 0, 0]], None)
            data = self.node("Reshape", f"{name}_places", [[turned, 0, 0]], {"shape": f"(1, {inputs}, -1, 1)"})
        self.arrays[f"{weight}{PIXEL}"] = mx.nd.array((array * factor).reshape(*array.shape, 1, 1))
        attributes = {"kernel": "(1, 1)", "num_filter": str(len(array)), "no_bias": "False"}
        kernels = self.node("null", f"{weight}{PIXEL}", [], None)
        whole = self.whole[learned[1][0]]
        return self.node("Convolution", name, [[data, 0, 0], [kernels, 0, 0], [whole, 0, 0]], attributes)

    def _share(self, name: str, column: int, count: int) -> int:
        """A variable of one column: its part of the first axis, where kernels of a column lie together."""
        # By way of NumPy: MXNet cannot cut an array that oneDNN has brought into a layout of its own.
        whole, part = self.arrays[name].asnumpy(), f"{name}_column{column}"
        size = len(whole) // count
        self.arrays[part] = mx.nd.array(whole[column * size : (column + 1) * size])
        return self.node("null", part, [], None)
