"""What people read instead of log-odds: a score of 0 to 100 and a grade such as ``B2``.

Both place a lead among the snapshots of the calibration window, and store nothing but the edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import BundleError, DataError

FIT_GRADES = np.array(["D", "C", "B", "A"])
ENGAGEMENT_GRADES = np.array(["4", "3", "2", "1"])
# Where the rounded percentile steps from 0 to 1, from 1 to 2, and so on to 100.
_STEPS = (np.arange(100) + 0.5) / 100
_QUARTILES = np.array([0.25, 0.5, 0.75])


@dataclass(frozen=True)
class ScoreScale:
    """The score: the rounded percentile of a margin among those of the calibration window.

    A margin equal to many others stands in the middle of them (its mid-rank), so that where all
    margins are the same each scores 50. The score is a rank and not a probability.

    `edges` (100,) are margins in rising order: the score steps up at each one.
    """

    edges: tuple[float, ...]

    @classmethod
    def fit(cls, margin: ArrayLike, weight: ArrayLike | None = None) -> ScoreScale:
        """Learn the edges from margins (n,) and weights (n,). Raises `DataError` when none is usable."""
        return cls(_edges(margin, weight, _STEPS, "margin"))

    def score(self, margin: ArrayLike) -> NDArray[np.int64]:
        """Return the score (n,), 0 to 100, of each margin (n,); a higher margin never scores lower."""
        return _rank(self.edges, margin)

    def to_dict(self) -> dict[str, Any]:
        """Return the edges, ready for JSON."""
        return {"edges": list(self.edges)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScoreScale:
        """Rebuild from `to_dict`. Raises `BundleError` when edges are missing or out of order."""
        return cls(_stored(data, "edges", len(_STEPS)))


@dataclass(frozen=True)
class Grades:
    """The grade: quartile of the fit sum, ``A`` (best) to ``D``, then of the engagement sum, ``1`` to ``4``.

    A value equal to an edge belongs to the quartile below. One so frequent that it is several edges at
    once stands in the middle of them: above the first where it is the first two or all three (``C``
    and ``3``, so also where all values are the same), above the second where it is the last two.
    """

    fit_edges: tuple[float, ...]
    engagement_edges: tuple[float, ...]

    @classmethod
    def fit(cls, fit: ArrayLike, engagement: ArrayLike, weight: ArrayLike | None = None) -> Grades:
        """Learn the edges from both sums (n,), on the margin scale. Raises `DataError`."""
        return cls(
            _edges(fit, weight, _QUARTILES, "fit"), _edges(engagement, weight, _QUARTILES, "engagement")
        )

    def grade(self, fit: ArrayLike, engagement: ArrayLike) -> NDArray[np.str_]:
        """Return the grade (n,) of each pair of sums (n,), for example ``B2``."""
        letters = FIT_GRADES[_rank(self.fit_edges, fit)]
        return np.strings.add(letters, ENGAGEMENT_GRADES[_rank(self.engagement_edges, engagement)])

    def to_dict(self) -> dict[str, Any]:
        """Return the edges, ready for JSON."""
        return {"fit": list(self.fit_edges), "engagement": list(self.engagement_edges)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grades:
        """Rebuild from `to_dict`. Raises `BundleError` when edges are missing or out of order."""
        return cls(_stored(data, "fit", len(_QUARTILES)), _stored(data, "engagement", len(_QUARTILES)))


def _edges(
    values: ArrayLike, weight: ArrayLike | None, shares: NDArray[np.float64], what: str
) -> tuple[float, ...]:
    """Return the smallest observed value at or below which each share of the weight lies."""
    v = np.asarray(values, dtype=float)
    w = np.ones(len(v)) if weight is None else np.asarray(weight, dtype=float)
    if not len(v) or len(v) != len(w) or not np.isfinite(v).all() or not (w >= 0).all() or not w.any():
        raise DataError(
            f"The {what} of the calibration window cannot be ranked.",
            where=f"{len(v)} values, {int((~np.isfinite(v)).sum())} of them not finite, {len(w)} weights",
            allowed="at least one value, all finite, with weights of 0 or more",
        )
    return tuple(np.quantile(v, shares, weights=w, method="inverted_cdf").tolist())


def _rank(edges: tuple[float, ...], values: ArrayLike) -> NDArray[np.int64]:
    """Return the number of edges passed, halfway through those that a value equals."""
    v = np.asarray(values, dtype=float)
    if np.isnan(v).any():
        raise DataError(f"{int(np.isnan(v).sum())} of {len(v)} values to be ranked are not numbers.")
    return (np.searchsorted(edges, v, side="left") + np.searchsorted(edges, v, side="right")) // 2


def _stored(data: Mapping[str, Any], key: str, count: int) -> tuple[float, ...]:
    edges = tuple(float(edge) for edge in data.get(key, ()))
    if len(edges) != count or not np.isfinite(edges).all() or (np.diff(edges) < 0).any():
        raise BundleError(
            f"The stored edges {key!r} are not {count} numbers in rising order.",
            todo="Train the model again.",
        )
    return edges
