"""Errors counted on answers known by hand."""

import threading
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from gluon_alexnet.data.augmentation import crop_views, network_order
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.evaluation import metrics
from gluon_alexnet.evaluation.ensemble import average, evaluate, predict, view_probabilities
from gluon_alexnet.evaluation.metrics import ErrorCounter, Score, label_ranks
from gluon_alexnet.recipes import published
from gluon_alexnet.workflows.evaluate import images_per_pass

SIZE = 224


def test_ranks_by_hand():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    np.testing.assert_array_equal(label_ranks(probabilities, np.array([1, 0, 1, 0])), [0, 0, 1, 2])


def batches(count, batch_size, labels):
    for start in range(0, count, batch_size):
        ids = np.arange(start, min(start + batch_size, count))
        images = np.zeros((len(ids), 256, 256, 3), np.uint8)
        images[...] = ids[:, None, None, None]  # the image says which it is
        yield images, labels[ids], ids


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_every_image_counts_once_whatever_the_batch(batch_size):
    # Class c is the (c + i)th of image i's guesses, from 0: so each place is somebody's label, the fifth and sixth too.
    ranks = (np.arange(8)[None] + np.arange(10)[:, None]) % 8
    table, places = 8.0 - ranks, np.array([0, 1, 2, 3, 4, 5, 6, 7, 4, 5])
    labels = np.array([row.tolist().index(place) for row, place in zip(ranks, places)])

    def classify(views):
        return table[views[:, 0, 0, 0]]

    ten, centre = evaluate(classify, batches(10, batch_size, labels), SIZE, views=[10, 1])
    for score in (ten, centre):
        assert score.images == 10
        assert score.top1_wrong == 9
        assert score.top5_wrong == 4  # of the places 5, 6, 7 and 5 again
        assert score.top1 == 10 * score.top1_wrong


def test_ten_views_average_the_softmax_and_the_centre_stands_alone():
    image = np.zeros((1, 256, 256, 3), np.uint8)
    image[0, 0, 0] = 255  # seen by the top left view alone, mirrored or not

    def classify(views):
        sees = views.reshape(len(views), -1).max(axis=1) > 0
        return np.where(sees[:, None], [[0.0, 1.0]], [[0.55, 0.45]])

    batch = [(image, np.array([0]), np.array([0]))]
    # ten views: class 0 gets 8 * 0.55 / 10 = 0.44, class 1 gets 0.56; centre: class 0
    ten, centre = evaluate(classify, batch, SIZE, views=[10, 1])
    assert (ten.top1_wrong, centre.top1_wrong) == (1, 0)
    assert evaluate(classify, batch, SIZE, views=[1])[0].top1_wrong == 0


def test_the_ten_views_are_four_corners_and_the_centre_and_their_reflections():
    image = np.zeros((1, 256, 256, 3), np.uint8)
    image[0, ..., 0], image[0, ..., 1] = np.mgrid[:256, :256]  # each pixel says where it is
    # Where the upper left pixel of a view comes from: of a mirrored one it was the upper right.
    places = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    corners = [*places, *((top, left + SIZE - 1) for top, left in places)]
    seen = []

    def classify(views):
        seen.extend(map(tuple, views[:, 0, 0, :2].tolist()))
        return np.eye(10)[[corners.index(one) for one in seen]]

    ten, centre = view_probabilities(classify, image, SIZE, [10, 1])
    assert sorted(seen) == sorted(corners)
    np.testing.assert_allclose(ten, np.full((1, 10), 0.1))
    np.testing.assert_array_equal(centre, np.eye(10)[[4]])


def test_an_output_that_is_no_number_stops():
    batch = batches(3, 3, np.zeros(3, int))
    with pytest.raises(OperationFailed, match="record 0 is not a number"):
        evaluate(lambda views: np.full((len(views), 4), np.nan), batch, SIZE)


def test_images_without_labels_are_not_scored():
    with pytest.raises(InvalidRequest, match="no public labels"):
        evaluate(lambda views: np.ones((len(views), 4)), batches(3, 3, np.full(3, -1)), SIZE)


def test_no_images_is_an_error():
    with pytest.raises(OperationFailed, match="not one image"):
        evaluate(lambda views: None, [], SIZE)


