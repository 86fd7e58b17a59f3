"""Packing whole shards with a pool of threads; the work of one machine."""

from __future__ import annotations

import errno
import logging
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..dataset.images import ImageError, decode, encode, packed_pixels, shorter_side_256
from ..dataset.loops import loops
from ..dataset.manifest import DatasetError, shard_stem
from ..dataset.statistics import Sums
from ..sources.class_folders import Source
from .load_loops import WORTH, load
from .shard_writer import ShardWriter, write_receipt

_LOG = logging.getLogger(__name__)
# Images that a worker takes at once, and how often per worker: enough that a slow one does not stall the others, few
# enough for flat memory.
_AT_ONCE = 4
_LOOK_AHEAD = 4


# What is wrong with one file; any other error, such as a disk that fails, would reject all that follow.
_UNREADABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)


# First called with the images an earlier run had done, of=all, earlier=True; then with those done since the last call
# and rejected=all rejected so far.
Progress = Callable[..., None]


@dataclass(frozen=True)
class ShardJob:
    """One shard to pack: which images, in their order, into which folder; all that another process needs."""

    folder: str
    split: str
    number: int
    shards: int
    classes: int
    encoding: str
    small: str
    on_bad: str
    sources: list[Source]

    @property
    def stem(self) -> str:
        return shard_stem(self.split, self.number, self.shards)


def pack_shards(jobs: Iterable[ShardJob], workers: int, progress: Progress | None) -> None:
    """Pack shards one after the other with a pool of threads, each with a receipt when it is whole."""
    rejected = seen = 0
    with _Workers(workers) as pool, ExitStack() as stack:
        for job in jobs:
            if seen < WORTH <= seen + len(job.sources):
                loading = threading.Thread(target=load, name="compile")  # beside the work, which need not wait for it
                loading.start()
                stack.callback(loading.join)
            seen += len(job.sources)
            writer = ShardWriter(Path(job.folder), job.stem, job.number, job.classes)
            sums = SumsPool() if job.split == "train" else None
            with writer:
                for source, (image, reason) in _in_order(pool, workers * _LOOK_AHEAD, job, sums):
                    if image is not None:
                        writer.add(source, image)
                    elif job.on_bad == "fail":
                        raise DatasetError(
                            f"{job.split}: {source.key}: {reason}; stopped at the first bad image as asked"
                        )
                    else:
                        rejected += 1
                        writer.rejected.append((source.key, reason or ""))
                    if progress is not None:
                        progress(1, rejected=rejected)
            packed = writer.finished(sums.total() if sums else None)
            write_receipt(Path(job.folder) / (job.stem + ".receipt"), packed)
            _LOG.info("packed %s: %d images, %d bytes", packed.shard.name, packed.shard.images, packed.shard.bytes)


def _in_order(
    pool: ThreadPoolExecutor, look_ahead: int, job: ShardJob, sums: SumsPool | None
) -> Iterator[tuple[Source, tuple[bytes | None, str | None]]]:
    """(source, result) for each source of a job, in their order, with a bounded number of images in work."""
    running: deque[tuple[list[Source], Future]] = deque()
    waiting = iter(range(0, len(job.sources), _AT_ONCE))
    while True:
        while len(running) < look_ahead and (begin := next(waiting, None)) is not None:
            few = job.sources[begin : begin + _AT_ONCE]
            running.append((few, pool.submit(_images, few, job, sums)))
        if not running:
            return
        few, future = running.popleft()
        yield from zip(few, future.result())


def _images(sources: list[Source], job: ShardJob, sums: SumsPool | None) -> list[tuple[bytes | None, str | None]]:
    """For each image what :func:`_image` says."""
    return [_image(source, job, sums) for source in sources]


def _image(source: Source, job: ShardJob, sums: SumsPool | None) -> tuple[bytes | None, str | None]:
    """(image as recorded, None), or (None, reason) when the image is unusable."""
    try:
        image = decode(source.read(), source.key)
        packed = shorter_side_256(image, job.small)
        recorded = encode(packed, job.encoding)
        if sums is not None:
            decoded = loops().decoded if job.encoding == "jpeg" else None
            pixels = packed_pixels(recorded, job.encoding) if decoded is None else decoded(packed)
            sums.add(pixels, (image.shape[0], image.shape[1]))
        return recorded, None
    except ImageError as error:
        return None, str(error)
    except OSError as error:
        if error.errno in _UNREADABLE:
            return None, error.strerror
        raise OSError(error.errno, error.strerror, source.key) from error
    except (MemoryError, cv2.error):
        return None, "too large for this machine's memory, or OpenCV cannot scale it"


class SumsPool:
    """Sums that several threads add to: each borrows one of its own."""

    def __init__(self) -> None:
        self._free: list[Sums] = []

    def add(self, image: np.ndarray, source_size: tuple[int, int]) -> None:
        """Add one image, uint8 (256, 256, 3) RGB, made from a source image of that height and width."""
        try:
            sums = self._free.pop()
        except IndexError:
            sums = Sums()
        sums.add(image, source_size)
        self._free.append(sums)

    def total(self) -> Sums:
        """All sums as one, when no thread adds any more."""
        total = Sums()
        for sums in self._free:
            total.merge(sums)
        return total


class _Workers:
    """A thread pool that drops what waits when packing fails; sets OpenCV's and Python's globals for it."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pack")
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> ThreadPoolExecutor:
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # the images are the parallel part
        self._warnings.__enter__()
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in images that are fine
        return self._pool

    def __exit__(self, *failure: Any) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._warnings.__exit__(*failure)
        cv2.setNumThreads(self._threads)
