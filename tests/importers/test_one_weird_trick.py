"""torchvision's, Gluon's and lpips's AlexNet as exported nets; NumPy, and Gluon's own net, are the judges."""

import json
import sys
import types

import numpy as np
import pytest
from helpers import every_layer, owt_files, torch_files
from helpers.runner import run

import gluon_alexnet as ga
from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.exporters import symbol
from gluon_alexnet.importers.trained import DRAWN, TRAINED
from gluon_alexnet.model.classifier import classify_with
from gluon_alexnet.training import finetune
from gluon_alexnet.workflows.import_weights import import_weights

FORMS = ["zip", "stream", "safetensors", "zoo", "lpips", "jax"]
KINDS = dict(zip(FORMS, ["torchvision"] * 3 + ["gluon-zoo", "lpips", "lpips"]))


@pytest.fixture(scope="module")
def arrays():
    return owt_files.weights(np.random.default_rng(5), smooth=True)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(6).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_numpy_s_numbers(arrays, images, tmp_path, form):
    given = arrays[:5] if KINDS[form] == "lpips" else arrays
    found = import_weights([owt_files.write(tmp_path, given, form)], tmp_path / "out")
    assert (found.kind, found.classes, found.size) == (KINDS[form], 7 if len(given) == 8 else 0, 224)
    assert found.kernels.verdict == TRAINED
    assert found.differences["Gluon's model zoo"] < 1e-5 * (1 if found.classes else 100)
    assert found.parameters == sum(array.size for pair in given for array in pair)
    pool5, probabilities = owt_files.activations(given, images)
    outputs = classify_with(symbol.load_pair(tmp_path / "out", mx.cpu()), mx.cpu())(images)
    expected = pool5 if probabilities is None else probabilities
    assert probabilities is None or np.ptp(expected) > 0.05  # the net tells the classes apart
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * expected.max())


def test_gluon_s_own_net_is_read_from_each_of_its_ways_to_save(images, tmp_path, monkeypatch):
    layers = mx.gluon.nn  # of the zoo's own, but for the width: a full file takes 240 MB
    narrow = types.SimpleNamespace(**vars(layers))
    narrow.Dense = lambda units, **settings: layers.Dense({4096: 20}.get(units, units), **settings)
    monkeypatch.setattr(sys.modules["mxnet.gluon.model_zoo.vision.alexnet"], "nn", narrow)
    zoo = mx.gluon.model_zoo.vision.alexnet(classes=5, prefix="alexnet0_")
    zoo.initialize(mx.init.Xavier(magnitude=6))
    numbers = (images / 255 - owt_files.MEAN) / owt_files.STD
    expected = zoo(mx.nd.array(numbers.transpose(0, 3, 1, 2))).softmax().asnumpy()
    assert np.ptp(expected) > 0.01
    x, inside = mx.nd.array(numbers.transpose(0, 3, 1, 2)), {}
    names = "relu1 pool1 relu2 pool2 relu3 relu4 relu5 pool5 flatten relu6 dropout relu7 dropout"
    for layer, name in zip(zoo.features, names.split(" ")):
        x = layer(x)
        inside[name] = x.asnumpy()
    zoo.save_parameters(str(tmp_path / "saved.params"))
    zoo.collect_params().save(str(tmp_path / "whole.params"))
    zoo.collect_params().save(str(tmp_path / "stripped.params"), strip_prefix="alexnet0_")
    zoo.hybridize()
    zoo(mx.nd.array(numbers.transpose(0, 3, 1, 2)))
    zoo.export(str(tmp_path / "exported"))
    for name in ("saved", "whole", "stripped", "exported-0000"):
        found = import_weights([tmp_path / f"{name}.params"], tmp_path / "out", overwrite=True)
        assert (found.kind, found.classes) == ("gluon-zoo", 5)
        assert found.kernels.verdict == DRAWN
        outputs = symbol.load_export(tmp_path / "out", mx.cpu()).classify(images)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
    ours = every_layer.outputs(tmp_path / "out", images)
    for name in set(inside) - {"flatten", "dropout"}:
        largest = np.abs(inside[name]).max()
        np.testing.assert_allclose(ours[name], inside[name], rtol=0, atol=1e-5 * largest, err_msg=name)


@pytest.mark.parametrize("prefix", ["", "module.", "state_dict.module."])
def test_prefixes_are_no_matter(arrays, tmp_path, prefix):
    (tmp_path / "a").write_bytes(owt_files.safetensors(owt_files.torchvision(arrays, prefix)))
    assert import_weights(str(tmp_path / "a"), str(tmp_path / "out"), device="cpu(0)").kind == "torchvision"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"files": []}, "There is no file to import"),
        ({"files": "nothing.pth"}, "There is no file nothing"),
        ({"files": "a", "kind": "keras"}, "There is no kind 'keras'; there are caffe, torchvision"),
        ({"files": "a", "device": "tpu(0)"}, r"'tpu\(0\)' is no device"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, words, said):
    with pytest.raises(InvalidRequest, match=said):
        import_weights(out=tmp_path / "out", **words)