def test_errors_of_each_class_and_confused_pairs_by_hand():
    tally = ErrorCounter(10, 7)
    first = np.eye(7)[[0, 2, 2, 1, 6]]  # the first guess of each image
    tally.add(first[:2], np.array([0, 1]))
    tally.add(first[2:], np.array([1, 2, 5]))
    # Wrong: two images of class 1 taken for 2, one of 2 for 1, one of 5 for 6. After the first guess come the other
    # classes in order: 5 is the seventh for the last image, so not among the first five; 1 and 2 are.
    assert tally.score == Score(10, 5, 4, 1)
    assert [(s.images, s.top1_wrong, s.top5_wrong) for s in tally.class_scores()] == [
        (1, 0, 0), (2, 2, 0), (1, 1, 0), (0, 0, 0), (0, 0, 0), (1, 1, 1), (0, 0, 0)
    ]  # fmt: skip
    assert tally.most_confused(2) == [(1, 2, 2), (2, 1, 1)]
    assert tally.most_confused(9) == [(1, 2, 2), (2, 1, 1), (5, 6, 1)]


def test_ranks_and_pairs_are_those_of_a_sort_and_a_dictionary(rng, monkeypatch):
    monkeypatch.setattr(metrics, "_PENDING", 50)  # joined again and again
    probabilities = rng.integers(0, 6, (400, 9)).astype(np.float32) / 10  # many are equal
    labels = rng.integers(0, 9, 400)
    ranks = [sorted(range(9), key=lambda c: (-row[c], c)).index(label) for row, label in zip(probabilities, labels)]
    np.testing.assert_array_equal(label_ranks(probabilities, labels), ranks)
    tally, pairs = ErrorCounter(1, 9), Counter()
    for begin in range(0, 400, 7):
        tally.add(probabilities[begin : begin + 7], labels[begin : begin + 7])
    for row, label, rank in zip(probabilities.tolist(), labels.tolist(), ranks):
        if rank:
            pairs[label, row.index(max(row))] += 1
    expected = sorted(((*pair, images) for pair, images in pairs.items()), key=lambda one: (-one[2], one[:2]))
    assert tally.most_confused(100) == expected
    assert tally.most_confused(3) == expected[:3]
    confusion = tally.confusion()
    assert confusion.sum() == 400 and all(confusion[label, guess] == images for label, guess, images in expected)


def test_nets_are_averaged_with_their_weights_after_their_views():
    labels = np.array([1, 0])
    images = np.zeros((2, 256, 256, 3), np.uint8)
    images[1] = 1
    tables = np.array([[[0.6, 0.4], [0.1, 0.9]], [[0.0, 1.0], [0.5, 0.5]]], np.float32)  # net, image, class

    def net(number, size):
        return SimpleNamespace(
            classify=lambda views: tables[number][views[:, 0, 0, 0]], size=size, source=f"net {number}"
        )

    nets = [net(0, 224), net(1, 99)]  # each sees crops of its own size
    (predicted,) = predict(nets, [3.0, 1.0], [(images, labels, np.array([7, 8]))], [10, 1])
    for views in (0, 1):
        np.testing.assert_allclose(predicted.nets[0][views], tables[0], rtol=1e-6)
        np.testing.assert_allclose(predicted.mean[views], [[0.45, 0.55], [0.2, 0.8]], rtol=1e-6)
    tables[1, 1, 0] = np.nan
    with pytest.raises(OperationFailed, match="net 1: the output for record 8 is not a number"):
        list(predict(nets, [3.0, 1.0], [(images, labels, np.array([7, 8]))], [10, 1]))


def several(read):
    """Batches of one image, each told to `read` when it is asked for."""
    for number in range(6):
        read.append(number)
        yield np.full((1, 256, 256, 3), number, np.uint8), np.array([0]), np.array([number])


