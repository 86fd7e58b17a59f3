"""A deployed net in 8-bit integers for oneDNN: MXNet's own quantisation, calibrated on pictures.

MXNet 1.9.1 computes convolutions in groups wrongly in int8: a tenth to a third of what comes out is error, where a
convolution in one group is right to a hundredth (`tests/test_quantization.py` measures both). So the net is written as
Fig. 2 draws it before it is quantised: each column by itself, joined where the columns meet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import mx
from ..data.augmentation import crop_views, network_order
from ..errors import FailedWork, WrongUse
from ..model.classifier import classify_with
from . import symbol as deployment
from . import ungroup
from .files import Publication

CALIBRATION_BATCH = 16  # pictures a forward pass
CALIBRATION = "entropy"  # a layer's range is the one that loses least of what it says; "naive": all that it says
_ENGINE = "MKLDNN_QUANTIZE"  # oneDNN's old name, which MXNet 1.9.1 has kept
_HOW = {"quantized_dtype": "auto", "quantize_mode": "smart", "quantize_granularity": "channel-wise"}


class Pair(NamedTuple):
    """A net as MXNet's Module API takes it: graph, parameters by name, auxiliary states by name."""

    symbol: Any
    arguments: dict
    auxiliary: dict


@dataclass(frozen=True)
class Measured:
    """What one form of a net does on some pictures."""

    top1_error: float  # per cent, centre view
    images_per_second: float


@dataclass(frozen=True)
class Comparison:
    """float32 and int8 on the same pictures."""

    pictures: int
    batch_size: int
    float32: Measured
    int8: Measured
    same_first_guess: float  # per cent of the pictures

    @property
    def rise(self) -> float:
        """How much higher int8's top-1 error is, percentage points."""
        return self.int8.top1_error - self.float32.top1_error


def load(pair: Path) -> Pair:
    """PAIR-symbol.json and PAIR-0000.params."""
    return Pair(*mx.model.load_checkpoint(str(pair), 0))


def save(net: Pair, pair: Path) -> None:
    """Write PAIR-symbol.json and PAIR-0000.params."""
    mx.model.save_checkpoint(str(pair), 0, *net)


def quantize(net: Pair, pictures: np.ndarray) -> Pair:
    """The net in int8, for oneDNN on a CPU; the batch size stays free.

    pictures: uint8 (N, size, size, 3), whose activities set the range of each layer. The arrays stay float32: oneDNN
    rounds the weights when the net is loaded. Raises WrongUse where there is no picture.
    """
    if not len(pictures):
        raise WrongUse("Without pictures to calibrate with, a net cannot be quantised.")
    tools = mx.contrib.quantization
    symbol, arguments = ungroup.write_out(net.symbol, net.arguments)
    symbol = symbol.get_backend_symbol(_ENGINE)
    quantized, _, _, collector = tools.quantize_graph(
        symbol, arguments, net.auxiliary, excluded_op_names=[], calib_mode=CALIBRATION, **_HOW
    )
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None)
    batch = min(CALIBRATION_BATCH, len(pictures))
    module.bind(for_training=False, data_shapes=[("data", (batch, 3, *pictures.shape[1:3]))])
    module.set_params(arguments, net.auxiliary)
    for start in range(0, len(pictures) - batch + 1, batch):  # what is left over is less than a batch
        _observe(module, collector, pictures[start : start + batch])
    quantized, arguments, auxiliary = tools.calib_graph(
        quantized, arguments, net.auxiliary, collector, calib_mode=CALIBRATION, quantized_dtype=_HOW["quantized_dtype"]
    )
    return Pair(quantized.get_backend_symbol(_ENGINE), arguments, auxiliary)


def compare(
    float32: Callable[[np.ndarray], np.ndarray],
    int8: Callable[[np.ndarray], np.ndarray],
    batches: Iterable,
    size: int,
    report: Callable[[int], None] = lambda pictures: None,
) -> Comparison:
    """Errors and speeds of two forms of a net over labelled pictures, centre view; they take turns batch by batch.

    float32, int8: uint8 (M, size, size, 3) → probabilities (M, classes). batches: as for
    :func:`.ensemble.evaluate`. report: called with the number of pictures after each batch. The first
    batch is computed once more before it is timed. Raises FailedWork where there are no pictures.
    """
    count = same = largest = 0
    wrong, seconds = [0, 0], [0.0, 0.0]
    for pictures, labels, _ in batches:
        views = crop_views(pictures, size, 1)[:, 0]
        if not count:
            float32(views), int8(views)
        guesses = []
        for place, classify in enumerate((float32, int8)):
            began = time.perf_counter()
            guesses.append(classify(views).argmax(axis=1))
            seconds[place] += time.perf_counter() - began
            wrong[place] += int((guesses[place] != labels).sum())
        same += int((guesses[0] == guesses[1]).sum())
        count += len(pictures)
        largest = max(largest, len(pictures))
        report(len(pictures))
    if not count:
        raise FailedWork("There is not one picture to compare float32 and int8 on.")
    one, other = (Measured(100 * w / count, round(count / s, 1)) for w, s in zip(wrong, seconds))
    return Comparison(count, largest, one, other, 100 * same / count)


def add_int8(
    publication: Publication,
    float32: Path,
    out: Path,
    calibration: np.ndarray,
    batches: Iterable,
    max_rise: float,
    report: Callable[[int], None],
) -> tuple[Path, Comparison, dict[str, float]]:
    """Draft of the int8 pair OUT, quantised from the draft of a float32 pair, measured beside it and read back.

    calibration: as ``pictures`` of :func:`quantize`. batches, report: as for :func:`compare`. max_rise: percentage
    points. Returns the draft, what was measured, and the largest difference between ways to load the pair. Raises
    FailedWork where int8's top-1 error is higher by more than max_rise.
    """
    draft = publication.draft(out)
    save(quantize(load(float32), calibration), draft)
    context = mx.cpu()
    one, other = (classify_with(deployment.load_pair(pair, context), context) for pair in (float32, draft))
    comparison = compare(one, other, batches, calibration.shape[1], report)
    if comparison.rise > max_rise:
        before, after = comparison.float32.top1_error, comparison.int8.top1_error
        raise FailedWork(
            f"On {comparison.pictures} pictures int8 has a top-1 error of {after:.2f} % and float32 of {before:.2f} %: "
            f"{comparison.rise:.2f} points more, and --max-drop allows {max_rise:g}; nothing was written. More or "
            "better calibration pictures may help."
        )
    some = calibration[:CALIBRATION_BATCH]
    return draft, comparison, publication.verify(draft, deployment.runners(context), some, other(some))


def _observe(module, collector, pictures):
    """One forward pass whose layers the collector watches."""
    module._exec_group.execs[0].set_monitor_callback(collector.collect, monitor_all=True)
    module.forward(mx.io.DataBatch([mx.nd.array(network_order(pictures))]), is_train=False)
    mx.nd.waitall()
