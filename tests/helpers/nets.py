"""Runs whose nets were never trained: random weights, but what is common to all images is taken off their outputs."""

from __future__ import annotations

from pathlib import Path

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views, network_order
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.training import checkpoint

MEAN = 120.0


def make_run(folder: Path, recipe, data: Path, seed: int) -> Path:
    """A run folder with one checkpoint, for the classes of a data set, whose guesses differ from image to image."""
    reader = Reader(data, "train")
    classes = [{"wnid": info.wnid, "name": info.name} for info in reader.manifest.classes]
    folder.mkdir(parents=True)
    checkpoint.write_description(folder, checkpoint.RunDescription(recipe, classes, str(data), "0" * 64, {}))
    parameters = initial_parameters(recipe.network, len(classes), seed)
    size = recipe.network.input_size
    net = AlexNet(recipe.network, len(classes))
    net.initialize()
    set_parameters(net, parameters)
    images = next(iter(reader.batches(24))).images
    outputs = net(mx.nd.array(network_order(crop_views(images, size, 1)[:, 0])) - MEAN)
    scale = 2 / (outputs - outputs.mean(axis=0)).square().mean().sqrt()
    parameters["fc8_weight"] = parameters["fc8_weight"] * scale
    parameters["fc8_bias"] = -outputs.mean(axis=0) * scale
    parameters["mean"] = mx.nd.full((3, size, size), MEAN)
    checkpoint.save(folder, checkpoint.State(seed), parameters, {}, best=True)
    return folder
