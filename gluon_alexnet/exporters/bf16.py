"""A deployed net in bfloat16 for processors that multiply it: MXNet's own conversion for mixed precision.

Convolutions from layer 2 on and fully connected layers are computed in bfloat16, eight bits of precision with float32's
range; softmax and layer 1 stay in float32: oneDNN multiplies no three maps of bfloat16 fast, nor normalises them. The
arrays on disk stay float32: they are rounded when the net runs.
"""

from __future__ import annotations

from ..backend import amp
from ..model import cpu_graph
from .reduced_precision import Pair


def convert(net: Pair) -> Pair:
    """The net with its convolutions and fully connected layers in bfloat16; the batch size stays free."""
    settings = {"target_dtype": "bfloat16", "excluded_sym_names": cpu_graph.first_layer(net.symbol)}
    return Pair(*amp.convert_model(net.symbol, dict(net.arguments), dict(net.auxiliary), **settings))
