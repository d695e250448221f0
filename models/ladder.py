"""What every cutoff would have done, and what can be promised to one who chooses after seeing them all.

Whoever moves a slider sees the conversions at every level and stops where they look best. A bound that is
right at one level fixed beforehand is then too high more often than it says. So the bounds here hold at all
levels at once: each is exact and binomial, at a confidence so much stricter that with the confidence asked
for *none* of them is too high. How much stricter depends on how much the levels have in common (most leads
above one level are above the next), and is found by drawing labels from the propensities and looking at
the least p-value of all levels: the single-step min-P method (P. Westfall and S. Young, "Resampling-Based
Multiple Testing", 1993). The levels are fixed, and the draws made, without any label of the window. The
least p-value hardly depends on what the true shares are, since each p-value is exact; to be safe the draws
are repeated with all propensities moved up and down, and the strictest result is used. It is never
stricter than dividing the risk among the levels (C. Bonferroni, 1936), which is valid whatever they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, logit

from models.certificates import FURTHEST, LEAST_UNITS, Candidate, Floats, Trial
from models.decision_window import DecisionWindow
from models.promises import AT_EVERY_LEVEL, promise, rounded_down
from models.replay import Replay

REPEATS = 2000
# How far off the propensities may be, in log-odds, when the levels' confidence is sought.
MOVED = (-1.0, 0.0, 1.0)
NEVER_SURE = 1e-4


@dataclass(frozen=True)
class Rung:
    """One cutoff: what was counted there in the decision window, and its promise or None."""

    candidate: Candidate
    trial: Trial
    promise: dict[str, Any] | None

    @property
    def margin(self) -> float | None:
        """The margin, None where no lead can reach the level."""
        return self.candidate.margin if self.candidate.margin < FURTHEST else None


@dataclass(frozen=True)
class Ladder:
    """All cutoffs that are shown, loosest first.

    confidence
        That no promise of the ladder is false.
    each
        The confidence of each level's own bound that this takes.
    """

    rungs: tuple[Rung, ...]
    confidence: float
    each: float


def ladder(
    window: DecisionWindow,
    levels: Sequence[float],
    confidence: float,
    *,
    promises: bool = True,
    seed: int = 0,
) -> Ladder:
    """Return what every candidate, and the levels given, would have done, each with its promise.

    Parameters
    ----------
    levels
        Levels to show beside the candidates: those of the configured cutoffs. No label of the window may
        have set them, other than by choosing among the candidates.
    confidence
        The least probability that all promises are true.
    promises
        Whether anything may be promised: not where the base rate moved.
    """
    known = {candidate.level: candidate for candidate in window.candidates}
    shown = [known.get(level) or window.at(level) for level in sorted({*known, *map(float, levels)})]
    each = confidence_of_each(window.replay, [c.margin for c in shown], confidence, seed=seed)
    trials = [window.precision_of(candidate) for candidate in shown]
    least = [rounded_down(t.at_least(each)) if t.units >= LEAST_UNITS else 0.0 for t in trials]
    rungs = [
        Rung(
            trial.candidate,
            trial,
            promise("precision", share, confidence, trial, **window.said, method=AT_EVERY_LEVEL)
            # No better than what the loosest promises: then it says nothing for this level.
            if promises and 0.0 < share >= least[0]
            else None,
        )
        for trial, share in zip(trials, least, strict=True)
    ]
    return Ladder(tuple(rungs), confidence, each)


def confidence_of_each(
    replay: Replay, margins: Sequence[float], confidence: float, *, seed: int = 0, repeats: int = REPEATS
) -> float:
    """Return the confidence of one level's bound at which the bounds at all `margins` hold together.

    Only levels that enough groups cross take part: the others promise nothing.
    """
    crossing = [replay.first(margin) for margin in margins]
    crossing = [rows for rows in crossing if len(rows) >= LEAST_UNITS]
    if len(crossing) < 2:
        return confidence
    risk = 1.0 - confidence
    cells = _Cells.of(crossing, replay.propensity)
    rng = np.random.default_rng(seed)
    each = min(cells.least_p(moved, repeats, rng, risk) for moved in MOVED)
    return 1.0 - min(max(each, risk / len(crossing)), risk)


@dataclass(frozen=True)
class _Cells:
    """First crossings, those at the same levels together.

    size, share
        (c,) crossings, and their mean propensity. That it is a mean has labels vary more than they do.
    levels
        (c, k) whether a level counts a cell.
    """

    size: NDArray[np.int64]
    share: Floats
    levels: NDArray[np.bool_]

    @classmethod
    def of(cls, crossing: Sequence[NDArray[np.intp]], propensity: Floats) -> _Cells:
        """Sort rows (of each level) into cells."""
        rows = np.unique(np.concatenate(crossing))
        inside = np.column_stack([np.isin(rows, of, assume_unique=True) for of in crossing])
        levels, cell = np.unique(inside, axis=0, return_inverse=True)
        size = np.bincount(cell.ravel())
        share = np.bincount(cell.ravel(), weights=propensity[rows]) / size
        return cls(size, np.clip(share, NEVER_SURE, 1.0 - NEVER_SURE), levels)

    def least_p(self, moved: float, repeats: int, rng: np.random.Generator, risk: float) -> float:
        """Return what the least p-value of all levels stays below with probability `risk`.

        Labels of one group at different moments are drawn apart: so levels share less than they do.
        """
        share = expit(logit(self.share) + moved)
        units = (self.size @ self.levels).astype(float)
        truth = ((self.size * share) @ self.levels) / units
        successes = rng.binomial(self.size, share, size=(repeats, len(share))).astype(float) @ self.levels
        some = np.maximum(successes, 1.0)
        p = np.where(successes > 0, betainc(some, units - some + 1.0, truth), 1.0)
        place = int(np.floor(risk * (repeats + 1) + 1e-9)) - 1
        return float(np.sort(p.min(axis=1))[place]) if place >= 0 else 0.0
