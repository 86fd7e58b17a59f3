"""The net as a user sees it: an image in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..recipes import schema
from ..recipes.layer_graph import LayerGraph
from ..recipes.schema import Net
from . import build, cpu_net, graph_shapes
from .alexnet import LowerLayers, UpperLayers, set_parameters
from .pixels import on_device

Block = TypeVar("Block", bound="Classifier | ConvolutionalPart")


class Classifier(mx.gluon.HybridBlock):
    """A recipe's net from raw images to probabilities, in one graph.

    Input: (N, 3, 224, 224), RGB grey levels 0 to 255. Output: (N, classes), softmax, or what a graph's cost reads.
    """

    def __init__(self, network: Net, classes: int, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._network = network
        with self.name_scope():
            self.net = build.build(network, classes)
            shape = (1, 3, network.input_size, network.input_size)
            self.mean = self.params.get("mean", shape=shape, grad_req="null", init=mx.init.Zero())

    def hybrid_forward(self, F: Any, x: Any, mean: Any) -> Any:
        return build.scores(F, self._network, self.net(F.broadcast_sub(x, mean)))


class ConvolutionalPart(mx.gluon.HybridBlock):
    """AlexNet from raw images to the last pooling, in one graph: a net to fine-tune from, without a classifier.

    Input: (N, 3, 224, 224), RGB grey levels 0 to 255. Output: pool5, (N, 256, 6, 6).
    """

    def __init__(self, network: schema.Network, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        with self.name_scope():
            self.lower = LowerLayers(network, network.columns)
            self.upper = UpperLayers(network, network.columns)
            shape = (1, 3, network.input_size, network.input_size)
            self.mean = self.params.get("mean", shape=shape, grad_req="null", init=mx.init.Zero())

    def hybrid_forward(self, F: Any, x: Any, mean: Any) -> Any:
        return self.upper(self.lower(F.broadcast_sub(x, mean)))


@dataclass(frozen=True)
class Model:
    """A net to classify with. ``classify``: uint8 (M, size, size, 3) → float32 (M, classes)."""

    classify: Callable[[np.ndarray], np.ndarray]
    size: int
    classes: list[dict]
    source: str
    variants: tuple[str, ...] = ()  # of the recipe it was trained with
    parameters: int = 0  # weights and biases; the mean image is none
    # float32 (3, 256, 256) of a net that reads views with each pixel's own mean subtracted; None: the centre's of all.
    mean_image: np.ndarray | None = None
    recipe: str = ""  # name of the recipe it was trained with; empty where it is not known
    takes_floats: ClassVar[bool] = True  # classify takes float32, too, of the same grey levels


def build_classifier(network: Net, parameters: dict, context: Any) -> Classifier:
    """The classifier with these parameters (those of the net and ``mean``), hybridized, on a context."""
    graph = network if isinstance(network, LayerGraph) else None
    classes = graph_shapes.outputs(graph) if graph is not None else parameters["fc8_bias"].shape[0]
    return _filled(Classifier(network, classes), parameters, context)


def build_convolutional_part(network: schema.Network, parameters: dict, context: Any) -> ConvolutionalPart:
    """The same up to the last pooling; parameters: those of the convolutional layers, and ``mean``."""
    return _filled(ConvolutionalPart(network), parameters, context)


def _filled(classifier: Block, parameters: dict, context: Any) -> Block:
    classifier.initialize(ctx=context)
    mean, size = parameters["mean"], classifier.mean.shape[2]
    border = (mean.shape[1] - size) // 2  # of a net that keeps the whole mean image
    mean = mean[:, border : border + size, border : border + size] if border else mean
    set_parameters(classifier, {**parameters, "mean": mean.expand_dims(0)})
    classifier.hybridize(static_alloc=True)
    return classifier


def count_parameters(block: Any) -> int:
    """Weights and biases of a net over raw images; an int8 net's ranges are none."""
    arrays = {name: parameter.list_data()[0] for name, parameter in block.collect_params().items()}
    return sum(array.size for name, array in arrays.items() if not name.endswith(("mean", "_min", "_max")))


def classify_with(block: Any, context: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A block over raw images as a function of uint8 (M, height, width, 3).

    On a CPU it takes the block's arrays as they are now, and computes the same to float32 accuracy, but faster.
    """
    fast = cpu_net.classifier(block, context) if context.device_type == "cpu" else None
    if fast is not None:
        return fast

    def classify(images: np.ndarray) -> np.ndarray:
        return block(on_device(network_order(images), context)).asnumpy()

    return classify
