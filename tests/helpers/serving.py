"""A server around a net that is no net: its opinion is the mean colour of a view, worked out by hand."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.serving import app, connection
from gluon_alexnet.serving.core import Core, ImageReader
from gluon_alexnet.serving.interfaces import GalleryImage, Limits, Service

SIZE = 224
CLASSES = [{"wnid": f"n{k}", "name": name} for k, name in enumerate(("red, the colour", "grün", "blue"))]
VERSION = "1.2.3"


def opinion(views: np.ndarray) -> np.ndarray:
    """uint8 (M, height, width, 3) → the share of each colour, float32 (M, 3)."""
    colours = views.reshape(len(views), -1, 3).mean(axis=1) + 1e-3
    return (colours / colours.sum(axis=1, keepdims=True)).astype(np.float32)


class ColourModel:
    """Says which colour a view has most of; ``hold`` keeps it from answering, ``passes``: its batches' sizes."""

    name, classes, input_size, facts = "colours", CLASSES, SIZE, {"sentence": "It knows three colours."}

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.error: Exception | None = None
        self.seconds = 0.0

    def classify(self, views: np.ndarray) -> np.ndarray:
        """See ServedModel."""
        self.hold.wait(20)
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        self.passes.append(len(views))
        return opinion(views)


class ColourMicroscope:
    """Two columns of one kernel each; without the first column nothing is red."""

    columns, switches, reads_all = 2, ("normalization", "column1", "column2"), frozenset({"fc6"})

    def kernels(self):
        """See Microscope."""
        return np.stack([np.full((3, 2, 2), -1.0), np.full((3, 2, 2), 0.5)]).astype(np.float32)

    def classify(self, views, without):
        """See Microscope."""
        probabilities = opinion(views)
        if "column1" in without:
            probabilities[:, 0] = 0
        return probabilities

    def activations(self, view, without):
        """See Microscope."""
        maps = np.zeros((2, 2, 2), np.float32)
        maps[1] = [[0, 4], [1, 16]]
        return {"conv1": maps, "fc6": np.zeros((4, 1, 1), np.float32)}


class ColourGallery:
    """Ten grey images, found by how bright they are."""

    examples, searchable = 2, 10

    def example(self, number):
        """See Gallery."""
        return GalleryImage(np.full((256, 256, 3), 100 * number, np.uint8), "grey")

    def describe(self, image):
        """See Gallery."""
        return image.mean(dtype=np.float64, keepdims=True)

    def nearest(self, activations, count):
        """See Gallery."""
        shades = sorted(range(0, 250, 25), key=lambda shade: abs(shade - activations.item()))[:count]
        return [
            GalleryImage(np.full((256, 256, 3), s, np.uint8), None, float(abs(s - activations.item()))) for s in shades
        ]


def make_core(model=None, limits: Limits | None = None, whole: bool = False) -> Core:
    """A core around the colour model; whole: with a microscope and a gallery."""
    parts = (ColourMicroscope(), ColourGallery()) if whole else (None, None)
    reader = ImageReader(
        decode=lambda data: shorter_side_256(decode(data)),
        prepare=shorter_side_256,
        views=lambda images, count: crop_views(images, SIZE, count),
        threads=2,
    )
    return Core(Service(model or ColourModel(), *parts, limits or Limits(drain_seconds=0.05)), reader)


@contextlib.contextmanager
def running(core: Core):
    """A real server on a free port of this machine, in a thread; gives its port, and the server to be told to end."""
    started = threading.Event()

    def end():
        core.ready = False

    listener = connection.listen("127.0.0.1", 0)
    server = connection.Server(app.build(core, VERSION), core.limits, started.set, end)
    thread = threading.Thread(target=server.serve_in_thread, args=([listener],))
    thread.start()
    try:
        assert started.wait(20)
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def send(port: int, data: bytes) -> socket.socket:
    """A connection over which these bytes have been sent."""
    connected = socket.create_connection(("127.0.0.1", port), timeout=20)
    connected.sendall(data)
    return connected


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """A request as it goes over the wire."""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def received(connected: socket.socket) -> bytes:
    """All that comes until the other side closes; b"" also where it resets."""
    parts = []
    with connected, contextlib.suppress(ConnectionResetError):
        while part := connected.recv(65536):
            parts.append(part)
    return b"".join(parts)


def one_answer(connected: socket.socket) -> bytes:
    """The next answer of a connection that stays open."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connected.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    while len(body) < length:
        body += connected.recv(65536)
    return head + b"\r\n\r\n" + body


def soon(condition, seconds: float = 10) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def at_once(work, count: int) -> list:
    """The results of work(0) … work(count - 1), all begun together."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))
