"""The addresses: what is asked, what is answered, and in which words what is wrong is said."""

import base64
import json
import logging

import numpy as np
import pytest
from helpers import serving
from helpers.images import ODD, file_bytes, photo
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.serving import app
from gluon_alexnet.serving.interfaces import Limits

LIMITS = Limits(body_bytes=400_000, images=3)


@pytest.fixture
def model():
    return serving.ColourModel()


@pytest.fixture
def client(model):
    with TestClient(app.build(serving.make_core(model, LIMITS, whole=True), serving.VERSION)) as client:
        yield client


def opinions(data, views):
    """What the colour model says of each view of an image file."""
    return serving.opinion(crop_views(shorter_side_256(decode(data))[None], serving.SIZE, views)[0])


@pytest.mark.parametrize("views", [1, 10])
def test_predict_is_the_mean_over_the_views(client, model, views):
    data = file_bytes(photo(3, 300, 400), "PNG")
    answer = client.post(f"/predict?views={views}&top=2", content=data).json()
    expected = opinions(data, views).mean(axis=0)
    assert (answer["model"], answer["views"], model.passes) == ("colours", views, [views])
    order = np.argsort(-expected)[:2]
    assert [guess["label"] for guess in answer["guesses"]] == order.tolist()
    assert [guess["wnid"] for guess in answer["guesses"]] == [f"n{k}" for k in order]
    np.testing.assert_allclose([guess["probability"] for guess in answer["guesses"]], expected[order], rtol=1e-6)


def test_predict_takes_what_pack_takes(client):
    for file in ("pil_sample_cmyk.jpg", "hopper_orientation_5.jpg", "hopper_gray.jpg"):
        data = (ODD / file).read_bytes()
        assert (
            client.post("/predict", content=data).json()["guesses"][0]["label"] == opinions(data, 10).mean(0).argmax()
        )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<svg/>", "not an image in a format"),
        ((ODD / "truncated_jpeg.jpg").read_bytes(), "trunc"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, ""),
    ],
)
def test_what_is_no_image_is_said(client, model, data, reason):
    response = client.post("/predict", content=data)
    assert response.status_code == 422
    assert "is no image this program reads" in response.json()["error"]
    assert reason in response.json()["error"]
    assert model.passes == []


@pytest.mark.parametrize(
    ("path", "status"),
    [("/predict?views=3", 400), ("/predict?top=0", 400), ("/predict?top=١", 400), ("/predict?views=", 400),
     ("/look?without=everything", 400), ("/look?without=column1,column2", 400), ("/similar?count=100", 400),
     ("/nothing", 404), ("/metrics", 405)],
)  # fmt: skip
def test_what_is_asked_wrongly_is_said(client, path, status):
    response = client.post(path, content=file_bytes(photo(1), "JPEG"))
    assert response.status_code == status
    assert response.json()["error"]


def test_bodies_are_bounded_and_not_unpacked(client, model):
    assert client.post("/predict", content=b"x" * 400_001).status_code == 413
    chunks = client.post("/predict", content=iter([b"x" * 300_000] * 2))  # no length is told beforehand
    assert chunks.status_code == 413
    assert "400000 bytes" in chunks.json()["error"]
    assert client.post("/predict", content=b"x", headers={"content-encoding": "gzip"}).status_code == 415
    assert model.passes == []
    assert metric(client, "alexnet_requests_begun") == 0


