"""The images hold what they should: they are read back as pixels."""

import itertools
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest

from gluon_alexnet import drawing
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.plots import confusion, filters, predictions, similar
from gluon_alexnet.plots import views as view_plots
from gluon_alexnet.plots.curves import draw_curves


def colours(file):
    """The set of RGB colours in a PNG, as tuples."""
    image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    return {tuple(int(v) for v in colour) for colour in np.unique(image.reshape(-1, 3), axis=0)}


@pytest.mark.parametrize("columns", [1, 2])
def test_kernels_are_scaled_each_for_itself_and_grey_is_zero(tmp_path, columns):
    kernels = np.zeros((6, 3, 11, 11), np.float32)
    kernels[0, 0] = 0.001  # all red, however small
    kernels[3, 2] = -50.0  # all blue at the other end
    filters.draw_filters(kernels, columns, tmp_path / "f.png")
    found = colours(tmp_path / "f.png")
    for colour in ((255, 127, 127), (127, 127, 0), (127, 127, 127)):
        assert any(max(abs(a - b) for a, b in zip(colour, other)) <= 1 for other in found), colour


def test_tiles_are_the_kernels_in_order():
    images = np.arange(5)[:, None, None, None] / 10 * np.ones((5, 2, 3, 3))
    sheet = filters._tiled(images, rows=2, width=4)
    assert sheet.shape == (7, 17, 3)
    for number, (top, left) in enumerate([(1, 1), (1, 5), (1, 9), (1, 13), (4, 1)]):
        assert (sheet[top : top + 2, left : left + 3] == number / 10).all()
    assert (sheet[0] == 1).all()
    assert (sheet[4:6, 5:] == 1).all()


GUESSES = [("cat, feline", 0.7), ("a name of a class that is longer than a line", 0.2), ("$5", 0.05), ("<b>", 0.03)]
EPOCHS = [
    {"validation_top1": 50.0 - n, "validation_top5": 20.0 - n, "training_loss": 2.0 - n / 9, "learning_rate": 0.01}
    for n in range(5)
]
IMAGE = np.full((256, 256, 3), (10, 200, 30), np.uint8)


