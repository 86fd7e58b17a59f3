"""One process of `doctor --check`: a net on the devices given, what it computes and how fast, written to a folder.

A process of its own for each measurement, because cuBLAS and cuDNN read whether TF32 is allowed once, when they are
loaded, and because MXNet is not to be trusted any more after a device has run out of memory.

python -m gluon_alexnet.workflows.measure_device JSON
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidRequest, OperationFailed

CLASSES = 1000
UPDATES = 3  # compared with the reference
LEARNING_RATE = 0.01  # Sec. 5
EVALUATED = 16  # images seen in ten views
COPIES = 20  # of layer 2's pooled output, from one column's device to the other's and back
TIMED_SECONDS = 8.0  # of updates, or
TIMED_UPDATES = 10


@dataclass(frozen=True)
class Order:
    """What a process is to measure."""

    devices: tuple[str, ...]
    folder: str  # where its arrays go
    reference: str | None = None  # folder of the arrays to compare with
    recipe: str = "paper"
    batch_size: int = 128
    timed_updates: int = TIMED_UPDATES


@dataclass(frozen=True)
class Measurement:
    """What a process found. ``differences``: :func:`relative_difference`, the largest of any parameter."""

    devices: tuple[str, ...]
    batch_size: int
    losses: list[float]  # before each of the compared updates
    images_per_second: float  # of training, nothing read
    peak_memory_mb: list[float]  # of each GPU; of the process where there is none
    copies_gb_per_second: float | None = None  # between the columns' devices; None with one device
    copies_equal: bool = True  # what came back is what was sent
    differences: dict[str, float] = field(default_factory=dict)  # of "outputs", "gradients", "updates", "ten views"
    worst: dict[str, str] = field(default_factory=dict)  # the parameter that differs most, for each of these


def measure(order: Order) -> Measurement:
    """Three updates, outputs before them and ten views after them, each compared with the reference's if there is one.

    Dropout is off: each device draws masks of its own. Raises InvalidRequest for devices that cannot be used,
    OperationFailed where an update gives what is not a number.
    """
    from ..data.augmentation import crop_views, network_order
    from ..evaluation.ensemble import view_probabilities
    from ..recipes.presets import RECIPES
    from ..recipes.schema import Network
    from ..training.lr_schedule import LearningRates
    from ..training.trainer import Trainer
    from .devices import open_devices

    contexts = open_devices(order.devices, len(order.devices))
    free = [_free_memory(context) for context in contexts]
    recipe = RECIPES[order.recipe]
    assert isinstance(recipe.network, Network)  # a graph of layers has its dropout in its layers
    recipe = replace(recipe, network=replace(recipe.network, dropout=0.0))
    size = recipe.network.input_size
    images, labels = _images(order.batch_size)
    mean = np.full((3, size, size), 120, np.float32)
    crops = network_order(crop_views(images, size, 1)[:, 0]) - mean
    trainer = Trainer(recipe, CLASSES, contexts)
    trainer.initialize(0)
    classify = trainer.classifier(mean)
    arrays = _Arrays(Path(order.folder), Path(order.reference) if order.reference else None)
    arrays.add("outputs", "fc8", _logits(classify(crop_views(images[:EVALUATED], size, 1)[:, 0])))
    first = {name: value.asnumpy() for name, value in trainer.parameters().items()}
    rates, losses = LearningRates(LEARNING_RATE, LEARNING_RATE), []
    for update in range(UPDATES):
        losses.append(_step(trainer, crops, labels, rates, update))
        if update == 0:
            decay = recipe.learning.weight_decay
            for name, velocity in trainer.momentum().items():  # after one update: -rate (gradient + decay w)
                arrays.add("gradients", name, -velocity.asnumpy() / LEARNING_RATE - decay * first[name])
    for name, velocity in trainer.momentum().items():  # what was added last; in the sum with a weight digits are lost
        arrays.add("updates", name, velocity.asnumpy())
    arrays.add("ten views", "fc8", view_probabilities(classify, images[:EVALUATED], size, (10,))[0])
    speed = _speed(lambda: _step(trainer, crops, labels, rates, UPDATES), order)
    copies, equal = _copies(contexts[0], contexts[1], order.batch_size) if len(contexts) > 1 else (None, True)
    memory = [before - _free_memory(context) for before, context in zip(free, contexts)]
    if contexts[0].device_type == "cpu":
        memory = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
    return Measurement(
        order.devices, order.batch_size, losses, speed, memory, copies, equal, arrays.differences, arrays.worst
    )


class _Arrays:
    """Arrays of this process on disk, and how far they are from the reference's."""

    def __init__(self, folder: Path, reference: Path | None) -> None:
        self._folder, self._reference = folder, reference
        self.differences: dict[str, float] = {}
        self.worst: dict[str, str] = {}

    def add(self, what: str, name: str, value: np.ndarray) -> None:
        file = f"{what} {name}.npy".replace(" ", "-")
        if self._reference is None:
            np.save(self._folder / file, value)
            return
        difference = relative_difference(value, np.load(self._reference / file, mmap_mode="r"))
        if not difference <= self.differences.get(what, -1.0):  # NaN is the largest of all
            self.differences[what], self.worst[what] = difference, name


