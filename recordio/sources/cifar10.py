"""CIFAR-10 as distributed, binary or python version, as an archive or unpacked (the paper's Sec. 3.1 and 3.3).

    cifar-10-batches-bin/   data_batch_1.bin … data_batch_5.bin, test_batch.bin, batches.meta.txt
    cifar-10-batches-py/    data_batch_1 … data_batch_5, test_batch, batches.meta

An image is 3,072 bytes: 32 rows of 32 red values, then green, then blue.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gluon_alexnet.safe_files import read_bytes, regular

from ...safe_pickle import PickledError, ReadArray, array_names, read_pickled
from ..dataset.manifest import PathLike, SourceError

CLASSES = 10
SIZE = 32  # pixels, both sides
IMAGES_PER_BATCH = 10_000
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_META = "batches.meta"
_BYTES = 3 * SIZE * SIZE
_LARGEST = 2 * IMAGES_PER_BATCH * (_BYTES + 1)  # bytes; what is larger is no file of CIFAR-10


class Cifar(NamedTuple):
    """Images uint8 (N, 32, 32, 3) RGB with labels int64 (N,), and the classes' names in label order."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    names: list[str]


def read_cifar(source: PathLike) -> Cifar:
    """All of CIFAR-10: 50,000 training images in the order of the batches, 10,000 test images.

    source: the archive (.tar.gz or .tar) or its unpacked folder. Python's pickles are read as data, never executed.
    Raises :class:`SourceError` where it is cut, damaged or something else.
    """
    source = Path(source)
    files = _of_folder(source) if source.is_dir() else _of_archive(source)
    binary = f"{_TEST}.bin" in files
    ending = ".bin" if binary else ""
    absent = [name + ending for name in (*_BATCHES, _TEST) if name + ending not in files]
    if absent:
        raise SourceError(
            f"{source}: not CIFAR-10, or a part of it: {', '.join(absent)} missing; "
            "name cifar-10-binary.tar.gz, cifar-10-python.tar.gz or the folder unpacked from one of them"
        )
    batch = _binary_batch if binary else _python_batch
    parts = [batch(f"{source}: {name + ending}", files[name + ending]) for name in (*_BATCHES, _TEST)]
    names = _names(source, files, binary)
    train, train_labels = (np.concatenate([part[index] for part in parts[:-1]]) for index in (0, 1))
    test, test_labels = parts[-1]
    return Cifar(train, train_labels, test, test_labels, names)


def _of_folder(folder: Path) -> dict[str, bytes]:
    names = [name + ending for name in (*_BATCHES, _TEST, _META) for ending in ("", ".bin", ".txt")]
    try:
        return {name: read_bytes(folder / name) for name in names if (folder / name).is_file()}
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}") from error


def _of_archive(path: Path) -> dict[str, bytes]:
    wanted = {name + ending for name in (*_BATCHES, _TEST, _META) for ending in ("", ".bin", ".txt")}
    found = {}
    try:
        with tarfile.open(regular(path)) as tar:
            for entry in tar:
                name = Path(entry.name).name
                if name in wanted and entry.isreg() and entry.size <= _LARGEST:
                    found[name] = tar.extractfile(entry).read()  # type: ignore[union-attr]
    except FileNotFoundError as error:
        raise SourceError(
            f"{path}: no such file; name cifar-10-binary.tar.gz or cifar-10-python.tar.gz with `source`"
        ) from error
    except PermissionError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SourceError(f"{path}: cut, damaged, or no archive of CIFAR-10; download it again") from error
    return found


def _binary_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    record = _BYTES + 1  # the label's byte, then the image
    if len(content) != IMAGES_PER_BATCH * record:
        raise SourceError(
            f"{where}: {len(content)} bytes where {IMAGES_PER_BATCH} images of CIFAR-10 have "
            f"{IMAGES_PER_BATCH * record}: cut, or another data set; download it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return _batch(where, records[:, 1:], records[:, 0].astype(np.int64))


def _python_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    document = _read_pickled(where, content)
    array, labels = document.get(b"data"), document.get(b"labels")
    pixels = array.value if isinstance(array, ReadArray) else None
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise SourceError(f"{where}: holds no 'data' and 'labels' of CIFAR-10; download it again")
    if pixels.shape != (IMAGES_PER_BATCH, _BYTES) or len(labels) != IMAGES_PER_BATCH:
        raise SourceError(
            f"{where}: an array of shape {pixels.shape} and {len(labels)} labels where CIFAR-10 has "
            f"{IMAGES_PER_BATCH} images of {_BYTES} values; download it again"
        )
    if not all(type(label) is int for label in labels):
        raise SourceError(f"{where}: a label is no whole number; download it again")
    return _batch(where, pixels, np.array(labels, np.int64))


def _batch(where: str, pixels: np.ndarray, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if len(wrong):
        raise SourceError(
            f"{where}: image {wrong[0]} has the label {labels[wrong[0]]}, and CIFAR-10 has 0 to {CLASSES - 1}; "
            "damaged, or another data set"
        )
    return np.ascontiguousarray(pixels.reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1)), labels


def _names(source: PathLike, files: dict[str, bytes], binary: bool) -> list[str]:
    try:
        if binary:
            names = files[f"{_META}.txt"].decode("utf-8").split()
        else:
            names = [name.decode("utf-8") for name in _read_pickled(f"{source}: {_META}", files[_META])[b"label_names"]]
    except (KeyError, UnicodeDecodeError, TypeError, AttributeError):
        names = []
    if len(names) != CLASSES:
        name = f"{_META}.txt" if binary else _META
        raise SourceError(f"{source}: {name} is missing or does not name {CLASSES} classes; download it again")
    return names


def _read_pickled(where: str, content: bytes) -> Any:
    try:
        document, _ = read_pickled(content, array_names("u1"))
    except PickledError as error:
        raise SourceError(f"{where}: {error}; download it again") from error
    if not isinstance(document, dict):
        raise SourceError(f"{where}: holds no table of CIFAR-10; download it again")
    return document
