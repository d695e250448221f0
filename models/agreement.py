"""Does what was announced come? By tenths of the propensity, and by segments of the leads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]

LEVEL = 0.90
TENTHS = 10
# A segment of fewer leads is pooled with the others that are small.
LEAST_LEADS = 50
MOST_SEGMENTS = 8
POOL = "(pool)"


def share(label: ArrayLike, groups: ArrayLike, confidence: float = LEVEL) -> dict[str, float]:
    """Return the share of rows with label 1, with an interval that knows that rows of a group are alike.

    The exact interval of a share (Clopper and Pearson 1934) with the effective number of rows in place of
    their number: the variance over groups, linearised, tells how many independent rows they are worth
    (Korn and Graubard 1998). Without a single 1, or without a 0, every group counts as one row.

    Returns
    -------
    dict
        ``came``, ``low``, ``high`` and ``effective``, the number of rows that they are worth.
    """
    y, group = np.asarray(label, dtype=float), pd.factorize(np.asarray(groups))[0]
    came, count = float(y.mean()), int(group.max()) + 1
    effective = float(count)
    if 0 < came < 1 and count > 1:
        residual = np.bincount(group, weights=y - came, minlength=count)
        variance = float((residual**2).sum()) / len(y) ** 2 * count / (count - 1)
        effective = min(came * (1 - came) / variance, float(len(y))) if variance > 0 else effective
    tail, hits = (1 - confidence) / 2, came * effective
    low = float(beta.ppf(tail, hits, effective - hits + 1)) if came > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, effective - hits)) if came < 1 else 1.0
    return {"came": came, "low": low, "high": high, "effective": effective}


def tenths(
    propensity: ArrayLike,
    label: ArrayLike,
    groups: ArrayLike,
    ends: tuple[ArrayLike, ArrayLike] | None = None,
) -> list[dict[str, float]]:
    """Return, from the lowest tenth of the propensities to the highest, what was announced and what came.

    Equal propensities stay together, in the tenth of their mid-rank, so there may be fewer than ten.
    `ends` are the lower and upper ends (n,) of the intervals that the leads were given.

    Returns
    -------
    list of dict
        ``announced`` (the mean propensity), what `share` gives, ``snapshots``, and with `ends` their means,
        ``given_low`` and ``given_high``.
    """
    p = pd.Series(np.asarray(propensity, dtype=float))
    place = (p.rank(method="average") - 0.5) / max(len(p), 1)
    tenth = np.minimum((place * TENTHS).to_numpy().astype(int), TENTHS - 1)
    y, group = np.asarray(label), np.asarray(groups)
    found = []
    for one in np.unique(tenth):
        own = tenth == one
        row = {"announced": float(p[own].mean()), **share(y[own], group[own]), "snapshots": int(own.sum())}
        if ends is not None:
            row["given_low"], row["given_high"] = (float(np.asarray(end)[own].mean()) for end in ends)
        found.append(row)
    return found


def segments(
    segment: pd.Series, leads: ArrayLike, propensity: ArrayLike, label: ArrayLike, groups: ArrayLike
) -> list[dict[str, Any]]:
    """Return what was announced and what came in each segment, the largest first, the pool last.

    Parameters
    ----------
    segment
        (n,) the name of each row's segment. Those with fewer than 50 leads, and those beyond the eight
        largest, are pooled under the name `POOL`.
    leads
        (n,) ids, to count leads rather than rows.

    Returns
    -------
    list of dict
        ``segment, leads, announced``, what `share` gives, ``shrunk`` and ``agrees``. `shrunk` is the
        share that came, drawn to the one announced as far as chance explains the differences (empirical
        Bayes; the spread between segments by the method of moments: DerSimonian and Laird 1986). The
        segments are several looks at once, so `agrees` asks of each with 90 % confidence in all together
        (Bonferroni).
    """
    table = pd.DataFrame(
        {
            "segment": segment.astype(object).to_numpy(), "lead": np.asarray(leads),
            "group": np.asarray(groups), "label": np.asarray(label),
            "propensity": np.asarray(propensity, dtype=float),
        }
    )  # fmt: skip
    counts = table.groupby("segment")["lead"].nunique().sort_values(ascending=False)
    own = counts.index[(counts >= LEAST_LEADS)][:MOST_SEGMENTS]
    table["segment"] = table["segment"].where(table["segment"].isin(own), POOL)
    parts = {str(name): part for name, part in table.groupby("segment")}
    found = [_segment(name, part, 1 - (1 - LEVEL) / len(parts)) for name, part in parts.items()]
    _shrink(found)
    return sorted(found, key=lambda one: (one["segment"] == POOL, -one["leads"], one["segment"]))


def _segment(name: str, part: pd.DataFrame, strict: float) -> dict[str, Any]:
    announced = float(part["propensity"].mean())
    sure = share(part["label"], part["group"], strict)
    return {
        "segment": name, "leads": int(part["lead"].nunique()), "announced": announced,
        **share(part["label"], part["group"]), "agrees": bool(sure["low"] <= announced <= sure["high"]),
    }  # fmt: skip


def _shrink(found: list[dict[str, Any]]) -> None:
    announced, came, effective = (
        np.array([one[name] for one in found]) for name in ("announced", "came", "effective")
    )
    chance = np.maximum(announced * (1 - announced), 1e-9) / effective
    weight = 1 / chance
    gap = came - announced
    beyond = float((weight * gap**2).sum()) - len(found)
    spread = max(0.0, beyond / float(weight.sum())) if len(found) else 0.0
    for one, own, drawn in zip(found, chance, gap, strict=True):
        one["shrunk"] = float(one["announced"] + spread / (spread + own) * drawn)
