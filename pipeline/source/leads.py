"""The leads table, the attribute tables joined to it, and the versions of attributes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from features.errors import DataError
from features.tables import Attribute
from pipeline.config import Config, Entities, History
from pipeline.source import attributes as attr
from pipeline.source.columns import check_times, text, time
from pipeline.source.engine import Engine, Raw, open_table
from pipeline.source.findings import Findings

EMAIL = r"^[^@\s]+@[^@\s]+$"
_SUFFIX = " (attribute)"
CANONICAL = ("lead_id", "account_id", "created_at", "not_before", "email_domain", "customer_since")


@dataclass
class Reading:
    """One reading of a project's tables: where they are kept, what is known, what was found.

    `known` are the attributes a trained model asks for; without it their types are inferred.
    """

    engine: Engine
    config: Config
    now: datetime
    findings: Findings
    known: tuple[Attribute, ...] | None = None
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open(self, name: str, config: Any) -> Raw:
        """Open a table and count it."""
        raw = open_table(self.engine, name, config, self.config.root)
        rows = int(raw.table.count().execute())
        self.counts[name] = {"file": config.table, "rows": rows, "columns": len(raw.table.columns)}
        return raw

    def attributes(self, raw: Raw, table: Any, role: attr.Role) -> list[Attribute]:
        """Return the attributes of one table: those the model knows, or those inferred."""
        if self.known is not None:
            mine = [a for a in self.known if a.origin == role.origin]
            if role.origin == "history":
                mine = [a for a in mine if a.name in (role.listed or ())]
            mine = [replace(a, name=_column_of(a.name)) for a in mine]
            attr.require(raw, mine, table)
            return mine
        names = attr.candidates(raw, role, self.findings)
        return attr.infer(raw, names, table, role, self.findings)

    def place_leads(self, rows: ir.Table, leads: ir.Table, place: str) -> ir.Table:
        """Keep the rows of known leads; those of others are counted, left out and shown.

        That not one row is of a known lead is a mistake, except when a file of leads is scored.
        """
        strangers = rows.anti_join(leads, "lead_id")
        found = strangers.aggregate(rows=_.count(), example=_.lead_id.min()).to_pyarrow().to_pylist()[0]
        if not found["rows"]:
            return rows
        everyone = self.known is None and found["rows"] == rows.count().execute()
        (self.findings.error if everyone else self.findings.left_out)(
            place,
            "not one row is of a lead in the leads table; are the ids written the same way?"
            if everyone
            else "of leads that the leads table does not have",
            column="lead_id", rows=int(found["rows"]), example=repr(found["example"]),
        )  # fmt: skip
        return rows.semi_join(leads, "lead_id")


def read_leads(reading: Reading, raw: Raw) -> tuple[ir.Table, tuple[Attribute, ...]]:
    """Return the canonical leads (with ``customer_since`` and ``not_before``) and their attributes.

    Raises
    ------
    DataError
        A configured column is missing, or ids are null, repeated or e-mail addresses.
    """
    config = reading.config.leads
    raw.need({
        "id": config.id, "created_at": config.created_at, "account": config.account,
        "email": config.email, "email_domain": config.email_domain, "customer_since": config.customer_since,
        "label": config.label, "open_when": config.open_when.column if config.open_when else None,
        "order_by": config.order_by if config.order_by != "row" else None,
    })  # fmt: skip
    if reading.known is None:
        for role in ("attributes", "ignore", "old_score", "engagement", "types"):
            raw.need({f"{role} {i}": c for i, c in enumerate(getattr(config, role) or (), 1)})
    columns = {"lead_id": lead_ids(reading, raw), **_keys(reading, raw)}
    found = reading.attributes(raw, config, _lead_role(reading.config))
    safe = [replace(a, name=_safe(a.name)) for a in found]
    columns |= {s.name: attr.values(raw, a, config) for a, s in zip(found, safe, strict=True)}
    leads = reading.engine.keep("leads", raw.table.select(**columns))
    _check_ids(reading, raw, leads)
    return leads, tuple(safe)


def lead_ids(reading: Reading, raw: Raw, column: str | None = None) -> ir.StringColumn:
    """Return the id column as text: hashed where the configuration asks for it, numbered if there is none."""
    config = reading.config.leads
    name = column or config.id
    if name is None:
        return (raw.table.rowid() + 1).cast("string")
    value = text(raw, name, config)
    return value.hexdigest("sha256")[:24] if config.hash_id else value


def _keys(reading: Reading, raw: Raw) -> dict[str, ir.Value]:
    config, zone = reading.config.leads, reading.config.project.timezone
    nothing, never = ibis.null("string"), ibis.null("timestamp(6)")
    created = time(raw, config.created_at, config, zone) if config.created_at else None
    customer = time(raw, config.customer_since, config, zone) if config.customer_since else None
    times = [t for t in (created, customer) if t is not None]
    required = {config.created_at} if config.created_at else set()
    if times:
        check_times(raw, times, reading.now, reading.findings, required)
    domain = nothing
    if config.email_domain:
        domain = text(raw, config.email_domain, config).lower()
    elif config.email:
        address = text(raw, config.email, config)
        domain = ibis.cases((address.contains("@"), address.split("@")[-1].lower()), else_=nothing)
    account = text(raw, config.account, config) if config.account else nothing
    return {
        "account_id": account,
        "created_at": created.value if created else never,
        # A lead created on a date is known at the end of that day, but may have been won during it.
        "not_before": created.earliest if created else never,
        "email_domain": domain,
        "customer_since": customer.value if customer else never,
    }


def _lead_role(config: Config) -> attr.Role:
    leads, outcomes = config.leads, config.outcomes
    used = {leads.id, leads.created_at, leads.account, leads.email, leads.email_domain, leads.label}
    used |= {leads.customer_since, leads.order_by}
    used |= {e.lead_key for e in config.entities} - set(leads.attributes or ())
    if leads.open_when:
        used.add(leads.open_when.column)
    if outcomes and outcomes.table is None:
        used |= {outcomes.outcome, outcomes.closed_at, outcomes.amount, outcomes.reason, outcomes.comment}
    used |= {destination.record for destination in config.destinations.values()}
    versioned = {name for history in config.history for name in history.attributes}
    return attr.Role(
        origin="lead",
        used=frozenset(c for c in used | versioned if c),
        listed=None if leads.attributes is None else tuple(leads.attributes),
        ignore=tuple(leads.ignore),
        types=leads.types,
        engagement=tuple(leads.engagement),
        **_everywhere(config),
    )


def _everywhere(config: Config) -> dict[str, Any]:
    """Return what a role says of columns in whichever table they are."""
    return {
        "old_score": tuple(config.leads.old_score),
        "own_fields": tuple(field for d in config.destinations.values() for field in d.fields.values()),
        "sensitive": config.leads.sensitive,
        "labels": config.features.labels,
    }


def _safe(name: str) -> str:
    """Keep an attribute from taking a canonical column's name, whatever its case."""
    return f"{name}{_SUFFIX}" if name.lower() in CANONICAL else name


