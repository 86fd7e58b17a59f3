"""Errors counted on answers known by hand."""

import numpy as np
import pytest

from gluon_alexnet.errors import FailedWork, WrongUse
from gluon_alexnet.evaluation import evaluate, label_ranks

SIZE = 224


def test_ranks_by_hand():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    np.testing.assert_array_equal(label_ranks(probabilities, np.array([1, 0, 1, 0])), [0, 0, 1, 2])


def batches(count, batch_size, labels):
    for start in range(0, count, batch_size):
        ids = np.arange(start, min(start + batch_size, count))
        pictures = np.zeros((len(ids), 256, 256, 3), np.uint8)
        pictures[...] = ids[:, None, None, None]  # the picture says which it is
        yield pictures, labels[ids], ids


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_every_picture_counts_once_whatever_the_batch(batch_size):
    labels = np.arange(10) % 8
    table = np.random.default_rng(0).permuted(np.tile(np.arange(8.0), (10, 1)), axis=1)

    def classify(views):
        return table[views[:, 0, 0, 0]]

    # The place of each label when the classes are sorted by falling probability, one by one.
    places = [sorted(range(8), key=lambda c: -table[i, c]).index(labels[i]) for i in range(10)]
    ten, centre = evaluate(classify, batches(10, batch_size, labels), SIZE, views=[10, 1])
    for score in (ten, centre):
        assert score.images == 10
        assert score.top1_wrong == sum(place > 0 for place in places)
        assert score.top5_wrong == sum(place > 4 for place in places)
        assert score.top1 == 10 * score.top1_wrong


def test_ten_views_average_the_softmax_and_the_centre_stands_alone():
    picture = np.zeros((1, 256, 256, 3), np.uint8)
    picture[0, 0, 0] = 255  # seen by the top left view alone, mirrored or not

    def classify(views):
        sees = views.reshape(len(views), -1).max(axis=1) > 0
        return np.where(sees[:, None], [[0.0, 1.0]], [[0.55, 0.45]])

    batch = [(picture, np.array([0]), np.array([0]))]
    # ten views: class 0 gets 8 * 0.55 / 10 = 0.44, class 1 gets 0.56; centre: class 0
    ten, centre = evaluate(classify, batch, SIZE, views=[10, 1])
    assert (ten.top1_wrong, centre.top1_wrong) == (1, 0)
    assert evaluate(classify, batch, SIZE, views=[1])[0].top1_wrong == 0


def test_an_output_that_is_no_number_stops():
    batch = batches(3, 3, np.zeros(3, int))
    with pytest.raises(FailedWork, match="record 0 is not a number"):
        evaluate(lambda views: np.full((len(views), 4), np.nan), batch, SIZE)


def test_pictures_without_labels_are_not_scored():
    with pytest.raises(WrongUse, match="no public labels"):
        evaluate(lambda views: np.ones((len(views), 4)), batches(3, 3, np.full(3, -1)), SIZE)


def test_no_pictures_is_an_error():
    with pytest.raises(FailedWork, match="not one picture"):
        evaluate(lambda views: None, [], SIZE)
