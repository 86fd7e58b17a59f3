"""What the layers of a net make of any number of images, as NumPy files."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidRequest
from .devices import open_device
from .image_files import ImageFiles, load_image, load_images
from .progress import ImageProgress, silent

if TYPE_CHECKING:
    from ..features.activation_store import ActivationWriter
    from ..features.activations import Layers

BYTES_PER_PASS = 2**27  # of activations, which are held in memory until they are written
MOST_IMAGES_PER_PASS = 64


@dataclass(frozen=True)
class WrittenActivations:
    """What :func:`write_activations` left."""

    folder: Path
    images: int  # rows of each file
    resumed: int  # of them, those that an earlier call had done
    unreadable: int  # files that are no images, which have no row
    shapes: dict[str, tuple[int, ...]]  # of one image, by layer


class Stopped(KeyboardInterrupt):
    """The user stopped it; ``images`` are done and kept for the next call."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.images = images


def list_layers(model: Path, device: Any = None) -> dict[str, tuple[int, ...]]:
    """The names of a net's layers, in order, with the shape of one image's output. Raises as :func:`open_graph`."""
    from ..features.activations import layer_shapes
    from .load import open_graph

    return layer_shapes(open_graph(model, open_device(device, "This")))


def save_activations(
    model: Path,
    images: Sequence[str] | None,
    output: Path,
    layers: Iterable[str],
    *,
    data: Path | None = None,
    split: str = "val",
    before_activation: bool = False,
    views: int = 1,
    device: Any = None,
    progress: ImageProgress = silent,
    on_problem: Callable[[str], None] = lambda sentence: None,
) -> WrittenActivations:
    """:func:`write_activations` over files and folders, or over a split of a packed data set.

    images: names of files and folders, `-` for names on stdin; None where ``data`` is a data set folder.
    progress(total, what): around the work, with a total of None for files; gives a function of the number of images
    done. on_problem: called with a sentence for each file that cannot be read.
    """
    from gluon_alexnet.recordio.reading.reader import Reader

    context = open_device(device, "This")
    with ExitStack() as opened:
        source: Source
        if data is not None:
            reader = opened.enter_context(Reader(data, split))
            source = DatasetImages(reader, opened.enter_context(progress(len(reader), "activations")))
        else:
            bar = opened.enter_context(progress(None, "activations"))
            source = FileImages(ImageFiles(images or ()), bar, on_problem)
        return write_activations(
            model, source, output, layers, context, before_activation=before_activation, views=views
        )


def write_activations(
    model: Path,
    images: Source,
    output: Path,
    layers: Iterable[str],
    context: Any,
    *,
    before_activation: bool = False,
    views: int = 1,
) -> WrittenActivations:
    """Write OUTPUT/LAYER.npy, float32 (images, *shape), for each layer, and OUTPUT/keys.txt, a name per line.

    model: a run, a checkpoint or an exported net. images: :class:`FileImages` or :class:`DatasetImages`. layers: names
    as :func:`gluon_alexnet.features.activations.layer_shapes` lists them; conv5 and fc6 mean what their activation
    function gives, unless ``before_activation``. views: 1, the centre, or 10 (Sec. 4.1): the arrays are then
    (images, 10, *shape). Memory does not depend on the number of images. A call that was stopped or killed is
    continued by the same call; the result is the same, byte for byte. Raises InvalidRequest for an unknown layer or
    for an OUTPUT that is there, OperationFailed where an activation is not a number or the disk is full, Stopped on
    Ctrl-C.
    """
    from ..data.augmentation import crop_views
    from ..features.activation_store import ActivationWriter, Contents
    from ..features.activations import open_layers
    from .load import open_graph

    graph = open_graph(model, context)
    net = open_layers(graph, list(layers), before_activation, context)
    shapes = {name: shape if views == 1 else (views, *shape) for name, shape in net.shapes.items()}
    contents = Contents(graph.digest, str(model), shapes, before_activation, views)
    with ActivationWriter(output, contents) as writer:
        resumed = writer.done
        try:
            for keys, pixels in images.batches(writer, _images_a_pass(shapes)):
                stack = crop_views(pixels, net.size, views)
                found = _computed(net, stack.reshape(-1, net.size, net.size, 3))
                writer.append(keys, {name: found[name].reshape(len(keys), *shape) for name, shape in shapes.items()})
                images.report(len(keys))
        except KeyboardInterrupt as stopped:
            raise Stopped(writer.stop()) from stopped
        folder = writer.complete()
        return WrittenActivations(folder, writer.done, resumed, images.unreadable, shapes)


