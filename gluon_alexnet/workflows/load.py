"""Opening what a user calls a model, a run, a checkpoint or an exported net, and computing with it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Union

import numpy as np

from ..data.augmentation import crop_views
from ..errors import InvalidRequest, OperationFailed
from ..evaluation.ensemble import view_probabilities
from ..evaluation.metrics import best_classes
from ..exporters import symbol
from ..model.classifier import Model as ClassifierModel
from ..model.classifier import build_classifier, classify_with, count_parameters
from ..training import checkpoint, run_folder
from .devices import open_device
from .image_files import ImageFiles, LoadedImage, load_image, load_images
from .run_data import check_model

IMAGES_PER_PASS = {10: 16, 1: 64}  # by views; of ten views each about 2 GB for the full net

Images = Union[np.ndarray, str, bytes, "os.PathLike[str]", Iterable[Any]]


@dataclass(frozen=True)
class Guess:
    """One class and its probability."""

    wnid: str
    name: str
    probability: float
    label: int  # place of the class among the model's


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image: ``guesses``, the most probable first, or why it could not be read."""

    source: str  # the file's name, or "image 3" for the third of those given as pixels
    guesses: list[Guess]
    problem: str | None = None  # a sentence; there are no guesses then
    pixels: np.ndarray | None = field(
        default=None, repr=False
    )  # uint8 (256, 256, 3) RGB, as the model saw it before it was cropped


