"""Activities from one or several tables, with the hand-over to sales in mind."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from features.errors import ConfigurationError, listed, nearest
from pipeline.config import Activities
from pipeline.source.columns import check_times, local, number, some_values, text, time
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
    tables = [_read_one(reading, place, config) for place, config in enumerate(reading.config.activities, 1)]
    if not tables:
        return reading.engine.connection.create_table("no activities", schema=SCHEMA, temp=True)
    read = [(raw.place, reading.engine.keep("read", rows)) for raw, rows in tables]
    known = [reading.place_leads(rows, leads, place) for place, rows in read]
    return reading.engine.keep("activities", ibis.union(*known) if len(known) > 1 else known[0])


def _read_one(reading: Reading, place: int, config: Activities) -> tuple[Raw, ir.Table]:
    raw = reading.open(f"activities no. {place}", config)
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
        value=number(raw, config.value, config, reading.findings) if config.value else ibis.null("float64"),
    ).cast(SCHEMA)
    _note_strange_kinds(reading, raw, config, rows)
    absent = rows.aggregate(kinds=_.kind.isnull().sum(), ids=_.lead_id.isnull().sum())
    kinds, ids = absent.to_pyarrow().to_pylist()[0].values()
    total = reading.counts[raw.name]["rows"]
    reading.findings.bad_rows(raw.place, "activities without a kind", rows=int(kinds or 0), of=total)
    reading.findings.bad_rows(raw.place, "activities without a lead", rows=int(ids or 0), of=total)
    complete = rows.filter(_.occurred_at.notnull() & _.kind.notnull() & _.lead_id.notnull())
    if config.ignore_kinds:
        complete = complete.filter(_.kind.notin(config.ignore_kinds))
    return raw, complete


def _note_strange_kinds(reading: Reading, raw: Raw, config: Activities, rows: ir.Table) -> None:
    """Note the kinds that the configuration names and the table does not have: they may be misspelt."""
    named = {"ignore_kinds": config.ignore_kinds, "actors": [] if config.actor else list(config.actors)}
    if not any(named.values()):
        return
    note_absent(reading, raw.place, named, rows)


def note_strange_names(reading: Reading, everything: ir.Table) -> None:
    """Note kinds that the rules or the decision name and no activity has: points would go missing."""
    config = reading.config
    named = {
        "rules": [r.activity for r in config.rules if r.activity],
        "sales_ready_kinds": list(config.decision.sales_ready_kinds),
    }
    if any(named.values()):
        note_absent(reading, "activities", named, everything)


def note_absent(reading: Reading, place: str, named: dict[str, list[str]], rows: ir.Table) -> None:
    """Note the kinds of `named` (by the key that names them) that no row of an activity table has."""
    kinds = rows.select("kind").distinct().kind.execute().dropna().tolist()
    for key, names in named.items():
        for name in names:
            if name not in kinds:
                hint = nearest(name, kinds)
                reading.findings.note(
                    place, f"`{key}` names the kind {name!r}, which does not occur. {hint}".strip()
                )


def _channel(raw: Raw, config: Activities) -> ir.StringValue:
    if config.channel:
        return text(raw, config.channel, config)
    return ibis.literal(config.channel_is) if config.channel_is else ibis.null("string")


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
        values = some_values(raw, given, given.notnull() & actor.isnull())
        if values:
            raise ConfigurationError(
                f"Actors {listed(map(repr, values))} are not mapped.",
                where=f"{raw.name}: {raw.path}, column '{config.actor}'",
                allowed='actors = { "your value" = "lead", "marketing" or "sales" }',
            )
        absent = int(given.isnull().sum().execute())
        if absent:
            reading.findings.note(
                raw.place, "without an actor, taken as the lead's own", column=config.actor, rows=absent
            )
        return actor.fill_null("lead")
    return actor
