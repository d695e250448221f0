"""The four windows: who is trained on, calibrated on, decided on, and left untouched for the test.

With times, the windows follow each other; everything before the test window has matured when it
starts (the embargo). A lead, or an account where people share one, belongs to one of the windows
before the test. Which one is drawn, always the same for the same group, with the shares in which
the schedule of its first lead falls into the windows. The schedule is known when that lead appears,
so the draw cannot depend on how long a lead stayed open or how it ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.errors import UnsupportedData
from models.crossings import BEFORE_DECISION

BUILDING = ("train", "stopping", "calibration", "decision")
WINDOWS = (*BUILDING, "test")
# Shares of a split without times; the test takes the rest.
SHARES = {"train": 0.48, "stopping": 0.08, "calibration": 0.14, "decision": 0.12}
# The age of a snapshot on the scoring calendar.
CALENDAR = "calendar"
NEEDED = {"train": 20, "calibration": 10, "decision": 10, "test": 10}
TEST_SHARE = 0.2
STOPPING_SHARE = 0.15


@dataclass(frozen=True)
class Bounds:
    """Where each window starts; a window ends where the next one starts.

    ``build_until`` is the test window's start less one horizon: the embargo.
    """

    train: pd.Timestamp
    stopping: pd.Timestamp
    calibration: pd.Timestamp
    decision: pd.Timestamp
    build_until: pd.Timestamp
    test: pd.Timestamp
    test_until: pd.Timestamp

    def of(self, moments: pd.Series) -> np.ndarray:
        """Return the window in which each moment lies, "" for the embargo and for what is outside."""
        edges = [self.train, self.stopping, self.calibration, self.decision, self.build_until, self.test]
        names = np.array(["", *BUILDING, "", "test"], dtype=object)
        found = names[np.searchsorted(pd.DatetimeIndex(edges), pd.DatetimeIndex(moments), side="right")]
        # The embargo counts as_of + horizon <= test start, so its first moment is still inside.
        found[(moments == self.build_until).to_numpy()] = "decision"
        found[(moments > self.test_until).to_numpy()] = ""
        return found


def time_bounds(
    as_of: pd.Series,
    horizon: timedelta,
    observed_until: datetime,
    pinned: dict[str, datetime | None],
) -> Bounds:
    """Choose the windows' dates from the moments of all matured snapshots; pinned dates are kept.

    Raises
    ------
    UnsupportedData
        The matured snapshots span too little time for the windows and the embargo.
    """
    last = pd.Timestamp(observed_until) - horizon
    test_until = min(_pin(pinned, "test_until", last), last)
    first = _pin(pinned, "train_from", as_of.min())
    as_of = as_of[(as_of >= first) & (as_of <= test_until)]
    if as_of.empty:
        raise _too_short(first, last, horizon)
    test = _pin(pinned, "test_from", None)
    if test is None:
        test = _test_start(as_of, first, horizon)
    return _built_before(as_of, horizon, Span(first, test, test_until, last), pinned)


def bounds_at(
    as_of: pd.Series,
    horizon: timedelta,
    test: pd.Timestamp,
    test_until: pd.Timestamp,
    train_from: pd.Timestamp | None = None,
) -> Bounds:
    """Choose the windows of a training at `test`, from the moments of snapshots matured by then.

    Raises
    ------
    UnsupportedData
        Too little has matured by then.
    """
    first = as_of.min() if train_from is None else train_from
    known = as_of[(as_of >= first) & (as_of <= test_until)]
    return _built_before(known, horizon, Span(first, test, test_until, test), {})


@dataclass(frozen=True)
class Span:
    """From the first snapshot to the last that has matured, and the test's start and end."""

    first: pd.Timestamp
    test: pd.Timestamp
    test_until: pd.Timestamp
    last: pd.Timestamp


