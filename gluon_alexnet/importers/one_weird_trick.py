"""The AlexNet of "One weird trick" in other programs' names: torchvision's, Gluon's model zoo's, and lpips's.

One column of 64, 192, 384, 256 and 256 kernels (Krizhevsky, arXiv 1404.5997), fc6 and fc7 of 4096. Their files call
the layers differently, and agree on the rest: kernels are (outputs, inputs, height, width), but for JAX's, and fc6
reads the maps of pool5 one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidRequest
from .arrays import ArrayTable, printable, read_array, times

CONVOLUTIONS = {
    "conv1": (64, 3, 11, 11),
    "conv2": (192, 64, 5, 5),
    "conv3": (384, 192, 3, 3),
    "conv4": (256, 384, 3, 3),
    "conv5": (256, 256, 3, 3),
}
FULLY_CONNECTED = ("fc6", "fc7", "fc8")
FC6_INPUTS = 256 * 6 * 6
USUAL_WIDTH = 4096  # of fc6 and fc7; other widths are read, too


@dataclass(frozen=True)
class Naming:
    """What a program calls the layers. layers: ours → (name, weight's end, bias's end), after a prefix of any kind."""

    kind: str  # as --kind has it
    title: str
    layers: Mapping[str, str]
    ends: tuple[str, str] = (".weight", ".bias")
    roots: tuple[str, ...] = ("features.", "classifier.")  # what begins so, after the prefix, belongs to the net
    height_first: bool = False  # kernels are (height, width, inputs, outputs)


def _layers(names: str) -> dict[str, str]:
    return dict(zip((*CONVOLUTIONS, *FULLY_CONNECTED), names.split()))


NAMINGS = (
    Naming(
        "torchvision",
        "torchvision",
        _layers("features.0 features.3 features.6 features.8 features.10 classifier.1 classifier.4 classifier.6"),
    ),
    Naming(
        "gluon-zoo",
        "Gluon's model zoo",
        _layers("features.0 features.2 features.4 features.5 features.6 features.9 features.11 output"),
        roots=("features.", "output."),
    ),
    Naming(
        "gluon-zoo",
        "Gluon's model zoo",
        _layers("conv0 conv1 conv2 conv3 conv4 dense0 dense1 dense2"),
        ends=("_weight", "_bias"),
        roots=("conv", "dense"),
    ),
    Naming(
        "lpips",
        "lpips (PyTorch)",
        _layers("slice1.0 slice2.3 slice3.6 slice4.8 slice5.10"),
        roots=("slice",),
    ),
    Naming(
        "lpips",
        "lpips (JAX)",
        _layers("Conv_0 Conv_1 Conv_2 Conv_3 Conv_4"),
        ends=(".kernel", ".bias"),
        roots=("Conv_", "Dense_"),
        height_first=True,
    ),
)


@dataclass(frozen=True)
class Found:
    """A table's arrays by our names, such as conv1_weight: (the file's name, its shape in our order)."""

    naming: Naming
    prefix: str
    arrays: dict[str, tuple[str, tuple[int, ...]]]

    @property
    def classifies(self) -> bool:
        """Whether the fully connected layers are there; without them it is a convolutional part."""
        return "fc8_weight" in self.arrays

    @property
    def classes(self) -> int:
        """Outputs of fc8; 0 for a convolutional part."""
        return self.arrays["fc8_bias"][1][0] if self.classifies else 0

    @property
    def widths(self) -> tuple[int, int]:
        """Neurons of fc6 and fc7; the usual ones for a convolutional part."""
        if not self.classifies:
            return (USUAL_WIDTH, USUAL_WIDTH)
        return self.arrays["fc6_bias"][1][0], self.arrays["fc7_bias"][1][0]


def find(table: ArrayTable, kind: str | None = None) -> Found | None:
    """The naming that the names in a table follow best, of this kind where one is given; None where none has a layer.

    Its arrays are those that are there, whatever their shapes.
    """
    best: Found | None = None
    for naming in NAMINGS:
        if kind is not None and naming.kind != kind:
            continue
        prefix = _prefix(table, naming)
        if prefix is None:
            continue
        arrays = {}
        for layer, name in naming.layers.items():
            for end, ours in zip(naming.ends, ("weight", "bias")):
                whole = f"{prefix}{name}{end}"
                if whole in table:
                    arrays[f"{layer}_{ours}"] = (whole, _our_order(table[whole].shape, naming))
        if best is None or len(arrays) > len(best.arrays):
            best = Found(naming, prefix, arrays)
    return best


def _prefix(table: ArrayTable, naming: Naming) -> str | None:
    """What stands before the first layer's name: "", "module." or "state_dict.", say."""
    ending = naming.layers["conv1"] + naming.ends[0]
    prefixes = (name[: -len(ending)] for name in table if name.endswith(ending))
    return min((prefix for prefix in prefixes if not prefix or prefix[-1] in "._"), key=len, default=None)


