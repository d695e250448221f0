"""The names of leads, for a reader who asked for them: read when a page is written, kept nowhere else."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import ibis
import pandas as pd

from features.errors import ConfigurationError
from pipeline.config import Config
from pipeline.hygiene.identity import name_columns
from pipeline.source.columns import text
from pipeline.source.engine import Engine
from pipeline.source.findings import Findings
from pipeline.source.leads import Reading, lead_ids


def names_of(config: Config, ids: Collection[str]) -> dict[str, str]:
    """Return the names of some leads, from the columns of ``[hygiene] name`` or those with usual names.

    A lead without a name is not in the answer.

    Raises
    ------
    ConfigurationError
        The leads have no column of names.
    DataError
        The table of leads is not there, or has no such column.
    """
    reading = Reading(Engine(), config, datetime.max, Findings(config.checks.tolerate))
    raw = reading.open("leads", config.leads)
    raw.need({f"hygiene name {i}": column for i, column in enumerate(config.hygiene.name, 1)})
    columns = config.hygiene.name or name_columns(raw, {config.leads.id} if config.leads.id else set())
    if not columns:
        raise ConfigurationError(
            "The leads have no column of names to show.",
            where=raw.place,
            todo='name it: [hygiene] name = ["first_name", "last_name"], or leave out --with-names',
        )
    if not ids:
        return {}
    parts = {f"part {place}": text(raw, column, config.leads) for place, column in enumerate(columns)}
    wanted = ibis.memtable(pd.DataFrame({"lead_id": sorted(ids)}))
    rows = raw.table.select(lead_id=lead_ids(reading, raw), **parts).semi_join(wanted, "lead_id").to_pandas()
    names = rows.set_index("lead_id").apply(lambda row: " ".join(row.dropna()), axis=1)
    return {str(lead): name for lead, name in names.items() if name}
