"""The images of a data set nearest to others in fc7's activations, and by binary codes (Fig. 4 right, Sec. 6.1)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from gluon_alexnet.recordio.reading.reader import Reader

from ..errors import InvalidRequest, OperationFailed
from ..exporters import symbol
from ..features import activations, binary_codes, config, store
from ..plots.similar import Neighbour, Similar, draw_similar
from ..training import run_folder
from .devices import open_device
from .image_files import ImageFiles, load_image
from .load import open_run
from .progress import silent
from .run_data import check_model, data_of_run

IMAGES_PER_PASS = 64
MOST_IMAGES = 40  # rows that a drawing can hold and a person can read


@dataclass(frozen=True)
class Found:
    """One neighbour: its record's key, and what is drawn of it."""

    key: str
    drawn: Neighbour


@dataclass(frozen=True)
class Query:
    """One image and its neighbours, the nearest first."""

    file: Path
    pixels: np.ndarray  # uint8 (256, 256, 3)
    caption: str
    by_distance: list[Found]  # Euclidean, in fc7
    by_code: list[Found]  # Hamming, if codes are asked for; the true neighbours among them are framed


@dataclass(frozen=True)
class CodeQuality:
    """How many of the true nearest images a code keeps, on images that the auto-encoder did not learn from."""

    neighbours: int  # true ones that are looked for
    shares: dict[int, float]  # among so many first ones by code: the share found
    judged: int  # images that this is the mean over


@dataclass(frozen=True)
class SimilarImages:
    """What :func:`find_similar` found."""

    queries: list[Query]
    searched: int
    data: Path
    seconds: float  # of the search by distance
    vectors: Path  # where the split's activations are kept
    codes: CodeQuality | None


class Stopped(KeyboardInterrupt):
    """The user stopped the computing of the vectors; what is done is kept for the next call."""

    def __init__(self, images: int, of: int) -> None:
        super().__init__()
        self.images, self.of = images, of


@dataclass(frozen=True)
class Reports:
    """What is called while the work goes on.

    message: a sentence. progress(total, unit, what): around long work; gives a function of (count, **values).
    """

    message: Callable[[str], None]
    progress: Callable[[int, str, str], AbstractContextManager[Callable[..., None]]]


def find_similar(
    model: str | os.PathLike[str],
    files: Sequence[Path],
    data: str | os.PathLike[str] | None = None,
    *,
    split: str = "train",
    count: int = 6,
    bits: int | None = None,
    features: Path | None = None,
    device: Any = None,
    reports: Reports = Reports(lambda sentence: None, silent),
) -> SimilarImages:
    """The ``count`` images of a split nearest to each file in the Euclidean distance of fc7's activations.

    model: a run, a checkpoint or an exported net. files: images, and folders of images. data: data set (default: the
    run's). bits: also search by binary codes of so many bits, which an auto-encoder learns once (Sec. 6.1). features:
    where the split's activations are kept (default: in the run, or beside the export); they are computed once. Raises
    InvalidRequest for wrong use, OperationFailed for a file that is no image or damaged vectors, Stopped on Ctrl-C.
    """
    files = _named(files)
    if bits is not None:
        binary_codes.check_bits(bits)
    check_model(Path(model))
    images = _read(files)
    folder = data_of_run(Path(model)) if data is None else Path(data)
    with Reader(folder, split) as reader:
        if len(reader) < count:
            raise InvalidRequest(f"{folder} ({split}) has {len(reader)} images: too few for a `count` of {count}.")
        fc7, place = _open_fc7(Path(model), open_device(device, "A search"))
        vectors = _vectors(features, place, fc7, reader, reports)
        queries = fc7.of_images(images)
        began = time.monotonic()
        ids, distances = vectors.nearest(queries, count)
        took = time.monotonic() - began
        by_distance = [
            [_neighbour(reader, number, f"distance {distance:.2f}") for number, distance in zip(*found)]
            for found in zip(ids.tolist(), distances.tolist())
        ]
        by_code: list[list[Found]] = [[] for _ in files]
        codes = None
        if bits is not None:
            by_code, codes = _by_code(vectors, bits, queries, ids, reader, reports)
        names = {c.wnid: c.name for c in reader.manifest.classes}
        captions = [names.get(file.resolve().parent.name, file.name).split(",")[0] for file in files]
    found = [Query(*one) for one in zip(files, images, captions, by_distance, by_code)]
    return SimilarImages(found, len(vectors), folder, took, vectors.folder, codes)


