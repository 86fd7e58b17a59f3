"""cuda-convnet's files as input: what they say is what is read."""

import numpy as np
import pytest
from helpers import cuda_files as files
from helpers.cuda_files import section

from gluon_alexnet.model.graph_shapes import parameter_count, parameter_shapes, shapes, training_bytes
from gluon_alexnet.model.layer_graph import initial_parameters
from gluon_alexnet.recipes import layer_graph
from gluon_alexnet.recipes.graph_updates import Schedule

CONV = section("conv", type="conv", inputs="data", channels=3, filters=4, filterSize=3, padding=1, initW=0.1)
LAYERS = files.HEAD + CONV + files.tail("conv")
PARAMS = files.weights("conv") + files.PARAMS


def test_each_number_is_in_its_place(tmp_path):
    layers = (
        "# a comment\n; another, and keys in capitals\n"
        + files.HEAD
        + "\n[conv1]\nTYPE=conv\nINPUTS=data\nchannels=3\nfilters=8 ; in each group\nfilterSize=5\n"
        + "stride=2\npadding=1\ninitW=0.02\ninitB=1\npartialSum=7\nsharedBiases=0\nneuron=tanh[1.7, 0.67]\ngpu=1\n"
        + section("top", type="fc", inputs="conv1,data", outputs=6, initW=[0.1, 0.2])
        + files.tail("top")
    )
    params = (
        section("conv1", epsW=0.01, epsB=0.02, momW=0.9, momB=0.8, wc=0.0005, wball=0.5, schedW="dexp[250,0,4]")
        + section("top", epsW="0.01,0", epsB=0.03, momW="0.9,0.5", momB=0, wc="0.1,0.2",
                  schedB="linear[tgtFactor=9,noiseStdev=1]")
        + files.weights("out")
        + section("cost", coeff=0.5, topk=5)
    )  # fmt: skip
    net = files.read(tmp_path, layers, params, 11)
    conv1, top, _ = net.graph.layers
    assert conv1 == layer_graph.Convolution(
        name="conv1", inputs=("data",), device=1, neuron="tanh[1.7, 0.67]", bias=1.0, maps=8, shared_biases=False,
        filters=(layer_graph.Filters(3, size=5, stride=2, padding=1, groups=1, sparse_channels=None, weight_std=0.02),),
    )  # fmt: skip
    assert (top.device, top.weight_stds, top.bias) == (1, (0.1, 0.2), 0.0)  # on the device of its first input
    assert net.graph.cost == layer_graph.Cost("cost.logreg", "out", 0.5)
    assert (net.graph.source, net.graph.image, net.graph.devices, net.functions) == ("layers-own.cfg", "data", 2, ())
    found = {update.parameter: update for update in net.updates}
    assert list(found) == list(parameter_shapes(net.graph))
    assert [found[name].rate for name in ("conv1_weight", "conv1_bias", "top_weight1", "top_bias")] == [
        0.01,
        0.02,
        0,
        0.03,
    ]
    assert [found[name].momentum for name in ("conv1_bias", "top_weight0", "top_weight1", "top_bias")] == [
        0.8,
        0.9,
        0.5,
        0,
    ]
    assert [found[name].decay for name in ("conv1_weight", "conv1_bias", "top_weight1")] == [0.0005, 0.0, 0.2]
    assert found["conv1_weight"].schedule == Schedule("dexp", 250, 4) and found["conv1_weight"].ball == 0.5
    assert found["top_bias"].schedule == Schedule("linear", 9, 1, noise=1.0)
    # 1 + ceil((2·1 + 11 - 5) / 2) = 5 outputs a side
    assert shapes(net.graph)["conv1"] == (8, 5, 5)
    assert parameter_count(net.graph) == {"conv1": 8 * 75 + 200, "top": 6 * 200 + 6 * 363 + 6, "out": 5 * 6 + 5}


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        # (share of the run, rate), by hand
        ("default", [(0, 0.01), (1, 0.01)]),
        ("linear[10,0]", [(0, 0.01), (0.5, 0.0055), (1, 0.001)]),
        ("exp[tgtFactor=100,noiseStdev=0]", [(0, 0.01), (0.5, 0.001), (1, 0.0001)]),
        ("dexp[1000,0,4]", [(0, 0.01), (0.25, 0.01), (0.26, 0.001), (0.5, 0.001), (0.75, 1e-4), (0.76, 1e-5)]),
        ("dexp[10,2]", [(0.5, 0.01), (0.51, 0.001)]),
        ("jdexp[1000,4]", [(0.3, 0.001), (0.4, np.sqrt(1e-5)), (0.6, 1e-4), (0.7, np.sqrt(1e-7)), (0.95, 1e-5)]),
    ],
)  # fmt: skip
def test_schedules(text, rates, tmp_path):
    params = PARAMS.replace("[conv]\n", f"[conv]\nschedW={text}\n")
    update = files.read(tmp_path, LAYERS, params, 8).updates[0]
    for progress, rate in rates:
        assert update.schedule.rate(update.rate, progress) == pytest.approx(rate), progress


def test_functions_are_named_and_never_called(tmp_path):
    layers = LAYERS.replace("[conv]\n", "[conv]\ninitWFunc=os.remove(layers-own.cfg)\ninitBFunc=initw.makeb(conv)\n")
    assert files.read(tmp_path, layers, PARAMS, 8).functions == ("conv",)
    assert (tmp_path / "layers-own.cfg").exists()


def test_a_sparse_layer_s_connections_are_permutations_of_its_channels_and_the_seed_s(tmp_path):
    layers = files.HEAD + CONV.replace("filters=4", "filters=8")
    layers += section("sparse", type="conv", inputs="conv", channels=8, groups=4, filters=2, filterSize=3, initW=0.1,
                      randSparse=1, filterChannels=4) + files.tail("sparse")  # fmt: skip
    graph = files.read(tmp_path, layers, PARAMS + files.weights("sparse"), 8).graph
    chosen = [initial_parameters(graph, seed)["sparse_connections"].asnumpy() for seed in (1, 1, 2)]
    assert [sorted(half) for half in chosen[0].reshape(2, 8)] == [list(range(8))] * 2
    assert (chosen[0] == chosen[1]).all() and (chosen[0] != chosen[2]).any()
    assert parameter_count(graph)["sparse"] == 8 * 4 * 9 + 8


def test_initial_values_have_the_file_s_deviation_and_bias(tmp_path):
    layers = files.HEAD + section("top", type="fc", inputs="data", outputs=300, initW=0.03, initB=1) + files.tail("top")
    values = initial_parameters(files.read(tmp_path, layers, files.weights("top") + files.PARAMS, 16).graph, seed=5)
    assert values["top_weight"].asnumpy().std() == pytest.approx(0.03, rel=0.02)
    assert (values["top_bias"].asnumpy() == 1).all() and (values["out_bias"].asnumpy() == 0).all()


def test_memory_is_known_before_it_is_taken(tmp_path):
    graph = files.read(tmp_path, LAYERS, PARAMS, 8).graph
    # 112 + 1285 parameters, with gradient and momentum; 192 + 256 + 5 numbers of each image, and their gradients.
    assert training_bytes(graph, 10) == 4 * (3 * (112 + 1285) + 10 * 2 * (192 + 256 + 5))
