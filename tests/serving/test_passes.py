"""A batch is cut into the passes that take the least time: against every way to cut it, and by hand."""

import itertools
import time

import numpy as np
import pytest

from gluon_alexnet.serving import passes

# As measured at full width on two cores: 16 views take longer than twice 8.
MEASURED = {1: 0.0086, 4: 0.024, 8: 0.0439, 12: 0.0621, 15: 0.077, 16: 0.0976, 24: 0.128, 32: 0.158, 64: 0.283}


def ways(count, most):
    """Every way to write a number as a sum of others, whatever their order."""
    if count == 0:
        yield ()
    for first in range(min(count, most), 0, -1):
        for rest in ways(count - first, first):
            yield (first, *rest)


def test_the_cheapest_of_all_ways():
    seconds = {1: 1.0, 2: 1.5, 4: 2.0, 5: 4.0, 8: 4.5}
    costs = np.interp(range(9), [0, *seconds], [0, *seconds.values()])
    parts = passes.plan(seconds)
    for count in range(1, 17):
        cheapest = min(sum(costs[k] for k in way) for way in ways(count, 8))
        found = sum(costs[k] for k in parts(count))
        assert sum(parts(count)) == count
        assert cheapest <= found
        # A single pass is kept where cutting gains little.
        assert found == pytest.approx(cheapest) or (len(parts(count)) == 1 and found <= cheapest / passes.WORTH)


def test_sixteen_are_cut_and_sixty_four_are_not():
    parts = passes.plan(MEASURED)
    assert max(parts(16)) <= 15
    assert len(parts(16)) == 2
    for count in (1, 4, 8, 10, 12, 15, 64):
        assert list(parts(count)) == [count]
    assert list(parts(640)) == [64] * 10


def test_an_even_machine_makes_one_pass():
    parts = passes.plan({k: 0.001 * k for k in (1, 8, 64)})
    assert [list(parts(k)) for k in (3, 16, 64)] == [[3], [16], [64]]
    faster = passes.plan({k: 0.01 + 0.0001 * k for k in (1, 8, 64)})  # a GPU: the more the better
    assert [list(faster(k)) for k in (3, 16, 64, 100)] == [[3], [16], [64], [64, 36]]


def test_what_is_timed(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    seen = []

    def classify(views):
        assert views.shape[1:] == (5, 5, 3)
        seen.append(len(views))
        for _ in range(len(views)):
            next(clock)

    assert passes.measure(classify, 5, 20) == {count: count + 1 for count in (1, 4, 8, 12, 15, 16, 20)}
    assert seen == [count for count in (1, 4, 8, 12, 15, 16, 20) for _ in range(1 + passes.TURNS)]
