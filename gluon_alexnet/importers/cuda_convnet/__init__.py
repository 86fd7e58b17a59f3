"""cuda-convnet's layer files, those of the 2012 repository among them: a pair of files → a graph and its updates.

`layers-*.cfg` names the layers, `layer-params-*.cfg` their rates. Nothing in them is executed: functions of the
author's that made initial weights (``initWFunc``, ``initBFunc``, ``initCFunc``) are only named. The last version of
the 2012 code (`layer.py`) is what is followed; limits of its GPU kernels, such as multiples of 16 maps, are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidRequest as InvalidRequest
from ...model import graph_shapes
from ...recipes import layer_graph as graphs
from ...recipes.graph_updates import Update
from .ini import NoSection, Section, read_sections
from .layers import COSTS, UNSUPPORTED, known, read_common, read_layer
from .updates import read_updates

FUNCTIONS = ("initWFunc", "initBFunc", "initCFunc")


@dataclass(frozen=True)
class ConvNet:
    """What a pair of files says."""

    graph: graphs.LayerGraph
    updates: tuple[Update, ...]  # of each parameter, in the graph's order
    functions: tuple[str, ...]  # layers whose initial weights a program of the author's took from another net


def read(layers: Path, params: Path | None, input_size: int = 224) -> ConvNet:
    """The net of a pair of files; without ``params``, its layers and sizes alone, other numbers 0.

    input_size: height and width of the image, which the files do not tell: 224 for ImageNet's crops, 32 or 24 for
    CIFAR-10. Raises InvalidRequest, in one sentence that names file and layer, for what is no such file or does not
    fit together; nothing is built, and no memory taken, before that is known.
    """
    sections = read_sections(layers)
    numbers = {name: NoSection(layers, name) for name in sections} if params is None else read_sections(params, True)
    reader = _Reader(layers, params or layers, sections, numbers)
    for name in sections:
        reader.read(name)
    graph = reader.graph(input_size)
    graph_shapes.shapes(graph)
    updates = [
        update
        for layer in graph.layers
        if isinstance(layer, graphs.WeightLayer)
        for update in read_updates(layer, reader.needed_numbers(layer.name))
    ]
    reader.finish()
    return ConvNet(graph, tuple(updates), tuple(reader.functions))


class _Reader:
    """Goes through the sections in their order, in which each comes after those it reads."""

    def __init__(self, file: Path, params: Path, sections: dict[str, Section], numbers: Mapping[str, Section]) -> None:
        self._file, self._params, self._sections, self._numbers = file, params, sections, numbers
        self._kinds: dict[str, str] = {}
        self._layers: dict[str, graphs.Layer] = {}
        self._read_by: dict[str, list[str]] = {}
        self._data: dict[int, str] = {}
        self._softmax: dict[str, str] = {}
        self._of_labels: dict[str, tuple[str, float, float]] = {}  # sums with the labels: layer, both coefficients
        self._cost: graphs.Cost | None = None
        self.functions: list[str] = []

    def read(self, name: str) -> None:
        """The section of that name."""
        section = self._sections[name]
        kind = section.text("type")
        if kind in UNSUPPORTED:
            raise section.refuse(f"the layer type {kind} is not supported: {UNSUPPORTED[kind]}")
        if not known(kind) and kind not in (*COSTS, "data", "softmax"):
            raise section.refuse(f"there is no layer type {kind!r}")
        if kind == "data":
            self._kinds[name] = kind
            self._read_data(section)
            return
        inputs = self._inputs(section)
        self._kinds[name] = kind
        section.skip("quantF", "quantB")
        if kind == "softmax" or kind in COSTS:
            section.skip("gpu")
            (self._read_softmax if kind == "softmax" else self._read_cost)(section, kind, inputs)
            section.finish()
            return
        if self._data.get(1) in inputs:
            self._read_difference(section, kind, inputs)
            return
        if any([section.text(function, "") for function in FUNCTIONS]):
            self.functions.append(name)
        one_input = kind not in ("conv", "local", "fc", "concat", "eltsum", "eltmax")
        if one_input and len(inputs) != 1:
            raise section.refuse(f"a layer of the type {kind} has 1 input, not {len(inputs)}")
        below = self._layers[inputs[0]].device if inputs[0] in self._layers else 0
        common = read_common(section, name, inputs, below)
        self._layers[name] = read_layer(kind, section, self._numbers.get(name), common)

    def needed_numbers(self, name: str) -> Section:
        """The section of the parameter file. Raises InvalidRequest where there is none."""
        if name not in self._numbers:
            raise InvalidRequest(
                f"{self._params} has no section [{name}], which {self._file.name} needs: it belongs to another net."
            )
        return self._numbers[name]

    def graph(self, input_size: int) -> graphs.LayerGraph:
        """The whole graph, once every section is read."""
        for number, what in enumerate(("images", "labels")):
            if number not in self._data:
                raise InvalidRequest(f"{self._file} has no layer of the type data with dataIdx={number}: the {what}.")
        if self._cost is None:
            raise InvalidRequest(f"{self._file} has no cost, such as a layer of the type cost.logreg.")
        for name, kind in self._kinds.items():
            if name not in self._read_by and kind not in COSTS:
                raise self._sections[name].refuse("no layer reads it")
        if not self._layers:
            raise InvalidRequest(f"{self._file} has no layer between the images and the cost.")
        return graphs.LayerGraph(self._file.name, input_size, self._data[0], tuple(self._layers.values()), self._cost)

    def finish(self) -> None:
        """Raise InvalidRequest where the parameter file says what no layer takes."""
        for name, section in self._numbers.items():
            if name in self._kinds:
                section.skip("quantF", "quantB")
                section.finish()

    def _inputs(self, section: Section) -> tuple[str, ...]:
        inputs = section.texts("inputs")
        for name in inputs:
            if name in self._kinds:
                if self._kinds[name] in COSTS:
                    raise section.refuse(f"it reads {name}, which is a cost and has no output")
                self._read_by.setdefault(name, []).append(section.name)
            elif name in self._sections:
                circle = self._reaches(name, section.name)
                turn = "a cycle: it is read by it in turn" if circle else "an order to change"
                raise section.refuse(f"it reads {name}, which comes after it, {turn}")
            else:
                raise section.refuse(f"it reads {name[:80]!r}, and there is no such layer")
        return inputs

    def _reaches(self, start: str, goal: str) -> bool:
        """Whether a layer reads another one, directly or through others; a layer reaches itself."""
        seen, waiting = set(), [start]
        while waiting:
            name = waiting.pop()
            if name == goal:
                return True
            if name in self._sections and name not in seen:
                seen.add(name)
                waiting.extend(part.strip() for part in self._sections[name].text("inputs", "").split(","))
        return False

    def _read_data(self, section: Section) -> None:
        number = section.integer("dataIdx")
        if number > 1 or number in self._data:
            raise section.refuse(f"dataIdx must be 0 for the images and 1 for the labels, each once, not {number}")
        self._data[number] = section.name
        section.finish()

    def _read_softmax(self, section: Section, kind: str, inputs: tuple[str, ...]) -> None:
        if len(inputs) != 1 or inputs[0] not in self._layers:
            raise section.refuse("softmax reads 1 layer")
        self._softmax[section.name] = inputs[0]

    def _read_difference(self, section: Section, kind: str, inputs: tuple[str, ...]) -> None:
        """A sum of the labels, one number a class, and a layer: what the cost of squares reads."""
        labels = self._data[1]
        other = [name for name in inputs if name != labels]
        if kind != "eltsum" or len(inputs) != 2 or len(other) != 1 or other[0] not in self._layers:
            raise section.refuse("only a cost, or a sum of the labels and one layer, reads the labels")
        section.skip("gpu")
        coefficients = dict(zip(inputs, section.numbers("coeffs", 2, 1.0, least=None)))
        section.finish()
        self._of_labels[section.name] = (other[0], coefficients[labels], coefficients[other[0]])

    def _read_cost(self, section: Section, kind: str, inputs: tuple[str, ...]) -> None:
        if self._cost is not None:
            raise section.refuse("a net with two costs is not supported")
        numbers = self.needed_numbers(section.name)
        coefficient = numbers.number("coeff")
        if "topk" in numbers:
            numbers.integer("topk", least=1)
        if kind == "cost.sum2":
            if len(inputs) != 1 or inputs[0] not in self._of_labels:
                raise section.refuse("cost.sum2 reads the sum of the labels and a layer")
            self._cost = graphs.Cost(kind, self._of_labels[inputs[0]][0], coefficient, *self._of_labels[inputs[0]][1:])
            return
        if len(inputs) != 2 or inputs[0] != self._data.get(1):
            raise section.refuse(f"{kind} reads the labels and a layer, in this order")
        if kind == "cost.logreg":
            if inputs[1] not in self._softmax:
                raise section.refuse("cost.logreg reads the labels and a softmax")
            self._cost = graphs.Cost(kind, self._softmax[inputs[1]], coefficient)
            return
        if inputs[1] not in self._layers:
            raise section.refuse(f"{kind} reads the labels and a layer")
        if kind == "cost.crossent2" and self._layers[inputs[1]].neuron != "logistic":
            raise section.refuse(f"cost.crossent2 needs a layer with neuron=logistic, and {inputs[1]} has not")
        self._cost = graphs.Cost(kind, inputs[1], coefficient)
