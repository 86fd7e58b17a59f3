"""What the network sees: crops, mirrors, colour and views, against pixels picked by hand (Sec. 2, 4.1)."""

import numpy as np
import pytest
from helpers.images import packed

from gluon_alexnet.data import augmentation as augmentation_module
from gluon_alexnet.data.augmentation import (
    TrainingAugmentation,
    central_patch,
    crop_views,
    input_mean,
    network_order,
)
from gluon_alexnet.recipes import presets, schema
from gluon_alexnet.recipes.timetable import Change
from gluon_alexnet.recordio.reading.reader import Reader

EIGENVALUES = np.array([4000.0, 300.0, 50.0])
AXES = np.linalg.qr(np.array([[0.6, -0.7, 0.4], [0.6, 0.0, -0.8], [0.5, 0.7, 0.4]]))[0]


def augmentation(mean=None, seed=0, changes=(), **numbers):
    mean = np.zeros((3, 224, 224), np.float32) if mean is None else mean
    return TrainingAugmentation(schema.Augmentation(**numbers), 224, mean, EIGENVALUES, AXES, seed, changes)


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)


def test_the_mean_is_its_central_patch(rng):
    mean = rng.uniform(0, 255, (256, 256, 3))
    patch = central_patch(mean, 224)
    assert patch.shape == (3, 224, 224)
    assert patch[2, 0, 5] == np.float32(mean[16, 21, 2])
    assert patch[0, 223, 223] == np.float32(mean[239, 239, 0])


def test_the_mean_of_an_input_is_the_data_s_or_the_recipe_s(rng):
    mean = rng.uniform(0, 255, (256, 256, 3))
    np.testing.assert_array_equal(input_mean(presets.PAPER.network, mean), central_patch(mean, 224))
    fixed = input_mean(presets.RECIPES["one-weird-trick"].network, mean)
    assert fixed.shape == (3, 224, 224)
    assert fixed.dtype == np.float32
    assert (fixed == np.array([123.675, 116.28, 103.53], np.float32).reshape(3, 1, 1)).all()


def test_a_training_crop_is_window_mirror_shift_minus_mean(pictures, rng):
    mean = rng.uniform(100, 130, (3, 224, 224)).astype(np.float32)
    augment = augmentation(mean, seed=4)
    ids = np.array([11, 5, 700_000])
    crops = augment(pictures, ids, epoch=2)
    seen = set()
    for picture, record, crop in zip(pictures, ids, crops):
        top, left, mirrored, shift = augment.draw(int(record), 2, 256)
        seen.add((top, left, mirrored))
        for row, column in ((0, 0), (100, 37), (223, 223)):
            source = left + (223 - column if mirrored else column)
            expected = picture[top + row, source].astype(np.float64) - mean[:, row, column] + shift
            np.testing.assert_allclose(crop[:, row, column], expected, atol=1e-4)
    assert len(seen) == 3


def test_as_printed_each_pixel_s_own_mean_is_subtracted_and_lambda_is_the_eigenvalue(pictures, rng):
    mean = rng.uniform(100, 130, (256, 256, 3)).astype(np.float32)
    planes = augmentation_module.mean_planes(mean)
    printed = augmentation(planes, seed=4, mean_before_crop=True, colour_by_eigenvalue=True)
    ids, mirrors = np.array([11, 5, 700_000]), set()
    crops = printed(pictures, ids, epoch=2)
    for picture, record, crop in zip(pictures, ids, crops):
        top, left, mirrored, shift = printed.draw(int(record), 2, 256)
        mirrors.add(mirrored)
        without = (picture.astype(np.float64) - mean)[top : top + 224, left : left + 224]
        without = without[:, ::-1] if mirrored else without
        np.testing.assert_allclose(crop, without.transpose(2, 0, 1) + shift[:, None, None], atol=1e-3)
        *same, usual = augmentation(seed=4).draw(int(record), 2, 256)
        assert same == [top, left, mirrored]
        # Along each axis as many times further as the eigenvalue is larger than its root.
        np.testing.assert_allclose(AXES.T @ shift, AXES.T @ usual * np.sqrt(EIGENVALUES), rtol=1e-4)
    assert mirrors == {True, False}


