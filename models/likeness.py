"""What past leads otherwise like a lead had done, that it has not: an observation, not a cause.

"Like" is who they are and how long they have been known: the concepts of fit, each weighted by what the
model makes of it, and the age. What they did has no say in it, so it can be compared. Of the past leads
most like a lead, those that reached the goal (were MQLs, say) are set beside those that never did, and
only kinds of activity that more of the first had done, beyond chance, are named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# How many past leads most like a lead are looked at: those that reached the goal, and others.
REACHED, OTHERS = 20, 60
# With fewer of either nothing is said.
LEAST = 10
# The chance, all kinds of one lead together, that one is named though it makes no difference.
CHANCE = 0.05
MOST = 2


@dataclass(frozen=True)
class Habit:
    """A kind of activity that `done` of `reached` like leads had done, and `others_done` of `others`."""

    kind: str
    done: int
    reached: int
    others_done: int
    others: int


class Likeness:
    """Past leads, in the terms in which they can be like another lead.

    Parameters
    ----------
    leads
        (n,) whose snapshot each row is; a lead may have several.
    fit
        (n, c) contributions to the margin by concept of fit.
    age
        (n,) days since the lead was created, NaN where it is not known.
    done
        (n, k) whether the lead had done each kind of activity before the snapshot.
    reached
        (n,) whether the lead was where the others are to get, at the snapshot.
    """

    def __init__(
        self, leads: ArrayLike, fit: pd.DataFrame, age: ArrayLike, done: pd.DataFrame, reached: ArrayLike
    ) -> None:
        self._lead, names = pd.factorize(np.asarray(leads, dtype=object))
        self._names = pd.Index(names)
        self._kinds, self._done = done.columns, done.to_numpy(bool)
        at_goal = np.asarray(reached, dtype=bool)
        ever = np.zeros(len(self._names), dtype=bool)
        ever[self._lead[at_goal]] = True
        # A lead that reached it counts where it had; at its other snapshots it is neither.
        self._pools = np.flatnonzero(at_goal), np.flatnonzero(~ever[self._lead])
        known = _log_age(age)[np.isfinite(_log_age(age))]
        self._fit_spread = _spread(fit.to_numpy(float))
        self._age_spread, self._middle_age = (
            _spread(known[:, None]),
            float(np.median(known)) if len(known) else 0.0,
        )
        self._traits = self._placed(fit, age)

    def habits(
        self, leads: ArrayLike, fit: pd.DataFrame, age: ArrayLike, done: pd.DataFrame
    ) -> list[list[Habit]]:
        """Return for each of m leads at most two kinds that it has not done and those like it had.

        The columns are those of the past's `fit` and `done`; a lead is never compared with its own past.
        The kinds, strongest evidence first, pass Fisher's exact test, one way, by the method of Holm
        (1979): the chance that any is named for a lead though there is no difference is at most 5 %.
        """
        lacks = ~done[self._kinds].to_numpy(bool)
        own = self._names.get_indexer(pd.Index(np.asarray(leads, dtype=object)))
        rows = zip(own, self._placed(fit, age), lacks, strict=True)
        return [self._of(int(lead), traits, kinds) for lead, traits, kinds in rows]

    def _placed(self, fit: pd.DataFrame, age: ArrayLike) -> Floats:
        """Return (n, c + 1) places: fit and age each spread by 1; an unknown age is the middle one."""
        known = np.nan_to_num(_log_age(age), nan=self._middle_age)
        return np.column_stack([fit.to_numpy(float) / self._fit_spread, known / self._age_spread])

    def _of(self, lead: int, traits: Floats, lacks: Flags) -> list[Habit]:
        reached, others = self._pools
        mine = self._nearest(traits, reached[self._lead[reached] != lead], REACHED)
        theirs = self._nearest(traits, others[self._lead[others] != lead], OTHERS)
        if min(len(mine), len(theirs)) < LEAST or not lacks.any():
            return []
        here, there = (self._done[np.ix_(rows, lacks)].sum(axis=0) for rows in (mine, theirs))
        # P(at least so many of those that reached it), were the ones who did it drawn from both alike.
        p = hypergeom.sf(here - 1, len(mine) + len(theirs), here + there, len(mine))
        kinds = self._kinds[lacks].astype(str)
        first = np.lexsort((kinds, p))
        passed = 0
        while passed < min(MOST, len(p)) and p[first[passed]] <= CHANCE / (len(p) - passed):
            passed += 1
        return [
            Habit(str(kinds[k]), int(here[k]), len(mine), int(there[k]), len(theirs)) for k in first[:passed]
        ]

    def _nearest(self, traits: Floats, pool: NDArray[np.intp], most: int) -> NDArray[np.intp]:
        """Return the rows of the pool nearest to a place, no lead twice."""
        apart = np.square(self._traits[pool] - traits).sum(axis=1)
        ordered = pool[np.argsort(apart, kind="stable")]
        _, first = np.unique(self._lead[ordered], return_index=True)
        return ordered[np.sort(first)[:most]]


def _log_age(age: ArrayLike) -> Floats:
    """Return log ages: a day more matters to a new lead, not to an old one."""
    return np.asarray(np.log1p(np.maximum(np.asarray(age, dtype=float), 0.0)), dtype=np.float64)


def _spread(values: Floats) -> float:
    """Return the standard deviation of points (n, c) around their middle; 1 where there is none."""
    return float(np.sqrt(values.var(axis=0).sum())) or 1.0 if len(values) else 1.0
