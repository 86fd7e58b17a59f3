"""Python pickles read as data: dicts, lists, strings, numbers and NumPy's arrays of bytes. Nothing is executed.

A pickle is a program for a small stack machine, and loading one runs whatever it names. Here the opcodes come
from the standard library's disassembler, and those that would import or call are known by name or refused.
"""

from __future__ import annotations

import pickletools
from typing import Any, NamedTuple

import numpy as np


class PickledError(ValueError):
    """The pickle is cut, damaged, or asks for more than data."""


class _Name(NamedTuple):
    module: str
    name: str


# What Python 2 wrote for an array: an empty one by `_reconstruct`, its type by `dtype`, then its state.
_RECONSTRUCT = _Name("numpy.core.multiarray", "_reconstruct")
_NDARRAY = _Name("numpy", "ndarray")
_DTYPE = _Name("numpy", "dtype")

_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("BININT", "BININT1", "BININT2", "INT", "LONG1", "BINFLOAT")
_STRINGS = ("BINSTRING", "SHORT_BINSTRING")  # Python 2's str: bytes, which the disassembler gives as Latin-1
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Array:
    """An array in the making; its state comes with BUILD."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) == 5):
            raise PickledError("an array without its five parts")
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes) or not isinstance(shape, tuple):
            raise PickledError("an array that is not one of bytes")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise PickledError(f"an array of shape {shape}")
        count = 1
        for length in shape:
            count *= length
        if count != len(content):
            raise PickledError(f"an array of shape {shape} with {len(content)} bytes")
        self.value = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Type:
    """NumPy's type uint8; no other is known here."""

    def build(self, state: Any) -> None:
        """Its state holds the byte order, which bytes have none of."""


def read_pickled(content: bytes) -> Any:
    """The object that a pickle of protocol 2 holds; Python 2's strings are bytes.

    Raises PickledError where it is cut or damaged, or where it would import or call anything but what makes up a
    NumPy array of uint8.
    """
    stack: list[Any] = []
    memory: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                (result,) = stack
                return _finished(result)
            _step(opcode.name, argument, stack, memory)
    except PickledError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError, OverflowError) as error:
        raise PickledError(f"no pickle, or a cut or damaged one ({error})") from error
    raise PickledError("a cut pickle")


def _step(name, argument, stack, memory):
    if name == "PROTO":
        return
    if name in _NUMBERS:
        stack.append(argument)
    elif name in _STRINGS:
        stack.append(argument.encode("latin-1"))
    elif name in ("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"):
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name == "EMPTY_DICT":
        stack.append({})
    elif name == "EMPTY_LIST":
        stack.append([])
    elif name == "EMPTY_TUPLE":
        stack.append(())
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("BINPUT", "LONG_BINPUT"):
        memory[argument] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memory[argument])
    elif name in _TUPLES:
        count = _TUPLES[name]
        stack[-count:] = [tuple(_plain(stack[-count:], count))]
    elif name == "TUPLE":
        stack.append(tuple(_above_mark(stack)))
    elif name in ("APPEND", "APPENDS"):
        items = [stack.pop()] if name == "APPEND" else _above_mark(stack)
        _expect(stack[-1], list).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        pairs = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _above_mark(stack)
        _expect(stack[-1], dict).update(zip(pairs[::2], pairs[1::2]))
    elif name == "GLOBAL":
        stack.append(_known(_Name(*argument.split(" ", 1))))
    elif name == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(_made(function, arguments))
    elif name == "BUILD":
        state = stack.pop()
        if not isinstance(stack[-1], (_Array, _Type)):
            raise PickledError("a pickle that changes an object which is no array")
        stack[-1].build(state)
    else:
        raise PickledError(f"a pickle with the instruction {name}, which plain data does not need")


def _known(name):
    if name not in (_RECONSTRUCT, _NDARRAY, _DTYPE):
        raise PickledError(f"a pickle that would import {name.module}.{name.name}, which CIFAR-10 does not need")
    return name


def _made(function, arguments):
    if function == _RECONSTRUCT and arguments == (_NDARRAY, (0,), b"b"):
        return _Array()
    if function == _DTYPE and isinstance(arguments, tuple) and arguments[:1] == (b"u1",):
        return _Type()
    raise PickledError("a pickle that makes something else than an array of uint8")


def _plain(items, count):
    if len(items) != count:
        raise PickledError("a damaged pickle")
    return items


def _above_mark(stack):
    place = max(index for index, item in enumerate(stack) if item is _MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _expect(value, kind):
    if not isinstance(value, kind):
        raise PickledError("a damaged pickle")
    return value


def _finished(value):
    """Arrays in the place of what was built."""
    if isinstance(value, _Array):
        if value.value is None:
            raise PickledError("an array without content")
        return value.value
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    return value
