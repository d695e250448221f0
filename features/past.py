"""The one place that filters time: what was known of each lead strictly before its snapshot.

A `Past` keeps no canonical table. What it hands out has been cut at ``known_at < as_of`` and has
ages in place of dates, so feature code has no way to ask what happened later.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir

from features.tables import Tables

MICROSECONDS = 1_000_000
SECONDS_A_DAY = 86_400
SATURDAY = 5

# Two activities at the same instant need an order that does not depend on how an engine stores
# them. Rows alike in all of these columns are interchangeable for every feature.
TIE_BREAKERS = ("kind", "actor", "asset", "channel", "value")


def attribute_column(name: str) -> str:
    """Return the column of `Past.attributes` that holds the attribute called `name`."""
    return f"attribute.{name}"


class Past:
    """What was known of each snapshot's lead strictly before the snapshot's `as_of`.

    Parameters
    ----------
    tables
        The canonical tables.
    snapshots
        Columns snapshot (int64, unique), lead_id, as_of, as_of_local; one row a snapshot.
    session_gap_minutes
        A pause longer than this between two activities starts a new session.

    Attributes
    ----------
    activities
        One row for each snapshot and each activity known before it: snapshot, kind, actor, asset,
        channel, value, age (seconds before as_of), day (whole local calendar days before as_of's),
        hour (0-23) and weekday (Monday is 0) on the local clock, order (0 is the earliest), gap
        (seconds since the activity before, null for the first), session (1, 2, ...), and the flags
        new_day, new_session, new_asset, new_channel (1 on the first row of each, else 0).
    attributes
        One row a snapshot: snapshot, lead_age (seconds since the lead was created, null if that is
        not in the past), email_domain, and ``attribute.<name>`` for every attribute.
    owners
        Snapshot and lead_id: whose snapshot it is, for counting leads rather than snapshots.
    declared
        The attributes that there are, with their types.
    """

    __slots__ = ("activities", "attributes", "declared", "owners")

    def __init__(self, tables: Tables, snapshots: ir.Table, session_gap_minutes: float = 30) -> None:
        seen = _known_activities(tables.activities, snapshots)
        self.activities = _first_of_each(_in_sequence(seen, session_gap_minutes))
        self.attributes = _attributes(tables, snapshots)
        self.owners = snapshots.select("snapshot", "lead_id")
        self.declared = tables.attributes

    def pooled(self, kinds: Sequence[str]) -> ir.Table:
        """Return `activities` with kinds numbered, and flags that hold within one kind.

        The kind of each row becomes its position in `kinds`, or ``len(kinds)`` for all others
        together. Added are new_kind, kind_gap (seconds since the last of this kind), kind_new_day,
        kind_new_session, kind_new_asset and kind_new_channel.
        """
        rows = self.activities.mutate(kind=_position(self.activities.kind, kinds))
        sequence = ibis.window(group_by=["snapshot", "kind"], order_by="order")
        rows = rows.mutate(
            new_kind=_flag(rows.age.lag().over(sequence).isnull()),
            kind_gap=rows.age.lag().over(sequence) - rows.age,
            kind_new_session=_flag(~rows.session.lag().over(sequence).identical_to(rows.session)),
        )
        return rows.mutate(
            kind_new_day=_first(rows, "snapshot", "kind", "day"),
            kind_new_asset=_first(rows, "snapshot", "kind", "asset"),
            kind_new_channel=_first(rows, "snapshot", "kind", "channel"),
        )


def _known_activities(activities: ir.Table, snapshots: ir.Table) -> ir.Table:
    """Return the activities known before each snapshot, with ages in place of times."""
    theirs = activities.rename(activity_lead="lead_id")
    joined = snapshots.join(
        theirs,
        [
            snapshots.lead_id == theirs.activity_lead,
            theirs.known_at < snapshots.as_of,
            # known_at is never earlier than occurred_at; an age below zero must stay impossible
            # even for a source that breaks this.
            theirs.occurred_at < snapshots.as_of,
        ],
    )
    return joined.select(
        joined.snapshot,
        joined.kind,
        joined.actor,
        joined.asset,
        joined.channel,
        value=_number(joined.value),
        age=_seconds_between(joined.occurred_at, joined.as_of),
        day=joined.as_of_local.date().delta(joined.occurred_local.date(), unit="day").cast("int64"),
        hour=joined.occurred_local.hour().cast("int64"),
        weekday=joined.occurred_local.day_of_week.index().cast("int64"),
    )


def _in_sequence(seen: ir.Table, session_gap_minutes: float) -> ir.Table:
    """Add order, gap, session and new_session, each within the snapshot's own past."""
    ties = [ibis.asc(seen[name], nulls_first=True) for name in TIE_BREAKERS]
    sequence = ibis.window(group_by="snapshot", order_by=[ibis.desc(seen.age), *ties])
    rows = seen.mutate(
        order=ibis.row_number().over(sequence).cast("int64"),
        gap=seen.age.lag().over(sequence) - seen.age,
    )
    pause = rows.gap > session_gap_minutes * 60
    rows = rows.mutate(new_session=_flag(rows.gap.isnull() | pause))
    so_far = ibis.cumulative_window(group_by="snapshot", order_by="order")
    return rows.mutate(session=rows.new_session.sum().over(so_far).cast("int64"))


def _first_of_each(rows: ir.Table) -> ir.Table:
    """Add the flags of the first activity of each day, asset and channel."""
    return rows.mutate(
        new_day=_first(rows, "snapshot", "day"),
        new_asset=_first(rows, "snapshot", "asset"),
        new_channel=_first(rows, "snapshot", "channel"),
    )


def _attributes(tables: Tables, snapshots: ir.Table) -> ir.Table:
    """Return one row a snapshot: age, e-mail domain and every attribute as it was known."""
    own = [attribute.name for attribute in tables.attributes if attribute.origin != "history"]
    leads = tables.leads.select(
        "created_at",
        "email_domain",
        owner=tables.leads.lead_id,
        **{attribute_column(name): tables.leads[name] for name in own},
    )
    joined = snapshots.left_join(leads, snapshots.lead_id == leads.owner)
    age = _seconds_between(joined.created_at, joined.as_of)
    kept = joined.select(
        "snapshot",
        "email_domain",
        *map(attribute_column, own),
        lead_age=ibis.ifelse(joined.created_at < joined.as_of, age, ibis.null("float64")),
    )
    return reduce(
        lambda table, versions: _joined_to(table, _known_version(versions, snapshots)), tables.versions, kept
    )


def _known_version(versions: ir.Table, snapshots: ir.Table) -> ir.Table:
    """Return each snapshot's latest version row known before it."""
    names = [name for name in versions.columns if name not in ("lead_id", "known_at")]
    theirs = versions.select(
        known_at=versions.known_at,
        owner=versions.lead_id,
        **{attribute_column(name): versions[name] for name in names},
    )
    joined = snapshots.join(theirs, [snapshots.lead_id == theirs.owner, theirs.known_at < snapshots.as_of])
    columns = [attribute_column(name) for name in names]
    ties = [ibis.asc(joined[column], nulls_first=False) for column in columns]
    newest_first = ibis.window(group_by=joined.snapshot, order_by=[ibis.desc(joined.known_at), *ties])
    ranked = joined.select("snapshot", *columns, rank=ibis.row_number().over(newest_first))
    return ranked.filter(ranked["rank"] == 0).drop("rank").rename(version_of="snapshot")


def _joined_to(table: ir.Table, version: ir.Table) -> ir.Table:
    return table.left_join(version, table.snapshot == version.version_of).drop("version_of")


def _first(rows: ir.Table, *group: str) -> ir.IntegerColumn:
    """Return 1 on the earliest row of each group whose last member is not null, else 0."""
    earliest = rows.order.min().over(ibis.window(group_by=list(group)))
    return _flag((rows.order == earliest) & rows[group[-1]].notnull())


def _position(kind: ir.StringColumn, kinds: Sequence[str]) -> ir.IntegerColumn:
    """Return the position of each kind in `kinds`, or their number for one that is not there."""
    if not kinds:
        return ibis.literal(0, type="int64")
    pairs = [(name, ibis.literal(position, type="int64")) for position, name in enumerate(kinds)]
    return kind.cases(*pairs, else_=ibis.literal(len(kinds), type="int64"))


def _seconds_between(earlier: ir.TimestampValue, later: ir.TimestampValue) -> ir.FloatingValue:
    return later.delta(earlier, unit="microsecond").cast("float64") / MICROSECONDS


def _number(value: ir.NumericValue) -> ir.FloatingValue:
    """Return `value` as a float, with not-a-number as missing."""
    number = value.cast("float64")
    return ibis.ifelse(number.isnan(), ibis.null("float64"), number)


def _flag(condition: ir.BooleanValue) -> ir.IntegerValue:
    return condition.cast("int64")
