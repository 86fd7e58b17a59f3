"""The Open Inference Protocol's requests and answers (version 2; KServe, Triton), as JSON and as binary tensors.

One input, ``images``: BYTES, each element an image file (base64 in JSON, as it is in binary), or UINT8
(N, height, width, 3), RGB. One output, ``probabilities``: FP32 (N, classes), or with Triton's parameter
``classification`` BYTES (N, count) of ``probability:label:name``.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from .. import safe_json

INPUT, OUTPUT = "images", "probabilities"
VERSION = "1"
PLATFORM = "mxnet"
EXTENSIONS = ("binary_tensor_data", "classification")
LENGTH_HEADER = "inference-header-content-length"  # bytes of JSON before the binary tensors


class ProtocolError(ValueError):
    """What was sent is no request of the protocol, or not one for this model; the message is for the client."""


@dataclass(frozen=True)
class InferenceRequest:
    """What a client wants to know."""

    id: str | None
    images: list[bytes] | np.ndarray  # files, or uint8 (N, height, width, 3)
    views: int
    binary: bool  # whether the output is to be binary
    classification: int  # best classes wanted as text; 0: all probabilities


def model_metadata(name: str, classes: int) -> dict[str, Any]:
    """What ``GET /v2/models/NAME`` answers."""
    return {
        "name": name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, classes]}],
    }


def read_request(body: bytes, header_length: str | None, most_images: int) -> InferenceRequest:
    """The request of a body; header_length: the header that says how much of it is JSON, or None for all.

    Raises ProtocolError.
    """
    length = _header_length(header_length, body)
    try:
        request = safe_json.parse(body[:length])
    except ValueError as error:
        raise ProtocolError("the body does not begin with the JSON of an inference request") from error
    if not isinstance(request, dict):
        raise ProtocolError("an inference request is a JSON object")
    tensor = _only_input(request.get("inputs"))
    images = _images(tensor, memoryview(body)[length:], most_images)
    parameters = _object(request.get("parameters"), "parameters")
    outputs = request.get("outputs") or [{"name": OUTPUT}]
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        raise ProtocolError(f"outputs must be one, {OUTPUT}")
    if outputs[0].get("name") != OUTPUT:
        raise ProtocolError(f"there is no output {outputs[0].get('name')!r}; the model has {OUTPUT}")
    of_output = _object(outputs[0].get("parameters"), "parameters of the output")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise ProtocolError("id must be a string")
    return InferenceRequest(
        identity,
        images,
        _views(parameters.get("views", 1)),
        bool(of_output.get("binary_data", parameters.get("binary_data_output", False))),
        _whole(of_output.get("classification", 0), "classification"),
    )


def write_response(
    request: InferenceRequest, name: str, probabilities: np.ndarray, classes: Sequence[Mapping[str, str]]
) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of the answer. probabilities: float32 (N, classes)."""
    if request.classification:
        count = min(request.classification, probabilities.shape[1])
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
        texts = [f"{row[k]:.6f}:{k}:{classes[k]['name']}" for row, labels in zip(probabilities, best) for k in labels]
        tensor = {"name": OUTPUT, "datatype": "BYTES", "shape": [len(best), count]}
        data, raw = texts, _bytes_tensor([text.encode() for text in texts])
    else:
        tensor = {"name": OUTPUT, "datatype": "FP32", "shape": list(probabilities.shape)}
        data, raw = probabilities.ravel().tolist(), probabilities.astype("<f4").tobytes()
    response: dict[str, Any] = {"model_name": name, "model_version": VERSION}
    if request.id is not None:
        response["id"] = request.id
    if not request.binary:
        # All but ASCII is escaped: an id with half a surrogate pair has no UTF-8, and goes back as it came.
        body = json.dumps({**response, "outputs": [{**tensor, "data": data}]}).encode()
        return body, {"content-type": "application/json"}
    response["outputs"] = [{**tensor, "parameters": {"binary_data_size": len(raw)}}]
    head = json.dumps(response).encode()
    return head + raw, {"content-type": "application/octet-stream", LENGTH_HEADER: str(len(head))}


