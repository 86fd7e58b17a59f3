"""A real server: slow clients are hung up on, too many are sent away, and at the end what has begun is answered."""

import contextlib
import json
import socket
import threading
import time

import numpy as np
import pytest
from helpers import serving
from helpers.images import file_bytes, photo

from gluon_alexnet.serving import connection
from gluon_alexnet.serving.interfaces import Limits

DATA = file_bytes(photo(1), "JPEG")
PREDICT = serving.post("/predict", DATA)
FAST = Limits(head_seconds=0.3, body_seconds=0.3, answer_seconds=0.3, drain_seconds=0.05)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(connection, "TICK", 0.1)


def guessed(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 200") and len(json.loads(body)["guesses"]) == 3


def last(data: bytes) -> bytes:
    """A request after which the connection is to be closed."""
    return data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def test_requests_that_come_together_are_computed_together():
    model = serving.ColourModel()
    with serving.running(serving.make_core(model)) as (port, _):
        model.hold.clear()
        threading.Timer(0.5, model.hold.set).start()
        answers = serving.at_once(lambda _: serving.received(serving.send(port, last(PREDICT))), 12)
    assert all(map(guessed, answers))
    assert sum(model.passes) == 120
    assert len(model.passes) <= 4, model.passes


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /predict HTTP/1.1\r\nHost: x\r\n", PREDICT[:-5], PREDICT.replace(b"Length: ", b"Length: 9")],
    ids=["nothing", "half a head", "most of a body", "a body that never ends"],
)  # fmt: skip
def test_a_slow_client_is_hung_up_on(sent):
    core = serving.make_core(limits=FAST)
    with serving.running(core) as (port, _):
        began = time.monotonic()
        connected = serving.send(port, sent)
        assert serving.received(connected) == b""
        assert time.monotonic() - began < 5
        assert serving.soon(lambda: core.admission.begun == 0)
        assert core.admission.bytes == 0
        assert guessed(serving.received(serving.send(port, last(PREDICT))))


def test_a_slow_but_steady_client_is_served():
    limits = Limits(body_seconds=0.3, body_bytes_a_second=1000, drain_seconds=0.05)
    with serving.running(serving.make_core(limits=limits)) as (port, _):
        connected = serving.send(port, b"")
        for begin in range(0, len(PREDICT), 500):
            connected.sendall(last(PREDICT)[begin : begin + 500])
            time.sleep(0.2)
        connected.sendall(last(PREDICT)[begin + 500 :])
        assert guessed(serving.received(connected))


def test_a_client_that_takes_no_answer_is_hung_up_on():
    core = serving.make_core(limits=FAST, whole=True)
    with serving.running(core) as (port, server):
        big = file_bytes(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8), "PNG")
        with socket.socket() as connected:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connected.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):  # reset while it is still sending
                connected.sendall(serving.post("/look", big) * 60)  # answers of 200 kB each
            assert serving.soon(lambda: not server.server_state.connections)


def test_idle_connections_may_ask_again():
    with serving.running(serving.make_core(limits=FAST)) as (port, _):
        connected = serving.send(port, PREDICT)
        assert guessed(serving.one_answer(connected))
        time.sleep(0.7)  # longer than a head may take, not longer than a connection may be idle
        connected.sendall(last(PREDICT))
        assert guessed(serving.received(connected))


def test_too_many_are_sent_away_with_a_time_to_come_back():
    model = serving.ColourModel()
    core = serving.make_core(model, Limits(requests=3, drain_seconds=0.05))
    with serving.running(core) as (port, _):
        model.hold.clear()
        begun = [serving.send(port, last(PREDICT)) for _ in range(3)]
        assert serving.soon(lambda: core.admission.begun == 3)
        refused = serving.received(serving.send(port, PREDICT))
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        assert b"busy" in refused
        assert serving.received(
            serving.send(port, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        )
        model.hold.set()
        assert all(guessed(serving.received(connected)) for connected in begun)


def test_bodies_that_hold_too_much_together_are_sent_away():
    core = serving.make_core(limits=Limits(bytes_held=200_000, drain_seconds=0.05))
    with serving.running(core) as (port, _):
        half = serving.post("/predict", b"x" * 150_000)
        waiting = serving.send(port, half[:-10])
        assert serving.soon(lambda: core.admission.bytes > 100_000)
        assert serving.received(serving.send(port, half)).startswith(b"HTTP/1.1 503")
        waiting.close()
        assert guessed(serving.received(serving.send(port, last(PREDICT))))


def test_a_body_that_is_too_large_gets_its_answer_though_it_is_still_being_sent():
    core = serving.make_core(limits=Limits(body_bytes=100_000, drain_seconds=0.05))
    with serving.running(core) as (port, _):
        answer = serving.received(serving.send(port, serving.post("/predict", b"x" * 190_000)))
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in answer
        endless = serving.send(port, serving.post("/predict", b"").replace(b"Length: 0", b"Length: 999999999"))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            for _ in range(10_000):
                endless.sendall(b"x" * 65536)
        endless.close()


def test_at_the_end_what_has_begun_is_answered():
    """Clients ask again and again while the server is told to end: each request that was sent whole is answered."""
    model = serving.ColourModel()
    core = serving.make_core(model, Limits(drain_seconds=0.5))
    sent, answered, lost = [0] * 8, [0] * 8, []

    def client(number):
        while True:
            try:
                connected = serving.send(port, b"")
            except ConnectionRefusedError:
                return
            sent[number] += 1
            try:
                connected.sendall(last(PREDICT))
                ok = guessed(serving.received(connected))
            except OSError as error:
                ok = error
            if ok is True:
                answered[number] += 1
            else:
                lost.append(ok)

    with serving.running(core) as (port, server):
        threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        server.should_exit = True
        for thread in threads:
            thread.join(20)
    assert lost == []
    assert sent == answered
    assert min(sent) > 0


def test_connections_that_stay_open_are_answered_to_the_end():
    model = serving.ColourModel()
    core = serving.make_core(model, Limits(drain_seconds=0.4))
    with serving.running(core) as (port, server):
        idle, begun, half = (serving.send(port, PREDICT) for _ in range(3))
        for connected in (idle, begun, half):
            assert guessed(serving.one_answer(connected))
        model.hold.clear()
        begun.sendall(PREDICT)
        half.sendall(PREDICT[:100])
        assert serving.soon(lambda: core.admission.begun == 2)
        server.should_exit = True
        time.sleep(0.6)  # the listening socket is closed by now
        half.sendall(PREDICT[100:])
        assert not core.ready
        with pytest.raises(ConnectionRefusedError):
            serving.send(port, b"")
        model.hold.set()
        for connected in (begun, half):
            answer = serving.received(connected)
            assert guessed(answer)
            assert b"connection: close" in answer
        assert serving.received(idle) == b""


def test_an_address_in_use_is_an_error_at_once():
    with connection.listen("127.0.0.1", 0) as listener:
        listener.listen()
        assert connection.is_loopback(listener)
        with pytest.raises(OSError, match="in use"):
            connection.listen("127.0.0.1", listener.getsockname()[1])
    with connection.listen("0.0.0.0", 0) as listener:
        assert not connection.is_loopback(listener)
    with connection.listen("::1", 0) as listener:
        assert connection.address_of(listener).startswith("http://[::1]:")
