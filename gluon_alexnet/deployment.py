"""A trained net as files that any MXNet can load: symbol, parameters, and what they mean (Sec. 3.5, 4.1)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import recipe
from .augmentation import network_order
from .backend import mx
from .errors import FailedWork
from .files import sha256, sync
from .network import AlexNet, set_parameters

FORMAT = "alexnet-export"
FORMAT_VERSION = 1

# float32 sums in another order differ this much at most between two ways to run the same net.
TOLERANCE = 1e-5


class Classifier(mx.gluon.HybridBlock):
    """AlexNet from raw pictures to probabilities, in one graph.

    Input: (N, 3, 224, 224), RGB grey levels 0 to 255. Output: (N, classes), softmax.
    """

    def __init__(self, network: recipe.Network, classes: int, **kwargs):
        super().__init__(prefix="", **kwargs)
        with self.name_scope():
            self.net = AlexNet(network, classes)
            shape = (1, 3, network.input_size, network.input_size)
            self.mean = self.params.get("mean", shape=shape, grad_req="null", init=mx.init.Zero())

    def hybrid_forward(self, F, x, mean):
        return F.softmax(self.net(F.broadcast_sub(x, mean)))


@dataclass(frozen=True)
class Model:
    """A net to classify with. ``classify``: uint8 (M, size, size, 3) → float32 (M, classes)."""

    classify: Callable[[np.ndarray], np.ndarray]
    size: int
    classes: list[dict]
    source: str
    variants: tuple[str, ...] = ()  # of the recipe it was trained with


def build_classifier(network: recipe.Network, parameters: dict, context) -> Classifier:
    """The classifier with these parameters (those of :class:`AlexNet` and ``mean``), hybridized, on a context."""
    classes = parameters["fc8_bias"].shape[0]
    classifier = Classifier(network, classes)
    classifier.initialize(ctx=context)
    set_parameters(classifier, {**parameters, "mean": parameters["mean"].expand_dims(0)})
    classifier.hybridize(static_alloc=True)
    return classifier


def classify_with(block, context) -> Callable[[np.ndarray], np.ndarray]:
    """A block over raw pictures as a function of uint8 (M, height, width, 3)."""

    def classify(pictures):
        return block(mx.nd.array(network_order(pictures), ctx=context)).asnumpy()

    return classify


def is_export(path: Path) -> bool:
    """Whether OUT names an exported pair: OUT.json and OUT-symbol.json are there."""
    return all(file.exists() for file in _files(path)[::2])


def export(classifier: Classifier, path: Path, size: int, description: dict, pictures: np.ndarray, context) -> dict:
    """Write OUT-symbol.json, OUT-0000.params and OUT.json, once what was written has been read back and compared.

    pictures: uint8 (N, size, size, 3), real ones, at least one. Returns what OUT.json holds. Raises FailedWork
    if the files give other probabilities than the net; then nothing is left under the final names.
    """
    expected = classify_with(classifier, context)(pictures)  # also the forward pass that exporting needs
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        draft = folder / path.name
        classifier.export(str(draft))
        differences = {
            name: float(np.abs(run(draft, pictures, context) - expected).max())
            for name, run in (("SymbolBlock", _by_symbol_block), ("Module", _by_module))
        }
        largest = max(differences.values())
        if not largest <= TOLERANCE:
            raise FailedWork(
                f"{path}: the exported net differs from the run by {largest:.2g} in a probability (allowed: "
                f"{TOLERANCE:.0e}); nothing was written."
            )
        description = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "input": {"name": "data", "shape": ["N", 3, size, size], "values": "RGB grey levels 0 to 255, float32"},
            "output": {"shape": ["N", len(description["classes"])], "values": "softmax probabilities"},
            **description,
            "verified": {"pictures": len(pictures), "largest_difference": differences},
            "sha256": {"symbol": sha256(_files(draft)[1]), "parameters": sha256(_files(draft)[2])},
        }
        _files(draft)[0].write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for source, target in zip(_files(draft)[::-1], _files(path)[::-1]):
            sync(source)
            os.replace(source, target)  # the description last: it names the digests of the others
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return description


def load_export(path: Path, context) -> Model:
    """The net of an exported pair. Raises FailedWork where a file of it is missing, cut or of another pair."""
    description_file, symbol_file, parameter_file = _files(path)
    try:
        description = json.loads(description_file.read_text(encoding="utf-8"))
        digests, size = description["sha256"], int(description["input"]["shape"][-1])
        version, classes = description["version"], list(description["classes"])
        variants = tuple(description["provenance"]["variants"])
        foreign = description["format"] != FORMAT
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise FailedWork(
            f"{description_file} is not the description of an exported AlexNet; export the run again."
        ) from error
    if foreign:
        raise FailedWork(f"{description_file} is not the description of an exported AlexNet; export the run again.")
    if version > FORMAT_VERSION:
        raise FailedWork(
            f"{description_file} has version {version}; this program reads up to {FORMAT_VERSION}: update it."
        )
    for file, role in ((symbol_file, "symbol"), (parameter_file, "parameters")):
        if not file.exists():
            raise FailedWork(f"{file} is missing; an exported net is three files, export the run again.")
        if digests.get(role) != sha256(file):
            raise FailedWork(f"{file} is damaged or does not belong to {description_file}; export the run again.")
    return Model(classify_with(_symbol_block(path, context), context), size, classes, str(path), variants)


def _files(path: Path) -> tuple[Path, Path, Path]:
    description, symbol, parameters = (path.with_name(path.name + e) for e in (".json", "-symbol.json", "-0000.params"))
    return description, symbol, parameters


def _symbol_block(path, context):
    _, symbol, parameters = _files(path)
    with warnings.catch_warnings():
        # The graph leaves the input's type open; MXNet then takes float32, as meant.
        warnings.filterwarnings("ignore", "Cannot decide type")
        return mx.gluon.SymbolBlock.imports(str(symbol), ["data"], str(parameters), ctx=context)


def _by_symbol_block(path, pictures, context):
    return classify_with(_symbol_block(path, context), context)(pictures)


def _by_module(path, pictures, context):
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(path), 0)
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None, context=context)
    data = mx.nd.array(network_order(pictures), ctx=context)
    module.bind(for_training=False, data_shapes=[("data", data.shape)])
    module.set_params(arguments, auxiliary)
    module.forward(mx.io.DataBatch([data]), is_train=False)
    return module.get_outputs()[0].asnumpy()