def relative_difference(value: np.ndarray, reference: np.ndarray) -> float:
    """‖value − reference‖ / ‖reference‖, in float64; of zeros, the norm of ``value``."""
    exact = np.asarray(reference, np.float64)
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(np.asarray(value, np.float64) - exact)) / (norm or 1.0)


def _images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images as smooth as photographs, uint8 (count, 256, 256, 3), and labels: the same on every machine."""
    import cv2

    random = np.random.default_rng(2012)
    images = np.zeros((count, 256, 256, 3), np.float32)
    for side, share in ((4, 1.0), (16, 0.5), (64, 0.25), (256, 0.125)):
        noise = random.normal(0, 50 * share, (count, side, side, 3)).astype(np.float32)
        for image, coarse in zip(images, noise):
            image += cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_LINEAR)
    return np.clip(images + 120, 0, 255).astype(np.uint8), random.integers(0, CLASSES, count)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """The outputs before the softmax, up to a constant of each image: probabilities alone would hide a difference."""
    logarithms = np.log(probabilities.astype(np.float64))
    return logarithms - logarithms.mean(axis=1, keepdims=True)


def _step(trainer: Any, crops: np.ndarray, labels: np.ndarray, rates: Any, update: int) -> float:
    try:
        return float(trainer.step(crops, labels, rates, update))
    except FloatingPointError as error:
        raise OperationFailed(f"update {update + 1} is wrong: {error}") from error


def _speed(step: Callable[[], object], order: Order) -> float:
    began, done = time.perf_counter(), 0
    while done < order.timed_updates and (not done or time.perf_counter() - began < TIMED_SECONDS):
        step()  # reads the loss and the gradients' sizes back, so it has ended
        done += 1
    return order.batch_size * done / (time.perf_counter() - began)


def _copies(here: Any, there: Any, batch_size: int) -> tuple[float, bool]:
    """(GB/s, whether what came back is what was sent) of what the columns send each other below layer 3."""
    from ..backend import mx

    sent = mx.nd.random.normal(shape=(batch_size, 128, 13, 13), ctx=here)
    back = sent.copyto(there).copyto(here)
    equal = bool((back == sent).min().asscalar())
    mx.nd.waitall()
    began = time.perf_counter()
    for _ in range(COPIES):
        sent.copyto(there).copyto(here)
    mx.nd.waitall()
    return 2 * COPIES * sent.size * 4 / (time.perf_counter() - began) / 1e9, equal


def _free_memory(context: Any) -> float:
    """Free memory of a GPU, MB; 0 of a CPU."""
    from ..backend import mx

    return float(mx.context.gpu_memory_info(context.device_id)[0]) / 2**20 if context.device_type == "gpu" else 0.0


def main() -> None:
    """Measure what the first argument says, and print the measurement, or what went wrong, as one line of JSON."""
    from .. import backend

    order = json.loads(sys.argv[1])
    try:
        found: dict[str, Any] = asdict(measure(Order(**{**order, "devices": tuple(order["devices"])})))
    except (InvalidRequest, OperationFailed) as error:
        found = {"error": str(error), "wrong_use": isinstance(error, InvalidRequest)}
    except Exception as error:
        sentence = backend.mxnet_sentence(error)
        if sentence is None:
            raise
        found = {"error": sentence, "memory": "out of memory" in str(error)}
    print("\n" + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
