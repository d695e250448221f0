"""Many rows into and out of the ledger's tables at once, as each database does it fastest."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pandas as pd
from psycopg import sql
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

# Rows that are turned into Python values at a time.
_CHUNK = 20_000


@dataclass(frozen=True)
class Delivery:
    """One lead's score on its way: the values by field of the destination, and where they go."""

    lead_id: str
    key: str
    sequence: int
    payload: dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Deliveries that were begun together and of which no result is recorded."""

    number: int
    job_id: str | None
    rows: list[Delivery]


@contextmanager
def staged(connection: Connection, like: Table, rows: pd.DataFrame) -> Iterator[Table]:
    """Give a temporary table with `rows`: their columns are columns of the table `like`."""
    columns = [Column(str(name), like.c[str(name)].type) for name in rows]
    stage = Table("propense_stage", MetaData(), *columns, prefixes=["TEMPORARY"])
    stage.create(connection)
    if connection.dialect.name == "postgresql":
        _copy(connection, stage, rows)
    else:
        marks = ", ".join("?" * len(columns))
        for chunk in _tuples(stage, rows):
            connection.exec_driver_sql(f"INSERT INTO {stage.name} VALUES ({marks})", chunk)
    yield stage
    stage.drop(connection)


def _copy(connection: Connection, stage: Table, rows: pd.DataFrame) -> None:
    session: Any = connection.connection.driver_connection
    with (
        session.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(stage.name))) as copy,
    ):
        for chunk in _tuples(stage, rows):
            for row in chunk:
                copy.write_row(row)


def _tuples(table: Table, rows: pd.DataFrame) -> Iterator[list[tuple[Any, ...]]]:
    """Return rows as plain Python values of the columns' types, missing ones as None, a chunk at a time."""
    for start in range(0, len(rows), _CHUNK):
        part = rows.iloc[start : start + _CHUNK]
        yield list(zip(*(_plain(part[column.name], column.type) for column in table.columns), strict=True))


def _plain(values: pd.Series, type_: Any) -> list[Any]:
    if isinstance(type_, Boolean):
        values = values.astype("boolean")
    elif isinstance(type_, BigInteger | Integer):
        values = values.astype("Int64")
    elif isinstance(type_, Float):
        values = pd.to_numeric(values)
    plain = values.astype(object)
    return plain.where(plain.notna(), None).tolist()


def frame(connection: Connection, statement: Select[Any]) -> pd.DataFrame:
    """Return what a SELECT finds: text as `str`, and numbers and booleans that may be missing as such."""
    found = connection.execute(statement).all()
    columns = list(zip(*found, strict=True)) if found else [()] * len(statement.selected_columns)
    return pd.DataFrame(
        {
            column.name: pd.Series(values, dtype=_dtype(column))
            for column, values in zip(statement.selected_columns, columns, strict=True)
        }
    )


def _dtype(column: Any) -> Any:
    if isinstance(column.type, Boolean):
        return "boolean" if column.nullable else "bool"
    if isinstance(column.type, BigInteger | Integer):
        return "Int64"
    return "float64" if isinstance(column.type, Float) else "str"


def deliveries(rows: Sequence[Any]) -> list[Delivery]:
    """Return rows of lead_id, key, sequence and payload as deliveries, in the order of lead_id."""
    # Sorted here: asked for the order, SQLite would go by the leads, through all batches, for every batch.
    rows = sorted(rows, key=itemgetter(0))
    # All payloads are read as one text: for half a million of them that takes half the time.
    payloads = json.loads(f"[{','.join([row[3] for row in rows])}]")
    return [Delivery(row[0], row[1], row[2], payload) for row, payload in zip(rows, payloads, strict=True)]


def among(connection: Connection, column: ColumnElement[str], names: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of any number of names."""
    if connection.dialect.name == "postgresql":
        # An array, not a join: it stays fast where the server knows nothing yet of rows that are new.
        return column == any_(bindparam(None, list(names), type_=ARRAY(Text)))
    text = bindparam(None, json.dumps(list(names)), type_=Text)
    return column.in_(select(func.json_each(text).table_valued("value", name="named").c.value))


def storable(reason: str) -> str:
    """Return a reason, which may come from anywhere, without what a database could not hold."""
    return reason.replace("\0", "").encode("utf-8", "replace").decode()[:2000]