def _column_of(name: str) -> str:
    """Return the user's column of an attribute: undo `_safe`."""
    column = name.removesuffix(_SUFFIX)
    return column if _safe(column) == name else name


def _check_ids(reading: Reading, raw: Raw, leads: ir.Table) -> None:
    config, findings = reading.config.leads, reading.findings
    measured = leads.aggregate(
        rows=_.count(),
        absent=_.lead_id.isnull().sum(),
        distinct=_.lead_id.nunique(),
        emails=_.lead_id.re_search(EMAIL).sum(),
    )
    rows, absent, distinct, emails = measured.to_pyarrow().to_pylist()[0].values()
    column = config.id or "row number"
    if emails:
        findings.error(
            raw.place, "ids are e-mail addresses; name another column, or set hash_id = true",
            column=column, rows=int(emails),
        )  # fmt: skip
    if absent:
        findings.error(raw.place, "ids are missing", column=column, rows=int(absent))
    if distinct < rows - absent:
        twice = leads.group_by("lead_id").having(_.count() > 1).agg(n=_.count()).lead_id.min().execute()
        findings.error(
            raw.place, "ids are repeated: one row a lead is expected", column=column,
            rows=int(rows - absent - distinct), example=repr(twice),
        )  # fmt: skip


def join_entities(
    reading: Reading, raw_leads: Raw, leads: ir.Table
) -> tuple[ir.Table, tuple[Attribute, ...]]:
    """Join the attributes of each entity table to the leads by its key."""
    attributes: list[Attribute] = []
    for number, (stem, config) in enumerate(_stems(reading.config.entities), 1):
        raw = reading.open(f"entities no. {number}", config)
        named = {f"attributes {i}": c for i, c in enumerate(config.attributes or (), 1)}
        raw.need({"key": config.key, **(named if reading.known is None else {})})
        raw_leads.need({"lead_key": config.lead_key})
        own, renamed = _entity(reading, raw, config, stem)
        keys = raw_leads.table.select(
            lead_id=lead_ids(reading, raw_leads), entity_key=text(raw_leads, config.lead_key, config)
        )
        matched = keys.left_join(own, [("entity_key", "entity key")])
        matched = matched.select("lead_id", *(a.name for a in renamed))
        joined = leads.left_join(matched, "lead_id", rname="{name} of entity")
        leads = reading.engine.keep("leads", joined.select(*leads.columns, *(a.name for a in renamed)))
        attributes += renamed
    return leads, tuple(attributes)


