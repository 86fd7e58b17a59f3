"""How each parameter of a layer graph is updated, as cuda-convnet's parameter files say it.

v <- momentum v - rate (g + decay w); w <- w + v. Where the rate is 0, neither moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InvalidRequest as InvalidRequest

SCHEDULES = ("default", "linear", "exp", "dexp", "jdexp")


@dataclass(frozen=True)
class Schedule:
    """How a rate falls while a run goes from its beginning (progress 0) to its end (1).

    "default": not at all. "linear", "exp": to rate / factor, in a straight line or by a constant share. "dexp": as
    "exp", in ``steps`` steps. "jdexp": as "dexp", but between a fifth and nine tenths of the run each step but the
    first ends with the geometric mean of its rate and of the one before.
    """

    kind: str = "default"
    factor: float = 1.0
    steps: int = 1
    noise: float = 0.0  # each update multiplies the rate by 1 + noise |z|, where z is drawn from N(0, 1)

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise InvalidRequest(f"There is no schedule {self.kind!r}; there are {', '.join(SCHEDULES)}.")
        if not (0 < self.factor < math.inf and self.steps >= 1 and 0 <= self.noise < math.inf):
            raise InvalidRequest(
                f"The schedule {self.kind} needs a positive factor, 1 step or more, and no less noise than 0."
            )

    def rate(self, first: float, progress: float) -> float:
        """The rate at this share of the run, from the first one."""
        if self.kind == "default" or first == 0:
            return first
        if self.kind == "linear":
            return first * (1 - progress) + first / self.factor * progress
        if self.kind == "exp":
            return first * self.factor**-progress
        step = min(max(math.ceil(progress * self.steps) - 1, 0), self.steps - 1)
        rates = [first * self.factor ** -(n / (self.steps - 1) if self.steps > 1 else 1) for n in range(self.steps)]
        late = progress > (step + 0.5) / self.steps
        if self.kind == "jdexp" and step > 0 and 0.2 < progress < 0.9 and late:
            return math.sqrt(rates[step] * rates[step - 1])
        return rates[step]


@dataclass(frozen=True)
class Update:
    """What happens to one parameter in each update."""

    parameter: str
    rate: float  # learning rate at the beginning
    momentum: float
    decay: float  # of weights; biases have none
    schedule: Schedule
    # After each update the weights of one output are shrunk to this length, if they are longer; 0: never.
    ball: float
    # … and scaled so that their deviation over the root of their number is within these bounds; (0, 0): never.
    contrast: tuple[float, float]

    def __post_init__(self) -> None:
        if not (0 <= self.rate < math.inf and 0 <= self.momentum < 1 and 0 <= self.decay < math.inf):
            raise InvalidRequest(f"{self.parameter}: rate and decay must be 0 or more, momentum 0 or more and below 1.")
        if not (0 <= self.ball < math.inf and 0 <= self.contrast[0] <= self.contrast[1] < math.inf):
            raise InvalidRequest(f"{self.parameter}: bounds of the weights must be 0 or more, and in order.")
