"""What is kept of each image, against the evaluation that `eval` prints and against counting by hand."""

import numpy as np
import pytest

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.evaluation.ensemble import evaluate
from gluon_alexnet.reporting.judged import Judged, judge

CLASSES, SIZE = 7, 200


def classify(views):
    """Made probabilities that depend on every pixel of a view."""
    sums = views.reshape(len(views), -1, 3).astype(np.float64).sum(axis=1) @ np.array([1.0, 3.0, 7.0])
    scores = np.sin(sums[:, None] * (1 + np.arange(CLASSES)) / 1000.0)
    exponentials = np.exp(3 * scores)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def batches(rng):
    images = rng.integers(0, 256, (40, 256, 256, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, 40)
    return [(images[k : k + 16], labels[k : k + 16], np.arange(40)[k : k + 16]) for k in range(0, 40, 16)]


@pytest.mark.parametrize("views", [(10, 1), (1,), (10,)])
def test_the_errors_are_those_of_eval(batches, views):
    counts = []
    judged = judge(classify, batches, SIZE, CLASSES, views, counts.append)
    assert judged.scores == evaluate(classify, batches, SIZE, views)
    assert counts == [16, 16, 8]
    assert judged.ids.tolist() == list(range(40))
    for score, count in zip(judged.scores, judged.views):
        assert score.top1_wrong == (judged.ranks[count] >= 1).sum()
        assert score.top5_wrong == (judged.ranks[count] >= 5).sum()
    assert (judged.guesses == judged.labels).sum() == 40 - judged.scores[0].top1_wrong


def row(probabilities):
    """One image whose ten views say these; the fifth is the centre."""
    return np.array(probabilities, np.float32)


def test_images_are_chosen_by_what_they_tell():
    judged = Judged((10, 1), 3)
    sure, unsure, other = [0.9, 0.06, 0.04], [0.5, 0.3, 0.2], [0.05, 0.8, 0.15]
    rescued = [unsure] * 10
    rescued[4] = other  # only its centre is taken for class 1
    images = {
        7: ([unsure] * 10, 0),
        8: ([sure] * 10, 0),
        9: (rescued, 0),
        5: ([unsure] * 10, 1),
        6: ([sure] * 10, 1),
    }
    for number, (views, label) in images.items():
        judged.add(np.array([number]), np.array([label]), row([views]))
    judged.close()
    assert dict(judged.telling()) == {
        "Sure, and right": 8,
        "Wrong by its centre alone, right by ten views": 9,
        "Sure, and wrong": 6,
    }
    assert judged.taken_for(1, 0, 5) == [6, 5]
    assert judged.taken_for(1, 0, 1) == [6]
    assert judged.taken_for(0, 2, 5) == []
    assert judged.errors[10].most_confused(3) == [(1, 0, 2)]


def test_a_perfect_net_is_told_of_too():
    judged = Judged((1,), 2)
    judged.add(np.array([3]), np.array([1]), row([[[0.2, 0.8]]]))
    judged.close()
    assert judged.telling() == [("Sure, and right", 3)]


def test_what_cannot_be_judged_is_refused():
    judged = Judged((1,), 2)
    with pytest.raises(OperationFailed, match="not a number"):
        judged.add(np.array([0]), np.array([1]), row([[[np.nan, 0.5]]]))
    with pytest.raises(InvalidRequest, match="no public labels"):
        judged.add(np.array([0]), np.array([-1]), row([[[0.5, 0.5]]]))
    with pytest.raises(OperationFailed, match="not one image"):
        judged.close()