def texts(file):
    """What is written in an SVG, in order; a name that was drawn in lines is several."""
    return [element.text for element in ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def readable_svg():
    """Text as text, not as outlines, so that it can be read back."""
    with drawing.headless_pyplot().rc_context({"svg.fonttype": "none"}):
        yield


def test_curves_of_several_runs_are_drawn(tmp_path):
    draw_curves({"one": EPOCHS, "two": EPOCHS[:2]}, tmp_path / "c.png")
    assert {tuple(bytes.fromhex(colour[1:])) for colour in drawing.COLOURS[:2]} <= colours(tmp_path / "c.png")


def test_curves_begin_at_the_first_epoch_and_at_no_error(tmp_path, readable_svg):
    draw_curves({"one": EPOCHS}, tmp_path / "c.svg")
    found = texts(tmp_path / "c.svg")
    assert "0 %" in found
    assert {"1", "2", "3", "4", "5", "epoch", "training loss"} <= set(found)
    assert "one: validation error (centre view) and training loss" in found
    assert "one: top-1 46.0 %, top-5 16.0 % after epoch 5; best 46.0 % after epoch 5" in found
    draw_curves({"one": EPOCHS[:1]}, tmp_path / "one.svg")
    assert {"1"} == {text for text in texts(tmp_path / "one.svg") if text.isdigit() and text not in "02"}


def test_every_epoch_has_its_tick_and_no_number_lies_on_another(tmp_path, monkeypatch):
    axes = axes_of(monkeypatch, lambda: draw_curves({"a": EPOCHS * 18}, tmp_path / "c.png"))[-1]
    assert sorted({*axes.xaxis.get_majorticklocs(), *axes.xaxis.get_minorticklocs()}) == list(range(1, 91))
    assert list(axes.xaxis.get_majorticklocs()) == [1, *range(10, 91, 10)]
    assert axes.get_xlim() == (1, 90)


def test_changes_of_the_rate_and_the_best_epoch_are_marked_where_they_were(tmp_path, readable_svg, monkeypatch):
    rates, errors = [0.01, 0.01, 0.001, 0.001, 0.0001], [50.0, 40.0, 30.0, 30.0, 35.0]
    epochs = [{**one, "learning_rate": r, "validation_top1": e} for one, r, e in zip(EPOCHS, rates, errors)]
    panels = axes_of(monkeypatch, lambda: draw_curves({"one": epochs}, tmp_path / "c.svg"))
    for axes in panels:
        upright = [
            line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1 < len(line.get_xdata())
        ]
        assert upright == [2, 4]  # after that many epochs
    rings = [line for line in panels[0].lines if line.get_markerfacecolor() == "none"]
    assert [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings] == [(3, 30.0)]
    found = texts(tmp_path / "c.svg")
    assert {"0.001", "0.0001"} <= set(found)
    assert "one: top-1 35.0 %, top-5 16.0 % after epoch 5; best 30.0 % after epoch 3" in found


@pytest.mark.parametrize("runs", [1, 2, 9])
def test_the_legend_lies_on_no_line_and_holds_every_run(tmp_path, monkeypatch, runs):
    names = [f"run {number} " + "with-a-long-name/" * (number % 3) * 4 for number in range(runs)]
    kept = []
    monkeypatch.setattr("gluon_alexnet.plots.curves.save", lambda figure, file: kept.append(figure))
    draw_curves(dict.fromkeys(names, EPOCHS), tmp_path / "c.png")
    figure = kept[0]
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert all(not box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0
    joined = "".join(text.get_text().replace("\n", "") for text in legend.get_texts())
    assert all(name.replace(" ", "") in joined.replace(" ", "") for name in names)
    drawing.headless_pyplot().close(figure)


def axes_of(monkeypatch, draw):
    """The axes of the figure that a function draws and saves."""
    kept, real = [], drawing.save
    monkeypatch.setattr(
        "gluon_alexnet.plots.curves.save", lambda figure, file: (kept.extend(figure.axes), real(figure, file))
    )
    draw()
    return kept


def test_predictions_have_whole_names_and_numbers(tmp_path, readable_svg):
    predictions.draw_predictions([predictions.Prediction(IMAGE, "cat, feline", GUESSES)] * 5, tmp_path / "p.svg")
    found = texts(tmp_path / "p.svg")
    assert found.count("70.0 %") == found.count("20.0 %") == 5
    joined = " ".join(found)
    for name in ("cat", "a name of a class that is longer than a line", "$5", "<b>"):
        assert name in joined
    assert "…" not in joined
    predictions.draw_predictions([predictions.Prediction(IMAGE, None, GUESSES)], tmp_path / "p.png")
    assert tuple(IMAGE[0, 0]) in colours(tmp_path / "p.png")


def boxes_of_texts(figure):
    """The rectangles of all words in a figure, in pixels."""
    figure.canvas.draw()
    drawn = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    drawn += [text for axes in figure.axes for text in axes.texts]
    return [text.get_window_extent() for text in drawn if text.get_text().strip()]


LONG = "a class whose name is very much longer than there is room for in a line, another name"


@pytest.mark.parametrize("count", [1, 3, 16])
def test_no_word_of_predictions_lies_on_another_or_is_cut(tmp_path, monkeypatch, count):
    kept = []
    monkeypatch.setattr("gluon_alexnet.plots.predictions.save", lambda figure, file: kept.append(figure))
    guesses = [(LONG, 0.7), *GUESSES[:2], (LONG, 0.0004), ("x", 0.0)]
    made = [
        predictions.Prediction(
            IMAGE, LONG if number % 2 else None, guesses, "holidays_in_the_mountains_of_2012_no_0042.jpeg"
        )
        for number in range(count)
    ]
    predictions.draw_predictions(made, tmp_path / "p.png")
    boxes = boxes_of_texts(kept[0])
    for one, other in itertools.combinations(boxes, 2):
        assert not one.shrunk(0.98, 0.7).overlaps(other.shrunk(0.98, 0.7))
    width = kept[0].bbox.x1
    assert all(box.x0 >= -1 and box.x1 <= width + 1 for box in boxes)
    drawing.headless_pyplot().close(kept[0])


def test_an_image_without_a_label_has_its_file_s_name_and_there_is_a_key(tmp_path, readable_svg):
    predictions.draw_predictions([predictions.Prediction(IMAGE, None, GUESSES, "IMG_1.jpg")], tmp_path / "a.svg")
    assert {"IMG_1.jpg", "a class", "100 %"} <= set(texts(tmp_path / "a.svg"))
    assert "the true class" not in texts(tmp_path / "a.svg")
    predictions.draw_predictions([predictions.Prediction(IMAGE, "cat", GUESSES)], tmp_path / "b.svg")
    assert {"the true class", "another class", "100 %"} <= set(texts(tmp_path / "b.svg"))


def test_percent_is_written_alike_everywhere():
    assert [drawing.percent(value) for value in (0.0, 0.04, 0.06, 38.24, 99.97, 100.0)] == [
        "0.0 %", "< 0.1 %", "0.1 %", "38.2 %", "100.0 %", "100.0 %",
    ]  # fmt: skip


def test_a_confusion_of_few_classes_has_each_share_in_its_cell(tmp_path, readable_svg, monkeypatch):
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 1, 999]])
    kept = []
    monkeypatch.setattr(confusion, "save", lambda figure, file, **options: kept.append(figure))
    confusion.draw_confusion(counts, ["cat, feline", "dog", LONG], "a on val", tmp_path / "c.svg")
    axes = kept[0].axes[0]
    cells = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
    dashes = {(1, column): "–" for column in range(3)}  # no image of a dog
    assert cells == {(0, 0): "75", (0, 1): "25", (2, 1): "<1", (2, 2): "100", **dashes}
    assert [t.get_text().replace("\n", " ") for t in axes.get_yticklabels()] == ["cat", "dog", LONG.split(",")[0]]
    drawing.headless_pyplot().close(kept[0])


