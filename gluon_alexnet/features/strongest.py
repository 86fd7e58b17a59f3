"""The images that excite single neurons most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..data.augmentation import crop_views
from ..errors import OperationFailed


class Response(NamedTuple):
    """How strongly one image excites a unit: a map of a convolutional layer, where it is strongest, or a neuron."""

    image: int  # its id
    value: float
    row: int  # of the map; 0 for a neuron of a fully connected layer
    column: int


def strongest(
    compute: Callable[[np.ndarray], np.ndarray],
    size: int,
    batches: Iterable,
    units: Sequence[int],
    count: int,
    report: Callable[[int], None] = lambda images: None,
) -> list[list[Response]]:
    """The ``count`` images that excite each unit most, the strongest first; of equal ones the lower id first.

    compute: uint8 (M, size, size, 3) → float32 (M, units, height, width) or (M, units). batches: of (images uint8
    (N, 256, 256, 3), labels, ids), of which the centre view is taken. report: called with the number of images after
    each batch. Memory does not depend on the number of images. Raises OperationFailed where an activation is not a
    number.
    """
    places = np.asarray(units)
    best = np.empty((len(places), 0, 4))  # value, id, row, column
    for images, _, ids in batches:
        found = compute(crop_views(images, size, 1)[:, 0])
        maps = found.reshape(*found.shape[:2], -1)[:, places]
        if not np.isfinite(maps).all():
            raise OperationFailed("An activation is not a number: the net has diverged; take another checkpoint.")
        peak = maps.argmax(axis=2)
        values = np.take_along_axis(maps, peak[..., None], axis=2)[..., 0]
        width = found.shape[3] if found.ndim == 4 else 1
        numbers = np.broadcast_to(np.asarray(ids)[:, None], values.shape)
        fresh = np.stack([values, numbers, peak // width, peak % width], axis=2).transpose(1, 0, 2)
        best = np.concatenate([best, fresh], axis=1)
        order = np.lexsort((best[:, :, 1], -best[:, :, 0]), axis=1)[:, :count]
        best = np.take_along_axis(best, order[..., None], axis=1)
        report(len(images))
    return [
        [Response(int(image), float(value), int(row), int(column)) for value, image, row, column in one] for one in best
    ]
