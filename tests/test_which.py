"""The page "Which AlexNet?": its table shows every difference between the recipes, and its finding on colours holds."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from gluon_alexnet.data.augmentation import TrainingAugmentation
from gluon_alexnet.recipes import presets, schema

ROOT = Path(__file__).parent.parent
MEASURED = json.loads(max((ROOT / "benchmarks" / "results").glob("which-*.json")).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def which():
    spec = importlib.util.spec_from_file_location("which", ROOT / "docs" / "which.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def single_changes(left, right):
    """`left` with one field of `right` each, and the field's path."""
    for field in dataclasses.fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if one == other:
            continue
        if dataclasses.is_dataclass(one) and dataclasses.is_dataclass(other):
            for path, changed in single_changes(one, other):
                yield f"{field.name}.{path}", dataclasses.replace(left, **{field.name: changed})
        else:
            yield field.name, dataclasses.replace(left, **{field.name: other})


def test_every_difference_between_the_recipes_shows_in_the_table(which):
    paper, seen = which.column(presets.PAPER), set()
    for name in which.NAMES[1:]:
        for path, recipe in single_changes(presets.PAPER, presets.RECIPES[name]):
            if path in ("name", "network.normalization5"):
                continue
            assert which.column(recipe) != paper, (name, path)
            seen.add(path)
    assert len(seen) > 25


@pytest.mark.parametrize(
    ("name", "title", "cell"),
    [
        ("paper", "input → conv1, pixels", "224 → 55"),
        ("bvlc", "input → conv1, pixels", "227 → 55"),
        ("korean-summary-code", "input → conv1, pixels", "224 → 54"),
        ("one-weird-trick", "zeros around conv1; …; conv5", "2; 2; 1; 1; 1"),
        ("paper", "zeros around conv1; …; conv5", "0 before, 3 after; 2; 1; 1; 1"),
        ("paper", "order of layer 1", "conv, relu, LRN, pool"),
        ("caffenet", "order of layer 1", "conv, relu, pool, LRN"),
        ("as-run", "order of layer 1", "conv, LRN, pool, relu"),
        ("bvlc", "LRN after layers 1, 2", "k 1, n 5, α 0.0001/n, β 0.75, all maps"),
        ("as-run", "LRN after layers 1, 2", "k 2, n 5, α 0.0001/n, β 0.75, own column"),
        ("as-run", "initial weights, deviation", "0.01; conv3, conv4, conv5 0.03"),
        ("bvlc", "initial biases", "0.1; conv1, conv3, fc8 0"),
        ("paper", "initial biases", "1; conv1, conv3, fc8 0"),
        ("korean-summary-code", "initial biases", "1; conv1, conv3 0"),
        ("korean-summary-code", "mean subtracted", "none"),
        ("bvlc", "batch", "256"),
        ("one-weird-trick", "parameters, 1,000 classes", "61,100,840"),
        ("bvlc", "parameters, 1,000 classes", "60,965,224"),
    ],
)
def test_cells_by_hand(which, name, title, cell):
    assert which.column(presets.RECIPES[name])[title] == cell


def test_bold_is_what_differs_from_the_paper(which):
    head, _, *rows = which.decisions().splitlines()
    assert head.count("`") == 2 * len(which.NAMES) and len(rows) == len(which.ROWS)
    pool = next(row for row in rows if row.startswith("| max-pooling"))
    assert pool.count("3/2") == len(which.NAMES) and "**" not in pool
    columns = next(row for row in rows if row.startswith("| columns")).split(" | ")
    assert columns[1:] == ["2", "2", "2", "2", "2", "**1**", "**1**", "**1** |"]


def test_the_measured_table_names_recipes_and_every_row_is_a_measurement(which):
    assert len(MEASURED["outputs"]) >= 15
    assert {name for row in MEASURED["outputs"] for name in row["nets"]} <= set(presets.RECIPES)
    for row in MEASURED["outputs"]:
        assert 0 <= row["same_class"] <= 1 and 0 <= row["relative"] < 10
        assert (row["relative"] == 0) == (row["before"] == row["after"])
    assert which.outputs(MEASURED).count("\n| ") == len(MEASURED["outputs"]) + 1


def test_the_copied_constants_are_eigenvalues(which):
    """Along the axes of the colours of photographs; the deviations are cuda-convnet2's of ILSVRC-2012, grey levels."""
    copied, deviations = np.array(which.COPIED), np.array([121.78, 37.09, 19.72])
    real = np.array(MEASURED["deviations"])
    for of in (deviations, real):  # 1.3 million photographs, and 9,469 of ten classes
        assert np.abs(np.log(copied / (of / 255) ** 2)).max() < 0.35  # the square, within a third
        assert (np.log((of / 255) / copied) > (0.7, 1.9, 2.4)).all()  # far from the deviation
    shifts = 0.1 * 255 * copied
    np.testing.assert_allclose(shifts, [5.5, 0.48, 0.11], atol=0.05)
    np.testing.assert_allclose(0.1 * deviations / shifts, [2.2, 7.7, 17], rtol=0.02)


def test_a_shift_by_the_deviation_scales_with_the_images_and_one_by_the_eigenvalue_with_their_square():
    deviations = np.array([121.78, 37.09, 19.72])
    seen = {}
    for name, printed in (("root", False), ("printed", True)):
        for unit in (1, 255):
            numbers = schema.Augmentation(colour_by_eigenvalue=printed)
            mean = np.zeros((3, 224, 224), np.float32)
            augment = TrainingAugmentation(numbers, 224, mean, (deviations / unit) ** 2, np.eye(3), 0)
            shifts = np.array([drawn[3] for drawn in augment.of_epoch(0).draw(np.arange(20_000))], np.float64)
            seen[name, unit] = shifts.std(axis=0) * unit  # in grey levels
    np.testing.assert_allclose(seen["root", 1], 0.1 * deviations, rtol=0.03)
    np.testing.assert_allclose(seen["root", 255], seen["root", 1], rtol=1e-4)
    np.testing.assert_allclose(seen["printed", 1], 0.1 * deviations**2, rtol=0.03)  # 1,483 grey levels
    np.testing.assert_allclose(seen["printed", 255], seen["printed", 1] / 255, rtol=1e-4)  # 5.8, as the constants give
