"""The images of a data set for the page of :mod:`gluon_alexnet.workflows.serve`: some to try, and the nearest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gluon_alexnet.recordio.reading.reader import Reader

from ..features.activations import Fc7
from ..features.store import Contents, Features
from ..serving.interfaces import GalleryImage

EXAMPLES = 16


class DataGallery:
    """See :class:`gluon_alexnet.serving.interfaces.Gallery`.

    data: the data set's folder. fc7: the net up to layer 7, or None where it cannot be reached. stores: the folder
    below which its activations are kept.
    features: the folder of just those, where the user names one. Raises DatasetError for a damaged data set, and what
    :class:`gluon_alexnet.features.store.Features` raises for a folder that was named.
    """

    def __init__(self, data: Path, fc7: Fc7 | None, stores: Path, features: Path | None = None) -> None:
        self._fc7 = fc7
        self._train = Reader(data, "train")
        names = [split.name for split in self._train.manifest.splits]
        self._tried = Reader(data, "val") if "val" in names else self._train
        self._examples = np.linspace(0, len(self._tried) - 1, min(EXAMPLES, len(self._tried))).round().astype(int)
        self._features: Features | None = None
        if fc7 is None:
            return
        contents = Contents(fc7.digest, self._train.manifest.digest, "train", len(self._train), fc7.width)
        folder = features or stores / contents.name
        if features or folder.is_dir():
            self._features = Features(folder, contents)

    @property
    def examples(self) -> int:
        """Images to try the net on."""
        return len(self._examples)

    @property
    def searchable(self) -> int:
        """Training images whose activations are known."""
        return len(self._features) if self._features else 0

    def example(self, number: int) -> GalleryImage:
        """One of the images to try."""
        return self._image(self._tried, int(self._examples[number]), 0.0)

    def describe(self, image: np.ndarray) -> np.ndarray:
        """The activations of layer 7, float32 (1, width), of uint8 (256, 256, 3)."""
        assert self._fc7 is not None
        return self._fc7.of_images(image[None])

    def nearest(self, activations: np.ndarray, count: int) -> list[GalleryImage]:
        """The training images with the nearest activations, the nearest first."""
        assert self._features is not None
        ids, distances = self._features.nearest(activations, min(count, len(self._features)))
        return [self._image(self._train, int(k), float(d)) for k, d in zip(ids[0], distances[0])]

    def close(self) -> None:
        """Close the data set."""
        self._train.close()
        self._tried.close()

    def _image(self, reader: Reader, number: int, distance: float) -> GalleryImage:
        image, label = reader.read(number)
        name = reader.manifest.classes[label].name if label >= 0 else None
        return GalleryImage(image, name, distance)
