"""From a dataset to labelled snapshots, each in its window: what training and ``check`` start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from pipeline import snapshots as snap
from pipeline.source.columns import local, utc
from pipeline.source.dataset import Dataset
from pipeline.windows import (
    CALENDAR,
    Bounds,
    assign_by_group,
    assign_by_position,
    assign_by_time,
    bounds_at,
    drawn,
    summarise,
    time_bounds,
)

# The age of a snapshot on a configured date.
DATE = "date"


@dataclass(frozen=True)
class Prepared:
    """Labelled snapshots in their windows.

    ``snapshots`` is the canonical table (snapshot, lead_id, as_of, as_of_local) of those used;
    ``keys`` the same in memory with group_id, age, opened_at, label and window. The window is
    "train", "stopping" or "calibration" (leads at the configured ages), "decision" and "test" (leads
    open on the scoring calendar, as they are operated), "before_decision" (the decision window's
    leads on the calendar before it) or "test_by_age" (the test's time at the configured ages).

    ``decision_share`` is the share of all leads of the decision window's time that its snapshots
    stand for. ``wins`` (lead_id, group_id, won_at) are those of the decision window's leads within its
    time, seen before or not, and ``test_wins`` those of all leads in the test window's; None without times.
    """

    snapshots: ir.Table
    keys: pd.DataFrame
    bounds: Bounds | None
    split: str
    decision_share: float = 1.0
    wins: pd.DataFrame | None = None
    test_wins: pd.DataFrame | None = None

    def rows(self, *windows: str) -> pd.DataFrame:
        """Return the keys of some windows."""
        return self.keys[self.keys["window"].isin(windows)]

    @property
    def summary(self) -> dict[str, dict[str, Any]]:
        """Return from, to, leads, snapshots and won of each window."""
        return summarise(self.keys, self.keys["window"].to_numpy())


@dataclass(frozen=True)
class Timeline:
    """All matured snapshots of a project, before they belong to a window.

    ``snapshots`` (snapshot, lead_id, as_of, as_of_local) and ``keys`` (lead_id, group_id, as_of, age,
    opened_at, label; index snapshot) hold leads at the configured ages (or dates, whose age is "date")
    and, with the age "calendar", on the scoring calendar. ``schedules`` (group_id, as_of) are all
    moments scheduled for each group's first lead; ``wins`` (lead_id, group_id, won_at) all wins.
    """

    snapshots: ir.Table
    keys: pd.DataFrame
    schedules: pd.DataFrame
    wins: pd.DataFrame


def prepare(dataset: Dataset, *, ship: bool = False, bounds: Bounds | None = None) -> Prepared:
    """Make the snapshots of all windows; to `ship`, with the windows moved up to now and no test.

    With `bounds` the windows are those of another preparation, to be compared with it.

    Raises
    ------
    UnsupportedData
        The history is too short for windows in time order.
    """
    if dataset.labels is not None:
        return _flat(dataset, ship)
    spans = snap.episodes(dataset)
    if dataset.config.split == "group":
        return _by_group(dataset, spans, ship)
    aged = _aged(dataset, spans)
    if bounds is None:
        bounds = bounds_of(dataset, aged.as_of.execute(), ship=ship)
    return placed(dataset, _timeline(dataset, spans, aged, bounds.test, bounds), bounds)


def timeline(dataset: Dataset, anchor: pd.Timestamp | None = None) -> Timeline:
    """Return all matured snapshots, with the whole scoring calendar through `anchor`.

    Without an `anchor` it is the start of the test window that a training would have.
    """
    spans = snap.episodes(dataset)
    aged = _aged(dataset, spans)
    if anchor is None:
        anchor = bounds_of(dataset, aged.as_of.execute()).test
    return _timeline(dataset, spans, aged, anchor, None)


def building_snapshots(dataset: Dataset, spans: ir.Table) -> ir.Table:
    """Return every scheduled snapshot, at the configured ages or dates, whether or not still open."""
    config = dataset.config.snapshots
    if config.calendar:
        dates = [utc(d, dataset.config.project.timezone) for d in config.calendar]
        return snap.at_dates(dataset, spans, dates).mutate(age=ibis.literal(DATE))
    return snap.at_ages(dataset, spans, config.ages)


def _aged(dataset: Dataset, spans: ir.Table) -> ir.Table:
    seen = snap.matured(dataset, snap.while_open(dataset, building_snapshots(dataset, spans)))
    return dataset.engine.keep("building", seen)


def _timeline(
    dataset: Dataset, spans: ir.Table, aged: ir.Table, anchor: pd.Timestamp, bounds: Bounds | None
) -> Timeline:
    """Return the timeline; with `bounds`, only as much of the calendar as these windows need."""
    scheduled = building_snapshots(dataset, snap.first_lives(dataset))
    schedules = scheduled.select("group_id", "as_of").to_pandas()
    dates = _calendar_dates(dataset, spans, anchor)
    calendar = snap.at_dates(dataset, spans, dates)
    if bounds is not None:
        calendar = _needed(calendar, bounds, drawn(schedules, bounds))
    seen = snap.matured(dataset, snap.while_open(dataset, calendar))
    numbered = snap.numbered(dataset, ibis.union(aged, seen.select(*aged.columns)))
    canonical = numbered.select("snapshot", "lead_id", "as_of", "as_of_local")
    won = spans.filter(_.won_at.notnull()).select("lead_id", "group_id", "won_at").distinct()
    return Timeline(canonical, snap.keys(numbered), schedules, won.to_pandas())


def _needed(calendar: ir.Table, bounds: Bounds, window_of: pd.Series) -> ir.Table:
    """Keep the decision and the test window's time, and what the decision window's leads did before."""
    groups = ibis.memtable(pd.DataFrame({"group_id": window_of.index[window_of == "decision"]}))
    decision, until, test = (
        ibis.literal(moment.to_pydatetime(), "timestamp(6)")
        for moment in (bounds.decision, bounds.build_until, bounds.test)
    )
    earlier = calendar.filter(_.as_of < decision).semi_join(groups, "group_id")
    later = calendar.filter(((_.as_of >= decision) & (_.as_of <= until)) | (_.as_of >= test))
    return ibis.union(earlier, later)


def _calendar_dates(dataset: Dataset, spans: ir.Table, anchor: pd.Timestamp) -> list[datetime]:
    """Return the dates of the scoring calendar from the first lead to the last matured snapshot."""
    assert dataset.observed_until is not None, "only a flat table has no times"
    config = dataset.config.snapshots
    step = pd.Timedelta(config.scoring_every)
    first = pd.Timestamp(spans.opened_at.min().execute())
    last = pd.Timestamp(dataset.observed_until) - config.horizon
    start = anchor - step * ((anchor - first) // step)
    return list(pd.date_range(start, max(last, start), freq=step).to_pydatetime())


def placed(dataset: Dataset, seen: Timeline, bounds: Bounds) -> Prepared:
    """Give every snapshot of a timeline its window, and keep those that have one."""
    keys = seen.keys.copy()
    window_of = drawn(seen.schedules, bounds)
    keys["window"] = assign_by_time(keys, bounds, window_of)
    calendar, dated = keys["age"] == CALENDAR, keys["age"] == DATE
    own = bounds.of(keys["as_of"])
    keys.loc[(own == "test") & calendar, "window"] = "test"
    # From the test window on, the scoring calendar takes the place of the configured dates.
    keys.loc[(own == "test") & ~calendar & ~dated, "window"] = "test_by_age"
    in_time = calendar & (own == "decision")
    share = float((in_time & (keys["window"] == "decision")).sum() / max(in_time.sum(), 1))
    found = _used(dataset, seen.snapshots, keys, bounds)
    wins = seen.wins
    drawn_there = wins["group_id"].map(window_of) == "decision"
    decided = wins[drawn_there & wins["won_at"].between(bounds.decision, bounds.build_until)]
    tested = wins[wins["won_at"].between(bounds.test, bounds.test_until)]
    return replace(found, decision_share=share or 1.0, wins=decided, test_wins=tested)


def bounds_of(dataset: Dataset, moments: pd.Series, *, ship: bool = False) -> Bounds:
    """Return the windows' dates, pinned or derived from the moments of matured snapshots."""
    assert dataset.observed_until is not None, "only a flat table has no times"
    config = dataset.config
    horizon = config.snapshots.horizon
    if ship:  # dates pinned for a test say nothing of a training without one
        now, first = pd.Timestamp(dataset.observed_until), config.windows.train_from
        start = None if first is None else pd.Timestamp(utc(first, config.project.timezone))
        return bounds_at(moments, horizon, now, now, start)
    names = ("train_from", "calibration_from", "decision_from", "test_from", "test_until")
    pinned = {n: getattr(config.windows, n) for n in names}
    pinned = {n: utc(d, config.project.timezone) if d is not None else None for n, d in pinned.items()}
    return time_bounds(moments, horizon, dataset.observed_until, pinned)


def _by_group(dataset: Dataset, spans: ir.Table, ship: bool) -> Prepared:
    seen = snap.while_open(dataset, building_snapshots(dataset, spans))
    numbered = snap.numbered(dataset, snap.matured(dataset, seen))
    keys = snap.keys(numbered)
    keys["window"] = assign_by_group(keys["group_id"], ship=ship)
    return _shared(_used(dataset, numbered, keys, None))


def _flat(dataset: Dataset, ship: bool) -> Prepared:
    assert dataset.labels is not None, "a flat table has labels"
    labels = dataset.labels.filter(_.label.notnull())
    leads = dataset.tables.leads.select("lead_id", "account_id")
    never = ibis.null("timestamp(6)")
    joined = labels.inner_join(leads, "lead_id")
    seen = joined.select(
        "lead_id",
        "label",
        "position",
        group_id=snap.group_of(joined),
        as_of=never,
        opened_at=never,
        age=ibis.literal("row"),
    )
    numbered = snap.numbered(dataset, seen)
    keys = snap.keys(numbered)
    if dataset.config.split == "row":
        position = numbered.select("snapshot", "position").to_pandas().set_index("snapshot")["position"]
        keys["window"] = assign_by_position(position.loc[keys.index], keys["group_id"], ship=ship)
    else:
        keys["window"] = assign_by_group(keys["group_id"], ship=ship)
    return _shared(_used(dataset, numbered, keys, None))


def _shared(prepared: Prepared) -> Prepared:
    """Say which share of all leads the decision window holds where it has no time of its own."""
    everyone = prepared.rows("train", "stopping", "calibration", "decision", "test")
    return replace(prepared, decision_share=len(prepared.rows("decision")) / max(len(everyone), 1))


def _used(dataset: Dataset, numbered: ir.Table, keys: pd.DataFrame, bounds: Bounds | None) -> Prepared:
    """Keep the snapshots that have a window."""
    keys = keys[keys["window"] != ""]
    used = ibis.memtable(pd.DataFrame({"snapshot": keys.index.to_numpy(np.int64)}))
    canonical = numbered.semi_join(used, "snapshot").select("snapshot", "lead_id", "as_of", "as_of_local")
    return Prepared(dataset.engine.keep("used", canonical), keys, bounds, dataset.config.split)


def at_moment(dataset: Dataset, as_of: datetime) -> tuple[ir.Table, pd.DataFrame]:
    """Return the snapshots of all leads open at `as_of`, and their keys with ``handed_over``.

    Leads that sales had taken over are open but past the decision; they are marked, so that the
    caller can leave them out and say so.
    """
    if dataset.config.flat:
        return _flat_open(dataset, as_of)
    seen = snap.at_dates(dataset, snap.episodes(dataset, for_scoring=True), [as_of])
    is_open = snap.while_open(dataset, seen, for_scoring=True)
    handed = (_.handed_at.notnull() & (_.handed_at < _.as_of)).fill_null(False)
    numbered = snap.numbered(dataset, is_open.mutate(handed_over=handed))
    return _canonical(numbered)


def _flat_open(dataset: Dataset, as_of: datetime) -> tuple[ir.Table, pd.DataFrame]:
    leads = dataset.tables.leads.select("lead_id")
    if dataset.labels is not None:
        leads = leads.semi_join(dataset.labels.filter(_.open), "lead_id")
    seen = leads.mutate(as_of=ibis.literal(as_of, "timestamp(6)"), handed_over=ibis.literal(False))
    numbered = seen.mutate(
        snapshot=ibis.row_number().over(ibis.window(order_by="lead_id")).cast("int64"),
        as_of_local=local(seen.as_of, dataset.config.project.timezone),
    )
    return _canonical(dataset.engine.keep("snapshots", numbered))


def _canonical(numbered: ir.Table) -> tuple[ir.Table, pd.DataFrame]:
    columns = ["snapshot", "lead_id", "as_of", "handed_over"]
    keys = numbered.select(*columns).order_by("snapshot").to_pandas().set_index("snapshot")
    return numbered.select("snapshot", "lead_id", "as_of", "as_of_local"), keys
