"""What tables in SQL databases share: rows go to a temporary table, and from there in one statement.

That statement updates, in one transaction, the records that hold an older run's values, and only those in
which something differs; so a later run is never overwritten, whatever was read before, and a batch that
is sent again changes nothing and fires no trigger. Nothing is ever inserted into the user's table.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field, model_validator

from features.errors import listed, nearest
from pipeline.destinations.base import (
    Destination,
    Fatal,
    Job,
    Kind,
    Problem,
    Record,
    Refused,
    Row,
    Settings,
    Value,
    Written,
)
from pipeline.destinations.columns import Column, Holds, cast_to, plain

_INTEGER = re.compile(r"[+-]?[0-9]+")


class TableSettings(Settings):
    """A table in a database."""

    table: str
    key: str = Field(description="the column that holds what identifies a record")

    @model_validator(mode="after")
    def _key_stays(self) -> TableSettings:
        if self.key in self.fields.values():
            raise ValueError(
                f"'{self.key}' identifies the record and is never written: take it out of fields"
            )
        return self


@dataclass(frozen=True)
class Table:
    """The user's table: its name as SQL, and its columns by their `SqlTable.folded` name."""

    sql: str
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Target:
    """What of the user's table is written: the key, and the columns in the order of the fields.

    `sequence` is the place of the run sequence among the columns, None if it is not mapped.
    """

    sql: str
    key: Column
    columns: Sequence[Column] = ()
    sequence: int | None = None


