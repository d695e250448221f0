"""The model distilled into a point table: few lines, whole numbers, for people and for a CRM without a model.

What is fitted is the model's margin, not the outcome: the table is to rank as the model does, and the
model has learnt more from the few wins there are than a table would. Lines are chosen one by one
(orthogonal matching pursuit: Pati, Rezaiifar and Krishnaprasad 1993), and each may only point the way in
which the model itself moves with it. Points are rounded and then moved, one line after the other, to the
whole numbers that are nearest to the model together: rounding alone is not (Ustun and Rudin 2016, whose
exact search this is not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from features.errors import DataError
from features.rules import Rule
from models.scorecard_lines import Candidate, disjoint

Floats = NDArray[np.float64]

MOST_LINES = 20
# A line must hold for this share of the snapshots, and not hold for as many: else nobody meets it.
LEAST_SHARE = 0.01
# So many points double the odds: fine enough to rank, and numbers that people add in their heads.
DOUBLES = 10
# No line may weigh more; where one would, all points shrink together.
MOST_POINTS = 50
FOLDS = 5
_RIDGE = 1e-9


@dataclass(frozen=True)
class Scorecard:
    """A point table.

    rules
        At most `MOST_LINES`, with whole numbers of points.
    places, points
        The same before sets of values were taken apart: which candidates, and their points.
    doubles
        So many points double the odds.
    explained
        The share of the variance of the model's margin that the points explain where they were fitted.
    """

    rules: tuple[Rule, ...]
    places: tuple[int, ...]
    points: tuple[int, ...]
    doubles: float
    explained: float

    def total(self, times: pd.DataFrame) -> pd.Series:
        """Return the points (n,) of snapshots, given which candidates (n, candidates) hold for them."""
        chosen = times.iloc[:, list(self.places)].to_numpy(dtype=float)
        return pd.Series(chosen @ np.asarray(self.points, dtype=float), index=times.index)


def distil(
    lines: Sequence[Candidate],
    times: pd.DataFrame,
    concepts: pd.DataFrame,
    margin: ArrayLike,
    groups: ArrayLike,
    *,
    most: int = MOST_LINES,
) -> Scorecard:
    """Return the point table that comes nearest to the model.

    Parameters
    ----------
    lines
        What may be in it.
    times
        (n, lines) 1 where a line holds for a snapshot, else 0.
    concepts
        (n, concepts) the model's contributions by concept.
    margin, groups
        (n,) the model's margin; the lead, or the account where leads share one.

    Raises
    ------
    DataError
        Lengths differ, or there is no snapshot.
    """
    y, group = np.asarray(margin, dtype=float), pd.factorize(np.asarray(groups))[0]
    if not len(y) or {len(y), len(group), len(times), len(concepts)} != {len(y)}:
        raise DataError(
            "The snapshots of a scorecard do not belong together.", allowed="one length, 1 or more"
        )
    # A log loss against the model's own probabilities is, to the second order, a squared error with these
    # weights: it matters most where leads are likely, and hardly where all are hopeless.
    chance = 1.0 / (1.0 + np.exp(-y))
    weight = chance * (1.0 - chance)
    usable, signs = _usable(lines, times, concepts, weight)
    design = times.iloc[:, usable].to_numpy(dtype=float) * signs
    count = _how_many(design, y, weight, group, most)
    sums = _Sums.of(design, y, weight)
    chosen, values = _path(sums, count)[-1] if count else ([], np.zeros(0))
    points, doubles = _whole(sums, chosen, values)
    kept = [place for place, given in enumerate(points) if given]
    places = tuple(int(usable[chosen[k]]) for k in kept)
    signed = tuple(int(points[k] * signs[chosen[k]]) for k in kept)
    slope = np.log(2) / doubles
    explained = 1.0 - sums.error([chosen[k] for k in kept], points[kept] * slope) / max(sums.whole, 1e-12)
    rules = disjoint([lines[p].rule for p in places], signed)
    return Scorecard(tuple(rules), places, signed, doubles, float(explained))


def _usable(
    lines: Sequence[Candidate], times: pd.DataFrame, concepts: pd.DataFrame, weight: Floats
) -> tuple[NDArray[np.intp], Floats]:
    """Return which lines hold for some and not for all, and the way each points in the model: 1 or -1."""
    held = times.to_numpy(dtype=float)
    share = held.mean(axis=0)
    some = (share >= LEAST_SHARE) & (share <= 1 - LEAST_SHARE)
    effect = concepts.reindex(columns=[line.concept for line in lines], fill_value=0.0).to_numpy(float)
    centred = effect - np.average(effect, axis=0, weights=weight)
    way = (weight[:, None] * held * centred).sum(axis=0)
    places = np.flatnonzero(some & (np.abs(way) > _RIDGE))
    return places, np.sign(way[places])


@dataclass(frozen=True)
class _Sums:
    """Weighted sums of squares and products about the mean: all that least squares needs."""

    gram: Floats
    product: Floats
    whole: float
    mean: Floats
    mean_y: float

    @classmethod
    def of(cls, design: Floats, y: Floats, weight: Floats) -> _Sums:
        mean, mean_y = np.average(design, axis=0, weights=weight), float(np.average(y, weights=weight))
        centred, rest = design - mean, y - mean_y
        weighted = centred * weight[:, None]
        whole = float(weight @ rest**2)
        return cls(weighted.T @ centred, weighted.T @ rest, whole, mean, mean_y)

    def error(self, chosen: Sequence[int], values: Floats) -> float:
        """Return the weighted squared error of these coefficients."""
        of = list(chosen)
        return float(self.whole - 2 * values @ self.product[of] + values @ self.gram[np.ix_(of, of)] @ values)


def _path(sums: _Sums, most: int) -> list[tuple[list[int], Floats]]:
    """Return the chosen columns and their coefficients, none below 0, with 1, 2, ... columns."""
    chosen: list[int] = []
    values = np.zeros(0)
    path: list[tuple[list[int], Floats]] = []
    size = np.sqrt(np.maximum(np.diag(sums.gram), _RIDGE))
    while len(path) < most:
        rest = (sums.product - sums.gram[:, chosen] @ values) / size
        rest[chosen] = -np.inf
        best = int(rest.argmax()) if len(rest) else -1
        if best < 0 or rest[best] <= 1e-6 * np.sqrt(sums.whole + _RIDGE):
            break
        grown = [*chosen, best]
        values = _least_squares(sums, grown)
        keep = values > 0
        chosen, values = [c for c, k in zip(grown, keep, strict=True) if k], values[keep]
        if path and chosen in [c for c, _ in path]:
            break
        path.append((chosen, values))
    return path


def _least_squares(sums: _Sums, chosen: Sequence[int]) -> Floats:
    """Return the coefficients, none below 0, with the least weighted squared error."""
    of = list(chosen)
    gram = sums.gram[np.ix_(of, of)]
    gram = gram + np.eye(len(of)) * _RIDGE * max(float(np.trace(gram)), 1.0)
    root = np.linalg.cholesky(gram)
    found, _ = nnls(root.T, np.linalg.solve(root, sums.product[of]))
    return np.asarray(found, dtype=np.float64)


def _how_many(design: Floats, y: Floats, weight: Floats, group: NDArray[np.intp], most: int) -> int:
    """Return the fewest lines that are as good on unseen groups as the best number, within its error.

    The rule of one standard error (Breiman et al. 1984) over folds of whole groups.
    """
    if not design.shape[1]:
        return 0
    fold = np.random.default_rng(0).permutation(group.max() + 1)[group] % FOLDS
    if group.max() + 1 < FOLDS:
        return len(_path(_Sums.of(design, y, weight), most))
    errors = np.full((FOLDS, most + 1), np.nan)
    for one in range(FOLDS):
        inside, out = fold != one, fold == one
        sums = _Sums.of(design[inside], y[inside], weight[inside])
        path: list[tuple[list[int], Floats]] = [([], np.zeros(0)), *_path(sums, most)]
        for place in range(most + 1):
            chosen, values = path[min(place, len(path) - 1)]
            level = sums.mean_y - sums.mean[chosen] @ values
            rest = y[out] - level - design[out][:, chosen] @ values
            errors[one, place] = np.average(rest**2, weights=weight[out])
    mean = errors.mean(axis=0)
    best = int(mean.argmin())
    within = (errors - errors[:, [best]]).std(axis=0, ddof=1) / np.sqrt(FOLDS)
    return int(np.flatnonzero(mean - mean[best] <= within)[0])


def _whole(sums: _Sums, chosen: Sequence[int], values: Floats) -> tuple[NDArray[np.int64], float]:
    """Return whole points for the chosen columns, and how many points double the odds.

    Rounded coefficients first; then one line after the other is moved by a point as long as that
    brings the table nearer to the model.
    """
    if not len(values):
        return np.zeros(0, dtype=np.int64), float(DOUBLES)
    doubles = float(DOUBLES)
    while (values * doubles / np.log(2)).max() > MOST_POINTS:
        doubles /= 2
    slope = np.log(2) / doubles
    points = np.round(values / slope)
    best = sums.error(chosen, points * slope)
    for _ in range(10 * len(points)):
        moves = [
            (sums.error(chosen, moved * slope), moved)
            for place in range(len(points))
            for by in (-1, 1)
            if 0 <= (moved := points + by * (np.arange(len(points)) == place))[place] <= MOST_POINTS
        ]
        error, moved = min(moves, key=lambda move: move[0])
        if error >= best:
            break
        best, points = error, moved
    return points.astype(np.int64), doubles


def threshold(points: pd.Series, leads: pd.Series, wanted: int) -> int | None:
    """Return the points from which on nearest to `wanted` leads are named, None for no lead.

    A lead counts once, by the most points it ever has in the rows (n,). Of two levels as near, the
    higher one.
    """
    most = points.groupby(leads.to_numpy()).max()
    if wanted <= 0 or most.empty:
        return None
    levels = np.unique(most.to_numpy())[::-1]
    named = np.array([(most >= level).sum() for level in levels])
    return int(levels[np.abs(named - wanted).argmin()])
