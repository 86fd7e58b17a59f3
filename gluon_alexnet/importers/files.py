"""Which format a file has, by its content; and its arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidRequest
from ..safe_files import opened
from . import mxnet_params, pickle_tables, safetensors_file, torch_file
from .arrays import StoredArray, check_size

_HEAD = 64  # bytes that tell
_PICKLE = b"\x80"  # a pickle of protocol 2 or later


@dataclass(frozen=True)
class Format:
    """A format of files that hold arrays by name."""

    title: str
    read: Callable[[Path], dict[str, StoredArray]]


_TORCH_ZIP = Format("PyTorch's zip file", torch_file.read_torch_file)
_TORCH_STREAM = Format("PyTorch's older pickle stream", torch_file.read_torch_file)
_SAFETENSORS = Format("safetensors", safetensors_file.read_safetensors)
_PARAMS = Format("MXNet's .params", mxnet_params.read_params)
_PICKLE_TABLE = Format("a pickle of arrays", pickle_tables.read_pickle)


def format_of(file: Path) -> Format | None:
    """The format of a file's arrays; None for none of those known here. Raises InvalidRequest for no regular file."""
    check_size(file)
    with opened(file) as stream:
        head = stream.read(_HEAD)
    if torch_file.is_zip(head):
        return _TORCH_ZIP
    if mxnet_params.is_params(head):
        return _PARAMS
    if safetensors_file.is_safetensors(head):
        return _SAFETENSORS
    if torch_file.is_stream(head):
        return _TORCH_STREAM
    return _PICKLE_TABLE if head.startswith(_PICKLE) else None


def read_table(file: Path) -> tuple[str, dict[str, StoredArray]]:
    """(the format in words, the arrays of a file by name).

    Raises InvalidRequest where it has no format known here, OperationFailed where it is cut or damaged.
    """
    found = format_of(file)
    if found is None:
        raise InvalidRequest(
            f"{file} is none of the files whose arrays are read: .pth of torch.save, .safetensors, MXNet's .params, a "
            "pickle of float32 arrays."
        )
    return found.title, found.read(file)
