"""int8: why columns are written out first, what is lost, what is refused."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime
import pytest
from helpers.images import coloured_classes
from helpers.runner import run

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.exporters import int8, reduced_precision, ungroup
from gluon_alexnet.exporters import symbol as deployment
from gluon_alexnet.exporters.reduced_precision import Measured
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier
from gluon_alexnet.recordio.dataset.images import shorter_side_256
from gluon_alexnet.recordio.reading.reader import Reader

CLASSES = 6
FACTS = {"classes": [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(7)], "provenance": {"variants": []}}


@pytest.fixture
def pair(small_recipe, rng, tmp_path):
    """A small net's symbol/params pair, with both columns."""
    parameters = initial_parameters(small_recipe.network, 7, seed=1)
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 99, 99)))
    classifier = build_classifier(small_recipe.network, parameters, mx.cpu())
    images = rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
    deployment.export(classifier, tmp_path / "net", 99, FACTS, images, mx.cpu())
    return tmp_path / "net"


def operators(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"] if node["op"] != "null"]


def outputs(net, data):
    arguments = {**net.arguments, "data": mx.nd.array(data)}
    return net.symbol.bind(mx.cpu(), arguments, aux_states=net.auxiliary).forward()[0].asnumpy()


def test_columns_written_out_compute_the_same(pair, rng):
    net = reduced_precision.load(pair)
    symbol, arguments = ungroup.write_out(net.symbol, net.arguments)
    groups = [node["attrs"].get("num_group", "1") for node in json.loads(symbol.tojson())["nodes"] if "attrs" in node]
    assert set(groups) == {"1"}
    # conv1 and conv3 read everything; conv2, conv4 and conv5 are two each. conv4's columns go on to conv5's.
    assert operators(symbol).count("Convolution") == 1 + 2 + 1 + 2 + 2
    assert operators(symbol).count("SliceChannel") == operators(symbol).count("Concat") == 2
    data = rng.uniform(0, 255, (3, 3, 99, 99))
    other = reduced_precision.Pair(symbol, arguments, net.auxiliary)
    np.testing.assert_allclose(outputs(other, data), outputs(net, data), atol=1e-6)


def rounded(values, levels):
    """float64 values as whole multiples of a step, so that the largest is ``levels`` steps."""
    step = np.abs(values).max() / levels
    return np.round(values / step) * step


@pytest.mark.parametrize("groups", [1, 2])
def test_mxnet_s_int8_is_wrong_in_groups_and_right_in_columns(rng, groups):
    data = mx.sym.var("data")
    convolution = mx.sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=32, num_group=groups, name="conv")
    symbol = mx.sym.Activation(convolution, act_type="relu")
    weight, bias = rng.normal(0, 0.05, (32, 32 // groups, 3, 3)), rng.normal(0, 1, 32)
    arguments = {"conv_weight": mx.nd.array(weight), "conv_bias": mx.nd.array(bias)}
    images = rng.integers(0, 256, (4, 13, 13, 32), dtype=np.uint8)
    values = images.transpose(0, 3, 1, 2).astype(np.float64)
    expected = convolved(rounded(values, 255), rounded(weight, 127), bias, groups)
    tools = mx.contrib.quantization

    def error(symbol, arguments):
        symbol = symbol.get_backend_symbol("MKLDNN_QUANTIZE")
        # One image after the other: what the net makes of them is all that calibration looks at.
        quantized, _, _, collector = tools.quantize_graph(
            symbol, arguments, {}, excluded_op_names=[], calib_mode="naive", **int8._HOW
        )
        module = mx.mod.Module(symbol, data_names=["data"], label_names=None)
        module.bind(for_training=False, data_shapes=[("data", values.shape)])
        module.set_params(arguments, {})
        module._exec_group.execs[0].set_monitor_callback(collector.collect, monitor_all=True)
        module.forward(mx.io.DataBatch([mx.nd.array(values)]), is_train=False)
        quantized, found, _ = tools.calib_graph(
            quantized, arguments, {}, collector, calib_mode="naive", quantized_dtype="auto"
        )
        got = outputs(reduced_precision.Pair(quantized.get_backend_symbol("MKLDNN_QUANTIZE"), found, {}), values)
        return np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2))

    assert error(*ungroup.write_out(symbol, arguments)) < 0.02
    if groups == 2:  # if this ever fails, MXNet has been mended and the columns need not be written out
        assert error(symbol, arguments) > 0.05


