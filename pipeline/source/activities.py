"""Activities from one or several tables, with the hand-over to sales in mind."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from features.errors import ConfigurationError, listed
from pipeline.config import Activities
from pipeline.source.columns import check_times, local, text, time
from pipeline.source.engine import Raw
from pipeline.source.leads import Reading, lead_ids

ACTORS = ("lead", "marketing", "sales")
SCHEMA = {
    "lead_id": "string", "occurred_at": "timestamp(6)", "known_at": "timestamp(6)",
    "occurred_local": "timestamp(6)", "kind": "string", "actor": "string", "asset": "string",
    "channel": "string", "value": "float64",
}  # fmt: skip


def read_activities(reading: Reading, leads: ir.Table) -> ir.Table:
    """Return all activities of known leads, canonical; those of unknown leads are counted and left out."""
    tables = [_read_one(reading, number, config) for number, config in _numbered(reading)]
    if not tables:
        return reading.engine.connection.create_table("no activities", schema=SCHEMA, temp=True)
    everything = reading.engine.keep("activities", ibis.union(*tables) if len(tables) > 1 else tables[0])
    unknown = everything.anti_join(leads, "lead_id").aggregate(n=_.count(), example=_.lead_id.min())
    count, example = unknown.to_pyarrow().to_pylist()[0].values()
    if count:
        reading.findings.left_out(
            "activities", "of leads that the leads table does not have", column="lead_id", rows=int(count),
            example=repr(example),
        )  # fmt: skip
        everything = reading.engine.keep("activities", everything.semi_join(leads, "lead_id"))
    return everything


def _numbered(reading: Reading) -> list[tuple[int, Activities]]:
    return list(enumerate(reading.config.activities, 1))


def _read_one(reading: Reading, number: int, config: Activities) -> ir.Table:
    raw = reading.open(f"activities no. {number}", config)
    named = ("lead_id", "occurred_at", "known_at", "kind", "actor", "asset", "channel", "value")
    raw.need({role: getattr(config, role) for role in named})
    zone = reading.config.project.timezone
    occurred = time(raw, config.occurred_at, config, zone)
    known = time(raw, config.known_at, config, zone) if config.known_at else None
    check_times(
        raw, [occurred, known] if known else [occurred], reading.now, reading.findings, {config.occurred_at}
    )
    known_at = (
        ibis.greatest(occurred.value, known.value).fill_null(occurred.value) if known else occurred.value
    )
    kind = text(raw, config.kind, config) if config.kind else ibis.literal(config.kind_is)
    rows = raw.table.select(
        lead_id=lead_ids(reading, raw, config.lead_id),
        occurred_at=occurred.value,
        known_at=known_at,
        occurred_local=local(occurred.value, zone),
        kind=kind,
        actor=_actor(raw, config, kind, reading),
        asset=text(raw, config.asset, config) if config.asset else ibis.null("string"),
        channel=_channel(raw, config),
        value=_value(raw, config, reading),
    ).cast(SCHEMA)
    absent = rows.aggregate(kinds=_.kind.isnull().sum(), ids=_.lead_id.isnull().sum())
    kinds, ids = absent.to_pyarrow().to_pylist()[0].values()
    total = reading.counts[raw.name]["rows"]
    reading.findings.bad_rows(raw.place, "activities without a kind", rows=int(kinds or 0), of=total)
    reading.findings.bad_rows(raw.place, "activities without a lead", rows=int(ids or 0), of=total)
    complete = rows.filter(_.occurred_at.notnull() & _.kind.notnull() & _.lead_id.notnull())
    return complete.filter(_.kind.notin(config.ignore_kinds)) if config.ignore_kinds else complete


def _channel(raw: Raw, config: Activities) -> ir.StringValue:
    if config.channel:
        return text(raw, config.channel, config)
    return ibis.literal(config.channel_is) if config.channel_is else ibis.null("string")


def _value(raw: Raw, config: Activities, reading: Reading) -> ir.FloatingValue:
    if not config.value:
        return ibis.null("float64")
    given = text(raw, config.value, config)
    number = given.try_cast("float64")
    bad = raw.table.aggregate(
        n=(given.notnull() & number.isnull()).sum(), example=given.max(where=number.isnull())
    )
    count, example = bad.to_pyarrow().to_pylist()[0].values()
    reading.findings.bad_rows(
        raw.place, "text where a number should be", column=config.value, rows=int(count or 0),
        of=reading.counts[raw.name]["rows"], example=repr(example),
    )  # fmt: skip
    return number


def _actor(raw: Raw, config: Activities, kind: ir.StringValue, reading: Reading) -> ir.StringValue:
    """Return who acted: by the actor column, else by kind, else the same for every row, else the lead."""
    if config.actor_is:
        return ibis.literal(config.actor_is)
    given = text(raw, config.actor, config) if config.actor else kind
    mapping = {**{a: a for a in ACTORS}, **config.actors} if config.actor else config.actors
    fallback = ibis.null("string") if config.actor else ibis.literal("lead")
    actor = (
        ibis.cases(*((given == v, a) for v, a in mapping.items()), else_=fallback) if mapping else fallback
    )
    if config.actor:
        unmapped = raw.table.filter(given.notnull() & actor.isnull()).select(v=given).distinct()
        values = unmapped.order_by("v").v.execute().tolist()
        if values:
            raise ConfigurationError(
                f"Actors {listed(map(repr, values))} are not mapped.",
                where=f"{raw.name}: {raw.path}, column '{config.actor}'",
                allowed='actors = { "your value" = "lead", "marketing" or "sales" }',
            )
        return actor.fill_null("lead")
    return actor
