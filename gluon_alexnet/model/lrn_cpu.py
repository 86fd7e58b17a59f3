"""Response normalisation on a CPU, forward and gradient, compiled by Numba (Sec. 3.3).

MXNet's own gradient runs a reference loop that takes a fifth of a training step or more. This one gives the
same numbers to float32 accuracy; exported graphs keep MXNet's operator.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from ..backend import mx, threads
from ..recipes import schema

NAME = "alexnet_response_normalization"


def obstacle(numbers: schema.ResponseNormalization) -> str | None:
    """Why the fast way cannot be taken, in words; None where it can."""
    if numbers.beta != 0.75:
        return f"it is written for beta 0.75, not {numbers.beta:g}"  # the power is two square roots
    if numbers.n != 5:
        return f"it is written for a window of 5 maps, not of {numbers.n}"
    if not _numba_is_here():
        return "Numba is not installed"
    return None


@cache
def _numba_is_here() -> bool:
    """Whether the compiled loops can be imported."""
    try:
        from . import lrn_kernels  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="normalization")


def _run(kernel: Callable[..., None], arrays: Sequence[np.ndarray], k: float, alpha: float) -> None:
    """The kernel on all images, spread over the threads."""
    parts = threads()
    bounds = [len(arrays[0]) * part // parts for part in range(parts + 1)]
    done = [
        _pool().submit(kernel, *[array[begin:end] for array in arrays], np.float32(k), np.float32(alpha))
        for begin, end in itertools.pairwise(bounds)
    ]
    for part in done:
        part.result()


def _view(array: Any) -> np.ndarray:
    """The float32 memory of an NDArray on a CPU as NumPy (images, maps, places), without a copy."""
    pointer = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(pointer)))
    images, maps, height, width = array.shape
    memory = (ctypes.c_float * array.size).from_address(pointer.value)
    return np.frombuffer(memory, np.float32).reshape(images, maps, height * width)


class _Operator(mx.operator.CustomOp):
    def __init__(self, k: float, alpha: float) -> None:
        super().__init__()
        self._numbers = k, alpha

    def forward(self, is_train: bool, req: list[str], in_data: list[Any], out_data: list[Any], aux: list[Any]) -> None:
        from .lrn_kernels import normalize

        self._compute(normalize, req[0], (in_data[0],), out_data[0])

    def backward(
        self,
        req: list[str],
        out_grad: list[Any],
        in_data: list[Any],
        out_data: list[Any],
        in_grad: list[Any],
        aux: list[Any],
    ) -> None:
        from .lrn_kernels import normalize_gradient

        self._compute(normalize_gradient, req[0], (in_data[0], out_grad[0]), in_grad[0])

    def _compute(self, kernel: Callable[..., None], request: str, inputs: Sequence[Any], output: Any) -> None:
        if request == "null":
            return
        views = [_view(array) for array in inputs]
        direct = request in ("write", "inplace")
        result = _view(output) if direct else np.empty_like(views[0])
        _run(kernel, [*views, result], *self._numbers)
        if not direct:
            output += mx.nd.array(result.reshape(output.shape), ctx=output.context)


@mx.operator.register(NAME)
class _Properties(mx.operator.CustomOpProp):
    def __init__(self, k: str, alpha: str) -> None:
        super().__init__(need_top_grad=True)
        self._numbers = float(k), float(alpha)

    def infer_shape(self, in_shape: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        return in_shape, in_shape, []

    def create_operator(self, context: Any, shapes: Any, dtypes: Any) -> _Operator:
        return _Operator(*self._numbers)

    def declare_backward_dependency(self, out_grad: list[Any], in_data: list[Any], out_data: list[Any]) -> list[Any]:
        return [out_grad[0], in_data[0]]
