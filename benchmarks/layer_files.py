"""The 2012 repository's layer files, each built and trained for three steps on random images: what runs, how fast.

python benchmarks/layer_files.py FOLDER [--batch-size 16] [--only layers-145.cfg …]

FOLDER: a copy of computerhistory/AlexNet-Source-Code; `layers*/` and `example-layers/` are read. A layer file goes with
the parameter file of its name, or else with the nearest name that fits. Prints a line a file: layers, devices,
parameters, images/s of the third step on one device, with its parameter file; or why it is refused.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import numpy as np

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.importers import cuda_convnet
from gluon_alexnet.model import graph_shapes
from gluon_alexnet.recipes.schema import Learning, Recipe
from gluon_alexnet.training import lr_schedule
from gluon_alexnet.training.trainer import Trainer


def input_size(file: Path) -> int:
    """Pixels a side: ImageNet's crops, CIFAR-10's crops of the locally connected nets, its whole images."""
    if file.parent.name == "layers":
        return 224
    return 24 if "conv-local" in file.name else 32


def parameter_files(file: Path) -> list[Path]:
    """Parameter files beside a layer file, the likeliest first: its own name, then those that begin most alike."""
    wanted = file.name.replace("layers", "layer-params", 1)
    beside = sorted(file.parent.glob("layer-params*.cfg"))

    def unlike(name):
        return next((-place for place, (a, b) in enumerate(zip(name, wanted)) if a != b), -len(wanted))

    return sorted(beside, key=lambda other: (other.name != wanted, unlike(other.name)))


def read(file: Path) -> tuple[cuda_convnet.ConvNet, Path]:
    """The net of a layer file, and the parameter file that it was read with."""
    first = None
    for params in parameter_files(file):
        try:
            return cuda_convnet.read(file, params, input_size(file)), params
        except InvalidRequest as error:
            first = first or error
    raise first or InvalidRequest("there is no parameter file beside it")


def images_per_second(net: cuda_convnet.ConvNet, batch_size: int) -> float:
    """Of one update, after two others, on random images. Raises FloatingPointError where the loss is no number."""
    classes, size = graph_shapes.outputs(net.graph), net.graph.input_size
    learning = Learning(batch_size=batch_size, updates=net.updates)
    trainer = Trainer(Recipe("layer file", net.graph, learning=learning), classes, [mx.cpu(0)])
    trainer.initialize(seed=1)
    rng = np.random.default_rng(1)
    images = rng.normal(0, 50, (batch_size, 3, size, size)).astype(np.float32)
    labels = rng.integers(0, classes, batch_size)
    for step in range(3):
        began = time.perf_counter()
        trainer.step(images, labels, lr_schedule.rates(learning, lr_schedule.Moment([])), seed=step)
        mx.nd.waitall()
    return batch_size / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    files = sorted(
        file
        for pattern in ("layers*/layers*.cfg", "example-layers/layers*.cfg")
        for file in arguments.folder.glob(pattern)
        if not arguments.only or file.name in arguments.only
    )
    print(f"{'file':<38} layers devices  parameters  images/s  parameter file; batches of {arguments.batch_size}")
    trained = 0
    for file in files:
        name = f"{file.parent.name}/{file.name}"
        try:
            net, params = read(file)
            speed = images_per_second(net, arguments.batch_size)
        except (InvalidRequest, FloatingPointError) as error:
            print(f"{name:<38} refused: {error}", flush=True)
            continue
        trained += 1
        count = sum(graph_shapes.parameter_count(net.graph).values())
        remark = f" ({len(net.functions)} layers began with another net's weights)" if net.functions else ""
        columns = f"{len(net.graph.layers):>6} {net.graph.devices:>7} {count:>11,} {speed:>9.1f}"
        print(f"{name:<38} {columns}  {params.name}{remark}", flush=True)
        del net
        gc.collect()
    print(f"{trained} of {len(files)} files train.")


if __name__ == "__main__":
    main()