def test_the_next_batches_are_read_while_a_net_computes_and_not_all_of_them():
    read, seen = [], []

    def classify(views):
        deadline = time.monotonic() + 10
        wanted = min(int(views[0, 0, 0, 0]) + 3, 6)  # this one, one that waits, and one that has no place yet
        while len(read) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        seen.append((int(views[0, 0, 0, 0]), len(read) == wanted))
        return np.ones((len(views), 4))

    assert evaluate(classify, several(read), SIZE, views=[1])[0].images == 6
    net = SimpleNamespace(classify=classify, size=SIZE, source="net")
    assert seen == [(number, True) for number in range(6)]
    seen.clear(), read.clear()
    assert [one.ids.tolist() for one in predict([net], [1.0], several(read), [1])] == [[i] for i in range(6)]
    assert seen == [(number, True) for number in range(6)]


def test_what_goes_wrong_in_reading_comes_out_and_the_reading_ends_with_the_evaluation():
    def damaged():
        yield from several([])
        raise OperationFailed("shard 3 is damaged")

    with pytest.raises(OperationFailed, match="shard 3 is damaged"):
        evaluate(lambda views: np.ones((len(views), 4)), damaged(), SIZE, views=[1])
    with pytest.raises(OperationFailed, match="record 0 is not a number"):
        evaluate(lambda views: np.full((len(views), 4), np.nan), several([]), SIZE, views=[1])
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_nets_that_see_the_same_share_their_crops_and_one_with_a_mean_image_has_its_own(rng):
    images = rng.integers(0, 256, (2, 256, 256, 3), np.uint8)
    mean = rng.random((3, 256, 256), np.float32)
    given = []

    def net(**more):
        def classify(views):
            given.append(views)
            return np.ones((len(views), 4), np.float32)

        return SimpleNamespace(classify=classify, size=SIZE, source="net", **more)

    list(predict([net(), net(), net(mean_image=mean)], [1.0] * 3, [(images, np.zeros(2, int), np.arange(2))], [10]))
    assert np.shares_memory(given[0], given[1])
    assert given[0].dtype == np.uint8 and given[2].dtype == np.float32
    given.clear()
    list(predict([net(takes_floats=True)], [1.0], [(images, np.zeros(2, int), np.arange(2))], [10]))
    views = crop_views(images, SIZE, 10).reshape(-1, SIZE, SIZE, 3)
    np.testing.assert_array_equal(given[0], views)
    assert given[0].dtype == np.float32 and np.shares_memory(network_order(given[0]), given[0])
    np.testing.assert_array_equal(network_order(given[0]), views.transpose(0, 3, 1, 2))
    given.clear()
    list(predict([net(), net(mean_image=mean)], [1.0] * 2, [(images, np.zeros(2, int), np.arange(2))], [10]))
    # Of the first image, the lower right corner: each pixel without its own mean, with the centre's.
    expected = images[0, 32:, 32:] - (mean[:, 32:, 32:] - mean[:, 16:240, 16:240]).transpose(1, 2, 0)
    np.testing.assert_allclose(given[1].reshape(2, 10, SIZE, SIZE, 3)[0, 3], expected, atol=1e-4)


def test_a_pass_has_as_many_views_of_one_as_of_ten():
    assert [images_per_pass(1, views) for views in ([1], [10], [10, 1])] == [160, 16, 16]
    assert [images_per_pass(nets, [1]) for nets in (2, 3, 7)] == [80, 80, 80]
    assert images_per_pass(7, [10, 1]) == 8


def test_one_net_is_what_it_says_to_the_bit():
    one = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    assert average([one], [7.0]) is one


def test_the_tables_are_the_paper_s():
    # As printed: Table 1, top-1 and top-5 on the test set; Table 2, top-1 (val), top-5 (val), top-5 (test).
    first, second = published.table(2010), published.table(2012)
    assert {row.net: row.errors for row in first.rows} == {
        "Sparse coding": (47.1, 28.2), "SIFT + FVs": (45.7, 25.7), "1 CNN": (37.5, 17.0)
    }  # fmt: skip
    assert [row.errors for row in second.rows] == [
        (None, None, 26.2), (40.7, 18.2, None), (38.1, 16.4, 16.4), (39.0, 16.6, None), (36.7, 15.4, 15.3)
    ]  # fmt: skip
    assert [row.net[:6] for row in second.rows] == ["SIFT +", "1 CNN", "5 CNNs", "1 CNN*", "7 CNNs"]
    assert (first.columns, second.columns[-1]) == ((("test", "top-1"), ("test", "top-5")), ("test", "top-5"))
