"""Canonical tables for the tests, from small texts or from the bpic2012 log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from features.tables import Attribute, Tables

STAMP = pa.timestamp("us")
ACTIVITY = pa.schema(
    [
        ("lead_id", pa.string()),
        ("occurred_at", STAMP),
        ("known_at", STAMP),
        ("occurred_local", STAMP),
        ("kind", pa.string()),
        ("actor", pa.string()),
        ("asset", pa.string()),
        ("channel", pa.string()),
        ("value", pa.float64()),
    ]
)
SNAPSHOT = pa.schema(
    [("snapshot", pa.int64()), ("lead_id", pa.string()), ("as_of", STAMP), ("as_of_local", STAMP)]
)


def table(rows: list[dict], schema: pa.Schema) -> ir.Table:
    return ibis.memtable(pa.Table.from_pylist(rows, schema=schema))


def rows_of(text: str) -> list[dict[str, str | None]]:
    """Read ``a | b`` lines under a header line; ``-`` is missing."""
    header, *lines = [line for line in text.strip().splitlines() if line.strip()]
    names = [name.strip() for name in header.split("|")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [dict(zip(names, (None if c == "-" else c for c in row), strict=True)) for row in cells]


def when(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def activities(text: str) -> ir.Table:
    """Columns lead_id, occurred_at, kind; optionally known_at, actor, asset, channel, value."""
    rows = []
    for row in rows_of(text):
        at = when(row["occurred_at"])
        value = row.get("value")
        rows.append(
            {
                "lead_id": row["lead_id"],
                "occurred_at": at,
                "known_at": when(row.get("known_at")) or at,
                "occurred_local": when(row.get("occurred_local")) or at,
                "kind": row["kind"],
                "actor": row.get("actor") or "lead",
                "asset": row.get("asset"),
                "channel": row.get("channel"),
                "value": None if value is None else float(value),
            }
        )
    return table(rows, ACTIVITY)


def snapshots(text: str) -> ir.Table:
    rows = [
        {
            "snapshot": int(row["snapshot"] or 0),
            "lead_id": row["lead_id"],
            "as_of": when(row["as_of"]),
            "as_of_local": when(row.get("as_of_local") or row["as_of"]),
        }
        for row in rows_of(text)
    ]
    return table(rows, SNAPSHOT)


def leads(text: str, numbers: tuple[str, ...] = ()) -> ir.Table:
    """Columns lead_id, created_at, email_domain and attributes; `numbers` are read as floats."""
    rows = rows_of(text)
    fields = [
        ("lead_id", pa.string()),
        ("account_id", pa.string()),
        ("created_at", STAMP),
        ("email_domain", pa.string()),
    ]
    extra = [name for name in rows[0] if name not in dict(fields)]
    fields += [(name, pa.float64() if name in numbers else pa.string()) for name in extra]
    for row in rows:
        row["created_at"] = when(row["created_at"])  # type: ignore[assignment]
        for name in numbers:
            row[name] = None if row[name] is None else float(row[name])  # type: ignore[assignment,arg-type]
    return table(rows, pa.schema(fields))


def bpic2012(
    folder: Path, ages_days: tuple[int, ...] = (1, 3, 7, 14), most: int | None = None
) -> tuple[Tables, ir.Table]:
    """The loan applications as canonical tables and their snapshots at some ages.

    The zone is taken to be UTC; every part of the event's name is kept (`W_... START`), its
    resource is the asset, its lifecycle the channel, and the amount asked for the value.
    """
    con = duckdb.connect()
    con.execute("SET threads = 2; SET TimeZone = 'UTC'")
    source = folder / "bpic2012"
    con.execute(f"""
        CREATE TABLE leads AS
        SELECT case_id::VARCHAR AS lead_id, NULL::VARCHAR AS account_id, reg_date::TIMESTAMP AS created_at,
               NULL::VARCHAR AS email_domain, amount_req::DOUBLE AS amount
        FROM read_csv('{source / "applications.csv"}') ORDER BY case_id {f"LIMIT {most}" if most else ""}""")
    con.execute(f"""
        CREATE TABLE activities AS
        SELECT case_id AS lead_id, "timestamp"::TIMESTAMP AS occurred_at, "timestamp"::TIMESTAMP AS known_at,
               "timestamp"::TIMESTAMP AS occurred_local, activity AS kind,
               CASE WHEN starts_with(activity, 'A_') THEN 'lead' ELSE 'marketing' END AS actor,
               resource AS asset, lifecycle AS channel, amount AS value
        FROM read_parquet('{source / "events.parquet"}') e JOIN leads l ON l.lead_id = e.case_id""")
    ages = ", ".join(f"({days})" for days in ages_days)
    con.execute(f"""
        CREATE TABLE snapshots AS
        SELECT row_number() OVER (ORDER BY created_at, lead_id, days) - 1 AS snapshot, lead_id,
               created_at + to_days(days) AS as_of, created_at + to_days(days) AS as_of_local
        FROM leads, (VALUES {ages}) ages(days)""")
    backend = ibis.duckdb.from_connection(con)
    attributes = (Attribute("amount", "number"),)
    tables = Tables(backend.table("leads"), backend.table("activities"), (), attributes)
    return tables, backend.table("snapshots")


def column(values: ir.Table, name: str, by: str = "snapshot") -> dict:
    """One column of a table, as a dictionary by its key."""
    found = values.select(by, name).to_pyarrow()
    return dict(zip(found[by].to_pylist(), found[name].to_pylist(), strict=True))


__all__ = ["activities", "bpic2012", "column", "leads", "pc", "rows_of", "snapshots", "table", "when"]
