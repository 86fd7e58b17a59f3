"""One shard on disk: `.rec` with the records, `.idx` with their offsets for MXNet, `.keys` with their names."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dataset import Shard
from .records import frame, pack_image
from .sources import Source
from .statistics import Sums


@dataclass
class PackedShard:
    """One finished shard and what goes into the manifest, the statistics and the rejected list."""

    shard: Shard
    class_counts: np.ndarray  # int64 (classes,)
    rejected: list[tuple[str, str]]  # (key, reason)
    sums: Sums | None  # of a training shard


class ShardWriter:
    """Writes one shard's `.rec`, `.idx` and `.keys`; a context manager that closes and flushes them to the disk."""

    def __init__(self, folder: Path, stem: str, number: int, classes: int) -> None:
        self.rejected: list[tuple[str, str]] = []
        self._stem = stem
        self._number = number
        self._counts = np.zeros(classes, np.int64)
        self._images = self._bytes = 0
        self._digests = [hashlib.sha256() for _ in range(3)]
        self._paths = [folder / (stem + suffix) for suffix in (".rec", ".idx", ".keys")]

    def __enter__(self) -> ShardWriter:
        with ExitStack() as stack:
            self._files = [stack.enter_context(open(path, "xb")) for path in self._paths]
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        with self._opened:
            if failure[0] is None:
                for file in self._files:
                    file.flush()
                    os.fsync(file.fileno())

    def add(self, source: Source, image: bytes) -> None:
        """Append one picture; its id is its place in this shard, so that shards can be packed apart and joined."""
        record = frame(pack_image(source.label, self._images, self._number, image))
        key = (escape(source.key) + "\n").encode("utf-8", "surrogateescape")
        for file, digest, data in zip(
            self._files, self._digests, (record, b"%d\t%d\n" % (self._images, self._bytes), key)
        ):
            file.write(data)
            digest.update(data)
        self._images += 1
        self._bytes += len(record)
        self._counts[source.label] += 1

    def finished(self, sums: Sums | None) -> PackedShard:
        """What was written."""
        digests = [digest.hexdigest() for digest in self._digests]
        return PackedShard(
            Shard(self._stem + ".rec", self._images, self._bytes, *digests), self._counts, self.rejected, sums
        )


def escape(text: str) -> str:
    """`text` on one line and in one column: backslash, tab and line ends written as in Python."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def unescape(text: str) -> str:
    """The inverse of :func:`escape`."""
    return re.sub(r"\\(.)", lambda match: {"t": "\t", "n": "\n", "r": "\r"}.get(match[1], match[1]), text)
