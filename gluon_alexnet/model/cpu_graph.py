"""A deployed net's graph as oneDNN computes it fastest on a CPU: the same numbers, to float32 accuracy.

oneDNN computes in a layout of its own, channels last. A reshape around response normalisation, by which no window
reaches into another column, brings every array into MXNet's layout and back; where the columns are written out instead,
each as a convolution of its own, normalisation and pooling stay in oneDNN's. The mean image and the border of layer 1
are left to whoever makes float32 of the pixels. A fully connected layer is a convolution of one pixel whose places are
the images: oneDNN brings its weights into a layout of its own once, and multiplies twice as fast.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..backend import mx
from .cpu_writer import Plan, Writer

_OF_MAPS = ("Activation", "Pooling")  # what a column computes of its own maps alone
_WITHIN = (*_OF_MAPS, "LRN", "Reshape")  # what belongs to the convolution before it


class Prepared(NamedTuple):
    """A graph that reads what :mod:`.pixels` makes of images, with its arrays by name."""

    symbol: Any
    arrays: dict[str, Any]
    mean: str  # name of the mean image among the arrays of the graph it was made of
    border: tuple[int, int, int, int]  # zeros above, below, left, right


def prepare(symbol: Any, arrays: dict[str, Any]) -> Prepared | None:
    """The graph for a CPU, of one from raw images ``data``; None where it begins otherwise than with a mean image.

    symbol: its casts for mixed precision are left out. arrays: NDArrays by name; those that are not cut into columns
    are shared, not copied.
    """
    graph = json.loads(symbol.tojson())
    first = _first(graph["nodes"])
    if first is None:
        return None
    mean, border, replaced = first
    columns, dropped = _apart(graph["nodes"])
    writer = Writer(graph["nodes"], dict(arrays), Plan(replaced, columns, dropped, _readers(graph["nodes"])))
    for number, node in enumerate(graph["nodes"]):
        writer.add(number, node)
    graph["heads"] = [writer.joined(*head[:2]) for head in graph["heads"]]
    made = _symbol(graph, writer.nodes)
    needed = {*made.list_inputs()}
    made_arrays = {name: array for name, array in writer.arrays.items() if name in needed}
    return Prepared(made, made_arrays, mean, border)


def first_layer(symbol: Any) -> list[str]:
    """Names of the convolutions that read the image, and of what follows each up to the next layer."""
    images: set[int] = set()
    seen: set[int] = set()
    found = []
    for number, node in enumerate(json.loads(symbol.tojson())["nodes"]):
        reads = {source for source, *_ in node["inputs"]}
        if node["name"] == "data" or (node["op"] in ("broadcast_sub", "Pad") and reads & images):
            images.add(number)
        elif (node["op"] == "Convolution" and reads & images) or (node["op"] in _WITHIN and reads & seen):
            seen.add(number)
            found.append(node["name"])
    return found


def in_bfloat16(symbol: Any) -> bool:
    """Whether the graph casts to fewer bits for mixed precision; what :func:`prepare` makes of it does not."""
    return '"op": "amp_cast"' in symbol.tojson(remove_amp_cast=False)


def _symbol(graph: dict, nodes: list[dict]) -> Any:
    variables = [number for number, node in enumerate(nodes) if node["op"] == "null"]
    graph.update(nodes=nodes, arg_nodes=variables, node_row_ptr=list(range(len(nodes) + 1)))
    return mx.sym.load_json(json.dumps(graph))


def _first(nodes: Sequence[dict]) -> tuple[str, tuple[int, int, int, int], int] | None:
    """(name of the mean, border, number of the node that prepared pixels take the place of)."""
    readers = _readers(nodes)
    data = next((number for number, node in enumerate(nodes) if node["op"] == "null" and node["name"] == "data"), None)
    if data is None or len(readers[data]) != 1:
        return None
    (number,) = readers[data]
    node = nodes[number]
    if node["op"] != "broadcast_sub" or node["inputs"][0][0] != data:
        return None
    mean = nodes[node["inputs"][1][0]]
    if mean["op"] != "null":
        return None
    border = (0, 0, 0, 0)
    above = readers[number]
    if len(above) == 1 and nodes[above[0]]["op"] == "Pad":
        attributes = nodes[above[0]]["attrs"]
        widths = ast.literal_eval(attributes["pad_width"])
        constant = attributes["mode"] == "constant" and float(attributes.get("constant_value", 0)) == 0
        if constant and len(widths) == 8 and not any(widths[:4]):
            number, border = above[0], widths[4:]
    return mean["name"], border, number


def _readers(nodes: Sequence[dict]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in nodes]
    for number, node in enumerate(nodes):
        for source, *_ in node["inputs"]:
            found[source].append(number)
    return found


def _apart(nodes: Sequence[dict]) -> tuple[dict[int, int], set[int]]:
    """Columns of each node that is to be written out, by its number; numbers of the reshapes that go."""
    readers, dropped = _readers(nodes), set()
    columns: dict[int, int] = {}
    alone = {number for number, some in enumerate(readers) if len(some) == 1}
    for number, node in enumerate(nodes):
        if node["op"] != "LRN" or number not in alone:
            continue
        before, after = node["inputs"][0][0], readers[number][0]
        own, joined = _maps(nodes[before]), _maps(nodes[after])
        if own is None or joined is None or before not in alone or joined % own:
            continue
        count, chain, below = joined // own, [number], nodes[before]["inputs"][0][0]
        while nodes[below]["op"] in _OF_MAPS and below in alone:
            chain.append(below)
            below = nodes[below]["inputs"][0][0]
        if nodes[below]["op"] == "Convolution" and below in alone and _splits(nodes, below, count, columns):
            above = after
            while len(readers[above]) == 1 and nodes[readers[above][0]]["op"] in _OF_MAPS:
                above = readers[above][0]
                chain.append(above)
            columns |= dict.fromkeys([below, *chain], count)
            dropped |= {before, after}
    return columns, dropped


def _splits(nodes: Sequence[dict], number: int, count: int, columns: dict[int, int]) -> bool:
    """Whether a convolution can be one a column: it reads everything, or each group its own column."""
    groups = int(nodes[number]["attrs"].get("num_group", 1))
    learned = all(nodes[source]["op"] == "null" for source, *_ in nodes[number]["inputs"][1:])
    whole = int(nodes[number]["attrs"]["num_filter"]) % count == 0
    return learned and whole and (groups == 1 or (groups == count and columns.get(_source(nodes, number)) == count))


def _source(nodes: Sequence[dict], number: int) -> int:
    """What a node reads first, past the reshape that goes where columns are written out."""
    source = nodes[number]["inputs"][0][0]
    return nodes[source]["inputs"][0][0] if _maps(nodes[source]) is not None else source


def _maps(node: dict) -> int | None:
    """The maps that a reshape of (N, maps, height, width) leaves; None of another node."""
    if node["op"] != "Reshape" or "shape" not in node.get("attrs", {}):
        return None
    shape = ast.literal_eval(node["attrs"]["shape"])
    return shape[1] if len(shape) == 4 and shape[0] == -1 and shape[2:] == (0, 0) and shape[1] > 0 else None
