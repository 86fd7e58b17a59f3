"""Tables 1 and 2 as steps: the plan, the whole chain at narrow width, stopped anywhere, and what is refused."""

import dataclasses
import hashlib

import numpy as np
import pytest
from helpers.images import class_tree
from helpers.runner import run

from gluon_alexnet.backend import gluoncv, mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.experiments import paper_tables
from gluon_alexnet.recipes.presets import RECIPES
from gluon_alexnet.recordio.dataset.manifest import ClassInfo, Manifest, Shard, Split
from gluon_alexnet.training import checkpoint, run_folder
from gluon_alexnet.training.callbacks import TrainingCallback
from gluon_alexnet.workflows.reproduce.tables_1_and_2 import check_data_set, reproduce_table

KERNELS = {"conv1": 8, "conv2": 12, "conv3": 16, "conv4": 16, "conv5": 12, "conv6": 12}
NEURONS = {"fc6": 20, "fc7": 20, "bottleneck": 8}
SHORT = {"epochs": 1, "batch_size": 4}
CONVOLUTIONS = tuple(KERNELS)


def small(recipe):
    """The recipe with few kernels, for crops of 99 pixels."""
    network = recipe.alexnet
    layers = {name: dataclasses.replace(layer, kernels=KERNELS[name]) for name, layer in network.convolutions()}
    layers |= {name: dataclasses.replace(layer, neurons=NEURONS[name]) for name, layer in network.hidden()}
    return dataclasses.replace(recipe, network=dataclasses.replace(network, input_size=99, **layers))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small data set for each that the steps need, with classes of its own."""
    folder, found = tmp_path_factory.mktemp("sets"), {}
    for place, name in enumerate(paper_tables.DATA_SETS):
        classes, own = [f"{letter}{place}" for letter in "abcd"[: 2 + place % 3]], folder / name
        class_tree(own / "train", classes, images=4, seed=place)
        class_tree(own / "val", classes, images=2, seed=500 + place)
        run("pack", "--train", own / "train", "--val", own / "val", "--data", own / "data")
        found[name] = own / "data"
    return found


class Watcher(TrainingCallback):
    """Keeps the first parameters of each training, and stops after so many updates."""

    def __init__(self, updates=None):
        self.updates, self.first, self.trained = updates, {}, []

    def begin(self, start, state):
        self.folder = start.run
        self.trained.append(start.run.name)

    def save(self, state, best):
        if state.step == 0:
            self.first[self.folder.name] = arrays(self.folder)

    def rate_asked(self):
        self.updates = None if self.updates is None else self.updates - 1

    def stop(self):
        return self.updates is not None and self.updates <= 0


def arrays(folder):
    loaded = mx.nd.load(str(folder / "latest" / "parameters.params"))
    return {name: array.asnumpy() for name, array in loaded.items() if name != "mean"}


def mean_errors(files):
    """Top-1 and top-5 error, per cent, of the mean of saved probabilities, by NumPy."""
    loaded = [np.load(file) for file in files]
    labels, mean = loaded[0]["labels"], np.mean([one["probabilities_10"] for one in loaded], axis=0, dtype=np.float64)
    order = np.argsort(-mean, axis=1)
    return tuple(100 * np.mean([label not in row[:top] for row, label in zip(order, labels)]) for top in (1, 5))


def test_the_whole_chain_begins_each_net_with_the_right_one_and_averages_the_nets(data, tmp_path):
    watcher = Watcher()
    rows = reproduce_table("table-2", data, tmp_path, callbacks=[watcher], rehearsal=small, **SHORT)
    assert [row.row.name for row in rows] == ["1-cnn", "5-cnns", "1-cnn-star", "7-cnns-star", "10184-classes"]
    five = ["net-145", *(f"net-145-seed-{seed}" for seed in (1, 2, 3, 4))]
    pretrained = ["net-146-2009", "net-146-2011", "net-146-2012-2011", "net-146-2012-2009"]
    assert watcher.trained == [*five, *pretrained, "six-conv-2009-half"]
    seven = [*five, "net-146-2012-2011", "net-146-2012-2009"]
    nets = [five[:1], five, ["net-146-2012-2011"], seven, ["six-conv-2009-half"]]
    for row, names in zip(rows, nets):
        score = row.errors["val"].scores[0]
        files = [tmp_path / name / "predictions-val.npz" for name in names]
        assert (score.views, score.top1, score.top5) == (10, *(pytest.approx(error) for error in mean_errors(files)))
    hidden = ("fc6", "fc7")
    for name, source, layers in (
        ("net-146-2009", "net-145", CONVOLUTIONS[:5]),
        ("net-146-2011", "net-146-2009", CONVOLUTIONS),
        ("net-146-2012-2011", "net-146-2011", CONVOLUTIONS + hidden),
        ("net-146-2012-2009", "net-146-2009", CONVOLUTIONS + hidden),
    ):
        begun, end = watcher.first[name], arrays(tmp_path / source)
        for key, value in begun.items():
            layer, _, kind = key.rpartition("_")
            taken = layer in layers and (kind == "weight" or name != "net-146-2009")
            if not taken and kind == "bias":  # as new: a constant
                assert len(set(value.ravel())) == 1, (name, key)
            elif key in end and end[key].shape == value.shape:
                assert np.array_equal(value, end[key]) == taken, (name, key)
    assert "bottleneck_weight" in watcher.first["net-146-2011"]
    assert "bottleneck_weight" not in watcher.first["net-146-2012-2011"]
    seeds = [watcher.first[name]["conv1_weight"] for name in five]
    assert not any(np.array_equal(seeds[0], other) for other in seeds[1:])


def test_stopped_in_the_middle_of_any_step_it_goes_on_and_repeats_nothing(data, tmp_path):
    wanted = {"rows": ["1-cnn-star"], "rehearsal": small, **SHORT}
    whole = reproduce_table("table-2", data, tmp_path / "whole", **wanted)
    stops, rows, finished = 0, [], {}
    while not rows:
        watcher = Watcher(updates=1 + stops % 3)
        rows = reproduce_table("table-2", data, tmp_path / "cut", callbacks=[watcher], **wanted)
        assert not set(watcher.trained) & set(finished), "a finished training was begun again"
        for folder in (tmp_path / "cut").iterdir():
            if checkpoint.read_state(folder / "latest").epochs:
                finished.setdefault(folder.name, (folder / "log.jsonl").read_bytes())
        stops += 1
    assert stops > 4 and len(finished) == 4
    for name, log in finished.items():
        one, other = (arrays(tmp_path / kind / name) for kind in ("whole", "cut"))
        assert all(one[key].tobytes() == other[key].tobytes() for key in one), name
        assert (tmp_path / "cut" / name / "log.jsonl").read_bytes() == log
    assert rows[0].errors["val"].scores == whole[0].errors["val"].scores
    saved = tmp_path / "cut" / "net-146-2012-2011" / "predictions-val.npz"
    before = saved.stat().st_mtime_ns
    watcher = Watcher()
    again = reproduce_table("table-2", data, tmp_path / "cut", callbacks=[watcher], **wanted)
    assert again[0].errors["val"].scores == whole[0].errors["val"].scores
    assert (watcher.trained, saved.stat().st_mtime_ns) == ([], before)
    other = {**wanted, "epochs": 2}
    with pytest.raises(InvalidRequest, match="net-145 is a run of another recipe, data set or start than net-145"):
        reproduce_table("table-2", data, tmp_path / "cut", **other)
    with pytest.raises(InvalidRequest, match="is a run of another recipe, data set or start"):
        reproduce_table("table-2", {**data, "fall-2011": data["fall-2009"]}, tmp_path / "cut", **wanted)


def manifest(wnids, train=10, val=10):
    splits = (
        Split(name, (Shard("s.rec", count, 1, "", "", ""),), (count,), 0)
        for name, count in (("train", train), ("val", val))
    )
    return Manifest(tuple(ClassInfo(wnid, wnid) for wnid in wnids), tuple(splits), 0, "")


def digits(count):
    return [f"n{number:08}" for number in range(count)]


def test_the_challenge_s_classes_are_known():
    wnids = sorted(gluoncv.data.ImageNet1kAttr().synset)
    assert hashlib.sha256("\n".join(wnids).encode()).hexdigest() == paper_tables.DATA_SETS["ilsvrc-2012"].wnids
    check_data_set(manifest(wnids), "ilsvrc-2012", "d", "net-145")
    check_data_set(manifest(digits(10_184), 90, 10), "fall-2009", "d", "net-146-2009")
    check_data_set(manifest(digits(10_184), 100_000, 99_000), "fall-2009-half", "d", "six-conv-2009-half")


@pytest.mark.parametrize(
    ("given", "needed", "words"),
    [
        ("ilsvrc-2012", "ilsvrc-2010", r"s needs ILSVRC-2010 \(1,000 classes\), but d is ILSVRC-2012; name the right"),
        ("ilsvrc-2010", "ilsvrc-2012", r"s needs ILSVRC-2012 \(1,000 classes\), but d is ILSVRC-2010; name the right"),
        ("ilsvrc-2012", "fall-2009", r"needs ImageNet, Fall 2009 \(10,184 classes\), but d is ILSVRC-2012"),
        (10_184, "fall-2011", r"needs ImageNet, Fall 2011 \(21,843 classes\), but d has 10,184 classes"),
        (21_843, "ilsvrc-2012", "needs ILSVRC-2012 .* but d has 21,843 classes"),
        (1_000, "ilsvrc-2012", "needs ILSVRC-2012 .* but d has 1,000 other classes"),
        (10_184, "fall-2009-half", "half of it to learn from .* but d has 90,000 training and 10 validation images"),
    ],
)
def test_a_step_in_the_wrong_data_set_is_refused(given, needed, words, monkeypatch):
    lists = {"ilsvrc-2012": list(gluoncv.data.ImageNet1kAttr().synset), "ilsvrc-2010": digits(1_001)[1:]}
    known = paper_tables.DATA_SETS["ilsvrc-2010"]
    own = hashlib.sha256("\n".join(lists["ilsvrc-2010"]).encode()).hexdigest()  # the real list is not among our files
    monkeypatch.setitem(paper_tables.DATA_SETS, "ilsvrc-2010", dataclasses.replace(known, wnids=own))
    with pytest.raises(InvalidRequest, match=words) as caught:
        check_data_set(manifest(lists.get(given) or digits(given), 90_000), needed, "d", "s")
    assert "\n" not in str(caught.value)


def test_the_command_plans_refuses_and_rehearses(data, tmp_path):
    folders = [word for name, folder in data.items() for word in ("--data", f"{name}={folder}")]
    words = ["reproduce", "table-2", "--out", tmp_path / "out"]
    assert "net-145 needs ILSVRC-2012 (1,000 classes), but" in run(*words, *folders, code=2)
    said = run(*words, "--row", "1-cnn", "--data", f"ilsvrc-2012={tmp_path}", code=2)
    assert f"net-145 needs ILSVRC-2012, and {tmp_path} holds none" in said
    assert "There is no row '2-cnns' in table-2; there are 1-cnn, " in run(*words, "--row", "2-cnns", code=2)
    assert "'fall-2010=d' is not one of" in run(*words, "--data", "fall-2010=d", code=2)
    assert not (tmp_path / "out").exists()
    short = ["--rehearsal", "--row", "1-cnn", "--epochs", 1, "--batch-size", 4, "--cpus", "0"]
    said = run(*words, *folders, *short)
    assert "A rehearsal: nets of an eighth of the width" in said and "printed: val 40.7/18.2" in said
    assert (tmp_path / "out" / "table-2.txt").read_text() in said
    assert run_folder.read_description(tmp_path / "out" / "net-145").recipe.alexnet.conv1.kernels == 12


def test_the_plans_say_every_step_and_what_is_not_told():
    said = run("reproduce", "table-2", "--plan")
    for words in (
        "6. net-146-2009: recipe net-146-2009 on fall-2009, seed 0, 7 epochs",
        "conv1, conv2, conv3, conv4, conv5 of net-145, their weights without their biases; the other layers new",
        "after 2.1600: weights of conv6, fc6, fc7, fc8 0.001",
        "after 79: weights of conv2, conv3, conv4, conv5, fc6, fc7, fc8 1e-05",
        "not told: which five nets: ",
        "not told: which second CNN*: ",
        "not told: how they were averaged: avg-valid.py",
        "differs: both pre-trainings were stopped within an epoch",
    ):
        assert words in said
    assert "5 CNNs" not in run("reproduce", "table-2", "--plan", "--row", "1-cnn-star")
    assert "1 trainings" not in run("reproduce", "table-1", "--plan")
    steps = list(paper_tables.STEPS.values())
    assert all(step.recipe in RECIPES and step.data in paper_tables.DATA_SETS for step in steps)
    for place, step in enumerate(steps):
        assert step.start is None or step.start.step in [before.name for before in steps[:place]]
