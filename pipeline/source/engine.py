"""The embedded DuckDB that holds one run's tables, and the reading of files into it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir

from features.errors import DataError, listed, nearest
from pipeline.config import Table
from pipeline.source.delimited import UnreadableCsvError, read_csv


class Engine:
    """One DuckDB in memory, in UTC, whose tables live as long as this object."""

    def __init__(self, threads: int = 2) -> None:
        self.connection = ibis.duckdb.connect(threads=threads)
        self.connection.raw_sql("SET TimeZone = 'UTC'")
        # In a notebook without ipywidgets DuckDB refuses even to be asked; it then draws none anyway.
        with contextlib.suppress(duckdb.InvalidInputException):
            self.connection.raw_sql("SET enable_progress_bar = false")
        self._kept = 0

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute `expression` now and keep it as a table, so that it is computed once."""
        self._kept += 1
        return self.connection.create_table(f"{name} {self._kept}", expression, temp=True)


@dataclass(frozen=True)
class Raw:
    """A user's table as it is, before anything is mapped: text for CSV, its own types for Parquet."""

    name: str
    path: Path
    table: ir.Table

    @property
    def place(self) -> str:
        """How messages name this table."""
        return f"{self.name} ({self.path.name})"

    def need(self, columns: dict[str, str | None]) -> None:
        """Raise one error that names every column of `columns` (role: name) that is not there."""
        absent = {role: c for role, c in columns.items() if c is not None and c not in self.table.columns}
        if not absent:
            return
        hints = [nearest(c, self.table.columns) for c in absent.values()]
        raise DataError(
            f"The table has no column {listed(repr(c) for c in absent.values())} "
            f"(configured as {listed(absent)}).",
            where=f"{self.name}: {self.path}",
            allowed=f"columns of the file: {listed(self.table.columns, 40)}",
            todo=" ".join(h for h in hints if h) or "correct the column's name in the configuration",
        )


def open_table(engine: Engine, name: str, config: Table, root: Path) -> Raw:
    """Open a CSV or Parquet file, or a folder of one kind, as text columns or with its own types.

    Raises
    ------
    DataError
        The file is missing, is of another kind, cannot be read, or has no rows.
    """
    path = root / config.table
    kind, files = _files(name, path)
    try:
        if kind == "parquet":
            table = engine.connection.read_parquet([str(f) for f in files], union_by_name=True)
        else:
            table = read_csv(engine.connection, files, config.separator)
        kept = engine.keep(f"raw {name}", table)
        empty = kept.count().execute() == 0
    except (duckdb.Error, UnreadableCsvError) as error:
        raise DataError(
            f"The file cannot be read as {kind.upper()}: {_what(error)}.",
            where=f"{name}: {path}",
            todo="export it again; for CSV check the separator (`separator`) and that it is saved as UTF-8",
        ) from None
    if empty:
        raise DataError(
            "The table is empty: it has no rows.",
            where=f"{name}: {path}",
            todo="export it again, or remove the section if there is nothing to give",
        )
    return Raw(name, path, kept)


def _what(error: Exception) -> str:
    """Return the lines of DuckDB's message that tell what and where, without the row: it may be personal."""
    telling = re.compile(r"CSV Error|Expected Number|[Ii]nvalid|unterminated|maximum|file = ")
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if telling.search(line) and not line.startswith(("Original", "Possible"))]
    return "; ".join(told[:4] or lines[:1]).rstrip(".")


def _files(name: str, path: Path) -> tuple[str, list[Path]]:
    """Return the kind and the files of a path; a folder holds files of one kind."""
    if not path.exists():
        near = nearest(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [])
        raise DataError(
            f"There is no file '{path.name}'.",
            where=f"{name}: {path}",
            todo=near or "correct the path; it is relative to the configuration, or to PROPENSE_DATA if set",
        )
    suffixes = {".csv": "csv", ".txt": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet"}
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    kinds = {suffixes[p.suffix.lower()] for p in files if p.suffix.lower() in suffixes}
    if len(kinds) != 1:
        raise DataError(
            f"'{path.name}' holds {' and '.join(sorted(kinds)) or 'no'} files that can be read.",
            where=f"{name}: {path}",
            allowed="one .csv or .parquet file, or a folder with files of one of these kinds",
        )
    kind = kinds.pop()
    return kind, [p for p in files if suffixes.get(p.suffix.lower()) == kind]