class Model:
    """A net that is ready to compute, on one device; :func:`load` opens it.

    Images may be given as file names, folders (all images below), ``bytes`` of image files, PIL images, uint8 arrays
    (height, width, 3), or one uint8 array (N, height, width, 3), RGB. Their shorter side is scaled to 256 pixels and
    the centre 256×256 taken (Sec. 2). Any number of them is taken a batch at a time; memory does not grow with it.
    """

    takes_floats = True  # classify takes float32, too, of the same grey levels

    def __init__(self, path: Path, net: ClassifierModel, context: Any) -> None:
        self.path, self._net, self._context = path, net, context
        self.source = net.source

    @property
    def classes(self) -> list[dict[str, str]]:
        """wnid and name of each class, in the order of the probabilities."""
        return self._net.classes

    @property
    def input_size(self) -> int:
        """Height and width of a view, pixels: 224 in the paper."""
        return self._net.size

    @property
    def variants(self) -> tuple[str, ...]:
        """Changes to the recipe that it was trained with."""
        return self._net.variants

    @property
    def recipe(self) -> str:
        """The name of the recipe that it was trained with; empty where it is not known."""
        return self._net.recipe

    @property
    def parameters(self) -> int:
        """Weights and biases: 60,965,224 in the paper's net of 1000 classes."""
        return self._net.parameters

    @property
    def size(self) -> int:
        """The same as ``input_size``."""
        return self._net.size

    @property
    def mean_image(self) -> np.ndarray | None:
        """float32 (3, 256, 256) where each view has its own pixels' mean subtracted; None: the mean image's centre."""
        return self._net.mean_image

    def classify(self, views: np.ndarray) -> np.ndarray:
        """uint8 (M, input_size, input_size, 3) RGB → probabilities, float32 (M, classes)."""
        return self._net.classify(views)

    def predict(self, images: Images, views: int = 10, top: int = 5) -> list[Prediction]:
        """The ``top`` most probable classes of each image, over 10 views or the centre view (Sec. 4.1).

        Raises InvalidRequest for another number of views, OperationFailed where an image cannot be read or a
        probability is not a number.
        """
        found = list(self.predictions(images, views, top))
        for one in found:
            if one.problem:
                raise OperationFailed(one.problem)
        return found

    def predictions(self, images: Images, views: int = 10, top: int = 5) -> Iterator[Prediction]:
        """The same one after the other; an image that cannot be read has a ``problem`` in its place."""
        _check_views(views)
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise InvalidRequest(f"top is a whole number of classes, 1 or more, not {top!r}.")
        for batch in _batches(images, IMAGES_PER_PASS[views]):
            readable = [image.pixels for image in batch if image.pixels is not None]
            rows = iter(self._rows(readable, views))
            for image in batch:
                if image.pixels is None:
                    yield Prediction(image.name, [], image.problem)
                    continue
                row = next(rows)
                (labels,) = best_classes(row[None], top)
                guesses = [
                    Guess(self.classes[label]["wnid"], self.classes[label]["name"], float(row[label]), int(label))
                    for label in labels
                ]
                yield Prediction(image.name, guesses, None, image.pixels)

    def probabilities(self, images: Images, views: int = 1) -> np.ndarray:
        """Mean softmax over the views, float32 (N, classes). Raises as :meth:`predict` does."""
        _check_views(views)
        rows = [self._rows(_readable(batch), views) for batch in _batches(images, IMAGES_PER_PASS[views])]
        return np.concatenate([np.zeros((0, len(self.classes)), np.float32), *rows])

    def activations(
        self, images: Images, layers: Sequence[str], before_activation: bool = False
    ) -> dict[str, np.ndarray]:
        """What layers make of each image's centre view: {"conv5": float32 (N, 256, 13, 13), "fc6": (N, 4096), …}.

        layers: names as :attr:`layers` lists them; conv1 to fc7 mean the output of their ReLU, unless
        ``before_activation``. The arrays hold all images; :func:`gluon_alexnet.workflows.activations.write_activations`
        streams to files. Raises InvalidRequest for a layer that there is not.
        """
        from ..features import activations

        names = [layers] if isinstance(layers, str) else list(layers)
        net = activations.open_layers(self._graph, names, before_activation, self._context)
        found = {name: [np.zeros((0, *shape), np.float32)] for name, shape in net.shapes.items()}
        for batch in _batches(images, IMAGES_PER_PASS[1]):
            pixels = np.stack(_readable(batch))
            for name, values in net.compute(crop_views(pixels, net.size, 1)[:, 0]).items():
                found[name].append(values)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    @property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """The names of the layers, in order, with the shape of one image's output: {"conv1": (96, 55, 55), …}."""
        from ..features import activations

        return activations.layer_shapes(self._graph)

    @cached_property
    def _graph(self) -> Any:
        return open_graph(self.path, self._context)

    def _rows(self, images: Sequence[np.ndarray], views: int) -> np.ndarray:
        if not images:
            return np.zeros((0, len(self.classes)), np.float32)
        (rows,) = view_probabilities(self._net.classify, np.stack(images), self._net.size, [views], self.mean_image)
        if not np.isfinite(rows).all():
            raise OperationFailed(f"{self.source}: an output is not a number; these weights are of no use.")
        return rows


def load(path: str | os.PathLike[str], device: Any = None) -> Model:
    """Open a run, a checkpoint, an exported net (OUT of OUT-symbol.json) or an imported one.

    An imported convolutional part has activations, and classifies nothing: that raises InvalidRequest.

    device: "gpu(0)", "cpu(0)" or a context of MXNet; None takes a GPU if there is one. Raises InvalidRequest for what
    is none of these or several devices, OperationFailed where a file is missing, damaged or newer than this program.
    """
    path = Path(path)
    context = open_device(device, "A net that is loaded")
    if symbol.is_export(path):
        return Model(path, symbol.load_export(path, context, parts=True), context)
    return Model(path, open_model(path, context), context)


def open_model(path: Path, context: Any) -> ClassifierModel:
    """The net that ``path`` names, on one context."""
    if symbol.is_export(path):
        return symbol.load_export(path, context)
    check_model(path)
    description, _, parameters, _ = checkpoint.load_run(path)
    recipe, classifier = description.recipe, build_classifier(description.recipe.network, parameters, context)
    return ClassifierModel(
        classify_with(classifier, context),
        recipe.network.input_size,
        description.classes,
        str(path),
        recipe.variants,
        count_parameters(classifier),
        parameters["mean"].asnumpy() if recipe.augmentation.mean_before_crop else None,
        recipe.name,
    )


