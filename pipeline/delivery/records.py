"""Which record of a destination is which lead's: by the lead's own id, or by a column that names it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import ibis
from ibis import _

from features.errors import ConfigurationError, listed, nearest
from pipeline.config import Config
from pipeline.destinations.base import Settings
from pipeline.source.columns import text
from pipeline.source.engine import Engine, Raw
from pipeline.source.findings import Findings
from pipeline.source.leads import Reading, lead_ids


def record_keys(
    config: Config, name: str, settings: Settings, leads: list[str], leads_file: Path | None = None
) -> dict[str, str]:
    """Return what finds each lead's record in a destination, by lead.

    Without ``record`` that is the lead's own id. Otherwise it is the text in that column of the leads'
    table, as it is now; leads without one, or with two that differ, are left out.

    Parameters
    ----------
    name
        Of the destination, for messages.
    leads
        Ids as they are in the scores: hashed where the configuration asks for it.
    leads_file
        Read this file instead of the configured table: the leads were scored from it.

    Raises
    ------
    PropenseError
        The leads' table cannot be read, or has no such column.
    """
    if settings.record is None:
        return {lead: lead for lead in leads}
    table = config.leads if leads_file is None else config.leads.model_copy(update={"table": str(leads_file)})
    engine = Engine()
    try:
        # No time is read here, so there is none that could lie in the future.
        reading = Reading(engine, config, datetime.max, Findings(config.checks.tolerate))
        raw = reading.open("leads", table)
        _check_column(raw, name, settings.record)
        raw.need({"id": config.leads.id})
        wanted = engine.keep("wanted", ibis.memtable({"lead_id": leads}, schema={"lead_id": "string"}))
        found = (
            raw.table.select(lead_id=lead_ids(reading, raw), record=text(raw, settings.record, config.leads))
            .semi_join(wanted, "lead_id")
            .group_by("lead_id")
            .agg(record=_.record.min(), different=_.record.nunique())
            .filter(_.different == 1)
            .to_pyarrow()
        )
    finally:
        engine.connection.disconnect()
    return dict(zip(found["lead_id"].to_pylist(), found["record"].to_pylist(), strict=True))


def _check_column(raw: Raw, name: str, column: str) -> None:
    if column in raw.table.columns:
        return
    raise ConfigurationError(
        f"The leads' table has no column '{column}' to find the records of '{name}' by.",
        where=f"[destinations.{name}] record; {raw.name}: {raw.path}",
        allowed=f"columns of the file: {listed(raw.table.columns, 40)}",
        todo=nearest(column, raw.table.columns)
        or "correct it, or leave it out if records there have the leads' own ids",
    )
