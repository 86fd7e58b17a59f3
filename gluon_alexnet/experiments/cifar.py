"""The paper's experiments on CIFAR-10 (NIPS 2012, Sec. 3.1 with Fig. 1, Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.augmentation import TrainingAugmentation, central_patch, network_order
from ..evaluation.ensemble import evaluate
from ..evaluation.metrics import Score
from .config import CIFAR_NORMALIZATION, Descent, FigureOne, FourLayers, LocalLayers, NormalizationTest
from .models import FourLayerNet, LocalNet, decays
from .trials import Data, SmallTrainer, Trial, TrialContext, TrialPlan, run_trial

IMAGES_PER_PASS = 100  # of ten views each


def figure_one_trial(
    place: TrialContext,
    numbers: FigureOne,
    data: Data,
    activation: str,
    rate: float,
    seed: int,
    limit: int,
    rival: Trial | None = None,
) -> Trial:
    """Train the four-layer net until its training error reaches the target, or for ``limit`` updates (Sec. 3.1).

    It is given up, too, if its error is above the rival's after half of the rival's updates.
    """
    trainer = SmallTrainer(FourLayerNet(FourLayers(activation=activation)), numbers.descent, place.context)
    mean = network_order(data.mean()[None])[0]

    def prepared(_: int, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return network_order(data.train[indices]) - mean, data.train_labels[indices]

    def ended(trial: Trial) -> bool:
        behind = (
            rival is not None
            and trial.step == rival.step // 2
            and trial.error(numbers.window) > rival.error(numbers.window, trial.step)
        )
        return behind or trial.step >= limit or trial.below(numbers.target, numbers.window)

    plan = TrialPlan(
        f"{activation}-rate-{rate:g}-seed-{seed}",
        seed,
        len(data.train),
        numbers.descent.batch_size,
        prepared=prepared,
        learning_rate=lambda step: rate,
        ended=ended,
        most=limit,
        window=numbers.window,
    )
    return run_trial(place, trainer, plan)


@dataclass(frozen=True)
class ActivationResult:
    """What Fig. 1 is of one kind of activation. Updates to the target; None: not reached before the trial ended."""

    tried: dict[float, int | None]  # by rate, of the first seed
    best_rate: float | None
    updates: list[int | None]  # of each seed, at the best rate
    trials: list[Trial]  # the same


def figure_one(place: TrialContext, numbers: FigureOne, data: Data) -> dict[str, ActivationResult]:
    """Updates to the target with ReLU and with tanh, each at its own best rate (Sec. 3.1).

    The first seed tries every rate, and gives one up that is slower than the best so far, or behind it after half of
    its updates; the others train at the best one.
    """
    limit = numbers.epochs * -(-len(data.train) // numbers.descent.batch_size)
    results = {}
    for activation, rates in (("relu", numbers.relu_rates), ("tanh", numbers.tanh_rates)):
        tried: dict[float, int | None] = {}
        best: tuple[float, int, Trial] | None = None
        for rate in rates:
            trial = figure_one_trial(
                place, numbers, data, activation, rate, 0, *((best[1], best[2]) if best else (limit, None))
            )
            reached = trial.below(numbers.target, numbers.window) and not trial.diverged
            tried[rate] = trial.step if reached else None
            if reached and (best is None or trial.step < best[1]):
                best = rate, trial.step, trial
        if best is None:
            results[activation] = ActivationResult(tried, None, [], [])
            continue
        trials = [best[2]]
        for seed in range(1, numbers.seeds):
            trials.append(figure_one_trial(place, numbers, data, activation, best[0], seed, limit))
        updates = [trial.step if trial.below(numbers.target, numbers.window) else None for trial in trials]
        results[activation] = ActivationResult(tried, best[0], updates, trials)
    return results


def dropped_rate(descent: Descent, step: int, updates: int) -> float:
    """The rate of an update (the first is 0) of a training of that many."""
    return descent.rate / descent.drop_divisor ** sum(step >= share * updates for share in descent.drops)


def normalization_trial(
    place: TrialContext, numbers: NormalizationTest, data: Data, normalized: bool, seed: int, views: Sequence[int]
) -> tuple[Trial, list[Score]]:
    """Train the net with locally connected layers, with or without normalisation, and measure it (Sec. 3.3).

    Returns the training, and the test error for each number of views; none where it diverged.
    """
    net = LocalLayers(normalization=CIFAR_NORMALIZATION if normalized else None)
    fast = place.context.device_type == "cpu"  # type: ignore[attr-defined]
    trainer = SmallTrainer(LocalNet(net, fast), numbers.descent, place.context, decays(net))
    size, images, batch_size = net.input_size, len(data.train), numbers.descent.batch_size
    mean = central_patch(data.mean(), size)
    augment = TrainingAugmentation(numbers.augmentation, size, mean, np.zeros(3), np.eye(3), seed)
    updates = numbers.epochs * -(-images // batch_size)
    plan = TrialPlan(
        f"{'with' if normalized else 'without'}-lrn-seed-{seed}",
        seed,
        images,
        batch_size,
        prepared=lambda epoch, indices: (augment(data.train[indices], indices, epoch), data.train_labels[indices]),
        learning_rate=lambda step: dropped_rate(numbers.descent, step, updates),
        ended=lambda trial: trial.step >= updates,
        most=updates,
        window=-(-images // batch_size),
    )
    trial = run_trial(place, trainer, plan)
    if trial.diverged:
        return trial, []
    with place.testing(len(data.test), f"test of {plan.name}") as tested:
        return trial, evaluate(trainer.classifier(mean), _test_batches(data), size, views, tested)


@dataclass(frozen=True)
class NormalizedResult:
    """Trainings of one kind of net, one a seed, with the test errors of each; an empty list where it diverged."""

    trials: list[Trial]
    scores: list[list[Score]]


def normalization_test(
    place: TrialContext, numbers: NormalizationTest, data: Data, views: Sequence[int]
) -> dict[str, NormalizedResult]:
    """Both nets, "without" and "with" normalisation, with every seed: the two nets of a seed one after the other."""
    results = {"without": NormalizedResult([], []), "with": NormalizedResult([], [])}
    for seed in range(numbers.seeds):
        for name, result in results.items():
            trial, scores = normalization_trial(place, numbers, data, name == "with", seed, views)
            result.trials.append(trial)
            result.scores.append(scores)
    return results


def _test_batches(data: Data) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for begin in range(0, len(data.test), IMAGES_PER_PASS):
        part = slice(begin, begin + IMAGES_PER_PASS)
        yield data.test[part], data.test_labels[part], np.arange(len(data.test))[part]