def test_a_convolutional_part_is_a_net_to_begin_with_and_no_classifier(arrays, tmp_path):
    file = owt_files.write(tmp_path, arrays[:5], "zip")
    said = run("import", file, tmp_path / "out", "--cpus", 0)
    assert "one-weird-trick, conv1 to conv5, no classifier: a net to fine-tune from" in said
    description = json.loads((tmp_path / "out.json").read_text())
    assert description["output"] == {"shape": ["N", 256, 6, 6], "values": "pool5, after the last pooling"}
    with pytest.raises(InvalidRequest, match="is a convolutional part and knows no classes"):
        symbol.load_export(tmp_path / "out", mx.cpu())
    opened, image = ga.load(tmp_path / "out", device="cpu(0)"), np.zeros((256, 256, 3), np.uint8)
    assert opened.activations([image], layers=["pool5"])["pool5"].shape == (1, 256, 6, 6)
    with pytest.raises(InvalidRequest, match="is a convolutional part"):
        opened.predict([image], views=1)
    assert "is a convolutional part" in run("export", tmp_path / "out", tmp_path / "other", "--cpus", 0, code=2)
    initial = {f"conv{n}_{end}": mx.nd.zeros(a.shape) for n, pair in enumerate(arrays[:5], 1)
               for end, a in zip(("weight", "bias"), pair)}  # fmt: skip
    initial |= {"fc8_weight": mx.nd.ones((7, 16)), "fc8_bias": mx.nd.ones(7)}
    parameters, taken = finetune.transfer(initial, [{"wnid": "a"}], tmp_path / "out")
    assert taken.layers == ("conv1", "conv2", "conv3", "conv4", "conv5")
    np.testing.assert_array_equal(parameters["conv5_weight"].asnumpy(), arrays[4][0])
    assert parameters["fc8_weight"].asnumpy().all()


def test_an_imported_net_predicts(arrays, tmp_path):
    import cv2

    run("import", owt_files.write(tmp_path, arrays, "zip"), tmp_path / "out", "--cpus", 0)
    image = np.random.default_rng(3).integers(0, 256, (300, 256, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), image)
    said = run("predict", tmp_path / "out", tmp_path / "a.png", "--views", 1, "--cpus", 0)
    _, probabilities = owt_files.activations(arrays, image[38:262, 16:240, ::-1][None])
    assert f"{probabilities.argmax()} {probabilities.max():.3f}" in said


def changed(arrays, layer, shape):
    tensors = owt_files.torchvision(arrays)
    tensors[layer] = np.zeros(shape, np.float32)
    return tensors


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: changed(a, "features.0.weight", (96, 3, 11, 11)), "conv1_weight (features.0.weight) is 96×3×11×11"),
        (lambda a: changed(a, "features.6.bias", (4,)), "conv3_bias (features.6.bias) is 4, and 384 is needed"),
        (lambda a: changed(a, "classifier.1.weight", (24, 4096)), "fc6_weight (classifier.1.weight) is 24×4096"),
        (
            lambda a: changed(a, "features.4.running_mean", (64,)),
            "has features.4.running_mean, which AlexNet has not",
        ),
        (
            lambda a: {k: v for k, v in owt_files.torchvision(a).items() if k != "features.8.weight"},
            "conv4_weight (features.8.weight) is not there, and 256×384×3×3 is needed",
        ),
        (
            lambda a: {k: v for k, v in owt_files.torchvision(a).items() if k != "classifier.6.bias"},
            "fc8_bias (classifier.6.bias) is not there",
        ),
        (lambda a: {"layer1.0.conv1.weight": a[0][0]}, "it begins with layer1.0.conv1.weight"),
        (lambda a: {}, "it begins with nothing"),
    ],
)
def test_another_net_is_refused_with_the_first_layer_that_does_not_fit(arrays, tmp_path, change, said):
    file = tmp_path / "a.safetensors"
    file.write_bytes(owt_files.safetensors(change(arrays)) if change(arrays) else owt_files.safetensors({}))
    assert said in run("import", file, tmp_path / "out", "--cpus", 0, code=2)
    assert not list(tmp_path.glob("*out*"))


def test_nan_half_a_file_and_a_wrong_kind_are_refused(arrays, tmp_path):
    file = owt_files.write(tmp_path, arrays, "stream")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "is cut or damaged: its numbers do not lie" in run("import", file, tmp_path / "out", "--cpus", 0, code=1)
    file.write_bytes(whole)
    assert "(features.2.weight) is not there" in run("import", file, tmp_path / "out", "--kind", "gluon-zoo", code=2)
    assert "Caffe's nets are two files" in run("import", file, tmp_path / "out", "--kind", "caffe", code=2)
    assert "A mean image belongs to Caffe's" in run("import", file, tmp_path / "out", "--mean", file, code=2)
    assert "is one file; 2 were given" in run("import", file, file, tmp_path / "out", "--cpus", 0, code=2)
    broken = [*arrays[:4], (arrays[4][0].copy(), arrays[4][1])]
    broken[4][0][3, 2, 1, 0] = np.nan
    file.write_bytes(torch_files.saved(owt_files.torchvision(broken)))
    said = run("import", file, tmp_path / "out", "--cpus", 0, code=1)
    assert "features.10.weight holds numbers that are not finite" in said
    (tmp_path / "text").write_text("name: 'x'\n")
    assert "Caffe's nets are two files" in run("import", tmp_path / "text", tmp_path / "out", "--cpus", 0, code=2)
    (tmp_path / "junk").write_bytes(b"\1\2\3" * 50)
    assert "is none of the files" in run("import", tmp_path / "junk", tmp_path / "out", "--cpus", 0, code=2)
    assert not list(tmp_path.glob("*out*"))


def test_a_net_that_the_judge_computes_otherwise_is_not_written(arrays, tmp_path, monkeypatch):
    from gluon_alexnet.importers import network

    monkeypatch.setattr(network, "by_model_zoo", lambda weights, images: np.full((len(images), 7), 1 / 7))
    with pytest.raises(OperationFailed, match="Gluon's model zoo gets probabilities that differ"):
        import_weights([owt_files.write(tmp_path, arrays, "zip")], tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
