"""One shard on disk: `.rec` with the records, `.idx` with their offsets for MXNet, `.keys` with names and checksums.

While a data set is packed, a `.receipt` beside a shard says that it is whole, and holds what joins it to the others.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from array import array
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gluon_alexnet import safe_json
from gluon_alexnet.atomic_files import write_bytes
from gluon_alexnet.safe_arrays import arrays_of
from gluon_alexnet.safe_files import read_bytes

from ..dataset.duplicates import image_digest
from ..dataset.framing import frame, pack_image
from ..dataset.keys import crc32, escape
from ..dataset.manifest import UNLABELLED, DatasetError, Shard
from ..dataset.statistics import Sums
from ..sources.class_folders import Source

_BUFFER = 2**20  # bytes; a call of the system for each record takes twice the time
_WRITE_AHEAD = 2**24  # bytes
_DIGESTS = "image_digests"  # an older program wrote others as "digests": its shards are packed again
_SUMS = ("images", "image", "products", "sizes")


@dataclass
class PackedShard:
    """One finished shard and what goes into the manifest, the statistics and the rejected list."""

    shard: Shard
    class_counts: np.ndarray  # int64 (classes,)
    unlabelled: int
    rejected: list[tuple[str, str]]  # (key, reason)
    sums: Sums | None  # of a training shard
    digests: np.ndarray  # uint64 (images,): of each packed image


class ShardWriter:
    """Writes one shard's `.rec`, `.idx` and `.keys`; a context manager that closes and flushes them to the disk."""

    def __init__(self, folder: Path, stem: str, number: int, classes: int) -> None:
        self.rejected: list[tuple[str, str]] = []
        self._stem = stem
        self._number = number
        self._counts = np.zeros(classes, np.int64)
        self._images = self._bytes = self._unlabelled = 0
        self._begun = 0  # bytes that the disk was told to write
        self._digests = [hashlib.sha256() for _ in range(3)]
        self._image_digests = array("Q")
        self._paths = [folder / (stem + suffix) for suffix in (".rec", ".idx", ".keys")]

    def __enter__(self) -> ShardWriter:
        with ExitStack() as stack:
            for path in self._paths:
                path.unlink(missing_ok=True)  # whoever began it was killed, or its cluster gave up waiting for it
            self._files = [stack.enter_context(open(path, "xb", buffering=_BUFFER)) for path in self._paths]
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        with self._opened:
            if failure[0] is None:
                for file in self._files:
                    file.flush()
                    os.fsync(file.fileno())

    def add(self, source: Source, image: bytes) -> None:
        """Append one image; its id is its place in this shard, so that shards can be packed apart and joined."""
        record = frame(pack_image(source.label, self._images, self._number, image))
        # The checksum tells which record is damaged where the shard's digest only tells that one is.
        key = f"{escape(source.key)}\t{crc32(record):08x}\n".encode("utf-8", "surrogateescape")
        for file, digest, data in zip(
            self._files, self._digests, (record, b"%d\t%d\n" % (self._images, self._bytes), key)
        ):
            file.write(data)
            digest.update(data)
        self._image_digests.append(image_digest(image))
        self._images += 1
        self._bytes += len(record)
        if self._bytes - self._begun > _WRITE_AHEAD:
            # Without this all is written when the shard is complete, while the workers wait.
            os.posix_fadvise(self._files[0].fileno(), self._begun, _WRITE_AHEAD, os.POSIX_FADV_DONTNEED)
            self._begun += _WRITE_AHEAD
        if source.label == UNLABELLED:
            self._unlabelled += 1
        else:
            self._counts[source.label] += 1

    def finished(self, sums: Sums | None) -> PackedShard:
        """What was written."""
        digests = [digest.hexdigest() for digest in self._digests]
        shard = Shard(self._stem + ".rec", self._images, self._bytes, *digests)
        images = np.array(self._image_digests, np.uint64)
        return PackedShard(shard, self._counts, self._unlabelled, self.rejected, sums, images)


def write_receipt(path: Path, packed: PackedShard) -> None:
    """Write what :func:`read_receipt` reads, never half-written under its name."""
    document = {
        "shard": asdict(packed.shard),
        "class_counts": packed.class_counts.tolist(),
        "unlabelled": packed.unlabelled,
        "rejected": packed.rejected,
    }
    arrays = {"document": np.frombuffer(json.dumps(document).encode("ascii"), np.uint8), _DIGESTS: packed.digests}
    if packed.sums is not None:
        packed.sums.flush()
        arrays.update({name: np.asarray(getattr(packed.sums, name)) for name in _SUMS})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_receipt(path: Path) -> PackedShard:
    """The shard that a receipt describes; :class:`DatasetError` when it is missing or damaged."""
    try:
        content = read_bytes(path)
        arrays = arrays_of(content)
        document = safe_json.parse(arrays["document"].tobytes())
        digests = arrays[_DIGESTS].astype(np.uint64)
        if len(digests) != document["shard"]["images"]:
            raise ValueError("digests of other images")
        sums = None
        if "image" in arrays:
            sums = Sums()
            sums.images = int(arrays["images"])
            for name in _SUMS[1:]:
                getattr(sums, name)[:] = arrays[name]
        return PackedShard(
            Shard(**document["shard"]),
            np.array(document["class_counts"], np.int64),
            document["unlabelled"],
            [(key, reason) for key, reason in document["rejected"]],
            sums,
            digests,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: damaged or missing; pack that part again with `overwrite`") from error


def is_whole(folder: Path, shard: Shard) -> bool:
    """Whether a shard's files are there as they were written; of the `.rec`, only its size is looked at."""
    try:
        return (folder / shard.name).stat().st_size == shard.bytes and all(
            hashlib.sha256(read_bytes(folder / shard.file(suffix))).hexdigest() == expected
            for suffix, expected in ((".idx", shard.index_sha256), (".keys", shard.keys_sha256))
        )
    except OSError:
        return False