def convolved(values, weight, bias, groups):
    """ReLU of a 3×3 convolution with a border of 1, in groups, written out."""
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = values.shape[2:]
    windows = np.stack([padded[:, :, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=2)
    kernels, inputs = len(weight) // groups, values.shape[1] // groups
    parts = [
        np.einsum(
            "nckyx,ock->noyx",
            windows[:, group * inputs : (group + 1) * inputs],
            weight[group * kernels : (group + 1) * kernels].reshape(kernels, inputs, 9),
        )
        for group in range(groups)
    ]
    return np.maximum(np.concatenate(parts, axis=1) + bias[:, None, None], 0)


@pytest.mark.parametrize("calibration", ["naive", pytest.param("entropy", marks=pytest.mark.slow)])
def test_int8_is_close_to_float32_for_any_batch(pair, rng, monkeypatch, calibration):
    monkeypatch.setattr(int8, "CALIBRATION", calibration)
    net = reduced_precision.load(pair)
    images = np.stack([cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (99, 99)) for _ in range(40)])
    observe, seen = int8._observe, []
    monkeypatch.setattr(int8, "_observe", lambda *words: seen.append(words[2]) or observe(*words))
    quantized = int8.quantize(net, images[:32])
    np.testing.assert_array_equal(np.concatenate(seen), images[:32])  # each image calibrates, the last ones too
    found = operators(quantized.symbol)
    assert found.count("_sg_mkldnn_conv") == 8
    assert found.count("_sg_mkldnn_fully_connected") == 3
    data = images.transpose(0, 3, 1, 2)
    expected = outputs(net, data)
    for batch in (1, 8, 40):
        got = outputs(quantized, data[:batch])
        assert np.abs(got - expected[:batch]).max() < 0.03
    assert np.abs(got - expected).max() > 1e-5  # it is another arithmetic
    assert np.ptp(expected) > 0.1


def test_without_images_nothing_is_calibrated(pair):
    with pytest.raises(InvalidRequest, match="Without images"):
        int8.quantize(reduced_precision.load(pair), np.empty((0, 99, 99, 3), np.uint8))


def answers(guesses):
    """A classifier that gives these first guesses, in order of the images' first pixel."""
    return lambda views: np.eye(4, dtype=np.float32)[[guesses[view[0, 0, 0]] for view in views]]


def test_errors_and_agreement_are_counted_by_hand():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 256, 256, 3), np.uint8)
    labels = np.array([0, 1, 2, 3, 0])
    batches = [(images[:3], labels[:3], None), (images[3:], labels[3:], None)]
    seen = []
    found = reduced_precision.compare(
        "int8", answers([0, 1, 2, 0, 0]), answers([0, 2, 2, 1, 0]), batches, 99, seen.append
    )
    assert (found.images, found.batch_size, seen) == (5, 3, [3, 2])
    assert (found.float32.top1_error, found.reduced.top1_error) == (20.0, 40.0)
    assert found.rise == 20.0
    assert found.same_first_guess == 60.0
    assert found.largest_difference == 1.0
    content = found.to_dict()
    assert (content["float32"]["top1_error"], content["int8"]["top1_error"]) == (20.0, 40.0)
    with pytest.raises(OperationFailed, match="not one image"):
        reduced_precision.compare("int8", answers([]), answers([]), [], 99)


@pytest.mark.parametrize(("rise", "allowed"), [(0.5, True), (1.0, True), (1.5, False), (-3.0, True), (np.nan, False)])
def test_the_allowance_is_for_more_errors_and_not_for_fewer(monkeypatch, rise, allowed):
    found = reduced_precision.Comparison("int8", 100, 8, Measured(40.0, 1.0), Measured(40.0 + rise, 2.0), 99.0, 0.1)
    monkeypatch.setattr(reduced_precision, "load", lambda pair: None)
    monkeypatch.setattr(reduced_precision, "save", lambda net, pair: None)
    monkeypatch.setattr(reduced_precision, "compare", lambda *_: found)
    monkeypatch.setattr(reduced_precision, "classify_with", lambda block, context: lambda views: views)
    monkeypatch.setattr(deployment, "load_pair", lambda pair, context: None)
    monkeypatch.setattr(deployment, "as_it_is", lambda block, images, context: None)
    publication = SimpleNamespace(draft=lambda out: out, verify=lambda *_: {})
    limits = reduced_precision.Limits([], np.zeros((1, 9, 9, 3), np.uint8), 1.0, lambda count: None)
    words = (publication, "int8", Path("one"), Path("other"), lambda net: net, limits)
    if allowed:
        assert reduced_precision.add(*words) == (Path("other"), found, {})
        return
    with pytest.raises(OperationFailed, match=r"On 100 images int8 has .* `max_drop` allows 1; nothing was written"):
        reduced_precision.add(*words)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images, a data set of them, and a run of one epoch on it."""
    folder = tmp_path_factory.mktemp("int8")
    images = coloured_classes(folder / "images", CLASSES, {"train": 4, "val": 3})
    run("pack", "--train", images / "train", "--val", images / "val", "--data", folder / "data")
    words = ["--recipe", "narrow", "--cpus", 0, "--batch-size", 8, "--epochs", 1]
    run("train", "--data", folder / "data", "--run", folder / "run", *words)
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Calibration without the search for the best range, which takes seconds."""
    monkeypatch.setattr(int8, "CALIBRATION", "naive")


