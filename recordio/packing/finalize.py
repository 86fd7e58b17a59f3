"""Finished shards → one data set or one part: manifest, statistics and the rejected list, joined exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gluon_alexnet.atomic_files import write_bytes

from ..dataset.duplicates import find_duplicates
from ..dataset.keys import escape
from ..dataset.manifest import (
    REJECTED,
    DatasetError,
    Manifest,
    PathLike,
    Split,
    filters,
    read_manifest,
    write_manifest,
)
from ..dataset.statistics import Sums, write_statistics
from .plan import PART, Plan, write_plan
from .shard_writer import PackedShard, read_receipt
from .staging import StagingArea


@dataclass(frozen=True)
class Report:
    """What :func:`pack` or a merge did."""

    packed: dict[str, int]  # images of each split
    rejected: int
    resumed: int  # images, of packed and rejected ones, that an earlier run had done
    seconds: float


def publish(plan: Plan, staging: StagingArea) -> tuple[dict[str, int], int]:
    """Join all shards of a finished staging and give them their names: (images of each split, rejected).

    Raises :class:`DatasetError` when a whole split is unreadable.
    """
    splits, rejected, sums = [], [], Sums()
    digests: dict[str, list[np.ndarray]] = {}
    for planned in plan.splits:
        parts = []
        for stem in plan.stems(planned):
            packed = read_receipt(staging.folder / (stem + ".receipt"))
            if packed.sums is not None:
                sums.merge(packed.sums)
                packed.sums = None
            parts.append(packed)
        splits.append(_joined(planned.name, parts, len(plan.classes)))
        digests[planned.name] = [part.digests for part in parts]
        here = [row for part in parts for row in part.rejected]
        if not splits[-1].images and plan.part == (1, 1):
            for stem in plan.stems(planned):
                staging.forget(stem)  # the images are to be mended and packed again
            first = "; ".join(f"{key}: {reason}" for key, reason in here[:3])
            raise DatasetError(f"{planned.name}: none of the {len(here)} images can be read ({first})")
        rejected += [(planned.name, key, reason) for key, reason in here]
    if plan.part == (1, 1):
        splits = _with_shared(splits, digests)
        statistics_sha256 = write_statistics(staging.folder, sums.statistics())
        lines = ["split\tkey\treason\n", *("\t".join(map(escape, row)) + "\n" for row in rejected)]
        write_bytes(staging.folder / REJECTED, "".join(lines).encode("utf-8", "surrogateescape"))
        manifest = Manifest(
            plan.classes,
            tuple(splits),
            plan.seed,
            statistics_sha256,
            plan.sha256,
            encoding=plan.encoding,
            filters=dict(filters(plan.small)),
        )
        write_manifest(staging.folder, manifest)
        names = manifest.files()
    else:
        write_plan(staging.folder / PART, plan)
        names = plan.part_files()
    staging.publish(names)
    return {split.name: split.images for split in splits}, len(rejected)


def _with_shared(splits: list[Split], digests: dict[str, list[np.ndarray]]) -> list[Split]:
    """The splits with the number of their images that are in train, too."""
    train = np.concatenate(digests.pop("train"))
    counts = {name: len(find_duplicates(np.concatenate(parts), train)[0]) for name, parts in digests.items()}
    return [replace(split, also_in_train=counts.get(split.name)) for split in splits]


def completed(plan: Plan, out: PathLike, seconds: float) -> Report:
    """The report on what had been packed completely before."""
    if plan.part != (1, 1):
        receipts = {
            s.name: [read_receipt(Path(out) / (stem + ".receipt")) for stem in plan.stems(s)] for s in plan.splits
        }
        splits = [_joined(name, parts, len(plan.classes)) for name, parts in receipts.items()]
    else:
        splits = list(read_manifest(out).splits)
    packed = {split.name: split.images for split in splits}
    rejected = sum(split.rejected for split in splits)
    return Report(packed, rejected, sum(packed.values()) + rejected, seconds)


def _joined(name: str, parts: list[PackedShard], classes: int) -> Split:
    counts = np.sum([np.zeros(classes, np.int64), *(part.class_counts for part in parts)], axis=0)
    return Split(
        name,
        tuple(part.shard for part in parts),
        tuple(int(count) for count in counts),
        sum(len(part.rejected) for part in parts),
        sum(part.unlabelled for part in parts),
    )
