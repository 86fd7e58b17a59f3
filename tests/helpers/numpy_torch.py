"""As much of PyTorch as an exported OUT.py uses, in NumPy, written from PyTorch's documentation.

The fast tests read OUT.py with it; `test_pytorch_parity.py` does so with PyTorch itself.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import safe_open
from safetensors.numpy import load_file


class Tensor(np.ndarray):
    """An array with the few methods of a tensor."""

    def unflatten(self, axis, sizes):
        return self.reshape(*self.shape[:axis], *sizes, *self.shape[axis + 1 :])

    def flatten(self, start, end):
        return self.reshape(*self.shape[:start], -1, *self.shape[end + 1 :])

    def view(self, *kind):
        return super().view(*kind) if isinstance(kind[0], type) else self.reshape(*kind)

    def reshape(self, *shape):
        return super().reshape(*(shape[0] if isinstance(shape[0], tuple) else shape))


class Module:
    def __init__(self):
        self.training = True
        self._own: list[str] = []

    def register_buffer(self, name, value, persistent=True):
        if persistent:
            self._own.append(name)
        setattr(self, name, value)

    def __call__(self, x):
        return self.forward(x)

    def eval(self):
        return self._trains(False)

    def train(self):
        return self._trains(True)

    def _trains(self, training):
        self.training = training
        for value in vars(self).values():
            if isinstance(value, Module):
                value._trains(training)
        return self


class Sequential(Module):
    def __init__(self, layers: OrderedDict):
        super().__init__()
        self.names = list(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        x = x.view(Tensor)
        for name in self.names:
            x = getattr(self, name)(x)
        return x

    def load_state_dict(self, state):
        expected = {f"{name}.{own}" for name in self.names for own in getattr(self, name)._own}
        assert set(state) == expected
        for key, value in state.items():
            name, own = key.split(".")
            assert getattr(getattr(self, name), own).shape == value.shape, key
            setattr(getattr(self, name), own, value.view(Tensor))


class Conv2d(Module):
    def __init__(self, inputs, outputs, kernel_size, stride=1, padding=0, groups=1):
        super().__init__()
        self.stride, self.padding, self.groups, self.size = stride, padding, groups, kernel_size
        self.register_buffer("weight", np.zeros((outputs, inputs // groups, kernel_size, kernel_size)))
        self.register_buffer("bias", np.zeros(outputs))

    def forward(self, x):
        sides = (self.padding, self.padding)
        windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), sides, sides)), (self.size, self.size), (2, 3))
        windows = windows[:, :, :: self.stride, :: self.stride]
        parts = [
            np.einsum("nchwij,ocij->nohw", maps, kernels, optimize=True)
            for maps, kernels in zip(np.split(windows, self.groups, 1), np.split(self.weight, self.groups))
        ]
        return (np.concatenate(parts, 1) + self.bias[:, None, None]).view(Tensor)


class Linear(Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.register_buffer("weight", np.zeros((outputs, inputs)))
        self.register_buffer("bias", np.zeros(outputs))

    def forward(self, x):
        return x @ self.weight.T + self.bias


class MaxPool2d(Module):
    def __init__(self, kernel_size, stride, ceil_mode=False):
        super().__init__()
        self.size, self.stride, self.up = kernel_size, stride, ceil_mode

    def forward(self, x):
        if self.up:  # maps as large as the last window that begins in them
            short = [-(side - self.size) % self.stride for side in x.shape[2:]]
            x = np.pad(x, ((0, 0), (0, 0), (0, short[0]), (0, short[1])), constant_values=-np.inf).view(Tensor)
        windows = sliding_window_view(x, (self.size, self.size), (2, 3))
        return windows[:, :, :: self.stride, :: self.stride].max((-2, -1)).view(Tensor)


class LocalResponseNorm(Module):
    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x):
        total = np.zeros_like(x)
        for channel in range(x.shape[1]):
            low, high = max(0, channel - self.size // 2), min(x.shape[1], channel + self.size // 2 + 1)
            total[:, channel] = (x[:, low:high] ** 2).sum(1)
        return x / (self.k + self.alpha * total / self.size) ** self.beta


def avg_pool2d(x, size, stride, padding):
    assert stride == 1
    sides = (padding, padding)
    return sliding_window_view(np.pad(x, ((0, 0), (0, 0), sides, sides)), (size, size), (2, 3)).mean((-2, -1))


def _pointwise(function):
    return type("Pointwise", (Module,), {"forward": lambda self, x: function(x).view(Tensor)})


class ZeroPad2d(Module):
    def __init__(self, sides):
        super().__init__()
        self.sides = ((0, 0), (0, 0), tuple(sides[2:]), tuple(sides[:2]))

    def forward(self, x):
        return np.pad(x, self.sides).view(Tensor)


def dropout(x, p, training):
    """Inverted, as PyTorch's; the mask drops every second of the values for p = 0.5, every fourth for p = 0.25."""
    if not training:
        return x
    every = round(1 / p)
    return np.where(np.arange(x.size).reshape(x.shape) % every == every - 1, 0, x / (1 - p)).view(Tensor)


def read(file: Path, monkeypatch) -> types.ModuleType:
    """The module OUT.py, with NumPy in PyTorch's place."""
    functional = types.SimpleNamespace(avg_pool2d=avg_pool2d, dropout=dropout)
    nn = types.ModuleType("torch.nn")
    nn.functional = functional
    for made in (Module, Sequential, Conv2d, Linear, MaxPool2d, LocalResponseNorm, ZeroPad2d):
        setattr(nn, made.__name__, made)
    nn.ReLU = _pointwise(lambda x: np.maximum(x, 0))
    nn.Tanh = _pointwise(np.tanh)
    nn.Dropout = lambda p: _pointwise(lambda x: x)()  # in test
    nn.Flatten = _pointwise(lambda x: x.reshape(len(x), -1))
    torch = types.ModuleType("torch")
    torch.nn, torch.zeros, torch.tensor = nn, np.zeros, lambda values: np.array(values).view(Tensor)
    tensors = types.SimpleNamespace(load_file=load_file)
    package = types.SimpleNamespace(safe_open=lambda file, framework: safe_open(file, "np"), torch=tensors)
    for name, module in {
        **{"torch": torch, "torch.nn": nn, "torch.nn.functional": functional},
        **{"safetensors": package, "safetensors.torch": tensors},
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
