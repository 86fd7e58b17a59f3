"""A deployed net in bfloat16 for processors that multiply it: MXNet's own conversion for mixed precision.

Convolutions and fully connected layers are computed in bfloat16, eight bits of precision with float32's range;
normalisation and softmax stay in float32. The arrays on disk stay float32: they are rounded when the net runs.
"""

from __future__ import annotations

from ..backend import amp
from .reduced_precision import Pair


def convert(net: Pair) -> Pair:
    """The net with its convolutions and fully connected layers in bfloat16; the batch size stays free."""
    return Pair(*amp.convert_model(net.symbol, dict(net.arguments), dict(net.auxiliary), target_dtype="bfloat16"))
