"""Writes a graph of MXNet's anew, each column of the net by itself where that is wanted (Sec. 3.2)."""

from __future__ import annotations

from typing import Any


class GraphWriter:
    """The new graph's nodes, and where each old node's output is: ``whole``, or one node a column in ``columns``."""

    def __init__(self, old: list[dict], arrays: dict[str, Any]) -> None:
        self.old, self.arrays = old, arrays
        self.whole: dict[int, int] = {}
        self.columns: dict[int, list[int]] = {}
        self.nodes: list[dict] = []

    def node(self, operator: str, name: str, inputs: list[list[int]], attributes: dict[str, str] | None) -> int:
        """Write a node; its number."""
        node: dict[str, Any] = {"op": operator, "name": name, "inputs": inputs}
        if attributes:
            node["attrs"] = attributes
        self.nodes.append(node)
        return len(self.nodes) - 1

    def joined(self, number: int, output: int) -> list[int]:
        """The output of an old node as an input of a new one; columns are joined where they have not been yet."""
        if number not in self.whole:
            columns = self.columns[number]
            attributes = {"dim": "1", "num_args": str(len(columns))}
            inputs = [[column, 0, 0] for column in columns]
            self.whole[number] = self.node("Concat", f"{self.old[number]['name']}_joined", inputs, attributes)
        return [self.whole[number], output, 0]
