"""Nested dicts that a pickle held: their arrays by name; and files that are one pickle of float32 arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from ..errors import OperationFailed
from ..safe_files import read_bytes
from ..safe_pickle import PickledError, ReadArray, array_names, read_pickled
from .arrays import MAX_ARRAYS, StoredArray, check_size, printable

_DEEPEST = 10  # dicts in dicts
_LONGEST = 500  # characters of a name

Leaf = TypeVar("Leaf")


def named_leaves(table: Any, kind: type[Leaf], most: int) -> dict[str, Leaf]:
    """The objects of a kind in dicts of dicts, by their keys with dots between them; all else is left aside.

    Raises PickledError where there are more than ``most`` dicts and objects: a few dicts that hold each other can name
    a billion.
    """
    found: dict[str, Leaf] = {}
    waiting: list[tuple[str, Any, int]] = [("", table, 0)]
    seen = 0
    while waiting:
        name, value, depth = waiting.pop()
        seen += 1
        if seen > most or depth > _DEEPEST or len(name) > _LONGEST:
            raise PickledError("dicts within dicts, deeper or more than weights have")
        if isinstance(value, kind):
            found[name or "array"] = value
        elif isinstance(value, dict):
            inner = [(key, one) for key, one in value.items() if isinstance(one, (dict, kind))]
            waiting += [(_joined(name, key), one, depth + 1) for key, one in reversed(inner)]
    return found


def _joined(name: str, key: Any) -> str:
    text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    return f"{name}.{printable(text)}" if name else printable(text)


def read_pickle(file: Path) -> dict[str, StoredArray]:
    """The NumPy arrays of float32 in a pickle of nested dicts, as JAX's programs save them, by name.

    Raises OperationFailed where it is cut or damaged, or would run anything.
    """
    check_size(file)
    try:
        leaves = named_leaves(read_pickled(read_bytes(file), array_names("f4"))[0], ReadArray, MAX_ARRAYS)
    except PickledError as error:
        raise OperationFailed(f"{file}: {error}; only dicts of float32 arrays are read.") from error
    return {
        name: StoredArray(array.value.shape, "float32", lambda array=array: array.value)  # type: ignore[misc]
        for name, array in leaves.items()
        if array.value is not None
    }
