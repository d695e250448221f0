"""Filled there, empty here: what past leads had and those still undecided lack.

An honest column is distributed among the leads undecided now as it was, at the same age, among those
undecided on a past day. A column filled in at the outcome is not: on the past day we see, with
today's eyes, what was filled in since. Three questions, all of which must be answered with yes: is
the difference more than chance; is it more than the column drifted from one past day to the other;
and does it go most of the way to what never-won leads look like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from models.separation import MISSING, Codes, rates
from pipeline.guard.material import Looks
from pipeline.guard.peers import Peers
from pipeline.guard.verdicts import Evidence

Floats = NDArray[np.float64]

# A band of ages is compared where the past has so many leads in it.
LEAST_IN_BAND = 20
# Fewer undecided leads, or fewer wins to learn from, cannot accuse anything.
LEAST_NOW = 30
LEAST_WON = 20
# Standard errors: one honest column in 2,000 differs so much by chance, and the two further
# questions are still to be answered.
SIGNIFICANT = 3.5
# The same for the exact binomial of what is filled in.
CHANCE = 3e-5
# How much more than it differed between past days.
BEYOND_DRIFT = 2.0
# The share of the way to what never-won leads look like: 0 for an honest column, 1 for a leak.
VANISHED = 0.6
# Of a column whose values tell wins apart by less (as a share of the variance of the outcome), the way
# to never-won leads is so short that noise goes it; nor could it flatter a model.
MATTERS = 0.15


@dataclass(frozen=True)
class Comparison:
    """A score's mean among the leads undecided now, beside what the past leads one to expect.

    ``target`` is the mean of past leads that were never won (of won ones, where the mean has risen), and
    ``share`` how much of the way there it has gone; ``drift`` is the
    root mean square of the same difference between past days; ``error`` its standard error.
    ``effective`` is how many leads of as many groups would tell as much.
    """

    expected: float
    now: float
    target: float
    error: float
    drift: float
    leads: int
    effective: float

    @property
    def gap(self) -> float:
        """How far the past is from its never-won (or won) leads."""
        return abs(self.target - self.expected)

    @property
    def share(self) -> float:
        """How much of the way has gone."""
        return abs(self.now - self.expected) / self.gap if self.gap > 0 else 0.0

    @property
    def matters(self) -> bool:
        """Whether won and other leads differ enough in it."""
        return self.gap > MATTERS * self.expected * (1 - self.expected)

    @property
    def beyond_drift(self) -> bool:
        """Whether the past days never differed so much."""
        return abs(self.now - self.expected) > BEYOND_DRIFT * self.drift


class Past:
    """The looks at undecided leads, in bands of age that both the past and now have."""

    def __init__(self, looks: Looks, peers: Peers | None = None) -> None:
        self.looks = looks
        self.peers = peers
        self.size = int(looks.band.max()) + 1
        past = ~looks.is_now
        distinct = pd.DataFrame({"band": looks.band[past], "lead": looks.lead[past]}).drop_duplicates()
        self.leads_in_band = np.bincount(distinct["band"], minlength=self.size)
        usable = self.leads_in_band >= LEAST_IN_BAND
        self.now = looks.is_now & usable[looks.band]
        self.past = past & usable[looks.band]
        together = np.bincount(looks.group[self.now])
        self.mean_group = float((together**2).sum() / max(together.sum(), 1))

    @property
    def enough(self) -> bool:
        """Whether now and the past have enough leads to compare."""
        wins = len(np.unique(self.looks.lead[self.looks.won & self.past]))
        return bool(self.now.sum() >= LEAST_NOW) and wins >= LEAST_WON

    def expected(self, score: Floats, among: NDArray[np.bool_], like: NDArray[np.bool_]) -> float:
        """Return the mean score of the rows `among`, weighted to the ages of the rows `like`."""
        means, there = self._by_band(score, among)
        weight = np.bincount(self.looks.band[like], minlength=self.size) * there
        return float(np.average(means, weights=weight)) if weight.sum() else float("nan")

    def _by_band(self, score: Floats, among: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        count = np.bincount(self.looks.band[among], minlength=self.size)
        total = np.bincount(self.looks.band[among], weights=score[among], minlength=self.size)
        return total / np.maximum(count, 1), count > 0

    def compare(self, score: Floats) -> Comparison:
        """Compare the score of each look (n,) between now and the past."""
        looks = self.looks
        expected = self.expected(score, self.past, self.now)
        now = float(score[self.now].mean())
        won = looks.known & looks.won & self.past
        other = looks.known & ~looks.won & self.past
        target = self.expected(score, won if now > expected else other, self.now)
        means, _ = self._by_band(score, self.past)
        squares, _ = self._by_band(score**2, self.past)
        variance = np.maximum(squares - means**2, 0.0)
        weight = np.bincount(looks.band[self.now], minlength=self.size) / self.now.sum()
        design = 1 + (self.mean_group - 1) * self._likeness(score - means[looks.band])
        effective = float(self.now.sum() / design)
        past_error = (weight**2 * variance * design / np.maximum(self.leads_in_band, 1)).sum()
        error = float(np.sqrt((weight * variance).sum() / effective + past_error))
        drift = self._drift(score, variance * design)
        return Comparison(expected, now, target, error, drift, int(self.now.sum()), effective)

    def confirmed(self, score: Floats, found: Comparison) -> bool:
        """Return whether decided leads of the same days do not share what was found (see `peers`)."""
        design = found.leads / found.effective
        return self.peers is None or self.peers.confirm(score, found.now > found.expected, design)

    def neutral(self, score: Floats, seen: NDArray[np.bool_]) -> Floats:
        """Return the score where its value was seen in training, else what leads of its age had.

        The campaigns of this month are new to the training part: that accuses nobody.
        """
        means, _ = self._by_band(score, self.past & seen)
        return np.where(seen, score, means[self.looks.band])

    def _likeness(self, deviation: Floats) -> float:
        """Return how alike the leads of a group are: the intraclass correlation, 0 to 1 (one-way ANOVA)."""
        table = pd.DataFrame({"group": self.looks.group, "lead": self.looks.lead, "value": deviation})
        each = table[self.past].groupby(["group", "lead"])["value"].mean().groupby("group")
        size, mean, spread = each.size(), each.mean(), each.var(ddof=0)
        groups, leads = len(size), int(size.sum())
        if groups < 2 or leads <= groups:
            return 0.0
        overall = float((size * mean).sum() / leads)
        between = float((size * (mean - overall) ** 2).sum() / (groups - 1))
        within = float((size * spread).sum() / (leads - groups))
        usual = (leads - float((size**2).sum()) / leads) / (groups - 1)
        spread_of_all = between + (usual - 1) * within
        return float(np.clip((between - within) / spread_of_all, 0.0, 1.0)) if spread_of_all > 0 else 0.0

    def _drift(self, score: Floats, variance: Floats) -> float:
        """Return by how much past days differ from each other beyond what chance does."""
        squares = []
        for day in range(self.looks.now):
            this = self.past & (self.looks.day == day)
            others = self.past & (self.looks.day != day)
            if this.sum() >= LEAST_NOW and others.any():
                difference = float(score[this].mean()) - self.expected(score, others, this)
                squares.append(difference**2 - variance[self.looks.band[this]].mean() / this.sum())
        known = [square for square in squares if np.isfinite(square)]
        return float(np.sqrt(max(np.mean(known), 0.0))) if known else 0.0


def vanishes(
    past: Past,
    values: pd.Series,
    *,
    of_leads: pd.Series | None = None,
    rows: bool = False,
    only_won: bool = False,
) -> Evidence | None:
    """Return the evidence that values vanish among the leads undecided now, or None.

    Parameters
    ----------
    past
        The looks.
    values
        (looks,) the value of each look.
    of_leads
        (leads,) the value of each lead as it is today, to ask decided peers; without it nobody is asked.
    rows
        Whether values are 1 and 0, for there are rows or not, of a kind or in a table.
    only_won
        Whether the leads that have a value were all but purely won: then no drift can explain why
        those undecided lack it, for a field given up is not given up by the others alone.
    """
    codes = Codes.fit(values[past.past])
    code = codes.of(values)
    rate, seen = _learned(past, codes, code)
    by_value = past.compare(past.neutral(rate[code], seen[code]))
    filled = _filled(values, rows)
    by_filling = past.compare(filled)
    proven = _proven_by_filling(by_filling, only_won)
    if rows:
        # A tool that was given up is missed by leads that were never won as well.
        proven = proven and by_filling.target <= (1 - VANISHED) * by_filling.expected
    if proven and not only_won and of_leads is not None:
        proven = past.confirmed(_filled(of_leads, rows), by_filling)
    # How much leads do moves with the season: for rows it only counts whether there are any.
    if not proven and not rows and _proven_by_value(by_value):
        proven = of_leads is None or past.confirmed(rate[codes.of(of_leads)], by_value)
    return _evidence(past, by_value, by_filling, filled, rows) if proven else None


def _learned(past: Past, codes: Codes, code: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the rate of wins of each code among past training leads, and which codes they had."""
    learned = past.looks.known & past.past
    seen = np.bincount(code[learned], minlength=codes.size) > 0
    if codes.levels is not None:
        seen[-1] = False  # rare values share this code with all that are new
    return rates(code[learned], past.looks.won[learned], codes.size), seen


