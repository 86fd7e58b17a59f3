"""The numbers of the auto-encoder that makes binary codes (Sec. 6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from ..recipes.schema import require


@dataclass(frozen=True)
class AutoEncoder:
    """The net that makes short binary codes of fc7's activations (Sec.

    6.1). The paper gives no number: all are ours.
    """

    hidden: int = 1024  # ReLU neurons between activations and code, and as many behind it
    noise: float = 1.0  # standard deviation of what is added to the input of a code neuron in learning
    batch_size: int = 128  # vectors
    rate: float = 0.001  # of Adam; falls linearly to 0
    updates: int = 2000  # however many vectors there are
    sample: int = 1000  # vectors kept out of learning, at most a tenth of all; the codes are judged on them

    def __post_init__(self) -> None:
        counts = (self.hidden, self.batch_size, self.updates, self.sample)
        require(min(counts) > 0, "hidden, batch_size, updates and sample must be positive", self)
        require(self.noise >= 0 and self.rate > 0, "noise must not be negative, and rate must be positive", self)


AUTO_ENCODER = AutoEncoder()
