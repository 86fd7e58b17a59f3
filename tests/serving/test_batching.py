"""What waits is computed together, in order, within bounds, and everybody gets their own."""

import threading
import time

import numpy as np
import pytest
from helpers.serving import ColourModel, at_once, opinion

from gluon_alexnet.serving.batching import Batcher, Busy


def views(count, shade=0):
    return np.full((count, 4, 4, 3), shade, np.uint8)


@pytest.fixture
def model():
    return ColourModel()


@pytest.fixture
def batcher(model):
    batcher = Batcher(model.classify, batch_views=8, waiting_views=40)
    yield batcher
    model.hold.set()
    batcher.close()


def held(model, batcher, *more):
    """The batcher at work on one view, with more behind it."""
    model.hold.clear()
    first = batcher.classify(views(1))
    while not first.running():
        time.sleep(0.001)
    return [first, *(batcher.classify(views(count)) for count in more)]


def test_what_waits_together_is_computed_together(model, batcher):
    futures = held(model, batcher, 1, 3, 2)
    model.hold.set()
    assert [len(future.result(10)) for future in futures] == [1, 1, 3, 2]
    assert model.passes == [1, 6]


def test_a_pass_is_bounded_and_the_first_to_come_is_in_it(model, batcher):
    futures = held(model, batcher, 5, 5, 3, 20)
    model.hold.set()
    assert [len(future.result(10)) for future in futures] == [1, 5, 5, 3, 20]
    assert model.passes == [1, 8, 5, 8, 8, 4]  # 5 + 3, then 5, then 20 in parts


def test_a_pass_is_made_in_parts_and_who_is_done_is_told_at_once(model):
    batcher = Batcher(model.classify, 8, 40, parts=lambda count: [count] if count < 3 else [2, count - 2])
    futures = held(model, batcher, 1, 2, 3)
    model.seconds = 0.3
    model.hold.set()
    futures[1].result(10)
    assert not futures[2].done()
    assert [len(future.result(10)) for future in futures] == [1, 1, 2, 3]
    assert model.passes == [1, 2, 4]
    model.seconds = 0
    batcher.close()


def test_everybody_gets_their_own(batcher, rng):
    sent = [rng.integers(0, 256, (rng.integers(1, 12), 4, 4, 3), dtype=np.uint8) for _ in range(60)]
    slow = Batcher(opinion, 8, 10_000, parts=lambda count: [3] * (count // 3) + [1] * (count % 3))
    answers = at_once(lambda number: slow.classify(sent[number]).result(20), len(sent))
    slow.close()
    for own, answer in zip(sent, answers):
        np.testing.assert_array_equal(answer, opinion(own))


def test_more_than_may_wait_is_refused_and_told_when_to_come_back(model, batcher):
    held(model, batcher, 20)
    with pytest.raises(Busy) as refused:
        batcher.classify(views(20))
    assert 0 < refused.value.seconds < 10
    assert batcher.waiting == 21
    model.hold.set()
    while batcher.waiting:
        time.sleep(0.001)
    assert len(batcher.classify(views(10)).result(10)) == 10


def test_a_request_larger_than_what_may_wait_is_taken_by_an_idle_server(batcher):
    assert len(batcher.classify(views(50)).result(10)) == 50


def test_other_work_is_done_in_its_turn_by_the_same_thread(model, batcher):
    first, second = held(model, batcher, 2)
    work = batcher.run(lambda: (threading.current_thread().name, list(model.passes)))
    third = batcher.classify(views(1))
    model.hold.set()
    name, passes = work.result(10)
    third.result(10)
    assert name == "compute"
    assert passes == [1, 3]  # the view behind it went along with the pass before it
    assert first.done() and second.done()


def test_after_a_pass_for_several_it_waits_for_what_is_coming(model):
    coming = [0]
    batcher = Batcher(model.classify, 8, 40, lambda: coming[0])
    for clients, expected in ((2, [1, 2, 2]), (0, [1, 1, 1])):  # behind a pass for one client it does not wait
        model.passes.clear()
        futures = held(model, batcher, *[1] * clients)
        model.seconds = 0.4
        coming[0] = 1
        model.hold.set()
        for future in futures:
            future.result(10)
        model.seconds = 0
        third = batcher.classify(views(1))
        time.sleep(0.03)
        assert third.done() is (clients == 0)
        coming[0] = 0
        fourth = batcher.classify(views(1))
        assert len(third.result(10)) == len(fourth.result(10)) == 1
        assert model.passes == expected
    coming[0] = 1  # what is coming does not come: the wait has an end
    futures = held(model, batcher, 1, 1)
    model.hold.set()
    assert [len(future.result(10)) for future in (*futures, batcher.classify(views(1)))] == [1] * 4
    batcher.close()


def test_a_failed_pass_fails_its_own_requests_only(model, batcher):
    futures = held(model, batcher, 2)
    model.error = ValueError("no")
    model.hold.set()
    for future in futures:
        with pytest.raises(ValueError, match="no"):
            future.result(10)
    with pytest.raises(ZeroDivisionError):
        batcher.run(lambda: 1 // 0).result(10)
    model.error = None
    assert len(batcher.classify(views(1)).result(10)) == 1


def test_who_has_given_up_is_not_computed(model, batcher):
    _, second, third = held(model, batcher, 2, 4)
    assert second.cancel()
    model.hold.set()
    third.result(10)
    assert model.passes == [1, 4]


def test_closing_finishes_what_waits(model):
    batcher = Batcher(model.classify, 8, 30)
    futures = held(model, batcher, 3, 7)
    threading.Timer(0.05, model.hold.set).start()
    batcher.close()
    assert all(future.done() for future in futures)
    with pytest.raises(Busy):
        batcher.classify(views(1))
