"""Trained or drawn? The first layer's kernels tell: neighbouring weights of a trained kernel are alike.

Images are smooth, and so are the kernels that learned from them; weights that were drawn, and never trained, know
nothing of their neighbours. Results have been published on random weights that were taken for AlexNet's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Measured: drawn kernels (normal, uniform, orthogonal; 12 to 96 of them) lie between -0.04 and 0.03; 370 updates on ten
# classes reach 0.31, and the AlexNet of lpips, trained on ILSVRC-2012, has 0.52.
THRESHOLD = 0.1
SMOOTH_KERNEL = 0.3  # of one kernel by itself: drawn ones scatter by 0.04
TRAINED, DRAWN, CONSTANT = "trained", "noise", "constant"


@dataclass(frozen=True)
class Verdict:
    """What conv1's kernels are.

    correlation: of weights that are neighbours in a row or in a column, over all kernels, -1 to 1; NaN where each
    kernel is constant. kernels: how many there are. smooth: how many of them are above SMOOTH_KERNEL, each by itself.
    """

    verdict: str  # TRAINED, DRAWN or CONSTANT
    correlation: float
    smooth: int
    kernels: int

    @property
    def trained(self) -> bool:
        """Whether somebody trained it."""
        return self.verdict == TRAINED

    @property
    def sentence(self) -> str:
        """The verdict with its figures, a line."""
        if self.verdict == CONSTANT:
            return "conv1: every kernel is constant; these are no weights of a trained net"
        figure = (
            f"neighbouring weights correlate with {self.correlation:.2f} (drawn at random: 0.00, limit {THRESHOLD})"
        )
        if self.trained:
            return f"conv1: trained, {figure}; {self.smooth} of {self.kernels} kernels by themselves"
        return f"conv1: NOISE, drawn and never trained: {figure}"


def judge_kernels(conv1: np.ndarray) -> Verdict:
    """Judge float32 kernels (kernels, colours, height, width) of the first layer, 3 pixels or more on each side."""
    planes = conv1.astype(np.float64)
    planes -= planes.mean(axis=(2, 3), keepdims=True)  # a constant that is added makes nobody alike
    pairs = ((planes[:, :, :, :-1], planes[:, :, :, 1:]), (planes[:, :, :-1], planes[:, :, 1:]))
    product, power = np.zeros(len(planes)), np.zeros(len(planes))
    for one, other in pairs:
        product += (one * other).sum(axis=(1, 2, 3))
        power += ((one**2).sum(axis=(1, 2, 3)) + (other**2).sum(axis=(1, 2, 3))) / 2
    total = float(power.sum())
    if not total > 0:
        return Verdict(CONSTANT, float("nan"), 0, len(planes))
    correlation = float(product.sum()) / total
    smooth = int((product > SMOOTH_KERNEL * power).sum())
    return Verdict(TRAINED if correlation > THRESHOLD else DRAWN, correlation, smooth, len(planes))
