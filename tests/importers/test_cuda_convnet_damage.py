"""What is no layer file, or does not fit together, is refused in one sentence, before anything is built."""

import itertools
import re

import pytest
from helpers import cuda_files as files
from helpers.cuda_files import section

from gluon_alexnet.errors import InvalidRequest as InvalidRequest
from gluon_alexnet.importers import cuda_convnet

CONV = section("conv", type="conv", inputs="data", channels=3, filters=4, filterSize=3, padding=1, initW=0.1)
LAYERS = files.HEAD + CONV + files.tail("conv")
PARAMS = files.weights("conv") + files.PARAMS


def changed(old, new):
    assert old in LAYERS
    return LAYERS.replace(old, new), PARAMS


def learned(old, new):
    assert old in PARAMS
    return LAYERS, PARAMS.replace(old, new, 1)


def pooled(**keys):
    pool = section("p", type="pool", channels=4, sizeX=2, stride=2, inputs="conv", **keys)
    return files.HEAD + CONV + pool + files.tail("p"), PARAMS


def many(count):
    names = ["data", *(f"n{place}" for place in range(count))]
    layers = "".join(section(b, type="neuron", neuron="relu", inputs=a) for a, b in itertools.pairwise(names))
    return files.HEAD + layers + files.tail(names[-1]), files.PARAMS