def test_of_many_classes_the_pairs_most_often_confused_are_drawn(tmp_path, readable_svg):
    counts = np.diag(np.full(1000, 45))
    counts[7, 9], counts[500, 2] = 5, 4
    names = [f"class {number}, synonym" for number in range(1000)]
    confusion.draw_confusion(counts, names, "a on val", tmp_path / "c.svg")
    found = texts(tmp_path / "c.svg")
    assert [text for text in found if "→" in text][:2] == ["class 7 → class 9", "class 500 → class 2"]
    assert {"5 of 50, 10.0 %", "4 of 49, 8.2 %"} <= set(found)
    confusion.draw_confusion(np.diag(np.full(1000, 45)), names, "a on val", tmp_path / "d.svg")
    assert "every image was classified correctly" in " ".join(texts(tmp_path / "d.svg"))


def test_the_views_that_differ_from_the_mean_are_framed(tmp_path, readable_svg):
    views = np.full((10, 64, 64, 3), 200, np.uint8)
    opinions = [("cat", 0.9)] * 9 + [("dog", 0.55)]
    viewed = view_plots.Viewed("IMG_1.jpg", None, views, opinions, [("cat", 0.8), ("dog", 0.1)])
    view_plots.draw_views([viewed], tmp_path / "v.svg")
    found = texts(tmp_path / "v.svg")
    assert found.count("90.0 %") == 9 and {"55.0 %", "80.0 %", "10.0 %", "IMG_1.jpg", "mean of the ten"} <= set(found)
    assert {"top left", "centre, mirrored"} <= set(found)
    view_plots.draw_views([viewed], tmp_path / "v.png")
    assert tuple(bytes.fromhex(drawing.COLOURS[1][1:])) in colours(tmp_path / "v.png")


