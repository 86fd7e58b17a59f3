"""Caffe's files that are another net's, damaged or hostile: a sentence, and nothing is written."""

import struct

import numpy as np
import pytest
from helpers import caffemodels, runner
from helpers.caffemodels import ALEXNET, blob, field, written

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.importers.caffe import architecture as caffe
from gluon_alexnet.importers.caffe import weights as caffe_weights


def run(*words, code=0):
    return runner.run("import", *words, code=code)


CHANGES = {
    "another layer": (
        'type: "LRN"',
        'type: "BatchNorm"',
        "'norm1' (BatchNorm) comes where BVLC AlexNet has LRN",
    ),
    "no normalisation": (
        'layer { name: "norm2" type: "LRN" bottom: "conv2" top: "norm2"',
        'layer { name: "norm2" type: "ReLU" bottom: "conv2" top: "norm2"',
        "'norm2' (ReLU) comes where",
    ),
    "a branch": ('bottom: "conv1" top: "norm1"', 'bottom: "data" top: "norm1"', "does not go on from 'conv1' alone"),
    "average": ("pool: MAX", "pool: AVE", "layer 'pool1': pool is set"),
    "within maps": ("local_size: 5", "local_size: 5 norm_region: WITHIN_CHANNEL", "norm_region is set"),
    "leaky": (
        'type: "ReLU" bottom: "conv1"',
        'type: "ReLU" relu_param { negative_slope: 0.1 } bottom: "conv1"',
        "_slope is set",
    ),
    "dilated": ("kernel_size: 11 stride: 4", "kernel_size: 11 stride: 4 dilation: 2", "dilation is set"),
    "oblong": ("kernel_size: 11", "kernel_h: 11 kernel_w: 5", "one number for both directions"),
    "no stride": ("stride: 4", "stride: 0", "stride must be one number"),
    "groups": ("kernel_size: 5 group: 2", "kernel_size: 5 group: 3", "cannot read 8 maps in 3 groups"),
    "no numbers": ("alpha: 0.0001", "alpha: nan", "are no normalisation"),
    "grey": ("dim: 3 dim: 227", "dim: 1 dim: 227", "it must be N×3×S×S"),
    "huge image": ("dim: 227 dim: 227", "dim: 99999 dim: 99999", "at most 256 pixels"),
    "tiny image": ("dim: 227 dim: 227", "dim: 20 dim: 20", "too small for its layers"),
    "no text": ("layer {", "layer <<", "is no prototxt"),
    "no input": ('input: "data"', "", "does not say what its input is"),
    "no UTF-8": ('name: "norm1" type: "LRN"', 'name: "\\xff" type: "\\xfe"', "is no prototxt"),
    "two of a name": ('name: "conv2"', 'name: "conv1"', "need names of their own"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_architecture_is_refused_by_name(rng, tmp_path, change):
    files = written(tmp_path, rng)
    before, after, sentence = CHANGES[change]
    text = files[0].read_text()
    assert before in text
    files[0].write_text(text.replace(before, after, 1))
    said = run(*files, tmp_path / "out", "--cpus", 0, code=2)
    assert sentence in said
    assert not list(tmp_path.glob("*out*"))


def test_settings_written_out_as_they_are_by_default_are_no_other_architecture(rng, tmp_path):
    files = written(tmp_path, rng)
    text = files[0].read_text().replace("kernel_size: 11", "kernel_h: 11 kernel_w: 11 dilation: 1 bias_term: true")
    files[0].write_text(text)
    assert caffe.read_architecture(files[0]).layers[0].size == 11


def test_the_solver_s_prototxt_is_refused(rng, tmp_path):
    files = written(tmp_path, rng)
    files[0].write_text('layer { name: "data" type: "Data" top: "data" top: "label" }\n' + files[0].read_text())
    assert "'data' (Data)" in run(*files, tmp_path / "out", code=2)


def changed(content, what, rng):
    """A caffemodel's bytes with one thing wrong."""
    values = caffemodels.weights(rng)
    if what == "cut":
        return content[: len(content) // 2]
    if what == "cut at the end":
        return content[:-3]
    if what == "junk":
        return rng.bytes(len(content))
    if what == "empty":
        return b""
    if what == "another width":
        values["conv3"] = (values["conv3"][0][:, :6].copy(), values["conv3"][1])
    if what == "not finite":
        values["fc7"][0][3, 4] = np.nan
    if what == "no conv4":
        del values["conv4"]
    made = caffemodels.caffemodel(ALEXNET, values)
    if what == "a layer more":
        made += field(100, field(1, "conv6") + field(7, blob(values["conv5"][0])))
    return made


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("cut", "the file is cut, or it belongs to another net"),
        ("cut at the end", "it cannot be decoded"),
        ("junk", "net.caffemodel"),
        ("empty", "has 0 bytes"),
        ("another width", "bytes and the weights of this net take"),
        ("not finite", "the weight of layer 'fc7' has numbers that are not finite"),
        ("no conv4", "bytes and the weights of this net take"),
        ("a layer more", "weights of conv6, which the prototxt does not have"),
    ],
)
def test_a_caffemodel_that_does_not_fit_is_named(rng, tmp_path, what, sentence):
    files = written(tmp_path, rng)
    files[1].write_bytes(changed(files[1].read_bytes(), what, rng))
    said = run(*files, tmp_path / "out", "--cpus", 0, code=1)
    assert sentence in said
    assert not list(tmp_path.glob("*out*"))


def test_sizes_that_a_file_only_claims_are_never_made(rng, tmp_path):
    files = written(tmp_path, rng)
    values = caffemodels.weights(rng)
    one = values.pop("fc8")[0]
    content = caffemodels.caffemodel(ALEXNET, values)
    padding = field(1, "x" * one.nbytes)  # the file is long enough
    for claimed, data in (((2**40, 2**20), one), ((7, 20), one[:3]), ((-7, 20), one), ((7, 20, 1), one)):
        dims = b"".join(caffemodels.varint(side % 2**64) for side in claimed)
        bad = field(7, field(1, dims)) + field(5, data.tobytes())
        good = field(7, blob(np.zeros(7, "<f4")))
        layer = field(100, field(1, "fc8") + field(2, "InnerProduct") + field(7, bad) + good)
        files[1].write_bytes(content + layer + padding)
        said = run(*files, tmp_path / "out", "--cpus", 0, code=1)
        assert "the weight of layer 'fc8'" in said
    # A length beyond the file's end, and a net that would take terabytes.
    files[1].write_bytes(content + b"\xa2\x06" + caffemodels.varint(2**31 - 1) + padding)
    assert "cannot be decoded" in run(*files, tmp_path / "out", "--cpus", 0, code=1)
    files[0].write_text(files[0].read_text().replace("num_output: 20", f"num_output: {2**40}"))
    assert "the weights of this net take" in run(*files, tmp_path / "out", "--cpus", 0, code=1)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08", blob(np.zeros((1, 1, 256, 256), "<f4")), field(7, field(1, b"\1\3")), struct.pack("<f", 1)],
)
def test_a_mean_that_is_none_is_named(rng, tmp_path, content):
    files = written(tmp_path, rng)
    (tmp_path / "mean").write_bytes(content)
    assert f"{tmp_path / 'mean'}" in run(*files, tmp_path / "out", "--mean", tmp_path / "mean", "--cpus", 0, code=1)


