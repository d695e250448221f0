"""A feature's values in a few bins that people use, each with leads enough to say something of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.bands import SENIORITY_LEVELS, SIZE_BANDS
from features.declare import Feature
from features.vocabulary import OTHER

# Where bins of a unit start; those with too few leads are pooled.
_WHOLE = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
_DAYS = (0, 1, 2, 7, 14, 30, 60, 90, 180, 365, 730)
_STARTS: dict[str, tuple[float, ...]] = {
    "days": _DAYS,
    "days ago": _DAYS,
    "employees": (0.0, *(low for low, _ in SIZE_BANDS)),
    "rank 1 to 7": tuple(range(1, len(SENIORITY_LEVELS) + 1)),
    "hour": (0, 6, 9, 12, 14, 18, 22),
    "share": (0.0, 1e-9, 0.25, 0.5, 0.75, 1.0),
}
WHOLE_UNITS = frozenset(
    ("times", "activities", "sessions", "assets", "channels", "kinds of activity", "calendar days", "fields")
)
# Fewer leads in a bin say too little: it is pooled with a neighbour, or marked.
FEW = 20
MOST_LEVELS = 12
_QUANTILES = np.linspace(0, 1, 6)[1:-1]


@dataclass(frozen=True)
class Bin:
    """One bin: a level (several where rare ones are pooled), or a number from `low` to below `high`.

    `high` is infinite in the last bin. Without levels and `low` it is the bin of the missing values.
    """

    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether it holds the leads of which the value is not known, or of which there is none."""
        return self.low is None and not self.levels


@dataclass(frozen=True)
class Binned:
    """The bins in their order, and the bin of each row: (n,) positions."""

    bins: tuple[Bin, ...]
    codes: NDArray[np.int64]


def binned(feature: Feature, values: pd.Series, leads: pd.Series) -> Binned:
    """Put the values (n,) of a feature into bins; `leads` (n,) says whose each row is.

    A bin with fewer than `FEW` leads is joined to its smaller neighbour. None of an activity stays apart from
    some of it, and missing from known, however few they are.
    """
    lead = pd.factorize(leads)[0]
    if feature.type == "category":
        return _by_level(feature, values, lead)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    starts = _pooled(numbers, _starts(feature, numbers), lead, apart=feature.unit in WHOLE_UNITS)
    known = ~np.isnan(numbers)
    codes = np.searchsorted(starts, numbers, side="right") - 1
    codes[~known] = len(starts)
    ends = [*starts[1:], np.inf]
    bins = [Bin(float(low), float(high)) for low, high in zip(starts, ends, strict=True)]
    return _without_empty([*bins, Bin()], codes)


def _starts(feature: Feature, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    known = numbers[~np.isnan(numbers)]
    if feature.type == "flag":
        return np.array([0.0, 1.0])
    if feature.unit in WHOLE_UNITS:
        return np.array(_WHOLE, dtype=float)
    if feature.unit in _STARTS:
        return np.array(_STARTS[feature.unit], dtype=float)
    if not len(known):
        return np.array([0.0])
    inner = np.array([_round(edge) for edge in np.quantile(known, _QUANTILES)])
    return np.unique([np.floor(known.min()), *inner[inner > known.min()]])


def _round(number: float) -> float:
    """Return a number with two digits that mean something, as people write edges."""
    return float(f"{number:.2g}")


def _pooled(
    numbers: NDArray[np.float64], starts: NDArray[np.float64], lead: NDArray[np.int64], *, apart: bool
) -> NDArray[np.float64]:
    """Return the starts of bins with leads enough; `apart` keeps the first, of none, by itself."""
    known = ~np.isnan(numbers)
    kept = [float(start) for start in starts]
    if known.any() and numbers[known].min() < kept[0]:
        kept[0] = float(np.floor(numbers[known].min()))
    while len(kept) > 1:
        codes = np.searchsorted(kept, numbers[known], side="right") - 1
        count = _leads(codes, lead[known], len(kept))
        first = 1 if apart and kept[0] == 0 else 0
        few = [place for place in range(first, len(kept)) if count[place] < FEW]
        if not few or len(kept) == first + 1:
            break
        place = min(few, key=lambda at: count[at])
        below = count[place - 1] if place > first else np.inf
        above = count[place + 1] if place + 1 < len(kept) else np.inf
        empty = count[place] == 0 and place + 1 < len(kept)  # nothing to be near to: the next starts earlier
        del kept[place + 1 if empty or above < below else place]
    return np.array(kept)


def _by_level(feature: Feature, values: pd.Series, lead: NDArray[np.int64]) -> Binned:
    """One bin a level, frequent ones first; the rare ones together, last but for the missing."""
    names = [str(name) for name in values.cat.categories]
    own = values.cat.codes.to_numpy()
    count = _leads(own[own >= 0], lead[own >= 0], len(names))
    frequent = [
        place for place in np.argsort(-count, kind="stable") if count[place] >= FEW and names[place] != OTHER
    ][:MOST_LEVELS]
    rare = [place for place in range(len(names)) if place not in frequent and count[place]]
    bins = [Bin(levels=(names[place],)) for place in frequent]
    bins += [Bin(levels=tuple(names[place] for place in rare))] if rare else []
    to = np.full(len(names) + 1, len(bins))  # the last entry is that of code -1, which is missing
    to[frequent] = range(len(frequent))
    to[rare] = len(frequent)
    return _without_empty([*bins, Bin()], to[own])


def _without_empty(bins: list[Bin], codes: NDArray[np.int64]) -> Binned:
    used = np.unique(codes)
    return Binned(tuple(bins[place] for place in used), np.searchsorted(used, codes))


def _leads(codes: NDArray[Any], lead: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Return how many different leads each bin holds."""
    apart = int(lead.max(initial=0)) + 1
    pairs = np.unique(codes.astype(np.int64) * apart + lead)
    return np.bincount(pairs // apart, minlength=bins)
