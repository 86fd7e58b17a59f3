"""Activations of layer 7 over a whole data set, kept in a file, and the nearest of them (Sec. 6.1, Fig. 4 right).

    FOLDER/features.json   what the vectors are of: net, data set, split, how many; a checksum for each block
    FOLDER/vectors.npy     float16 (images, width): row i is the image with record id i; `numpy.load` opens it

FOLDER gets its name when it is complete; until then it is FOLDER.partial, which the next call continues. float16
halves the room: those of ImageNet take 10.5 GB, which a machine with 24 GB keeps in its memory. Rounding changes an
activity by one part in 2,048 at most, and so no distance by more than that part of the vector's length.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import backend, safe_json
from ..atomic_files import sync, write_text
from ..data.prefetch import prefetched
from ..errors import InvalidRequest, OperationFailed
from ..safe_files import read_text
from .activations import Fc7
from .npy_file import HEADER_BYTES, GrowingNpy

FORMAT = "alexnet-features"
FORMAT_VERSION = 2
HEADER, VECTORS = "features.json", "vectors.npy"
VECTORS_1 = "vectors.f16"  # of version 1: the same rows without NumPy's header
DTYPE = "<f2"
BLOCK_BYTES = 2**26  # of float16; as many vectors are checked, converted and searched at a time
SYNCED = 1024  # vectors after which the disk must hold what was written
SPARE = 16  # candidates beyond those asked for, which exact distances put in order


@dataclass(frozen=True)
class Contents:
    """What vectors are of; a file of other contents is refused."""

    net: str  # digest of the net
    data: str  # digest of the data set
    split: str
    images: int
    width: int

    @property
    def name(self) -> str:
        """A folder's name that another net or data set does not share."""
        return f"{self.split}-{self.net[:8]}-{self.data[:8]}"

    @property
    def bytes(self) -> int:
        """Size of the vectors, without their file's header."""
        return 2 * self.images * self.width


class Features:
    """The vectors of a complete FOLDER.

    Raises InvalidRequest where there is none, or one of another net or data set; OperationFailed where it is damaged
    or newer.
    """

    def __init__(self, folder: Path, contents: Contents):
        self.folder, self.contents = folder, contents
        header = _read_header(folder, contents)
        older = header["version"] == 1
        self._file, self._offset = folder / (VECTORS_1 if older else VECTORS), 0 if older else HEADER_BYTES
        self._checksums: Any = header.get("crc32")
        size = self._file.stat().st_size - self._offset if self._file.exists() else 0
        rows = _rows_a_block(contents.width)
        if size != contents.bytes or not isinstance(self._checksums, list) or self._checksums == []:
            found = f"{self._file.name} has {max(size, 0)} bytes of vectors, not {contents.bytes}"
            raise OperationFailed(_damaged(folder, found))
        self._begins = range(0, contents.images, rows)
        if len(self._checksums) != len(self._begins):
            raise OperationFailed(_damaged(folder, f"{HEADER} has checksums of another file"))

    def __len__(self) -> int:
        return self.contents.images

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(id of the first, float32 (n, width)) over all vectors, each block checked.

        Raises OperationFailed if damaged.
        """
        for number, begin in enumerate(self._begins):
            half = _mapped(self._file, self.contents, begin, self._offset)
            if zlib.crc32(half) != self._checksums[number]:
                raise OperationFailed(_damaged(self.folder, f"vectors {begin} to {begin + len(half) - 1} have changed"))
            yield begin, _single(half)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """float32 (n, width) of these record ids."""
        shape = len(self), self.contents.width
        mapped = np.memmap(self._file, np.float16, "r", self._offset, shape)
        return _single(mapped[ids])

    def nearest(
        self, queries: np.ndarray, count: int, report: Callable[[int], None] = lambda vectors: None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``count`` nearest of float32 (Q, width) by Euclidean distance: ids int64, distances float64 (Q, count).

        Exact but for the rounding of the file: all vectors are compared, a block at a time, so memory stays flat. Of
        equally distant ones the lower id comes first. report: called with the number of vectors after each block.
        Raises ValueError for a count below 1 or above the number of vectors, OperationFailed for a damaged file.
        """
        if not 1 <= count <= len(self):
            raise ValueError(f"{count} of {len(self)} vectors cannot be the nearest")
        faiss = faiss_library()
        queries = np.ascontiguousarray(queries, np.float32)
        kept = min(count + SPARE, len(self))
        ids = np.empty((len(queries), 0), np.int64)
        squares = np.empty((len(queries), 0), np.float32)
        with prefetched(self.blocks(), depth=1) as ready:
            for begin, vectors in ready:
                found, places = faiss.knn(queries, vectors, min(kept, len(vectors)))
                ids, squares = np.hstack([ids, begin + places]), np.hstack([squares, found])
                order = np.argsort(squares, axis=1, kind="stable")[:, :kept]
                ids, squares = np.take_along_axis(ids, order, axis=1), np.take_along_axis(squares, order, axis=1)
                report(len(vectors))
        return self._in_order(queries, ids, count)

    def _in_order(self, queries: np.ndarray, ids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        distances = np.empty(ids.shape, np.float64)
        for query, row, found in zip(queries, ids, distances):
            found[:] = np.linalg.norm(self.rows(row).astype(np.float64) - query, axis=1)
        order = np.lexsort((ids, distances), axis=1)[:, :count]
        return np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)


