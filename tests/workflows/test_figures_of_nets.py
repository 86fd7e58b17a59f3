"""The pictures as functions and commands: what is drawn is what was counted, and wrong words are told."""

import cv2
import numpy as np
import pytest
from helpers import images, nets
from helpers.runner import run

from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.plots import views
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.workflows import figures
from gluon_alexnet.workflows.load import load


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    folder = tmp_path_factory.mktemp("figures")
    data = images.packed(folder)
    nets.make_run(folder / "run", small_recipe, data, seed=1)
    return folder


@pytest.mark.parametrize("views", [1, 10])
def test_a_confusion_is_what_each_image_was_taken_for(place, tmp_path, views):
    found = figures.plot_confusion(place / "run", tmp_path / "c.png", split="train", views=views)
    expected = np.zeros((3, 3), int)
    net = load(place / "run")
    with Reader(place / "data", "train") as reader:
        for number in range(len(reader)):
            pixels, label = reader.read(number)
            expected[label, net.classify(crop_views(pixels[None], 99, views)[0]).mean(axis=0).argmax()] += 1
    assert (found.counts == expected).all() and found.images == 12 == expected.sum()
    assert found.accuracy == pytest.approx(100 * np.trace(expected) / 12)
    saved = tmp_path / "p.npz"
    run("eval", "--model", place / "run", "--split", "train", "--views", views, "--save-predictions", saved)
    said = run("plot", "confusion", saved, "--views", views, "--output", tmp_path / "s.svg")
    assert f"12 images of 3 classes, {found.accuracy:.2f} % classified correctly" in said
    assert (figures.plot_confusion(saved, tmp_path / "s.png", views=views).counts == expected).all()
    if views == 1:
        with pytest.raises(InvalidRequest, match="over 1 views, not over 10"):
            figures.plot_confusion(saved, tmp_path / "s.png", views=10)


def test_the_opinions_of_ten_views_are_the_net_s_own(place, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(views, "draw_views", lambda viewed, file: kept.extend(viewed))
    files = sorted((place / "train" / "ant").iterdir())[:2]
    told = figures.plot_views(place / "run", [place / "train" / "ant"], tmp_path / "v.png")
    assert [one.source for one in told][:2] == [str(file) for file in files] and len(told) == 4
    net = load(place / "run")
    ten = net.classify(kept[0].views)
    names = [info["name"] for info in net.classes]
    assert [name for name, _ in told[0].views] == [names[k] for k in ten.argmax(axis=1)]
    assert [share for _, share in told[0].views] == pytest.approx(ten.max(axis=1).tolist())
    (mean,) = net.predict([files[0]], views=10)
    assert [name for name, _ in told[0].mean] == [guess.name for guess in mean.guesses]
    assert [share for _, share in told[0].mean] == pytest.approx(
        [guess.probability for guess in mean.guesses], abs=1e-6
    )
    assert kept[0].label == "ant" and kept[0].name == files[0].name


def test_commands_draw_and_say_what(place, tmp_path):
    image = place / "train" / "ant" / "ant_0.JPEG"
    said = run("plot", "views", place / "run", image, "--cpus", 0, "--output", tmp_path / "v.png")
    assert "the first guess of" in said and "of 10 views" in said
    assert run("plot", "predictions", place / "run", place / "train", "--cpus", 0, "--output", tmp_path / "p.pdf")
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")
    assert cv2.imread(str(tmp_path / "v.png")).std() > 10


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (["confusion", "run", "--output", "c.gif"], "c.gif must end in .png, .svg or .pdf", 2),
        (["confusion", "nope"], "nope is neither a run", 2),
        (["confusion", "run", "--split", "test"], "the data set has no split 'test'", 2),
        (["views", "run", "train"], "The views of more than 8 images do not fit into a drawing", 2),
        (["views", "run", "none.jpg"], "none.jpg: No such file", 1),
        (["views", "run", "data"], "There is not one image to draw", 1),
        (["curves", "run"], "has not finished an epoch yet, so it has no curve", 2),
        (["predictions", "run", "data"], "There is not one image to draw", 1),
    ],
)
def test_wrong_use(place, monkeypatch, words, sentence, code):
    monkeypatch.chdir(place)
    assert sentence in run("plot", *words, code=code)
    assert not list(place.glob("*.png"))
