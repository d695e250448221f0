"""Tiny projects for tests: tables as text, a configuration around them, and what is read from them."""

from __future__ import annotations

import textwrap
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from pipeline.configuring import read_config
from pipeline.source.dataset import Dataset, load

NOW = datetime(2024, 12, 31)

LEADS = """
    lead_id, created_at
    a,       2024-01-01T00:00:00
    b,       2024-01-01T00:00:00
    c,       2024-01-01T00:00:00
"""
OUTCOMES = """
    lead_id, outcome, closed_at
    a,       won,     2024-01-10T00:00:00
    b,       lost,    2024-01-20T00:00:00
"""
ACTIVITIES = """
    lead_id, occurred_at,         kind,  actor
    a,       2024-01-02T00:00:00, visit, lead
    c,       2024-02-01T00:00:00, visit, lead
"""


def plain(table: str) -> str:
    """A table written with indents and aligned columns as plain CSV."""
    lines = [line.strip() for line in table.strip().splitlines()]
    return "\n".join(",".join(cell.strip() for cell in line.split(",")) for line in lines) + "\n"


def write_project(
    folder: Path,
    *,
    leads: str = LEADS,
    activities: str | None = ACTIVITIES,
    outcomes: str | None = OUTCOMES,
    project: str = "",
    in_leads: str = "",
    in_activities: str = 'kind = "kind"\nactor = "actor"',
    in_outcomes: str = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"',
    sections: str = "",
    files: dict[str, str] | None = None,
) -> Path:
    """Write a project with times into `folder` and return the path of its configuration.

    ``in_leads``, ``in_activities`` and ``in_outcomes`` are further lines of these sections;
    `files` are further tables by their file name.
    """
    tables = {"leads.csv": leads, "activities.csv": activities, "outcomes.csv": outcomes, **(files or {})}
    for name, table in tables.items():
        if table is not None:
            (folder / name).write_text(plain(table), "utf-8")
    parts = [
        f'[project]\nname = "tiny"\n{project}',
        '[leads]\ntable = "leads.csv"\nid = "lead_id"\ncreated_at = "created_at"\n'
        + textwrap.dedent(in_leads),
    ]
    if activities is not None:
        parts.append(
            '[[activities]]\ntable = "activities.csv"\nlead_id = "lead_id"\noccurred_at = "occurred_at"\n'
            + textwrap.dedent(in_activities)
        )
    parts += [f"[outcomes]\n{textwrap.dedent(in_outcomes)}", textwrap.dedent(sections)]
    return write_config(folder, "\n\n".join(parts))


def write_config(folder: Path, text: str) -> Path:
    """Write a configuration and return its path."""
    path = folder / "propense.toml"
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def read(path: Path, now: datetime = NOW) -> Dataset:
    """Read a project, whatever is wrong with its rows."""
    return load(read_config(path), now)


def rows(table, *columns: str) -> list[tuple]:
    """Some columns of an Ibis table, sorted, with None for what is missing and times as text."""
    frame = table.select(*columns).to_pandas()
    found = [tuple(_readable(cell) for cell in row) for row in frame.itertuples(index=False, name=None)]
    return sorted(found, key=lambda row: tuple(str(cell) for cell in row))


def _readable(cell: object) -> object:
    if pd.isna(cell):
        return None
    if not isinstance(cell, pd.Timestamp):
        return cell
    return f"{cell:%Y-%m-%d}" if cell == cell.normalize() else f"{cell:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def told(dataset: Dataset, level: str) -> str:
    """All findings of a level as one text."""
    return "\n".join(str(finding) for finding in dataset.findings if finding.level == level)


def company(days: int = 360, *, a_day: int = 2) -> tuple[str, str]:
    """Leads and outcomes of a company with `a_day` new leads a day, two of one account each.

    Of five leads in a row the first wins after 6 days, the second after 20, the third is lost after
    9, the others stay open.
    """
    start = datetime(2023, 1, 1)
    leads, outcomes = ["lead_id, created_at, account, plan"], ["lead_id, outcome, closed_at"]
    for i in range(days * a_day):
        created = start + timedelta(days=i / a_day)
        leads.append(f"{i}, {created.isoformat()}, {i // 2}, {'gold' if i % 3 else 'tin'}")
        if i % 5 < 3:
            outcome, after = (("won", 6), ("won", 20), ("lost", 9))[i % 5]
            outcomes.append(f"{i}, {outcome}, {(created + timedelta(days=after)).isoformat()}")
    return "\n".join(leads), "\n".join(outcomes)
