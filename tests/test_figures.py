"""The images hold what they should: they are read back as pixels."""

import cv2
import numpy as np
import pytest

from gluon_alexnet import plots


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


def test_curves_of_several_runs_and_predictions_are_drawn(tmp_path):
    epochs = [{"validation_top1": 50.0 - n, "validation_top5": 20.0 - n} for n in range(5)]
    plots.draw_curves({"one": epochs, "two": epochs[:2]}, tmp_path / "c.png")
    one, two = (31, 119, 180), (255, 127, 14)  # Matplotlib's first two colours
    assert {one, two} <= colours(tmp_path / "c.png")
    image = np.full((256, 256, 3), (10, 200, 30), np.uint8)
    guesses = [("cat, feline", 0.7), ("dog", 0.2), ("cow", 0.05), ("pig", 0.03), ("hen", 0.02)]
    plots.draw_predictions([plots.Prediction(image, "dog", guesses)] * 5, tmp_path / "p.png")
    assert (10, 200, 30) in colours(tmp_path / "p.png")


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
