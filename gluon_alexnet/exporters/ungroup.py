"""A deployed graph with each column written out: convolutions in groups become one convolution a column (Sec. 3.2)."""

from __future__ import annotations

import json
from typing import Any

from ..backend import mx
from ..model.graph_writer import GraphWriter


def write_out(symbol: Any, arguments: dict) -> tuple:
    """(symbol, arguments) of the same net without convolutions in groups.

    Columns are cut from what all of them read, stay apart as long as what follows is theirs alone (the activation, the
    next convolution in as many groups), and are joined where something reads both.
    """
    graph = json.loads(symbol.tojson())
    writer = _Writer(graph["nodes"], dict(arguments))
    for number, node in enumerate(graph["nodes"]):
        writer.add(number, node)
    heads = [writer.joined(*head[:2]) for head in graph["heads"]]
    graph.update(
        nodes=writer.nodes,
        heads=heads,
        arg_nodes=[number for number, node in enumerate(writer.nodes) if node["op"] == "null"],
        node_row_ptr=list(range(len(writer.nodes) + 1)),
    )
    return mx.sym.load_json(json.dumps(graph)), writer.arrays


class _Writer(GraphWriter):
    """Writes each convolution in groups as one convolution a column."""

    def add(self, number: int, node: dict) -> None:
        groups = int(node.get("attrs", {}).get("num_group", 1)) if node["op"] == "Convolution" else 1
        below = self.columns.get(node["inputs"][0][0]) if node["inputs"] else None
        if groups > 1:
            self.columns[number] = self._convolutions(node, groups, below)
        elif node["op"] == "Activation" and below:
            self.columns[number] = [
                self.node("Activation", f"{node['name']}_column{column}", [[one, 0, 0]], node["attrs"])
                for column, one in enumerate(below)
            ]
        else:
            inputs = [self.joined(source, output) for source, output, *_ in node["inputs"]]
            self.whole[number] = self.node(node["op"], node["name"], inputs, node.get("attrs"))

    def _convolutions(self, node: dict, groups: int, below: list[int] | None) -> list[int]:
        data, *learned = node["inputs"]
        if below is None or len(below) != groups:
            cut = {"num_outputs": str(groups), "axis": "1"}
            source = self.node("SliceChannel", f"{node['name']}_columns", [self.joined(*data[:2])], cut)
            inputs = [[source, column, 0] for column in range(groups)]
        else:
            inputs = [[one, 0, 0] for one in below]
        attributes = {**node["attrs"], "num_group": "1", "num_filter": str(int(node["attrs"]["num_filter"]) // groups)}
        made = []
        for column, own in enumerate(inputs):
            parameters = [[self._share(self.old[one[0]]["name"], column, groups), 0, 0] for one in learned]
            made.append(self.node("Convolution", f"{node['name']}_column{column}", [own, *parameters], attributes))
        return made

    def _share(self, name: str, column: int, groups: int) -> int:
        """A variable of one column: its part of the first axis, where kernels of a column lie together."""
        whole = self.arrays[name]
        size = whole.shape[0] // groups
        part = f"{name}_column{column}"
        self.arrays[part] = whole[column * size : (column + 1) * size].copy()
        return self.node("null", part, [], None)
