"""The nets of the 2012 repository behind the paper's rows: what #145's relatives have in another way, how they learned.

Each network is held against a graph built from its own layer file, and from one of the same structure, in
tests/test_nets_of_2012.py; each timetable is its diary's, in the comments at the end of its parameter file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .schema import (
    Augmentation,
    Convolution,
    FullyConnected,
    Learning,
    MapNormalization,
    Network,
    Recipe,
    ResponseNormalization,
)
from .timetable import IMAGES_OF_A_FILE, LAYERS, Change


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

_ALL_BUT_CONV1 = LAYERS[1:]
_CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")
_BIAS_RATE = 0.02
# Their files end with this rate of conv6's biases, and nothing says that it ever was another.
_CONV6_BIASES = Change(layers=("conv6",), bias_rate=0.002)


def _learning(
    drops: Sequence[tuple[int, float]],
    conv1: Sequence[tuple[int, float]],
    epochs: int,
    colour_off: int | None = None,
    others: Sequence[Change] = (),
    learning_rate: float = 0.01,
) -> Learning:
    """How a net of 2012 learned.

    drops: (epochs done, rate) of all layers, but of conv1 only till the first of its own in ``conv1``, where a rate of
    0 stops its biases, too. colour_off: epochs with the colour shift.
    """
    own_from = min((epoch for epoch, _ in conv1), default=epochs)
    changes = [Change(bias_rate=_BIAS_RATE)]
    changes += [Change(e, layers=_ALL_BUT_CONV1 if e >= own_from else (), weight_rate=rate) for e, rate in drops]
    changes += [Change(e, 0, ("conv1",), rate, 0.0 if rate == 0 else None) for e, rate in conv1]
    if colour_off is not None:
        changes.append(Change(colour_off, colour_std=0.0))
    changes = sorted([*changes, *others], key=lambda change: (change.epoch, change.images))
    return Learning(
        learning_rate=learning_rate, timetable=tuple(changes), drops_on_plateau=False, epochs=epochs, same_batches=True
    )


# The images are divided by 1.1 while the colour shift is on; 32 neighbours share a crop and a mirror.
AUGMENTATION = Augmentation(colour_divisor=1.1, shared_crops=32)


def _recipe(name: str, network: Network, learning: Learning) -> Recipe:
    return Recipe(name, network, AUGMENTATION, learning)


_DROPS_145 = ((25, 1e-3), (51, 1e-4), (79, 1e-5))

RECIPES_2012 = (
    _recipe("net-145", NET_145, _learning(_DROPS_145, ((67, 1e-5), (72, 0)), 91, colour_off=67)),
    # Its file ends with a bias rate of .002; when it fell is not told: here with the first drop.
    _recipe(
        "net-145-2010",
        NET_145,
        _learning(
            ((23, 1e-3), (51, 1e-4), (78, 1e-5)),
            ((68, 1e-5), (72, 0)),
            93,
            colour_off=68,
            others=(Change(23, bias_rate=0.002),),
        ),
    ),
    # Goes on where net-145 ended: epoch 0 is that one's 91st, and conv1 stays.
    _recipe(
        "net-145-continued",
        NET_145,
        _learning(((16, 1e-4), (33, 1e-5)), ((0, 0),), 44, colour_off=33, learning_rate=1e-3),
    ),
    # Its file ends with rates that its diary does not tell: 1e-5 of all weights, conv1's too, and .002 of the biases of
    # conv1 and conv2.
    _recipe(
        "net-145-half", NET_145_HALF, _learning(((20, 1e-3), (48, 1e-4)), ((66, 1e-5), (72, 0)), 96, colour_off=66)
    ),
    # Nothing is told of its colour shift. Its file ends with a bias rate of .002, and does not say since when.
    _recipe("net-147", NET_147, _learning(((23, 1e-3), (51, 1e-4), (79, 1e-5)), ((79, 0),), 90)),
    _recipe(
        "net-148",
        NET_148,
        _learning(((22, 1e-3), (44, 1e-4), (86, 1e-5)), ((69, 1e-5), (73, 0)), 97, colour_off=69),
    ),
    # Its end is not told: 90 epochs are ours. Its file ends with .002 for conv1's biases, and does not say since when.
    _recipe("net-149", NET_149, _learning(((21, 1e-3), (54, 1e-4)), ((66, 1e-5),), 90, colour_off=66)),
    _recipe(
        "net-150",
        NET_150,
        _learning(((25, 1e-3), (49, 1e-4), (79, 1e-5)), ((66, 1e-5), (72, 0)), 92, colour_off=66),
    ),
    # Began with net-145's convolutions; ended within its seventh epoch, at 6.6491.
    _recipe(
        "net-146-2009",
        NET_146,
        _learning(
            (),
            (),
            7,
            others=(
                _CONV6_BIASES,
                Change(layers=_CONVOLUTIONS[:5], weight_rate=1e-3),
                Change(2, 1600 * IMAGES_OF_A_FILE, ("conv6", "fc6", "fc7", "fc8"), 1e-3),
            ),
        ),
    ),
    # Began with net-146-2009's convolutions; ended within its ninth epoch, at 8.11295.
    _recipe(
        "net-146-2011",
        NET_146_2011,
        _learning(
            (),
            (),
            9,
            others=(
                _CONV6_BIASES,
                Change(layers=_CONVOLUTIONS, weight_rate=1e-3),
                Change(6, layers=("fc6", "fc7", "bottleneck", "fc8"), weight_rate=1e-3),
            ),
        ),
    ),
    # Began with all of net-146-2011 but its bottleneck and fc8.
    _recipe(
        "net-146-2012-2011",
        NET_146,
        _learning(
            ((22, 1e-4), (42, 1e-5)),
            ((0, 1e-4), (5, 1e-5), (7, 0)),
            54,
            colour_off=38,
            others=(
                Change(layers=("conv6",), bias_rate=0.022),  # as its file has it: a slip of the pen, perhaps
                Change(0, 300 * IMAGES_OF_A_FILE, ("fc8",), 0.01),
                Change(9, layers=("fc8",), weight_rate=1e-3),
            ),
            learning_rate=1e-3,
        ),
    ),
    # Began with all of net-146-2009 but fc8.
    _recipe(
        "net-146-2012-2009",
        NET_146,
        _learning(
            ((22, 1e-4), (42, 1e-5)),
            ((0, 1e-4), (3, 1e-5), (4, 0)),
            52,
            colour_off=38,
            others=(_CONV6_BIASES,),
            learning_rate=1e-3,
        ),
    ),
)

# The paper's 10,184 classes (Sec. 6): CNN*'s layers, begun anew, by the diary of #141 on half of Fall 2009 to its first
# end, at 28.3271. #141 has a low-resolution path beside conv1, too; it went on from there with a higher rate again.
SIX_CONV_2009_HALF = _recipe(
    "six-conv-2009-half",
    NET_146,
    _learning(
        (),
        (),
        29,
        colour_off=19,  # within the 19th epoch, at 18.2396; ours changes between epochs
        others=(
            Change(6, 2600 * IMAGES_OF_A_FILE, weight_rate=1e-3),
            Change(13, 3361 * IMAGES_OF_A_FILE, weight_rate=1e-4),
            Change(18, 2396 * IMAGES_OF_A_FILE, ("conv1", "conv2"), 1e-5),
            Change(21, 1949 * IMAGES_OF_A_FILE, ("conv1", "conv2"), 0.0, 0.0),
            Change(25, 3718 * IMAGES_OF_A_FILE, LAYERS[2:], 1e-5),
        ),
    ),
)

SUMMARIES_2012 = {
    "net-145": "the paper's net, #145, on ILSVRC-2012",
    "net-145-2010": "the same on ILSVRC-2010",
    "net-145-continued": "net-145's end with its rate pushed up again",
    "net-145-half": "one column: the paper's one-GPU net, on ILSVRC-2010",
    "net-147": "pooling without overlap",
    "net-148": "no normalisation",
    "net-149": "normalisation after conv5, too",
    "net-150": "columns that meet at the outputs only",
    "net-146-2009": "CNN* on Fall 2009, 10,184 classes, begun with net-145's convolutions",
    "net-146-2011": "CNN* on Fall 2011, 21,843 classes, begun with net-146-2009's convolutions",
    "net-146-2012-2011": "CNN* on ILSVRC-2012, begun with net-146-2011",
    "net-146-2012-2009": "CNN* on ILSVRC-2012, begun with net-146-2009",
    "six-conv-2009-half": "CNN* on half of Fall 2009's 10,184 classes, by #141's diary without its low-resolution path",
}
