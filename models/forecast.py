"""How many customers the open leads will bring within the horizon, and how much revenue, with an interval.

What is expected is plain: the propensities added up, each times what the lead would bring. One thing is put
right first (`Ageing`): a model learns from leads at the configured ages, and what is open on any one night is
mostly older. If leads on the scoring calendar converted more or less often than announced, depending on how
long they had been open, the forecast says so too. The interval is simulated, and holds three kinds of not
knowing:

* whether each lead converts. A propensity is the mean of what its lead's true probability may be, so a coin
  that falls with the propensity holds the lead's own interval too. Leads of one account may share fate: as
  often as it takes to explain how often they converted together in the past, they share one coin;
* what a deal brings: an amount is drawn, from what another sample of the deals would have taught;
* how far the model is off with all leads at once: a shift in log-odds that all share. From one period to
  the next it is never zero: seasons, markets, a model that ages. Its spread is learned from how far
  announced and observed conversions were apart in the past, beyond chance: a normal hierarchical model,
  solved on a grid of spreads (A. Gelman et al., "Bayesian Data Analysis", 3rd ed., section 5.4), since a
  handful of periods does not tell one spread from another. The prior of the spread is half-normal
  (A. Gelman, "Prior distributions for variance parameters in hierarchical models", 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from models.amounts import Amounts

Floats = NDArray[np.float64]

LEVEL = 0.90
REPEATS = 4000
# So many other samples of the deals are learned from.
OTHER_DEALS = 50
# The prior of the spread: that all conversions together are a third more or fewer than announced is nothing
# unusual, from one quarter to the next.
PRIOR_SPREAD = 0.3
SPREADS = np.linspace(0.0, 1.5, 151)
# Standard deviations of the priors of `Ageing`: of the level (mostly the shared shift) and of the slope.
AGEING_PRIOR = (0.3, 1.0)
NEVER_SURE = 1e-6
# Random numbers held in memory at a time.
AT_A_TIME = 4_000_000


@dataclass(frozen=True)
class Period:
    """Conversions that the propensities of some leads announced in the past, and those observed.

    `variance` of their number if every propensity is true and leads are independent: p (1 - p), added up.
    """

    expected: float
    variance: float
    observed: float

    @classmethod
    def of(cls, lead: ArrayLike, night: ArrayLike, propensity: ArrayLike, label: ArrayLike) -> Period:
        """Count the leads open on an average night of the period; all are (n,), a row a lead and night.

        What becomes of a lead hardly differs from one night to the next, so its nights count as one coin.
        """
        p = np.asarray(propensity, dtype=float)
        nights = max(pd.Series(night).nunique(dropna=False), 1)
        by_lead = pd.Series(np.sqrt(p * (1 - p))).groupby(np.asarray(lead)).sum() / nights
        observed = float(np.asarray(label, dtype=float).sum()) / nights
        return cls(float(p.sum()) / nights, float((by_lead**2).sum()), observed)

    @property
    def shift(self) -> tuple[float, float]:
        """How far observed is from announced, in log-odds, and the variance that chance gives it.

        One step of Newton's method on a log scale: near the truth a shift changes the sum by its variance.
        """
        slope = max(self.variance, NEVER_SURE) / max(self.expected, NEVER_SURE)
        apart = np.log((self.observed + 0.5) / (self.expected + 0.5)) / slope
        return float(apart), 1.0 / max(self.variance, NEVER_SURE)


@dataclass(frozen=True)
class Ageing:
    """By how much, in log-odds, leads of an age convert more often than their propensity says.

    ``level + slope * age``, the age in horizons since the lead was created and no more than one. Both are
    0 unless the past says otherwise: a logistic regression of what happened with the propensity's log-odds
    as offset, and normal priors.
    """

    level: float = 0.0
    slope: float = 0.0

    @classmethod
    def learned(cls, lead: ArrayLike, propensity: ArrayLike, age: ArrayLike, label: ArrayLike) -> Ageing:
        """Learn from leads on the scoring calendar: all are (n,), a row a lead and night, ages in horizons.

        A lead counts once, however many nights it was open on.
        """
        p = np.clip(np.asarray(propensity, dtype=float), NEVER_SURE, 1 - NEVER_SURE)
        if not len(p):
            return cls()
        X = np.column_stack([np.ones(len(p)), np.clip(np.asarray(age, dtype=float), 0.0, 1.0)])
        y, weight = np.asarray(label, dtype=float), pd.Series(lead).nunique() / len(p)
        found, precision = np.zeros(2), np.diag(1 / np.array(AGEING_PRIOR) ** 2)
        for _ in range(50):
            q = expit(logit(p) + X @ found)
            gradient = weight * X.T @ (y - q) - precision @ found
            step = np.linalg.solve(weight * (X.T * (q * (1 - q))) @ X + precision, gradient)
            found = found + step
            if np.abs(step).max() < 1e-9:
                break
        return cls(float(found[0]), float(found[1]))

    def applied(self, propensity: ArrayLike, age: ArrayLike) -> Floats:
        """Return (n,) propensities put right; one of 0 or 1 stays."""
        p = np.asarray(propensity, dtype=float)
        moved = self.level + self.slope * np.clip(np.asarray(age, dtype=float), 0.0, 1.0)
        return np.where((p > 0) & (p < 1), expit(logit(np.clip(p, NEVER_SURE, 1 - NEVER_SURE)) + moved), p)


@dataclass(frozen=True)
class Spread:
    """What is known of how far all propensities are off together: weights (k,) of `SPREADS`."""

    weights: Floats

    @classmethod
    def learned(cls, periods: Sequence[Period], prior: float = PRIOR_SPREAD) -> Spread:
        """Learn from the past; without any, the prior."""
        log = -0.5 * (SPREADS / prior) ** 2
        for period in periods:
            apart, chance = period.shift
            log = log + norm.logpdf(apart, scale=np.sqrt(SPREADS**2 + chance))
        weights = np.exp(log - log.max())
        return cls(weights / weights.sum())

    @property
    def typical(self) -> float:
        """The root of the mean square shift to be expected."""
        return float(np.sqrt((self.weights * SPREADS**2).sum()))

    def draw(self, number: int, rng: np.random.Generator) -> Floats:
        """Return (number,) shifts in log-odds."""
        return np.asarray(rng.choice(SPREADS, size=number, p=self.weights) * rng.standard_normal(number))


def shared_fate(groups: ArrayLike, propensity: ArrayLike, label: ArrayLike) -> float:
    """Return how often leads of one group share one coin, 0 to 1: what their past has in common.

    By moments: the products of what two leads of a group did beyond their propensities, over all pairs,
    by what they would be if all shared one coin. `groups`, `propensity` and `label` are (n,), each lead
    once; leads seen at different moments belong into different groups.
    """
    p = np.asarray(propensity, dtype=float)
    table = pd.DataFrame({"group": np.asarray(groups, dtype=object), "p": p, "rest": np.asarray(label) - p})
    # Pairs of a group: in order of p the smaller of two is the earlier, so sums over those behind do it.
    table = table.sort_values(["group", "p"], kind="stable")
    by_group = table.groupby("group", sort=False)
    together = float((by_group["rest"].sum() ** 2).sum() - (table["rest"] ** 2).sum()) / 2
    behind = by_group.cumcount(ascending=False).to_numpy(float)
    products = float((by_group["p"].sum() ** 2).sum() - (table["p"] ** 2).sum()) / 2
    at_most = float((table["p"].to_numpy(float) * behind).sum()) - products
    return float(np.clip(together / at_most, 0.0, 1.0)) if at_most > 0 else 0.0


@dataclass(frozen=True)
class Outlook:
    """What the past says of a forecast: how leads age, how far off the model may be, who shares fate.

    `apart` are the conversions observed by those announced, period by period, after ageing.
    """

    ageing: Ageing = Ageing()
    spread: Spread = field(default_factory=lambda: Spread.learned([]))
    fate: float = 0.0
    apart: tuple[float, ...] = ()

    @classmethod
    def learned(cls, past: pd.DataFrame, by: str, periods: Sequence[Period] = ()) -> Outlook:
        """Learn from leads on the scoring calendar whose horizon has passed, a row a lead and night.

        `past` has lead_id, group_id, as_of (NaT without times), age (in horizons; missing ones count as
        0), propensity, label and, in the column `by`, the period. `periods`, if there are any, tell the
        spread instead.
        """
        if past.empty:
            return cls(spread=Spread.learned(periods), apart=_apart(periods))
        seen = past.assign(age=past["age"].fillna(0.0))
        ageing = _ageing(seen)
        p = ageing.applied(seen["propensity"], seen["age"])
        known = list(periods) or [_judged(seen, (seen[by] == name).to_numpy()) for name in seen[by].unique()]
        together = pd.factorize(seen["group_id"].astype(str) + " " + seen["as_of"].astype(str))[0]
        return cls(
            ageing,
            Spread.learned(known),
            shared_fate(together, p, past["label"]),
            _apart(known),
        )


def _ageing(seen: pd.DataFrame) -> Ageing:
    return Ageing.learned(seen["lead_id"], seen["propensity"], seen["age"], seen["label"])


def _judged(seen: pd.DataFrame, inside: NDArray[np.bool_]) -> Period:
    """Return a period as it was announced, with what the others say of ageing: not put right by itself."""
    period = seen[inside]
    p = _ageing(seen[~inside]).applied(period["propensity"], period["age"])
    return Period.of(period["lead_id"], period["as_of"], p, period["label"])


def _apart(periods: Sequence[Period]) -> tuple[float, ...]:
    return tuple(of.observed / of.expected for of in periods if of.expected > 0)


@dataclass(frozen=True)
class Expected:
    """A sum over leads: what is expected, and where it falls in nine cases of ten."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return it ready for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "confidence": LEVEL}