BAD = {
    "nothing": (("", PARAMS), "names no layer"),
    "no text": ((None, PARAMS), "is not text"),
    "something else": (("<html>\n", PARAMS), "line 1: '<html>' is no line of a layer file"),
    "a key before any layer": (("type=data\n", PARAMS), "line 1"),
    "cut within a line": ((LAYERS[: LAYERS.index("filterSize") + 6], PARAMS), "'filter' is no line"),
    "cut between layers": ((LAYERS[: LAYERS.index("[probs]")], PARAMS), "has no cost"),
    "cut between keys": (changed("filterSize=3\npadding=1\ninitW=0.1\n", ""), "[conv]: filterSize is missing"),
    "too large": ((LAYERS + "#" * 1_000_001, PARAMS), "bytes, more than"),
    "a layer twice": ((LAYERS + CONV, PARAMS), "the layer conv is there a second time"),
    "a key twice": (changed("padding=1", "padding=1\npadding=2"), "padding is given as '1' and as '2'"),
    "a name that is a path": (changed("[conv]", "[../conv]"), "does not name a layer"),
    "no type": (changed("type=conv\n", ""), "[conv]: type is missing"),
    "an unknown type": (changed("type=conv", "type=deconv"), "there is no layer type 'deconv'"),
    "a type that is not supported": (changed("type=conv", "type=treefc"), "layer type treefc is not supported"),
    "an unknown key": (changed("padding=1", "paddding=1"), "there is no key paddding"),
    "a missing input": (changed("inputs=data", "inputs=dat"), "reads 'dat', and there is no such layer"),
    "itself as input": (changed("inputs=data", "inputs=conv"), "a cycle"),
    "a cycle": (changed("inputs=data", "inputs=out"), "[conv]: it reads out, which comes after it, a cycle"),
    "an order": (
        (files.HEAD + section("a", type="neuron", inputs="conv", neuron="relu") + CONV + files.tail("a"), PARAMS),
        "it reads conv, which comes after it, an order to change",
    ),
    "a layer that nothing reads": (
        (LAYERS.replace(CONV, CONV + section("b", type="neuron", inputs="conv", neuron="relu")), PARAMS),
        "[b]: no layer reads it",
    ),
    "channels that do not fit": (changed("channels=3", "channels=5"), "is not 5 square maps"),
    "channels of nothing": (changed("channels=3", "channels=0"), "channels must be 1 or more, not 0"),
    "filters larger than the image": (changed("filterSize=3", "filterSize=11"), "larger than its padded input of 10"),
    "inputs of two sizes": (
        changed(
            "inputs=data\nchannels=3\nfilters=4\nfilterSize=3\npadding=1\ninitW=0.1",
            "inputs=data,data\nchannels=3,3\nfilters=4,4\nfilterSize=3,3\npadding=1,0\ninitW=0.1,0.1",
        ),
        "outputs of different sizes: 6, 8",
    ),
    "two values for one input": (changed("filters=4", "filters=4,4"), "filters must have 1 value, one an input, not 2"),
    "groups that do not divide": (changed("channels=3", "channels=3\ngroups=2"), "2 groups do not divide 3 channels"),
    "no number": (changed("initW=0.1", "initW=big"), "initW must be a number, not 'big'"),
    "not a number": (changed("initW=0.1", "initW=nan"), "initW must be a number, not 'nan'"),
    "half a pixel": (changed("padding=1", "padding=1.5"), "padding must be a whole number"),
    "an unknown neuron": (changed("padding=1", "padding=1\nneuron=gelu"), "There is no neuron 'gelu'; there are ident"),
    "a neuron without its numbers": (changed("padding=1", "padding=1\nneuron=tanh[1]"), "There is no neuron 'tanh[1]'"),
    "a device of no machine": (changed("padding=1", "padding=1\ngpu=99"), "gpu must be below 64"),
    "a layer of 10 GB": (
        (files.HEAD + section("top", type="fc", inputs="data", outputs=13_000_000) + files.tail("top"), PARAMS),
        "it has 2,496,000,000 weights, more than the 2,147,483,647 that fit into one array",
    ),
    "a padding of a million": (changed("padding=1", "padding=1000000"), "outputs, more than the 2,147,483,647"),
    "10,000 layers": (many(10_000), "more than 1,000 layers"),
    "a pooling that sees nothing": (
        pooled(pool="max", outputsX=9),
        "some see nothing",
    ),
    "a random pooling": (
        pooled(pool="rand"),
        "pool=rand draws its values at random",
    ),
    "shared weights": (changed("padding=1", "padding=1\nweightSource=out"), "weightSource is not supported"),
    "no softmax": (changed("inputs=labels,probs", "inputs=labels,out"), "cost.logreg reads the labels and a softmax"),
    "no labels": (changed("dataIdx=1", "dataIdx=2"), "dataIdx must be 0 for the images and 1 for the labels"),
    "two costs": (
        (LAYERS + section("cost2", type="cost.logreg", inputs="labels,probs"), PARAMS),
        "a net with two costs is not supported",
    ),
    "a cost as input": ((LAYERS + section("z", type="concat", inputs="cost"), PARAMS), "which is a cost"),
    "parameters of another net": ((LAYERS, files.PARAMS), "no section [conv], which layers-own.cfg needs"),
    "parameters for two inputs": (
        learned("[conv]\nepsW=0.01", "[conv]\nepsW=0.01,0.01"),
        "epsW must have 1 value",
    ),
    "no rate": (learned("[conv]\nepsW=0.01\n", "[conv]\n"), "[conv]: epsW is missing"),
    "a negative rate": (learned("[conv]\nepsW=0.01", "[conv]\nepsW=-1"), "epsW must be 0 or more, not -1"),
    "a momentum of 1": (learned("momB=0.9", "momB=1"), "must be below 1, not 1"),
    "an unknown key of parameters": (learned("epsB", "epsC=1\nepsB"), "there is no key epsc"),
    "an unknown schedule": (learned("epsB", "schedW=cosine[1]\nepsB"), "schedW must be default or one of"),
    "a schedule of no factor": (learned("epsB", "schedW=exp[0]\nepsB"), "schedW must be default or one of"),
    "another rule of updates": (learned("epsB", "superEps=1\nepsB"), "superEps is not supported"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_a_sentence(case, tmp_path):
    (layers, params), words = BAD[case]
    pair = files.write(tmp_path, layers or "", params)
    if layers is None:
        pair[0].write_bytes(bytes(range(256)))
    with pytest.raises(InvalidRequest, match=re.escape(words)) as caught:
        cuda_convnet.read(*pair, 8)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400
    assert "layer" in sentence.lower()


def test_a_file_that_is_not_there(tmp_path):
    layers, params = files.write(tmp_path, LAYERS, PARAMS)
    with pytest.raises(InvalidRequest, match=r"layers-145\.cfg cannot be read: No such file or directory\.$"):
        cuda_convnet.read(tmp_path / "layers-145.cfg", params)
    with pytest.raises(InvalidRequest, match="Is a directory"):
        cuda_convnet.read(layers, tmp_path)


def test_two_sections_of_one_layer_in_a_parameter_file_add_up_unless_they_contradict(tmp_path):
    twice = PARAMS + section("conv", epsW=0.01, schedW="exp[10]")
    assert files.read(tmp_path, LAYERS, twice, 8).updates[0].schedule.kind == "exp"
    with pytest.raises(InvalidRequest, match=re.escape("[conv]: epsW is given as '0.01' and as '0.02'")):
        files.read(tmp_path, LAYERS, PARAMS + section("conv", epsW=0.02), 8)
