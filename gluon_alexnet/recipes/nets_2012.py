"""The nets of the 2012 repository behind the paper's rows: what #145's relatives have in another way.

Each is held against a graph built from its own layer file, and from one of the same structure, in
tests/test_nets_of_2012.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .schema import Convolution, FullyConnected, MapNormalization, Network, ResponseNormalization


def _changed(network: Network, layers: dict[str, dict], **changes: Any) -> Network:
    """The network with other numbers in some layers, and other changes."""
    return replace(
        network, **{name: replace(getattr(network, name), **numbers) for name, numbers in layers.items()}, **changes
    )


# The paper's net.
NET_145 = _changed(
    Network(),
    {name: {"weight_std": 0.03} for name in ("conv3", "conv4", "conv5")},
    normalization=ResponseNormalization(alpha_divided_by_n=True),
    relu_before_normalization=False,
    map_normalization=MapNormalization(),
)

# One column of #145, with conv5 and the fully-connected layers as wide as both: the paper's one-GPU net.
NET_145_HALF = _changed(
    NET_145,
    {f"conv{place}": {"kernels": kernels} for place, kernels in enumerate((48, 128, 192, 192), 1)},
    columns=1,
)

# Pooling without overlap; its sizes round up, 55 → 28 → 26 → 13 → 11 → 6.
NET_147 = _changed(
    NET_145,
    {"conv2": {"padding": (1, 1)}, "conv5": {"padding": (0, 0)}, "pooling": {"size": 2, "round_up": True}},
)

NET_148 = replace(NET_145, normalization=None, map_normalization=None)  # no normalisation of either kind

NET_149 = replace(NET_145, normalization5=True)

# Columns that meet at the outputs only; 60,714,408 parameters.
NET_150 = _changed(
    NET_145,
    {
        "conv2": {"kernels": 320},
        "conv3": {"both_columns": False},
        "fc6": {"neurons": 8192, "both_columns": False},
        "fc7": {"both_columns": False},
    },
)

# CNN*: a sixth convolutional layer on the last pooling.
NET_146 = replace(NET_145, conv6=Convolution(256, 3, padding=(1, 1), both_columns=True, bias=1.0, weight_std=0.03))

NET_146_2011 = replace(NET_146, bottleneck=FullyConnected(2048, bias=0.0))  # for the 21,843 classes of Fall 2011