def as_models(given: Sequence[Any], device: Any) -> list[Any]:
    """Models of paths, and those that are models already, all of the same classes.

    Raises InvalidRequest where the classes differ: such nets cannot be averaged.
    """
    context = open_device(device, "Evaluation")
    models = [one if hasattr(one, "classify") else open_model(Path(one), context) for one in given]
    first = models[0]
    for other in models[1:]:
        if [c["wnid"] for c in other.classes] != [c["wnid"] for c in first.classes]:
            raise InvalidRequest(
                f"{first.source} knows {len(first.classes)} classes and {other.source} knows {len(other.classes)}, and "
                "they are not the same: such nets cannot be averaged."
            )
    return models


def open_run(path: Path, context: Any) -> tuple[Any, run_folder.RunDescription, checkpoint.State]:
    """(classifier on the context, description of the run, state) of a run or checkpoint folder."""
    description, state, parameters, _ = checkpoint.load_run(path)
    return build_classifier(description.recipe.network, parameters, context), description, state


def open_graph(model: Path, context: Any) -> Any:
    """The inside of a run, a checkpoint or an exported net. Raises InvalidRequest for what is none of them."""
    from ..features import activations

    if symbol.is_export(model):
        return activations.graph_of_export(model, context)
    check_model(model)
    classifier, description, _ = open_run(model, context)
    return activations.graph_of_classifier(classifier, description.recipe.network)


def _check_views(views: int) -> None:
    if views not in IMAGES_PER_PASS:
        raise InvalidRequest(f"There are 10 views or 1, not {views}.")


def _readable(batch: list[LoadedImage]) -> list[np.ndarray]:
    """The pixels of each. Raises OperationFailed at the first that has none."""
    for image in batch:
        if image.problem is not None:
            raise OperationFailed(image.problem)
    return [image.pixels for image in batch if image.pixels is not None]


def _batches(images: Any, size: int) -> Iterator[list[LoadedImage]]:
    """The images as :class:`LoadedImage`, ``size`` at a time but the last."""
    one = isinstance(images, (str, bytes, os.PathLike)) or _is_pil(images)
    if one or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    if not isinstance(images, Iterable):
        raise InvalidRequest(f"{images!r} is no image or images; give file names, bytes, PIL images or uint8 arrays.")
    if not isinstance(images, (np.ndarray, list, tuple)):  # an iterator, of file names
        yield from load_images((os.fspath(name) for name in images), size)
        return
    if len(images) and all(isinstance(one, (str, os.PathLike)) for one in images):
        yield from load_images(ImageFiles([os.fspath(one) for one in images]), size)
        return
    for begin in range(0, len(images), size):
        yield [_decoded(one, number) for number, one in enumerate(images[begin : begin + size], begin + 1)]


def _is_pil(given: Any) -> bool:
    """Whether it is an image of PIL, which need not be loaded to know that."""
    return not isinstance(given, np.ndarray) and hasattr(given, "save") and hasattr(given, "mode")


def _decoded(given: Any, number: int) -> LoadedImage:
    """The pixels of bytes, an array or a PIL image."""
    from gluon_alexnet.recordio.dataset.images import ImageError, decode, shorter_side_256

    name = f"image {number}"
    try:
        if isinstance(given, (str, os.PathLike)):
            return load_image(os.fspath(given))
        if isinstance(given, (bytes, bytearray)):
            return LoadedImage(name, shorter_side_256(decode(bytes(given))), None)
        if _is_pil(given):
            written = io.BytesIO()
            given.convert("RGB").save(written, "PNG")
            return LoadedImage(name, shorter_side_256(decode(written.getvalue())), None)
        pixels = np.asarray(given)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise InvalidRequest(
                f"{name} is an array of {pixels.dtype} {pixels.shape}; give uint8 (height, width, 3), RGB, or "
                "(N, height, width, 3)."
            )
        return LoadedImage(name, shorter_side_256(np.ascontiguousarray(pixels)), None)
    except ImageError as error:
        return LoadedImage(name, None, f"{name} is no image this program reads: {error}.")
