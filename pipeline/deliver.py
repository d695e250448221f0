"""The last station: scores written back to where sales works."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from features.errors import ConfigurationError, DataError, DeliveryError, listed, nearest
from pipeline.config import Config, Destination
from pipeline.levels import Levels
from pipeline.score import SCORES


@dataclass(frozen=True)
class Delivered:
    """How a delivery went: leads whose record was updated, and ids that the destination lacks."""

    destination: str
    updated: int
    missing: list[str]


def sync(config: Config, folder: Path, name: str) -> Delivered:
    """Write the newest scores to a destination, all of them in one transaction.

    Leads are only ever updated, never created; ids that the destination lacks are reported.

    Raises
    ------
    PropenseError
        Unknown destination, no scores yet, or a table or column that is not there.
    """
    destination = config.destinations.get(name)
    if destination is None:
        raise ConfigurationError(
            f"There is no destination '{name}'.",
            allowed=listed(config.destinations) or "none is configured",
            todo=nearest(name, config.destinations) or "add a section [destinations.<name>]",
        )
    if not destination.fields:
        raise ConfigurationError(
            f"[destinations.{name}] names no fields.",
            allowed="column of scores.parquet = column of the destination",
        )
    scores, levels = _scores(folder, destination)
    return _to_sqlite(name, destination, config.root / destination.path, scores, levels)


def _scores(folder: Path, destination: Destination) -> tuple[pd.DataFrame, Levels | None]:
    """Return the newest scores, and the levels of the bands that they were decided by."""
    path = folder / "scores.parquet"
    if not path.exists():
        raise DataError("There are no scores yet.", where=str(path), todo="run `propense score` first")
    unknown = [c for c in destination.fields if c not in SCORES.names]
    if unknown:
        raise ConfigurationError(
            f"scores.parquet has no columns {listed(map(repr, unknown))}.", allowed=listed(SCORES.names, 20)
        )
    table = pq.read_table(path)
    metadata = table.schema.metadata or {}
    scores = table.to_pandas()
    asked = set(json.loads(metadata.get(b"asked", b"[]")))
    return scores.assign(asked=scores["lead_id"].isin(asked)), Levels.read(metadata)


def _rows(
    scores: pd.DataFrame, destination: Destination, levels: Levels | None, last: dict[str, str]
) -> pd.DataFrame:
    """Return what is to be written; a band that the lead had keeps it, as far as the hysteresis goes."""
    if levels is not None and "band" in destination.fields:
        scores = levels.settled(scores, last)
    return scores[["lead_id", *destination.fields]].map(_plain)


def _plain(value: Any) -> Any:
    """Return a value as a database column of text or numbers can hold it."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if hasattr(value, "__len__") and not isinstance(value, str):
        signs = {"up": "+", "down": "−"}
        return "; ".join(f"{signs[reason['direction']]} {reason['text']}" for reason in value)
    return value.item() if hasattr(value, "item") else value


def _last_bands(connection: sqlite3.Connection, destination: Destination) -> dict[str, str]:
    """Return the band last written for each lead, where the destination keeps it."""
    column = destination.fields.get("band")
    if column is None:
        return {}
    names = f"{_quoted(destination.key)}, {_quoted(column)}"
    found = connection.execute(f"SELECT {names} FROM {_quoted(destination.table)}")
    return {str(lead): str(band) for lead, band in found if lead is not None and band is not None}


def _to_sqlite(
    name: str, destination: Destination, path: Path, scores: pd.DataFrame, levels: Levels | None
) -> Delivered:
    if not path.exists():
        raise DeliveryError(
            "The database is not there.", where=f"destination '{name}': {path}",
            todo="correct `path`; it is relative to the configuration, or to PROPENSE_DATA if set",
        )  # fmt: skip
    connection = sqlite3.connect(path, timeout=30)
    try:
        _check_columns(connection, name, destination)
        sets = ", ".join(f"{_quoted(column)} = ?" for column in destination.fields.values())
        update = f"UPDATE {_quoted(destination.table)} SET {sets} WHERE {_quoted(destination.key)} = ?"
        missing = []
        with connection:  # one transaction: all of them or none
            connection.execute(
                "BEGIN IMMEDIATE"
            )  # between reading the last bands and writing, nobody else writes
            rows = _rows(scores, destination, levels, _last_bands(connection, destination))
            for lead_id, *values in rows.itertuples(index=False):
                if connection.execute(update, (*values, lead_id)).rowcount == 0:
                    missing.append(lead_id)
    except sqlite3.Error as error:
        raise DeliveryError(
            f"Nothing was written: {error}.", where=f"destination '{name}': {path}",
            todo="run `propense sync` again when the database can be written",
        ) from None  # fmt: skip
    finally:
        connection.close()
    if missing and len(missing) == len(scores):
        raise DeliveryError(
            f"None of the {len(scores):,} leads is in the table '{destination.table}'; nothing was written.",
            where=f"destination '{name}', key '{destination.key}', for example {missing[0]!r}",
            todo="correct `key`: the column that holds the same ids as the configured leads",
        )
    return Delivered(name, len(scores) - len(missing), missing)


def _check_columns(connection: sqlite3.Connection, name: str, destination: Destination) -> None:
    there = [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(destination.table)})")]
    wanted = [destination.key, *destination.fields.values()]
    absent = [column for column in wanted if column not in there]
    if absent:
        raise DeliveryError(
            f"The table '{destination.table}' has no columns {listed(map(repr, absent))}."
            if there
            else f"There is no table '{destination.table}'.",
            where=f"destination '{name}'",
            allowed=listed(there, 40),
            todo="add the columns to the CRM, or correct [destinations]",
        )


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
