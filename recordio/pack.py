"""Pictures → 256x256 → shuffled shards, with the training statistics taken in the same pass (paper Sec. 2)."""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .assembly import Report, completed, publish
from .construction import Construction
from .dataset import (
    ENCODINGS,
    SPLITS,
    ClassInfo,
    DatasetError,
    PathLike,
    shard_stem,
)
from .pictures import PictureError, decode, encode, packed_pixels, shorter_side_256
from .plan import make_plan
from .shards import ShardWriter, write_receipt
from .shuffle import shuffled
from .sources import Source
from .statistics import Sums

# Pictures in work per worker: enough that a slow one does not stall the others, few enough for flat memory.
_LOOK_AHEAD = 16
# What is wrong with one file; any other error, such as a disk that fails, would reject all that follow.
_UNREADABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)

# First called with the pictures an earlier run had done, of=all, earlier=True; then with those done since the last call
# and rejected=all rejected so far.
Progress = Callable[..., None]


@dataclass(frozen=True)
class ShardJob:
    """One shard to pack: which pictures, in their order, into which folder; all that another process needs."""

    folder: str
    split: str
    number: int
    shards: int
    classes: int
    encoding: str
    on_bad: str
    sources: list[Source]

    @property
    def stem(self) -> str:
        return shard_stem(self.split, self.number, self.shards)


def pack(
    splits: Mapping[str, Sequence[Source]],
    classes: Sequence[ClassInfo],
    out: PathLike,
    *,
    seed: int = 0,
    workers: int | None = None,
    shards: int | None = None,
    encoding: str = ENCODINGS[0],
    on_bad: str = "skip",
    overwrite: bool = False,
    resume: bool = False,
    part: tuple[int, int] = (1, 1),
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack source lists into a data set folder; the same sources, seed and shards give the same bytes.

    `splits` maps train, val and test to their pictures, whose labels are places in `classes`; train is required.
    `workers` is the number of threads (default: all cores), `shards` the number of shards of each split (default: one
    for each 32,768 pictures). Unreadable pictures are listed in `rejected.tsv`; `on_bad="fail"` stops at the first.
    `part` = (i, n) packs the i-th of n parts, which :func:`merge` joins; `cluster` is the address of a Dask scheduler
    whose workers, which must see sources and `out` under the same paths, do the work. `resume` goes on with a pack
    that was killed or failed, and ends with the same bytes.

    Raises :class:`SourceError` when `out` cannot be used, :class:`DatasetError` when writing fails, when a whole split
    is unreadable, or at the first bad picture with `on_bad="fail"`. Finished shards are kept for `resume` then,
    otherwise nothing is left behind; a data set that is being overwritten stays whole.
    """
    began = time.monotonic()
    plan = make_plan(splits, classes, seed, shards, encoding, part)
    construction = Construction(out, plan, overwrite, resume)
    resumed = 0
    try:
        with construction:
            if construction.complete:
                return completed(plan, out, time.monotonic() - began)
            missing, total = [], 0
            for split in plan.splits:
                for number, stem in zip(plan.shards(split), plan.stems(split)):
                    total += len(range(split.pictures)[plan.places(split, number)])
                    done = construction.finished(stem)
                    if done is None:
                        missing.append((split, number))
                    else:
                        resumed += done.shard.images + len(done.rejected)
            if progress is not None:
                progress(resumed, of=total, earlier=True)
            jobs = _jobs(missing, splits, plan, construction.folder, on_bad)
            if cluster is None:
                pack_shards(jobs, workers or len(os.sched_getaffinity(0)), progress)
            else:
                from .distributed import pack_on_cluster

                pack_on_cluster(cluster, jobs, progress)
            packed, rejected = publish(plan, construction)
    except OSError as error:
        # What is wrong with single pictures is told in the workers: this is a disk.
        raise DatasetError(f"{error.filename or out}: {error.strerror or error}; {_left(construction)}") from error
    except DatasetError as error:
        raise (DatasetError(f"{error}; {_left(construction)}") if construction.kept else error) from error
    return Report(packed, rejected, resumed, time.monotonic() - began)


def pack_shards(jobs: Iterable[ShardJob], workers: int, progress: Progress | None) -> None:
    """Pack shards one after the other with a pool of threads, each with a receipt when it is whole."""
    rejected = 0
    with _workers(workers) as pool:
        for job in jobs:
            writer = ShardWriter(Path(job.folder), job.stem, job.number, job.classes)
            sums = SumsPool() if job.split == "train" else None
            with writer:
                for source, (image, reason) in _in_order(pool, workers * _LOOK_AHEAD, job, sums):
                    if image is not None:
                        writer.add(source, image)
                    elif job.on_bad == "fail":
                        raise DatasetError(
                            f"{job.split}: {source.key}: {reason}; stopped at the first bad picture as asked"
                        )
                    else:
                        rejected += 1
                        writer.rejected.append((source.key, reason))
                    if progress is not None:
                        progress(1, rejected=rejected)
            packed = writer.finished(sums.total() if sums else None)
            write_receipt(Path(job.folder) / (job.stem + ".receipt"), packed)


def _jobs(missing, splits, plan, folder, on_bad) -> Iterator[ShardJob]:
    order, of = np.empty(0, np.int64), ""
    for split, number in missing:
        if of != split.name:
            # Streams from 2**63 on keep the order of the pack apart from the orders of epochs of the same seed.
            order, of = shuffled(split.pictures, plan.seed, 2**63 + SPLITS.index(split.name)), split.name
        mine = order[plan.places(split, number)]
        sources = [splits[split.name][int(place)] for place in mine]
        yield ShardJob(str(folder), split.name, number, split.shards, len(plan.classes), plan.encoding, on_bad, sources)


def _in_order(pool, look_ahead, job, sums):
    """(source, result) for each source of a job, in their order, with a bounded number of pictures in work."""
    running: deque[tuple[Source, Future]] = deque()
    waiting = iter(job.sources)
    while True:
        while len(running) < look_ahead and (source := next(waiting, None)) is not None:
            running.append((source, pool.submit(_picture, source, job.encoding, sums)))
        if not running:
            return
        source, future = running.popleft()
        yield source, future.result()


def _picture(source, encoding, sums):
    """(image as recorded, None), or (None, reason) when the picture is unusable."""
    try:
        picture = decode(source.read())
        image = encode(shorter_side_256(picture), encoding)
        if sums is not None:
            sums.add(packed_pixels(image, encoding), picture.shape[:2])
        return image, None
    except PictureError as error:
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
        """Add one picture, uint8 (256, 256, 3) RGB, made from a source picture of that height and width."""
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


def _left(construction):
    if construction.kept:
        return "the finished shards are kept: add --resume to go on with them"
    return "nothing was packed"


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
