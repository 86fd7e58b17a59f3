"""Which AlexNet a file is."""

import dataclasses

import numpy as np
import pytest
from helpers import caffemodels, owt_files
from helpers.caffemodels import ALEXNET, CAFFENET, FULL
from helpers.nets import make_run
from helpers.runner import run

from gluon_alexnet.importers.families import Match, families, lines_of_network, match, match_shapes
from gluon_alexnet.model.shapes import parameter_shapes
from gluon_alexnet.recipes import presets, variants
from gluon_alexnet.workflows.identify import identify
from gluon_alexnet.workflows.import_weights import import_weights


def test_no_two_families_are_the_same():
    lines = families()
    assert {"paper", "as-run", "one-weird-trick", "narrow", "BVLC AlexNet", "CaffeNet"} <= set(lines)
    alike = {}  # the same net, with another schedule or number of classes
    for name, one in lines.items():
        alike.setdefault(tuple(one), []).append(name)
    assert [names for names in alike.values() if len(names) > 1] == [
        ["as-run", "as-run-2010", "net-145", "net-145-2010", "net-145-continued"],
        ["net-146-2009", "net-146-2012-2011", "net-146-2012-2009", "six-conv-2009-half"],
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("net-145-half", "conv2: 128 of 5×5×48, stride 1, padding 2"),
        ("net-147", "pool1: max over 2×2, stride 2"),
        ("net-149", "norm5: LRN over 5 maps of a column, k 2, α/n 2e-05, β 0.75"),
        ("net-150", "fc7: 4096 neurons, each of its own column"),
        ("net-146-2011", "bottleneck: 2048 neurons"),
    ],
)
def test_a_net_of_the_diary_is_named_where_it_is_one_and_is_nearest_to_none(name, line):
    network = presets.RECIPES[name].network
    assert line in lines_of_network(network)
    assert match(lines_of_network(network)) == Match(name)
    other = match(lines_of_network(dataclasses.replace(network, fc6=dataclasses.replace(network.fc6, neurons=3072))))
    assert other.differences and not other.family.startswith("net-")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-lrn", ("no norm1", "no norm2")),
        ("one-gpu", ("conv1: 48 of 11×11×3", "instead of conv1: 96 of 11×11×3")),
        ("tanh", ("activation1: tanh instead of activation1: relu",)),
        ("six-conv", ("conv6: 256 of 3×3×256, stride 1, padding 1 added",)),
        ("no-cross-link", ("conv3: 384 of 3×3×128",)),
    ],
)
def test_a_variant_is_told_by_what_differs(name, said):
    found = match(lines_of_network(variants.apply(presets.PAPER, [name]).network))
    assert found.family == "paper"
    assert all(sentence in "\n".join(found.differences) for sentence in said)


def test_shapes_alone_do_not_tell_the_two_column_nets_apart():
    found = match_shapes(parameter_shapes(presets.PAPER.network, 1000))
    assert found.family.startswith("two columns: paper, as-run")
    assert "BVLC AlexNet or CaffeNet" in found.family
    assert found.differences == ()
    other = {**parameter_shapes(presets.PAPER.network, 1000), "fc6_weight": (512, 9216), "fc7_weight": (4096, 512)}
    assert match_shapes(other).differences == (
        "fc6 is 512×9216 instead of 4096×9216",
        "fc7 is 4096×512 instead of 4096×4096",
    )
    assert match_shapes({"conv1_weight": (64, 3, 3, 3), "conv2_weight": (64, 64, 3, 3)}).family == ""


@pytest.mark.parametrize("form", ["zip", "zoo", "jax"])
def test_files_and_what_is_made_of_them(rng, tmp_path, form):
    arrays = owt_files.weights(rng, classes=5, smooth=form == "zip")
    file = owt_files.write(tmp_path, arrays, form)
    for path in (file, import_weights([file], tmp_path / "out").out, tmp_path / "out-0000.params"):
        found = identify(path)
        assert found.family == "one-weird-trick"
        assert found.classes == (0 if form == "jax" else 5)
        assert found.kernels.verdict == ("trained" if form == "zip" else "noise")
        widths = {difference[:3] for difference in found.differences} - {"fc8"}
        assert widths == (set() if form == "jax" else {"fc6", "fc7"})
    said = run("identify", file, tmp_path / "out")
    assert said.count("NOISE, drawn and never trained") == (0 if form == "zip" else 2)


@pytest.mark.parametrize("old", [False, True], ids=["layer", "layers"])
@pytest.mark.parametrize("order", [ALEXNET, CAFFENET], ids=["BVLC AlexNet", "CaffeNet"])
def test_caffe_s_files(rng, tmp_path, order, old):
    family = {ALEXNET: "BVLC AlexNet", CAFFENET: "CaffeNet"}[order]
    prototxt, caffemodel = caffemodels.written(tmp_path, rng, order, old=old)
    assert identify(prototxt).family == family
    found = identify(caffemodel)
    assert (found.format, found.family, found.classes, found.names) == ("a caffemodel", family, 7, "Caffe")
    assert found.differences == ("no layer has the shape of a known net's",)
    assert found.kernels.verdict == "noise"
    import_weights([caffemodel, prototxt], tmp_path / "out")  # in either order
    assert identify(tmp_path / "out").family == family


def test_a_full_caffenet_differs_in_nothing(rng, tmp_path):
    shapes = caffemodels.shapes(227, FULL)
    zeros = {name: (np.zeros((1, *shape[1:]) if len(shape) == 2 else shape, "<f4"), np.zeros(shape[0], "<f4"))
             for name, shape in shapes.items()}  # fmt: skip
    (tmp_path / "a").write_bytes(caffemodels.caffemodel(CAFFENET, {k: zeros[k] for k in list(zeros)[:5]}, FULL))
    found = identify(tmp_path / "a")
    assert (found.family, found.differences) == ("CaffeNet", ())
    assert found.kernels.verdict == "constant"


def test_runs_are_what_their_recipes_say(small_recipe, tmp_path, rng):
    import cv2

    for label in range(2):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        image = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        assert cv2.imwrite(str(tmp_path / "images" / str(label) / "a.png"), image)
    words = ["--train", tmp_path / "images", "--val", tmp_path / "images", "--data", tmp_path / "data"]
    run("pack", *words)
    recipe = dataclasses.replace(small_recipe, name="mine", network=presets.NARROW.network)
    found = identify(make_run(tmp_path / "run", recipe, tmp_path / "data", seed=1))
    assert (found.format, found.family, found.differences) == ("a run of the recipe mine", "narrow", ())
    assert (found.classes, found.kernels.verdict) == (2, "noise")


def test_what_is_nothing_of_the_kind_is_refused(tmp_path):
    assert "There is no file, run or exported net" in run("identify", tmp_path / "a", code=2)
    (tmp_path / "a").write_bytes(b"\1\2\3\4" * 100)
    assert "is no file of weights that is known here" in run("identify", tmp_path / "a", code=1)
    (tmp_path / "a").write_text("hello")
    assert "is no prototxt" in run("identify", tmp_path / "a", code=2)
    assert "is not a regular file" in run("identify", "/dev/zero", code=2)
