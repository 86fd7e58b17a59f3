"""The paper's two experiments on CIFAR-10: Fig. 1 (Sec. 3.1), and response normalisation (Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gluon_alexnet.recordio.sources.cifar10 import read_cifar

from ...errors import InvalidRequest
from ...experiments import cifar, config, plots, tables, trials
from ...experiments.trials import Interrupted, Report
from ..devices import open_device
from ..progress import ImageProgress, silent
from .result_table import Reproduced, write_table

__all__ = ["Interrupted", "Watching", "reproduce_figure_one", "reproduce_normalization"]

Numbers = TypeVar("Numbers", config.FigureOne, config.NormalizationTest)


@dataclass(frozen=True)
class Watching:
    """Who watches the trainings.

    stop: asked after each update; true saves, and raises Interrupted. report(name, most, done): around each training,
    of ``most`` updates at most, ``done`` before; gives a function of (updates, training error in per cent).
    testing(images, what): around each test; gives a function of the number of images done.
    """

    stop: Callable[[], bool] = lambda: False
    report: Report = silent
    testing: ImageProgress = silent


def reproduce_figure_one(
    source: Path,
    out: Path,
    *,
    images: int | None = None,
    device: Any = None,
    watching: Watching = Watching(),
    **changes: Any,
) -> Reproduced:
    """Count updates to 25 % training error with ReLU and with tanh (Fig. 1); the same call goes on where it stopped.

    source: CIFAR-10, binary or python version, archive or unpacked folder. out: the folder of results. images: the
    first training images only. changes: fields of :class:`gluon_alexnet.experiments.config.FigureOne`, such as
    ``seeds=1``. Raises InvalidRequest for wrong use, OperationFailed for damaged files, Interrupted when stopped.
    """
    numbers = _changed(config.FIGURE_ONE, changes)
    data = _data(source, images, numbers.descent.batch_size)
    net = config.FourLayers()
    settings = {"experiment": "figure-1", "images": len(data.train), "descent": numbers.descent, "net": net}
    context = open_device(device, "A small net")
    with trials.claimed(out, data, settings):
        place = trials.TrialContext(out, context, watching.stop, watching.report, watching.testing)
        results = cifar.figure_one(place, numbers, data)
    plots.draw_figure_one(results, numbers, len(data.train), out / "figure-1.png")
    return write_table(out, "figure-1", tables.figure_one(results, numbers, len(data.train)))


def reproduce_normalization(
    source: Path,
    out: Path,
    *,
    views: Sequence[int] = (9, 1),
    images: int | None = None,
    test_images: int | None = None,
    device: Any = None,
    watching: Watching = Watching(),
    **changes: Any,
) -> Reproduced:
    """Measure the test error with and without response normalisation (Sec. 3.3).

    views: 9, those of the 2012 code, 10, or 1. test_images: the first test images only. changes: fields of
    :class:`gluon_alexnet.experiments.config.NormalizationTest`; the rest is as :func:`reproduce_figure_one` says.
    """
    numbers = _changed(config.NORMALIZATION_TEST, changes)
    data = _data(source, images, numbers.descent.batch_size)
    if test_images is not None and not 1 <= test_images <= len(data.test):
        raise InvalidRequest(f"`test_images` is {test_images}; {source} has {len(data.test)} test images.")
    tested = data if test_images is None else data.first_of_test(test_images)
    settings = {
        "experiment": "lrn",
        "images": len(data.train),
        "epochs": numbers.epochs,
        "descent": numbers.descent,
        "augmentation": numbers.augmentation,
    }
    context = open_device(device, "A small net")
    with trials.claimed(out, data, settings):
        place = trials.TrialContext(out, context, watching.stop, watching.report, watching.testing)
        results = cifar.normalization_test(place, numbers, tested, views)
    plots.draw_normalization_test(results, numbers, len(data.train), out / "lrn.png")
    return write_table(out, "lrn", tables.normalization_test(results, numbers, len(data.train)))


def _changed(numbers: Numbers, changes: dict[str, Any]) -> Numbers:
    return replace(numbers, **{name: value for name, value in changes.items() if value is not None})


def _data(source: Path, images: int | None, batch_size: int) -> trials.Data:
    found = read_cifar(source)
    if images is not None and not batch_size <= images <= len(found.train):
        raise InvalidRequest(
            f"`images` is {images}; {source} has {len(found.train)} training images, and a batch {batch_size}."
        )
    data = trials.Data(found.train, found.train_labels, found.test, found.test_labels)
    return data if images is None else data.first(images)
