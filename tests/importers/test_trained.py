"""Trained or drawn: every way to draw numbers is noise, whatever is smooth is trained."""

import numpy as np
import pytest

from gluon_alexnet.importers.trained import CONSTANT, DRAWN, THRESHOLD, TRAINED, judge_kernels


def orthogonal(rng, shape):
    columns = np.linalg.qr(rng.normal(size=(int(np.prod(shape[1:])), shape[0])))[0]
    return columns.T.reshape(shape)


DRAWINGS = {
    "normal": lambda rng, shape: rng.normal(0, 0.01, shape),
    "uniform": lambda rng, shape: rng.uniform(-0.05, 0.05, shape),
    "truncated": lambda rng, shape: np.clip(rng.normal(0, 1, shape), -1, 1),
    "orthogonal": orthogonal,
    "with a constant": lambda rng, shape: 7 + rng.normal(0, 0.01, shape),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
}


@pytest.mark.parametrize("kernels", [12, 64, 96])
@pytest.mark.parametrize("drawing", DRAWINGS)
def test_drawn_kernels_are_noise(rng, drawing, kernels):
    found = [judge_kernels(DRAWINGS[drawing](rng, (kernels, 3, 11, 11)).astype(np.float32)) for _ in range(10)]
    assert {one.verdict for one in found} == {DRAWN}
    assert max(abs(one.correlation) for one in found) < 0.5 * THRESHOLD
    assert sum(one.smooth for one in found) == 0


def gratings(rng, count):
    """Kernels as trained nets have them: waves of some direction and phase under a window."""
    y, x = np.mgrid[-5:6, -5:6]
    made = []
    for _ in range(count):
        angle, phase, width = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(5, 11)
        wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / width + phase)
        made.append(wave * np.exp(-(x**2 + y**2) / 20) * rng.normal(size=(3, 1, 1)))
    return np.array(made, np.float32)


def test_gratings_are_trained_and_their_weights_shuffled_are_not(rng):
    kernels = gratings(rng, 64)
    found = judge_kernels(kernels)
    assert found.verdict == TRAINED
    assert found.correlation > 0.4
    assert found.smooth > 50
    assert judge_kernels(rng.permuted(kernels.ravel()).reshape(kernels.shape)).verdict == DRAWN


def test_the_figure_is_pearson_s_correlation_of_neighbours(rng):
    kernel = rng.normal(size=(1, 1, 5, 4))
    centred = kernel[0, 0] - kernel.mean()
    pairs = [
        *((centred[y, x], centred[y, x + 1]) for y in range(5) for x in range(3)),
        *((centred[y, x], centred[y + 1, x]) for y in range(4) for x in range(4)),
    ]
    expected = sum(a * b for a, b in pairs) / sum((a * a + b * b) / 2 for a, b in pairs)
    assert judge_kernels(kernel).correlation == pytest.approx(expected)


def test_constant_kernels_are_neither():
    assert judge_kernels(np.full((4, 3, 5, 5), 0.02, np.float32)).verdict == CONSTANT
    assert np.isnan(judge_kernels(np.zeros((4, 3, 5, 5), np.float32)).correlation)
