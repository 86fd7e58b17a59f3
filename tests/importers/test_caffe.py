"""BVLC AlexNet and CaffeNet from Caffe's files; OpenCV's reader of the same files is the judge."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import caffemodels, runner
from helpers.caffemodels import ALEXNET, CAFFENET, blob, written

from gluon_alexnet.backend import mx
from gluon_alexnet.exporters import symbol
from gluon_alexnet.importers.caffe import architecture as caffe
from gluon_alexnet.importers.caffe import network as caffe_network
from gluon_alexnet.importers.caffe import weights as caffe_weights
from gluon_alexnet.model.classifier import classify_with
from gluon_alexnet.tools.main import main

MEAN = np.array([123, 117, 104], np.float32)  # RGB


def by_opencv(prototxt, caffemodel, images, mean_bgr):
    """What OpenCV makes of RGB images (N, S, S, 3) with Caffe's files: it is told of BGR and the mean here."""
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    bgr = images[..., ::-1].astype(np.float32) - mean_bgr
    net.setInput(np.ascontiguousarray(bgr.transpose(0, 3, 1, 2)))
    return net.forward()


def imported(prototxt, caffemodel, mean=MEAN):
    architecture = caffe.read_architecture(prototxt)
    return caffe_network.build_classifier(
        architecture, caffe_weights.read_weights(caffemodel, architecture), mean, mx.cpu()
    )


def run(*words, code=0):
    return runner.run("import", *words, code=code)


@pytest.mark.parametrize("old", [False, True], ids=["layer", "layers"])
@pytest.mark.parametrize("order", [ALEXNET, CAFFENET], ids=["AlexNet", "CaffeNet"])
@pytest.mark.parametrize("size", [227, 224, 104])  # from 224 and 104, pooling must round up
def test_opencv_gets_the_same_probabilities(rng, tmp_path, order, size, old):
    files = written(tmp_path, rng, order, size, old)
    images = rng.integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    probabilities = classify_with(imported(*files), mx.cpu())(images)
    expected = by_opencv(*files, images, MEAN[::-1])
    assert expected.max() - expected.min() > 0.1  # the net tells the classes apart
    np.testing.assert_allclose(probabilities, expected, atol=2e-5)


def test_bgr_the_mean_and_the_order_of_the_layers_matter(rng, tmp_path):
    files = written(tmp_path, rng)
    images = rng.integers(0, 256, (2, 227, 227, 3), dtype=np.uint8)
    right = classify_with(imported(*files), mx.cpu())(images)
    assert np.abs(right - by_opencv(*files, images[..., ::-1].copy(), MEAN[::-1])).max() > 1e-2
    assert np.abs(right - by_opencv(*files, images, MEAN)).max() > 1e-4
    files[0].write_text(caffemodels.prototxt(CAFFENET))
    assert np.abs(right - by_opencv(*files, images, MEAN[::-1])).max() > 1e-3


@pytest.mark.parametrize("described", ["shape", "dim", "layer"])
def test_each_way_to_say_the_input_is_read(rng, tmp_path, described):
    architecture = caffe.read_architecture(written(tmp_path, rng, size=131, described=described)[0])
    assert (architecture.size, architecture.family, architecture.classes) == (131, "BVLC AlexNet", 7)
    shapes = caffemodels.shapes(131)
    assert {name: architecture.shapes[f"{name}_weight"] for name in shapes} == shapes


def test_the_full_net_has_as_many_parameters_as_bvlc_s(tmp_path):
    file = tmp_path / "deploy.prototxt"
    file.write_text(caffemodels.prototxt(ALEXNET, kernels=caffemodels.FULL))
    shapes = caffe.read_architecture(file).shapes
    # The paper's net, counted in tests/paper.py: padding instead of an overrun adds none.
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 60_965_224


def test_a_mean_image_s_centre_is_subtracted(rng, tmp_path):
    files = written(tmp_path, rng, size=104)
    image = rng.uniform(60, 190, (3, 256, 256)).astype("<f4")  # BGR
    for name, content in (("new", blob(image[None])), ("old", blob(image[None], old=True))):
        file = tmp_path / name
        file.write_bytes(content)
        np.testing.assert_array_equal(caffe_weights.read_mean(file), image[::-1])
    images = rng.integers(0, 256, (2, 104, 104, 3), dtype=np.uint8)
    probabilities = classify_with(imported(*files, caffe_weights.read_mean(file)), mx.cpu())(images)
    expected = by_opencv(*files, images, image[:, 76:180, 76:180].transpose(1, 2, 0))
    np.testing.assert_allclose(probabilities, expected, atol=2e-5)


