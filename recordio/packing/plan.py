"""What a data set will be made of, fixed before the first image: what parts and interrupted packs must agree on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gluon_alexnet import safe_json
from gluon_alexnet.atomic_files import write_bytes
from gluon_alexnet.safe_files import read_bytes

from ..dataset.manifest import (
    IMAGES_PER_SHARD,
    JPEG_QUALITY,
    SIZE,
    SMALL,
    SPLITS,
    ClassInfo,
    DatasetError,
    SourceError,
    filters,
    shard_stem,
)
from ..sources.class_folders import Source

PLAN = "plan.json"  # in the folder of a pack at work
PART = "part.json"  # the same in the folder of a finished part; says that the part is complete
SUFFIXES = (".rec", ".idx", ".keys", ".receipt")


@dataclass(frozen=True)
class SplitPlan:
    """One split: how many images go into how many shards, and a digest of their keys and labels in order."""

    name: str
    images: int
    shards: int
    sources_sha256: str


@dataclass(frozen=True)
class Plan:
    """A data set's content before it is packed; `part` = (i, n) of it is packed here, (1, 1) is all."""

    classes: tuple[ClassInfo, ...]
    splits: tuple[SplitPlan, ...]
    seed: int
    encoding: str
    part: tuple[int, int] = (1, 1)
    small: str = SMALL[0]  # what becomes of small images

    @property
    def sha256(self) -> str:
        """Digest (hex) of all that decides the bytes of the data set; the same for each of its parts."""
        content = {**asdict(self), "part": None, "size": SIZE, "quality": JPEG_QUALITY, "filters": filters(self.small)}
        del content["small"]  # the filters say it, and older programs did not know it
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def shards(self, split: SplitPlan) -> range:
        """The numbers of this part's shards of a split."""
        part, parts = self.part
        return range((part - 1) * split.shards // parts, part * split.shards // parts)

    def places(self, split: SplitPlan, number: int) -> slice:
        """Which places of the split's shuffled order a shard holds."""
        return slice(number * split.images // split.shards, (number + 1) * split.images // split.shards)

    def stems(self, split: SplitPlan) -> list[str]:
        """Names without suffix of this part's shards of a split."""
        return [shard_stem(split.name, number, split.shards) for number in self.shards(split)]

    def part_files(self) -> list[str]:
        """Names of every file of this part, once it is complete."""
        stems = [stem for split in self.splits for stem in self.stems(split)]
        return [*(stem + suffix for stem in stems for suffix in SUFFIXES), PART]


def make_plan(
    splits: Mapping[str, Sequence[Source]],
    classes: Sequence[ClassInfo],
    seed: int,
    shards: int | None,
    encoding: str,
    part: tuple[int, int],
    small: str = SMALL[0],
) -> Plan:
    """The plan for source lists; `shards` of each split (default: one for each 32,768 images).

    Raises :class:`SourceError` when there is no training split, or fewer training shards than parts.
    """
    filters(small)  # refuses what it does not know
    if "train" not in splits:
        raise SourceError("a data set needs a training split")
    planned = []
    for name in (name for name in SPLITS if name in splits):
        count = len(splits[name])
        number = min(shards or -(-count // IMAGES_PER_SHARD), count)
        planned.append(SplitPlan(name, count, number, _digest(splits[name])))
    if part[1] > max(1, planned[0].shards):
        raise SourceError(
            f"{planned[0].shards} training shards cannot be shared among {part[1]} parts; "
            f"give every part the same `shards` of {part[1]} or more"
        )
    return Plan(tuple(classes), tuple(planned), seed, encoding, part, small)


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSON, never half-written under its name."""
    write_bytes(path, (json.dumps(asdict(plan), indent=1) + "\n").encode("ascii"))


def read_plan(path: Path) -> Plan:
    """Read and check a plan; FileNotFoundError when there is none, :class:`DatasetError` when it is damaged."""
    try:
        return _plan(safe_json.parse(read_bytes(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged or of another version; pack there again with `overwrite`") from error


def _plan(document: dict[str, Any]) -> Plan:
    plan = Plan(
        tuple(ClassInfo(**item) for item in document["classes"]),
        tuple(SplitPlan(**item) for item in document["splits"]),
        document["seed"],
        document["encoding"],
        tuple(document["part"]),
        document.get("small", SMALL[0]),
    )
    if plan.small not in SMALL:
        raise ValueError("small")
    part, parts = plan.part
    if not 1 <= part <= parts:
        raise ValueError("part")
    for split in plan.splits:
        # Names built from these are opened and removed later: only ours may lead anywhere.
        if split.name not in SPLITS or not 0 <= split.shards <= split.images:
            raise ValueError("split")
    return plan


def _digest(sources: Sequence[Source]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.key}\0{source.label}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
