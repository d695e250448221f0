"""The source station as a whole: from a configuration to canonical tables and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from features.errors import BundleError, listed
from features.tables import Attribute, Tables
from pipeline.config import Config
from pipeline.hygiene.account import Cleaned
from pipeline.hygiene.clean import clean
from pipeline.hygiene.records import Records
from pipeline.source.activities import SCHEMA, note_absent, note_strange_names, read_activities
from pipeline.source.engine import Engine, Raw
from pipeline.source.findings import Findings
from pipeline.source.leads import Reading, join_entities, read_leads, read_versions
from pipeline.source.outcomes import observed_until, read_label, read_outcomes, read_stages


@dataclass(frozen=True)
class Dataset:
    """One project's data, read and brought to canonical form.

    `activities_all` has sales' activities too; `tables.activities` has what features may see.
    `outcomes` is None for a flat table, `labels` is None for data with times. `hygiene` says what was
    cleaned; `counts` are of the tables as they were read.
    """

    config: Config
    engine: Engine
    tables: Tables
    activities_all: ir.Table
    outcomes: ir.Table | None
    labels: ir.Table | None
    stages: ir.Table | None
    observed_until: datetime | None
    observed_given: bool
    findings: Findings
    counts: dict[str, dict[str, Any]]
    hygiene: Cleaned = field(default_factory=Cleaned)

    @property
    def unchecked(self) -> list[str]:
        """Names of the attributes whose values have no time from which they were known."""
        return [a.name for a in self.tables.attributes if not a.checked]


def load(
    config: Config,
    now: datetime,
    *,
    leads_file: Path | None = None,
    known: tuple[Attribute, ...] | None = None,
) -> Dataset:
    """Read all tables of a project.

    Parameters
    ----------
    config
        The project's configuration.
    now
        Naive UTC; later times are mistakes.
    leads_file
        Read the leads from this file instead of the configured one.
    known
        The attributes a trained model asks for; without it they are inferred from the columns.

    Raises
    ------
    PropenseError
        What stops reading at once (a missing file or column); mistakes in rows are collected in
        ``findings`` for the caller to raise or show.
    """
    reading = Reading(Engine(), config, now, Findings(config.checks.tolerate), known)
    raw = _open_leads(reading, leads_file)
    if config.flat:
        return _flat(reading, raw, scoring=leads_file is not None)
    leads, own = read_leads(reading, raw)
    leads, joined = join_entities(reading, raw, leads)
    versions, versioned = read_versions(reading, leads)
    attributes = own + joined + versioned
    _check_known(attributes, known)
    activities = read_activities(reading, leads)
    _note_strange_outcomes(reading, activities)
    outcomes = read_outcomes(reading, raw, leads, activities)
    observed = observed_until(
        reading, (leads, "created_at"), (activities, "occurred_at"), (outcomes, "closed_at")
    )
    stages = read_stages(reading, leads)
    read = Records(leads, activities, versions, outcomes=outcomes, stages=stages)
    kept, cleaned = clean(reading, raw, read)
    return Dataset(
        config=config,
        engine=reading.engine,
        tables=Tables(kept.leads, _visible(config, kept.activities), kept.versions, attributes),
        activities_all=kept.activities,
        outcomes=kept.outcomes,
        labels=None,
        stages=kept.stages,
        observed_until=observed.until,
        observed_given=observed.given,
        findings=reading.findings,
        counts=reading.counts,
        hygiene=cleaned,
    )


def _open_leads(reading: Reading, leads_file: Path | None) -> Raw:
    config = reading.config.leads
    if leads_file is not None:
        config = config.model_copy(update={"table": str(leads_file.resolve())})
    return reading.open("leads", config)


def _flat(reading: Reading, raw: Any, *, scoring: bool) -> Dataset:
    """Read a flat table; a file of leads to score needs no label."""
    config = reading.config
    labels = None
    if scoring:
        unlabelled = config.leads.model_copy(update={"label": None, "open_when": None, "order_by": None})
        reading.config = config.model_copy(update={"leads": unlabelled})
    leads, own = read_leads(reading, raw)
    leads, joined = join_entities(reading, raw, leads)
    _check_known(own + joined, reading.known)
    if not scoring:
        labels = read_label(reading, raw)
    nothing = reading.engine.connection.create_table("no activities", schema=SCHEMA, temp=True)
    kept, cleaned = clean(reading, raw, Records(leads, nothing, labels=labels))
    return Dataset(
        config=config,
        engine=reading.engine,
        tables=Tables(kept.leads, nothing, (), own + joined),
        activities_all=nothing,
        outcomes=None,
        labels=kept.labels,
        stages=None,
        observed_until=None,
        observed_given=False,
        findings=reading.findings,
        counts=reading.counts,
        hygiene=cleaned,
    )


def _check_known(found: tuple[Attribute, ...], known: tuple[Attribute, ...] | None) -> None:
    """Refuse a configuration that no longer reads the tables of what a model was trained on."""
    absent = sorted({a.name for a in known or ()} - {a.name for a in found})
    if absent:
        raise BundleError(
            f"The model was trained on attributes that the configuration no longer reads: {listed(absent)}.",
            todo="bring back their [[entities]] or [[history]] section, or train again without them",
        )


def _note_strange_outcomes(reading: Reading, activities: ir.Table) -> None:
    config = reading.config.outcomes
    if config is None or reading.known is not None:
        return
    kinds = [kind for kinds in config.from_activities.values() for kind in kinds]
    named = {"activity_kinds": config.activity_kinds, "from_activities": kinds}
    if any(named.values()):
        note_absent(reading, "outcomes", named, activities)
    note_strange_names(reading, activities)


def _visible(config: Config, activities: ir.Table) -> ir.Table:
    """Return the activities that features may see: no outcomes, and nothing of sales after a hand-over."""
    outcomes = config.outcomes
    hidden = set(outcomes.activity_kinds) if outcomes else set()
    if outcomes:
        hidden |= {kind for kinds in outcomes.from_activities.values() for kind in kinds}
    seen = activities.filter(activities.kind.notin(sorted(hidden))) if hidden else activities
    return seen.filter(seen.actor != "sales") if config.snapshots.end_at_handover else seen
