"""Tables that have rows for leads that were won alone, and what is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.past import attribute_column
from pipeline.guard.material import Material
from pipeline.source.columns import text
from pipeline.source.engine import Raw


@dataclass(frozen=True)
class Filled:
    """A table beside the leads: its file as the configuration names it, its members, whose leads it has.

    ``there`` (leads, days or 1) says whether a lead had a row on each day; a table without times
    has one column.
    """

    name: str
    attributes: tuple[str, ...]
    kinds: tuple[str, ...]
    there: NDArray[np.bool_]


def filled_tables(material: Material) -> list[Filled]:
    """Return all tables beside the leads that hold attributes or activities."""
    return [*_entities(material), *_histories(material), *_activities(material)]


def _entities(material: Material) -> list[Filled]:
    found: list[Filled] = []
    stems: dict[str, list[str]] = {}
    for a in material.attributes:
        if a.origin == "entity":
            stems.setdefault(a.name.split("·")[0], []).append(a.name)
    for stem, names in stems.items():
        there = material.leads[[attribute_column(n) for n in names]].notna().any(axis=1)
        found.append(Filled(_file(material, stem), tuple(names), (), there.to_numpy(bool)[:, None]))
    return found


def _file(material: Material, stem: str) -> str:
    """Return the file of an entity table by the name that its attributes start with."""
    plain, _, number = stem.partition(" no. ")
    tables = [e.table for e in material.dataset.config.entities]
    own = [t for t in tables if Path(t).name.split(".")[0] == plain]
    return own[int(number or 1) - 1] if len(own) >= int(number or 1) else stem


def _histories(material: Material) -> list[Filled]:
    found = []
    pairs = zip(material.dataset.config.history, material.dataset.tables.versions, strict=True)
    for config, versions in pairs:
        first = versions.group_by("lead_id").agg(at=versions.known_at.min()).to_pandas()
        there = _by_day(material, first.set_index("lead_id")["at"])
        found.append(
            Filled(
                config.table,
                tuple(c for c in versions.columns if c not in ("lead_id", "known_at")),
                (),
                there,
            )
        )
    return found


def _by_day(material: Material, first: pd.Series) -> NDArray[np.bool_]:
    at = material.leads["lead_id"].map(first).to_numpy("datetime64[us]")
    days = np.array([d.to_datetime64() for d in material.days], dtype="datetime64[us]")
    return at[:, None] < days[None, :]


def _activities(material: Material) -> list[Filled]:
    configured = material.dataset.config.activities
    counts, found = material.kind_counts, []
    for place, config in enumerate(configured, 1):
        kinds = sorted(set(_kinds(material, place)) & set(counts))
        there = np.zeros((len(material.leads), len(material.days)), dtype=bool)
        for kind in kinds:
            there[counts[kind].index.to_numpy()] |= counts[kind].to_numpy() > 0
        found.append(Filled(config.table, (), tuple(kinds), there))
    return found


def _kinds(material: Material, place: int) -> list[str]:
    """Return the kinds of one activity table; with several tables, as the engine has kept it."""
    config = material.dataset.config.activities[place - 1]
    if config.kind is None:
        return [str(config.kind_is)]
    if len(material.dataset.config.activities) == 1:
        return list(material.kind_counts)
    raw = _raw(material, f"activities no. {place}", Path(config.table))
    if raw is None:
        return []
    kind = text(raw, config.kind, config)
    return raw.table.select(kind=kind).distinct().kind.execute().dropna().tolist()


def _raw(material: Material, name: str, path: Path) -> Raw | None:
    """Return a table as it was read: the engine keeps each under its name and a number."""
    connection = material.dataset.engine.connection
    # Ibis' own list of tables calls a method that DuckDB 2 no longer has.
    names = (row[0] for row in connection.raw_sql("SELECT table_name FROM duckdb_tables()").fetchall())
    kept = [t for t in names if re.fullmatch(rf"raw {re.escape(name)} \d+", t)]
    table: ir.Table | None = connection.table(kept[0]) if kept else None
    return None if table is None else Raw(name, path, table)
