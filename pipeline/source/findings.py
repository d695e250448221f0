"""What reading the data found: mistakes, rows left out, and notes, kept to be shown next to results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from features.errors import DataError

_ADDRESS = re.compile(r"[^@\s'\"]+@[^@\s'\"]+")

Level = Literal["error", "left out", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing found in one table: what, where, how many rows, and an example value."""

    level: Level
    table: str
    message: str
    column: str = ""
    rows: int = 0
    example: str = ""

    def __post_init__(self) -> None:
        # Findings are printed and kept in train.json: no e-mail address may get there.
        object.__setattr__(self, "example", _ADDRESS.sub("an e-mail address", self.example))

    def __str__(self) -> str:
        place = f"{self.table}, column '{self.column}'" if self.column else self.table
        count = f", {self.rows:,} rows" if self.rows else ""
        example = f", for example {self.example}" if self.example else ""
        return f"{place}: {self.message}{count}{example}"


@dataclass
class Findings:
    """Everything found while reading one project's data.

    `tolerate` is the share of a table's rows that may be bad and left out (counted) instead of
    stopping the run.
    """

    tolerate: float = 0.0
    items: list[Finding] = field(default_factory=list)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    def error(self, table: str, message: str, **more: Any) -> None:
        """Record a mistake that stops training and scoring."""
        self.items.append(Finding("error", table, message, **more))

    def left_out(self, table: str, message: str, **more: Any) -> None:
        """Record rows or columns that are left out, which is shown and stops nothing."""
        self.items.append(Finding("left out", table, message, **more))

    def note(self, table: str, message: str, **more: Any) -> None:
        """Record something worth knowing."""
        self.items.append(Finding("note", table, message, **more))

    def bad_rows(self, table: str, message: str, *, rows: int, of: int, **more: Any) -> None:
        """Record bad rows: an error, or left out where their share is within `tolerate`."""
        if rows == 0:
            return
        within = rows <= self.tolerate * max(of, 1)
        (self.left_out if within else self.error)(table, message, rows=rows, **more)

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop the run."""
        return [f for f in self.items if f.level == "error"]

    def raise_errors(self) -> None:
        """Raise one `DataError` that lists every mistake found so far."""
        errors = self.errors
        if not errors:
            return
        what = f"{len(errors)} things are" if len(errors) > 1 else "One thing is"
        rows_only = all(f.rows for f in errors)
        raise DataError(
            f"{what} wrong with the data:\n" + "\n".join(f"  - {f}" for f in errors),
            todo="correct the file or the configuration; `propense check` shows every table"
            + ("; or set [checks] tolerate to leave out a small share of bad rows" if rows_only else ""),
        )

    def as_records(self) -> list[dict[str, Any]]:
        """Plain dictionaries for ``train.json``."""
        return [asdict(f) for f in self.items]
