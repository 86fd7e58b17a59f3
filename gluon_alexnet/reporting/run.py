"""A run as the report's sections see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..recipes.schema import Recipe
from ..training.checkpoint import State
from ..training.run_folder import RunDescription


@dataclass(frozen=True)
class ReportedRun:
    """All that is told of."""

    folder: Path
    checkpoint: Path
    description: RunDescription
    state: State
    events: list[dict]  # of the log
    classifier: Any
    parameters: int

    @property
    def recipe(self) -> Recipe:
        """Its numbers."""
        return self.description.recipe

    @property
    def contexts(self) -> list[str]:
        """Devices on which it was last trained, as MXNet names them; none where the log does not say."""
        started = [event for event in self.events if event.get("event") == "start"]
        return list(started[-1].get("contexts", [])) if started else []

    @property
    def trained_on(self) -> int | None:
        """Training images of an epoch; None before the end of the first."""
        epochs = self.state.epochs
        return epochs[-1]["images"] if epochs else None

    @property
    def log_score(self) -> dict[str, Any] | None:
        """What the last epoch's end said of the validation images (centre view); None before that of the first."""
        return self.state.epochs[-1] if self.state.epochs else None

    def name(self, label: int) -> str:
        """A class's name, without its synonyms."""
        return self.description.classes[label]["name"].split(",")[0]