def test_a_mean_smaller_than_the_net_is_refused(rng, tmp_path):
    files = written(tmp_path, rng)
    (tmp_path / "mean").write_bytes(blob(np.zeros((1, 3, 100, 100), "<f4")))
    said = run(*files, tmp_path / "out", "--mean", tmp_path / "mean", "--cpus", 0, code=2)
    assert "has 100×100 pixels and the net reads 227" in said


def test_a_net_that_opencv_judges_otherwise_is_not_written(rng, tmp_path, monkeypatch):
    files = written(tmp_path, rng)
    real = caffe_weights.read_weights

    def swapped(caffemodel, architecture):
        weights = real(caffemodel, architecture)
        return {**weights, "fc8_bias": weights["fc8_bias"] + np.arange(7, dtype=np.float32)}

    monkeypatch.setattr(caffe_weights, "read_weights", swapped)
    assert "OpenCV gets probabilities that differ" in run(*files, tmp_path / "out", "--cpus", 0, code=1)
    assert not list(tmp_path.glob("*out*"))


def test_the_reader_raises_the_project_s_errors(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequest, match="is no prototxt"):
        caffe.read_architecture(tmp_path / "a")
    with pytest.raises(OperationFailed, match="a is cut or no file of Caffe's"):
        caffe_weights.read_mean(tmp_path / "a")


def test_any_byte_may_be_wrong(rng, tmp_path):
    """Flipped, dropped and doubled bytes are refused with a sentence, or what is read has the shapes it must have."""
    prototxt, caffemodel = written(tmp_path, rng, size=104)
    whole = [file.read_bytes() for file in (prototxt, caffemodel)]
    heads = [n for n in range(len(whole[1]) - 1) if whole[1][n : n + 2] in (b"\xa2\x06", b"conv"[:2], b"\x3a\x0b")]
    refused = 0
    for trial in range(160):
        for file, content in zip((prototxt, caffemodel), whole):
            file.write_bytes(content)
        file, content = ((prototxt, whole[0]), (caffemodel, whole[1]))[trial % 2]
        changed = bytearray(content)
        place = int(rng.integers(len(content)))
        if file == caffemodel and trial % 4 == 1:  # near the fields that say what is where
            place = min(int(rng.choice(heads)) + int(rng.integers(30)), len(content) - 1)
        change = rng.integers(3)
        if change == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif change == 1:
            del changed[place]
        else:
            changed.insert(place, changed[place])
        file.write_bytes(changed)
        try:
            architecture = caffe.read_architecture(prototxt)
            weights = caffe_weights.read_weights(caffemodel, architecture)
        except (InvalidRequest, OperationFailed) as error:
            assert str(tmp_path) in str(error)
            refused += 1
        else:
            assert {name: array.shape for name, array in weights.items()} == architecture.shapes
    assert refused > 50


def test_a_device_that_never_ends_is_no_file(tmp_path):
    assert "/dev/zero is not a regular file" in run("/dev/zero", "/dev/zero", tmp_path / "out", code=2)
