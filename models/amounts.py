"""What a won deal brings: the amount to expect of a lead, from the deals won so far.

Amounts differ by factors, not by differences, and a few are very large. So segments are compared on the
log scale: the log of an amount is an overall level, plus an effect of each segment column, plus chance.
Effects are empirical Bayes (B. Efron and C. Morris, "Data Analysis Using Stein's Estimator", 1975): the
variance between a column's levels is estimated by moments, and each level's mean is shrunk towards the
overall one by what its few deals leave open. A column whose levels do not differ beyond chance has no
effect, so that with few deals everybody is expected to bring the mean. The columns are fitted in turn
until they settle (backfitting: J. Friedman and W. Stuetzle, 1981).

The way back to money is Duan's smearing (N. Duan, 1983): amounts by their fitted level make up a
distribution of their own, from which amounts are drawn, zeros and very large ones with it. It is scaled so
that the deals' expected amounts add up to what they brought: the plain mean is kept, and it is the money
that counts, not its logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution

from features.errors import DataError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Fewer deals than this say nothing of segments.
LEAST_DEALS = 20
# A column counts if its levels differ as much by chance in fewer cases than this.
SIGNIFICANCE = 0.05
# Further from the median than so many standard deviations (by the median deviation), on the log scale, a
# deal says no more about its segment than one that is as far.
FURTHEST = 3.0
ROUNDS = 20
# A number with more values than this is cut into quarters of the deals.
FEW_VALUES = 8
MISSING = ""


@dataclass(frozen=True)
class Amounts:
    """Amounts of won deals by segment.

    Attributes
    ----------
    level
        Of the log amounts, overall.
    effects
        For each column that counts: the effect of each of its levels, on the log scale.
    cuts
        For number columns that were cut: where.
    ratios
        (d,) each deal's amount by its fitted one; their mean is `factor`.
    factor
        What a fitted amount is multiplied by to be expected.
    deals, mean
        How many deals there are, and what they brought on average.
    """

    level: float
    effects: Mapping[str, Mapping[str, float]]
    cuts: Mapping[str, Floats]
    ratios: Floats
    factor: float
    mean: float
    _amount: Floats = field(repr=False, compare=False)
    _segments: pd.DataFrame = field(repr=False, compare=False)

    @property
    def deals(self) -> int:
        """The number of deals."""
        return len(self.ratios)

    @classmethod
    def fit(cls, amount: ArrayLike, segments: pd.DataFrame | None = None) -> Amounts:
        """Learn from won deals.

        Parameters
        ----------
        amount
            (d,) amounts, at least 0; missing ones are left out. A deal for nothing counts as such.
        segments
            (d, k) columns of texts, flags or numbers, known of the deals' leads before they won.

        Raises
        ------
        DataError
            No deal has an amount above 0, or one is negative.
        """
        given = np.asarray(amount, dtype=float)
        table = pd.DataFrame(index=range(len(given))) if segments is None else segments
        known = ~np.isnan(given)
        given, table = given[known], table[known].reset_index(drop=True)
        if (given < 0).any() or not (given > 0).any():
            raise DataError(
                f"Of {len(given)} amounts of won deals {int((given < 0).sum())} are negative, "
                f"{int((given > 0).sum())} are above 0.",
                allowed="amounts of 0 or more, at least one above 0",
            )
        cuts = {name: _quarters(table[name]) for name in table if _is_cut(table[name])}
        paid = given > 0
        log = _pulled_in(np.log(given[paid]))
        level = float(log.mean())
        coded = {name: _texts(table[name], cuts.get(name)) for name in table}
        effects = _effects(log - level, {name: of[paid] for name, of in coded.items()})
        fitted = np.exp(level + _summed(effects, coded, len(given)))
        return cls(
            level, effects, cuts, given / fitted, float(given.sum() / fitted.sum()), float(given.mean()),
            given, table,
        )  # fmt: skip

    def fitted(self, segments: pd.DataFrame) -> Floats:
        """Return (n,) the level of each lead's amount, before what chance does to it."""
        coded = {name: _texts(segments[name], self.cuts.get(name)) for name in self.effects}
        return np.exp(self.level + _summed(self.effects, coded, len(segments)))

    def expected(self, segments: pd.DataFrame) -> Floats:
        """Return (n,) the amount to expect of each lead, should it be won."""
        return self.fitted(segments) * self.factor

    def draw(self, expected: Floats, rng: np.random.Generator) -> Floats:
        """Return (n,) amounts drawn for leads with these `expected` ones (n,)."""
        mean = self.ratios.mean()
        return expected * rng.choice(self.ratios, size=len(expected)) / mean

    def resampled(self, rng: np.random.Generator) -> Amounts:
        """Return what would have been learned from other deals: these, drawn with replacement."""
        while True:
            drawn = rng.integers(0, self.deals, self.deals)
            if (self._amount[drawn] > 0).any():
                return Amounts.fit(self._amount[drawn], self._segments.iloc[drawn])