def _our_order(shape: tuple[int, ...], naming: Naming) -> tuple[int, ...]:
    return (shape[3], shape[2], shape[0], shape[1]) if naming.height_first and len(shape) == 4 else shape


def check(file: Path, table: ArrayTable, found: Found | None) -> Found:
    """The same, once every layer has the shape that the architecture needs.

    Raises InvalidRequest that names the first layer which does not fit.
    """
    if found is None:
        first = printable(next(iter(table), "nothing"))
        raise InvalidRequest(
            f"{file} has no layer that torchvision, Gluon's model zoo or lpips would call AlexNet's first; it begins "
            f"with {first}."
        )
    shapes: dict[str, tuple[int, ...]] = {f"{layer}_weight": shape for layer, shape in CONVOLUTIONS.items()}
    if any(name.startswith("fc") for name in found.arrays) or _is_more(table, found):
        shapes |= _fully_connected(found)
    for name, shape in shapes.items():
        layer = name.partition("_")[0]
        for ours, needed in ((name, shape), (f"{layer}_bias", shape[:1])):
            stored, has = found.arrays.get(ours, (_file_s_name(found, ours), None))
            if has != needed:
                what = "is not there" if has is None else f"is {times(has)}"
                raise InvalidRequest(
                    f"{file} does not hold the one-weird-trick AlexNet: {ours} ({printable(stored)}) {what}, and "
                    f"{times(needed)} is needed."
                )
    known = {name for name, _ in found.arrays.values()}
    for name in table:
        rest = name[len(found.prefix) :] if name.startswith(found.prefix) else ""
        if name not in known and rest.startswith(found.naming.roots):
            raise InvalidRequest(f"{file} holds another net: it has {printable(name)}, which AlexNet has not.")
    return found


def _is_more(table: ArrayTable, found: Found) -> bool:
    """Whether something of the classifier is there under a name of its own."""
    return any(name.startswith(found.prefix + root) for name in table for root in ("classifier.", "output.", "dense"))


def _file_s_name(found: Found, ours: str) -> str:
    layer, _, what = ours.partition("_")
    name = found.naming.layers.get(layer, layer)
    return f"{found.prefix}{name}{found.naming.ends[what == 'bias']}"


def _fully_connected(found: Found) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights: any widths, as long as each layer reads what the one below it has."""
    inputs = FC6_INPUTS
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in FULLY_CONNECTED:
        has = found.arrays.get(f"{layer}_weight", ("", ()))[1]
        usual = 1000 if layer == "fc8" else USUAL_WIDTH
        outputs = has[0] if len(has) == 2 and 0 < has[0] <= 2**16 else usual
        shapes[f"{layer}_weight"] = (outputs, inputs)
        inputs = outputs
    return shapes


def read_weights(file: Path, table: ArrayTable, found: Found) -> dict[str, np.ndarray]:
    """Weights and biases as float32, by our names: conv1_weight is (64, 3, 11, 11).

    found: as :func:`check` gave it. Raises OperationFailed where the file is cut or a number is not finite.
    """
    weights = {}
    for ours, (name, _) in found.arrays.items():
        array = read_array(file, name, table[name])
        if found.naming.height_first and array.ndim == 4:
            array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
        weights[ours] = array
    return weights
