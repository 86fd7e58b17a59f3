"""Pictures → 256x256 → shuffled shards, with the training statistics taken in the same pass (paper Sec. 2)."""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from .construction import Construction
from .dataset import (
    IMAGES_A_SHARD,
    REJECTED,
    SPLITS,
    ClassInfo,
    DatasetError,
    Manifest,
    PathLike,
    SourceError,
    Split,
    shard_stem,
    write_file,
)
from .pictures import PictureError, decode, decode_jpeg, encode_jpeg, shorter_side_256
from .shards import PackedShard, ShardWriter, escape
from .shuffle import shuffled
from .sources import Source
from .statistics import Sums, write_statistics

# Pictures in work per worker: enough that a slow one does not stall the others, few enough for flat memory.
_LOOK_AHEAD = 16
# What is wrong with one file; any other error, such as a disk that fails, would reject all that follow.
_UNREADABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)

Progress = Callable[..., None]  # called with the number of pictures done since the last call, and rejected=all so far


@dataclass(frozen=True)
class Report:
    """What :func:`pack` did."""

    manifest: Manifest
    packed: dict[str, int]  # pictures of each split
    rejected: list[tuple[str, str, str]]  # (split, key, reason)
    seconds: float


def pack(
    splits: Mapping[str, Sequence[Source]],
    classes: Sequence[ClassInfo],
    out: PathLike,
    *,
    seed: int = 0,
    workers: int | None = None,
    shards: int | None = None,
    on_bad: str = "skip",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Pack source lists into a data set folder; the same sources, seed and shards give the same bytes.

    `splits` maps train, val and test to their pictures, whose labels are places in `classes`; train is required.
    `workers` is the number of threads (default: all cores), `shards` the number of shards of each split (default: one
    for each 32,768 pictures). Unreadable pictures are listed in `rejected.tsv`; `on_bad="fail"` stops at the first.

    Raises :class:`SourceError` when `out` cannot be used, :class:`DatasetError` when writing fails, when a whole split
    is unreadable, or at the first bad picture with `on_bad="fail"`. Nothing is left behind then, and a data set that
    is being overwritten stays whole.
    """
    if "train" not in splits:
        raise SourceError("a data set needs a training split")
    began = time.monotonic()
    workers = workers or len(os.sched_getaffinity(0))
    packed_splits, rejected, sums = [], [], Sums()
    try:
        with Construction(out, overwrite) as construction, _workers(workers) as pool:
            for name in (name for name in SPLITS if name in splits):
                parts = _pack_split(
                    name, splits[name], len(classes), construction.folder, pool, workers, seed, shards, on_bad, progress
                )
                here = []
                for part in parts:
                    here.append(part)
                    rejected += [(name, key, reason) for key, reason in part.rejected]
                    if part.sums is not None:
                        sums.merge(part.sums)
                        part.sums = None
                packed_splits.append(_joined(name, here))
            statistics_sha256 = write_statistics(construction.folder, sums.statistics())
            lines = ["split\tkey\treason\n", *("\t".join(map(escape, row)) + "\n" for row in rejected)]
            write_file(construction.folder / REJECTED, "".join(lines).encode("utf-8", "surrogateescape"))
            manifest = Manifest(tuple(classes), tuple(packed_splits), seed, statistics_sha256)
            construction.publish(manifest)
    except OSError as error:
        # Errors of the sources are told in the workers: this is the output.
        raise DatasetError(f"{error.filename or out}: {error.strerror or error}; nothing was packed") from error
    packed = {split.name: split.images for split in packed_splits}
    return Report(manifest, packed, rejected, time.monotonic() - began)


def _pack_split(name, sources, classes, folder, pool, workers, seed, shards, on_bad, progress) -> Iterator[PackedShard]:
    count = len(sources)
    # Streams from 2**63 on keep the order of the pack apart from the orders of epochs of the same seed.
    order = shuffled(count, seed, 2**63 + SPLITS.index(name))
    shards = min(shards or -(-count // IMAGES_A_SHARD), count)
    rejected = 0
    for number in range(shards):
        mine = order[number * count // shards : (number + 1) * count // shards]
        writer = ShardWriter(folder, shard_stem(name, number, shards), number, classes)
        with writer:
            sums = SumsPool() if name == "train" else None
            for source, (image, reason) in _in_order(pool, workers * _LOOK_AHEAD, sources, mine, sums):
                if image is not None:
                    writer.add(source, image)
                elif on_bad == "fail":
                    raise DatasetError(f"{name}: {source.key}: {reason}; stopped at the first bad picture as asked")
                else:
                    rejected += 1
                    writer.rejected.append((source.key, reason))
                if progress is not None:
                    progress(1, rejected=rejected)
        yield writer.finished(sums.total() if sums else None)


def _in_order(pool, look_ahead, sources, order, sums):
    """(source, result) for each number in `order`, in that order, with a bounded number of pictures in work."""
    running: deque[tuple[Source, Future]] = deque()
    numbers = iter(order)
    while True:
        while len(running) < look_ahead and (number := next(numbers, None)) is not None:
            source = sources[int(number)]
            running.append((source, pool.submit(_picture, source, sums)))
        if not running:
            return
        source, future = running.popleft()
        yield source, future.result()


def _picture(source, sums):
    """(JPEG, None), or (None, reason) when the picture is unusable."""
    try:
        image = encode_jpeg(shorter_side_256(decode(source.read())))
        if sums is not None:
            sums.add(decode_jpeg(image))
        return image, None
    except PictureError as error:
        return None, str(error)
    except OSError as error:
        if error.errno in _UNREADABLE:
            return None, error.strerror
        raise DatasetError(f"{source.key}: {error.strerror or error}; nothing was packed") from error
    except (MemoryError, cv2.error):
        return None, "too large for this machine's memory, or OpenCV cannot scale it"


class SumsPool:
    """Sums that several threads add to: each borrows one of its own."""

    def __init__(self) -> None:
        self._free: list[Sums] = []

    def add(self, image: np.ndarray) -> None:
        """Add one picture, uint8 (256, 256, 3) RGB."""
        try:
            sums = self._free.pop()
        except IndexError:
            sums = Sums()
        sums.add(image)
        self._free.append(sums)

    def total(self) -> Sums:
        """All sums as one, when no thread adds any more."""
        total = Sums()
        for sums in self._free:
            total.merge(sums)
        return total


def _joined(name, parts):
    rejected = [row for part in parts for row in part.rejected]
    if not sum(part.shard.images for part in parts):
        first = "; ".join(f"{key}: {reason}" for key, reason in rejected[:3])
        raise DatasetError(f"{name}: none of the {len(rejected)} pictures can be read ({first}); nothing was packed")
    counts = np.sum([part.class_counts for part in parts], axis=0)
    return Split(name, tuple(part.shard for part in parts), tuple(int(count) for count in counts), len(rejected))


class _workers:
    """A thread pool that drops what waits when packing fails; sets OpenCV's and Python's globals for it."""

    def __init__(self, workers):
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pack")
        self._warnings = warnings.catch_warnings()

    def __enter__(self):
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # the pictures are the parallel part
        self._warnings.__enter__()
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in pictures that are fine
        return self._pool

    def __exit__(self, *failure):
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._warnings.__exit__(*failure)
        cv2.setNumThreads(self._threads)
