"""The strongest responses are those of a sort of everything."""

import numpy as np
import pytest

from gluon_alexnet.errors import OperationFailed
from gluon_alexnet.features.strongest import Response, strongest


def batches(count, size):
    """Images whose first pixels tell their number."""
    for start in range(0, count, size):
        ids = np.arange(start, min(start + size, count))
        images = np.zeros((len(ids), 256, 256, 3), np.uint8)
        images[:] = ids[:, None, None, None]
        yield images, np.zeros(len(ids)), ids


@pytest.mark.parametrize("shape", [(5, 4, 3), (5,)])
def test_the_strongest_of_all(rng, shape):
    values = rng.normal(0, 1, (50, *shape)).astype(np.float32)
    values[7], values[31] = values[12], values[12]  # equal ones
    seen = []
    found = strongest(lambda views: values[views[:, 0, 0, 0]], 224, batches(50, 8), [4, 0], 9, seen.append)
    assert sum(seen) == 50
    flat = values.reshape(50, 5, -1)
    for unit, responses in zip([4, 0], found):
        peaks = flat[:, unit].max(axis=1)
        order = sorted(range(50), key=lambda image: (-peaks[image], image))[:9]
        assert [one.image for one in responses] == order
        for one in responses:
            assert one.value == peaks[one.image]
            if len(shape) == 3:
                assert values[one.image, unit, one.row, one.column] == one.value
            else:
                assert (one.row, one.column) == (0, 0)


def test_fewer_images_than_asked_for():
    found = strongest(lambda views: views[:, 0, :2, 0].astype(np.float32), 224, batches(3, 2), [1], 9)
    assert found == [[Response(2, 2.0, 0, 0), Response(1, 1.0, 0, 0), Response(0, 0.0, 0, 0)]]


def test_what_is_not_a_number_is_told():
    with pytest.raises(OperationFailed, match="An activation is not a number"):
        strongest(lambda views: np.full((len(views), 2), np.nan), 224, batches(3, 2), [1], 9)
