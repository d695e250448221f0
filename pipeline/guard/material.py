"""What the guard looks at: values at training snapshots, and the undecided leads of past days and of now.

Label statistics use the training part alone. Where values come from is told by times, which need no
label: so the *looks* below take all leads, but whether a lead was won is only known there for
those of the training part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from numpy.typing import NDArray

from features.past import attribute_column
from features.tables import Attribute
from models.separation import folds_of
from pipeline import featuring
from pipeline.preparation import Prepared
from pipeline.snapshots import group_of
from pipeline.source.dataset import Dataset

Ints = NDArray[np.int64]

TRAINING = ("train", "stopping")
# More leads or snapshots say nothing new about a column, and would only take time.
MOST_LEADS = 40_000
MOST_SNAPSHOTS = 20_000
# Undecided leads are compared within bands of age (days): one open for a year is another kind of lead.
AGE_BANDS = (1.0, 3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 240.0, 480.0)
PAST_DAYS = 6
SLOW_WINS = 0.9
SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Training:
    """Snapshots of the training part: one row each, in the order of ``keys``.

    ``once`` marks each lead's first snapshot, for counts of leads; ``fold`` splits by group.
    """

    keys: pd.DataFrame
    attributes: pd.DataFrame
    kinds: pd.DataFrame
    fold: Ints
    once: NDArray[np.bool_]

    @property
    def won(self) -> NDArray[np.int64]:
        """The label (n,)."""
        return self.keys["label"].to_numpy(np.int64)


@dataclass(frozen=True)
class Looks:
    """Undecided leads, looked at on several past days and on the last one, which is now.

    One row is one lead on one day: ``lead`` is its position in the lead table, ``day`` 0, 1, ... with
    ``now`` the last; ``band`` is the band of its age; ``group`` its account or itself. ``known`` marks
    past rows of training leads, of which ``won`` says whether the lead was won in the end.
    """

    lead: Ints
    day: Ints
    now: int
    band: Ints
    group: Ints
    known: NDArray[np.bool_]
    won: NDArray[np.bool_]

    @property
    def is_now(self) -> NDArray[np.bool_]:
        """Which rows are of now."""
        return self.day == self.now


@dataclass(frozen=True)
class Material:
    """Everything that the tests of the guard read.

    ``leads`` has one row a lead: lead_id, group_id, created_at, closed_at, closed_from, outcomes (how
    many), won (whether ever), training (whether it is of the training part), position (of a flat
    table in order), and ``attribute.<name>`` for every attribute without history.
    """

    dataset: Dataset
    prepared: Prepared
    leads: pd.DataFrame
    training: Training
    days: tuple[pd.Timestamp, ...]

    @property
    def timed(self) -> bool:
        """Whether there are times."""
        return self.dataset.outcomes is not None

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """All attributes."""
        return self.dataset.tables.attributes

    @cached_property
    def looks(self) -> Looks | None:
        """The undecided leads of past days and of now, or None where nobody is undecided now."""
        return _timed_looks(self.leads, self.days) if self.timed else _flat_looks(self.leads)

    @property
    def born_and_decided(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """When each lead was created (or its place in the table), and whether its outcome is known."""
        if not self.timed:
            return self.leads["position"].to_numpy(float), ~self.leads["open"].to_numpy(bool)
        created = self.leads["created_at"].to_numpy("datetime64[us]").astype(np.float64)
        return created, self.leads["closed_at"].notna().to_numpy()

    @cached_property
    def kind_counts(self) -> dict[str, pd.DataFrame]:
        """For each kind its count a lead known before each of `days`: (leads with any, days)."""
        return _kind_counts(self.dataset, self.leads, self.days)


def gather(dataset: Dataset, prepared: Prepared) -> Material:
    """Read what the guard needs, a sample where there is more than it needs."""
    leads = _timed_leads(dataset) if dataset.outcomes is not None else _flat_leads(dataset)
    leads["training"] = leads["lead_id"].isin(prepared.rows(*TRAINING)["lead_id"])
    leads = _sampled(leads, "group_id", MOST_LEADS)
    return Material(dataset, prepared, leads, _training(dataset, prepared), _days(dataset, leads))


def _sampled(rows: pd.DataFrame, group: str, most: int) -> pd.DataFrame:
    """Return the rows of a share of the groups, always the same ones."""
    if len(rows) <= most:
        return rows
    return rows[folds_of(rows[group], 1000) < 1000 * most / len(rows)]


def _own_values(dataset: Dataset) -> dict[str, str]:
    return {attribute_column(a.name): a.name for a in dataset.tables.attributes if not a.checked}


def _timed_leads(dataset: Dataset) -> pd.DataFrame:
    assert dataset.outcomes is not None, "data with times has outcomes"
    ended = dataset.outcomes.group_by("lead_id").agg(
        closed_at=_.closed_at.min(),
        closed_from=_.closed_from.min(),
        outcomes=_.count(),
        won=(_.outcome == "won").any(),
    )
    leads = dataset.tables.leads.filter(_.created_at.notnull())
    joined = leads.left_join(ended, "lead_id")
    found = joined.select(
        "lead_id", "created_at", "closed_at", "closed_from", "customer_since",
        group_id=group_of(joined), outcomes=_.outcomes.fill_null(0), won=_.won.fill_null(False),
        **_own_values(dataset),
    )  # fmt: skip
    return found.order_by("lead_id").to_pandas()


def _flat_leads(dataset: Dataset) -> pd.DataFrame:
    assert dataset.labels is not None, "a flat table has labels"
    joined = dataset.labels.inner_join(dataset.tables.leads, "lead_id")
    found = joined.filter(_.label.notnull() | _.open).select(
        "lead_id", "position", "open",
        group_id=group_of(joined), won=_.label == 1, **_own_values(dataset),
    )  # fmt: skip
    table = found.order_by("position").to_pandas()
    table["won"] = table["won"].fillna(False).astype(bool)
    return table


def _training(dataset: Dataset, prepared: Prepared) -> Training:
    keys = _sampled(prepared.rows(*TRAINING), "group_id", MOST_SNAPSHOTS)
    chosen = featuring.select(dataset, prepared.snapshots, keys.index.to_list())
    past = featuring.past_of(dataset, chosen, featuring.settings(dataset.config))
    columns = [attribute_column(a.name) for a in dataset.tables.attributes]
    attributes = past.attributes.select("snapshot", *columns).to_pandas().set_index("snapshot")
    counts = past.activities.group_by(["snapshot", "kind"]).agg(n=_.count()).to_pandas()
    kinds = counts.pivot(index="snapshot", columns="kind", values="n").reindex(keys.index).fillna(0.0)
    order = keys.reset_index().sort_values(["lead_id", "as_of"])["snapshot"]
    once = ~keys.loc[order, "lead_id"].duplicated().reindex(keys.index).to_numpy()
    return Training(keys, attributes.reindex(keys.index), kinds, folds_of(keys["group_id"]), once)


def _days(dataset: Dataset, leads: pd.DataFrame) -> tuple[pd.Timestamp, ...]:
    """Return the past days on which undecided leads are looked at, and now.

    The last past day lies two horizons back, or as long as most wins take, where the history allows
    it: by now most leads that were undecided then are decided, so what was filled in since shows.
    """
    if dataset.observed_until is None or not len(leads):
        return ()
    until, horizon = pd.Timestamp(dataset.observed_until), pd.Timedelta(dataset.config.snapshots.horizon)
    start = leads["created_at"].min()
    won = leads[leads["won"] & leads["training"]]
    slow = (won["closed_at"] - won["created_at"]).quantile(SLOW_WINS) if len(won) else horizon
    lag = max(horizon, min(max(2 * horizon, slow), (until - start) / 3))
    span = until - lag - start
    if span <= pd.Timedelta(0):
        return ()
    past = [start + span * (place + 1) / PAST_DAYS for place in range(PAST_DAYS)]
    return (*past, until)


def _timed_looks(leads: pd.DataFrame, days: Sequence[pd.Timestamp]) -> Looks | None:
    parts = []
    for day, at in enumerate(days):
        # "Before or at" the close: at that moment the outcome is not yet known (see snapshots).
        undecided = (leads["created_at"] < at) & ~(leads["closed_at"] < at)
        undecided &= ~(leads["customer_since"] < at)
        rows = np.flatnonzero(undecided)
        age = (at - leads["created_at"].iloc[rows]).dt.total_seconds() / SECONDS_A_DAY
        parts.append((rows, np.full(len(rows), day), np.searchsorted(AGE_BANDS, age)))
    return _looks(leads, parts, len(days) - 1)


def _flat_looks(leads: pd.DataFrame) -> Looks | None:
    if "open" not in leads or not leads["open"].any():
        return None
    labelled, waiting = np.flatnonzero(~leads["open"]), np.flatnonzero(leads["open"])
    # Rows are in order of position: slices of it stand for earlier and later.
    slices = np.arange(len(labelled)) * PAST_DAYS // max(len(labelled), 1)
    parts = [(labelled, slices, np.zeros(len(labelled), int))]
    parts.append((waiting, np.full(len(waiting), PAST_DAYS), np.zeros(len(waiting), int)))
    return _looks(leads, parts, PAST_DAYS)


def _looks(leads: pd.DataFrame, parts: list[tuple[Any, Any, Any]], now: int) -> Looks | None:
    if not parts:
        return None
    lead, day, band = (np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True))
    if not (day == now).any() or not (day < now).any():
        return None
    group = pd.factorize(leads["group_id"])[0].astype(np.int64)[lead]
    known = leads["training"].to_numpy(bool)[lead] & (day < now)
    return Looks(lead, day, now, band, group, known, leads["won"].to_numpy(bool)[lead] & known)


def _kind_counts(
    dataset: Dataset, leads: pd.DataFrame, days: Sequence[pd.Timestamp]
) -> dict[str, pd.DataFrame]:
    if not days:
        return {}
    wanted = ibis.memtable(pd.DataFrame({"lead_id": leads["lead_id"], "lead": np.arange(len(leads))}))
    activities = dataset.tables.activities.inner_join(wanted, "lead_id")
    counts = activities.group_by(["kind", "lead"]).agg(**_known_before(activities, days)).to_pandas()
    return {str(kind): rows.drop(columns="kind").set_index("lead") for kind, rows in counts.groupby("kind")}


def _known_before(activities: ir.Table, days: Sequence[pd.Timestamp]) -> dict[str, ir.Value]:
    return {
        f"day {i}": (activities.known_at < ibis.literal(day.to_pydatetime(), "timestamp(6)")).sum()
        for i, day in enumerate(days)
    }
