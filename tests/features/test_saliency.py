"""The gradient in the image against differences of the net's own outputs; against PyTorch's in test_pytorch.py."""

import dataclasses

import numpy as np
import pytest
from helpers import caffemodels
from helpers.caffemodels import CAFFENET

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.features import saliency
from gluon_alexnet.features.activations import Graph
from gluon_alexnet.importers.caffe import architecture as caffe
from gluon_alexnet.importers.caffe import network as caffe_network
from gluon_alexnet.importers.caffe import weights as caffe_weights
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recipes import presets


def graph_of(classifier, size):
    values = {name: parameter.data() for name, parameter in classifier.collect_params().items()}
    return Graph(classifier(mx.sym.var("data")), values, size, "0" * 64)


def outputs(graph, image, label):
    """Layer 8's output of a float image, without any gradient."""
    head = graph.symbol.get_children()[0]
    values = {name: graph.values[name] for name in head.list_arguments() if name != "data"}
    values["data"] = mx.nd.array(image.transpose(2, 0, 1)[None])
    return float(head.bind(mx.cpu(), values).forward()[0][0, label].asscalar())


def held_by_differences(graph, views, labels):
    """Along the gradient, an output rises by the gradient's length."""
    gradients = saliency.image_gradient(graph, views, labels, mx.cpu())
    assert gradients.shape == views.shape and gradients.dtype == np.float32
    for view, label, gradient in zip(views.astype(np.float64), labels, gradients.astype(np.float64)):
        length = np.linalg.norm(gradient)
        step = 2.0 * gradient / length
        rise = (outputs(graph, view + step, label) - outputs(graph, view - step, label)) / 4.0
        assert length > 0
        assert rise == pytest.approx(length, rel=0.03)


@pytest.mark.parametrize("recipe", ["paper", "as-run"])
def test_along_the_gradient_the_output_rises_as_it_says(small_recipe, rng, recipe):
    network = dataclasses.replace(small_recipe.network, dropout=0.5)
    if recipe == "as-run":
        norms = {key: getattr(presets.AS_RUN.network, key) for key in ("normalization", "map_normalization")}
        network = dataclasses.replace(network, relu_before_normalization=False, **norms)
    parameters = initial_parameters(network, 7, seed=2)
    parameters["mean"] = mx.nd.full((3, 99, 99), 120)
    graph = graph_of(build_classifier(network, parameters, mx.cpu()), 99)
    held_by_differences(graph, rng.integers(0, 256, (3, 99, 99, 3), dtype=np.uint8), np.array([2, 6, 0]))


def test_a_net_of_caffe_s_whose_normalisation_has_no_reshape(rng, tmp_path):
    files = caffemodels.written(tmp_path, rng, CAFFENET, size=104)
    architecture = caffe.read_architecture(files[0])
    weights = caffe_weights.read_weights(files[1], architecture)
    net = caffe_network.build_classifier(architecture, weights, np.full(3, 120, np.float32), mx.cpu())
    held_by_differences(graph_of(net, 104), rng.integers(0, 256, (2, 104, 104, 3), dtype=np.uint8), np.array([1, 5]))


def test_a_net_without_classes_has_none(rng):
    data = mx.sym.Convolution(mx.sym.var("data"), kernel=(3, 3), num_filter=2, name="conv1_fwd")
    with pytest.raises(InvalidRequest, match="no class to follow back"):
        saliency.image_gradient(Graph(data, {}, 9, ""), np.zeros((1, 9, 9, 3), np.uint8), np.zeros(1, int), mx.cpu())