@dataclass(frozen=True)
class Forecast:
    """Customers and revenue of some of the open leads; `revenue` is None without amounts."""

    leads: int
    customers: Expected
    revenue: Expected | None

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "leads": self.leads,
            "customers": self.customers.to_dict(),
            "revenue": self.revenue.to_dict() if self.revenue else None,
        }


def forecast(
    leads: pd.DataFrame,
    parts: Mapping[str, ArrayLike],
    spread: Spread,
    *,
    fate: float = 0.0,
    amounts: Amounts | None = None,
    segments: pd.DataFrame | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[str, Forecast]:
    """Return what becomes of the open leads within the horizon, for each of some parts of them.

    Parameters
    ----------
    leads
        ``group_id`` and ``propensity``, one row a lead.
    parts
        Name and (n,) flags: which of the leads a part holds.
    spread
        How far off all propensities may be together.
    fate
        How often leads of a group share one coin, see `shared_fate`.
    amounts, segments
        What deals bring, and what it depends on, row by row; without amounts there is no revenue.
    """
    p = leads["propensity"].to_numpy(float)
    flags = np.column_stack([np.asarray(of, dtype=bool) for of in parts.values()]).astype(float)
    worlds = _worlds(amounts, segments, seed)
    expected = amounts.expected(segments) if amounts is not None and segments is not None else None
    rng = np.random.default_rng(seed)
    shifts = spread.draw(repeats, rng)
    group = pd.factorize(leads["group_id"])[0]
    customers, revenue = np.zeros((repeats, flags.shape[1])), np.zeros((repeats, flags.shape[1]))
    step = max(1, AT_A_TIME // max(len(p), 1))
    for begin in range(0, repeats, step):
        here = slice(begin, min(begin + step, repeats))
        won = _converts(p, group, shifts[here], fate, rng)
        customers[here] = won @ flags
        if worlds:
            revenue[here] = _paid(won, worlds, begin, rng) @ flags
    return {
        name: Forecast(
            int(flags[:, k].sum()),
            _expected(float(p @ flags[:, k]), customers[:, k]),
            None if expected is None else _expected(float((p * expected) @ flags[:, k]), revenue[:, k]),
        )
        for k, name in enumerate(parts)
    }


def _converts(
    p: Floats, group: NDArray[np.intp], shifts: Floats, fate: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return (repeats, n) who converts."""
    coin = rng.random((len(shifts), len(p)))
    if fate > 0 and len(p):
        groups = int(group.max()) + 1
        common = rng.random((len(shifts), groups))
        shared = rng.random((len(shifts), groups)) < fate
        coin = np.where(shared[:, group], common[:, group], coin)
    sure = np.clip(p, NEVER_SURE, 1 - NEVER_SURE)
    return np.asarray(coin < expit(logit(sure) + shifts[:, None]))


def _worlds(
    amounts: Amounts | None, segments: pd.DataFrame | None, seed: int
) -> list[tuple[Amounts, Floats]]:
    """Return what other samples of the deals would have taught, and what each expects of every lead."""
    if amounts is None or segments is None:
        return []
    rng = np.random.default_rng([seed, 1])
    samples = [amounts.resampled(rng) for _ in range(OTHER_DEALS)]
    return [(sample, sample.expected(segments)) for sample in samples]


def _paid(
    won: NDArray[np.bool_],
    worlds: Sequence[tuple[Amounts, Floats]],
    begin: int,
    rng: np.random.Generator,
) -> Floats:
    """Return (repeats, n) what each lead brings: an amount drawn if it converts, else nothing."""
    found = np.zeros(won.shape)
    for repeat, row in enumerate(won):
        amounts, expected = worlds[(begin + repeat) % len(worlds)]
        found[repeat, row] = amounts.draw(expected[row], rng)
    return found


def _expected(value: float, drawn: Floats) -> Expected:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Expected(value, float(low), float(high))
