"""Python pickles read as data: dicts, lists, strings, numbers, and what the caller knows by name. Nothing is executed.

A pickle is a program for a small stack machine, and loading one runs whatever it names. Here the instructions come
from the standard library's disassembler, and those that would import or call get functions of ours or are refused.
This file imports nothing of the project: the reader of CIFAR-10 and the importers of weights both stand on it.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

MAX_INSTRUCTIONS = 1_000_000  # what is known here takes thousands; each may cost a hundred bytes of memory
_MAX_WHOLE = 2**127  # a number beyond it only costs time

_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_WHOLE = ("BININT", "BININT1", "BININT2", "INT", "LONG1", "LONG4")
_STRINGS = ("BINSTRING", "SHORT_BINSTRING")  # Python 2's str: bytes, which the disassembler gives as Latin-1
_TAKEN_AS_THEY_ARE = (
    *("BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

Kind = TypeVar("Kind")


class PickledError(ValueError):
    """The pickle is cut, damaged, or asks for more than data."""


class Made:
    """What a known function makes, where the pickle goes on to give it a state; ``build`` takes that."""

    def build(self, state: Any) -> None:
        """Take the state. Raises PickledError where it is none of this object's."""
        raise NotImplementedError


def read_pickled(
    content: bytes, known: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None
) -> tuple[Any, int]:
    """(the object that a pickle of protocol 2 to 5 holds, the number of bytes it takes of ``content``).

    known: what the names in the pickle stand for, as module.name. Functions are called where the pickle calls them,
    everything else is handed on as an argument. persistent: makes the objects that the pickle names but does not hold.
    Python 2's strings are bytes. Raises PickledError where it is cut or damaged, or where it would import or call
    anything else. The objects can hold each other many times over: whoever walks through them has to set a limit.
    """
    machine = _Machine(known, persistent)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(io.BytesIO(content))):
            if count == MAX_INSTRUCTIONS:
                raise PickledError(f"a pickle of more than {MAX_INSTRUCTIONS:,} instructions")
            if opcode.name == "STOP":
                (result,) = machine.stack
                return result, (position or 0) + 1
            machine.step(opcode.name, argument)
    except PickledError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise PickledError("no pickle, or a cut or damaged one") from error
    raise PickledError("a cut pickle")


