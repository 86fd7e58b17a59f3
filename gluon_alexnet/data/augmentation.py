"""What the network sees of an image (Sec. 2, 4.1): training crops, colour shift, test views.

Images are uint8 (N, 256, 256, 3), RGB. What a training image becomes depends on (seed, epoch, record id)
and on nothing else, so neither threads nor resuming change a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np

from ..recipes import schema, timetable
from ..recipes.timetable import Change
from . import jitter

IMAGE_SIZE = 256  # pixels, both sides of a packed image
_JITTER_STREAM = 2**62  # beyond any epoch
_WORDS = 8  # raw 64-bit numbers that each image has of its own in an epoch; seven are used


def central_patch(mean_image: np.ndarray, size: int) -> np.ndarray:
    """The centre of the mean image (256, 256, 3) as float32 (3, size, size), grey levels.

    The 2012 code subtracts it from every crop, wherever the crop is, and does not mirror it.
    """
    offset = (mean_image.shape[0] - size) // 2
    patch = mean_image[offset : offset + size, offset : offset + size]
    return np.ascontiguousarray(patch.transpose(2, 0, 1), dtype=np.float32)


def mean_planes(mean_image: np.ndarray) -> np.ndarray:
    """The whole mean image (256, 256, 3) as float32 (3, 256, 256)."""
    return np.ascontiguousarray(mean_image.transpose(2, 0, 1), dtype=np.float32)


def view_means(mean_image: np.ndarray, size: int, count: int) -> np.ndarray:
    """What a view of :func:`crop_views` has too much where its own pixels' mean is to be subtracted, not the centre's.

    mean_image: float32 (3, 256, 256). Returns float32 (count, size, size, 3): its patch under each view, mirrored
    where the view is, minus its centre.
    """
    own = crop_views(mean_image.transpose(1, 2, 0)[None], size, count)[0]
    return own - crop_views(mean_image.transpose(1, 2, 0)[None], size, 1)[0]


def input_mean(network: schema.Net, mean_image: np.ndarray) -> np.ndarray:
    """What the net's input has subtracted, float32 (3, size, size): of the data, or of each colour where it says so."""
    return central_patch(mean_image, network.input_size) if network.channel_mean is None else colour_mean(network)


def colour_mean(network: schema.Net) -> np.ndarray:
    """The network's own mean of each colour, float32 (3, size, size)."""
    mean = np.array(network.channel_mean, np.float32).reshape(3, 1, 1)
    return np.ascontiguousarray(np.broadcast_to(mean, (3, network.input_size, network.input_size)))