def test_similar_images_have_whole_names(tmp_path, readable_svg):
    neighbour = similar.Neighbour(IMAGE, "American Staffordshire terrier, Staffordshire", "distance 3.2", True)
    similar.draw_similar([similar.Similar(IMAGE, "$a$", [neighbour] * 3)], tmp_path / "s.svg")
    joined = " ".join(texts(tmp_path / "s.svg"))
    assert joined.count("American Staffordshire terrier distance 3.2") == 3
    assert "$a$" in joined


def test_the_ending_says_the_format_and_nothing_else_is_left(tmp_path, monkeypatch):
    for name, begin in (("c.png", b"\x89PNG"), ("c.SVG", b"<?xml"), ("c.pdf", b"%PDF")):
        draw_curves({"one": EPOCHS}, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)
    with pytest.raises(InvalidRequest, match=r"must end in \.png, \.svg or \.pdf"):
        draw_curves({"one": EPOCHS}, tmp_path / "c.gif")
    pyplot = drawing.headless_pyplot()
    monkeypatch.setattr(pyplot.Figure, "savefig", lambda self, file, **options: file.write_bytes(b"x") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw_curves({"one": EPOCHS}, tmp_path / "d.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.SVG", "c.pdf", "c.png"]


def test_the_colours_are_told_apart_by_those_who_see_red_and_green_alike():
    """Machado's matrix for deuteranopia: any two of the first five differ in what is left, or in lightness."""
    seen = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
    rgb = np.array([list(bytes.fromhex(colour[1:])) for colour in drawing.COLOURS[:5]]) / 255
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
        filters.draw_filters(np.zeros((6, 3, 11, 11), np.float32), 2, tmp_path / "f.png")
        assert matplotlib.get_backend() == "svg"
        assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    finally:
        pyplot.switch_backend(before)


@pytest.mark.parametrize("name", ["cat", LONG])
def test_no_word_lies_on_another_beside_views_and_similar_images(tmp_path, monkeypatch, name):
    kept = []
    for module in ("views", "similar"):
        monkeypatch.setattr(f"gluon_alexnet.plots.{module}.save", lambda figure, file, **options: kept.append(figure))
    views = np.full((10, 64, 64, 3), 200, np.uint8)
    opinions = [("cat", 0.9)] * 7 + [(name, 0.55)] * 3
    viewed = view_plots.Viewed("IMG_1.jpg", None, views, opinions, [("cat", 0.8), (name, 0.1), ("dog", 0.01)])
    view_plots.draw_views([viewed] * 2, tmp_path / "v.png")
    neighbours = [similar.Neighbour(IMAGE, name if place % 2 else "cat", "distance 3.2", False) for place in range(6)]
    similar.draw_similar([similar.Similar(IMAGE, name, neighbours)] * 3, tmp_path / "s.png")
    for figure in kept:
        boxes = boxes_of_texts(figure)
        labels = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label) if axes.axison]
        boxes += [text.get_window_extent() for text in labels if text.get_text()]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.shrunk(0.98, 0.8).overlaps(other.shrunk(0.98, 0.8))
        drawing.headless_pyplot().close(figure)


def test_the_legends_of_the_experiments_lie_on_no_line(tmp_path, monkeypatch):
    from gluon_alexnet.experiments import plots as experiments
    from gluon_alexnet.experiments.tables import Ablation

    kept = []
    monkeypatch.setattr(experiments, "save", lambda figure, file: kept.append(figure))
    measured = [Ablation(name, {10: 40.0}, {10: 18.0}, 90) for name in ("full", "no-lrn")]
    experiments.draw_ablations(measured, "data/ilsvrc2012", tmp_path / "a.png")
    (figure,) = kept
    figure.canvas.draw()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())
    drawing.headless_pyplot().close(figure)
