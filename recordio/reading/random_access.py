"""One split's shards, opened: any record by its number, checked before it is believed."""

from __future__ import annotations

import bisect
import errno
import hashlib
import itertools
import os
import threading
import weakref
from pathlib import Path

import numpy as np

from gluon_alexnet.safe_files import descriptor_of, opened, read_bytes

from ..dataset.framing import RecordError, unframe, unpack_image
from ..dataset.images import ImageError, packed_pixels
from ..dataset.keys import crc32, read_checksums, read_keys
from ..dataset.manifest import UNLABELLED, DatasetError, Manifest, PathLike, Shard, Split

_BLOCK = 2**20  # bytes hashed at a time: an index of 15 million lines is not held in memory


class DamagedRecord(DatasetError):
    """One record is damaged; the others may well be sound."""


class RecordStore:
    """The records of one split by number, 0…images-1.

    Raises :class:`DatasetError` at once when a shard's size or an index is not what was packed. The indexes are then
    read as they are needed: parsing the lines of 15 million records would take seconds. Threads may share it.
    """

    def __init__(self, folder: PathLike, manifest: Manifest, split: Split) -> None:
        self._folder = Path(folder)
        self._encoding = manifest.encoding
        self._classes = len(manifest.classes)
        self._unlabelled = split.unlabelled
        self._shards = split.shards
        self._firsts = [0, *itertools.accumulate(shard.images for shard in split.shards)]
        # Of each shard that was read from: where its records begin, and their checksums.
        self._indexes: list[tuple[np.ndarray, np.ndarray] | None] = [None] * len(split.shards)
        self._keys: tuple[int, list[str]] = (-1, [])
        self._lock = threading.Lock()
        self._descriptors: list[int] = []
        self.close = weakref.finalize(self, _close_all, self._descriptors)
        for shard in split.shards:
            self._check_index(shard)
            self._descriptors.append(self._open(shard))

    def __len__(self) -> int:
        return self._firsts[-1]

    def key(self, number: int) -> str:
        """The source's key (its path below the split's folder) of the image with this number."""
        shard, position = self._locate(number)
        keys = self._keys  # another thread may put another shard's there
        if keys[0] != shard:
            entry = self._shards[shard]
            content = self._read_checked(entry.file(".keys"), entry.keys_sha256)
            keys = self._keys = (shard, read_keys(content)[0])
        return keys[1][position]

    def read(self, number: int, scratch: np.ndarray | None = None) -> tuple[np.ndarray, int]:
        """(uint8 (256, 256, 3) RGB, label) of the image with this number.

        The record's checksum is compared with the one that was packed. An image that has to be decoded goes into
        `scratch`, of its shape, where that is given. Raises :class:`DamagedRecord` that names the shard, position and
        key; :class:`DatasetError` when an index or the checksums are damaged.
        """
        shard, position = self._locate(number)
        begin, end, checksum = self._place(shard, position)
        try:
            record = os.pread(self._descriptors[shard], end - begin, begin)
            label, header_position, header_shard, image = unpack_image(unframe(memoryview(record)))
            if (header_position, header_shard) != (position, shard):
                raise RecordError(f"the record is number {header_position} of shard {header_shard}")
            if label >= self._classes or (label == UNLABELLED and not self._unlabelled):
                raise RecordError(f"label {label} is beyond the {self._classes} classes")
            if crc32(record) != checksum:  # a JPEG with flipped bits decodes as a rule, to another image
                raise RecordError("its checksum differs, so its bytes are not those that were packed")
            return packed_pixels(image, self._encoding, scratch), label
        except (RecordError, ImageError, OSError) as error:
            raise DamagedRecord(self._damaged(number, shard, position, error)) from error

    def _locate(self, number: int) -> tuple[int, int]:
        if not 0 <= number < len(self):
            raise IndexError(f"id {number} is not in 0…{len(self) - 1}")
        shard = bisect.bisect_right(self._firsts, number) - 1
        return shard, number - self._firsts[shard]

    def _place(self, shard: int, position: int) -> tuple[int, int, int]:
        """(begin, end, CRC-32) of a record in its shard's file."""
        index = self._indexes[shard]
        if index is None:
            with self._lock:
                index = self._indexes[shard]
                if index is None:
                    index = self._indexes[shard] = self._read_index(self._shards[shard])
        offsets, checksums = index
        return int(offsets[position]), int(offsets[position + 1]), int(checksums[position])

    def _damaged(self, number: int, shard: int, position: int, error: Exception) -> str:
        try:
            key = f" ({self.key(number)})"
        except DatasetError:
            key = ""  # the names are damaged as well; the record's place still says which it is
        path = self._folder / self._shards[shard].name
        return f"{path}: record {position}{key}: {getattr(error, 'strerror', None) or error}; pack the data set again"

    def _open(self, shard: Shard) -> int:
        path = self._folder / shard.name
        try:
            descriptor = descriptor_of(path)
        except OSError as error:
            raise DatasetError(_missing(path, error)) from error
        size = os.fstat(descriptor).st_size
        if size != shard.bytes:
            os.close(descriptor)
            raise DatasetError(
                f"{path}: {size} bytes instead of {shard.bytes}, cut or foreign; copy it or pack the data set again"
            )
        return descriptor

    def _check_index(self, shard: Shard) -> None:
        path = self._folder / shard.file(".idx")
        digest = hashlib.sha256()
        try:
            with opened(path) as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise DatasetError(_missing(path, error)) from error
        if digest.hexdigest() != shard.index_sha256:
            raise DatasetError(_foreign(path))

    def _read_index(self, shard: Shard) -> tuple[np.ndarray, np.ndarray]:
        """Offsets of a shard's records and, last, its size, int64 (images + 1,); their CRC-32, uint32 (images,)."""
        content = self._read_checked(shard.file(".idx"), shard.index_sha256)
        pairs = np.fromstring(content.decode("ascii"), np.int64, sep=" ").reshape(-1, 2)
        checksums = read_checksums(self._read_checked(shard.file(".keys"), shard.keys_sha256))
        return np.append(pairs[:, 1], shard.bytes), checksums

    def _read_checked(self, name: str, sha256: str) -> bytes:
        path = self._folder / name
        try:
            content = read_bytes(path)
        except OSError as error:
            raise DatasetError(_missing(path, error)) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DatasetError(_foreign(path))
        return content


def _missing(path: Path, error: OSError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{path}: {error.strerror}, one for each shard; allow more (`ulimit -n`) or pack into fewer shards"
    return f"{path}: {error.strerror}; copy it again or pack the data set again"


def _foreign(path: Path) -> str:
    return f"{path}: not the file that was packed, cut or foreign; copy it again or pack the data set again"


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
