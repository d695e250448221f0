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
from pipeline.config import Config
from pipeline.source.columns import local, utc
from pipeline.source.dataset import Dataset
from pipeline.windows import (
    Bounds,
    assign_by_group,
    assign_by_position,
    assign_by_time,
    summarise,
    time_bounds,
)


@dataclass(frozen=True)
class Prepared:
    """Labelled snapshots in their windows.

    ``snapshots`` is the canonical table (snapshot, lead_id, as_of, as_of_local) of those used;
    ``keys`` the same in memory with group_id, age, opened_at, label and window. The window is
    "train", "stopping", "calibration", "decision", "test" (leads open on the scoring calendar) or
    "test_by_age" (the same time seen at the configured ages). ``decision_time_snapshots`` counts
    the snapshots of all leads in the decision window's time, whichever window their lead belongs to.
    """

    snapshots: ir.Table
    keys: pd.DataFrame
    bounds: Bounds | None
    split: str
    decision_time_snapshots: int = 0

    def rows(self, *windows: str) -> pd.DataFrame:
        """Return the keys of some windows."""
        return self.keys[self.keys["window"].isin(windows)]

    @property
    def summary(self) -> dict[str, dict[str, Any]]:
        """Return from, to, leads, snapshots and won of each window."""
        return summarise(self.keys, self.keys["window"].to_numpy())


def prepare(dataset: Dataset) -> Prepared:
    """Make the snapshots of all windows.

    Raises
    ------
    UnsupportedData
        The history is too short for windows in time order.
    """
    if dataset.labels is not None:
        return _flat(dataset)
    spans = snap.episodes(dataset)
    if dataset.config.split == "group":
        return _by_group(dataset, spans)
    return _by_time(dataset, spans)


def building_snapshots(dataset: Dataset, spans: ir.Table) -> ir.Table:
    """Return every scheduled snapshot, at the configured ages or dates, whether or not still open."""
    config = dataset.config.snapshots
    if config.calendar:
        return snap.at_dates(
            dataset, spans, [utc(d, dataset.config.project.timezone) for d in config.calendar]
        )
    return snap.at_ages(dataset, spans, config.ages)


def _by_time(dataset: Dataset, spans: ir.Table) -> Prepared:
    seen = snap.matured(dataset, snap.while_open(dataset, building_snapshots(dataset, spans)))
    seen = dataset.engine.keep("building", seen)
    moments = seen.as_of.execute()
    bounds = bounds_of(dataset, moments)
    if dataset.config.snapshots.calendar:
        # From the test window on, the scoring calendar takes the place of the configured dates.
        seen = seen.filter(_.as_of < ibis.literal(bounds.test.to_pydatetime(), "timestamp(6)"))
    calendar = snap.at_dates(dataset, spans, calendar_dates(bounds, dataset.config))
    tested = snap.matured(dataset, snap.while_open(dataset, calendar))
    both = ibis.union(seen, tested.select(*seen.columns))
    numbered = snap.numbered(dataset, both)
    keys = snap.keys(numbered)
    keys["window"] = ""
    aged = keys["age"] != "calendar" if not dataset.config.snapshots.calendar else _first_part(keys, bounds)
    keys.loc[aged, "window"] = assign_by_time(keys[aged], bounds, first_schedules(dataset))
    in_test = bounds.of(keys["as_of"]) == "test"
    keys.loc[in_test & aged, "window"] = "test_by_age"
    keys.loc[in_test & ~aged, "window"] = "test"
    decision_time = int((bounds.of(keys.loc[aged, "as_of"]) == "decision").sum())
    return replace(_used(dataset, numbered, keys, bounds), decision_time_snapshots=decision_time)


def _first_part(keys: pd.DataFrame, bounds: Bounds) -> pd.Series:
    """With dates instead of ages, all that lies before the test window is for building."""
    return keys["as_of"] < bounds.test


def bounds_of(dataset: Dataset, moments: pd.Series) -> Bounds:
    """Return the windows' dates, pinned or derived from the moments of matured snapshots."""
    assert dataset.observed_until is not None, "only a flat table has no times"
    config = dataset.config
    names = ("train_from", "calibration_from", "decision_from", "test_from", "test_until")
    pinned = {n: getattr(config.windows, n) for n in names}
    pinned = {n: utc(d, config.project.timezone) if d is not None else None for n, d in pinned.items()}
    return time_bounds(moments, config.snapshots.horizon, dataset.observed_until, pinned)


def calendar_dates(bounds: Bounds, config: Config) -> list[datetime]:
    """Return the dates of the test window on which all open leads are scored."""
    step = pd.Timedelta(config.snapshots.scoring_every)
    return list(pd.date_range(bounds.test, bounds.test_until, freq=step).to_pydatetime())


def first_schedules(dataset: Dataset) -> pd.DataFrame:
    """Return group_id and as_of of all moments scheduled for each group's first lead."""
    scheduled = building_snapshots(dataset, snap.first_lives(dataset))
    return scheduled.select("group_id", "as_of").to_pandas()


def _by_group(dataset: Dataset, spans: ir.Table) -> Prepared:
    seen = snap.while_open(dataset, building_snapshots(dataset, spans))
    numbered = snap.numbered(dataset, snap.matured(dataset, seen))
    keys = snap.keys(numbered)
    keys["window"] = assign_by_group(keys["group_id"])
    return _used(dataset, numbered, keys, None)


def _flat(dataset: Dataset) -> Prepared:
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
        keys["window"] = assign_by_position(position.loc[keys.index], keys["group_id"])
    else:
        keys["window"] = assign_by_group(keys["group_id"])
    return _used(dataset, numbered, keys, None)


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
