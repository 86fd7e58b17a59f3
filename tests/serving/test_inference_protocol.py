"""The Open Inference Protocol: against Triton's own client, and what is malformed, by hand."""

import base64
import json
import struct

import numpy as np
import pytest
from helpers import serving
from helpers.images import file_bytes, photo
from starlette.testclient import TestClient

from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.serving import app
from gluon_alexnet.serving.interfaces import Limits

INFER = "/v2/models/colours/infer"
FILES = [file_bytes(photo(seed, 90 + seed, 120), "PNG") for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def triton():
    """Triton's client, and a server it can reach."""
    http = pytest.importorskip("tritonclient.http")
    with (
        serving.running(serving.make_core()) as (port, _),
        http.InferenceServerClient(f"127.0.0.1:{port}", concurrency=4) as client,
    ):
        yield http, client


@pytest.fixture
def client():
    core = serving.make_core(limits=Limits(images=4))
    with TestClient(app.build(core, serving.VERSION)) as client:
        yield client


def expected(files, views):
    """Probabilities by hand, (N, 3)."""
    images = np.stack([shorter_side_256(decode(data)) for data in files])
    return np.stack([serving.opinion(view).mean(axis=0) for view in crop_views(images, serving.SIZE, views)])


def test_triton_finds_the_server_and_its_model(triton):
    _, client = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("colours")
    assert client.is_model_ready("colours", "1")
    assert not client.is_model_ready("colours", "2")
    assert client.get_server_metadata()["version"] == serving.VERSION
    metadata = client.get_model_metadata("colours")
    assert metadata["inputs"] == [{"name": "images", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("views", [1, 10])
def test_triton_sends_files(triton, binary, views):
    http, client = triton
    images = http.InferInput("images", [3], "BYTES")
    images.set_data_from_numpy(np.array(FILES, object))
    output = http.InferRequestedOutput("probabilities", binary_data=binary)
    answer = client.infer("colours", [images], outputs=[output], request_id="7", parameters={"views": views})
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected(FILES, views), rtol=1e-5)
    assert answer.get_response()["id"] == "7"
    assert answer.get_response()["model_version"] == "1"


@pytest.mark.parametrize("binary", [True, False])
def test_triton_sends_pixels(triton, binary):
    http, client = triton
    pixels = np.stack([photo(seed, 12, 20) for seed in (4, 5)])
    images = http.InferInput("images", pixels.shape, "UINT8")
    images.set_data_from_numpy(pixels, binary_data=binary)
    answer = client.infer("colours", [images])
    prepared = [file_bytes(shorter_side_256(one), "PNG") for one in pixels]
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected(prepared, 1), rtol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_triton_asks_for_the_best_classes_as_text(triton, binary):
    http, client = triton
    images = http.InferInput("images", [2], "BYTES")
    images.set_data_from_numpy(np.array(FILES[:2], object))
    output = http.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
    texts = client.infer("colours", [images], outputs=[output]).as_numpy("probabilities")
    assert texts.shape == (2, 2)
    for row, probabilities in zip(texts, expected(FILES[:2], 1)):
        for text, label in zip(row, np.argsort(-probabilities)):
            text = text.decode() if isinstance(text, bytes) else text
            probability, number, name = text.split(":")
            assert (int(number), name) == (label, serving.CLASSES[label]["name"])
            assert abs(float(probability) - probabilities[label]) < 1e-5


def test_triton_many_at_once(triton):
    http, client = triton

    def ask(number):
        images = http.InferInput("images", [1], "BYTES")
        images.set_data_from_numpy(np.array([FILES[number % 3]], object))
        return client.async_infer("colours", [images])

    for number, asked in enumerate([ask(number) for number in range(12)]):
        found = asked.get_result().as_numpy("probabilities")
        np.testing.assert_allclose(found, expected([FILES[number % 3]], 1), rtol=1e-5)


def test_triton_is_told_what_is_wrong(triton):
    http, client = triton
    images = http.InferInput("images", [1], "BYTES")
    images.set_data_from_numpy(np.array([b"junk"], object))
    with pytest.raises(http.InferenceServerException, match="no image this program reads"):
        client.infer("colours", [images])
    with pytest.raises(http.InferenceServerException, match="there is no model 'other'"):
        client.infer("other", [images])


def test_json_alone_carries_files_in_base64(client):
    data = [base64.b64encode(file).decode() for file in FILES]
    request = {"inputs": [{"name": "images", "shape": [3], "datatype": "BYTES", "data": data}]}
    answer = client.post(INFER, json=request).json()
    tensor = answer["outputs"][0]
    assert (tensor["datatype"], tensor["shape"]) == ("FP32", [3, 3])
    np.testing.assert_allclose(np.reshape(tensor["data"], (3, 3)), expected(FILES, 1), rtol=1e-5)
    assert "id" not in answer


def tensor(**changes):
    flat = {"name": "images", "shape": [1, 1, 2, 3], "datatype": "UINT8", "data": [0, 1, 2, 3, 4, 255]}
    return {key: value for key, value in {**flat, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ([], "JSON object"),
        ({}, "inputs must be one"),
        ({"inputs": [tensor(), tensor()]}, "inputs must be one"),
        ({"inputs": [tensor(name="x")]}, "no input 'x'"),
        ({"inputs": [tensor(shape=[1, True, 2, 3])]}, "whole numbers"),
        ({"inputs": [tensor(shape=[1, -1, 2, 3])]}, "whole numbers"),
        ({"inputs": [tensor(datatype="FP32")]}, "BYTES"),
        ({"inputs": [tensor(shape=[6])]}, "must be [N]"),
        ({"inputs": [tensor(shape=[1, 2, 1, 3, 1])]}, "must be [N]"),
        ({"inputs": [tensor(data=[0.5] * 6)]}, "6 whole numbers"),
        ({"inputs": [tensor(data=[0, 1, 2, 3, 4, 256])]}, "0 to 255"),
        ({"inputs": [tensor(data=[0, 1, 2])]}, "6 whole numbers"),
        ({"inputs": [tensor(data=[[0, 1], [2]])]}, "numbers"),
        ({"inputs": [tensor(data=None)]}, "neither data nor binary_data_size"),
        ({"inputs": [tensor(shape=[9, 1, 2, 3])]}, "from 1 to 4"),
        ({"inputs": [tensor(shape=[0, 1, 2, 3], data=[])]}, "from 1 to 4"),
        ({"inputs": [tensor(shape=[1], datatype="BYTES", data=["?"])]}, "not base64"),
        ({"inputs": [tensor(shape=[2], datatype="BYTES", data=["aGk="])]}, "2 strings"),
        ({"inputs": [tensor()], "outputs": [{"name": "x"}]}, "no output 'x'"),
        ({"inputs": [tensor()], "outputs": [1]}, "outputs must be one"),
        ({"inputs": [tensor()], "parameters": {"views": 5}}, "1 or 10"),
        ({"inputs": [tensor()], "parameters": {"views": True}}, "1 or 10"),
        ({"inputs": [tensor()], "parameters": 3}, "must be an object"),
        ({"inputs": [tensor()], "id": 3}, "id must be"),
        ({"inputs": [tensor()], "outputs": [{"name": "probabilities", "parameters": {"classification": -1}}]}, "whole"),
    ],
)
def test_what_is_malformed_is_said(client, request_, reason):
    response = client.post(INFER, json=request_)
    assert response.status_code == 400
    assert reason in response.json()["error"]


def binary(content, blob, length=None):
    head = json.dumps({"inputs": [tensor(data=None, **content)]}).encode()
    return head + blob, {"inference-header-content-length": str(len(head) if length is None else length)}


@pytest.mark.parametrize(
    ("content", "blob", "reason"),
    [
        ({"parameters": {"binary_data_size": 5}}, b"x" * 5, "6 bytes, and 5"),
        ({"parameters": {"binary_data_size": 5}}, b"x" * 6, "6 bytes follow"),
        ({"parameters": {"binary_data_size": "6"}}, b"x" * 6, "whole number"),
        ({"shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 3}}, b"xyz", "ends before"),
        (
            {"shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
            struct.pack("<I", 2**32 - 1) + b"xy",
            "ends before",
        ),
        (
            {"shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
            struct.pack("<I", 1) + b"xy",
            "1 bytes follow",
        ),
    ],
)
def test_a_damaged_binary_tensor_is_said(client, content, blob, reason):
    body, headers = binary(content, blob)
    response = client.post(INFER, content=body, headers=headers)
    assert response.status_code == 400
    assert reason in response.json()["error"]


@pytest.mark.parametrize("length", [10**6, "-1", "x", "٣"])
def test_a_wrong_header_length_is_said(client, length):
    body, _ = binary({"parameters": {"binary_data_size": 6}}, b"x" * 6)
    headers = {b"inference-header-content-length": str(length).encode()}
    response = client.post(INFER, content=body, headers=headers)
    assert response.status_code == 400


def test_pixels_without_pixels_are_no_image(client):
    request = {"inputs": [tensor(shape=[1, 0, 5, 3], data=[])]}
    assert "without pixels" in client.post(INFER, json=request).json()["error"]


def test_an_id_goes_back_as_it_came(client):
    for identity in ("", "réponse 7", "\ud800", "\x00"):  # half a surrogate pair has no UTF-8
        body = json.dumps({"inputs": [tensor()], "id": identity})
        assert client.post(INFER, content=body).json()["id"] == identity


def test_any_bytes_are_answered(client, rng):
    """Requests with bytes changed at random: each gets an answer, none of them 500."""
    body, headers = binary({"parameters": {"binary_data_size": 6}}, bytes(range(6)))
    seen = set()
    for _ in range(300):
        damaged = bytearray(body)
        for place in rng.integers(0, len(body), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        seen.add(client.post(INFER, content=bytes(damaged), headers=headers).status_code)
    assert seen <= {200, 400, 422}
    assert 400 in seen