def test_as_printed_each_view_has_its_own_pixels_mean_subtracted(pictures, rng):
    mean = rng.uniform(100, 130, (256, 256, 3)).astype(np.float32)
    own = augmentation_module.view_means(augmentation_module.mean_planes(mean), 224, 10)
    centre = mean[16:240, 16:240]
    corners = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    seen = crop_views(pictures, 224, 10) - own - centre
    for place, (top, left) in enumerate(corners):
        expected = (pictures - mean.astype(np.float64))[:, top : top + 224, left : left + 224]
        np.testing.assert_allclose(seen[:, place], expected, atol=1e-3)
        np.testing.assert_allclose(seen[:, 5 + place], expected[:, :, ::-1], atol=1e-3)
    assert not augmentation_module.view_means(augmentation_module.mean_planes(mean), 224, 1).any()


def test_draws_depend_on_seed_epoch_and_record_only(pictures):
    one = augmentation(seed=4)(pictures, np.array([1, 2, 3]), 0)
    turned = augmentation(seed=4)(pictures[::-1], np.array([3, 2, 1]), 0)
    np.testing.assert_array_equal(one, turned[::-1])
    draw = augmentation(seed=4).draw
    others = [draw(1, 0, 256), draw(1, 1, 256), draw(2, 0, 256), augmentation(seed=5).draw(1, 0, 256)]
    assert len({tuple(other[3]) for other in others}) == 4


def test_crops_do_not_depend_on_the_others_in_the_batch(rng):
    ids = rng.permutation(2_000_000)[:37]
    pictures = rng.integers(0, 256, (37, 256, 256, 3), dtype=np.uint8)
    augment = augmentation(rng.uniform(100, 130, (3, 224, 224)).astype(np.float32), seed=3)
    together = augment(pictures, ids, 6)
    for place in range(37):
        assert (augment(pictures[place : place + 1], ids[place : place + 1], 6)[0] == together[place]).all()


def test_the_reader_s_threads_make_the_same_crops(tmp_path, rng):
    """Four threads, in any order, give each image the crop that the formula gives it alone."""
    mean = rng.uniform(80, 160, (3, 224, 224)).astype(np.float32)
    augment = augmentation(mean, seed=8)
    with Reader(packed(tmp_path, images=5, encoding="raw"), "train", threads=4) as reader:
        order = np.array([7, 0, 14, 3, 9, 1, 12])
        whole = {number: reader.read(number)[0] for number in order.tolist()}
        found = list(reader.batches(3, order, transform=augment.of_epoch(5)))
    assert np.concatenate([batch.ids for batch in found]).tolist() == order.tolist()
    for number, crop in zip(order.tolist(), np.concatenate([batch.images for batch in found])):
        top, left, mirrored, shift = augment.draw(number, 5, 256)
        window = whole[number][top : top + 224, left : left + 224].astype(np.float32)
        expected = (window[:, ::-1] if mirrored else window).transpose(2, 0, 1) + shift[:, None, None] - mean
        np.testing.assert_allclose(crop, expected, atol=1e-3)


def test_colour_has_its_epochs_and_its_divisor(pictures):
    ids = np.array([4, 900, 31])
    mean = np.full((3, 224, 224), 100, np.float32)
    plain = augmentation(mean, seed=8)(pictures, ids, 3)
    divided = augmentation(mean, seed=8, changes=(Change(4, colour_std=0.0),), colour_divisor=1.1)
    np.testing.assert_allclose(divided(pictures, ids, 3), plain / 1.1, atol=1e-4)
    without = augmentation(mean, seed=8, colour_std=0.0)(pictures, ids, 4)
    assert (divided(pictures, ids, 4) == without).all()  # after those epochs neither shift nor division


