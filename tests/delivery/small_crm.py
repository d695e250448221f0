"""A CRM of three leads in a SQLite file, scores of some of them, and the configuration between both."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import Config
from pipeline.configuring import read_config
from pipeline.files import write_parquet
from pipeline.levels import Levels
from pipeline.score import EXCLUDED, SCORES

FIELDS = {
    "propensity": "p", "score": "points", "band": "band", "sales_ready": "ready", "reasons": "why",
    "as_of": "at", "run_sequence": "run",
}  # fmt: skip
REASONS = [
    {"concept": "a", "direction": "up", "strength": 0.5, "text": "asked for a quote", "value": "1"},
    {"concept": "b", "direction": "down", "strength": 0.2, "text": "1000+ employees", "value": ""},
]
# As a destination is given them.
WHY = "+ asked for a quote; − 1000+ employees"
AS_OF = datetime(2026, 6, 30, 10)
AT = "2026-06-30T10:00:00+00:00"
TABLE = """
    CREATE TABLE "le ads" (
        id {type} {key}, name TEXT, p REAL, points INTEGER, band TEXT, ready BOOLEAN, why TEXT, at TEXT,
        run INTEGER
    );
    INSERT INTO "le ads" (id, name, p) VALUES ('1', 'Ann', 0.9), ('2', 'Ben', 0.9), ('3', 'Cleo', 0.9);
"""


def write_crm(folder: Path, type_: str = "TEXT", key: str = "PRIMARY KEY") -> None:
    """Make the CRM again: the leads 1, 2 and 3, each with a propensity of 0.9 from somebody else."""
    (folder / "crm.sqlite").unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm:
        crm.executescript(TABLE.format(type=type_, key=key))


def write_scores(
    folder: Path,
    leads: dict[str, float],
    run: str = "first",
    *,
    levels: Levels | None = None,
    complete: bool = True,
    **columns: Any,
) -> None:
    """Write what `propense score` leaves: leads with their propensity, of a run; all else is the same."""
    scores = pd.DataFrame(
        {
            "lead_id": list(leads), "target": "won", "as_of": pd.Timestamp(AS_OF),
            "propensity": list(leads.values()), "propensity_low": 0.0, "propensity_high": 1.0,
            "score": [round(100 * p) for p in leads.values()], "band": "mql", "grade": "A1",
            "sales_ready": True, "fit": 0.0, "engagement": 0.0, "reasons": [REASONS] * len(leads),
            "model_version": "3", "run_id": run, **columns,
        }
    )  # fmt: skip
    metadata = {
        "run_id": run, "as_of": AS_OF.isoformat(), "model_version": "3", "complete": json.dumps(complete),
        **({"levels": levels.write()} if levels else {}),
    }  # fmt: skip
    write_parquet(folder / "scores.parquet", scores, SCORES.with_metadata(metadata))
    nobody = pd.DataFrame(columns=EXCLUDED.names)
    write_parquet(folder / "excluded.parquet", nobody, EXCLUDED.with_metadata({"run_id": run}))


def write_config(folder: Path, more: str = "", **destination: Any) -> Config:
    """Write a configuration with the destination 'crm', of these settings instead of the usual; read it."""
    (folder / "propense.toml").write_text(config_text(more, **destination), "utf-8")
    return read_config(folder / "propense.toml").model_copy(update={"root": folder})


def config_text(more: str = "", **destination: Any) -> str:
    """A configuration with the destination 'crm'; a setting that is None is left out."""
    fields = destination.pop("fields", FIELDS)
    settings = {"type": "sqlite", "path": "crm.sqlite", "table": "le ads", "key": "id", **destination}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if value is not None]
    mapped = [f"{json.dumps(column)} = {json.dumps(field)}" for column, field in fields.items()]
    parts = [
        '[project]\nname = "p"',
        '[leads]\ntable = "leads.csv"\nid = "id"\ncreated_at = "at"',
        '[outcomes]\noutcome = "outcome"',
        "[destinations.crm]", *lines, "[destinations.crm.fields]", *mapped, more,
    ]  # fmt: skip
    return "\n".join(parts)


def rows(folder: Path, columns: str = "*", where: str = "1") -> list[tuple]:
    """What the CRM holds, lead by lead."""
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm:
        return crm.execute(f'SELECT {columns} FROM "le ads" WHERE {where} ORDER BY id').fetchall()


def execute(folder: Path, sql: str, *values: Any) -> None:
    """Do something in the CRM that is not this program's doing."""
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm, crm:
        crm.execute(sql, values)
