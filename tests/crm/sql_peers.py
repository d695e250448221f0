"""Tables as peers: SQLite, DuckDB and PostgreSQL, with an audit kept by the database itself."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crm.peers import Held, Peer

FIELDS = {
    "propensity": "p", "score": "points", "band": "band", "grade": "grade", "sales_ready": "ready",
    "reasons": "why", "as_of": "scored at", "run_id": "run id", "run_sequence": "run",
}  # fmt: skip
OTHERS = {"name": "Zoë O'Hara", "lifecycle": "opportunity", "owner": 42}
TABLE = "Le ads"
# The check makes a poison of any row: it takes no score as long as it is poisoned.
CREATE = f"""
CREATE TABLE "{TABLE}" (
    id {{key}} PRIMARY KEY, name {{text}}, lifecycle {{text}}, owner INTEGER,
    p {{real}}, points INTEGER, band {{text}}, grade {{text}}, ready BOOLEAN, why {{text}},
    "scored at" {{time}}, "run id" {{text}}, run BIGINT,
    poisoned BOOLEAN NOT NULL DEFAULT FALSE, CHECK (NOT poisoned OR points IS NULL));
"""


class SqlPeer(Peer):
    """A table of leads."""

    fields = FIELDS
    others = OTHERS
    unknown = ("999999999",)

    @abstractmethod
    def execute(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> list[tuple[Any, ...]]:
        """Run a statement once for each row of values, and return what the last one finds."""

    def seed(self, count: int) -> list[str]:
        start = len(self.records())
        keys = [str(start + number) for number in range(1, count + 1)]
        rows = [(key, *self.others.values()) for key in keys]
        marks = ", ".join([self.mark] * 4)
        self.execute(f'INSERT INTO "{TABLE}" (id, name, lifecycle, owner) VALUES ({marks})', rows)
        return keys

    mark = "?"
    # How the columns of times are read.
    times = ("scored at",)
    shown = '"{}"'

    def records(self) -> Held:
        names = ["id", *self.others, *self.fields.values(), "poisoned"]
        listed = ", ".join(self.shown.format(name) if name in self.times else f'"{name}"' for name in names)
        found = self.execute(f'SELECT {listed} FROM "{TABLE}" ORDER BY id')
        return {str(row[0]): dict(zip(names[1:], map(plain, row[1:]), strict=True)) for row in found}

    def poison(self, key: str) -> None:
        self.execute(f'UPDATE "{TABLE}" SET poisoned = TRUE WHERE id = {self.mark}', [(key,)])

    def heal(self, key: str) -> None:
        self.execute(f'UPDATE "{TABLE}" SET poisoned = FALSE WHERE id = {self.mark}', [(key,)])

    def delete(self, key: str) -> None:
        self.execute(f'DELETE FROM "{TABLE}" WHERE id = {self.mark}', [(key,)])


class SQLitePeer(SqlPeer):
    """A table in a SQLite database; triggers keep the audit."""

    type = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "crm.sqlite"
        self.execute(CREATE.format(key="TEXT", text="TEXT", real="REAL", time="TEXT"))
        self.execute("CREATE TABLE audit (number INTEGER PRIMARY KEY, id TEXT, field TEXT)")
        for number, name in enumerate(self.fields.values()):
            self.execute(
                f'CREATE TRIGGER audit_{number} AFTER UPDATE OF "{name}" ON "{TABLE}" '
                f'WHEN OLD."{name}" IS NOT NEW."{name}" '
                f"BEGIN INSERT INTO audit (id, field) VALUES (NEW.id, '{name}'); END"
            )

    def settings(self, port: int | None = None) -> dict[str, Any]:
        return {"path": str(self.path), "table": TABLE, "key": "id"}

    def execute(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as database, database:
            found: list[tuple[Any, ...]] = []
            for row in rows:
                found = database.execute(statement, row).fetchall()
        return found

    def effects(self) -> list[tuple[str, str]]:
        return [(key, field) for key, field in self.execute("SELECT id, field FROM audit ORDER BY number")]


class DuckDBPeer(SqlPeer):
    """A table in a DuckDB database, which knows no triggers."""

    type = "duckdb"
    shown = 'CAST("{}" AS VARCHAR)'  # the Python client would need a package for time zones

    def __init__(self, folder: Path) -> None:
        self.path = folder / "crm.duckdb"
        self.execute(CREATE.format(key="TEXT", text="TEXT", real="DOUBLE", time="TIMESTAMPTZ"))

    def settings(self, port: int | None = None) -> dict[str, Any]:
        return {"path": str(self.path), "table": TABLE, "key": "id"}

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import duckdb

        with closing(duckdb.connect(self.path)) as database:
            database.execute("SET TimeZone = 'UTC'")
            yield database

    def execute(self, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        with self._open() as database:
            for row in rows:
                found = database.execute(statement, list(row)).fetchall()
        return found

    def effects(self) -> None:
        return None


def plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
