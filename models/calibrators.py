"""From margin to propensity: the calibrators.

A calibrator turns the model's margin into the probability that is shown, priced and promised. All
keep the order of leads: a higher margin never gets a lower propensity, and beyond the data the
propensity goes on rising by a hair (`LEAST_SLOPE`), so that a cutoff can fall between any two
leads that the model itself tells apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from features.errors import BundleError, DataError, UnsupportedData, listed, nearest

Floats = NDArray[np.float64]

# No propensity is nearer to 0 or 1: no number of leads that fits a CRM could show one that is.
NEAREST_TO_CERTAIN = 1e-9
# Log-odds by unit of margin where the data say "flat": keeps the order, moves no number anyone reads.
LEAST_SLOPE = 1e-3
# How far Platt's slope is from 1 before anything is seen: two thirds of the time within one half.
PRIOR_SD = 0.5


class Calibrator(Protocol):
    """What every calibrator offers; `fit` changes and returns the calibrator itself."""

    name: ClassVar[str]
    note: str

    def fit(self, margin: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Calibrator:
        """Learn from margins (n,), labels 0 or 1 (n,) and weights (n,), all 1 if not given."""
        ...

    def predict(self, margin: ArrayLike) -> Floats:
        """Return the propensity (n,) of each margin (n,), strictly between 0 and 1."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return what `calibrator_from_dict` needs, ready for JSON."""
        ...