def write(
    folder: Path,
    contents: Contents,
    fc7: Fc7,
    batches: Callable[[int], Iterable],
    report: Callable[[int], None] = lambda count: None,
) -> Features:
    """Make FOLDER, or go on with FOLDER.partial.

    batches(start): batches of (images uint8 (N, 256, 256, 3), labels, ids) from that record on, each image once.
    report: called with how many images are done already, then with the number of each batch. Raises InvalidRequest
    where FOLDER.partial is of another net or data set or is being written by another process; OperationFailed where an
    activity is beyond float16, the disk has no room, or the images are not as many as ``contents`` says.
    """
    draft = folder.with_name(f"{folder.name}.partial")
    draft.mkdir(parents=True, exist_ok=True)
    if not (draft / HEADER).exists():
        write_text(draft / HEADER, _header(contents, []))
    if _read_header(draft, contents)["version"] == 1:
        raise InvalidRequest(
            f"{draft} was begun by an earlier version of this program; remove it, and it is written again."
        )
    vectors = GrowingNpy(draft / VECTORS, (contents.width,), DTYPE)
    done = min(vectors.rows, contents.images) // SYNCED * SYNCED
    vectors.keep(done)
    try:
        _check_room(draft, contents, done)
        report(done)
        for images, _, ids in batches(done):
            if not np.array_equal(ids, np.arange(done, done + len(images))):
                raise ValueError("the images do not come in the order of their ids")
            vectors.append(_half(fc7.of_images(images), done))
            done += len(images)
            if done % SYNCED == 0:
                vectors.sync()
            report(len(images))
        if done == contents.images:
            vectors.close(done)
    finally:
        vectors.close()
    if done != contents.images:
        raise OperationFailed(f"{done} images were counted where the split {contents.split} has {contents.images}.")
    sync(draft / VECTORS)
    begins = range(0, contents.images, _rows_a_block(contents.width))
    checksums = [zlib.crc32(_mapped(draft / VECTORS, contents, begin)) for begin in begins]
    write_text(draft / HEADER, _header(contents, checksums))
    os.rename(draft, folder)
    sync(folder.parent)
    return Features(folder, contents)


def _half(activations: np.ndarray, first: int) -> np.ndarray:
    """Rounded to float16."""
    with np.errstate(over="ignore"):
        half = activations.astype("<f2")
    bad = ~np.isfinite(half).all(axis=1)
    if bad.any():
        raise OperationFailed(
            f"An activity of record {first + int(np.argmax(bad))} is beyond {np.finfo(np.float16).max:g}, the largest "
            "number of the feature file: the net has diverged; take another checkpoint."
        )
    return half


def _single(half: np.ndarray) -> np.ndarray:
    """float16 → float32, twenty times as fast as NumPy's own."""
    return cv2.convertFp16(np.ascontiguousarray(half).view(np.int16))


def _mapped(file: Path, contents: Contents, begin: int, offset: int = HEADER_BYTES) -> Any:
    """One block of the file, mapped while it is used: memory shows no more than a block."""
    rows = min(_rows_a_block(contents.width), contents.images - begin)
    return np.memmap(file, np.float16, "r", offset + 2 * contents.width * begin, (rows, contents.width))


def _rows_a_block(width: int) -> int:
    return max(1, BLOCK_BYTES // (2 * width))


def _header(contents: Contents, checksums: Sequence[int]) -> str:
    values = {"layer": "fc7", "view": "centre", "dtype": "float16", "block_bytes": BLOCK_BYTES}
    content = {"format": FORMAT, "version": FORMAT_VERSION, **dataclasses.asdict(contents), **values}
    return json.dumps({**content, "crc32": checksums}, indent=1) + "\n"


def _read_header(folder: Path, contents: Contents) -> dict:
    file = folder / HEADER
    try:
        header = safe_json.parse(read_text(file))
        foreign = header["format"] != FORMAT
        newer = header["version"] > FORMAT_VERSION
        found = Contents(**{field.name: header[field.name] for field in dataclasses.fields(Contents)})
    except FileNotFoundError as error:
        raise InvalidRequest(f"{folder} holds no features: it has no {HEADER}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OperationFailed(_damaged(folder, f"{HEADER} is cut or of another program")) from error
    if foreign:
        raise OperationFailed(_damaged(folder, f"{HEADER} is of another program"))
    if newer:
        raise OperationFailed(
            f"{file} has version {header['version']}; this program reads {FORMAT_VERSION}: update it."
        )
    for name, what in (("net", "net"), ("data", "data set"), ("split", "split")):
        ours, theirs = getattr(contents, name), getattr(found, name)
        if ours != theirs:
            raise InvalidRequest(
                f"{folder} holds the activations of another {what} ({str(theirs)[:12]}, not {ours[:12]}); name another "
                "folder with `features`."
            )
    if found != contents or header.get("block_bytes") != BLOCK_BYTES:
        raise OperationFailed(_damaged(folder, f"{HEADER} contradicts the net or the data set"))
    return header


def _damaged(folder: Path, reason: str) -> str:
    return f"{folder} is damaged: {reason}; remove it, and it is written again."


def _check_room(draft: Path, contents: Contents, done: int) -> None:
    needed = contents.bytes - 2 * contents.width * done
    free = shutil.disk_usage(draft).free
    if needed > free:
        raise OperationFailed(
            f"The vectors need {needed / 1e9:.1f} GB more, and {draft.parent} has {free / 1e9:.1f} GB free; name a "
            "folder on another disk with `features`."
        )


def faiss_library() -> Any:
    """Faiss, computing with as many threads as MXNet."""
    with warnings.catch_warnings():
        # Its binding warns while it is loaded; 1.13 on Python 3.9 crashes where warnings are errors.
        warnings.simplefilter("ignore")
        import faiss  # after MXNet, so that the number of threads is settled

    faiss.omp_set_num_threads(backend.threads())
    return faiss
