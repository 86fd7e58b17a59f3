"""What every layer of an exported net gives, from the inside of its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import network_order
from gluon_alexnet.exporters.files import file_of
from gluon_alexnet.model import layer_chain


def outputs(out: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """The output of each layer for uint8 images (N, S, S, 3), by the layer's name: conv1, relu1, …, softmax."""
    graph = mx.sym.load(str(file_of(out, "symbol")))
    layers = {layer.name: layer.output for layer in layer_chain.read(graph, images.shape[1])}
    internals = graph.get_internals()
    group = mx.sym.Group([internals[name] for name in layers.values()])
    block = mx.gluon.SymbolBlock(group, mx.sym.var("data", dtype="float32"))
    block.load_parameters(str(file_of(out, "parameters")), ignore_extra=True)
    return dict(zip(layers, (output.asnumpy() for output in block(mx.nd.array(network_order(images))))))