@dataclass
class NoCalibration:
    """The margin taken at its word: propensity = 1 / (1 + exp(-margin))."""

    name: ClassVar[str] = "none"
    note: str = ""

    def fit(self, margin: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> NoCalibration:
        """Check the input; there is nothing to learn."""
        checked(margin, label, weight)
        return self

    def predict(self, margin: ArrayLike) -> Floats:
        """Return the propensity (n,) of each margin (n,)."""
        return _inside(expit(np.asarray(margin, dtype=float)))

    def to_dict(self) -> dict[str, Any]:
        """Return the method's name: there is nothing else."""
        return {"method": self.name}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NoCalibration:
        """Rebuild from `to_dict`."""
        return cls()


@dataclass
class Platt:
    """A straight line on the log-odds: propensity = 1 / (1 + exp(-(intercept + slope * margin))).

    Fitted by maximum a posteriori with a normal prior on the slope, mean 1 and standard deviation
    `PRIOR_SD`: the margins already are log-odds, so a few dozen wins must not stretch them threefold,
    and hundreds outweigh the prior. The mean propensity is always the observed rate. Where there is no
    usable slope, the line is held and `note` says so: slope 1 when the margins do not differ,
    `LEAST_SLOPE` when leads with higher margins convert less.

    Source: J. Platt, "Probabilistic outputs for support vector machines", 1999; the prior is ours.
    """

    name: ClassVar[str] = "platt"
    slope: float = 1.0
    intercept: float = 0.0
    note: str = ""

    def fit(self, margin: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Platt:
        """Learn slope and intercept. Raises `UnsupportedData` when all labels are the same."""
        m, y, w = _usable(margin, label, weight)
        self.slope, self.note = _slope(m, y, w)
        self.intercept = _height(self.slope * m, y, w)
        return self

    def predict(self, margin: ArrayLike) -> Floats:
        """Return the propensity (n,) of each margin (n,)."""
        return _inside(expit(self.intercept + self.slope * np.asarray(margin, dtype=float)))

    def to_dict(self) -> dict[str, Any]:
        """Return slope and intercept."""
        return {"method": self.name, "slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Platt:
        """Rebuild from `to_dict`."""
        return cls(float(data["slope"]), float(data["intercept"]))


class Isotonic:
    """The best rising curve through the observed rates, made continuous.

    Isotonic regression pools snapshots into steps. Each step's rate then takes in one more snapshot
    that converts at the overall rate, so that none is 0 or 1 and small steps are trusted less; steps
    which that puts out of order are pooled again. The curve runs straight from the centre of one
    step to the centre of the next, as in centred isotonic regression (A. Oron and N. Flournoy, 2017).
    """

    name: ClassVar[str] = "isotonic"

    def __init__(self, margins: ArrayLike = (0.0,), propensities: ArrayLike = (0.5,)) -> None:
        self.margins: Floats = np.asarray(margins, dtype=float)
        self.propensities: Floats = np.asarray(propensities, dtype=float)
        self.note = ""

    def fit(self, margin: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Isotonic:
        """Learn the curve's knots. Raises `UnsupportedData` when all labels are the same."""
        m, y, w = _usable(margin, label, weight)
        rate = np.average(y, weights=w)
        m, y, w = _pooled(m, y, w)
        steps = _pooled(m, (y * w + rate) / (w + 1.0), w)
        self.margins, self.propensities = steps[0], _inside(steps[1])
        return self

    def predict(self, margin: ArrayLike) -> Floats:
        """Return the propensity (n,) of each margin (n,)."""
        m = np.asarray(margin, dtype=float)
        first, last = self.margins[0], self.margins[-1]
        after = np.searchsorted(self.margins, m, side="right").clip(max=len(self.margins) - 1)
        # Rounding can carry an interpolated value past the knot it leads to, never let it.
        curve = np.minimum(np.interp(m, self.margins, self.propensities), self.propensities[after])
        beyond = np.minimum(m - first, 0.0) + np.maximum(m - last, 0.0)
        tail = expit(logit(curve) + LEAST_SLOPE * beyond)
        curve = np.where(beyond < 0.0, np.minimum(tail, curve), curve)
        return _inside(np.where(beyond > 0.0, np.maximum(tail, curve), curve))

    def to_dict(self) -> dict[str, Any]:
        """Return the knots."""
        return {
            "method": self.name,
            "margins": self.margins.tolist(),
            "propensities": self.propensities.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Isotonic:
        """Rebuild from `to_dict`."""
        return cls(data["margins"], data["propensities"])


# In order of simplicity: of two that judge alike, the one that comes first is taken.
METHODS: dict[str, type[NoCalibration] | type[Platt] | type[Isotonic]] = {
    method.name: method for method in (NoCalibration, Platt, Isotonic)
}


def calibrator_from_dict(data: Mapping[str, Any]) -> Calibrator:
    """Rebuild any calibrator from its `to_dict`. Raises `BundleError` for one that is not known."""
    method = str(data.get("method", ""))
    if method not in METHODS:
        raise BundleError(
            f"Unknown calibration method {method!r}.",
            allowed=listed(METHODS),
            todo=nearest(method, METHODS) or "Train the model again.",
        )
    return METHODS[method].from_dict(data)


def _slope(m: Floats, y: Floats, w: Floats) -> tuple[float, str]:
    """Return Platt's slope, and a note when it is not the most probable one.

    The unknowns are the height and the slope's distance from 1, in units in which neither the margins
    nor the prior is badly scaled.
    """
    if m.max() == m.min():
        return 1.0, "all margins are the same: the slope was left at 1"
    centred = m - np.average(m, weights=w)
    unit = max(1.0, float(centred.std()))
    stretch = centred / unit
    precision = 1.0 / (PRIOR_SD * unit) ** 2

    def parts(line: Floats) -> tuple[Floats, Floats]:
        odds = line[0] + centred + line[1] * stretch
        return odds, expit(odds)

    def loss(line: Floats) -> float:
        odds, _ = parts(line)
        return float(w @ (np.logaddexp(0.0, odds) - y * odds)) + precision * line[1] ** 2 / 2

    def gradient(line: Floats) -> Floats:
        residual = w * (parts(line)[1] - y)
        return np.array([residual.sum(), residual @ stretch + precision * line[1]])

    def curvature(line: Floats) -> Floats:
        p = parts(line)[1]
        v = w * p * (1.0 - p)
        mixed = v @ stretch
        return np.array([[v.sum(), mixed], [mixed, v @ stretch**2 + precision]])

    start = np.array([logit(np.average(y, weights=w)), 0.0])
    found = minimize(loss, start, jac=gradient, hess=curvature, method="trust-exact")
    slope = 1.0 + float(found.x[1]) / unit
    if slope < LEAST_SLOPE:
        return LEAST_SLOPE, "a higher margin did not mean more wins: nearly flat at the overall rate"
    return slope, ""


def _height(line: Floats, y: Floats, w: Floats) -> float:
    """Return the intercept at which the mean propensity equals the observed rate."""
    rate = np.average(y, weights=w)
    far = float(logit(rate))
    low, high = far - line.max() - 1.0, far - line.min() + 1.0
    return float(brentq(lambda a: np.average(expit(line + a), weights=w) - rate, low, high, xtol=1e-12))


def _pooled(m: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Return centre, rate and weight of each step of the isotonic regression of y on m."""
    level = IsotonicRegression().fit(m, y, sample_weight=w).predict(m)
    order = np.argsort(m, kind="stable")
    step = np.r_[0, np.cumsum(np.diff(level[order]) > 1e-12)]
    weight: Floats = np.bincount(step, weights=w[order]).astype(float)
    centre = np.bincount(step, weights=(w * m)[order]) / weight
    return centre, np.bincount(step, weights=(w * y)[order]) / weight, weight


def checked(margin: ArrayLike, label: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return margins, labels and weights as arrays (n,). Raises `DataError` for what cannot be used."""
    m, y = np.asarray(margin, dtype=float), np.asarray(label, dtype=float)
    w = np.ones(len(m)) if weight is None else np.asarray(weight, dtype=float)
    if not len(m) == len(y) == len(w) or not len(m):
        raise DataError(
            f"{len(m)} margins, {len(y)} labels and {len(w)} weights.",
            allowed="the same number, at least one",
        )
    if not np.isfinite(m).all() or not np.isin(y, (0.0, 1.0)).all() or not (w >= 0).all() or not w.any():
        raise DataError(
            "A margin is not finite, a label neither 0 nor 1, or a weight negative or all of them 0.",
            todo="Only snapshots that have matured have a label; leave out the others.",
        )
    return m, y, w


def both_classes(label: Floats) -> None:
    """Raise `UnsupportedData` when all labels are the same."""
    if label.min() == label.max():
        raise UnsupportedData(
            f"All {len(label)} snapshots to calibrate on have the label {label[0]:.0f}.",
            allowed="at least one win and one snapshot without",
            todo="Widen the calibration window or the horizon.",
        )


def _usable(margin: ArrayLike, label: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Return the rows that weigh something, their weights scaled to a mean of 1."""
    m, y, w = checked(margin, label, weight)
    kept = w > 0
    both_classes(y[kept])
    return m[kept], y[kept], w[kept] / w[kept].mean()


def _inside(propensity: Floats) -> Floats:
    """Return the propensity kept off 0 and 1."""
    return np.clip(propensity, NEAREST_TO_CERTAIN, 1.0 - NEAREST_TO_CERTAIN)
