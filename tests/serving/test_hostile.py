"""Requests that nobody sends by mistake, over a real connection: each is answered in a sentence or hung up on."""

import json
import re
import socket
import struct
import zlib

import pytest
from helpers import serving
from helpers.images import file_bytes, photo

from gluon_alexnet.serving.interfaces import Limits

INFER = "/v2/models/colours/infer"
IMAGE = file_bytes(photo(5), "JPEG")
LIMITS = Limits(body_bytes=2 * 2**20, head_seconds=1.5, body_seconds=1.5, body_bytes_a_second=2**20, drain_seconds=0.05)
PIXELS = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}


@pytest.fixture(scope="module")
def port():
    """A server that must still answer when all is over."""
    with serving.running(serving.make_core(limits=LIMITS, whole=True)) as (port, _):
        yield port
        assert answers(port, last(serving.post("/predict", IMAGE))) == [200]


def last(request):
    """The same request, after which the connection ends."""
    return request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def get(path, headers="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode("latin-1")


def answers(port, data, half_closed=False):
    """The status of every answer until the server hangs up; none may be that of a failure inside."""
    connected = serving.send(port, data)
    if half_closed:
        connected.shutdown(socket.SHUT_WR)
    received = serving.received(connected)
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
    assert 500 not in statuses, received
    for place in ("/root", "/home", "Traceback", ".py"):
        assert place.encode() not in received
    return statuses


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (get("/../../etc/passwd"), [404]),
        (get("/..%2f..%2fetc%2fpasswd"), [404]),
        (get("/examples/%2e%2e%2f%2e%2e%2fetc"), [404]),
        (get("/examples/99999999999999999999999"), [404]),
        (get("/v2/models/%00"), [404]),
        (get("/v2/models/" + "a" * 30_000), [404]),
        *[(get("/predict", method=method), [405]) for method in ("GET", "HEAD", "OPTIONS", "PUT", "TRACE", "CONNECT")],
        *[(get(INFER, method=method), [405]) for method in ("GET", "HEAD", "OPTIONS", "DELETE")],
        (serving.post("/metrics", b""), [405]),
        (get("/v2", "".join(f"X-{k}: y\r\n" for k in range(500))), [200]),
        (get("/v2", f"X: {'y' * 10**6}\r\n"), [400]),
        (get("/" + "a" * 10**6), [400]),
        (get("/v2", "Host: elsewhere\r\n"), [400]),
        (get("/v2", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"), [200]),
        (serving.post("/predict", b"hello").replace(b"Length: 5", b"Length: -1"), [400]),
        (serving.post("/predict", b"hello").replace(b"Length: 5", b"Length: five"), [400]),
        (serving.post("/predict", b"hello").replace(b"Length: 5", b"Length: " + b"9" * 40), [400]),
        (serving.post("/predict", b"hello", "Content-Length: 6\r\n"), [400]),
        (serving.post("/predict", b"hello", "Content-Encoding: gzip\r\n"), [415]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [404]),
        (bytes.fromhex("160301020001000001fc0303") + b"x" * 500, [400]),  # TLS
        (bytes(range(256)) * 10, [400]),
    ],
)
def test_what_is_sent_at_random_or_in_malice(port, request_, statuses):
    assert answers(port, last(request_)) == statuses


def test_requests_one_after_another_without_waiting(port):
    many = get("/v2") * 3 + serving.post("/predict?views=1", IMAGE) * 3 + get("/predict") + last(get("/model"))
    assert answers(port, many) == [200] * 6 + [405, 200]


def test_lies_about_the_length(port):
    short = serving.post("/predict", IMAGE).replace(b"Length: ", b"Length: 1")  # more is promised than comes
    assert answers(port, short, half_closed=True) == []
    assert answers(port, short) == []  # hung up on in the end
    long = serving.post("/predict", IMAGE).replace(f"Length: {len(IMAGE)}".encode(), b"Length: 10")
    assert answers(port, long) == [422, 400]  # what is left over is no request


@pytest.mark.parametrize("chunk", [b"100000\r\n" + b"x" * 2**20 + b"\r\n", b"1\r\nx\r\n"], ids=["fast", "dripping"])
def test_a_body_without_end(port, chunk):
    connected = serving.send(port, get("/predict", "Transfer-Encoding: chunked\r\n", "POST"))
    with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012
        for _ in range(10_000):
            connected.sendall(chunk)
            if len(chunk) < 100:
                serving.time.sleep(0.05)
    connected.close()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000 + b"]" * 200_000,
        b'{"inputs":' * 100_000,
        b'{"inputs":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"inputs": ' + b"9" * 100_000 + b"}",
        b"\xff\xfe{}",
        *[
            json.dumps({"inputs": [{**PIXELS, **change}]}).encode()
            for change in (
                {"data": [float("nan")] * 6},
                {"data": [float("inf")] * 6},
                {"data": [1e300] * 6},
                {"data": [256] * 6},
                {"data": [True] * 6},
                {"data": [[1], [2, 3]]},
                {"shape": [1, 2**62, 2**62, 3]},
                {"shape": [2**70, 1, 1, 3]},
                {"shape": [1.0, 1, 2, 3]},
                {"datatype": "FP32"},
                {"datatype": ["UINT8"]},
                {"datatype": "BYTES", "shape": [1], "data": ["\ud800"]},
                {"parameters": {"binary_data_size": -6}},
            )
        ],
    ],
    ids=range(18),
)
def test_what_is_no_inference_request(port, body):
    assert answers(port, last(serving.post(INFER, body))) == [400]


def png(width, height, data):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_an_image_that_would_fill_the_memory(port, side):
    bomb = png(side, side, zlib.compress(bytes(10**6)))
    assert answers(port, last(serving.post("/predict", bomb))) == [422]


def test_random_bytes_in_a_good_request(port, rng):
    good = last(serving.post("/predict?views=1", IMAGE))
    for _ in range(60):
        damaged = bytearray(good)
        for place in rng.integers(0, min(len(good), 300), 3):
            damaged[place] = rng.integers(256)
        answers(port, bytes(damaged), half_closed=True)
