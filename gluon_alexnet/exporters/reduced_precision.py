"""A net in fewer bits beside the float32 net it was made of: what that costs in error and what it brings in speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend import mx
from ..data.augmentation import crop_views
from ..errors import OperationFailed
from ..model.classifier import classify_with
from . import symbol as deployment
from .files import Publication

READ_BACK = 16  # images on which the ways to load a pair are compared


class Pair(NamedTuple):
    """A net as MXNet's Module API takes it: graph, parameters by name, auxiliary states by name."""

    symbol: Any
    arguments: dict
    auxiliary: dict


@dataclass(frozen=True)
class Measured:
    """What one form of a net does on some images."""

    top1_error: float  # per cent, centre view
    images_per_second: float


@dataclass(frozen=True)
class Comparison:
    """float32 and another form, int8 or bf16, on the same images."""

    form: str
    images: int
    batch_size: int
    float32: Measured
    reduced: Measured
    same_first_guess: float  # per cent of the images
    largest_difference: float  # between two probabilities of the same class and image

    @property
    def rise(self) -> float:
        """How much higher the other form's top-1 error is, percentage points."""
        return self.reduced.top1_error - self.float32.top1_error

    @property
    def speed(self) -> float:
        """Its images per second as a multiple of float32's."""
        return self.reduced.images_per_second / self.float32.images_per_second

    def to_dict(self) -> dict:
        """For OUT.json: each measurement under the name of its form."""
        content = asdict(self)
        return {content["form"] if key == "reduced" else key: value for key, value in content.items() if key != "form"}


def load(pair: Path) -> Pair:
    """PAIR-symbol.json and PAIR-0000.params."""
    return Pair(*mx.model.load_checkpoint(str(pair), 0))


def save(net: Pair, pair: Path) -> None:
    """Write PAIR-symbol.json and PAIR-0000.params."""
    mx.model.save_checkpoint(str(pair), 0, *net, remove_amp_cast=False)  # bf16 consists of those casts


def compare(
    form: str,
    float32: Callable[[np.ndarray], np.ndarray],
    reduced: Callable[[np.ndarray], np.ndarray],
    batches: Iterable,
    size: int,
    report: Callable[[int], None] = lambda images: None,
) -> Comparison:
    """Errors and speeds of two forms of a net over labelled images, centre view; they take turns batch by batch.

    float32, reduced: uint8 (M, size, size, 3) → probabilities (M, classes). batches: as for
    :func:`.ensemble.evaluate`. report: called with the number of images after each batch. The first
    batch is computed once more before it is timed. Raises OperationFailed where there are no images.
    """
    count = same = largest = 0
    difference = 0.0
    wrong, seconds = [0, 0], [0.0, 0.0]
    for images, labels, _ in batches:
        views = crop_views(images, size, 1)[:, 0]
        if not count:
            float32(views), reduced(views)
        found = []
        for place, classify in enumerate((float32, reduced)):
            began = time.perf_counter()
            found.append(classify(views))
            seconds[place] += time.perf_counter() - began
            wrong[place] += int((found[place].argmax(axis=1) != labels).sum())
        same += int((found[0].argmax(axis=1) == found[1].argmax(axis=1)).sum())
        difference = max(difference, float(np.abs(found[0] - found[1]).max()))
        count += len(images)
        largest = max(largest, len(images))
        report(len(images))
    if not count:
        raise OperationFailed(f"There is not one image to compare float32 and {form} on.")
    one, other = (Measured(100 * w / count, round(count / s, 1)) for w, s in zip(wrong, seconds))
    return Comparison(form, count, largest, one, other, 100 * same / count, difference)


class Limits(NamedTuple):
    """On what a form is measured, and what it may cost."""

    batches: Iterable  # labelled images, as for :func:`compare`
    views: np.ndarray  # uint8 (N, size, size, 3), on which the ways to load the pair are compared
    max_rise: float  # of the top-1 error, percentage points
    report: Callable[[int], None]


def add(
    publication: Publication, form: str, float32: Path, out: Path, convert: Callable[[Pair], Pair], limits: Limits
) -> tuple[Path, Comparison, dict[str, float]]:
    """Draft of the pair OUT in another form, made of the draft of a float32 pair, measured beside it and read back.

    Returns the draft, what was measured, and the largest difference between ways to load the pair. Raises
    OperationFailed where the top-1 error is higher by more than ``limits.max_rise``.
    """
    draft = publication.draft(out)
    save(convert(load(float32)), draft)
    context = mx.cpu()
    blocks = [deployment.load_pair(pair, context) for pair in (float32, draft)]
    one, other = (classify_with(block, context) for block in blocks)
    found = compare(form, one, other, limits.batches, limits.views.shape[1], limits.report)
    if not found.rise <= limits.max_rise:
        raise OperationFailed(
            f"On {found.images} images {form} has a top-1 error of {found.reduced.top1_error:.2f} % and float32 of "
            f"{found.float32.top1_error:.2f} %: {found.rise:.2f} points more, and `max_drop` allows "
            f"{limits.max_rise:g}; nothing was written."
        )
    some = limits.views[:READ_BACK]
    expected = deployment.as_it_is(blocks[1], some, context)
    return draft, found, publication.verify(draft, deployment.runners(context), some, expected)
