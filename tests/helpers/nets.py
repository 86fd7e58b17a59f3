"""Runs whose nets were never trained: random weights, but what is common to all images is taken off their outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views, network_order
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.training import checkpoint, run_folder


def mean_of(size: int) -> np.ndarray:
    """A mean image (3, size, size) that differs from place to place and from colour to colour."""
    return np.random.default_rng(size).uniform(80, 160, (3, size, size)).astype(np.float32)


def by_hand(run: Path, images: np.ndarray, views: int) -> np.ndarray:
    """Mean softmax over the centre view or all ten (Sec. 4.1), (N, classes): crops, mean and softmax in NumPy.

    run: of :func:`make_run`. images: uint8 (N, 256, 256, 3). Only the layers in between are the program's.
    """
    description, _, parameters, _ = checkpoint.load_run(run)
    network = description.recipe.network
    net = AlexNet(network, len(description.classes))
    net.initialize()
    set_parameters(net, parameters)
    size = network.input_size
    far, centre = 256 - size, (256 - size) // 2
    corners = [(0, 0), (0, far), (far, 0), (far, far), (centre, centre)] if views == 10 else [(centre, centre)]
    total = 0
    for top, left in corners:
        crop = images[:, top : top + size, left : left + size].astype(np.float32)
        for view in (crop, crop[:, :, ::-1]) if views == 10 else (crop,):
            outputs = net(mx.nd.array(view.transpose(0, 3, 1, 2) - mean_of(size))).asnumpy().astype(np.float64)
            powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            total = total + powers / powers.sum(axis=1, keepdims=True)
    return total / views


def make_run(folder: Path, recipe, data: Path, seed: int) -> Path:
    """A run folder with one checkpoint, for the classes of a data set, whose guesses differ from image to image."""
    reader = Reader(data, "train")
    classes = [{"wnid": info.wnid, "name": info.name} for info in reader.manifest.classes]
    folder.mkdir(parents=True)
    run_folder.write_description(folder, run_folder.RunDescription(recipe, classes, str(data), "0" * 64, {}))
    parameters = initial_parameters(recipe.network, len(classes), seed)
    size = recipe.network.input_size
    net = AlexNet(recipe.network, len(classes))
    net.initialize()
    set_parameters(net, parameters)
    images = next(iter(reader.batches(24))).images
    outputs = net(mx.nd.array(network_order(crop_views(images, size, 1)[:, 0]) - mean_of(size)))
    scale = 2 / (outputs - outputs.mean(axis=0)).square().mean().sqrt()
    parameters["fc8_weight"] = parameters["fc8_weight"] * scale
    parameters["fc8_bias"] = -outputs.mean(axis=0) * scale
    parameters["mean"] = mx.nd.array(mean_of(size))
    checkpoint.save(folder, checkpoint.State(seed), parameters, {}, best=True)
    return folder