class TrainingAugmentation:
    """Random crop, mirror and colour shift, with the mean subtracted (Sec. 4.1).

    numbers: the recipe's augmentation. size: height and width of a crop. mean: float32 (3, size, size), or the whole
    image's, (3, 256, 256), where each pixel's own is subtracted before the crop. eigenvalues (3,) and axes (3, 3, one a
    column): of the RGB covariance over the training images. changes: those of the recipe's timetable, which may turn
    the colour shift.
    """

    def __init__(
        self,
        numbers: schema.Augmentation,
        size: int,
        mean: np.ndarray,
        eigenvalues: np.ndarray,
        axes: np.ndarray,
        seed: int,
        changes: Sequence[Change] = (),
    ):
        self._numbers = numbers
        self._size = size
        self._mean = mean
        # The paper adds [p1 p2 p3][a1 l1, ...]; in the 2012 code l is the standard deviation along the axis.
        self._colours = axes * (eigenvalues if numbers.colour_by_eigenvalue else np.sqrt(eigenvalues))
        self._seed = seed
        self._changes = changes

    def __call__(self, images: np.ndarray, ids: np.ndarray, epoch: int) -> np.ndarray:
        """uint8 (N, 256, 256, 3) of these record ids → float32 (N, 3, size, size)."""
        crops = np.empty((len(images), 3, self._size, self._size), np.float32)
        transform = EpochCrops(self, epoch)
        for image, drawn, crop in zip(images, transform.draw(ids, images.shape[1]), crops):
            transform.render(image, drawn, crop)
        return crops

    def of_epoch(self, epoch: int) -> EpochCrops:
        """The same as a transform for the reader's threads."""
        return EpochCrops(self, epoch)

    def draw(self, record: int, epoch: int, image_size: int) -> tuple[int, int, bool, np.ndarray]:
        """(top, left, mirrored, colour shift float32 (3,) in grey levels) of one presentation of one image."""
        return self._draws([record], epoch, image_size)[0]

    def _draws(
        self, ids: Sequence[int] | np.ndarray, epoch: int, image_size: int
    ) -> list[tuple[int, int, bool, np.ndarray]]:
        words = _words(self._seed, epoch, ids)
        if self._numbers.shared_crops > 1:  # place and mirror are drawn for a group of neighbours
            groups = np.asarray(ids) // self._numbers.shared_crops
            words = np.concatenate([_words(self._seed, epoch, groups)[:, :3], words[:, 3:]], axis=1)
        # The upper 32 bits times the number of places, without the fraction: even to one part in 10⁸.
        places = ((words[:, :2] >> 32) * np.uint64(image_size - self._size + 1) >> 32).tolist()
        if not self._numbers.random_crops:
            places = [[(image_size - self._size) // 2] * 2] * len(words)
        mirrored = (words[:, 2] >> 63).astype(bool) & self._numbers.mirror
        colour_std = self._colour_std(epoch)
        alpha = colour_std * _normal(words[:, 3:7])
        # Summed by hand: BLAS may add up in another order for another batch size.
        shifts = sum(alpha[:, k, None] * self._colours[None, :, k] for k in range(3)).astype(np.float32)
        if not colour_std:
            shifts[:] = 0
        return [(*place, *rest) for place, *rest in zip(places, mirrored.tolist(), shifts)]

    def _colour_std(self, epoch: int) -> float:
        return timetable.colour_std(self._numbers.colour_std, self._changes, epoch)


class EpochCrops:
    """One epoch's training crops, float32 (3, size, size) each, made of one image at a time."""

    dtype = np.dtype(np.float32)

    def __init__(self, augmentation: TrainingAugmentation, epoch: int):
        self.shape = (3, augmentation._size, augmentation._size)
        self._augmentation = augmentation
        self._epoch = epoch
        self._mean = augmentation._mean
        self._own_mean = augmentation._numbers.mean_before_crop
        divisor = augmentation._numbers.colour_divisor if augmentation._colour_std(epoch) else 1
        self._scale = np.float32(1 / divisor)
        self._shift = _compiled_shift()
        self._jitter = jitter.ranges(augmentation._numbers)

    def draw(self, ids: np.ndarray, image_size: int = IMAGE_SIZE) -> list[tuple[int, int, bool, np.ndarray, Any]]:
        """What :meth:`TrainingAugmentation.draw` gives, for each id, and (brightness, contrast, saturation) or None."""
        found = self._augmentation._draws(ids, self._epoch, image_size)
        if self._jitter is None:
            return [(*one, None) for one in found]
        # From a stream of their own: what is drawn for crop, mirror and colours is the same with them and without.
        words = _words(self._augmentation._seed, self._epoch + _JITTER_STREAM, ids)[:, :3]
        return [(*one, changes) for one, changes in zip(found, jitter.drawn(words, self._jitter))]

    def render(self, image: np.ndarray, drawn: tuple, out: np.ndarray) -> None:
        """Write the crop of uint8 (256, 256, 3) that was drawn into `out`, float32 (3, size, size)."""
        top, left, mirrored, shift, changes = drawn
        height, width = out.shape[1:]
        window = image[top : top + height, left : left + width]
        mean = self._mean
        if self._own_mean:
            patch = mean[:, top : top + height, left : left + width]
            mean = np.ascontiguousarray(patch[:, :, ::-1] if mirrored else patch)
        if mirrored:
            window = cv2.flip(window, 1)
        if changes is None:
            self._shift(cv2.split(window), mean, shift, self._scale, out)
            return
        out[:] = window.transpose(2, 0, 1)
        jitter.change(out, *changes)
        out -= mean
        out += shift[:, None, None]
        out *= self._scale


@cache
def _compiled_shift() -> Callable[..., None]:
    """:func:`_shift` in one pass that other threads need not wait for; as it is where Numba is missing."""
    try:
        import numba
    except ImportError:
        return _shift

    @numba.njit(nogil=True)
    def shifted(
        planes: Sequence[np.ndarray], mean: np.ndarray, shift: np.ndarray, scale: np.float32, out: np.ndarray
    ) -> None:
        for channel in range(3):
            plane, patch, addend, crop = planes[channel], mean[channel], shift[channel], out[channel]
            for y in range(crop.shape[0]):
                for x in range(crop.shape[1]):
                    crop[y, x] = (np.float32(plane[y, x]) - patch[y, x] + addend) * scale

    return shifted


def _shift(
    planes: Sequence[np.ndarray], mean: np.ndarray, shift: np.ndarray, scale: np.float32, out: np.ndarray
) -> None:
    """(colours - mean + shift) · scale into `out`, float32 (3, size, size)."""
    for plane, patch, addend, crop in zip(planes, mean, shift, out):
        np.subtract(plane, patch, out=crop)
        crop += addend
        crop *= scale


def _words(seed: int, epoch: int, ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """uint64 (N, 8): the numbers at 8·id of the stream that belongs to (seed, epoch), however many are drawn."""
    bits = np.random.Philox(key=[seed, epoch])  # its raw stream is what NumPy promises to keep
    words = np.empty((len(ids), _WORDS), np.uint64)
    position = 0
    for row, record in zip(words, ids):
        # The generator steps in blocks of four numbers, and stepping back is stepping on around the circle.
        bits.advance((int(record) * _WORDS // 4 - position) % 2**256)
        row[:] = bits.random_raw(_WORDS)
        position = (int(record) + 1) * _WORDS // 4
    return words


def _normal(words: np.ndarray) -> np.ndarray:
    """float64 (N, 3) of the standard normal distribution from uint64 (N, 4): Box and Muller's, one number unused."""
    uniform = ((words >> 11) + np.uint64(1)) * 2.0**-53  # above 0, up to 1
    radius = np.sqrt(-2 * np.log(uniform[:, :2]))
    angle = 2 * np.pi * uniform[:, 2:]
    return np.concatenate([radius * np.cos(angle), radius[:, :1] * np.sin(angle[:, :1])], axis=1)


def crop_views(images: np.ndarray, size: int, count: int) -> np.ndarray:
    """The views whose softmax outputs are averaged (Sec. 4.1), as uint8 (N, count, size, size, 3).

    count 10: four corners and the centre, then the same five mirrored. count 1: the centre. count 9: three by three
    places, not mirrored, as the 2012 code tests on CIFAR-10; the centre is the fifth of them as it is of ten.
    """
    far = images.shape[1] - size
    centre = far // 2
    corners = {
        10: [(0, 0), (0, far), (far, 0), (far, far), (centre, centre)],
        9: [(top, left) for top in (0, centre, far) for left in (0, centre, far)],
        1: [(centre, centre)],
    }[count]
    views = np.stack([images[:, top : top + size, left : left + size] for top, left in corners], axis=1)
    if count == 10:
        views = np.concatenate([views, views[:, :, :, ::-1]], axis=1)
    return views


def in_network_memory(views: np.ndarray) -> np.ndarray:
    """The same views (N, V, height, width, 3) as float32, of which :func:`network_order` makes no copy any more."""
    planes = np.ascontiguousarray(views.transpose(0, 1, 4, 2, 3), dtype=np.float32)
    return planes.transpose(0, 1, 3, 4, 2)


def network_order(images: np.ndarray) -> np.ndarray:
    """uint8 (M, height, width, 3) → float32 (M, 3, height, width), grey levels 0 to 255."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
