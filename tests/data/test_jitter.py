"""Brightness, contrast and saturation against their definitions, pixel by pixel (Python's colorsys for the last)."""

import colorsys

import numpy as np
import pytest

from gluon_alexnet.data import jitter
from gluon_alexnet.data.augmentation import TrainingAugmentation
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.recipes import presets, schema

EIGENVALUES, AXES = np.array([4000.0, 300.0, 50.0]), np.eye(3)


def changed(crop, brightness=0.0, contrast=1.0, saturation=1.0):
    """The three one after the other, in float64, one pixel at a time."""
    x = crop.astype(np.float64) + brightness
    for colour in x:
        mean = sum(value for row in colour for value in row) / colour.size
        colour[:] = mean + (colour - mean) * contrast
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            hue, own, value = colorsys.rgb_to_hsv(*x[:, row, column])
            x[:, row, column] = colorsys.hsv_to_rgb(hue, min(1.0, own * saturation), value)
    return x


@pytest.mark.parametrize(
    "numbers",
    [
        {"brightness": 31.5},
        {"brightness": -12.25},
        {"contrast": 0.6},
        {"contrast": 1.4},
        {"saturation": 0.0},
        {"saturation": 0.6},
        {"saturation": 1.4},
        {"saturation": 5.0},
        {"brightness": 70.0, "contrast": 0.7, "saturation": 1.3},
    ],
    ids=str,
)
def test_each_change_is_its_definition(rng, numbers):
    crop = rng.integers(90, 200, (3, 9, 8)).astype(np.float32)
    crop[:, 0, 0], crop[:, 1, 1] = 120, (90, 150, 150)  # grey, and two largest
    found = crop.copy()
    jitter.change(found, **{"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, **numbers})
    np.testing.assert_allclose(found, changed(crop, **numbers), rtol=1e-5, atol=1e-3)


def test_beyond_the_grey_levels_nothing_is_cut_off_and_below_zero_a_pixel_is_grey():
    crop = np.array([[[250, -5, 0, 10]], [[10, -9, 0, -10]], [[0, -7, 0, 0]]], np.float32)
    bright = crop.copy()
    jitter.change(bright, 30.0, 1.0, 1.0)
    np.testing.assert_array_equal(bright, crop + 30)
    jitter.change(crop, 0.0, 1.0, 1.4)
    # (10, -10, 0) has a saturation of 2, and 1 is the most: its smallest colour becomes 0.
    np.testing.assert_allclose(crop[:, 0].T, [[250, 10, 0], [-5, -5, -5], [0, 0, 0], [10, 0, 5]], atol=1e-4)


def test_numbers_are_drawn_evenly_in_their_ranges_by_seed_epoch_and_record(rng):
    numbers = schema.Augmentation(colour_std=0.0, brightness=40.0, contrast=(0.6, 1.4), saturation=(0.5, 2.0))
    augment = TrainingAugmentation(numbers, 224, np.zeros((3, 224, 224), np.float32), EIGENVALUES, AXES, 3)
    draws = augment.of_epoch(2).draw(np.arange(4000))
    found = np.array([each[4] for each in draws])
    places = np.array([each[:3] for each in draws], float)
    assert np.abs(np.corrcoef(found.T, places.T)[:3, 3:]).max() < 0.08  # and crop and mirror tell nothing of them
    for values, low, high in zip(found.T, (-40, 0.6, 0.5), (40, 1.4, 2.0)):
        assert low <= values.min() < low + 0.01 * (high - low) and high - 0.01 * (high - low) < values.max() <= high
        # Five standard errors of the mean and of the deviation of 4,000 even numbers.
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / 12**0.5 / 4000**0.5
        assert abs(values.std() / ((high - low) / 12**0.5) - 1) < 0.04
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.08
    again = [each[4] for each in augment.of_epoch(2).draw(np.arange(10, 20))]
    np.testing.assert_array_equal(again, found[10:20])
    assert (np.array([each[4] for each in augment.of_epoch(3).draw(np.arange(4))]) != found[:4]).all()


def test_a_crop_is_changed_before_its_mean_is_subtracted_and_crop_and_mirror_are_drawn_as_without(rng):
    pictures = rng.integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    mean = rng.uniform(100, 130, (3, 32, 32)).astype(np.float32)
    numbers = presets.RECIPES["korean-summary"].augmentation
    augment = TrainingAugmentation(numbers, 32, mean, EIGENVALUES, AXES, 3)
    ids = np.array([7, 90])
    crops = augment(pictures, ids, 1)
    plain = TrainingAugmentation(schema.Augmentation(colour_std=0.0), 32, mean, EIGENVALUES, AXES, 3)
    for picture, record, crop, drawn in zip(pictures, ids, crops, augment.of_epoch(1).draw(ids)):
        assert drawn[:3] == plain.draw(int(record), 1, 256)[:3]
        top, left, mirrored = drawn[:3]
        window = picture[top : top + 32, left : left + 32]
        window = window[:, ::-1] if mirrored else window
        whole = changed(window.transpose(2, 0, 1), *drawn[4])
        inside = whole.min(axis=0) >= 0  # where colorsys knows a saturation
        assert inside.mean() > 0.3
        np.testing.assert_allclose(crop[:, inside], (whole - mean)[:, inside], rtol=1e-4, atol=2e-2)


def test_without_jitter_nothing_changes_and_wrong_ranges_are_refused():
    assert jitter.ranges(presets.PAPER.augmentation) is None
    for numbers in ({"contrast": (1.4, 0.6)}, {"saturation": (-0.1, 1.0)}, {"contrast": (1.0,)}, {"brightness": -1.0}):
        with pytest.raises(InvalidRequest, match=r"factors|grey levels"):
            schema.Augmentation(**numbers)


def test_the_two_forms_of_the_korean_summary_have_their_ranges():
    text, program = (presets.RECIPES[name].augmentation for name in ("korean-summary", "korean-summary-code"))
    assert (text.brightness, program.brightness) == (102.0, 0.4)
    for one in (text, program):
        assert (one.contrast, one.saturation, one.colour_std) == ((0.6, 1.4), (0.6, 1.4), 0.0)
