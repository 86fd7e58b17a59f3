"""`alexnet-tools report`: one page that stands alone, with the run's own numbers on it."""

import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from helpers.images import class_tree
from helpers.nets import make_run
from helpers.runner import invoke

import gluon_alexnet as ga
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.training import checkpoint, run_folder, run_log
from gluon_alexnet.workflows import learning_options

LETTERS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
VOID = {"meta", "img", "link", "br", "circle", "line", "polyline"}


class Page(HTMLParser):
    """The text of a page by its sections; complains where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sections, self.sources, self.tags = [], {}, [], []
        self._section = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] in (["h1"], ["h2"]):
            self._section = data
        self.sections[self._section] = (
            self.sections.get(self._section, "") + data + ("" if "pre" in self.open else "\n")
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """A data set one of whose classes has a name that looks like HTML, and a run of two epochs on it."""
    folder = tmp_path_factory.mktemp("report")
    images = class_tree(folder / "images", LETTERS, 4)
    (images / "ant").rename(images / "<b>ant&")
    invoke("pack", "--train", images, "--val", images, "--data", folder / "data", "--encoding", "raw")
    recipe = learning_options.changed(small_recipe, learning_options.LearningOptions(steps=(1,)))
    run = make_run(folder / "run", recipe, folder / "data", 5)
    description, state, parameters, _ = checkpoint.load_run(run)
    digest = read_manifest(folder / "data").digest
    run_folder.write_description(run, dataclasses.replace(description, data_digest=digest))
    epochs = [
        {"epoch": k, "step": 3 * k, "images": 28, "skipped": 0, "learning_rate": rate, "training_loss": 2.5 / k,
         "validation_images": 28, "validation_top1": 90.0 / k, "validation_top5": 30.0 / k, "seconds": 14.0}
        for k, rate in ((1, 0.01), (2, 0.001))
    ]  # fmt: skip
    with run_log.Log(run, state.log_bytes) as log:
        log.write("start", contexts=["cpu(0)", "cpu(1)"])
        log.write("rate", step=4, learning_rate=0.005, by="alexnet-tools lr, user@host")
    state.epochs, state.step = epochs, 6
    checkpoint.save(run, state, parameters, {}, best=True)
    return folder


def page_of(place, tmp_path, *words, run="run"):
    out = invoke("report", place / run, "--output", tmp_path / "r.html", "--cpus", 0, *words)[0]
    return Page((tmp_path / "r.html").read_text(encoding="utf-8")), out


def test_the_page_says_what_eval_and_the_run_say(place, tmp_path):
    page, out = page_of(place, tmp_path)
    scores = json.loads(
        invoke("eval", "--model", place / "run", "--json", "--confused", 6, "--per-class", "--cpus", 0)[0]
    )
    reached = page.sections["What it reaches"]
    for score in scores["scores"]:
        assert f"{score['top1_error']:.2f}" in reached
        assert f"{score['top5_error']:.2f}" in out
    assert "1 CNN (ILSVRC-2012 val; paper, Table 2)" in reached
    assert "not what it should reach here" in reached
    confused = page.sections["What it takes for something else"]
    for pair in scores["confused"]:
        assert f"{pair['label']} taken for {pair['guess']}: {pair['images']} of 4 images" in confused
    for one in scores["per_class"][0]:
        assert f"{one['top1_error']:.1f} % of 4" in page.sections["Class by class"]
    assert "learned for 2 epochs from 28 images of 7 classes" in page.sections["The run run"]
    assert "cpu(0), cpu(1)" in page.sections["What was trained"]
    assert "median 2.0" in page.sections["Time and speed"]
    assert page.tags.count("svg") == 2
    assert page.tags.count("img") == 2 + 30 + sum(min(5, pair["images"]) for pair in scores["confused"])


def test_the_page_stands_alone_and_takes_names_as_names(place, tmp_path):
    page, _ = page_of(place, tmp_path)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>ant&: " not in text
    assert "<b>ant&" in page.sections["Class by class"]
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    assert not re.search(r"https?://", text)
    assert "script" not in page.tags
    assert "default-src 'none'" in text
    for words in ("prefers-color-scheme: dark", "@media print"):
        assert words in text


def test_differences_and_how_to_do_it_again(place, tmp_path):
    page, _ = page_of(place, tmp_path)
    differences = page.sections["Differences from the paper"]
    assert "another data set: 7 classes and 28 training images" in differences
    assert "8 instead of 96 in conv1" in differences
    assert "the rate was set to 0.005 at update 4 by alexnet-tools lr, user@host" in differences
    again = page.sections["To do it again"]
    assert f"alexnet-tools train --data {place / 'data'} --recipe small --epochs 2 --batch-size 8 --lr-steps 1" in again
    assert "--seed 5 --cpus 0,1" in again
    assert "some numbers of the recipe" in again  # the small net is no recipe of train's
    assert checkpoint.sha256(place / "run" / "recipe.json") in again
    assert "0.001" in page.sections["How it went"]


def test_one_view_is_quicker_and_said(place, tmp_path):
    page, out = page_of(place, tmp_path, "--views", 1)
    assert "ten views" not in out
    assert "this net, the centre view" in page.sections["What it reaches"]
    assert "Wrong by its centre alone" not in page.sections["Ten views of some images"]


def test_the_same_from_python(place, tmp_path):
    done, file = [], tmp_path / "p.html"
    scores = ga.report(place / "run", file, views=(1,), device="cpu(0)", progress=lambda *n: done.append(n))
    assert [score.views for score in scores] == [1]
    assert done == [(28, 28)]
    assert Page(file.read_text(encoding="utf-8")).sections["What it reaches"]


def copy_of(place, tmp_path, **changes):
    """The run with another description."""
    run = tmp_path / "copy of it"
    shutil.copytree(place / "run", run, symlinks=True)
    run_folder.write_description(run, dataclasses.replace(run_folder.read_description(run), **changes))
    return run


def test_a_run_without_its_data_is_told_by_its_log(place, tmp_path):
    run = copy_of(place, tmp_path, data=str(tmp_path / "gone"))
    out, err = invoke("report", run, "--output", tmp_path / "r.html", "--cpus", 0)
    assert out == ""
    assert "is not there any more, so no image was judged; --data names another" in err
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "28 images" in page.sections["The run copy of it"]
    assert "45.0 % over the centre view, by its log" in page.sections["The run copy of it"]
    assert "45.00\n15.00\n28" in page.sections["What it reaches"]
    assert "alexnet-tools report 'copy of it' --data DATA" in page.sections["What cannot be shown"]
    assert "28 training images" in page.sections["What was trained"]
    assert page.tags.count("img") == 2  # the kernels
    assert {"How it went", "Time and speed", "To do it again"} < set(page.sections)


def test_other_data_than_the_run_learned_from_is_said(place, tmp_path):
    invoke("pack", "--train", place / "images", "--val", place / "images", "--data", tmp_path / "data", "--seed", 3)
    page, _ = page_of(place, tmp_path, "--data", tmp_path / "data")
    trained = page.sections["What was trained"]
    assert "Judged on\ndata: images: train 28, val 28" in trained
    assert "of another data set than the one that was learned from" in trained
    assert read_manifest(tmp_path / "data").digest in trained
    assert "Judged on" not in page_of(place, tmp_path)[0].sections["What was trained"]


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_young_run(place, tmp_path, epochs):
    run = copy_of(place, tmp_path)
    _, state, parameters, _ = checkpoint.load_run(run)
    state.epochs, state.step = state.epochs[:epochs], 7
    checkpoint.save(run, state, parameters, {}, best=True)
    page = Page(report_of(run, tmp_path / "r.html"))
    told = page.sections["The run copy of it"]
    assert ("learned for 1 epoch from 28 images" if epochs else "learned for 0 epochs from 7 classes") in told
    assert page.tags.count("svg") == 2 * epochs
    assert page.tags.count("circle") == 3 * epochs


def report_of(run, file, *words):
    invoke("report", run, "--output", file, "--cpus", 0, "--views", 1, *words)
    return file.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_thousand_classes(tmp_path, small_recipe):
    """The page of many classes has the best and the worst of them, and is no larger for it."""
    images = class_tree(tmp_path / "images", [f"n{k:08d}" for k in range(1000)], 1)
    invoke("pack", "--train", images, "--val", images, "--data", tmp_path / "data")
    text = report_of(make_run(tmp_path / "run", small_recipe, tmp_path / "data", 5), tmp_path / "r.html")
    page = Page(text)
    assert page.sections["Class by class"].count(" % of 1\n") == 20
    assert "The worst 10" in page.sections["Class by class"]
    assert "another data set" not in page.sections["Differences from the paper"]
    assert len(text) < 2**20


def test_what_cannot_be_reported_is_said(place, tmp_path):
    assert "is neither a run nor a checkpoint" in invoke("report", tmp_path, code=2)[1]
    words = ["report", place / "run", "--cpus", 0]
    assert "is no folder" in invoke(*words, "--output", tmp_path / "none" / "r.html", code=2)[1]
    other = class_tree(tmp_path / "other", ("x", "y"), 2)
    invoke("pack", "--train", other, "--val", other, "--data", tmp_path / "data")
    assert "has other classes than the run" in invoke(*words, "--data", tmp_path / "data", code=2)[1]
    assert not (tmp_path / "r.html").exists()
