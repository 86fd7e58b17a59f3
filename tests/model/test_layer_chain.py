"""An exported graph is read back as the layers of PAPER's table, whoever wrote it; what is no chain is refused."""

import pytest
from helpers import caffemodels
from helpers.caffemodels import CAFFENET

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.importers.caffe import architecture as caffe
from gluon_alexnet.importers.caffe import network as caffe_network
from gluon_alexnet.importers.caffe import weights as caffe_weights
from gluon_alexnet.model import layer_chain as chain
from gluon_alexnet.model.classifier import Classifier
from gluon_alexnet.recipes import presets, variants

# Fig. 2 and Sec. 3.5, by hand: the output of each layer for one image.
PAPER = {
    "mean": (3, 224, 224),
    "padding": (3, 227, 227),
    **dict.fromkeys(("conv1", "relu1", "norm1"), (96, 55, 55)),
    "pool1": (96, 27, 27),
    **dict.fromkeys(("conv2", "relu2", "norm2"), (256, 27, 27)),
    "pool2": (256, 13, 13),
    **dict.fromkeys(("conv3", "relu3", "conv4", "relu4"), (384, 13, 13)),
    **dict.fromkeys(("conv5", "relu5"), (256, 13, 13)),
    "pool5": (256, 6, 6),
    "flatten": (9216,),
    **dict.fromkeys(("fc6", "relu6", "dropout6", "fc7", "relu7", "dropout7"), (4096,)),
    "fc8": (1000,),
    "softmax": (1000,),
}


def graph(network, classes=1000):
    return Classifier(network, classes)(mx.sym.var("data"))


def test_the_paper_s_net_layer_by_layer():
    layers = chain.read(graph(presets.PAPER.network), 224)
    assert {layer.name: layer.shape for layer in layers} == PAPER
    assert [layer.name for layer in layers] == list(PAPER)
    kinds = {layer.name: layer.kind for layer in layers}
    assert kinds["padding"] == chain.Pad(left=0, right=3, top=0, bottom=3)
    assert kinds["conv2"] == chain.Convolution(inputs=96, kernels=256, size=5, stride=1, padding=2, groups=2)
    assert kinds["norm1"] == chain.ResponseNorm(columns=2, n=5, alpha=5e-4, beta=0.75, k=2)
    assert kinds["pool5"] == chain.Pooling(size=3, stride=2, rounds_up=False)
    assert kinds["fc6"] == chain.FullyConnected(9216, 4096)
    assert kinds["dropout7"] == chain.Dropout(0.5, inverted=False)
    assert kinds["mean"] == chain.Subtract("mean", (3, 224, 224))


def test_the_2012_code_s_order_and_the_layers_of_variants():
    names = [layer.name for layer in chain.read(graph(presets.AS_RUN.network), 224)]
    assert " ".join(names[2:12]) == "conv1 norm1 pool1 relu1 conv2 relu2 norm2 map_norm2 pool2 conv3"
    six = chain.read(graph(variants.apply(presets.PAPER, ["six-conv", "tanh", "no-dropout"]).network), 224)
    ending = "pool5 conv6 tanh6 flatten fc6 tanh_fc6 fc7 tanh7 fc8 softmax"
    assert [layer.name for layer in six][-10:] == ending.split()
    other = chain.read(graph(presets.RECIPES["one-weird-trick"].network), 224)
    beginning, ending = "mean scale conv1 relu1 pool1 conv2", "pool5 dropout5 flatten fc6 relu6 dropout6 fc7 relu7 fc8"
    assert [layer.name for layer in other][:6] == beginning.split()
    assert [layer.name for layer in other][-10:-1] == ending.split()
    assert other[1].kind == chain.Divide((58.395, 57.12, 57.375))
    assert {layer.kind for layer in other if layer.name.startswith("dropout")} == {chain.Dropout(0.5, inverted=True)}


def test_a_net_of_caffe_s(rng, tmp_path):
    files = caffemodels.written(tmp_path, rng, CAFFENET, size=104)
    architecture = caffe.read_architecture(files[0])
    weights = caffe_weights.read_weights(files[1], architecture)
    mean = weights["conv1_bias"][:3]
    net = caffe_network.build_classifier(architecture, weights, mean, mx.cpu())
    layers = {layer.name: layer for layer in chain.read(net(mx.sym.var("data")), 104)}
    names = "mean conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 flatten fc6"
    assert list(layers)[:18] == names.split()
    assert layers["mean"].kind.shape == (3, 1, 1)
    assert layers["pool1"].kind == chain.Pooling(3, 2, rounds_up=True)
    assert layers["norm1"].kind.columns == 1  # Caffe's window reaches into the other group


def data():
    return mx.sym.var("data")


def layer(number, x, **settings):
    x = mx.sym.Convolution(x, kernel=(3, 3), num_filter=4, name=f"conv{number}_fwd", **settings)
    return mx.sym.Activation(x, act_type="relu", name=f"activation{number}")


@pytest.mark.parametrize(
    ("symbol", "sentence"),
    [
        (lambda: mx.sym.erfinv(data(), name="odd0"), "odd0 is a erfinv, which no layer of an AlexNet is"),
        (lambda: (lambda x: mx.sym.concat(x, layer(2, x, pad=(1, 1))))(layer(1, data())), "by 2 layers: the net is no"),
        (lambda: layer(1, data(), dilate=(2, 2)), "conv1 is no convolution of square windows without gaps"),
        (
            lambda: mx.sym.Pooling(data(), kernel=(3, 3), stride=(2, 2), pool_type="avg", name="p"),
            "p is no max-pooling",
        ),
        (lambda: mx.sym.Activation(data(), act_type="softsign", name="a"), "activation softsign; relu and tanh are"),
        (lambda: layer("", data()), "has not the name of a layer"),
        (lambda: layer(1, layer(1, data())), "has the layer conv1 twice"),
        (lambda: mx.sym.Reshape(data(), shape=(-1, 1, 0, 0), name="r"), "r is not followed by LRN alone"),
        (lambda: mx.sym.var("images") + 1, "no input named data"),
    ],
)
def test_what_is_no_chain_is_named(symbol, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        chain.read(symbol(), 32)
