"""Charts in SVG: every point at its place, nothing beside the picture, and words for who does not see it."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

from gluon_alexnet.reporting import document, sections
from gluon_alexnet.reporting.charts import HEIGHT, WIDTH, Line, Mark, line_chart


def drawn(*lines, marks=()):
    return ElementTree.fromstring(line_chart(lines, marks, "epoch", "Errors & <more>", "{:g} %".format))


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def test_points_lie_on_the_axes_that_are_printed():
    chart = drawn(
        Line("top-1", "blue", [(1, 80), (2, 50), (3, 0)]), Line("top-5", "orange", [(1, 40), (2, 20), (3, 10)])
    )
    assert chart.get("aria-label") == "Errors & <more>"
    first, second = (points(line) for line in chart.iter("polyline"))
    levels = {t.text: float(t.get("y")) - 4 for t in chart.iter("text") if t.text and t.text.endswith(" %")}
    assert set(levels) >= {"0 %", "20 %", "40 %", "80 %"}
    for (_, y), value in zip([*first, *second], (80, 50, 0, 40, 20, 10)):
        expected = levels["0 %"] + value / 80 * (levels["80 %"] - levels["0 %"])
        assert y == pytest.approx(expected, abs=0.2)
    ticks = {t.text: float(t.get("x")) for t in chart.iter("text") if t.text and t.text.isdigit()}
    assert [x for x, _ in first] == pytest.approx([ticks["1"], ticks["2"], ticks["3"]], abs=0.1)


@pytest.mark.parametrize("count", [1, 2, 9, 30, 91, 400])
@pytest.mark.parametrize("top", [0, 0.003, 1, 97.3, 100, 1234])
def test_nothing_lies_outside_and_no_number_on_another(count, top):
    line = Line("a", "blue", [(k + 1, top / (k + 1)) for k in range(count)])
    chart = drawn(line, Line("b", "ink", [(k + 1, top / 2) for k in range(count)]), marks=[Mark(1.5, "0.001")])
    for element in chart.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(element.get(name, 0)) <= WIDTH
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(element.get(name, 0)) <= HEIGHT
    along = sorted(float(t.get("x")) for t in chart.iter("text") if re.fullmatch(r"\d+", t.text or ""))
    assert 1 <= len(along) <= 13
    assert all(b - a >= 20 for a, b in itertools.pairwise(along))
    names = sorted(float(t.get("y")) for t in chart.iter("text") if t.text in "ab")
    assert names[1] - names[0] >= 14
    assert len(list(chart.iter("circle"))) == (2 if count == 1 else 0)


def test_marks_stand_where_they_belong():
    chart = drawn(Line("loss", "ink", [(1, 2), (11, 1)]), marks=[Mark(6, "0.001")])
    (mark,) = [line for line in chart.iter("line") if line.get("class") == "mark"]
    left, right = points(next(chart.iter("polyline")))
    assert float(mark.get("x1")) == float(mark.get("x2")) == pytest.approx((left[0] + right[0]) / 2, abs=0.1)
    assert "0.001" in [text.text for text in chart.iter("text")]


def test_a_run_s_rate_is_marked_after_the_epoch_that_it_followed():
    epochs = [
        {"validation_top1": 50.0, "validation_top5": 9.0, "training_loss": 1.0, "learning_rate": rate}
        for rate in (0.01, 0.01, 0.001)
    ]
    page = str(sections.curves(SimpleNamespace(state=SimpleNamespace(epochs=epochs), events=[])))
    chart = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    (mark,) = [line for line in chart.iter("line") if line.get("class") == "mark"]
    assert float(mark.get("x1")) == pytest.approx(points(next(chart.iter("polyline")))[1][0], abs=0.1)


def test_a_bar_of_nothing_is_empty_and_a_small_one_is_seen():
    page = str(document.bars([("a", 0.0, "0.0 %"), ("b", 0.01, "< 0.1 %"), ("c", 120.0, "100 %")]))
    assert re.findall(r"width:([^\"]+)", page) == ["0", "max(2px, 0.01%)", "max(2px, 100.00%)"]