def _effects(residual: Floats, coded: Mapping[str, NDArray[np.object_]]) -> dict[str, dict[str, float]]:
    """Return the shrunk effects of the columns that count, fitted in turn."""
    if len(residual) < LEAST_DEALS:
        return {}
    codes = {name: pd.factorize(of, sort=True) for name, of in coded.items()}
    found = {name: np.zeros(len(levels)) for name, (_, levels) in codes.items()}
    total = np.zeros(len(residual))
    for _ in range(ROUNDS):
        before = total.copy()
        for name, (code, _levels) in codes.items():
            rest = residual - total + found[name][code]
            fresh = _shrunk(rest, code, len(found[name]))
            total += fresh[code] - found[name][code]
            found[name] = fresh
        if np.abs(total - before).max() < 1e-6:
            break
    return {
        name: dict(zip(codes[name][1], effect.tolist(), strict=True))
        for name, effect in found.items()
        if effect.any()
    }


def _shrunk(rest: Floats, code: Codes, levels: int) -> Floats:
    """Return (levels,) the empirical Bayes means of `rest`; all 0 where levels differ by chance alone."""
    size = np.bincount(code, minlength=levels).astype(float)
    mean = np.bincount(code, weights=rest, minlength=levels) / size
    within_freedom = len(rest) - levels
    if levels < 2 or within_freedom < 2:
        return np.zeros(levels)
    centred = mean - rest.mean()
    between = float((size * centred**2).sum())
    within = float(((rest - mean[code]) ** 2).sum()) / within_freedom
    if within <= 0:
        return centred
    if f_distribution.sf(between / (levels - 1) / within, levels - 1, within_freedom) > SIGNIFICANCE:
        return np.zeros(levels)
    # Moments of a one-way layout with random levels.
    variance = (between - (levels - 1) * within) / (len(rest) - (size**2).sum() / len(rest))
    variance = max(variance, 0.0)
    return np.asarray(centred * size * variance / (size * variance + within), dtype=np.float64)


def _pulled_in(log: Floats) -> Floats:
    """Return the logs with those far from the median moved nearer."""
    middle = float(np.median(log))
    reach = FURTHEST * 1.4826 * float(np.median(np.abs(log - middle)))
    return np.clip(log, middle - reach, middle + reach) if reach > 0 else log


def _summed(
    effects: Mapping[str, Mapping[str, float]], coded: Mapping[str, NDArray[np.object_]], rows: int
) -> Floats:
    total = np.zeros(rows)
    for name, of in effects.items():
        total += pd.Series(coded[name]).map(of).fillna(0.0).to_numpy(float)
    return total


def _is_cut(column: pd.Series) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return bool(numeric and column.nunique() > FEW_VALUES)


def _quarters(column: pd.Series) -> Floats:
    return np.unique(np.nanquantile(column.to_numpy(float), [0.25, 0.5, 0.75]))


def _texts(column: pd.Series, cuts: Floats | None) -> NDArray[np.object_]:
    """Return values as texts; a missing one is a level of its own."""
    missing = column.isna().to_numpy()
    if cuts is not None:
        texts = np.searchsorted(cuts, column.to_numpy(float)).astype(str).astype(object)
    else:
        texts = column.astype(object).where(~missing, MISSING).astype(str).to_numpy(object)
    texts[missing] = MISSING
    return texts