class _Machine:
    """The stack, and what was put by."""

    def __init__(self, known: Mapping[str, Any], persistent: Callable[[Any], Any] | None) -> None:
        self.stack: list[Any] = []
        self._memory: dict[int, Any] = {}
        self._known = known
        self._functions = {id(one) for one in known.values() if callable(one)}
        self._persistent = persistent

    def step(self, name: str, argument: Any) -> None:  # noqa: C901 (a table: one instruction after the other)
        """One instruction."""
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _WHOLE:
            if abs(argument) > _MAX_WHOLE:
                raise PickledError("a pickle with a number of hundreds of digits")
            stack.append(argument)
        elif name in _STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in _TAKEN_AS_THEY_ARE:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memory[len(self._memory) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memory[argument])
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(_exactly(stack[-count:], count))]
        elif name == "TUPLE":
            stack.append(tuple(self._above_mark()))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._above_mark()
            _expect(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._above_mark()
            _expect(stack[-1], dict).update(zip(map(_key, pairs[::2]), pairs[1::2]))
        else:
            self._beyond_data(name, argument)

    def _beyond_data(self, name: str, argument: Any) -> None:
        """Names, calls and states: what makes a pickle a program."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(self._named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            module, what = _exactly(stack[-2:], 2)
            stack[-2:] = [self._named(_expect(module, str), _expect(what, str))]
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            if id(function) not in self._functions or not isinstance(arguments, tuple):
                raise PickledError("a pickle that calls what is no function")
            stack.append(function(*arguments))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], Made):
                raise PickledError("a pickle that changes an object which has no state")
            stack[-1].build(state)
        elif name == "BINPERSID" and self._persistent is not None:
            stack.append(self._persistent(stack.pop()))
        else:
            raise PickledError(f"a pickle with the instruction {name}, which plain data does not need")

    def _named(self, module: str, name: str) -> Any:
        whole = f"{module}.{name}"
        if whole not in self._known:
            raise PickledError(f"a pickle that would import {_short(whole)}, which is refused")
        return self._known[whole]

    def _above_mark(self) -> list:
        place = max(index for index, item in enumerate(self.stack) if item is _MARK)
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items


def _short(name: str) -> str:
    """A name of the file's in a message: no line breaks, and not a megabyte of it."""
    shown = name if name.isprintable() else ascii(name[:100])
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def _exactly(items: list, count: int) -> list:
    if len(items) != count:
        raise PickledError("a damaged pickle")
    return items


def _expect(value: Any, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise PickledError("a damaged pickle")
    return value


def _key(value: Any) -> str | bytes | int:
    """A dict's key: hashing nested tuples, or numbers chosen for it, could take for ever."""
    if isinstance(value, (str, bytes)) or (isinstance(value, int) and abs(value) < 2**31):
        return value
    raise PickledError("a dict whose keys are neither names nor small numbers")


class ReadArray(Made):
    """One of NumPy's arrays; ``value`` is None until the pickle has given its state."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def build(self, state: Any) -> None:
        """(version, shape, type, Fortran's order, bytes)."""
        if not (isinstance(state, tuple) and len(state) == 5):
            raise PickledError("an array without its five parts")
        _, shape, kind, fortran, content = state
        self.fill(content, kind, shape, "F" if fortran else "C")

    def fill(self, content: Any, kind: Any, shape: Any, order: str) -> ReadArray:
        """Take bytes as an array; nothing of the size that a shape claims is made."""
        if not isinstance(kind, _Type) or not isinstance(content, (bytes, bytearray)) or not isinstance(shape, tuple):
            raise PickledError("an array that is not one of bytes")
        if len(shape) > 32 or not all(type(length) is int and 0 <= length < 2**63 for length in shape):
            raise PickledError("an array of a shape that cannot be")
        count = kind.dtype.itemsize
        for length in shape:
            count *= length
        if count != len(content):
            sides = "×".join(map(str, shape)) or "no sides"
            raise PickledError(f"an array of {sides} {kind.dtype.name} numbers with {len(content):,} bytes")
        self.value = np.frombuffer(content, kind.dtype).reshape(shape, order=order)  # type: ignore[call-overload]
        return self


class _Type(Made):
    """The type of an array's numbers."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype

    def build(self, state: Any) -> None:
        """Of its state only the byte order matters."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")


def array_names(*types: str) -> dict[str, Any]:
    """The names that NumPy's arrays of these types need, for :func:`read_pickled`: "u1" is uint8, "f4" float32."""
    empty = (0,)

    def ndarray() -> None:
        raise PickledError("a pickle that makes an array in a way of its own")

    def reconstruct(kind: Any, shape: Any, typecode: Any) -> ReadArray:
        if kind is not ndarray or shape != empty or typecode not in (b"b", "b"):
            raise PickledError("a pickle that makes an array in a way of its own")
        return ReadArray()

    def dtype(code: Any, *_: Any) -> _Type:
        name = code.decode("latin-1") if isinstance(code, bytes) else str(code)[:8]
        if name.lstrip("<>|=") not in types:
            raise PickledError(f"a pickle with an array of NumPy's type {name!r}, and {' or '.join(types)} is needed")
        return _Type(np.dtype(name.lstrip("<>|=")).newbyteorder(">" if name[0] == ">" else "="))

    def from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> ReadArray:
        return ReadArray().fill(content, kind, shape, "F" if order == "F" else "C")

    def encode(text: Any, coding: Any) -> bytes:  # how protocol 2 holds bytes of Python 3
        if coding not in ("latin1", "latin-1") or not isinstance(text, str):
            raise PickledError("a pickle that encodes text")
        return text.encode("latin-1")

    core = {"multiarray._reconstruct": reconstruct, "numeric._frombuffer": from_buffer}
    both = {f"numpy.{room}.{name}": one for room in ("core", "_core") for name, one in core.items()}  # NumPy 1 and 2
    return {**both, "numpy.ndarray": ndarray, "numpy.dtype": dtype, "_codecs.encode": encode}
