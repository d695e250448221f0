"""What a cutoff is chosen from: the decision window counted by lead and replayed by group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.certificates import Candidate, Trial, left_edge
from models.crossings import Crossings, Floats
from models.replay import Replay


@dataclass(frozen=True)
class DecisionWindow:
    """What a cutoff is chosen from.

    crossings
        The volume at every level: leads.
    replay
        First crossings and wins: groups.
    candidates
        The cutoffs that may be tested, strictest first, fixed without the window's labels.
    predict
        The calibrator's: from margins (n,) to propensities (n,).
    horizon
        A duration such as "30d", or None.
    """

    crossings: Crossings
    replay: Replay
    candidates: tuple[Candidate, ...]
    predict: Callable[[Floats], Floats]
    horizon: str | None = None

    def at(self, level: float) -> Candidate:
        """Return any level as a candidate, with the margin that selects the same leads."""
        return Candidate(float(left_edge([level], self.predict)[0]), level)

    def precision_of(self, candidate: Candidate) -> Trial:
        """Return how many groups cross first, and convert."""
        return Trial(candidate, *self.replay.converted(candidate.margin))

    def recall_of(self, candidate: Candidate) -> Trial:
        """Return how many groups won, and how many of them had crossed before."""
        return Trial(candidate, *self.replay.caught(candidate.margin))

    @property
    def said(self) -> dict[str, Any]:
        """What a promise's words need."""
        return {"unit": self.replay.unit, "horizon": self.horizon}
