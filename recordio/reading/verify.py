"""Reading a whole data set to prove it: every byte, every record, every count, the statistics again (paper Sec. 2)."""

from __future__ import annotations

import hashlib
import logging
import os
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gluon_alexnet.safe_files import opened, read_bytes

from ..dataset.duplicates import find_duplicates, image_digest
from ..dataset.framing import RecordError, unframe, unpack_image
from ..dataset.images import ImageError, packed_pixels
from ..dataset.keys import crc32, read_keys
from ..dataset.manifest import (
    MANIFEST,
    REJECTED,
    STATISTICS,
    UNLABELLED,
    DatasetError,
    Manifest,
    PathLike,
    Shard,
    Split,
    read_manifest,
)
from ..dataset.statistics import Statistics, Sums, read_statistics
from .random_access import RecordStore

_LOG = logging.getLogger(__name__)
_LOOK_AHEAD = 64  # records in work: enough for many cores, few enough for flat memory
_UNKNOWN_KEY = "name unknown"


@dataclass(frozen=True)
class Problem:
    """Something wrong: in a file, or in the record at `position` of a shard, whose image was `key`."""

    file: str
    reason: str
    position: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = "" if self.position is None else f" record {self.position} ({self.key}):"
        return f"{self.file}:{place} {self.reason}"


class _Checked(NamedTuple):
    """What reading a record found: a problem, or its label, its pixels and the digest of its image."""

    problem: Problem | None
    label: int = 0
    pixels: np.ndarray | None = None
    digest: int = 0


def verify(
    folder: PathLike,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    shared: Callable[[str, str, str], None] | None = None,
) -> list[Problem]:
    """Read everything in a data set and return what is wrong with it.

    Checked are: each file's digest; each record's framing, checksum, place, label and image; the images of each
    class; the rejected list; the statistics, computed again from the training images; how many images of the other
    splits are in train, too. `progress` is called with the number of records read since the last call, `shared` with
    (split, key there, key in train) of each image that is in train, too, unless something is wrong.

    Raises :class:`DatasetError` when there is no manifest that can be read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    problems: list[Problem] = []
    sums = Sums()
    digests = {split.name: array("Q") for split in manifest.splits}
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), thread_name_prefix="verify") as pool:
        for split in manifest.splits:
            before = len(problems)
            counts = np.zeros(len(manifest.classes), np.int64)
            for number, shard in enumerate(split.shards):
                _LOG.info("checking %s: %d images", shard.name, shard.images)
                check = _Check(folder, manifest, split, number, shard)
                problems += check.files()
                for record in check.records(pool):
                    if record.problem is not None:
                        problems.append(record.problem)
                    else:
                        if record.label != UNLABELLED:
                            counts[record.label] += 1
                        digests[split.name].append(record.digest)
                        if record.pixels is not None and split.name == "train":
                            sums.add(record.pixels, (0, 0))
                    if progress is not None:
                        progress(1)
            if len(problems) == before:
                problems += _counts(manifest, split, counts)
    if not problems:
        problems += _also_in_train(folder, manifest, digests, shared)
    trusted = not any(problem.file.startswith("train-") for problem in problems)
    return problems + _statistics(folder, sums if trusted else None) + _rejected(folder, manifest)


class _Check:
    """One shard: its three files, then its records."""

    def __init__(self, folder: Path, manifest: Manifest, split: Split, number: int, shard: Shard) -> None:
        self._folder, self._manifest, self._split, self._number, self._shard = folder, manifest, split, number, shard
        self._keys = [_UNKNOWN_KEY] * shard.images
        self._checksums: np.ndarray | None = None
        self._offsets: np.ndarray | None = None

    def files(self) -> list[Problem]:
        """What is wrong with the shard's files as a whole; keeps the names and places of the records."""
        problems = []
        for suffix, expected in ((".idx", self._shard.index_sha256), (".keys", self._shard.keys_sha256)):
            name = self._shard.file(suffix)
            try:
                content = read_bytes(self._folder / name)
            except OSError as error:
                problems.append(Problem(name, error.strerror or "cannot be read"))
                continue
            if hashlib.sha256(content).hexdigest() != expected:
                problems.append(Problem(name, "not what was packed (its digest differs)"))
            elif suffix == ".keys":
                self._keys, self._checksums = read_keys(content)
            else:
                pairs = np.fromstring(content.decode("ascii"), np.int64, sep=" ").reshape(-1, 2)
                self._offsets = np.append(pairs[:, 1], self._shard.bytes)
        return problems

    def records(self, pool: Executor) -> Iterator[_Checked]:
        """What each record holds, in order; at the end of the file what is wrong with that."""
        path = self._folder / self._shard.name
        if self._offsets is None:
            yield self._problem("its records cannot be found without the .idx file")
            return
        digest, size = hashlib.sha256(), 0
        running: deque = deque()
        damaged = False
        try:
            with opened(path) as file:
                for position in range(self._shard.images):
                    record = file.read(int(self._offsets[position + 1] - self._offsets[position]))
                    digest.update(record)
                    size += len(record)
                    running.append(pool.submit(self._record, position, record))
                    if len(running) >= _LOOK_AHEAD:
                        result = running.popleft().result()
                        damaged |= result.problem is not None
                        yield result
                rest = os.fstat(file.fileno()).st_size - size
                while block := file.read(2**20):
                    digest.update(block)
        except OSError as error:
            yield self._problem(error.strerror or "cannot be read")
            return
        for future in running:
            result = future.result()
            damaged |= result.problem is not None
            yield result
        if rest:
            yield self._problem(f"{rest} bytes after its last record")
        elif digest.hexdigest() != self._shard.sha256 and not damaged:
            yield self._problem("not what was packed (its digest differs)")

    def _record(self, position: int, record: bytes) -> _Checked:
        try:
            label, header_position, header_shard, image = unpack_image(unframe(record))
            if (header_position, header_shard) != (position, self._number):
                raise RecordError(f"it says that it is record {header_position} of shard {header_shard}")
            if label >= len(self._manifest.classes) or (label == UNLABELLED and not self._split.unlabelled):
                raise RecordError(f"label {label} is not one of the {len(self._manifest.classes)} classes")
            pixels = packed_pixels(image, self._manifest.encoding)
            if self._checksums is not None and crc32(record) != self._checksums[position]:
                raise RecordError("its checksum differs")
            return _Checked(None, label, pixels, image_digest(image))
        except (RecordError, ImageError) as error:
            return _Checked(Problem(self._shard.name, str(error), position, self._keys[position]))

    def _problem(self, reason: str) -> _Checked:
        return _Checked(Problem(self._shard.name, reason))


