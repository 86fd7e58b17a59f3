"""Images → 256x256 → shuffled shards, with the training statistics taken in the same pass (paper Sec. 2)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset.manifest import ENCODINGS, SMALL, SPLITS, ClassInfo, DatasetError, PathLike
from ..dataset.shuffle import shuffled
from ..sources.class_folders import Source
from .finalize import Report, completed, publish
from .plan import Plan, SplitPlan, make_plan
from .shard_worker import Progress, ShardJob, pack_shards
from .staging import StagingArea


class Stopped(KeyboardInterrupt):
    """The user stopped it; the message says what is kept."""


@dataclass(frozen=True)
class PackOptions:
    """How a data set is packed.

    Unreadable images are listed in `rejected.tsv`; `on_bad="fail"` stops at the first. `resume` goes on with a pack
    that was killed or failed, and ends with the same bytes. `part` = (i, n) packs the i-th of n parts, which
    :func:`merge` joins; `cluster` is the address of a Dask scheduler whose workers, which must see sources and data
    set under the same paths, do the work.
    """

    seed: int = 0  # of the order of the images
    workers: int | None = None  # threads; None: one more than cores, for while one waits for Python's lock
    shards: int | None = None  # of each split; None: one for each 32,768 images
    encoding: str = ENCODINGS[0]  # "jpeg" or "raw"
    on_bad: str = "skip"  # or "fail"
    small: str = SMALL[0]  # "scale": scaled up as ever; "centre": put in the centre of the mean colour
    overwrite: bool = False  # a data set that is there
    resume: bool = False
    part: tuple[int, int] = (1, 1)
    cluster: str | None = None


def pack(
    splits: Mapping[str, Sequence[Source]],
    classes: Sequence[ClassInfo],
    out: PathLike,
    options: PackOptions = PackOptions(),
    progress: Progress | None = None,
) -> Report:
    """Pack source lists into a data set folder; the same sources, seed and shards give the same bytes.

    `splits` maps train, val and test to their images, whose labels are places in `classes`; train is required.
    `progress` is called with the number of images done.

    Raises :class:`SourceError` when `out` cannot be used, :class:`DatasetError` when writing fails, when a whole split
    is unreadable, or at the first bad image with `on_bad="fail"`; :class:`Stopped` on Ctrl-C. Finished shards are kept
    for `resume` then, otherwise nothing is left behind; a data set that is being overwritten stays whole.
    """
    began = time.monotonic()
    plan = make_plan(splits, classes, options.seed, options.shards, options.encoding, options.part, options.small)
    staging = StagingArea(out, plan, options.overwrite, options.resume)
    resumed = 0
    try:
        with staging:
            if staging.complete:
                return completed(plan, out, time.monotonic() - began)
            missing, total = [], 0
            for split in plan.splits:
                for number, stem in zip(plan.shards(split), plan.stems(split)):
                    total += len(range(split.images)[plan.places(split, number)])
                    done = staging.finished(stem)
                    if done is None:
                        missing.append((split, number))
                    else:
                        resumed += done.shard.images + len(done.rejected)
            if progress is not None:
                progress(resumed, of=total, earlier=True)
            jobs = _jobs(missing, splits, plan, staging.folder, options.on_bad)
            if options.cluster is None:
                pack_shards(jobs, options.workers or len(os.sched_getaffinity(0)) + 1, progress)
            else:
                from .dask_backend import pack_on_cluster

                pack_on_cluster(options.cluster, jobs, progress)
            packed, rejected = publish(plan, staging)
    except OSError as error:
        # What is wrong with single images is told in the workers: this is a disk.
        raise DatasetError(f"{error.filename or out}: {error.strerror or error}; {_left(staging)}") from error
    except KeyboardInterrupt as stopped:
        raise Stopped(_left(staging)) from stopped
    except DatasetError as error:
        raise (DatasetError(f"{error}; {_left(staging)}") if staging.kept else error) from error
    return Report(packed, rejected, resumed, time.monotonic() - began)


def _jobs(
    missing: Iterable[tuple[SplitPlan, int]],
    splits: Mapping[str, Sequence[Source]],
    plan: Plan,
    folder: Path,
    on_bad: str,
) -> Iterator[ShardJob]:
    order, of = np.empty(0, np.int64), ""
    for split, number in missing:
        if of != split.name:
            # Streams from 2**63 on keep the order of the pack apart from the orders of epochs of the same seed.
            order, of = shuffled(split.images, plan.seed, 2**63 + SPLITS.index(split.name)), split.name
        mine = order[plan.places(split, number)]
        sources = [splits[split.name][int(place)] for place in mine]
        yield ShardJob(
            str(folder), split.name, number, split.shards, len(plan.classes), plan.encoding, plan.small, on_bad, sources
        )


def _left(staging: StagingArea) -> str:
    if staging.kept:
        return "the finished shards are kept: add `resume` to go on with them"
    return "nothing was packed"
