"""What the emulator knows: records, fields, tokens, jobs, requests and the audit, in one SQLite file.

Every effect of a request is one transaction, so a killed emulator has all of it or none. Nothing is
flushed to the disk: the tests kill the process, not the machine.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
create table settings (name text primary key, value text not null);
create table records (
    object text, id text, place integer, data text not null, deleted integer not null default 0,
    merged_into text, created real, changed real, primary key (object, id));
create index records_by_place on records (place);
create table fields (object text, name text, place integer, definition text, primary key (object, name));
create table tokens (token text primary key, vendor text, expires real, revoked integer default 0);
create table audit (
    number integer primary key, time real, kind text, object text, record text, field text,
    old text, new text, request integer, effective integer);
create table requests (
    number integer primary key, time real, method text, path text, query text, status integer,
    rows integer, answered integer, counted integer, seconds real);
create index requests_by_time on requests (time);
create table faults (
    number integer primary key, definition text, seen integer, remaining integer, until real);
create table jobs (id text primary key, place integer, definition text, content text, results text);
create table cursors (id text primary key, records text);
create trigger audit_is_not_changed before update on audit
    begin select raise(abort, 'the audit is append-only'); end;
create trigger audit_is_not_deleted before delete on audit
    begin select raise(abort, 'the audit is append-only'); end;
"""
NOTE = (
    "insert into audit (time, kind, object, record, field, old, new, request, effective) "
    "values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Store:
    """The SQLite file, shared by the threads of the server: one writes at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = off")
        self._depth = 0
        if not self.rows("select 1 from sqlite_master where name = 'records'"):
            self.reset()

    def reset(self) -> None:
        """Forget everything, the audit too."""
        with self.transaction():
            names = [row["name"] for row in self.rows("select name from sqlite_master where type = 'table'")]
            for name in names:
                self.run(f"drop table {name}")
            for statement in _statements(SCHEMA):
                self.run(statement)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, also when the process is killed; may be nested."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("rollback")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("commit")

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        with self._lock:
            return self._db.execute(statement, values)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    # -- settings -------------------------------------------------------------------------------------

    def setting(self, name: str, default: Any) -> Any:
        found = self.rows("select value from settings where name = ?", (name,))
        return json.loads(found[0]["value"]) if found else default

    def set(self, name: str, value: Any) -> None:
        self.run("insert or replace into settings values (?, ?)", (name, json.dumps(value)))

    # -- fields ---------------------------------------------------------------------------------------

    def fields(self, kind: str) -> dict[str, dict[str, Any]]:
        found = self.rows("select name, definition from fields where object = ? order by place", (kind,))
        return {row["name"]: json.loads(row["definition"]) for row in found}

    def add_field(self, kind: str, name: str, definition: Mapping[str, Any]) -> None:
        place = self.rows("select count(*) as n from fields")[0]["n"]
        self.run(
            "insert or replace into fields values (?, ?, ?, ?)", (kind, name, place, json.dumps(definition))
        )

    def remove_field(self, kind: str, name: str) -> None:
        """Remove a field, and with it what the records hold in it."""
        with self.transaction():
            self.run("delete from fields where object = ? and name = ?", (kind, name))
            self.run("update records set data = json_remove(data, ?) where object = ?", (f'$."{name}"', kind))

    # -- records --------------------------------------------------------------------------------------

    def find(self, kind: str, identifier: str) -> dict[str, Any] | None:
        """Return ``{id, data, deleted, merged_into, created, changed}``, None if there never was one."""
        found = self.rows("select * from records where object = ? and id = ?", (kind, identifier))
        return _record(found[0]) if found else None

    def all(self, kind: str, deleted: bool = False) -> list[dict[str, Any]]:
        found = self.rows(
            "select * from records where object = ? and deleted <= ? order by place", (kind, int(deleted))
        )
        return [_record(row) for row in found]

    def next_place(self) -> int:
        return self.rows("select coalesce(max(place), 0) + 1 as n from records")[0]["n"]

    def insert(
        self, kind: str, identifier: str, data: Mapping[str, Any], request: int | None, how: str = "create"
    ) -> None:
        now = time.time()
        self.run(
            "insert into records values (?, ?, ?, ?, 0, null, ?, ?)",
            (kind, identifier, self.next_place(), json.dumps(data), now, now),
        )
        if request is not None:
            self.note(how, kind, identifier, None, None, None, request)

    def update(self, kind: str, identifier: str, changes: Mapping[str, Any], request: int) -> None:
        """Write `changes` to a record, and each field into the audit as effective or not."""
        record = self.find(kind, identifier)
        assert record is not None
        data = record["data"]
        now = time.time()
        rows = [
            (
                now, "update", kind, identifier, name, json.dumps(data.get(name)), json.dumps(new), request,
                int(_other(data.get(name), new)),
            )
            for name, new in changes.items()
        ]  # fmt: skip
        self._db.executemany(NOTE, rows)
        data.update(changes)
        self.run(
            "update records set data = ?, changed = ? where object = ? and id = ?",
            (json.dumps(data), time.time(), kind, identifier),
        )

    def retire(
        self, kind: str, identifier: str, request: int, into: str | None = None, how: str = "delete"
    ) -> None:
        """Delete a record, or merge it away into another."""
        self.run(
            "update records set deleted = 1, merged_into = ?, changed = ? where object = ? and id = ?",
            (into, time.time(), kind, identifier),
        )
        self.note(how, kind, identifier, None, None, into, request)

    # -- the audit and the log of requests ----------------------------------------------------------------

    def note(
        self,
        how: str,
        kind: str,
        identifier: str,
        field: str | None,
        old: Any,
        new: Any,
        request: int,
        effective: bool = True,
    ) -> None:
        values = (json.dumps(old), json.dumps(new), request, int(effective))
        self.run(NOTE, (time.time(), how, kind, identifier, field, *values))

    def audit(self, effective: bool) -> list[dict[str, Any]]:
        found = self.rows("select * from audit where effective = ? order by number", (int(effective),))
        return [{**dict(row), "old": json.loads(row["old"]), "new": json.loads(row["new"])} for row in found]

    def arrive(self, method: str, path: str, query: str) -> int:
        """Log a request and return its number, from 1."""
        with self.transaction():
            return int(
                self.run(
                    "insert into requests (time, method, path, query, answered, counted) "
                    "values (?, ?, ?, ?, 0, 0)",
                    (time.time(), method, path, query),
                ).lastrowid
                or 0
            )

    def leave(self, number: int, **values: Any) -> None:
        for name, value in values.items():
            self.run(f"update requests set {name} = ? where number = ?", (value, number))


def _record(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "data": json.loads(row["data"]), "deleted": bool(row["deleted"])}


def _other(old: Any, new: Any) -> bool:
    """Whether a value is another than before: what was never set is as good as cleared, or not ticked."""
    blank = [value is None or value is False or value == "" for value in (old, new)]
    return old != new and not all(blank)


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements; triggers hold semicolons of their own."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
