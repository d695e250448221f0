"""What the model has to beat: the base rate, a well-made logistic regression, the user's own points.

All three speak the same language as the model: `margin` is in log-odds, before calibration.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from models.columns import Columns, group_index
from models.labels import Floats, Stopping, both_classes, checked_weight, log_losses, zero_or_one

STRENGTHS = np.logspace(-4, 1, 11)  # inverse penalties tried, weakest model first
RARE_LEVEL = 10  # rows; below, a level has no coefficient of its own
SKEWED = 1.0  # skewness from which a non-negative number is taken as its logarithm
FOLDS = 5
PATIENCE = 2  # strengths in a row that are no better, after which no stronger model is tried


class BaseRate(BaseEstimator):
    """The same margin for everyone: the log-odds of the share that won."""

    def fit(
        self,
        X: pd.DataFrame,
        y: Sequence[int] | NDArray[Any],
        *,
        groups: Sequence[Any] | NDArray[Any] | None = None,
        stopping: Stopping | None = None,
        sample_weight: Floats | None = None,
    ) -> BaseRate:
        """Learn from `y` (n,) and the stopping slice; raises `UnsupportedData` for one class."""
        known = both_classes(y)
        weight = checked_weight(sample_weight, len(known))
        wins, total = float(known @ weight), float(weight.sum())
        if stopping is not None:
            wins, total = wins + float(np.sum(stopping[1])), total + len(stopping[1])
        self.rate_ = wins / total
        return self

    def margin(self, X: pd.DataFrame) -> Floats:
        """Return (n,) log-odds, all equal."""
        return np.full(len(X), logit(self.rate_))


class LogisticBaseline(BaseEstimator):
    """Logistic regression, prepared with the care that a statistician would take.

    Categories become one column a level (rare, unseen and missing ones share the zero), numbers
    their median where missing beside a flag for it, skewed non-negative numbers their logarithm;
    all is standardised and an L2 penalty is chosen by log loss on the stopping slice, or by
    folds of whole groups. The final fit uses the stopping slice too.
    """

    def fit(
        self,
        X: pd.DataFrame,
        y: Sequence[int] | NDArray[Any],
        *,
        groups: Sequence[Any] | NDArray[Any] | None = None,
        stopping: Stopping | None = None,
        sample_weight: Floats | None = None,
    ) -> LogisticBaseline:
        """Learn from `X` (n, p) and `y` (n,); `stopping` is a later (X, y) of other leads.

        Raises
        ------
        UnsupportedData
            When `y` has one class.
        DataError
            When a column is neither a number nor a category.
        """
        known = both_classes(y)
        weight = checked_weight(sample_weight, len(known))
        self.columns_ = Columns.of(X)
        values = self.columns_.matrix(X)
        if stopping is None:
            self._prepare(values)
            splits = _folds(known, group_index(groups, len(known)))
        else:
            later = zero_or_one(stopping[1])
            splits = [(np.arange(len(known)), len(known) + np.arange(len(later)))]
            values = np.vstack([values, self.columns_.matrix(stopping[0])])
            known, weight = np.append(known, later), np.append(weight, np.ones(len(later)))
            self._prepare(values)
        design = self._design(values)
        self.strength_ = _best_strength(design, known, weight, splits)
        self.model_ = _logistic(design, known, weight, self.strength_)
        return self

    def margin(self, X: pd.DataFrame) -> Floats:
        """Return (n,) log-odds; raises `BundleError` where `X` lacks a training column."""
        design = self._design(self.columns_.matrix(X))
        return np.asarray(self.model_.decision_function(design), dtype=np.float64)

    def _prepare(self, values: Floats) -> None:
        """Learn medians, which numbers to take the logarithm of, frequent levels and scales."""
        categorical = set(self.columns_.positions())
        self.numbers_ = [i for i in range(values.shape[1]) if i not in categorical]
        numbers = values[:, self.numbers_]
        self.median_ = np.array([_median(column) for column in numbers.T])
        self.logged_ = np.array([_is_skewed(column) for column in numbers.T], dtype=bool)
        self.frequent_ = {}
        for position in sorted(categorical):
            level, count = np.unique(values[:, position], return_counts=True)
            self.frequent_[position] = level[(count >= RARE_LEVEL) & ~np.isnan(level)]
        raw = self._raw(values)
        spread = raw.std(axis=0)
        self.varying_ = np.flatnonzero(spread > 1e-9)  # of the flags for missing numbers most never vary
        self.centre_, self.scale_ = raw.mean(axis=0)[self.varying_], spread[self.varying_]

    def _design(self, values: Floats) -> Floats:
        return (self._raw(values)[:, self.varying_] - self.centre_) / self.scale_

    def _raw(self, values: Floats) -> Floats:
        numbers = values[:, self.numbers_]
        missing = ~np.isfinite(numbers)
        filled = np.where(missing, self.median_, numbers)
        filled = np.where(self.logged_, np.log1p(np.maximum(filled, 0.0)), filled)
        levels = [values[:, [i]] == known for i, known in self.frequent_.items()]
        return np.hstack([filled, missing, *levels]).astype(np.float64)


# Of the points' log-odds per standard deviation: nothing to a propensity, enough to keep an order.
LEAST_SLOPE = 1e-6


class PointsBaseline(BaseEstimator):
    """The user's own points as log-odds: a + b * points by maximum likelihood (Platt).

    `b` is always above 0: points that pointed the wrong way in the calibration window are worth the
    base rate, but keep their order, so that how well they rank later leads is still to be seen.
    """

    def fit(self, points: Floats, y: Sequence[int] | NDArray[Any]) -> PointsBaseline:
        """Learn a and b from `points` (n,) and `y` (n,); raises `UnsupportedData` for one class."""
        known = both_classes(y)
        given = np.asarray(points, dtype=np.float64)
        self.centre_ = float(given.mean())
        self.scale_ = float(given.std()) or 1.0
        design = ((given - self.centre_) / self.scale_)[:, None]
        model = _logistic(design, known, np.ones(len(known)), 1e3)
        self.slope_, self.intercept_ = float(model.coef_[0, 0]), float(model.intercept_[0])
        if self.slope_ < LEAST_SLOPE:
            self.slope_, self.intercept_ = LEAST_SLOPE, float(logit(known.mean()))
        return self

    def margin(self, points: Floats) -> Floats:
        """Return (n,) log-odds for `points` (n,)."""
        given = np.asarray(points, dtype=np.float64)
        return self.intercept_ + self.slope_ * (given - self.centre_) / self.scale_


class RefittedPoints(BaseEstimator):
    """The user's own rules with points as the data would give them: a logistic regression on the rules.

    It stays a point table: the log-odds are a sum over the rules, each with one coefficient, whatever
    its sign; nothing is transformed. A light L2 penalty keeps rules that rarely apply from extremes.
    """

    def fit(self, points: Floats, y: Sequence[int] | NDArray[Any]) -> RefittedPoints:
        """Learn from `points` (n, rules) and `y` (n,); raises `UnsupportedData` for one class."""
        known = both_classes(y)
        given = np.asarray(points, dtype=np.float64)
        spread = given.std(axis=0)
        self.varying_ = np.flatnonzero(spread > 1e-9)  # a rule that never or always applies tells nothing
        self.centre_, self.scale_ = given.mean(axis=0)[self.varying_], spread[self.varying_]
        self.base_ = float(logit(known.mean()))
        if len(self.varying_):
            self.model_ = _logistic(self._design(given), known, np.ones(len(known)), 1.0)
        return self

    def margin(self, points: Floats) -> Floats:
        """Return (n,) log-odds for `points` (n, rules)."""
        given = np.asarray(points, dtype=np.float64)
        if not len(self.varying_):
            return np.full(len(given), self.base_)
        return np.asarray(self.model_.decision_function(self._design(given)), dtype=np.float64)

    def _design(self, given: Floats) -> Floats:
        return (given[:, self.varying_] - self.centre_) / self.scale_


def _median(column: Floats) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _is_skewed(column: Floats) -> bool:
    known = column[np.isfinite(column)]
    spread = known.std() if len(known) else 0.0
    if spread <= 0 or known.min() < 0:
        return False
    return bool(np.mean(((known - known.mean()) / spread) ** 3) > SKEWED)


def _folds(y: Floats, groups: NDArray[np.int64]) -> list[tuple[Any, Any]]:
    """Return splits by whole groups; none where the rarer class has too few groups for two."""
    rarer = min(len(np.unique(groups[y == value])) for value in (0.0, 1.0))
    folds = min(FOLDS, rarer)
    if folds < 2:
        return []
    with warnings.catch_warnings():  # a class rarer than the folds only makes a fold less balanced
        warnings.simplefilter("ignore", UserWarning)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
        return [s for s in splitter.split(y[:, None], y, groups) if len(np.unique(y[s[0]])) == 2]


def _logistic(design: Floats, y: Floats, weight: Floats, strength: float) -> LogisticRegression:
    with warnings.catch_warnings():  # an unfinished last digit does not matter to a baseline
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=500).fit(design, y, sample_weight=weight)


def _best_strength(design: Floats, y: Floats, weight: Floats, splits: list[tuple[Any, Any]]) -> float:
    """Return the inverse penalty with the lowest summed log loss over the splits.

    They are tried from the weakest model to the strongest, each starting at the last, until two in
    a row are no better: the strongest cost most and are rarely the best.
    """
    models = [LogisticRegression(max_iter=500, warm_start=True) for _ in splits]
    best, least, worse = float(STRENGTHS[0]), np.inf, 0
    for strength in STRENGTHS if splits else ():
        loss = 0.0
        for model, (fitted, held) in zip(models, splits, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=strength).fit(design[fitted], y[fitted], sample_weight=weight[fitted])
            losses = log_losses(y[held], model.decision_function(design[held]))
            loss += float(losses @ weight[held])
        best, least, worse = (float(strength), loss, 0) if loss < least else (best, least, worse + 1)
        if worse == PATIENCE:
            break
    return best
