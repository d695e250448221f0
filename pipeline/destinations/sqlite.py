"""A table in a SQLite database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline.destinations.base import Fatal, Kind, Problem, Refused, Retriable, Value
from pipeline.destinations.columns import Column, Holds, cast_to
from pipeline.destinations.sql import SqlTable, Table, TableSettings, Target, quoted

_WAIT = 10  # seconds for a database that another program is writing to
_REFUSED = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


class SQLiteSettings(TableSettings):
    """A table in a SQLite database."""

    type: Literal["sqlite"] = "sqlite"
    path: str = Field(description="the database file, relative to this file")


class SQLite(SqlTable):
    """A table in a SQLite database (3.33 or later). Times are ISO 8601 text, booleans 1 and 0."""

    settings_class = SQLiteSettings
    settings: SQLiteSettings
    distinct = "IS NOT"
    if_not_exists = ""  # SQLite has no such words, but only one writer at a time
    rehearsal = ""  # there are no such triggers, and an explanation overlooks that a file is read-only
    types: ClassVar[dict[Kind, str]] = {
        "number": "REAL", "integer": "INTEGER", "boolean": "BOOLEAN", "text": "TEXT", "long_text": "TEXT",
        "choice": "TEXT", "time": "TEXT",
    }  # fmt: skip

    @contextmanager
    def transaction(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        """Open the database for one transaction; who writes keeps others from writing."""
        path = (self.root / self.settings.path).resolve()
        if not path.is_file():
            raise Fatal(f"There is no database {path}.", todo="correct `path`; none is made")
        with self.problems():
            uri = f"{path.as_uri()}?mode=rw"  # which never makes one
            with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    with suppress(sqlite3.Error):  # what cannot be undone any more is when it is closed
                        if connection.in_transaction:
                            connection.execute("ROLLBACK")

    def missing(self) -> list[str]:
        """Return the fields that are not there. SQLite needs to write beside the file, too."""
        folder = (self.root / self.settings.path).resolve().parent
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise Fatal(f"Nothing may be written in {folder}.", todo="make the folder writable")
        return super().missing()

    def look(self, connection: sqlite3.Connection) -> Table:
        """Return the table and its columns."""
        table = self.settings.table
        find = (
            "SELECT type FROM main.sqlite_master WHERE lower(name) = lower(?) AND type IN ('table', 'view')"
        )
        found = connection.execute(find, (table,)).fetchone()
        if found is None:
            raise Fatal(f"There is no table '{table}' in {self.settings.path}.", todo="correct `table`")
        if found[0] == "view":
            raise Fatal(f"'{table}' is a view, which SQLite cannot update.", todo="name the table behind it")
        listing = "SELECT name, type, hidden FROM pragma_table_xinfo(?, 'main')"
        columns = [
            Column(name, _affinity(type_), writable=not hidden)  # hidden: it is computed
            for name, type_, hidden in connection.execute(listing, (table,))
        ]
        return Table(f"main.{quoted(table)}", {self.folded(column.name): column for column in columns})

    def stage(self, connection: sqlite3.Connection, target: Target, rows: Iterable[tuple[Any, ...]]) -> None:
        """Copy the rows."""
        # As the table's columns, these turn what they are given into numbers or text; the key is left alone.
        columns = "".join(f", {quoted(c.name)} AS c{i}" for i, c in enumerate(target.columns))
        connection.execute(
            "CREATE TEMP TABLE propense_staging AS "
            f"SELECT +0 AS n, +0 AS k{columns} FROM {target.sql} WHERE 0"
        )
        marks = ", ".join("?" * (2 + len(target.columns)))
        connection.executemany(f"INSERT INTO {self.staging} VALUES ({marks})", rows)

    def folded(self, name: str) -> str:
        """Return a name in lower case: here names do not differ by it."""
        return name.lower()

    def canonical(self, key: str, holds: Holds) -> str | int | None:
        """Return the key as the column holds it; a column of numbers holds other texts, too."""
        found = super().canonical(key, holds)
        if found is None:  # a column of numbers may hold any text but one that looks like a number
            with suppress(ValueError):
                float(key)
                return None
            return key
        return found

    def cast(self, column: Column) -> Callable[[Value], Value]:
        """Return the function that makes values fit a column: here one of numbers takes anything."""
        return cast_to("text" if column.holds == "text" else "other")

    def classify(self, error: Exception) -> Problem | None:
        """Return what an error means, by its code (sqlite.org/rescode.html)."""
        return _meaning(error, self.settings.path)


def _meaning(error: Exception, path: str) -> Problem | None:
    if isinstance(error, UnicodeEncodeError | OverflowError | sqlite3.DataError):
        return Refused("a value that SQLite cannot store")
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or code is None:
        return None
    if code & 0xFF in _REFUSED:
        return Refused(str(error))
    if code & 0xFF in _BUSY:
        return Retriable(f"The database is in use: {error}.")
    return Fatal(f"SQLite: {error}.", todo=f"see to {path}", applied=True)


def _affinity(declared: str) -> Holds:
    """Return what SQLite makes of values in a column of a declared type (sqlite.org/datatype3.html)."""
    name = declared.upper()
    if "INT" not in name:
        if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
            return "text"
        if "BLOB" in name or not name:
            return "other"
    return "number"  # whole or not: it stores both
