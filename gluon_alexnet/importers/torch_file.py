"""What `torch.save` wrote, without PyTorch and without running the pickle inside: the zip file, and the older stream.

A tensor is a view (offset, sizes, strides) of a storage; the pickle describes the views, the storages lie beside it.
Formats: torch/serialization.py and caffe2/serialize/inline_container.h of pytorch/pytorch.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import OperationFailed
from ..safe_files import opened, regular
from ..safe_pickle import Made, PickledError, read_pickled
from .arrays import MAX_ARRAYS, MAX_BYTES, StoredArray, check_size, elements
from .pickle_tables import named_leaves

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # begins the older stream
STREAM_PROTOCOL = 1001
MAX_PICKLE = 2**22  # bytes: AlexNet's takes 2,000
MAX_ENTRIES_BYTES = 2**22  # of a zip file's list of contents

_STORAGES = {  # PyTorch's name → (NumPy's name, bytes of a number)
    "FloatStorage": ("float32", 4),
    "DoubleStorage": ("float64", 8),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "ComplexFloatStorage": ("complex64", 8),
    "ComplexDoubleStorage": ("complex128", 16),
}
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, NotImplementedError),  # an encrypted entry, say
    *(ValueError, LookupError, OverflowError, EOFError, OSError),
)


@dataclass(frozen=True)
class _StorageType:
    name: str
    size: int  # bytes of a number


@dataclass(frozen=True)
class _Storage:
    type: _StorageType
    key: str
    count: int  # numbers


@dataclass
class _Tensor(Made):
    """A view of a storage, checked to lie inside it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers

    def __post_init__(self) -> None:
        numbers = (self.offset, *_whole_tuple(self.shape), *_whole_tuple(self.strides))
        if not isinstance(self.storage, _Storage) or len(self.shape) != len(self.strides) or len(self.shape) > 32:
            raise PickledError("a tensor that is no view of a storage")
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise PickledError("a tensor of a shape that cannot be")
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.strides))
        if 0 not in self.shape and last >= self.storage.count:
            raise PickledError(
                f"a tensor of {elements(self.shape):,} numbers that reaches beyond the {self.storage.count:,} it views"
            )

    def build(self, state: Any) -> None:
        """A parameter's state, of PyTorch before 0.4: whether it learns; no part of its numbers."""

    def view(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor of its storage's numbers."""
        steps = tuple(4 * step for step in self.strides)
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)