def _built_before(
    as_of: pd.Series, horizon: timedelta, span: Span, pinned: dict[str, datetime | None]
) -> Bounds:
    build_until = span.test - horizon
    inside = as_of[as_of <= build_until]
    if inside.empty or build_until <= span.first:
        raise _too_short(span.first, span.last, horizon)
    calibration = _pin(pinned, "calibration_from", _quantile(inside, 0.6))
    decision = _pin(pinned, "decision_from", _quantile(inside, 0.8))
    before = inside[inside < calibration]
    stopping = calibration if before.empty else _quantile(before, 1 - STOPPING_SHARE)
    bounds = Bounds(span.first, stopping, calibration, decision, build_until, span.test, span.test_until)
    _check_order(bounds)
    return bounds


def _check_order(bounds: Bounds) -> None:
    # The decision window may be one moment: the last that the embargo lets in.
    until = bounds.build_until + pd.Timedelta(1, "us")
    edges = [bounds.train, bounds.stopping, bounds.calibration, bounds.decision, until, bounds.test]
    if all(a < b for a, b in itertools.pairwise(edges)) and bounds.test <= bounds.test_until:
        return
    edges[4:] = [bounds.build_until, bounds.test, bounds.test_until]
    raise UnsupportedData(
        "The windows do not follow each other: "
        + ", ".join(f"{e:%Y-%m-%d}" for e in edges)
        + " (train, its last slice, calibration, decision, its end, test, test's end).",
        allowed="train_from < calibration_from < decision_from <= test_from - horizon, and "
        "test_from <= test_until <= the time to which outcomes are complete - horizon",
        todo='move the dates under [windows], shorten the horizon, or use split = "group"',
    )


def _pin(pinned: dict[str, datetime | None], name: str, otherwise: Any) -> Any:
    given = pinned.get(name)
    return pd.Timestamp(given) if given is not None else otherwise


def _quantile(moments: pd.Series, share: float) -> pd.Timestamp:
    """Return a quantile rounded down to midnight, so that people can read the dates."""
    moment: Any = moments.quantile(share)
    return pd.Timestamp(moment).floor("D")


def _test_start(as_of: pd.Series, first: pd.Timestamp, horizon: timedelta) -> pd.Timestamp:
    """Leave the newest fifth to the test, or less where the embargo would eat most of the rest."""
    for share in (TEST_SHARE, 0.15, 0.1):
        start = _quantile(as_of, 1 - share)
        if (as_of <= start - horizon).mean() >= 0.4:
            return start
    raise _too_short(first, as_of.max(), horizon)


def _too_short(first: pd.Timestamp, last: pd.Timestamp, horizon: timedelta) -> UnsupportedData:
    days = 0 if pd.isna(first) else max((last - first).days, 0)
    return UnsupportedData(
        f"The matured snapshots span {days} days, too few for windows in time order: "
        f"the embargo alone takes {horizon.days} days before the test window.",
        allowed=f"about {5 * max(horizon.days, 1)} days or more with a horizon of {horizon.days} days",
        todo='shorten the horizon, export a longer history, or use [windows] split = "group"',
    )


def drawn(schedules: pd.DataFrame, bounds: Bounds) -> pd.Series:
    """Return the window before the test to which each group belongs; index group_id.

    Parameters
    ----------
    schedules
        group_id and as_of: all moments scheduled for the first lead of each group, open or not.
    """
    scheduled = schedules.assign(window=bounds.of(schedules["as_of"]))
    scheduled = scheduled[scheduled["window"].isin(BUILDING)].sort_values(["group_id", "as_of"])
    # Drawing one of the scheduled moments draws its window in the right share.
    by_group = scheduled.groupby("group_id", sort=False)
    rank, count = by_group.cumcount(), by_group["window"].transform("size")
    chosen = scheduled[rank == np.floor(draw(scheduled["group_id"]) * count).astype(int)]
    return chosen.set_index("group_id")["window"]


def assign_by_time(keys: pd.DataFrame, bounds: Bounds, window_of: pd.Series) -> np.ndarray:
    """Return each snapshot's window among those before the test, or "" where it is not used.

    Parameters
    ----------
    keys
        group_id, as_of and age of each matured snapshot taken while its lead was open. Those on the
        scoring calendar decide, all others build.
    bounds
        The windows.
    window_of
        The window of each group, from `drawn`.
    """
    own = bounds.of(keys["as_of"])
    assigned = keys["group_id"].map(window_of).to_numpy()
    calendar = (keys["age"] == CALENDAR).to_numpy()
    used = np.where((own == assigned) & (calendar == (assigned == "decision")), own, "")
    # Which levels the decision window's leads had reached before it is part of deciding on them.
    before = (keys["as_of"] < bounds.decision).to_numpy()
    used[calendar & (assigned == "decision") & before] = BEFORE_DECISION
    return used


