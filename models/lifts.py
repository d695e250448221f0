"""How much more often leads convert after they touched something than leads like them do anyway.

For each value (a page, a campaign, a source) the conversions observed are set against those expected
of the same leads from who they are, how long they had been leads and when it was, whatever they did.
Observed over expected is the lift: the standardised ratio of epidemiology (Breslow and Day 1987, chapter 2).

Few leads give wild ratios, so lifts are shrunk towards what the values have in common: conversions are
Poisson around lift times expectation, lifts are gamma (Clayton and Kaldor 1987; DuMouchel 1999). How
far true lifts differ is itself hardly known from ten values, so the answer is averaged over it rather than
taken at its best guess: with that guess alone the intervals would be too short.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root
from scipy.special import expit, gammaln
from scipy.stats import binomtest, false_discovery_control, gamma

from features.errors import DataError
from models.baselines import BaseRate, LogisticBaseline
from models.separation import FOLDS, folds_of

Floats = NDArray[np.float64]

# Standard deviations of true lifts, relative to their mean, that are thought possible: from values that
# hardly differ to some that convert several times as often as others. Uniform beforehand (Gelman 2006):
# were small ones likelier, the intervals of few values would be too short.
SPREADS = np.linspace(0.02, 1.5, 30)
MEANS = np.geomspace(0.3, 3.0, 47)
LEVEL = 0.90
# Fewer conversions in both halves together cannot tell a trend from chance.
LEAST_FOR_TREND = 10
FALSE_TRENDS = 0.10


class Expectation:
    """How probable it is that leads convert, whatever they touched: a logistic regression on who they are.

    It is cross-fitted: nobody's expectation was learned from their own account, else lifts would be pulled
    towards 1.
    """

    def fit(self, known: pd.DataFrame, won: ArrayLike, groups: ArrayLike) -> Expectation:
        """Learn from leads at many moments.

        Parameters
        ----------
        known, won, groups
            (m, p) what is known of leads at moments, none of it an activity (p may be 0), (m,) whether
            they converted within the horizon, (m,) their accounts (or leads).

        Raises
        ------
        UnsupportedData
            Nobody converted, or everybody did.
        """
        y, fold = np.asarray(won, dtype=float), folds_of(np.asarray(groups, dtype=object))
        self.models_ = []
        for one in range(FOLDS):
            tuning = fold == (one + 1) % FOLDS
            learning = (fold != one) & ~tuning
            model: BaseRate | LogisticBaseline = LogisticBaseline() if known.shape[1] else BaseRate()
            if len(np.unique(y[learning])) == 2 and tuning.any():
                model.fit(known[learning], y[learning], stopping=(known[tuning], y[tuning]))
            else:  # too few conversions to part them
                model.fit(known, y)
            self.models_.append(model)
        return self

    def predict(self, known: pd.DataFrame, groups: ArrayLike) -> Floats:
        """Return (n,) probabilities of leads (n, p) of these accounts (n,)."""
        held = folds_of(np.asarray(groups, dtype=object))
        rate = np.empty(len(known))
        for one, model in enumerate(self.models_):
            rows = np.flatnonzero(held == one)
            if len(rows):
                rate[rows] = expit(model.margin(known.iloc[rows]))
        return rate


def shrunken(observed: ArrayLike, expectation: ArrayLike, level: float = LEVEL) -> pd.DataFrame:
    """Return the lift of each value, shrunk towards the mean of all, with its interval.

    Parameters
    ----------
    observed, expectation
        (k,) conversions, and how many were expected; a value with none expected gets the prior.
    level
        Share of true lifts that the intervals hold.

    Returns
    -------
    (k, 4): ``raw`` (observed over expected, NaN where none was), ``lift`` (the posterior mean), ``low``
    and ``high``.

    Raises
    ------
    DataError
        The lengths differ, or something is negative or missing.
    """
    o, e = np.asarray(observed, dtype=float), np.asarray(expectation, dtype=float)
    if o.shape != e.shape or not (o >= 0).all() or not (e >= 0).all():
        raise DataError("Observed and expected conversions cannot be used.", allowed="as many, 0 or more")
    weight, shape, rate = _priors(o, e)
    # (k, priors): the posterior of each value under each prior is a gamma.
    a, b = shape + o[:, None], rate + e[:, None]
    raw = np.divide(o, e, out=np.full(len(o), np.nan), where=e > 0)
    tail = (1 - level) / 2
    return pd.DataFrame(
        {
            "raw": raw,
            "lift": (a / b) @ weight,
            "low": _quantile(tail, a, b, weight),
            "high": _quantile(1 - tail, a, b, weight),
        }
    )


def _priors(observed: Floats, expectation: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weight, shape and rate of the gamma priors (means x spreads), by how well they fit."""
    spread, mean = (grid.ravel() for grid in np.meshgrid(SPREADS, MEANS))
    shape = 1 / spread**2
    rate = shape / mean
    # Log of the negative binomial: what the data is under each prior, the lifts integrated out.
    o, e = observed[:, None], expectation[:, None]
    each = gammaln(shape + o) - gammaln(shape) - shape * np.log1p(e / rate) - o * np.log(rate + e)
    fit = each.sum(axis=0)
    weight = np.exp(fit - fit.max())
    kept = weight > 1e-3  # the others only cost time
    return weight[kept] / weight[kept].sum(), shape[kept], rate[kept]


