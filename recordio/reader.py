"""Batches of pictures from a data set: the one place where records become pixels again."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .dataset import SIZE, DatasetError, PathLike, Shard, read_manifest
from .pictures import PictureError, decode_jpeg
from .records import RecordError, unframe, unpack_image
from .shards import unescape
from .shuffle import shuffled

_BATCHES_AHEAD = 3
_IMAGES_A_TASK = 8  # a decode takes half a millisecond: fewer would be lost in handing over


class Batch(NamedTuple):
    """N pictures; `ids` are their places in the split, 0…len(reader)-1."""

    images: np.ndarray  # uint8 (N, 256, 256, 3) RGB
    labels: np.ndarray  # int64 (N,)
    ids: np.ndarray  # int64 (N,)


class Reader:
    """Reads one split of a data set with a pool of threads (default: all cores).

    Raises :class:`DatasetError` at once when the manifest, a shard's size or an index is not what was packed.
    """

    def __init__(self, folder: PathLike, split: str, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(folder)
        self.split = self.manifest.split(split)
        self.threads = threads or len(os.sched_getaffinity(0))
        self._firsts = np.cumsum([0, *(shard.images for shard in self.split.shards)])
        self._offsets = [self._read_index(shard) for shard in self.split.shards]
        self._keys: tuple[int, list[str]] = (-1, [])
        self._descriptors: list[int] = []
        self._close = weakref.finalize(self, _close_all, self._descriptors)
        for shard in self.split.shards:
            self._descriptors.append(self._open(shard))

    def __len__(self) -> int:
        return self.split.images

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shards; the reader cannot be used after that."""
        self._close()

    def key(self, number: int) -> str:
        """The source's key (its path below the split's folder) of the picture with this id."""
        shard, position = self._locate(number)
        if self._keys[0] != shard:
            entry = self.split.shards[shard]
            content = self._read_checked(entry.file(".keys"), entry.keys_sha256)
            lines = content.decode("utf-8", "surrogateescape").split("\n")
            self._keys = (shard, [unescape(line) for line in lines])
        return self._keys[1][position]

    def read(self, number: int) -> tuple[np.ndarray, int]:
        """(uint8 (256, 256, 3) RGB, label) of the picture with this id; :class:`DatasetError` when it is damaged."""
        shard, position = self._locate(number)
        begin, end = (int(offset) for offset in self._offsets[shard][position : position + 2])
        try:
            record = os.pread(self._descriptors[shard], end - begin, begin)
            label, header_position, header_shard, image = unpack_image(unframe(record))
            if (header_position, header_shard) != (position, shard):
                raise RecordError(f"the record is number {header_position} of shard {header_shard}")
            if label >= len(self.manifest.classes):
                raise RecordError(f"label {label} is beyond the {len(self.manifest.classes)} classes")
            return decode_jpeg(image), label
        except (RecordError, PictureError, OSError) as error:
            raise DatasetError(self._damaged(number, shard, position, error)) from error

    def batches(self, batch_size: int, order: np.ndarray | None = None, start: int = 0) -> Iterator[Batch]:
        """Every picture once, in `order` (int64 ids; default: as packed), in batches; the last may be smaller.

        `start` leading entries of the order are left out, which resumes an epoch exactly. The batches do not depend
        on the number of threads. Raises :class:`DatasetError` that names the shard, position and key of a damaged
        record; ValueError for a batch size below 1 or a start below 0.
        """
        if batch_size < 1:
            raise ValueError(f"batch size {batch_size} is below 1")
        if start < 0:
            raise ValueError(f"start {start} is below 0")
        numbers = np.arange(len(self)) if order is None else np.asarray(order, np.int64)
        return self._batches(batch_size, numbers, start)

    def _batches(self, batch_size, numbers, start):
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="reader")
        running: deque[tuple[Batch, list[Future]]] = deque()
        begins = iter(range(start, len(numbers), batch_size))
        try:
            while True:
                while len(running) < _BATCHES_AHEAD and (begin := next(begins, None)) is not None:
                    running.append(self._start(pool, numbers[begin : begin + batch_size]))
                if not running:
                    return
                batch, tasks = running.popleft()
                for task in tasks:
                    task.result()
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool, ids):
        count = len(ids)
        batch = Batch(np.empty((count, SIZE, SIZE, 3), np.uint8), np.empty(count, np.int64), np.array(ids))
        tasks = [
            pool.submit(self._fill, batch, slice(begin, begin + _IMAGES_A_TASK))
            for begin in range(0, count, _IMAGES_A_TASK)
        ]
        return batch, tasks

    def _fill(self, batch, part):
        for place in range(*part.indices(len(batch.ids))):
            batch.images[place], batch.labels[place] = self.read(int(batch.ids[place]))

    def _locate(self, number):
        if not 0 <= number < len(self):
            raise IndexError(f"id {number} is not in 0…{len(self) - 1}")
        shard = int(np.searchsorted(self._firsts, number, side="right")) - 1
        return shard, number - int(self._firsts[shard])

    def _damaged(self, number, shard, position, error):
        try:
            key = f" ({self.key(number)})"
        except DatasetError:
            key = ""  # the names are damaged as well; the record's place still says which it is
        path = self.folder / self.split.shards[shard].name
        return f"{path}: record {position}{key}: {getattr(error, 'strerror', None) or error}; pack the data set again"

    def _open(self, shard: Shard) -> int:
        path = self.folder / shard.name
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror}; copy it again or pack the data set again") from error
        size = os.fstat(descriptor).st_size
        if size != shard.bytes:
            os.close(descriptor)
            raise DatasetError(
                f"{path}: {size} bytes instead of {shard.bytes}, cut or foreign; copy it or pack the data set again"
            )
        return descriptor

    def _read_index(self, shard: Shard) -> np.ndarray:
        """Offsets of a shard's records and, last, its size: int64 (images + 1,)."""
        content = self._read_checked(shard.file(".idx"), shard.index_sha256)
        pairs = np.fromstring(content.decode("ascii"), np.int64, sep=" ").reshape(-1, 2)
        return np.append(pairs[:, 1], shard.bytes)

    def _read_checked(self, name: str, sha256: str) -> bytes:
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror}; copy it again or pack the data set again") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DatasetError(
                f"{path}: not the file that was packed, cut or foreign; copy it again or pack the data set again"
            )
        return content


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch: a permutation of 0…count-1, int64 (count,), that depends on seed and epoch alone."""
    return shuffled(count, seed, epoch)


def _close_all(descriptors):
    while descriptors:
        os.close(descriptors.pop())