def test_neighbours_in_the_pack_share_a_crop_and_a_mirror_but_no_colours():
    ids = np.arange(20, 100)  # 12 of the first group of 32, then two groups, then 4
    shared, plain = augmentation(seed=5, shared_crops=32), augmentation(seed=5)
    draws = [shared.draw(record, 2, 256) for record in ids]
    for group in np.unique(ids // 32):
        own = [draw for record, draw in zip(ids, draws) if record // 32 == group]
        assert len({draw[:3] for draw in own}) == 1 and len({tuple(draw[3]) for draw in own}) == len(own)
    assert len({draw[:3] for draw in draws}) == 4
    assert draws[0][:3] != shared.draw(20, 3, 256)[:3]  # another one in the next epoch
    assert (draws[40][3] == plain.draw(60, 2, 256)[3]).all()


def test_without_random_crops_each_image_gives_its_middle(rng):
    images = rng.integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    own = augmentation(seed=1, random_crops=False, mirror=False, colour_std=0.0)
    for epoch in (0, 7):
        crops = own(images, np.arange(3), epoch)
        np.testing.assert_allclose(crops, images[:, 16:240, 16:240].transpose(0, 3, 1, 2), atol=1e-4)


def test_compiled_or_not_the_crops_are_the_same(rng):
    planes = rng.integers(0, 256, (3, 50, 60), dtype=np.uint8)
    mean = rng.uniform(100, 130, (3, 50, 60)).astype(np.float32)
    shift, scale = rng.normal(0, 10, 3).astype(np.float32), np.float32(1 / 1.1)
    compiled, plain = np.zeros((2, 3, 50, 60), np.float32)
    augmentation_module._compiled_shift()(tuple(planes), mean, shift, scale, compiled)
    augmentation_module._shift(planes, mean, shift, scale, plain)
    assert (compiled == plain).all()
    expected = (planes - mean.astype(np.float64) + shift[:, None, None].astype(np.float64)) / 1.1
    np.testing.assert_allclose(plain, expected, atol=1e-4)


def test_offsets_and_mirror_are_even():
    augment, count = augmentation(), 40_000
    draws = augment.of_epoch(0).draw(np.arange(count))
    for values in (np.array([d[0] for d in draws]), np.array([d[1] for d in draws])):
        counts = np.bincount(values, minlength=33)
        assert len(counts) == 33  # 0 to 32, both included
        deviation = np.sqrt(count / 33 * (32 / 33))
        assert np.abs(counts - count / 33).max() < 5 * deviation
    assert abs(np.mean([d[2] for d in draws]) - 0.5) < 5 * 0.5 / np.sqrt(count)
    offsets = np.array([(d[0], d[1], d[2]) for d in draws], float)
    assert np.abs(np.corrcoef(offsets.T) - np.eye(3)).max() < 5 / np.sqrt(count)


def test_the_colour_shift_has_the_covariance_of_the_paper():
    augment, count = augmentation(), 100_000
    shifts = np.array([drawn[3] for drawn in augment.of_epoch(0).draw(np.arange(count))], np.float64)
    # alpha has deviation 0.1 and multiplies the deviation along each axis, sqrt(eigenvalue)
    expected = AXES @ np.diag(0.1**2 * EIGENVALUES) @ AXES.T
    along = shifts @ AXES
    np.testing.assert_allclose(along.mean(axis=0), 0, atol=5 * 0.1 * np.sqrt(EIGENVALUES[0] / count))
    np.testing.assert_allclose(along.var(axis=0), np.diag(AXES.T @ expected @ AXES), rtol=5 * np.sqrt(2 / count))
    correlation = np.corrcoef(along.T)
    assert np.abs(correlation - np.eye(3)).max() < 5 / np.sqrt(count)


def test_mirror_and_colour_can_be_off(pictures):
    augment = augmentation(mirror=False, colour_std=0.0)
    for record in range(50):
        _, _, mirrored, shift = augment.draw(record, 0, 256)
        assert not mirrored
        assert (shift == 0).all()


def test_the_ten_views_are_the_right_ten(pictures):
    views = crop_views(pictures, 224, 10)
    assert views.shape == (3, 10, 224, 224, 3)
    for index, (top, left) in enumerate([(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]):
        window = pictures[:, top : top + 224, left : left + 224]
        np.testing.assert_array_equal(views[:, index], window)
        np.testing.assert_array_equal(views[:, index + 5, 7, 3], window[:, 7, 220])
        np.testing.assert_array_equal(views[:, index + 5], np.flip(window, 2))
    np.testing.assert_array_equal(crop_views(pictures, 224, 1)[:, 0], views[:, 4])


def test_the_nine_views_are_three_by_three_places_not_mirrored(rng):
    images = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    views = crop_views(images, 24, 9)
    places = [(top, left) for top in (0, 4, 8) for left in (0, 4, 8)]
    for index, (top, left) in enumerate(places):
        np.testing.assert_array_equal(views[:, index], images[:, top : top + 24, left : left + 24])
    np.testing.assert_array_equal(crop_views(images, 24, 1)[:, 0], views[:, 4])


def test_network_order_keeps_grey_levels(pictures):
    ordered = network_order(pictures)
    assert ordered.dtype == np.float32
    assert ordered[1, 2, 30, 40] == pictures[1, 30, 40, 2]