def _stems(entities: list[Entities]) -> list[tuple[str, Entities]]:
    """Return each entity table with the name of its own that its attributes start with."""
    stems: list[str] = []
    for config in entities:
        stem = Path(config.table).name.split(".")[0]
        again = sum(taken.split(" no. ")[0].lower() == stem.lower() for taken in stems)
        stems.append(f"{stem} no. {again + 1}" if again else stem)
    return list(zip(stems, entities, strict=True))


def _entity(reading: Reading, raw: Raw, config: Entities, stem: str) -> tuple[ir.Table, list[Attribute]]:
    if reading.known is None:
        role = attr.Role(
            origin="entity",
            used=frozenset({config.key}),
            listed=None if config.attributes is None else tuple(config.attributes),
            ignore=tuple(config.ignore),
            types=config.types,
            **_everywhere(reading.config),
        )
        found = reading.attributes(raw, config, role)
        renamed = [replace(a, name=f"{stem}·{a.name}") for a in found]
    else:
        renamed = [a for a in reading.known if a.origin == "entity" and a.name.split("·")[0] == stem]
        found = [replace(a, name=a.name.split("·", 1)[1]) for a in renamed]
        attr.require(raw, found, config)
    columns = {r.name: attr.values(raw, a, config) for a, r in zip(found, renamed, strict=True)}
    own = raw.table.select(**{"entity key": text(raw, config.key, config)}, **columns)
    _check_keys(raw, config, own)
    return own, renamed


def _check_keys(raw: Raw, config: Entities, own: ir.Table) -> None:
    key = own["entity key"]
    measured = own.aggregate(rows=_.count(), absent=key.isnull().sum(), distinct=key.nunique())
    rows, absent, distinct = measured.to_pyarrow().to_pylist()[0].values()
    if not absent and rows == distinct:
        return
    twice = own.group_by("entity key").having(_.count() > 1).agg(n=_.count())["entity key"].min().execute()
    example = f", for example {twice!r}" if isinstance(twice, str) else ""
    raise DataError(
        f"The key '{config.key}' is missing in {absent:,} rows and repeated in {rows - absent - distinct:,}.",
        where=f"{raw.name}: {raw.path}, column '{config.key}'{example}",
        allowed="one row a key",
        todo="remove these rows, or give them as a [[history]] with times",
    )


def read_versions(reading: Reading, leads: ir.Table) -> tuple[tuple[ir.Table, ...], tuple[Attribute, ...]]:
    """Return the versions of attributes, one table a ``[[history]]``."""
    tables, attributes = [], []
    for number, config in enumerate(reading.config.history, 1):
        table, found = _read_history(reading, number, config, leads)
        tables.append(table)
        attributes += found
    return tuple(tables), tuple(attributes)


def _read_history(
    reading: Reading, number: int, config: History, leads: ir.Table
) -> tuple[ir.Table, list[Attribute]]:
    raw = reading.open(f"history no. {number}", config)
    raw.need({"lead_id": config.lead_id, "known_at": config.known_at, **{a: a for a in config.attributes}})
    known_at = time(raw, config.known_at, config, reading.config.project.timezone)
    check_times(raw, [known_at], reading.now, reading.findings, {config.known_at})
    role = attr.Role(
        origin="history",
        used=frozenset({config.lead_id, config.known_at}),
        listed=tuple(config.attributes),
        types=config.types,
        **_everywhere(reading.config),
    )
    found = reading.attributes(raw, config, role)
    versions = raw.table.select(
        lead_id=lead_ids(reading, raw, config.lead_id),
        known_at=known_at.value,
        **{a.name: attr.values(raw, a, config) for a in found},
    )
    kept = reading.place_leads(reading.engine.keep("read", versions), leads, raw.place)
    return reading.engine.keep("versions", kept.filter(_.known_at.notnull())), found