def _quantile(share: float, a: Floats, b: Floats, weight: Floats) -> Floats:
    """Return the (k,) quantiles of mixtures of gammas: between the lowest and the highest of their parts."""
    parts = gamma.ppf(share, a, scale=1 / b)
    lowest, highest = parts.min(axis=1), parts.max(axis=1)

    def excess(at: Floats, row: Floats) -> Floats:
        which = row.astype(int)
        return np.asarray(gamma.cdf(at[..., None], a[which], scale=1 / b[which]) @ weight - share)

    bounds = np.maximum(lowest - 1e-9, 0.0), highest + 1e-9
    return np.asarray(find_root(excess, bounds, args=(np.arange(len(a), dtype=float),)).x)


def trends(halves: pd.DataFrame) -> pd.DataFrame:
    """Compare each value's recent conversions with its earlier ones, both against what was expected.

    Given how many conversions there were in all, the recent ones are binomial if the lift did not
    change (Przyborowski and Wilenski 1940). Many values are tested, so a trend is called one only
    while at most `FALSE_TRENDS` of those called so are chance (Benjamini and Hochberg 1995).

    Parameters
    ----------
    halves
        (k, 4) with observed_before, expected_before, observed_recent, expected_recent.

    Returns
    -------
    (k, 3), same index: ``change`` (recent lift over earlier lift, NaN where there is none), ``chance``
    (the adjusted p-value, NaN where there was too little to test) and ``trend``: "rising", "falling",
    "steady" (no change that chance would not explain) or "unknown".
    """
    before, recent = halves["observed_before"], halves["observed_recent"]
    share = halves["expected_recent"] / (halves["expected_recent"] + halves["expected_before"])
    testable = (before + recent >= LEAST_FOR_TREND) & (share > 0) & (share < 1)
    chance = pd.Series(np.nan, index=halves.index)
    for row in halves.index[testable]:
        chance[row] = binomtest(int(recent[row]), int(before[row] + recent[row]), float(share[row])).pvalue
    if testable.any():
        chance[testable] = false_discovery_control(chance[testable].to_numpy())
    lift_recent = recent / halves["expected_recent"].replace(0, np.nan)
    change = lift_recent / (before / halves["expected_before"].replace(0, np.nan)).replace(0, np.nan)
    moved = chance < FALSE_TRENDS
    rising = recent > (before + recent) * share
    trend = np.select([~testable, ~moved, rising], ["unknown", "steady", "rising"], "falling")
    return pd.DataFrame({"change": change, "chance": chance, "trend": trend}, index=halves.index)