def _counts(manifest: Manifest, split: Split, counts: np.ndarray) -> list[Problem]:
    return [
        Problem(split.name, f"{count} images of class {info.wnid} instead of {expected}")
        for info, count, expected in zip(manifest.classes, counts, split.class_counts)
        if count != expected
    ]


def _also_in_train(
    folder: Path, manifest: Manifest, digests: Mapping[str, array], shared: Callable[[str, str, str], None] | None
) -> list[Problem]:
    problems = []
    train = np.array(digests["train"], np.uint64)
    for split in manifest.splits:
        if split.name == "train":
            continue
        places, theirs = find_duplicates(np.array(digests[split.name], np.uint64), train)
        if split.also_in_train not in (None, len(places)):
            reason = f"{len(places)} images of {split.name} are in train, too, not {split.also_in_train}"
            problems.append(Problem(MANIFEST, reason))
        if shared is not None and len(places):
            here, there = (RecordStore(folder, manifest, manifest.split(name)) for name in (split.name, "train"))
            for place, twin in zip(places.tolist(), theirs.tolist()):
                shared(split.name, here.key(place), there.key(twin))
            here.close()
            there.close()
    return problems


def _statistics(folder: Path, sums: Sums | None) -> list[Problem]:
    try:
        stored = read_statistics(folder)
    except DatasetError as error:
        return [Problem(STATISTICS, str(error).partition(": ")[2] or str(error))]
    if sums is None or not sums.images:
        return []  # of damaged images, they would only be wrong once more
    again = sums.statistics()
    return [
        Problem(STATISTICS, f"{name} is not that of the training images")
        for name in Statistics.__dataclass_fields__
        if name != "source_sizes" and not np.array_equal(getattr(again, name), getattr(stored, name))
    ]


def _rejected(folder: Path, manifest: Manifest) -> list[Problem]:
    try:
        lines = read_bytes(folder / REJECTED).splitlines()[1:]
    except OSError as error:
        return [Problem(REJECTED, error.strerror or "cannot be read")]
    return [
        Problem(REJECTED, f"{found} images of {split.name} instead of {split.rejected}")
        for split in manifest.splits
        if (found := sum(line.startswith(split.name.encode() + b"\t") for line in lines)) != split.rejected
    ]
