"""A deployed net as an ONNX file that other programs load, checked in the hands of two or three of them.

MXNet's exporter writes the graph; what its output lacks is put right here: a batch size by name, weights that are
constants rather than inputs, and the one operator whose setting OpenCV does not read.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest, OperationFailed
from .files import TOLERANCE_OF_OTHERS, Publication
from .onnx_plain import without_lrn

BATCH = "N"  # the name of the free dimension
OPSET, IR_VERSION = 13, 7  # of 2020: what MXNet's nodes keep to, whatever the onnx library's newest is


def write(pair: Path, size: int, classes: int, plain: bool = False) -> None:
    """Write PAIR.onnx from PAIR-symbol.json and PAIR-0000.params; the batch size stays free.

    size: height and width of the input. plain: LRN as elementary operators, for runtimes that lack it. Raises
    InvalidRequest where the net has something that ONNX cannot express.
    """
    onnx, file = _module("onnx"), f"{pair}.onnx"
    shape = (3, size, size)
    try:
        mx.onnx.export_model(
            f"{pair}-symbol.json",
            f"{pair}-0000.params",
            [(1, *shape)],
            np.float32,
            file,
            dynamic=True,
            dynamic_input_shapes=[(None, *shape)],
        )
    except (AttributeError, NotImplementedError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidRequest(f"This net cannot be written as ONNX: {reason}.") from error
    model = onnx.load(file)
    _constant_weights(model.graph)
    _padded_before_averages(onnx, model.graph)
    float32 = onnx.TensorProto.FLOAT
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.append(onnx.helper.make_tensor_value_info("data", float32, [BATCH, *shape]))
    output = model.graph.node[-1].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, float32, [BATCH, classes]))
    if plain:
        model = without_lrn(onnx, model)
    model.opset_import[0].version, model.ir_version = OPSET, IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def verify(publication: Publication, draft: Path, images: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Largest difference of each program that runs the draft's ONNX file, with all images at once and with one alone.

    images: uint8 (N, size, size, 3). expected: probabilities (N, classes). Raises OperationFailed where it is too
    large.
    """
    runners = {name: run for name, run in RUNNERS.items() if name != "OpenVINO" or find_spec("openvino")}
    together, alone = (
        publication.verify(draft, runners, images[:count], expected[:count], TOLERANCE_OF_OTHERS)
        for count in (len(images), 1)
    )
    return {name: max(together[name], alone[name]) for name in runners}


def check_installed() -> None:
    """Raise InvalidRequest where a library of the extra onnx is missing."""
    for name in ("onnx", "onnxruntime"):
        _module(name)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidRequest(f"`onnx` needs {name} ({error}); install this package with its extra onnx.") from error


def _constant_weights(graph: Any) -> None:
    """Drop what no node reads; an initializer that is an input too could be replaced, and is never folded."""
    used = {name for node in graph.node for name in node.input}
    kept = [array for array in graph.initializer if array.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _padded_before_averages(onnx: Any, graph: Any) -> None:
    """Write averages over zeros beyond the border as padding and averages without: OpenCV leaves the zeros out."""
    nodes = []
    for node in graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        pads = list(attributes["pads"].ints) if "pads" in attributes else []
        if node.op_type == "AveragePool" and any(pads) and attributes["count_include_pad"].i:
            amounts = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
            names = [f"{node.name}_padding", f"{node.name}_padding_value", f"{node.name}_padded"]
            graph.initializer.append(onnx.numpy_helper.from_array(amounts, names[0]))
            graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), names[1]))
            nodes.append(onnx.helper.make_node("Pad", [node.input[0], *names[:2]], [names[2]], mode="constant"))
            node.input[0] = names[2]
            for name in ("pads", "count_include_pad"):
                node.attribute.remove(attributes[name])
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _by_onnxruntime(path: Path, images: np.ndarray) -> np.ndarray:
    session = _module("onnxruntime").InferenceSession(f"{path}.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"data": network_order(images)})[0]


def _by_opencv(path: Path, images: np.ndarray) -> np.ndarray:
    try:
        net = cv2.dnn.readNetFromONNX(f"{path}.onnx")
        net.setInput(network_order(images))
        return net.forward().reshape(len(images), -1)
    except cv2.error as error:
        raise OperationFailed(f"OpenCV cannot run the ONNX file: {error.err}.") from error


def _by_openvino(path: Path, images: np.ndarray) -> np.ndarray:
    openvino = _module("openvino")
    # Without the hint OpenVINO computes in bfloat16 where the processor can, which is another net's arithmetic.
    compiled = openvino.compile_model(f"{path}.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(network_order(images))[0]


# Programs that run OUT.onnx, by name: (OUT, uint8 (N, size, size, 3)) → probabilities (N, classes).
# OpenVINO is asked where it is installed; the extra onnx does without.
RUNNERS = {"onnxruntime": _by_onnxruntime, "OpenCV": _by_opencv, "OpenVINO": _by_openvino}