def test_every_answer_carries_the_headers_that_keep_a_browser_safe(client):
    for response in (client.get("/"), client.get("/model"), client.get("/nothing"), client.post("/predict")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in response.headers


def test_a_server_for_this_machine_answers_to_its_own_names_only():
    built = app.build(serving.make_core(), serving.VERSION, hosts=("localhost", "127.0.0.1", "[::1]"))
    with TestClient(built) as client:
        for name, status in (("localhost:80", 200), ("[::1]:80", 200), ("127.0.0.1", 200), ("elsewhere.example", 421)):
            assert client.get("/model", headers={"host": name}).status_code == status


def metric(client, name, **labels):
    """The value of one metric, read as Prometheus would."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = [s.value for family in families for s in family.samples if s.name == name and s.labels == labels]
    assert len(found) == 1, (name, labels)
    return found[0]


def test_metrics_count(client):
    data = file_bytes(photo(1), "JPEG")
    client.post("/predict", content=data)
    client.post("/predict?views=1", content=data)
    client.post("/predict", content=b"junk")
    client.get(f"/nothing-{'x' * 50}")
    assert metric(client, "alexnet_requests_total", path="/predict", status="200") == 2
    assert metric(client, "alexnet_requests_total", path="/predict", status="422") == 1
    assert metric(client, "alexnet_requests_total", path="other", status="404") == 1
    assert metric(client, "alexnet_request_seconds_count", path="/predict") == 3
    assert metric(client, "alexnet_images_total") == 2
    assert metric(client, "alexnet_pass_views_sum") == 11
    assert metric(client, "alexnet_waiting_views") == 0


def test_a_failure_inside_tells_the_client_nothing_of_the_inside(model, caplog):
    built = app.build(serving.make_core(model), serving.VERSION)
    model.error = RuntimeError("/home/somebody/net.params is broken")
    with TestClient(built, raise_server_exceptions=False) as client, caplog.at_level(logging.CRITICAL):
        response = client.post("/predict", content=file_bytes(photo(1), "JPEG"))
    assert response.status_code == 500
    assert "somebody" not in response.text
    assert "the server failed" in response.json()["error"]


def test_the_page_is_one_document_that_runs_nothing_else(client):
    response = client.get("/")
    policy, text = response.headers["content-security-policy"], response.text
    assert response.headers["content-type"].startswith("text/html")
    assert "http://" not in text.replace("http://www.w3.org/", "")
    assert "https://" not in text
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        content = text[text.index(f"<{tag}>") + len(tag) + 2 : text.index(f"</{tag}>")]
        digest = base64.b64encode(__import__("hashlib").sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert text.count(f"<{tag}") == 1
    assert "style=" not in text
    assert "onclick" not in text


def test_what_the_page_asks_for(client):
    data = file_bytes(photo(3, 300, 400), "JPEG")
    described = client.get("/model").json()
    assert (described["columns"], described["searchable"], described["examples"]) == (2, 10, 2)
    whole = client.post("/look", content=data).json()
    views = opinions(data, 10)
    np.testing.assert_allclose(whole["probabilities"], views.mean(axis=0), atol=1e-6)
    assert [view["label"] for view in whole["views"]] == views.argmax(axis=1).tolist()
    shown = decode(base64.b64decode(whole["image"].partition(",")[2]))
    np.testing.assert_array_equal(shown, shorter_side_256(decode(data)))
    less = client.post("/look?without=column1,normalization", content=data).json()
    assert less["without"] == ["column1", "normalization"]
    assert less["probabilities"][0] == 0
    assert client.get("/examples/1").headers["content-type"] == "image/png"
    assert decode(client.get("/examples/1").content).mean() == 100
    assert client.get("/examples/2").status_code == 404
    near = client.post("/similar?count=3", content=file_bytes(np.full((300, 300, 3), 52, np.uint8), "PNG")).json()
    assert [round(one["distance"]) for one in near["images"]] == [2, 23, 27]


def test_kernels_and_activations_are_sent_as_shades(client):
    kernels = client.get("/kernels").json()
    shades = np.frombuffer(base64.b64decode(kernels["values"]), np.uint8).reshape(2, 2, 2, 3)
    assert (kernels["columns"], kernels["kernels"]) == (2, 2)
    assert (shades[0] == 0).all()  # each by its own largest weight: both are at an end of the scale
    assert (shades[1] == 255).all()
    conv1, fc6 = client.post("/activations", content=file_bytes(photo(1), "JPEG")).json()["layers"]
    assert (conv1["name"], conv1["maps"], conv1["height"], conv1["reads_both"]) == ("conv1", 2, 2, False)
    assert (fc6["largest"], fc6["active"], fc6["reads_both"]) == (0, 0, True)
    assert (conv1["largest"], conv1["active"]) == (16, 3 / 8)
    values = np.frombuffer(base64.b64decode(conv1["values"]), np.uint8)
    assert values.tolist() == [0, 0, 0, 0, 0, 128, 64, 255]  # square roots of 4/16, 1/16 and 1


def test_what_a_server_lacks_is_no_failure():
    with TestClient(app.build(serving.make_core(), serving.VERSION)) as client:
        assert client.get("/model").json()["columns"] == 0
        data = file_bytes(photo(1), "JPEG")
        assert client.get("/kernels").status_code == 404
        for path in ("/activations", "/similar", "/look?without=column1"):
            assert client.post(path, content=data).status_code == 404
        assert client.post("/look", content=data).status_code == 200
        assert client.get("/examples/0").status_code == 404
        json.dumps(client.get("/model").json())