class _OrderedDict(dict, Made):
    """A state dict; the state that PyTorch gives it, _metadata, tells versions of layers."""

    def build(self, state: Any) -> None:
        """Nothing of it is a weight."""


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so can be a zip file of `torch.save`."""
    return head.startswith(b"PK\x03\x04")


def is_stream(head: bytes) -> bool:
    """Whether a file that begins so is the older stream: a pickle of its magic number."""
    try:
        return read_pickled(head, {})[0] == MAGIC_NUMBER
    except PickledError:
        return False


def read_torch_file(file: Path) -> dict[str, StoredArray]:
    """The tensors of a file of `torch.save` by name, with dots between the keys of nested dicts.

    Raises OperationFailed where it is cut or damaged, or its pickle asks for anything but tensors.
    """
    check_size(file)
    with opened(file) as stream:
        head = stream.read(64)
    try:
        return _of_zip(file) if is_zip(head) else _of_stream(file)
    except OperationFailed:
        raise
    except PickledError as error:
        raise OperationFailed(
            f"{file}: {error}; only tensors are read: save model.state_dict() with torch.save and import that."
        ) from error
    except _DAMAGED as error:
        raise OperationFailed(f"{file} is cut or damaged, or no file of torch.save.") from error


class _Guarded:
    """A file whose list of contents must be short: zipfile reads it whole before anything can be asked."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, count: int = -1) -> bytes:
        if count > MAX_ENTRIES_BYTES:
            raise zipfile.BadZipFile("a list of contents of megabytes")
        return self._stream.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _of_zip(file: Path) -> dict[str, StoredArray]:
    with opened(file) as stream, zipfile.ZipFile(_Guarded(stream)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles: list[str | None] = [name for name in entries if name.endswith("/data.pkl")]
        (described,) = pickles or [None]
        if described is None:
            raise OperationFailed(f"{file} is a zip file, but none of torch.save: it has no data.pkl.")
        folder = described[: -len("data.pkl")]
        if entries[described].file_size > MAX_PICKLE:
            raise PickledError(f"a pickle of {entries[described].file_size:,} bytes")
        content = _entry(archive, entries[described])
        order = _entry(archive, entries[f"{folder}byteorder"]) if f"{folder}byteorder" in entries else b"little"
    if order.strip() != b"little":
        raise PickledError("numbers in the order of another kind of processor")
    tensors = named_leaves(read_pickled(content, _KNOWN, _Storages())[0], _Tensor, MAX_ARRAYS)

    def numbers(tensor: _Tensor) -> bytes:
        with zipfile.ZipFile(regular(file)) as archive:
            return _entry(archive, archive.getinfo(f"{folder}data/{tensor.storage.key}"))

    return {name: _stored(file, name, tensor, numbers) for name, tensor in tensors.items()}


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of an entry, once nothing can be larger than the file: PyTorch compresses nothing."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
        raise PickledError(f"{entry.filename[:100]!r} is compressed or encrypted, which torch.save does not do")
    if entry.file_size > MAX_BYTES:
        raise PickledError(f"{entry.filename[:100]!r} announces {entry.file_size:,} bytes")
    return archive.read(entry)


def _of_stream(file: Path) -> dict[str, StoredArray]:
    with opened(file) as stream:
        content = stream.read(MAX_PICKLE)
        parts, at, storages = [], 0, _Storages()
        for known in ({}, {}, {}, _KNOWN, {}):
            part, length = read_pickled(content[at:], known, storages)
            parts.append(part)
            at += length
        magic, protocol, system, described, keys = parts
        if magic != MAGIC_NUMBER or protocol != STREAM_PROTOCOL:
            raise PickledError("a pickle that is none of torch.save's")
        if not isinstance(system, dict) or _text(system, "little_endian") is not True:
            raise PickledError("numbers in the order of another kind of processor")
        tensors = named_leaves(described, _Tensor, MAX_ARRAYS)
        places = _places(file, stream, at, keys, storages.found)

    def numbers(tensor: _Tensor) -> bytes:
        with opened(file) as stream:
            stream.seek(places[tensor.storage.key])
            return stream.read(tensor.storage.count * tensor.storage.type.size)

    return {name: _stored(file, name, tensor, numbers) for name, tensor in tensors.items()}


def _text(table: dict, key: str) -> Any:
    return table.get(key, table.get(key.encode()))


def _places(file: Path, stream: BinaryIO, at: int, keys: Any, storages: dict[str, _Storage]) -> dict[str, int]:
    """Where each storage's numbers begin: one after the other, each after its count."""
    if not isinstance(keys, list) or len(keys) > MAX_ARRAYS:
        raise PickledError("no list of storages")
    places = {}
    for key in map(_name, keys):
        stream.seek(at)
        (count,) = struct.unpack("<q", stream.read(8).ljust(8, b"\xff"))
        if key not in storages or count != storages[key].count:
            raise OperationFailed(f"{file} is cut or damaged: its numbers do not lie where they should.")
        places[key] = at + 8
        at += 8 + count * storages[key].type.size
    return places


def _stored(file: Path, name: str, tensor: _Tensor, numbers: Callable[[_Tensor], bytes]) -> StoredArray:
    def content() -> np.ndarray:
        try:
            read = numbers(tensor)
        except (PickledError, *_DAMAGED) as error:
            raise OperationFailed(
                f"{file}: the numbers of {name} cannot be read; the file is cut or damaged."
            ) from error
        if len(read) != tensor.storage.count * tensor.storage.type.size:
            raise OperationFailed(f"{file}: the numbers of {name} are cut.")
        return tensor.view(np.frombuffer(read, "<f4"))

    return StoredArray(tensor.shape, tensor.storage.type.name, content)


class _Storages:
    """Makes the storages that a pickle names, and keeps them by their keys."""

    def __init__(self) -> None:
        self.found: dict[str, _Storage] = {}

    def __call__(self, identity: Any) -> _Storage:
        """("storage", type, key, place, count), in the older stream with a view of it at the end, None since 0.4."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] not in ("storage", b"storage"):
            raise PickledError("a pickle that holds a whole module, and that would import its program")
        kind, key, _, count = identity[1:5]
        if len(identity) == 6 and identity[5] is not None:
            raise PickledError("a pickle with a view of a storage, which PyTorch wrote before 0.4")
        if not isinstance(kind, _StorageType) or type(count) is not int or not 0 <= count < 2**62:
            raise PickledError("a storage of another kind")
        storage = _Storage(kind, _name(key), count)
        if len(self.found) > MAX_ARRAYS or self.found.setdefault(storage.key, storage) != storage:
            raise PickledError("storages that contradict each other")
        return storage


def _name(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not 0 < len(text) <= 100:
        raise PickledError("a storage without a name")
    return text


def _whole_tuple(value: Any) -> tuple:
    if not isinstance(value, tuple):
        raise PickledError("a tensor without a shape")
    return value


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> _Tensor:
    if not isinstance(tensor, _Tensor):
        raise PickledError("a parameter that is no tensor")
    return tensor


def _ordered_dict(*items: Any) -> _OrderedDict:
    if items:
        raise PickledError("an ordered dict made of a list")
    return _OrderedDict()


def _size(sides: Any = ()) -> tuple:
    return tuple(_whole_tuple(sides))


_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.Size": _size,
    **{f"torch.{name}": _StorageType(*kind) for name, kind in _STORAGES.items()},
}
