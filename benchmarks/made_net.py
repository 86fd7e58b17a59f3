"""The net whose views/s are measured, made of a seed: the paper's, with 1000 classes, in every form that we export.

Its weights keep the activations' size from layer to layer, so that probabilities differ between images and an error of
a program would show; views are smooth noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

CLASSES, SIZE = 1000, 224
CALIBRATION = 64  # views that set the ranges of int8


def views(count: int, seed: int) -> np.ndarray:
    """uint8 (count, 224, 224, 3): noise of several sizes."""
    import cv2

    generator = np.random.default_rng(seed)
    made = np.zeros((count, SIZE, SIZE, 3), np.float32)
    for cells in (4, 14, 56, 224):
        for view in made:
            noise = generator.normal(0, 30, (cells, cells, 3)).astype(np.float32)
            view += cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.clip(made + 120, 0, 255).astype(np.uint8)


def make(work: Path, count: int) -> None:
    """Write views.npy, calibration.npy, parameters.npz, net (a pair), net-bf16, net-int8, net.onnx, expected.npy."""
    from gluon_alexnet.backend import mx
    from gluon_alexnet.exporters import bf16, int8, onnx, processor, reduced_precision, symbol
    from gluon_alexnet.model.classifier import build_classifier
    from gluon_alexnet.model.shapes import parameter_shapes
    from gluon_alexnet.recipes import presets

    work.mkdir(parents=True, exist_ok=True)
    network, generator, context = presets.PAPER.network, np.random.default_rng(0), mx.cpu()
    arrays = {}
    for name, shape in parameter_shapes(network, CLASSES).items():
        std = np.sqrt(2 / np.prod(shape[1:])) if name.endswith("_weight") else 0.1
        arrays[name] = generator.normal(0, std, shape).astype(np.float32)
    arrays["conv1_weight"] /= 60  # of grey levels
    arrays["fc6_weight"] *= 2  # what dropout's factor takes away
    arrays["fc7_weight"] *= 2
    arrays["mean"] = generator.uniform(100, 140, (3, SIZE, SIZE)).astype(np.float32)
    np.savez(work / "parameters.npz", **arrays)
    some = views(count, 1)
    np.save(work / "views.npy", some)
    np.save(work / "calibration.npy", views(CALIBRATION, 2))
    parameters = {name: mx.nd.array(array) for name, array in arrays.items()}
    block = build_classifier(network, parameters, context)
    np.save(work / "expected.npy", symbol.as_it_is(block, some, context))
    block.export(str(work / "net"))
    onnx.write(work / "net", SIZE, CLASSES)
    pair = reduced_precision.load(work / "net")
    if processor.no_bfloat16() is None:
        reduced_precision.save(bf16.convert(pair), work / "net-bf16")
    reduced_precision.save(int8.quantize(pair, np.load(work / "calibration.npy")), work / "net-int8")


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