def test_the_command_writes_an_export_that_others_load(rng, tmp_path):
    files, out = written(tmp_path, rng, CAFFENET, old=True), tmp_path / "deep" / "caffenet"
    said = run(*files, out, "--cpus", 0)
    assert "CaffeNet, 7 classes, crops of 227 pixels" in said
    assert "122.68, 116.67, 104.01 (RGB" in said
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "caffenet-0000.params",
        "caffenet-symbol.json",
        "caffenet.json",
        "caffenet.md",
    ]
    description = json.loads(out.with_name("caffenet.json").read_text())
    assert description["input"]["shape"] == ["N", 3, 227, 227]
    assert description["provenance"]["architecture"] == "CaffeNet"
    assert description["verified"]["largest_difference"]["OpenCV"] < 2e-5
    model = symbol.load_export(out, mx.cpu())
    images = rng.integers(0, 256, (2, 227, 227, 3), dtype=np.uint8)
    expected = by_opencv(*files, images, np.array([104.00698793, 116.66876762, 122.67891434], np.float32))
    np.testing.assert_allclose(model.classify(images), expected, atol=2e-5)
    assert [c["wnid"] for c in model.classes] == [str(number) for number in range(7)]


def test_classes_are_the_file_s_or_ilsvrc_s(rng, tmp_path):
    files = written(tmp_path, rng, size=104)
    (tmp_path / "classes.txt").write_text("".join(f"n{index:08d} class {index}\n" for index in range(7)))
    run(*files, tmp_path / "out", "--cpus", 0, "--classes", tmp_path / "classes.txt")
    classes = json.loads((tmp_path / "out.json").read_text())["classes"]
    assert classes[2] == {"wnid": "n00000002", "name": "class 2"}
    (tmp_path / "classes.txt").write_text("n1 a\nn2 b\n")
    said = run(*files, tmp_path / "two", "--cpus", 0, "--classes", tmp_path / "classes.txt", code=2)
    assert "has 2 classes and the net 7" in said
    kernels = {**caffemodels.KERNELS, "fc8": 1000}
    files[0].write_text(caffemodels.prototxt(ALEXNET, 104, kernels))
    files[1].write_bytes(caffemodels.caffemodel(ALEXNET, caffemodels.weights(rng, 104, kernels), kernels))
    run(*files, tmp_path / "all", "--cpus", 0)
    classes = json.loads((tmp_path / "all.json").read_text())["classes"]
    # Known by hand: the first, the last and one between in the order of wnids.
    assert [classes[index]["wnid"] for index in (0, 151, 999)] == ["n01440764", "n02085620", "n15075141"]
    assert classes[151]["name"] == "Chihuahua"


def test_eval_measures_an_imported_net(rng, tmp_path):
    for split in ("train", "val"):
        for label in range(7):
            file = tmp_path / split / str(label) / "a.png"
            file.parent.mkdir(parents=True)
            assert cv2.imwrite(str(file), rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    runner.run("pack", "--train", tmp_path / "train", "--val", tmp_path / "val", "--data", tmp_path / "data")
    files = written(tmp_path, rng)
    assert "images of" in run(*files, tmp_path / "out", "--cpus", 0, "--images", tmp_path / "val")
    words = ["eval", "--model", tmp_path / "out", "--data", tmp_path / "data", "--views", 1, "--cpus", 0, "--json"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    # The same by hand: OpenCV's first guesses for the central 227 pixels of the images.
    wrong = 0
    for label in range(7):
        image = cv2.imread(str(tmp_path / "val" / str(label) / "a.png"))
        ok, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        assert ok
        crop = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[14:241, 14:241, ::-1]
        mean = np.array([104.00698793, 116.66876762, 122.67891434], np.float32)
        wrong += by_opencv(*files, crop[None], mean).argmax() != label
    assert json.loads(result.output[result.output.index("{") :])["scores"][0]["top1_wrong"] == wrong


def test_the_structure_is_that_of_the_onnx_wheel_s_bvlc_alexnet(rng, tmp_path):
    """The wheel's own tests hold BVLC AlexNet as a graph whose weights are one number; drawn ones take their place."""
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    graph = onnx.load(folder / "light_bvlc_alexnet.onnx").graph
    values = caffemodels.weights(rng, 227)
    arrays = {f"{name}_{end}_0": array for name, pair in values.items() for end, array in zip("wb", pair)}
    arrays["OC2_DUMMY_1"] = np.array([2, values["fc6"][0].shape[1]], np.int64)  # what the maps are flattened to
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    # The graph says 224, where its poolings, which round down, are not Caffe's; from 227 they are.
    image = helper.make_tensor_value_info("data_0", onnx.TensorProto.FLOAT, [2, 3, 227, 227])
    made = helper.make_graph(
        nodes,
        "drawn",
        [image],
        [helper.make_tensor_value_info("prob_1", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 9)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pictures = rng.integers(0, 256, (2, 227, 227, 3), dtype=np.uint8)
    bgr = (pictures - MEAN)[..., ::-1].transpose(0, 3, 1, 2)
    expected = session.run(None, {"data_0": np.ascontiguousarray(bgr, np.float32)})[0]
    files = caffemodels.written(tmp_path, rng)
    files[1].write_bytes(caffemodels.caffemodel(ALEXNET, values))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(classify_with(imported(*files), mx.cpu())(pictures), expected, rtol=0, atol=1e-5)
