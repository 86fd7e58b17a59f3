"""Every published score beside the net that earned it: the paper's tables and the diary of 2012, restated by hand."""

import pytest

from gluon_alexnet.recipes import presets, published, variants

# (net, data, top-1, top-5), as printed; None where nothing is.
PAPER = [
    ("Sparse coding", "2010 test", 47.1, 28.2),
    ("SIFT + FVs", "2010 test", 45.7, 25.7),
    ("1 CNN", "2010 test", 37.5, 17.0),
    ("SIFT + FVs", "2012 test", None, 26.2),
    ("1 CNN", "2012 val", 40.7, 18.2),
    ("5 CNNs", "2012 val", 38.1, 16.4),
    ("5 CNNs", "2012 test", None, 16.4),
    ("1 CNN*, pre-trained on Fall 2011", "2012 val", 39.0, 16.6),
    ("7 CNNs*", "2012 val", 36.7, 15.4),
    ("7 CNNs*", "2012 test", None, 15.3),
    ("6 conv layers, 10,184 classes", "2009 half", 67.4, 40.9),
    ("others, 10,184 classes", "2009 half", 78.1, 60.9),
]
# (recipe, data, top-1, top-5, centre view), from the comments in the parameter files.
DIARY = [
    ("net-145-2010", "2010 test", 37.47, 17.00, False),
    ("net-145-2010", "2010 test", 39.02, 18.30, True),
    ("net-145", "2012 val", 40.66, 18.21, False),
    ("net-145-continued", "2012 val", 40.25, 17.99, False),
    ("net-145-half", "2010 test", 39.17, 18.23, False),
    ("net-147", "2012 val", 41.06, 18.51, False),
    ("net-148", "2012 val", 42.03, 19.36, False),
    ("net-150", "2012 val", 41.83, 19.33, False),
    ("net-146-2012-2011", "2012 val", 38.99, 16.62, False),
    ("net-146-2012-2009", "2012 val", 39.10, 16.88, False),
]
# Nets of the diary that no recipe has: a low-resolution path.
OTHERS = [
    ("#120", "2012 val", 41.04, 18.71),
    ("#131", "2012 val", 40.93, 18.57),
    ("#135", "2012 val", 41.07, 18.42),
    ("#137", "2012 val", 40.78, 18.34),
    ("#131 on Fall 2009", "2009 half", 69.42, 43.73),
]
# What the paper says of one change to the full net.
DIFFERENCES = {
    "one-gpu": "+1.7 top-1, +1.2 top-5",
    "no-lrn": "+1.4 top-1, +1.2 top-5",
    "pool-2x2": "+0.4 top-1, +0.3 top-5",
    "no-colour-shift": "more than +1 top-1",
    "without-conv3": "about +2 top-1",
    "without-conv4": "about +2 top-1",
    "without-conv5": "about +2 top-1",
}
WITHOUT_A_SCORE = {"net-149", "net-146-2009", "net-146-2011", "six-conv-2009-half"}


def on(row):
    return f"{row.year} {row.split}"


def test_the_paper_s_rows_are_those_it_prints():
    rows = [row for row in published.RESULTS if row.source.startswith("paper")]
    assert sorted((row.net, on(row), row.top1, row.top5) for row in rows if row.top1) == sorted(
        row for row in PAPER if row[2]
    )
    assert [(row.net, on(row), row.top5) for row in rows if not row.top1] == [
        (net, data, top5) for net, data, top1, top5 in PAPER if not top1
    ]
    assert {row.net: row.nets for row in rows if row.nets > 1} == {"5 CNNs": 5, "7 CNNs*": 7}
    assert all(row.recipe is None for row in rows)  # which net the paper measured is in the diary


def test_the_diary_s_scores_are_those_of_the_nets_that_earned_them():
    rows = [row for row in published.RESULTS if not row.source.startswith("paper")]
    assert {row.source for row in rows} == {"2012 code's diary"}
    owned = [(row.recipe, on(row), row.top1, row.top5, "centre" in row.net) for row in rows if row.recipe]
    assert sorted(owned) == sorted(DIARY)
    assert sorted((row.net, on(row), row.top1, row.top5) for row in rows if not row.recipe) == sorted(OTHERS)
    for name, data, top1, top5, _ in DIARY:
        assert (data, top1, top5) in [(on(row), row.top1, row.top5) for row in published.of_recipe(name)]
    nets = {name for name in presets.RECIPES if name.startswith("net-") or name == "six-conv-2009-half"}
    assert {name for name in nets if not published.of_recipe(name)} == WITHOUT_A_SCORE


def test_a_variant_has_the_paper_s_difference_and_no_score_of_another_net():
    found = {name: words.partition(" (Sec.")[0] for name, words in published.DIFFERENCES.items()}
    assert found == DIFFERENCES
    for variant in variants.VARIANTS:
        assert published.of_recipe(variant.name) == []
        assert "%" not in variant.summary


@pytest.mark.parametrize(
    ("recipe", "year", "first"),
    [
        ("net-148", 2012, (42.03, 19.36)),
        ("net-147", 2012, (41.06, 18.51)),
        ("net-150", 2012, (41.83, 19.33)),
        ("net-145-half", 2010, (39.17, 18.23)),
        ("as-run", 2012, (40.66, 18.21)),
        ("net-146-2012-2009", 2012, (39.10, 16.88)),
    ],
)
def test_a_run_of_a_net_of_the_diary_is_shown_its_own_score_first(recipe, year, first):
    rows = published.results(year, "val", (), recipe)
    assert (rows[0].top1, rows[0].top5) == first
    assert len(rows) == len({id(row) for row in rows}) > 1
    assert rows[0] not in published.results(year, "val", ("tanh",), recipe) or recipe == "as-run"