def _images_a_pass(shapes: dict[str, tuple[int, ...]]) -> int:
    size = 4 * sum(math.prod(shape) for shape in shapes.values())
    return max(1, min(MOST_IMAGES_PER_PASS, BYTES_PER_PASS // size))


def _computed(net: Layers, views: np.ndarray) -> dict[str, np.ndarray]:
    """Activations of the views, at most MOST_IMAGES_PER_PASS at a time."""
    parts = [net.compute(views[i : i + MOST_IMAGES_PER_PASS]) for i in range(0, len(views), MOST_IMAGES_PER_PASS)]
    return parts[0] if len(parts) == 1 else {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}


class Source:
    """Where images come from. ``report``: called with the number of images after each batch."""

    unreadable = 0

    def __init__(self, report: Callable[[int], None] = lambda images: None) -> None:
        self.report = report

    def batches(self, writer: ActivationWriter, size: int) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """(names, uint8 (n, 256, 256, 3)) of what ``writer`` does not have yet, in order, ``size`` at most."""
        raise NotImplementedError


class FileImages(Source):
    """Image files by their names. ``on_problem``: called with a sentence for each that cannot be read."""

    def __init__(
        self,
        names: Iterable[str],
        report: Callable[[int], None] = lambda images: None,
        on_problem: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        super().__init__(report)
        self._names, self._on_problem = names, on_problem

    def batches(self, writer: ActivationWriter, size: int) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """As :meth:`Source.batches`.

        Raises InvalidRequest where the images are not those of the call that is continued.
        """
        self.unreadable = 0
        for batch in load_images(self._remaining(writer), size):
            for image in batch:
                if image.problem is not None:
                    self._problem(image.problem)
            readable = [(os.fsencode(image.name), image.pixels) for image in batch if image.pixels is not None]
            if readable:
                yield [key for key, _ in readable], np.stack([pixels for _, pixels in readable])

    def _remaining(self, writer: ActivationWriter) -> Iterator[str]:
        """The names behind those that are done, which must be the first ones again."""
        done = writer.keys()
        expected = next(done, None)
        for name in self._names:
            key = os.fsencode(name)
            if b"\n" in key:
                self._problem(f"{name!r} has a line break in its name, so keys.txt cannot hold it.")
            elif expected is None:
                yield name
            elif key == expected:
                expected = next(done, None)
            else:  # a file that could not be read has no key; any other means that these are other images
                problem = load_image(name).problem
                if problem is None:
                    raise InvalidRequest(
                        f"This was begun with other images: {name} stands where {os.fsdecode(expected)} stood. Give "
                        "the same images, another output folder, or remove what was begun."
                    )
                self._problem(problem)
        if expected is not None:
            raise InvalidRequest(
                f"This was begun with more images: {os.fsdecode(expected)} is not among these. Give the same images, "
                "another output folder, or remove what was begun."
            )

    def _problem(self, sentence: str) -> None:
        self.unreadable += 1
        self._on_problem(sentence)


class DatasetImages(Source):
    """A split of a packed data set; names are the records' keys. ``reader``: a recordio Reader of the split."""

    def __init__(self, reader: Any, report: Callable[[int], None] = lambda images: None) -> None:
        super().__init__(report)
        self._reader = reader

    def batches(self, writer: ActivationWriter, size: int) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """As :meth:`Source.batches`.

        Raises InvalidRequest where the data set is not that of the call that is continued.
        """
        done = enumerate(itertools.islice(writer.keys(), writer.done))
        for number, key in done:
            if number >= len(self._reader) or os.fsencode(self._reader.key(number)) != key:
                raise InvalidRequest(
                    f"This was begun with another data set: record {number} was {os.fsdecode(key)}. Give the same one, "
                    "another output folder, or remove what was begun."
                )
        for pixels, _, ids in self._reader.batches(size, start=writer.done):
            yield [os.fsencode(self._reader.key(int(number))) for number in ids], pixels