class SqlTable(Destination):
    """A table in a database; subclasses say how to connect, what is there, and how rows are staged.

    A key that occurs in several rows stands for all of them. Texts that are empty become NULL; times are
    stored in UTC where a column knows no zone. Every method raises `Problem` and nothing else, unless
    there is a defect.
    """

    settings: TableSettings
    compares = True
    staging: ClassVar[str] = "temp.propense_staging"
    distinct: ClassVar[str] = "IS DISTINCT FROM"
    if_not_exists: ClassVar[str] = "IF NOT EXISTS"
    # What is said before an update of nothing: triggers of the statement are not to hear of it.
    rehearsal: ClassVar[str] = "EXPLAIN"
    grant: ClassVar[str] = "make it writable"
    # The type of a column that is created, by the kind of its field.
    types: ClassVar[Mapping[Kind, str]]

    @abstractmethod
    def transaction(self, *, writing: bool) -> AbstractContextManager[Any]:
        """Give a connection; what the block does is committed if it ends well, and else undone."""

    @abstractmethod
    def look(self, connection: Any) -> Table:
        """Return the user's table as it is now. Raises `Fatal` if it is not there, or cannot be used."""

    @abstractmethod
    def stage(self, connection: Any, target: Target, rows: Iterable[tuple[Any, ...]]) -> None:
        """Make the temporary table `staging` and fill it.

        Its columns are n (a number), k (the key, comparable with the user's), c0, c1, ... (of the types
        of the target's columns); `rows` are in that order.
        """

    def folded(self, name: str) -> str:
        """Return what names of the same column have in common; here they are case-sensitive."""
        return name

    def canonical(self, key: str, holds: Holds) -> str | int | None:
        """Return a key as a column holds it, None if such a column cannot hold it."""
        if holds in ("integer", "number"):
            number = int(key) if len(key) < 40 and _INTEGER.fullmatch(key) else None
            return number if number is not None and -(2**63) <= number < 2**63 else None
        if holds == "uuid":
            try:
                return str(UUID(key))
            except ValueError:
                return None
        return key

    def cast(self, column: Column) -> Callable[[Value], Value]:
        """Return the function that makes values fit a column. It raises `Refused`."""
        return cast_to(column.holds, column.longest)

    def batch(self, total: int) -> int:
        """Return how many rows are written in one transaction."""
        return 100_000

    def missing(self) -> list[str]:
        """Return the fields that are not there; all that writing needs is tried, but for writing."""
        with self.transaction(writing=True) as connection:
            table = self.look(connection)
            absent = [name for name in self.fields if self.folded(name) not in table.columns]
            target = self._target(table, [name for name in self.fields if name not in absent])
            self._check(target)
            if target.columns:  # the database itself says what else is in the way, before any row is
                self.stage(connection, target, [])
                connection.execute(f"{self.rehearsal} {self._update(target)}").fetchall()
        return absent

    def create_fields(self, fields: Mapping[str, Kind]) -> None:
        """Add columns, but for those that somebody else has added by now."""
        with self.transaction(writing=True) as connection:
            table = self.look(connection)
            for name, kind in fields.items():
                if self.folded(name) not in table.columns:
                    connection.execute(
                        f"ALTER TABLE {table.sql} ADD COLUMN {self.if_not_exists} "
                        f"{quoted(name)} {self.types[kind]}"
                    )

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the records; of several of a key, one that holds the oldest run's values."""
        with self.transaction(writing=False) as connection:
            target = self._target(self.look(connection), self.fields)
            staged = [(n, self.canonical(key, target.key.holds)) for n, key in enumerate(keys)]
            self.stage(
                connection, Target(target.sql, target.key), (row for row in staged if row[1] is not None)
            )
            found = connection.execute(self._select(target)).fetchall()
        names = self.fields
        return {
            keys[n]: Record(keys[n], dict(zip(names, map(plain, values), strict=True)))
            for n, *values in found
        }

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        """Update the records in one transaction, where they hold an older run's values."""
        with self.transaction(writing=True) as connection:
            target = self._target(self.look(connection), self.fields)
            staged, refused, gone = self._staged(rows, target)
            self.stage(connection, target, staged)
            connection.execute(self._update(target))
            rest = connection.execute(self._unwritten(target)).fetchall()
        newer = {rows[n].key for n, absent, later in rest if later}
        gone |= {rows[n].key for n, absent, later in rest if absent}
        # A trigger kept it from being written, or changed it: reading it back shows which.
        unconfirmed = {rows[n].key for n, absent, later in rest if not absent and not later} - newer
        return Written(refused=refused, gone=gone, newer=newer, unconfirmed=unconfirmed)

    @contextmanager
    def problems(self) -> Iterator[None]:
        """Turn the database's errors into problems, and tell nothing of what it says about other data."""
        try:
            yield
        except Problem:
            raise
        except Exception as error:
            problem = self.classify(error)
            if problem is None:
                raise
            raise problem from None

    def _staged(
        self, rows: Sequence[Row], target: Target
    ) -> tuple[list[tuple[Any, ...]], dict[str, str], set[str]]:
        """Return what is staged of the rows; who is refused, and why; whose key cannot be there."""
        casts = [(name, self.cast(c)) for name, c in zip(self.fields, target.columns, strict=True)]
        staged: dict[str | int, tuple[Any, ...]] = {}
        refused, gone = {}, set()
        for n, row in enumerate(rows):
            key = self.canonical(row.key, target.key.holds)
            if key is None:
                gone.add(row.key)
            elif key in staged:
                refused[row.key] = "another row of the batch is written to the same record"
            else:
                try:
                    staged[key] = (n, key, *[to(row.values[name]) for name, to in casts])
                except Refused as problem:
                    refused[row.key] = problem.text
        return list(staged.values()), refused, gone

    def _target(self, table: Table, fields: Sequence[str]) -> Target:
        """Return what is written. Raises `Fatal` if the key or one of the fields is not there."""
        names = [column.name for column in table.columns.values()]
        found = []
        for name in (self.settings.key, *fields):
            column = table.columns.get(self.folded(name))
            if column is None:
                raise Fatal(
                    f"The table '{self.settings.table}' has no column '{name}'.",
                    todo=nearest(name, names) or f"it has {listed(names, 20)}",
                )
            found.append(column)
        sequence = self.settings.sequence_field
        place = list(fields).index(sequence) if sequence is not None and sequence in fields else None
        return Target(table.sql, found[0], found[1:], place)

    def _check(self, target: Target) -> None:
        barred = [c.name for c in target.columns if not (c.readable and c.writable)]
        barred += [] if target.key.readable else [target.key.name]
        if barred:
            raise Fatal(
                f"The columns {listed(map(repr, barred))} of the table '{self.settings.table}' may not be "
                "read and written.",
                todo=self.grant,
            )
        if target.sequence is not None:
            column = target.columns[target.sequence]
            if column.holds not in ("integer", "number", "other"):
                raise Fatal(
                    f"The column '{column.name}' holds no numbers, and the run sequence is compared as one.",
                    todo="give it a type of whole numbers",
                )

    def _match(self, key: Column) -> str:
        """Return the condition that a row t of the table is the one a staged row s is for."""
        name = f"t.{quoted(key.name)}"
        comparable = key.holds in ("integer", "number", "text", "uuid")
        return f"{name if comparable else f'CAST({name} AS VARCHAR)'} = s.k"

    def _conditions(self, target: Target) -> tuple[str, str]:
        """Return the conditions that a record differs from what is staged, and that a later run wrote it."""
        pairs = [(f"t.{quoted(c.name)}", f"s.c{i}") for i, c in enumerate(target.columns)]
        differs = " OR ".join(f"{there} {self.distinct} {ours}" for there, ours in pairs)
        later = "FALSE"
        if target.sequence is not None:
            there, ours = pairs[target.sequence]
            later = f"COALESCE({there} > {ours}, FALSE)"
        return f"({differs})", later

    def _update(self, target: Target) -> str:
        sets = ", ".join(f"{quoted(c.name)} = s.c{i}" for i, c in enumerate(target.columns))
        differs, later = self._conditions(target)
        return (
            f"UPDATE {target.sql} AS t SET {sets} FROM {self.staging} AS s "
            f"WHERE {self._match(target.key)} AND NOT {later} AND {differs}"
        )

    def _unwritten(self, target: Target) -> str:
        """Return the query for staged rows that are not in the table as staged: n, no record, later."""
        differs, later = self._conditions(target)
        absent = f"t.{quoted(target.key.name)} IS NULL"
        return (
            f"SELECT s.n, {absent}, {later} FROM {self.staging} AS s "
            f"LEFT JOIN {target.sql} AS t ON {self._match(target.key)} WHERE {absent} OR {differs}"
        )

    def _select(self, target: Target) -> str:
        """Return the query for n and the values of staged keys; of several records the oldest comes last."""
        names = [f"t.{quoted(c.name)}" for c in target.columns]
        zoned = (c.holds == "zoned time" for c in target.columns)
        values = [f"{name} AT TIME ZONE 'UTC'" if z else name for name, z in zip(names, zoned, strict=True)]
        order = "" if target.sequence is None else f" ORDER BY {names[target.sequence]} DESC NULLS LAST"
        return (
            f"SELECT {', '.join(['s.n', *values])} FROM {self.staging} AS s "
            f"JOIN {target.sql} AS t ON {self._match(target.key)}{order}"
        )


def quoted(identifier: str) -> str:
    """Return a name as SQL, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'