def _header_length(header: str | None, body: bytes) -> int:
    if header is None:
        return len(body)
    if not header.isdecimal() or int(header) > len(body):
        raise ProtocolError(f"{LENGTH_HEADER} must be a number of bytes, at most the body's {len(body)}")
    return int(header)


def _only_input(inputs: Any) -> dict[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise ProtocolError(f"inputs must be one, {INPUT}")
    tensor = inputs[0]
    if tensor.get("name") != INPUT:
        raise ProtocolError(f"there is no input {tensor.get('name')!r}; the model has {INPUT}")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise ProtocolError("shape must be a list of whole numbers")
    return tensor


def _images(tensor: Mapping[str, Any], binary: memoryview, most: int) -> Union[list[bytes], np.ndarray]:
    shape, kind = tensor["shape"], tensor.get("datatype")
    if kind not in ("BYTES", "UINT8"):
        raise ProtocolError(f"datatype must be BYTES (image files) or UINT8 (pixels), not {kind!r}")
    if (kind == "BYTES" and len(shape) != 1) or (kind == "UINT8" and (len(shape) != 4 or shape[3] != 3)):
        raise ProtocolError(f"shape {shape} of {kind} must be [N], or [N, height, width, 3] of UINT8")
    if not 1 <= shape[0] <= most:
        raise ProtocolError(f"{shape[0]} images in one request; from 1 to {most} are taken")
    if 0 in shape:
        raise ProtocolError("an image without pixels is none")
    size = _object(tensor.get("parameters"), "parameters of the input").get("binary_data_size")
    if size is None:
        return _from_json(tensor.get("data"), kind, shape)
    if _whole(size, "binary_data_size") != len(binary):
        raise ProtocolError(f"binary_data_size is {size}, and {len(binary)} bytes follow the JSON")
    if kind == "BYTES":
        return _split_bytes(binary, shape[0])
    if len(binary) != _elements(shape):
        raise ProtocolError(f"shape {shape} has {_elements(shape)} bytes, and {len(binary)} were sent")
    return np.frombuffer(binary, np.uint8).reshape(shape)


def _from_json(data: Any, kind: str, shape: Sequence[int]) -> list[bytes] | np.ndarray:
    if not isinstance(data, list):
        raise ProtocolError("the input has neither data nor binary_data_size")
    if kind == "BYTES":
        if len(data) != shape[0] or not all(isinstance(element, str) for element in data):
            raise ProtocolError(f"data must be {shape[0]} strings, each an image file in base64")
        try:
            return [base64.b64decode(element, validate=True) for element in data]
        except (binascii.Error, ValueError) as error:
            raise ProtocolError("an element of data is not base64") from error
    try:
        values = np.asarray(data)  # nested or flat: the protocol allows both
    except ValueError as error:
        raise ProtocolError("data must be numbers, flat or nested as the shape says") from error
    if values.dtype.kind not in "iu" or values.size != _elements(shape):
        raise ProtocolError(f"data must be {_elements(shape)} whole numbers, as the shape says")
    if values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise ProtocolError("UINT8 goes from 0 to 255")
    return values.astype(np.uint8).reshape(shape)


def _split_bytes(binary: memoryview, count: int) -> list[bytes]:
    """The elements of a BYTES tensor, each after its length in four bytes."""
    elements, place = [], 0
    for _ in range(count):
        if place + 4 > len(binary):
            raise ProtocolError(f"the binary tensor ends before its {count} elements")
        (length,) = struct.unpack_from("<I", binary, place)
        place += 4
        if place + length > len(binary):
            raise ProtocolError(f"the binary tensor ends before its {count} elements")
        elements.append(bytes(binary[place : place + length]))
        place += length
    if place != len(binary):
        raise ProtocolError(f"{len(binary) - place} bytes follow the binary tensor's {count} elements")
    return elements


def _bytes_tensor(elements: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def _elements(shape: Sequence[int]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} must be an object")
    return value


def _whole(value: Any, what: str) -> int:
    if type(value) is not int or value < 0:
        raise ProtocolError(f"{what} must be a whole number, 0 or more")
    return value


def _views(value: Any) -> int:
    if value not in (1, 10) or type(value) is bool:
        raise ProtocolError(f"views must be 1 or 10, not {value!r}")
    return int(value)
