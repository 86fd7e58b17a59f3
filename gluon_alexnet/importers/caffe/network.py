"""BVLC AlexNet and CaffeNet as a graph of ours: RGB images in, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...backend import mx
from ...data.augmentation import network_order
from ...errors import InvalidRequest, OperationFailed
from . import architecture as caffe

nn = mx.gluon.nn


class Normalization(mx.gluon.HybridBlock):
    """Caffe's LRN across maps, over those of both groups; MXNet divides alpha by the window, too."""

    def __init__(self, numbers: caffe.Normalization, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._operator = {"nsize": numbers.n, "alpha": numbers.alpha, "beta": numbers.beta, "knorm": numbers.k}

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.LRN(x, **self._operator)


class CaffeClassifier(mx.gluon.HybridBlock):
    """A net of Caffe's from raw images to probabilities.

    Input: (N, 3, S, S), RGB grey levels 0 to 255. Output: (N, classes), softmax.
    mean: float32, broadcast to (1, 3, S, S), RGB.
    """

    def __init__(self, architecture: caffe.Architecture, mean: np.ndarray, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        with self.name_scope():
            self.mean = self.params.get("mean", shape=mean.shape, grad_req="null", init=mx.init.Constant(0))
            self.layers = nn.HybridSequential(prefix="")
            maps = 3
            for layer in architecture.layers:
                name = architecture.names.get(getattr(layer, "name", ""))
                if isinstance(layer, caffe.Convolution):
                    self.layers.add(
                        nn.Conv2D(
                            layer.kernels,
                            layer.size,
                            layer.stride,
                            layer.padding,
                            groups=layer.groups,
                            in_channels=maps,
                            activation="relu",
                            prefix=f"{name}_",
                        )
                    )
                    maps = layer.kernels
                elif isinstance(layer, caffe.Normalization):
                    self.layers.add(Normalization(layer))
                elif isinstance(layer, caffe.Pooling):
                    self.layers.add(nn.MaxPool2D(layer.size, layer.stride, ceil_mode=True))  # as Caffe rounds
                else:
                    inputs = architecture.shapes[f"{name}_weight"][1]
                    last = layer is architecture.layers[-1]
                    activation = None if last else "relu"
                    self.layers.add(nn.Dense(layer.neurons, activation, in_units=inputs, prefix=f"{name}_"))

    def hybrid_forward(self, F: Any, x: Any, mean: Any) -> Any:
        return F.softmax(self.layers(F.broadcast_sub(x, mean)))


def build_classifier(
    architecture: caffe.Architecture, weights: dict, mean: np.ndarray, context: Any
) -> CaffeClassifier:
    """The net with these weights (those of :func:`.weights.read_weights`), hybridized, on a context.

    mean: float32 (3,), or (3, height, width) of which the centre is taken, RGB. conv1's kernels read RGB from here on.
    Raises InvalidRequest where a mean image is smaller than the net's input.
    """
    if mean.ndim == 3:
        offsets = [(side - architecture.size) // 2 for side in mean.shape[1:]]
        if min(offsets) < 0:
            raise InvalidRequest(
                f"The mean image has {mean.shape[2]}×{mean.shape[1]} pixels and the net reads {architecture.size}."
            )
        mean = mean[:, offsets[0] : offsets[0] + architecture.size, offsets[1] : offsets[1] + architecture.size]
    values = {**weights, "mean": mean.reshape(1, 3, *(mean.shape[1:] or (1, 1)))}
    values["conv1_weight"] = values["conv1_weight"][:, ::-1]
    classifier = CaffeClassifier(architecture, values["mean"])
    classifier.initialize(ctx=context)
    for name, parameter in classifier.collect_params().items():
        parameter.set_data(mx.nd.array(values[name]))
    classifier.hybridize(static_alloc=True)
    return classifier


def by_opencv(prototxt: Path, caffemodel: Path, mean: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Probabilities (N, classes) that OpenCV's own reader of Caffe's files gets for uint8 (N, S, S, 3) RGB.

    mean: as the classifier has it, float32 (1, 3, …) RGB. Raises OperationFailed where OpenCV refuses the files.
    """
    blob = (network_order(images) - mean)[:, ::-1]  # Caffe's nets read BGR
    try:
        net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
        net.setInput(np.ascontiguousarray(blob))
        return net.forward().reshape(len(images), -1)
    except cv2.error as error:
        raise OperationFailed(f"OpenCV cannot read {prototxt} and {caffemodel}: {error.err}.") from error