def assign_by_group(groups: pd.Series, *, ship: bool = False) -> np.ndarray:
    """Return the window of each group, drawn by its name in fixed shares; to `ship`, none is the test."""
    return _by_share(draw(groups), ship)


def assign_by_position(position: pd.Series, groups: pd.Series, *, ship: bool = False) -> np.ndarray:
    """Return windows by row order; a group belongs to the window of its first row, elsewhere ""."""
    share = position.rank(method="first", pct=True).to_numpy() - 1 / (2 * len(position))
    own = pd.Series(_by_share(share, ship), index=position.index)
    first_row = position.groupby(groups.to_numpy()).transform("idxmin")
    home = own.loc[first_row].to_numpy()
    # A group seen again in the test window is scored there, as in production.
    return np.where((own.to_numpy() == home) | (own.to_numpy() == "test"), own.to_numpy(), "")


def _by_share(share: np.ndarray, ship: bool) -> np.ndarray:
    edges = np.cumsum(list(SHARES.values()))
    if ship:  # the same shares among each other, of everything
        edges = np.append(edges[:-1] / edges[-1], 1.0)
    return np.array(WINDOWS, dtype=object)[np.searchsorted(edges, share, side="right")]


def draw(names: Sequence[str] | pd.Series) -> np.ndarray:
    """Return for each name a number in [0, 1) that is spread evenly and never changes."""
    hashed = pd.util.hash_array(np.asarray(names, dtype=object), hash_key="propense-windows")
    # A float holds 53 bits: all 64 would round the largest up to 1.
    return (hashed >> np.uint64(11)) / 2.0**53


def summarise(keys: pd.DataFrame, windows: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return from, to, leads, snapshots and won (leads with a win) of each window.

    ``train`` includes its last slice, which stops the boosting.
    """
    summary = {}
    for name in ("train", "calibration", "decision", "test"):
        rows = keys[np.isin(windows, ("train", "stopping") if name == "train" else (name,))]
        summary[name] = {
            "from": _stamp(rows["as_of"].min()),
            "to": _stamp(rows["as_of"].max()),
            "leads": int(rows["lead_id"].nunique()),
            "snapshots": len(rows),
            "won": int(rows.loc[rows["label"] == 1, "lead_id"].nunique()),
        }
    return summary


def _stamp(moment: pd.Timestamp) -> str | None:
    return None if pd.isna(moment) else f"{moment.isoformat()}Z"


def check_enough(summary: dict[str, dict[str, Any]], *, ship: bool = False) -> None:
    """Refuse windows in which there are too few wins, or nothing but wins; to `ship`, there is no test.

    Raises
    ------
    UnsupportedData
        Says how many there are and how many are needed, window by window.
    """
    total = sum(int(w["leads"]) for w in summary.values())
    wins = sum(int(w["won"]) for w in summary.values())
    if total and wins in (0, total):
        raise UnsupportedData(
            f"The outcome has one class only: {wins:,} of {total:,} leads won.",
            allowed="leads that won and leads that did not",
            todo="check [outcomes] (or the label) in the configuration, and that wins were exported",
        )
    short = [
        f"{name}: {min(int(summary[name]['won']), _others(summary[name]))} of {needed} needed"
        for name, needed in NEEDED.items()
        if not (ship and name == "test") and min(int(summary[name]["won"]), _others(summary[name])) < needed
    ]
    if short:
        raise UnsupportedData(
            f"Too few leads that won (or too few that did not) in the windows: {'; '.join(short)}.",
            where=", ".join(f"{n}: {w['won']:,} won of {w['leads']:,}" for n, w in summary.items()),
            todo="give a longer history, a longer horizon or move the dates under [windows]; "
            "`propense check` shows how long wins take",
        )


def _others(window: dict[str, Any]) -> int:
    return int(window["leads"]) - int(window["won"])
