"""The leads table, the attribute tables joined to it, and the versions of attributes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
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
            mine = [a for a in self.known if a.origin == role.origin and self._is_mine(a, raw, role)]
            attr.require(raw, mine, table)
            return mine
        names = attr.candidates(raw, role, self.findings)
        return attr.infer(raw, names, table, role, self.findings)

    def _is_mine(self, attribute: Attribute, raw: Raw, role: attr.Role) -> bool:
        if role.origin == "lead":
            return True
        return attribute.name in raw.table.columns or attribute.name in (role.listed or ())


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
        **{f"attributes {i}": c for i, c in enumerate(config.attributes or ()) if reading.known is None},
        "order_by": config.order_by if config.order_by != "row" else None,
    })  # fmt: skip
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
        return (ibis.row_number() + 1).cast("string")
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
    # A lead created on a date is known at the end of that day, but may have been won earlier that day.
    not_before = never
    if created:
        day_before = created.value - ibis.interval(days=1)
        not_before = ibis.cases((created.date_only, day_before), else_=created.value)
    return {
        "account_id": account,
        "created_at": created.value if created else never,
        "not_before": not_before,
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
        used |= {outcomes.outcome, outcomes.closed_at, outcomes.amount, outcomes.reason}
    versioned = {name for history in config.history for name in history.attributes}
    own = {field for d in config.destinations.values() for field in d.fields.values()}
    return attr.Role(
        origin="lead",
        used=frozenset(c for c in used | versioned if c),
        listed=None if leads.attributes is None else tuple(leads.attributes),
        ignore=tuple(leads.ignore),
        types=leads.types,
        old_score=tuple(leads.old_score),
        own_fields=tuple(own),
        sensitive=leads.sensitive,
        engagement=tuple(leads.engagement),
        labels=config.features.labels,
    )


def _safe(name: str) -> str:
    """Keep an attribute from taking a canonical column's name."""
    return f"{name} (attribute)" if name in CANONICAL else name


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
    for number, config in enumerate(reading.config.entities, 1):
        raw = reading.open(f"entities no. {number}", config)
        raw.need({"key": config.key})
        raw_leads.need({"lead_key": config.lead_key})
        taken = {*leads.columns, *(a.name for a in attributes)}
        own, renamed = _entity(reading, raw, config, taken)
        keys = raw_leads.table.select(
            lead_id=lead_ids(reading, raw_leads), entity_key=text(raw_leads, config.lead_key, config)
        )
        joined = leads.left_join(keys, "lead_id", rname="{name} again").left_join(
            own, [("entity_key", "entity key")], rname="{name} of entity"
        )
        leads = reading.engine.keep("leads", joined.select(*leads.columns, *(a.name for a in renamed)))
        attributes += renamed
    return leads, tuple(attributes)


def _entity(
    reading: Reading, raw: Raw, config: Entities, taken: set[str]
) -> tuple[ir.Table, list[Attribute]]:
    stem = config.table.rsplit("/", 1)[-1].split(".")[0]
    if reading.known is None:
        role = attr.Role(
            origin="entity",
            used=frozenset({config.key}),
            listed=None if config.attributes is None else tuple(config.attributes),
            ignore=tuple(config.ignore),
            types=config.types,
            labels=reading.config.features.labels,
        )
        found = reading.attributes(raw, config, role)
        renamed = [replace(a, name=_entity_name(a.name, stem, taken)) for a in found]
    else:
        renamed = [a for a in reading.known if a.origin == "entity" and a.name.split("·")[0] == stem]
        found = [replace(a, name=a.name.split("·", 1)[1]) for a in renamed]
        attr.require(raw, found, config)
    columns = {r.name: attr.values(raw, a, config) for a, r in zip(found, renamed, strict=True)}
    own = raw.table.select(**{"entity key": text(raw, config.key, config)}, **columns)
    if own.count().execute() != own["entity key"].nunique().execute():
        raise DataError(
            f"The key '{config.key}' is missing or repeated in some rows.",
            where=f"{raw.name}: {raw.path}",
            allowed="one row a key",
            todo="remove the repeated rows, or give them as a [[history]] with times",
        )
    return own, renamed


def _entity_name(name: str, stem: str, taken: set[str]) -> str:
    return f"{stem}·{name}"


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
        sensitive=reading.config.leads.sensitive,
        labels=reading.config.features.labels,
    )
    found = reading.attributes(raw, config, role)
    versions = raw.table.select(
        lead_id=lead_ids(reading, raw, config.lead_id),
        known_at=known_at.value,
        **{a.name: attr.values(raw, a, config) for a in found},
    )
    kept = versions.semi_join(leads, "lead_id").filter(_.known_at.notnull())
    return reading.engine.keep("versions", kept), found
