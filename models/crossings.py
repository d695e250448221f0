"""How many leads become MQLs at each level, and what becomes of them: what every cutoff is chosen from.

A lead becomes an MQL once, at its **first crossing**: its first snapshot at or above the level. All
counts here are of leads at their first crossing, since that is when sales gets them. Leads tied at a
level are all in or all out, so a level is never finer than what the model tells apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from features.errors import ConfigurationError, DataError, listed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

COLUMNS = ("lead_id", "propensity", "label")
CONFIDENCE = 0.90
# The name of the earlier snapshots of the decision window's leads. They build nothing: they only tell
# which levels those leads had reached before it.
BEFORE_DECISION = "before_decision"
WEEK = pd.Timedelta(days=7)
# Levels whose net value is at least this share of the best one's make up the flat range.
FLAT_SHARE = 0.95
# Points of the net value curve that are kept as evidence.
CURVE_POINTS = 50


@dataclass(frozen=True)
class Crossings:
    """How many leads would become MQLs, and convert, at each level there is.

    All arrays are (k,), one entry for each distinct propensity, highest first.

    levels
        The propensity.
    mqls, caught
        Leads that cross, and those of them that convert within the horizon after crossing.
    backlog
        Of `mqls` the first night's: open before the window, and at or above the level when first seen.
    leads, won
        Leads in all, and those with a conversion within the horizon of any snapshot.
    weeks
        Length of the window in weeks; None for data without times.
    share
        The share of all the company's leads that these are: below 1 where windows part leads by group.
    records
        One row for each snapshot that rises above all earlier ones of its lead; see `_records`.
    """

    levels: Floats
    mqls: Counts
    caught: Counts
    backlog: Counts
    leads: int
    won: int
    weeks: float | None
    share: float
    records: pd.DataFrame = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        snapshots: pd.DataFrame,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        share: float = 1.0,
        earlier: pd.DataFrame | None = None,
    ) -> Crossings:
        """Count first crossings at every level.

        Parameters
        ----------
        snapshots
            The decision window: ``lead_id, as_of, propensity, label``; optionally
            ``created_at``, without which no lead is backlog. Without ``as_of`` the data has no times,
            and each lead one row.
        start, end
            The window in which the leads came in, end not included; if not given, from the first day
            of a snapshot to its last. Snapshots of these leads after `end` count: in a steady flow they
            stand for those that leads from before `start` have within it.
        share
            The share of all leads that the table holds, above 0 to 1.
        earlier
            ``lead_id, propensity`` of the same leads' snapshots before the window: what they had
            reached by then is backlog, and no more than that. Without it, all that a lead created
            before the window shows at its first snapshot counts as backlog.

        Raises
        ------
        DataError
            A missing column, no rows, a missing value, a snapshot twice, a label not 0 or 1.
        ConfigurationError
            A window that ends before it starts, or a share outside of 0 to 1.
        """
        table = _checked(snapshots)
        if not 0.0 < share <= 1.0:
            raise ConfigurationError(f"The leads are a share of {share} of all.", allowed="above 0, up to 1")
        window = _window(table["as_of"], start, end) if "as_of" in table else None
        levels = np.unique(table["propensity"])[::-1]
        records = _records(table, None if window is None else window[0], earlier)
        old = records.assign(upto=np.minimum(records["upto"], records["known"]))
        old = old[old["upto"] > old["before"]]
        return cls(
            levels=levels,
            mqls=_crossing(records, np.ones(len(records)), levels),
            caught=_crossing(records, records["label"], levels),
            backlog=_crossing(old, np.ones(len(old)), levels),
            leads=int(table["lead_id"].nunique()),
            won=int(table.groupby("lead_id")["label"].max().sum()),
            weeks=None if window is None else (window[1] - window[0]) / WEEK,
            share=share,
            records=records,
        )

    def new_per_week(self) -> Floats:
        """Return (k,) new MQLs a week at each level. Raises `ConfigurationError` without times."""
        if self.weeks is None:
            raise ConfigurationError(
                "New MQLs a week were asked for, but the data has no times.",
                allowed="value, precision or manual for data without times",
                todo="Choose another cutoff policy.",
            )
        return (self.mqls - self.backlog) / self.weeks / self.share

    def at(self, level: float) -> dict[str, Any]:
        """Return the evidence for any level: what was seen in the window, ready for JSON."""
        # The lowest level of those at or above: between two levels nothing changes.
        place = int(np.searchsorted(-self.levels, -level, side="right")) - 1
        mqls, caught, backlog = (
            (int(of[place]) if place >= 0 else 0) for of in (self.mqls, self.caught, self.backlog)
        )
        return {
            "estimate": proportion(caught, mqls),
            "mqls": mqls,
            "backlog": backlog,
            "mqls_per_week": (
                None if self.weeks is None else float((mqls - backlog) / self.weeks / self.share)
            ),
            "conversions_caught": caught,
            "conversions": self.won,
            "share_caught": caught / self.won if self.won else None,
            "leads": self.leads,
            "weeks": self.weeks,
        }

    def weekly(self, level: float) -> Counts:
        """Return (w,) the new MQLs at a level in each whole week of the window, of the leads counted here."""
        whole = int(self.weeks or 0)
        of = self.records
        new = of[(of["before"] < level) & (of["upto"] >= level) & (of["known"] < level)]
        weeks = new["week"].to_numpy(np.int64)
        return np.bincount(weeks[(weeks >= 0) & (weeks < whole)], minlength=whole)


def net_value(crossings: Crossings, level: float, cost: float, worth: float) -> dict[str, Any]:
    """Return the net value (worth x conversions - cost x MQLs) at a level, the best, and how flat it is."""
    net = worth * crossings.caught - cost * crossings.mqls
    best = int(np.argmax(net))
    flat = None
    if net[best] > 0:
        out = np.flatnonzero(net < FLAT_SHARE * net[best])
        above, below = out[out < best], out[out > best]
        first = above[-1] + 1 if len(above) else 0
        last = below[0] - 1 if len(below) else len(net) - 1
        flat = {"low": float(crossings.levels[last]), "high": float(crossings.levels[first])}
    kept = np.unique(np.linspace(0, len(net) - 1, CURVE_POINTS).round().astype(int))
    here = crossings.at(level)
    return {
        "at_level": float(worth * here["conversions_caught"] - cost * here["mqls"]),
        "best": {"level": float(crossings.levels[best]), "value": float(net[best])},
        "flat": flat,
        "curve": [
            {"level": float(crossings.levels[i]), "mqls": int(crossings.mqls[i]), "value": float(net[i])}
            for i in kept
        ],
    }


def proportion(successes: int, trials: int, confidence: float = CONFIDENCE) -> dict[str, float | None]:
    """Return a share with its exact binomial interval (Clopper and Pearson, 1934)."""
    if not trials:
        return {"value": None, "low": 0.0, "high": 1.0, "confidence": confidence}
    interval = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return {
        "value": successes / trials,
        "low": float(interval.low),
        "high": float(interval.high),
        "confidence": confidence,
    }


def _records(table: pd.DataFrame, start: pd.Timestamp | None, earlier: pd.DataFrame | None) -> pd.DataFrame:
    """Return each lead's snapshots that rise above all its earlier ones.

    A record is the lead's first crossing of every level above `before` up to and including `upto`; of
    these, the levels up to and including `known` had been reached before the window. Without `earlier`
    snapshots that is taken of every lead created before the window, at its first snapshot. ``week``
    counts from the start of the window.
    """
    lead = table["lead_id"]
    upto = table["propensity"]
    before = upto.groupby(lead, sort=False).cummax().groupby(lead, sort=False).shift(fill_value=-np.inf)
    first = np.isneginf(before)
    # A level is no news where the lead had reached it before the window.
    known = pd.Series(-np.inf, index=table.index)
    if earlier is not None:
        known = lead.map(earlier.groupby("lead_id")["propensity"].max()).fillna(-np.inf)
    elif "created_at" in table and start is not None:
        known = known.where(~(first & (table["created_at"] < start)), np.inf)
    week = 0 if start is None else (table["as_of"] - start) // WEEK
    columns = {"before": before, "upto": upto, "label": table["label"], "known": known, "week": week}
    return pd.DataFrame(columns)[upto > before]


def _crossing(records: pd.DataFrame, count: ArrayLike, levels: Floats) -> Counts:
    """Return (k,) the sum of `count` over the records that are a first crossing of each level."""
    counted = np.asarray(count, dtype=np.int64)

    def reaching(bound: pd.Series) -> Counts:
        order = np.argsort(bound.to_numpy())
        rest = np.r_[np.cumsum(counted[order][::-1])[::-1], 0]
        return rest[np.searchsorted(bound.to_numpy()[order], levels, side="left")]

    return reaching(records["upto"]) - reaching(records["before"])


def _window(
    times: pd.Series, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the window's start and end, from the snapshots' days where they are not given."""
    first = times.min().normalize() if start is None else start
    last = times.max().normalize() + pd.Timedelta(days=1) if end is None else end
    if not first < last:
        raise ConfigurationError(
            f"The decision window goes from {first} to {last}.", allowed="end after start"
        )
    return first, last


def _checked(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Return the snapshots in order of lead and time, or say what is wrong with them."""
    missing = [name for name in COLUMNS if name not in snapshots]
    if missing:
        raise DataError(f"The decision window lacks {listed(missing)}.", allowed=listed([*COLUMNS, "as_of"]))
    key = [name for name in ("lead_id", "as_of") if name in snapshots]
    table = snapshots[[*key, "propensity", "label"]]
    empty = int(table.isna().any(axis=1).sum())
    if not len(table) or empty or not table["label"].isin((0, 1)).all():
        raise DataError(
            "The decision window cannot be counted.",
            where=f"{len(table)} snapshots, {empty} of them with a missing value",
            allowed="at least one snapshot, no missing value, labels 0 or 1",
        )
    twice = table.duplicated(key)
    if twice.any():
        raise DataError(
            f"{int(twice.sum())} snapshots of the decision window are there twice.",
            where=f"for example {listed(table.loc[twice, key].iloc[0])}",
            allowed=f"one row for each {' and '.join(key)}",
        )
    if "created_at" in snapshots:
        table = table.assign(created_at=snapshots["created_at"])
    return table.sort_values(key, kind="stable", ignore_index=True)
