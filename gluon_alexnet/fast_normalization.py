"""Response normalisation on a CPU, forward and gradient, compiled by Numba (Sec. 3.3).

MXNet's own gradient runs a reference loop that takes a fifth of a training step or more. This one gives the
same numbers to float32 accuracy; exported graphs keep MXNet's operator.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from . import recipe
from .backend import mx, threads

NAME = "alexnet_response_normalization"

_BLOCK = 128  # places of a map worked on together: all maps of a block stay in the second-level cache


def obstacle(numbers: recipe.ResponseNormalization) -> str | None:
    """Why the fast way cannot be taken, in words; None where it can."""
    if numbers.beta != 0.75:
        return f"it is written for beta 0.75, not {numbers.beta:g}"  # the power is two square roots
    if _kernels() is None:
        return "Numba is not installed"
    return None


@cache
def _kernels():
    """(forward, backward), or None without Numba. Each works on one image of one column, float32 (maps, places)."""
    try:
        import numba
    except ImportError:
        return None
    options = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}}
    try:
        return tuple(numba.njit(cache=True, **options)(function) for function in (_forward, _backward))
    except RuntimeError:  # no folder to keep compiled code in: it is compiled anew each time
        return tuple(numba.njit(**options)(function) for function in (_forward, _backward))


def _forward(x, y, half, k, alpha):
    maps, places = x.shape
    squares = np.zeros((maps + 2 * half, _BLOCK), np.float32)
    for first in range(0, places, _BLOCK):
        count = min(_BLOCK, places - first)
        for i in range(maps):
            row, square = x[i, first : first + count], squares[i + half]
            for j in range(count):
                square[j] = row[j] * row[j]
        total = np.empty(_BLOCK, np.float32)
        for i in range(maps):
            row, out = x[i, first : first + count], y[i, first : first + count]
            for j in range(count):
                total[j] = squares[i, j]
            for other in range(i + 1, i + 2 * half + 1):
                square = squares[other]
                for j in range(count):
                    total[j] += square[j]
            for j in range(count):
                root = np.sqrt(k + alpha * total[j])
                out[j] = row[j] / (root * np.sqrt(root))


def _backward(x, upstream, gradient, half, k, alpha):
    # With s = k + alpha * sum: gradient = upstream * s^-b - 2 alpha b x * sum of upstream * x * s^(-b-1)
    maps, places = x.shape
    squares = np.zeros((maps + 2 * half, _BLOCK), np.float32)
    terms = np.zeros((maps + 2 * half, _BLOCK), np.float32)
    total = np.empty(_BLOCK, np.float32)
    factor = np.float32(1.5) * alpha
    for first in range(0, places, _BLOCK):
        count = min(_BLOCK, places - first)
        for i in range(maps):
            row, square = x[i, first : first + count], squares[i + half]
            for j in range(count):
                square[j] = row[j] * row[j]
        for i in range(maps):
            row, above = x[i, first : first + count], upstream[i, first : first + count]
            out, term = gradient[i, first : first + count], terms[i + half]
            for j in range(count):
                total[j] = squares[i, j]
            for other in range(i + 1, i + 2 * half + 1):
                square = squares[other]
                for j in range(count):
                    total[j] += square[j]
            for j in range(count):
                s = k + alpha * total[j]
                root = np.sqrt(s)
                direct = above[j] / (root * np.sqrt(root))
                out[j] = direct
                term[j] = direct * row[j] / s
        for i in range(maps):
            row, out = x[i, first : first + count], gradient[i, first : first + count]
            for j in range(count):
                total[j] = terms[i, j]
            for other in range(i + 1, i + 2 * half + 1):
                term = terms[other]
                for j in range(count):
                    total[j] += term[j]
            for j in range(count):
                out[j] -= factor * row[j] * total[j]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="normalization")


def _run(kernel, arrays, half, k, alpha):
    """The kernel on each image, spread over the threads; the kernels hold no lock of Python's."""
    images, parts = len(arrays[0]), threads()
    bounds = [images * part // parts for part in range(parts + 1)]

    def part(begin, end):
        for image in range(begin, end):
            kernel(*[array[image] for array in arrays], half, np.float32(k), np.float32(alpha))

    for done in [_pool().submit(part, begin, end) for begin, end in zip(bounds, bounds[1:])]:
        done.result()


def _view(array):
    """The float32 memory of an NDArray on a CPU as NumPy (images, maps, places), without a copy."""
    pointer = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(pointer)))
    images, maps, height, width = array.shape
    memory = (ctypes.c_float * array.size).from_address(pointer.value)
    return np.frombuffer(memory, np.float32).reshape(images, maps, height * width)


class _Operator(mx.operator.CustomOp):
    def __init__(self, half, k, alpha):
        super().__init__()
        self._numbers = half, k, alpha

    def forward(self, is_train, req, in_data, out_data, aux):
        self._compute(0, req[0], (in_data[0],), out_data[0])

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self._compute(1, req[0], (in_data[0], out_grad[0]), in_grad[0])

    def _compute(self, direction, request, inputs, output):
        if request == "null":
            return
        direct = request in ("write", "inplace")
        images, maps, height, width = output.shape
        result = _view(output) if direct else np.empty((images, maps, height * width), np.float32)
        _run(_kernels()[direction], [*map(_view, inputs), result], *self._numbers)
        if not direct:
            output += mx.nd.array(result.reshape(output.shape), ctx=output.context)


@mx.operator.register(NAME)
class _Properties(mx.operator.CustomOpProp):
    def __init__(self, half, k, alpha):
        super().__init__(need_top_grad=True)
        self._numbers = int(half), float(k), float(alpha)

    def infer_shape(self, in_shape):
        return in_shape, in_shape, []

    def create_operator(self, context, shapes, dtypes):
        return _Operator(*self._numbers)

    def declare_backward_dependency(self, out_grad, in_data, out_data):
        return [out_grad[0], in_data[0]]
