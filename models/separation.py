"""How well one column alone tells won from not won: the statistics of the leak guard.

A column is first brought to codes (`Codes`): 0 is missing, numbers fall into bins of equal count,
each frequent category has its own code. A code's rate of wins, shrunk towards the overall rate and
learned on other leads (cross-fitting), is the column's univariate score; its AUC is what the
column separates alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binom

from models.evaluation import auc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MISSING = 0
BINS = 20
# Categories rarer than this share one code: a rate of fewer rows says nothing.
LEAST_ROWS = 5
# A code's rate counts as if so many rows at the overall rate had been seen before.
PRIOR_ROWS = 10.0
FOLDS = 5
# Values that are nearly purely won or purely lost.
PURELY_WON = 0.95
PURELY_LOST = 0.005
# The chance at which a pure value is no accident; a table has tens of columns with tens of values.
CHANCE = 1e-5
PURE_ROWS = 20


@dataclass(frozen=True)
class Codes:
    """How values become codes, as learned on the values of the training part.

    ``edges`` (ascending) for numbers, ``levels`` for categories: one of them is None. The last code,
    ``size - 1``, is for values that were rare or never seen.
    """

    edges: Floats | None
    levels: tuple[str, ...] | None

    @classmethod
    def fit(cls, values: pd.Series) -> Codes:
        """Learn edges or levels from values: numbers (NaN is missing) or text (None is missing)."""
        if pd.api.types.is_numeric_dtype(values.dtype):
            known = values.to_numpy(dtype=float, na_value=np.nan)
            known = known[np.isfinite(known)]
            distinct = np.unique(known)
            if len(distinct) > BINS:
                distinct = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf"))
            return cls(distinct, None)
        counted = values.dropna().astype(str).value_counts()
        return cls(None, tuple(sorted(counted[counted >= LEAST_ROWS].index)))

    @property
    def size(self) -> int:
        """How many codes there are, missing and other among them."""
        known = len(self.edges) if self.edges is not None else len(self.levels or ())
        return known + 2

    def of(self, values: pd.Series) -> Ints:
        """Return the code of each value (n,)."""
        if self.edges is not None:
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
            found = np.searchsorted(self.edges, numbers, side="left") + 1
            return np.where(np.isnan(numbers), MISSING, found).astype(np.int64)
        place = {level: code for code, level in enumerate(self.levels or (), 1)}
        other = self.size - 1
        codes = [MISSING if pd.isna(value) else place.get(str(value), other) for value in values]
        return np.array(codes, dtype=np.int64)

    def name(self, code: int) -> str:
        """Return what people call a code: the level, or the bin's range."""
        if code == MISSING:
            return "missing"
        if self.edges is None:
            return repr(self.levels[code - 1]) if code <= len(self.levels or ()) and self.levels else "other"
        if code > len(self.edges):
            return f"above {self.edges[-1]:g}" if len(self.edges) else "any number"
        above = f"above {self.edges[code - 2]:g}, " if code > 1 else ""
        return f"{above}up to {self.edges[code - 1]:g}"


def rates(codes: Ints, won: ArrayLike, size: int) -> Floats:
    """Return the shrunken rate of wins of each code (size,); that of an unseen code is the overall rate."""
    label = np.asarray(won, dtype=float)
    overall = label.mean() if len(label) else 0.0
    total = np.bincount(codes, minlength=size)
    wins = np.bincount(codes, weights=label, minlength=size)
    return (wins + PRIOR_ROWS * overall) / (total + PRIOR_ROWS)


def folds_of(groups: ArrayLike, folds: int = FOLDS) -> Ints:
    """Return each row's fold: rows of one group share it, and the same group always gets the same."""
    hashed = pd.util.hash_array(np.asarray(groups, dtype=object))
    return (hashed % folds).astype(np.int64)


def auc_alone(codes: Ints, won: ArrayLike, fold: Ints, size: int) -> float:
    """Return the AUC of the cross-fitted rates: 0.5 for a column that says nothing, NaN if undefined.

    The AUC of each fold, averaged by its wins: pooled scores would be compared across folds whose
    overall rates differ.
    """
    label = np.asarray(won, dtype=float)
    found, weight = [], []
    for one in np.unique(fold):
        out = fold == one
        if 0 < label[out].sum() < out.sum() and not out.all():
            score = rates(codes[~out], label[~out], size)[codes[out]]
            found.append(auc(label[out], score))
            weight.append(label[out].sum())
    return float(np.average(found, weights=weight)) if found else float("nan")


@dataclass(frozen=True)
class Pure:
    """A value of which nearly all rows, or nearly none, were won."""

    code: int
    rows: int
    won: int
    chance: float


def pure_values(codes: Ints, won: ArrayLike, size: int) -> list[Pure]:
    """Return the values that are purer than chance allows, the most frequent first.

    One row is one lead. The chance is that of an exact binomial at the overall rate: of so many wins
    or more for a value that is won, of so few or fewer for one that is lost.
    """
    label = np.asarray(won, dtype=float)
    overall = label.mean() if len(label) else 0.0
    total = np.bincount(codes, minlength=size)
    wins = np.bincount(codes, weights=label, minlength=size)
    found = []
    for code in np.flatnonzero(total >= PURE_ROWS):
        n, k = int(total[code]), round(wins[code])
        if k >= PURELY_WON * n:
            chance = float(binom.sf(k - 1, n, overall))
        elif k <= PURELY_LOST * n:
            chance = float(binom.cdf(k, n, overall))
        else:
            continue
        if chance < CHANCE:
            found.append(Pure(int(code), n, k, chance))
    return sorted(found, key=lambda pure: -pure.rows)


def lower_bound(won: int, rows: int, confidence: float = 0.95) -> float:
    """Return the exact (Clopper-Pearson) one-sided lower bound of a share."""
    return float(beta.ppf(1 - confidence, won, rows - won + 1)) if won else 0.0


def what_each_adds(
    matrix: Floats, won: ArrayLike, fold: Ints, categories: Sequence[int], candidates: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Return for each candidate column the cross-validated AUC of all columns with it and without it.

    Parameters
    ----------
    matrix
        (n, p) codes or numbers.
    won, fold
        (n,) labels and folds.
    categories
        Positions of the columns that are categories.
    candidates
        Positions of the columns to leave out, one at a time.
    """
    label = np.asarray(won, dtype=float)
    everything = list(range(matrix.shape[1]))
    whole = _validated(matrix, label, fold, everything, categories)
    without = {c: [p for p in everything if p != c] for c in candidates}
    return {
        c: (whole, _validated(matrix, label, fold, kept, categories) if kept else 0.5)
        for c, kept in without.items()
    }


def _validated(
    matrix: Floats, label: Floats, fold: Ints, columns: list[int], categories: Sequence[int]
) -> float:
    settings = {
        "objective": "binary", "num_leaves": 15, "learning_rate": 0.15, "min_data_in_leaf": 20,
        "num_threads": 1, "verbosity": -1, "deterministic": True, "seed": 0, "feature_pre_filter": False,
    }  # fmt: skip
    categorical = [place for place, column in enumerate(columns) if column in set(categories)]
    found = []
    for one in np.unique(fold):
        out = fold == one
        if not 0 < label[out].sum() < out.sum() or not 0 < label[~out].sum() < (~out).sum():
            continue
        data = lgb.Dataset(matrix[np.ix_(~out, columns)], label[~out], categorical_feature=categorical)
        booster = lgb.train(settings, data, num_boost_round=40)
        found.append(auc(label[out], booster.predict(matrix[np.ix_(out, columns)], num_threads=1)))
    return float(np.mean(found)) if found else 0.5
