"""Mean image, covariance of the RGB values and its axes over the training split (paper Sec. 2 and 4.1).

Only integers are added up, so that the order of the images, the number of workers and the joining of parts change
no bit of the result.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gluon_alexnet.atomic_files import write_bytes
from gluon_alexnet.safe_arrays import arrays_of
from gluon_alexnet.safe_files import read_bytes

from .loops import loops
from .manifest import SIZE, STATISTICS, DatasetError, PathLike, read_manifest

_SHAPE = (SIZE, SIZE, 3)
_PIXELS = SIZE * SIZE
_SYMMETRIC = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])  # where RR, GG, BB, RG, RB, GB stand in the products
_FLUSH = 257  # images; 257 · 255 still fits 16 bits

# Sides of the source images are counted in steps of an eighth of a doubling, from 16 pixels to 4,096.
# A table of fixed size: those of parts of a data set add up.
SIZE_EDGES = tuple(math.ceil(16 * 2 ** (step / 8)) for step in range(65))
_SIZES = (len(SIZE_EDGES) - 1,) * 2


class Sums:
    """Exact sums over images: `image` int64 (256, 256, 3) of the grey levels, `products` int64 (3, 3) of RGB · RGB.

    `sizes` int64 (64, 64) counts the source images by height and width: bin k holds sides from SIZE_EDGES[k] on, the
    first and the last bin what is smaller or larger. Int64 holds the products of 2.1 · 10⁹ images.
    """

    def __init__(self) -> None:
        self.images = 0
        self.image = np.zeros(_SHAPE, np.int64)
        self.products = np.zeros((3, 3), np.int64)
        self.sizes = np.zeros(_SIZES, np.int64)
        # Adding bytes to 16 bits takes a quarter of the memory of 64, and the sums of each thread stay in its cache.
        self._recent = np.zeros(_SHAPE, np.uint16)
        self._recent_products = np.zeros(6, np.int64)
        self._recent_images = 0

    def add(self, image: np.ndarray, source_size: tuple[int, int]) -> None:
        """Add one image, uint8 (256, 256, 3) RGB, made from a source image of that height and width."""
        self.sizes[_size_bin(source_size[0]), _size_bin(source_size[1])] += 1
        add_sums = loops().add_sums
        if add_sums is None:
            self._recent += image
            self._add_products(image)
        else:
            flat = np.ascontiguousarray(image).reshape(-1)
            add_sums(flat, self._recent.reshape(-1), self._recent_products)
        self._recent_images += 1
        self.images += 1
        if self._recent_images == _FLUSH:
            self.flush()

    def _add_products(self, image: np.ndarray) -> None:
        planes = cv2.split(image)
        squares = [_squares(plane) for plane in planes]
        for i in range(3):
            self.products[i, i] += squares[i]
            for j in range(i):
                # 2ab = a² + b² - (a-b)²: OpenCV's vectorised norms of bytes give whole numbers.
                product = (squares[i] + squares[j] - _squares(planes[i], planes[j])) // 2
                self.products[i, j] += product
                self.products[j, i] += product

    def merge(self, other: Sums) -> None:
        """Add the sums over other images."""
        other.flush()
        self.images += other.images
        self.image += other.image
        self.products += other.products
        self.sizes += other.sizes

    def flush(self) -> None:
        """Bring `image` and `products` up to date with the images added last."""
        self.image += self._recent
        self.products += self._recent_products[_SYMMETRIC]
        self._recent[:] = 0
        self._recent_products[:] = 0
        self._recent_images = 0

    def statistics(self) -> Statistics:
        """The statistics of the images added so far; ValueError when there are none."""
        if self.images == 0:
            raise ValueError("no images to take statistics of")
        self.flush()
        pixels = self.images * _PIXELS
        totals = [int(total) for total in self.image.sum(axis=(0, 1))]
        # Python's integers: the numerator passes 64 bits long before 1.28 million images.
        covariance = np.array(
            [
                [(pixels * int(self.products[i, j]) - totals[i] * totals[j]) / pixels**2 for j in range(3)]
                for i in range(3)
            ]
        )
        eigenvalues, axes = principal_axes(covariance)
        return Statistics(
            images=self.images,
            pixels=pixels,
            mean_image=self.image / self.images,
            covariance=covariance,
            eigenvalues=eigenvalues,
            axes=axes,
            sum_image=self.image.copy(),
            sum_products=self.products.copy(),
            source_sizes=self.sizes.copy(),
        )


@dataclass(frozen=True)
class Statistics:
    """Statistics of the packed training images as decoded; unit: grey levels 0-255, channels RGB."""

    images: int
    pixels: int
    mean_image: np.ndarray  # float64 (256, 256, 3)
    covariance: np.ndarray  # float64 (3, 3), population covariance over all pixels, grey levels²
    eigenvalues: np.ndarray  # float64 (3,), grey levels², descending, none below 0
    axes: np.ndarray  # float64 (3, 3), column k is the unit eigenvector of eigenvalue k, its largest component positive
    sum_image: np.ndarray  # int64 (256, 256, 3), what mean_image is the quotient of; kept to join parts exactly
    sum_products: np.ndarray  # int64 (3, 3), sums of RGB · RGB over all pixels; kept to join parts exactly
    source_sizes: np.ndarray  # int64 (64, 64), source images by height and width in the bins of SIZE_EDGES

    def sums(self) -> Sums:
        """The sums that these statistics were taken from, to join them with those of other images."""
        sums = Sums()
        sums.images = self.images
        sums.image += self.sum_image
        sums.products += self.sum_products
        sums.sizes += self.source_sizes
        return sums


def principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (3,), descending and clipped at 0, and axes (3, 3) as columns, of a symmetric 3x3 covariance."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(3)] < 0, -1.0, 1.0)
    return np.maximum(values, 0.0), vectors * signs


def write_statistics(folder: PathLike, statistics: Statistics) -> str:
    """Write `statistics.npz` and return its SHA-256 (hex)."""
    buffer = io.BytesIO()
    np.savez(buffer, **vars(statistics))
    write_bytes(Path(folder) / STATISTICS, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def read_statistics(folder: PathLike) -> Statistics:
    """Read and check `statistics.npz` of a data set.

    Raises :class:`DatasetError` when it is missing, cut, not finite, of another shape, or of another data set.
    """
    expected = read_manifest(folder).statistics_sha256
    path = Path(folder) / STATISTICS
    try:
        content = read_bytes(path)
        arrays = arrays_of(content)
        found = {name: arrays[name] for name in Statistics.__dataclass_fields__}
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or 'damaged'}; pack the data set again") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: cut or written by another program; pack the data set again") from error
    shapes = dict(
        mean_image=_SHAPE,
        sum_image=_SHAPE,
        covariance=(3, 3),
        axes=(3, 3),
        sum_products=(3, 3),
        source_sizes=_SIZES,
    )
    for name, array in found.items():
        shape = (3,) if name == "eigenvalues" else shapes.get(name, ())
        if array.shape != shape or array.dtype.kind not in "if" or not np.isfinite(array).all():
            raise DatasetError(f"{path}: {name} is not finite or of another shape; pack the data set again")
    if hashlib.sha256(content).hexdigest() != expected:
        raise DatasetError(f"{path}: not the statistics of this data set; copy both again, or pack the data set again")
    numbers: dict[str, Any] = {**found, "images": int(found["images"]), "pixels": int(found["pixels"])}
    return Statistics(**numbers)


def _size_bin(side: float) -> int:
    return min(max(bisect.bisect_right(SIZE_EDGES, side) - 1, 0), _SIZES[0] - 1)


def _squares(plane: np.ndarray, other: np.ndarray | None = None) -> int:
    """Sum of the squares of a plane, or of its differences from another."""
    return round(cv2.norm(plane, cv2.NORM_L2SQR) if other is None else cv2.norm(plane, other, cv2.NORM_L2SQR))
