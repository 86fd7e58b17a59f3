"""`plot units` and `plot saliency`: what is drawn is what was found, and wrong words are told."""

import cv2
import numpy as np
import pytest
from helpers import images, nets
from helpers.runner import run

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.features.activations import open_layers
from gluon_alexnet.plots import saliency, units
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.workflows.load import open_graph
from gluon_alexnet.workflows.plot_saliency import find_class


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    folder = tmp_path_factory.mktemp("inside")
    data = images.packed(folder)
    nets.make_run(folder / "run", small_recipe, data, seed=1)
    for number in range(2):
        assert cv2.imwrite(str(folder / f"{number}.png"), images.photo(number))
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """What the drawings are given."""
    kept = {}
    monkeypatch.setattr(units, "draw_units", lambda rows, title, file: kept.update(rows=rows, title=title))
    monkeypatch.setattr(saliency, "draw_saliency", lambda images, title, file: kept.update(images=images))
    return kept


def everything(place, layer):
    """(activations of the whole split, its views, its keys), one image after the other."""
    net = open_layers(open_graph(place / "run", mx.cpu()), [layer], False, mx.cpu())
    with Reader(place / "data", "train") as reader:
        views = [crop_views(reader.read(number)[0][None], 99, 1)[0, 0] for number in range(len(reader))]
        found = [net.compute(view[None])[layer][0] for view in views]
        return np.stack(found), views, [reader.key(number) for number in range(len(reader))]


def test_units_are_drawn_with_their_strongest_images(place, tmp_path, drawn):
    words = ["--split", "train", "--layer", "conv5", "--units", "2,9", "--count", 4, "--output", tmp_path / "u.png"]
    said = run("plot", "units", place / "run", "--cpus", 0, *words)
    values, views, keys = everything(place, "conv5")
    peaks = values.reshape(12, 12, -1).max(axis=2)  # images, units
    for row, unit, column in zip(drawn["rows"], (2, 9), (1, 2)):
        order = sorted(range(12), key=lambda image: -peaks[image, unit])[:4]
        assert (row.title, row.note) == (f"unit {unit}", f"column {column}")
        assert [one.value for one in row.images] == pytest.approx([peaks[image, unit] for image in order], rel=1e-4)
        for one, image in zip(row.images, order):
            np.testing.assert_array_equal(one.view, views[image])
            place_of = np.unravel_index(values[image, unit].argmax(), (5, 5))
            assert one.box == (16 * place_of[0] - 64, 16 * place_of[1] - 64, *(16 * np.array(place_of) - 64 + 163))
        assert f"conv5 unit {unit} (column {column}): {keys[order[0]]} " in said
    assert "each sees 163×163 pixels" in drawn["title"]


def test_of_fc7_the_whole_view_counts_and_units_are_spread(place, tmp_path, drawn):
    run("plot", "units", place / "run", "--cpus", 0, "--layer", "fc7", "--output", tmp_path / "u.png")
    assert [row.title for row in drawn["rows"]] == [f"unit {unit}" for unit in (0, 4, 8, 11, 15, 19)]
    assert {one.box for row in drawn["rows"] for one in row.images} == {None}
    assert {len(row.images) for row in drawn["rows"]} == {6}  # the whole split, fewer than nine


def test_the_gradient_of_the_class_asked_for_is_drawn(place, tmp_path, drawn):
    words = [place / "0.png", place / "1.png", "--cpus", 0, "--output", tmp_path / "s.png"]
    said = run("plot", "saliency", place / "run", *words)
    first = [image.name for image in drawn["images"]]
    assert [image.note for image in drawn["images"]] == ["the first guess"] * 2
    assert all(image.gradient.shape == (99, 99, 3) and np.abs(image.gradient).max() > 0 for image in drawn["images"])
    assert f"{place / '0.png'}: {first[0]}" in said
    other = next(name for name in ("ant", "bee", "cat") if name != first[0])
    run("plot", "saliency", place / "run", *words, "--class", other)
    assert drawn["images"][0].note == f"the first guess is {first[0]}"


def test_pngs_are_written(place, tmp_path):
    words = ["--layer", "conv2", "--units", 1, "--count", 2, "--output", tmp_path / "u.png"]
    run("plot", "units", place / "run", "--cpus", 0, *words)
    run("plot", "saliency", place / "run", place / "0.png", "--cpus", 0, "--output", tmp_path / "s.png")
    for name in ("u.png", "s.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 10


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["units", "--layer", "conv9"], "There is no layer conv9; this net has mean, padding, conv1"),
        (["units", "--layer", "conv5", "--units", "12"], "conv5 has no unit 12: it has 12, numbered from 0"),
        (["saliency", "0.png", "--class", "dog"], "There is no class dog; there are ant ant, bee bee, cat cat."),
        (["saliency", *["0.png"] * 17], "More than 16 images cannot be read in one drawing"),
    ],
)
def test_wrong_use(place, monkeypatch, words, sentence):
    monkeypatch.chdir(place)
    command, *others = words
    assert sentence in run("plot", command, "run", *others, "--cpus", 0, code=2)
    assert not (place / "units.png").exists() and not (place / "saliency.png").exists()


def test_no_image(place, tmp_path):
    (tmp_path / "x.png").write_text("no image")
    words = ["plot", "saliency", place / "run", tmp_path / "x.png", "--cpus", 0]
    assert "is no image this program reads" in run(*words, code=1)


def test_a_class_is_found_by_what_people_call_it():
    classes = [
        {"wnid": "n1", "name": "crane, bird"},
        {"wnid": "n2", "name": "crane"},
        {"wnid": "n3", "name": "maillot"},
    ]
    assert [find_class(classes, word) for word in ("n2", "Bird", "maillot", "2")] == [1, 0, 2, 2]
    with pytest.raises(InvalidRequest, match=r"2 classes have the name crane \(n1, n2\); give the wnid"):
        find_class(classes, "crane")
    with pytest.raises(InvalidRequest, match="There is no class 3"):
        find_class(classes, "3")


def test_a_field_beyond_the_view_is_grey_there():
    view = np.full((10, 10, 3), 7, np.uint8)
    cut = units._cut(view, (-2, 5, 4, 12))
    assert cut.shape == (6, 7, 3)
    assert (cut[2:, :5] == 7).all() and (cut[:2] == units.GREY).all() and (cut[:, 5:] == units.GREY).all()


def test_the_strength_of_a_pixel_is_its_largest_gradient(rng):
    gradient = rng.normal(0, 1, (20, 20, 3)).astype(np.float32)
    strength = saliency.pixel_strength(gradient)
    largest = np.abs(gradient).max(axis=2)
    np.testing.assert_allclose(strength, np.minimum(largest / np.sort(largest.ravel())[-100], 1), rtol=1e-6)
    assert saliency.pixel_strength(gradient * 0).max() == 0
