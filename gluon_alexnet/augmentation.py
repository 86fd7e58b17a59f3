"""What the network sees of a picture (Sec. 2, 4.1): training crops, colour shift, test views.

Pictures are uint8 (N, 256, 256, 3), RGB. What a training picture becomes depends on (seed, epoch, record id)
and on nothing else, so neither threads nor resuming change a batch.
"""

from __future__ import annotations

import numpy as np

from . import recipe


def central_patch(mean_image: np.ndarray, size: int) -> np.ndarray:
    """The centre of the mean image (256, 256, 3) as float32 (3, size, size), grey levels.

    The 2012 code subtracts it from every crop, wherever the crop is, and does not mirror it.
    """
    offset = (mean_image.shape[0] - size) // 2
    patch = mean_image[offset : offset + size, offset : offset + size]
    return np.ascontiguousarray(patch.transpose(2, 0, 1), dtype=np.float32)


class TrainingAugmentation:
    """Random crop, mirror and colour shift, with the mean subtracted (Sec. 4.1).

    numbers: the recipe's augmentation. size: height and width of a crop. mean: float32 (3, size, size).
    eigenvalues (3,) and axes (3, 3, one a column): of the RGB covariance over the training pictures.
    """

    def __init__(
        self,
        numbers: recipe.Augmentation,
        size: int,
        mean: np.ndarray,
        eigenvalues: np.ndarray,
        axes: np.ndarray,
        seed: int,
    ):
        self._numbers = numbers
        self._size = size
        self._mean = mean
        # The paper adds [p1 p2 p3][a1 l1, ...]; in the 2012 code l is the standard deviation along the axis.
        self._colours = axes * np.sqrt(eigenvalues)
        self._seed = seed

    def __call__(self, pictures: np.ndarray, ids: np.ndarray, epoch: int) -> np.ndarray:
        """uint8 (N, 256, 256, 3) of these record ids → float32 (N, 3, size, size)."""
        crops = np.empty((len(pictures), 3, self._size, self._size), np.float32)
        for picture, record, crop in zip(pictures, ids, crops):
            top, left, mirrored, shift = self.draw(int(record), epoch, picture.shape[0])
            window = picture[top : top + self._size, left : left + self._size]
            if mirrored:
                window = window[:, ::-1]
            np.subtract(window.transpose(2, 0, 1), self._mean, out=crop)
            crop += shift[:, None, None]
        return crops

    def draw(self, record: int, epoch: int, picture_size: int) -> tuple[int, int, bool, np.ndarray]:
        """(top, left, mirrored, colour shift float32 (3,) in grey levels) of one presentation of one picture."""
        # Philox is counter-based: a picture's numbers are its own, however many others are drawn.
        bits = np.random.Philox(key=[self._seed, epoch], counter=[0, 0, 0, record])
        generator = np.random.Generator(bits)
        top, left = generator.integers(0, picture_size - self._size, size=2, endpoint=True)
        mirrored = bool(generator.integers(2)) and self._numbers.mirror
        alpha = generator.normal(0, self._numbers.colour_deviation, size=3)
        return int(top), int(left), mirrored, (self._colours @ alpha).astype(np.float32)


def crop_views(pictures: np.ndarray, size: int, count: int) -> np.ndarray:
    """The views whose softmax outputs are averaged (Sec. 4.1), as uint8 (N, count, size, size, 3).

    count 10: four corners and the centre, then the same five mirrored. count 1: the centre.
    """
    far = pictures.shape[1] - size
    centre = far // 2
    corners = {10: [(0, 0), (0, far), (far, 0), (far, far), (centre, centre)], 1: [(centre, centre)]}[count]
    views = np.stack([pictures[:, top : top + size, left : left + size] for top, left in corners], axis=1)
    if count == 10:
        views = np.concatenate([views, views[:, :, :, ::-1]], axis=1)
    return views


def network_order(pictures: np.ndarray) -> np.ndarray:
    """uint8 (M, height, width, 3) → float32 (M, 3, height, width), grey levels 0 to 255."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32)
