"""The images hold what they should: they are read back as pixels."""

import itertools
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest

from gluon_alexnet import plots
from gluon_alexnet.errors import InvalidRequest


def colours(file):
    """The set of RGB colours in a PNG, as tuples."""
    image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    return {tuple(int(v) for v in colour) for colour in np.unique(image.reshape(-1, 3), axis=0)}


@pytest.mark.parametrize("columns", [1, 2])
def test_kernels_are_scaled_each_for_itself_and_grey_is_zero(tmp_path, columns):
    kernels = np.zeros((6, 3, 11, 11), np.float32)
    kernels[0, 0] = 0.001  # all red, however small
    kernels[3, 2] = -50.0  # all blue at the other end
    plots.draw_filters(kernels, columns, tmp_path / "f.png")
    found = colours(tmp_path / "f.png")
    for colour in ((255, 127, 127), (127, 127, 0), (127, 127, 127)):
        assert any(max(abs(a - b) for a, b in zip(colour, other)) <= 1 for other in found), colour


def test_tiles_are_the_kernels_in_order():
    images = np.arange(5)[:, None, None, None] / 10 * np.ones((5, 2, 3, 3))
    sheet = plots._tiled(images, rows=2, width=4)
    assert sheet.shape == (7, 17, 3)
    for number, (top, left) in enumerate([(1, 1), (1, 5), (1, 9), (1, 13), (4, 1)]):
        assert (sheet[top : top + 2, left : left + 3] == number / 10).all()
    assert (sheet[0] == 1).all()
    assert (sheet[4:6, 5:] == 1).all()


GUESSES = [("cat, feline", 0.7), ("a name of a class that is longer than a line", 0.2), ("$5", 0.05), ("<b>", 0.03)]
EPOCHS = [{"validation_top1": 50.0 - n, "validation_top5": 20.0 - n} for n in range(5)]
IMAGE = np.full((256, 256, 3), (10, 200, 30), np.uint8)


def texts(file):
    """What is written in an SVG, in order; a name that was drawn in lines is several."""
    return [element.text for element in ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def readable_svg():
    """Text as text, not as outlines, so that it can be read back."""
    with plots.headless_pyplot().rc_context({"svg.fonttype": "none"}):
        yield


def test_curves_of_several_runs_are_drawn(tmp_path):
    plots.draw_curves({"one": EPOCHS, "two": EPOCHS[:2]}, tmp_path / "c.png")
    assert {tuple(bytes.fromhex(colour[1:])) for colour in plots.COLOURS[:2]} <= colours(tmp_path / "c.png")


def test_curves_begin_at_the_first_epoch_and_at_no_error(tmp_path, readable_svg):
    plots.draw_curves({"one": EPOCHS}, tmp_path / "c.svg")
    found = texts(tmp_path / "c.svg")
    assert found[:5] == ["1", "2", "3", "4", "5"]
    assert "0 %" in found
    assert {"top-1 46.0 %", "top-5 16.0 %"} <= set(found)
    plots.draw_curves({"one": EPOCHS[:1]}, tmp_path / "one.svg")
    assert texts(tmp_path / "one.svg")[:2] == ["1", "2"]


def test_predictions_have_whole_names_and_numbers(tmp_path, readable_svg):
    plots.draw_predictions([plots.Prediction(IMAGE, "cat, feline", GUESSES)] * 5, tmp_path / "p.svg")
    found = texts(tmp_path / "p.svg")
    assert found.count("70.0 %") == found.count("20.0 %") == 5
    joined = " ".join(found)
    for name in ("cat", "a name of a class that is longer than a line", "$5", "<b>"):
        assert name in joined
    assert "…" not in joined
    plots.draw_predictions([plots.Prediction(IMAGE, None, GUESSES)], tmp_path / "p.png")
    assert tuple(IMAGE[0, 0]) in colours(tmp_path / "p.png")


def test_similar_images_have_whole_names(tmp_path, readable_svg):
    neighbour = plots.Neighbour(IMAGE, "American Staffordshire terrier, Staffordshire", "distance 3.2", True)
    plots.draw_similar([plots.Similar(IMAGE, "$a$", [neighbour] * 3)], tmp_path / "s.svg")
    joined = " ".join(texts(tmp_path / "s.svg"))
    assert joined.count("American Staffordshire terrier distance 3.2") == 3
    assert "$a$" in joined


def test_the_ending_says_the_format_and_nothing_else_is_left(tmp_path, monkeypatch):
    for name, begin in (("c.png", b"\x89PNG"), ("c.SVG", b"<?xml")):
        plots.draw_curves({"one": EPOCHS}, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)
    with pytest.raises(InvalidRequest, match=r"must end in \.png or \.svg"):
        plots.draw_curves({"one": EPOCHS}, tmp_path / "c.pdf")
    pyplot = plots.headless_pyplot()
    monkeypatch.setattr(pyplot.Figure, "savefig", lambda self, file, **options: file.write_bytes(b"x") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plots.draw_curves({"one": EPOCHS}, tmp_path / "d.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.SVG", "c.png"]


def test_the_colours_are_told_apart_by_those_who_see_red_and_green_alike():
    """Machado's matrix for deuteranopia: any two of the first five differ in what is left, or in lightness."""
    seen = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
    rgb = np.array([list(bytes.fromhex(colour[1:])) for colour in plots.COLOURS[:5]]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    left = np.clip(linear @ seen.T, 0, 1) ** (1 / 2.2)
    for one, other in itertools.combinations(left, 2):
        assert np.abs(one - other).max() > 0.15


def test_the_backend_that_a_notebook_has_chosen_stays(tmp_path):
    import matplotlib
    from matplotlib import pyplot

    before = matplotlib.get_backend()
    pyplot.switch_backend("svg")
    try:
        plots.draw_filters(np.zeros((6, 3, 11, 11), np.float32), 2, tmp_path / "f.png")
        assert matplotlib.get_backend() == "svg"
        assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    finally:
        pyplot.switch_backend(before)