def test_export_writes_all_three_and_eval_reads_int8(place, quick, tmp_path):
    out = tmp_path / "net"
    said = run("export", place / "run", out, "--onnx", "--int8", "--cpus", 0, "--max-drop", 100)
    assert "largest difference in a probability over 8 images: SymbolBlock" in said
    assert all(f"{program} " in said for program in ("Module", "onnxruntime", "OpenCV"))
    assert f"calibrated on {4 * CLASSES} images of {place / 'data'} (train)" in said
    assert f"of {3 * CLASSES} images of {place / 'data'} (val)" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("net-0000.params", "net-int8-0000.params", "net-int8-symbol.json", "net-int8.json", "net-int8.md"),
        *("net-symbol.json", "net.json", "net.md", "net.onnx"),
    ]
    differences = json.loads((tmp_path / "net.json").read_text())["verified"]["largest_difference"]
    assert set(differences) - {"OpenVINO"} == {"SymbolBlock", "Module", "onnxruntime", "OpenCV"}
    description = json.loads((tmp_path / "net-int8.json").read_text())
    assert description["int8"]["calibration"] == {"images": 24, "source": f"{place / 'data'} (train)"}
    compared = description["int8"]["compared"]
    assert compared["images"] == 18
    assert "validation_error" not in description
    for name, key in (("net", "float32"), ("net-int8", "int8")):
        words = ["--model", tmp_path / name, "--data", place / "data", "--views", 1, "--cpus", 0, "--json"]
        (score,) = json.loads(run("eval", *words))["scores"]
        assert score["images"] == 18
        assert score["top1_error"] == pytest.approx(compared[key]["top1_error"])
    # The same errors by programs that know nothing of eval: onnxruntime, and MXNet's executor.
    with Reader(place / "data", "val") as reader:
        (batch,) = reader.batches(100)
    data = batch.images[:, 16:240, 16:240].transpose(0, 3, 1, 2).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    reduced = reduced_precision.load(tmp_path / "net-int8")
    for key, found in (("float32", session.run(None, {"data": data})[0]), ("int8", outputs(reduced, data))):
        wrong = (found.argmax(axis=1) != batch.labels).mean()
        assert compared[key]["top1_error"] == pytest.approx(100 * wrong), key


def test_a_folder_calibrates_and_what_is_no_image_is_counted(place, quick, tmp_path, monkeypatch):
    given, quantize = [], int8.quantize
    monkeypatch.setattr(int8, "quantize", lambda net, images: given.append(images) or quantize(net, images))
    folder = shutil.copytree(place / "images" / "train", tmp_path / "own")
    (folder / "notes.txt").write_text("no image")
    words = ["--int8", "--cpus", 0, "--max-drop", 100, "--compare-images", 4]
    said = run("export", place / "run", tmp_path / "net", "--calibration", folder, *words)
    assert "1 files are no images" in said
    assert f"calibrated on 24 images of {folder}" in said
    files = [cv2.imread(str(file))[:, :, ::-1] for file in sorted(folder.rglob("*.png"))]
    np.testing.assert_array_equal(given[0], [shorter_side_256(image)[16:240, 16:240] for image in files])
    assert "of 4 images of" in said
    (tmp_path / "empty").mkdir()
    said = run("export", place / "run", tmp_path / "b", "--calibration", tmp_path / "empty", *words, code=2)
    assert "holds no image that this program reads" in said
    said = run("export", place / "run", tmp_path / "b", "--calibration", tmp_path / "none", *words, code=2)
    assert "is no folder of images" in said
    assert not list(tmp_path.glob("*b-*")) and not list(tmp_path.glob("b.*"))


def test_more_error_than_allowed_is_refused_and_nothing_is_written(place, quick, tmp_path):
    # No net is 101 points better than another, so this allowance cannot be met, whatever int8 does.
    said = run("export", place / "run", tmp_path / "net", "--int8", "--cpus", 0, "--max-drop", -101, code=1)
    assert "--max-drop allows -101; nothing was written" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--calibration", "x"], "--calibration belongs to --int8"),
        (["--int8", "--max-drop", "nan"], "give a number of percentage points"),
        (["--int8", "--calibration-images", "0"], "is not in the range"),
    ],
)
def test_wrong_use_of_export(place, tmp_path, words, sentence):
    assert sentence in run("export", place / "run", tmp_path / "net", *words, code=2)
    assert list(tmp_path.iterdir()) == []


def test_int8_is_not_loaded_on_a_gpu(pair):
    file = pair.with_name("net.json")
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "int8": {}}))
    with pytest.raises(InvalidRequest, match="is an int8 net, which oneDNN computes on a CPU"):
        deployment.load_export(pair, mx.gpu(0))
