"""What the server needs of a net and of a data set; `workflows.serve` provides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

WITHOUT_NORMALIZATION = "normalization"


def column_switch(column: int) -> str:
    """The name of the switch that takes a column of the net away; columns count from 1, as people do."""
    return f"column{column}"


class ServedModel(Protocol):
    """A net to classify with."""

    @property
    def name(self) -> str:
        """As it stands in addresses."""

    @property
    def classes(self) -> Sequence[Mapping[str, str]]:
        """wnid and name of each class, in label order."""

    @property
    def input_size(self) -> int:
        """Height and width of a view, pixels."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What the page says of the net: ``sentence`` and ``details``. No path of this machine."""

    def classify(self, views: np.ndarray) -> np.ndarray:
        """uint8 (M, input_size, input_size, 3) RGB → probabilities, float32 (M, classes)."""


class Microscope(Protocol):
    """The inside of a net: its kernels, what every layer makes of an image, and what changes without a part."""

    @property
    def columns(self) -> int:
        """Columns of the net."""

    @property
    def switches(self) -> Sequence[str]:
        """Parts that can be taken away."""

    @property
    def reads_all(self) -> frozenset[str]:
        """Names of the layers that read every column."""

    def kernels(self) -> np.ndarray:
        """Weights of layer 1, float32 (kernels, 3, height, width); those of a column lie together."""

    def classify(self, views: np.ndarray, without: frozenset[str]) -> np.ndarray:
        """As :meth:`ServedModel.classify`, of the net without these parts."""

    def activations(self, view: np.ndarray, without: frozenset[str]) -> dict[str, np.ndarray]:
        """uint8 (input_size, input_size, 3) → layer's name → float32 (maps, height, width), after the neuron."""


class GalleryImage(NamedTuple):
    """An image of the data set."""

    image: np.ndarray  # uint8 (256, 256, 3) RGB
    label: str | None  # its class by name, or None where nobody knows it
    distance: float = 0.0  # Euclidean, in layer fc7


class Gallery(Protocol):
    """The images of a data set: some to try the net on, and those that are nearest to another one."""

    @property
    def examples(self) -> int:
        """How many images there are to try."""

    @property
    def searchable(self) -> int:
        """Images that are searched for near ones; 0 where their activations have not been computed."""

    def example(self, number: int) -> GalleryImage:
        """One of the images to try."""

    def describe(self, image: np.ndarray) -> np.ndarray:
        """What is searched by: the fc7 activations of uint8 (256, 256, 3). For the computing thread."""

    def nearest(self, activations: np.ndarray, count: int) -> list[GalleryImage]:
        """The images with the nearest activations, the nearest first."""


@dataclass(frozen=True)
class Limits:
    """What one server takes on. Beyond it a client gets 413, 503 or 408, or is hung up on; memory stays bounded."""

    body_bytes: int = 32 * 2**20  # of one request; a telephone's photograph has 3 to 12 MB
    requests: int = 256  # begun and not answered
    bytes_held: int = 256 * 2**20  # of all bodies that have not been decoded yet
    waiting_views: int = 2560  # that may wait to be computed
    batch_views: int = 64  # computed at a time
    images: int = 64  # of one inference request
    head_seconds: float = 10.0  # in which a request's head must be there
    body_seconds: float = 10.0  # that a body may take whatever its size …
    body_bytes_a_second: float = 16 * 2**10  # … and the rate above which it may take longer
    answer_seconds: float = 30.0  # that a client may take nothing of its answer
    drain_seconds: float = 1.0  # at the end, for requests that are on their way
    finish_seconds: float = 60.0  # at the end, for requests that have begun


@dataclass(frozen=True)
class Service:
    """All that the application serves."""

    model: ServedModel
    microscope: Microscope | None = None
    gallery: Gallery | None = None
    limits: Limits = field(default_factory=Limits)
