"""Files of `torch.save`, made byte by byte: nothing here knows the program's reader, or needs PyTorch.

The instructions are those that PyTorch's files hold (python -m pickletools shows them); tests marked slow compare with
files that PyTorch itself wrote.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


def text(value: str) -> bytes:
    """A string of Python 3."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """A whole number, in the shortest form but one."""
    if 0 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def name(module: str, what: str) -> bytes:
    """What a pickle imports."""
    return b"c" + module.encode() + b"\n" + what.encode() + b"\n"


def many(*items: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(items) + b"t"


def table(items: dict[str, bytes]) -> bytes:
    """A dict of Python."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def ordered(items: dict[str, bytes]) -> bytes:
    """An OrderedDict with the state that a state dict has."""
    made = name("collections", "OrderedDict") + b")R"
    metadata = table({"_metadata": table({"": table({"version": number(1)})})})
    return made + b"(" + b"".join(text(key) + value for key, value in items.items()) + b"u" + metadata + b"b"


def tensor(key, shape, strides=None, *, offset=0, count=None, kind="FloatStorage", legacy=False, old=False) -> bytes:
    """A view of the storage ``key``. old: as PyTorch before 0.4 rebuilt tensors."""
    strides = strides or [int(np.prod(shape[place + 1 :])) for place in range(len(shape))]
    count = int(np.prod(shape)) if count is None else count
    identity = [text("storage"), name("torch", kind), text(key), text("cpu"), number(count)]
    storage = many(*identity, *([b"N"] if legacy else [])) + b"Q"
    sides = many(*map(number, shape)), many(*map(number, strides))
    if old:
        return name("torch._utils", "_rebuild_tensor") + many(storage, number(offset), *sides) + b"R"
    hooks = name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + many(storage, number(offset), *sides, b"\x89", hooks) + b"R"


def pickled(value: bytes) -> bytes:
    """A whole pickle of protocol 2."""
    return b"\x80\x02" + value + b"."


def zipped(described: bytes, storages: dict[str, bytes], folder="archive", compression=zipfile.ZIP_STORED) -> bytes:
    """The zip file: a pickle and the storages."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", pickled(described))
        archive.writestr(f"{folder}/byteorder", "little")
        for key, content in storages.items():
            archive.writestr(f"{folder}/data/{key}", content)
        archive.writestr(f"{folder}/version", "3\n")
    return made.getvalue()


def streamed(described: bytes, storages: dict[str, bytes], little=True) -> bytes:
    """The older stream: five pickles, then each storage after its count of float32 numbers."""
    system = table({"protocol_version": number(1001), "little_endian": b"\x88" if little else b"\x89"})
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    content = b"".join(map(pickled, (number(MAGIC), number(1001), system, described, keys)))
    return content + b"".join(struct.pack("<q", len(one) // 4) + one for one in storages.values())


def saved(arrays: dict[str, np.ndarray], form: str = "zip", old: bool = False, wrap=lambda tensors: tensors) -> bytes:
    """A state dict as `torch.save` writes it. form: zip or stream. wrap: what is around the state dict."""
    legacy = form == "stream"
    tensors = {
        key: tensor(str(place), array.shape, legacy=legacy, old=old)
        for place, (key, array) in enumerate(arrays.items())
    }
    storages = {str(place): array.astype("<f4").tobytes() for place, array in enumerate(arrays.values())}
    return (streamed if legacy else zipped)(wrap(ordered(tensors)), storages)


def write(file: Path, arrays: dict[str, np.ndarray], form: str = "zip") -> Path:
    """The same as a file."""
    file.write_bytes(saved(arrays, form))
    return file