def draw(found: SimilarImages, bits: int | None, output: Path) -> None:
    """Write Fig. 4 right: a row per image, and one more for its neighbours by code."""
    rows = []
    for query in found.queries:
        rows.append(Similar(query.pixels, query.caption, [one.drawn for one in query.by_distance]))
        if query.by_code:
            words = f"by code\nof {bits} bits\n(framed:\nas above)"
            rows.append(Similar(None, words, [one.drawn for one in query.by_code]))
    draw_similar(rows, output)


def _named(files: Sequence[Path]) -> list[Path]:
    """The files, and those below the folders among them."""
    found = [Path(name) for name in islice(ImageFiles(map(os.fspath, files)), MOST_IMAGES + 1)]
    if len(found) > MOST_IMAGES:
        most = MOST_IMAGES
        raise InvalidRequest(f"More than {most} images at a time are too many to read; give {most} or fewer.")
    if not found:
        raise OperationFailed(f"There is not one image in {', '.join(map(str, files))}.")
    return found


def _read(files: Sequence[Path]) -> np.ndarray:
    """uint8 (N, 256, 256, 3)."""
    images = [load_image(os.fspath(file)) for file in files]
    for image in images:
        if image.problem is not None:
            raise OperationFailed(image.problem)
    return np.stack([image.pixels for image in images if image.pixels is not None])


def _open_fc7(path: Path, context: Any) -> tuple[activations.Fc7, Path]:
    """The net up to fc7, and the folder below which its vectors are kept."""
    if symbol.is_export(path):
        return activations.of_export(path, context), path.with_name(f"{path.name}-features")
    check_model(path)
    classifier, description, _ = open_run(path, context)
    run = run_folder.run_of(run_folder.find_checkpoint(path))
    return activations.of_classifier(classifier, description.recipe.network, context), run / "features"


def _vectors(
    folder: Path | None, place: Path, fc7: activations.Fc7, reader: Reader, reports: Reports
) -> store.Features:
    """The vectors of the split, computed now where they are not there."""
    contents = store.Contents(fc7.digest, reader.manifest.digest, reader.split.name, len(reader), fc7.width)
    folder = folder or place / contents.name
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        return store.Features(folder, contents)
    reports.message(f"fc7 of {len(reader)} images goes to {folder} ({contents.bytes / 1e6:.1f} MB), once.")
    done = 0
    with reports.progress(len(reader), "images", "fc7") as advance:

        def report(images: int) -> None:
            nonlocal done
            done += images
            advance(images)

        try:
            return store.write(
                folder, contents, fc7, lambda start: reader.batches(IMAGES_PER_PASS, start=start), report
            )
        except KeyboardInterrupt as stopped:
            raise Stopped(done, len(reader)) from stopped


def _neighbour(reader: Reader, number: int, distance: str, framed: bool = False) -> Found:
    image, label = reader.read(number)
    name = reader.manifest.classes[label].name if label >= 0 else None
    return Found(reader.key(number), Neighbour(image, name, distance, framed))


def _by_code(
    vectors: store.Features, bits: int, queries: np.ndarray, true: np.ndarray, reader: Reader, reports: Reports
) -> tuple[list[list[Found]], CodeQuality]:
    """The nearest of each image by code, and what the codes are worth."""
    if binary_codes.exist(vectors, bits):
        made = binary_codes.Codes(vectors, bits)
    else:
        with reports.progress(config.AUTO_ENCODER.updates, "updates", f"codes of {bits} bits") as advance:
            made = binary_codes.learn(
                vectors, bits, config.AUTO_ENCODER, report=lambda count, loss: advance(count, loss=loss)
            )
    ids, distances = made.nearest(made.encode(queries), true.shape[1])
    found = [
        [_neighbour(reader, number, f"{distance} bits", number in own) for number, distance in zip(*one)]
        for *one, own in zip(ids.tolist(), distances.tolist(), true.tolist())
    ]
    return found, CodeQuality(binary_codes.TRUE_NEIGHBOURS, made.kept, made.judged)