def _filled(values: pd.Series, rows: bool) -> Floats:
    if rows:
        return (values.to_numpy(float) > 0).astype(float)
    return (Codes.fit(values).of(values) != MISSING).astype(float)


def _proven_by_value(found: Comparison) -> bool:
    significant = found.error > 0 and abs(found.now - found.expected) > SIGNIFICANT * found.error
    return significant and found.matters and found.share >= VANISHED and found.beyond_drift


def _proven_by_filling(found: Comparison, only_won: bool) -> bool:
    """Tell by an exact binomial, which sees small numbers better than standard errors do."""
    trials = int(found.effective)
    chance = float(binom.cdf(np.floor(found.now * trials), trials, min(max(found.expected, 0.0), 1.0)))
    mostly = found.now <= (1 - VANISHED) * found.expected and found.share >= VANISHED
    return chance < CHANCE and found.matters and mostly and (only_won or found.beyond_drift)


def _evidence(
    past: Past, by_value: Comparison, by_filling: Comparison, filled: Floats, rows: bool
) -> Evidence:
    looks = past.looks
    of_won = looks.won & past.past
    won, now = float(filled[of_won].mean()), int(filled[past.now].sum())
    due = by_filling.expected * by_filling.leads
    numbers = {
        "undecided_now": by_value.leads, "filled_now": now, "filled_expected": due, "filled_of_won": won,
        "rate_expected": by_value.expected, "rate_now": by_value.now, "standard_error": by_value.error,
        "drift": by_value.drift, "vanished_share": by_value.share,
    }  # fmt: skip
    if now < (1 - VANISHED) * due:
        verb = "occurs for" if rows else "is filled for"
        words = (
            f"{verb} {won:.0%} of the leads that were won, and for {now:,} of {by_filling.leads:,} undecided "
            f"ones where {due:,.0f} would be expected of leads of their age: it comes with the outcome"
        )
    else:
        words = (
            f"has values among {by_value.leads:,} undecided leads that speak of {by_value.now:.1%} wins, "
            f"where leads of their age had values that speak of {by_value.expected:.1%}: "
            "it changes with the outcome"
        )
    return Evidence("vanishes", words, numbers)
