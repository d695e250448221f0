"""Which cutoffs can be certified: candidates fixed beforehand, tested one after the other.

The candidates come from the calibration window's margins, and where testing starts from the propensities
expected: no label of the decision window has a say in either. So the probability that anything
false is certified is at most one minus the confidence, however many candidates are tested, since testing
stops at the first that fails (P. Bauer, "Multiple testing in clinical trials", 1991; for the choice of a
model's threshold A. Angelopoulos et al., "Learn then Test", 2021). Each test is exact and binomial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv, expit, logit
from scipy.stats import binom

from models.replay import Replay

Floats = NDArray[np.float64]

# The strictest and the loosest candidate, as a share of the calibration window's snapshots.
SHARES = (0.002, 0.998)
CANDIDATES = 60
# Fewer units than this say nothing about a share: one win in one lead is not "100 %".
LEAST_UNITS = 10
# Where testing starts: at the highest bound that is to be expected at this confidence. Higher than the
# one promised, so that a start with few leads, which chance may fail, gives way to one with more.
START_CONFIDENCE = 0.99
# With how many leads a promise would be within reach: where it is certified four times out of five.
POWER = 0.8
# No model tells leads apart by more log-odds than this.
FURTHEST = 1e3


@dataclass(frozen=True)
class Candidate:
    """A cutoff that may be tested: margin and level select the same leads."""

    margin: float
    level: float


@dataclass(frozen=True)
class Trial:
    """A candidate with what was counted: of `units`, `successes` did what is promised."""

    candidate: Candidate
    units: int
    successes: int

    def p_value(self, share: float) -> float:
        """Return the probability of as many successes or more if the true share were `share`."""
        # P(X >= k) is an incomplete beta function, whose inverse is the bound.
        k, rest = self.successes, self.units - self.successes + 1
        return float(betainc(k, rest, share)) if k else 1.0

    def at_least(self, confidence: float) -> float:
        """Return the exact one-sided lower bound of the share (Clopper and Pearson, 1934)."""
        return lower_bound(self.units, self.successes, confidence)


@dataclass(frozen=True)
class Tested:
    """A trial and its verdict at the share promised."""

    trial: Trial
    p_value: float
    kept: bool

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        candidate = self.trial.candidate
        return {
            "level": candidate.level,
            "margin": candidate.margin,
            "units": self.trial.units,
            "successes": self.trial.successes,
            "p_value": self.p_value,
            "kept": self.kept,
        }


def candidates(margins: ArrayLike, predict: Callable[[Floats], Floats]) -> tuple[Candidate, ...]:
    """Return the cutoffs to test, strictest first.

    Quantiles of the calibration window's margins (n,), evenly spaced in the log-odds of the share of
    snapshots above, so that they lie close at both ends; each moved to the lowest margin that has its
    propensity.
    """
    shares = expit(np.linspace(logit(SHARES[0]), logit(SHARES[1]), CANDIDATES))
    given = np.quantile(np.asarray(margins, dtype=float), 1.0 - shares)
    levels = np.unique(predict(given))[::-1]
    edges = left_edge(levels, predict)
    return tuple(Candidate(float(m), float(level)) for m, level in zip(edges, levels, strict=True))


def left_edge(levels: ArrayLike, predict: Callable[[Floats], Floats]) -> Floats:
    """Return for each level (k,) the lowest margin whose propensity is not below it.

    ``margin >= edge`` and ``propensity >= level`` then select the same leads, also where the calibrator is
    flat. Minus and plus `FURTHEST` stand for everyone and no one.
    """
    wanted = np.asarray(levels, dtype=float)
    low, high = np.full(wanted.shape, -FURTHEST), np.full(wanted.shape, FURTHEST)
    low = np.where(predict(low) >= wanted, np.nextafter(-FURTHEST, -np.inf), low)
    while True:
        middle = low + (high - low) / 2
        if ((middle <= low) | (middle >= high)).all():
            return np.maximum(high, -FURTHEST)
        above = predict(middle) >= wanted
        high, low = np.where(above, middle, high), np.where(above, low, middle)


def lower_bound(units: int, successes: float, confidence: float) -> float:
    """Return the exact one-sided lower confidence bound of a share; 0 without a success."""
    return float(betaincinv(successes, units - successes + 1, 1.0 - confidence)) if successes > 0 else 0.0


def upper_bound(units: int, successes: float, confidence: float) -> float:
    """Return the exact one-sided upper confidence bound of a share; 1 without a failure."""
    return float(betaincinv(successes + 1, units - successes, confidence)) if successes < units else 1.0


def start(replay: Replay, among: Sequence[Candidate]) -> int | None:
    """Return the place of the candidate to test first, or None where too few units cross any.

    The one whose lower bound would be highest if the propensities are right. It depends neither on
    labels nor on what is asked, so whoever asks for more never gets a looser cutoff.
    """
    counted = [replay.expected(candidate.margin) for candidate in among]
    bounds = [
        lower_bound(units, units * rate, START_CONFIDENCE) if units >= LEAST_UNITS else -1.0
        for units, rate in counted
    ]
    best = int(np.argmax(bounds)) if bounds else 0
    return best if bounds and bounds[best] >= 0 else None


def in_sequence(trials: Sequence[Trial], share: float, confidence: float) -> list[Tested]:
    """Test "the share is no more than this" in the order given, until one cannot be rejected."""
    tested: list[Tested] = []
    for trial in trials:
        p_value = trial.p_value(share)
        tested.append(Tested(trial, p_value, p_value <= 1.0 - confidence))
        if not tested[-1].kept:
            break
    return tested


def units_needed(true_share: float, share: float, confidence: float, power: float = POWER) -> int | None:
    """Return how many units it takes to certify `share` with this power; None if the truth is not above."""
    if true_share <= share:
        return None

    def enough(units: int) -> bool:
        # The fewest successes that reject: P(X >= critical | share) <= 1 - confidence.
        critical = binom.isf(1.0 - confidence, units, share) + 1
        return bool(binom.sf(critical - 1, units, true_share) >= power)

    high = 1
    while not enough(high):
        high *= 2
        if high > 10**9:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
