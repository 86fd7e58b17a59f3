"""A trained net as files that any MXNet can load: symbol, parameters, and what they mean (Sec. 3.5, 4.1)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import safe_json
from ..atomic_files import sha256
from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest, OperationFailed
from ..model.classifier import Model, classify_with, count_parameters
from ..safe_files import read_text
from . import processor
from .files import FORMAT, FORMAT_VERSION, NEEDED, Publication, file_of

_LOG = logging.getLogger(__name__)


def is_export(path: Path) -> bool:
    """Whether OUT names an exported pair: OUT.json and OUT-symbol.json are there."""
    return all(file_of(path, role).exists() for role in ("description", "symbol"))


def export(
    classifier: Any,
    path: Path,
    size: int,
    description: dict,
    images: np.ndarray,
    context: Any,
    overwrite: bool = False,
) -> dict:
    """Write OUT-symbol.json, OUT-0000.params and OUT.json, once what was written has been read back and compared.

    classifier: a hybridized block from raw images to probabilities. images: uint8 (N, size, size, 3), real ones,
    at least one. overwrite: replace an export that is there. Returns what OUT.json holds. Raises OperationFailed if the
    files give other probabilities than the net; then nothing is left under the final names.
    """
    with Publication(overwrite) as publication:
        draft = publication.draft(path)
        differences = write_pair(publication, draft, classifier, images, context)
        verified = {"images": len(images), "largest_difference": differences}
        written = publication.describe(draft, size, {**description, "verified": verified})
        publication.publish()
    return written


def write_pair(
    publication: Publication, draft: Path, classifier: Any, images: np.ndarray, context: Any
) -> dict[str, float]:
    """The symbol/params pair of :func:`export` as a draft; the largest difference of each way to load it."""
    expected = as_it_is(classifier, images, context)  # also the forward pass that exporting needs
    classifier.export(str(draft))
    return publication.verify(draft, runners(context), images, expected)


def as_it_is(block: Any, images: np.ndarray, context: Any) -> np.ndarray:
    """What a block gives for uint8 (N, size, size, 3) by the graph that is in the files, as other programs run it."""
    return block(mx.nd.array(network_order(images), ctx=context)).asnumpy()


def runners(context: Any) -> dict[str, Callable[[Path, np.ndarray], np.ndarray]]:
    """MXNet's two ways to load a pair, by name: (OUT, uint8 (N, size, size, 3)) → probabilities (N, classes)."""
    return {
        "SymbolBlock": lambda path, images: _by_symbol_block(path, images, context),
        "Module": lambda path, images: _by_module(path, images, context),
    }


def load_export(path: Path, context: Any, parts: bool = False) -> Model:
    """The net of an exported pair. parts: a convolutional part, too, whose ``classify`` raises InvalidRequest.

    Raises OperationFailed where a file of it is missing, cut or of another pair, InvalidRequest where it classifies
    nothing.
    """
    description = read_export(path, context)
    recipe = str(description["provenance"].get("recipe", ""))
    size, variants = int(description["input"]["shape"][-1]), tuple(description["provenance"]["variants"])
    refused = f"{path} is a convolutional part and knows no classes; train a net that begins with it (`init_from`)."
    if is_part(description) and not parts:
        raise InvalidRequest(refused)
    block = load_pair(path, context)

    def refuse(images: np.ndarray) -> np.ndarray:  # noqa: ARG001  as every net is called
        raise InvalidRequest(refused)

    _LOG.info("loaded the export %s: %d classes, input %d pixels", path, len(description["classes"]), size)
    classifies = refuse if is_part(description) else classify_with(block, context)
    return Model(classifies, size, description["classes"], str(path), variants, count_parameters(block), None, recipe)


def is_part(description: Mapping) -> bool:
    """Whether an export, by what OUT.json holds, gives maps and no probabilities: a net to begin with."""
    return len(description.get("output", {}).get("shape", ())) > 2


def read_export(path: Path, context: Any) -> dict:
    """What OUT.json holds, once the other files have been held against their digests.

    Raises OperationFailed where a file is missing, cut or of another export, InvalidRequest where the context cannot
    run it.
    """
    description_file = file_of(path, "description")
    try:
        description = safe_json.parse(read_text(description_file))
        if description["format"] != FORMAT:
            raise ValueError("of another program")
        digests, version = dict(description["sha256"]), int(description["version"])
        classes, _ = list(description["classes"]), tuple(description["provenance"]["variants"])
        int(description["input"]["shape"][-1])
        fewer_bits = next((form for form in ("int8", "bf16") if form in description), None)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise OperationFailed(
            f"{description_file} is not the description of an exported AlexNet; export the run again."
        ) from error
    if version > FORMAT_VERSION:
        raise OperationFailed(
            f"{description_file} has version {version}; this program reads up to {FORMAT_VERSION}: update it."
        )
    if fewer_bits and context.device_type != "cpu":
        article = {"int8": "an int8", "bf16": "a bf16"}[fewer_bits]
        raise InvalidRequest(f"{path} is {article} net, which oneDNN computes on a CPU; use cpu(0) as `device`.")
    if fewer_bits == "bf16" and (reason := processor.no_bfloat16()):
        raise InvalidRequest(f"{path} is a bf16 net, and {reason}; use the float32 net.")
    for role in (*NEEDED, "onnx"):
        file = file_of(path, role)
        if role not in NEEDED and not file.exists():
            continue  # an export need not have one, and MXNet does not read it
        if not file.exists():
            raise OperationFailed(f"{file} is missing; an exported net is three files, export the run again.")
        if digests.get(role) != sha256(file):
            raise OperationFailed(f"{file} is damaged or does not belong to {description_file}; export the run again.")
    return {**description, "classes": classes}


def load_pair(path: Path, context: Any) -> Any:
    """The block of OUT-symbol.json and OUT-0000.params, unchecked: of a draft, say."""
    symbol, parameters = file_of(path, "symbol"), file_of(path, "parameters")
    with warnings.catch_warnings():
        # The graph leaves the input's type open; MXNet then takes float32, as meant.
        warnings.filterwarnings("ignore", "Cannot decide type")
        return mx.gluon.SymbolBlock.imports(str(symbol), ["data"], str(parameters), ctx=context)


def _by_symbol_block(path: Path, images: np.ndarray, context: Any) -> np.ndarray:
    return as_it_is(load_pair(path, context), images, context)


def _by_module(path: Path, images: np.ndarray, context: Any) -> np.ndarray:
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(path), 0)
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None, context=context)
    data = mx.nd.array(network_order(images), ctx=context)
    module.bind(for_training=False, data_shapes=[("data", data.shape)])
    module.set_params(arguments, auxiliary)
    module.forward(mx.io.DataBatch([data]), is_train=False)
    return module.get_outputs()[0].asnumpy()
