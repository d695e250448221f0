"""CSV files as text columns: the separator and the names found here, the rows read by DuckDB.

DuckDB's own sniffer is not used: given one row that is too long or too short it may take that row
for the header and silently skip everything above it. With the columns fixed, such a row is an error
that names its line.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir

SEPARATORS = (",", ";", "\t", "|")
_LOOKED_AT = 20


class UnreadableCsvError(Exception):
    """A CSV file whose header cannot be read; the message says what and where."""


def read_csv(connection: Any, files: list[Path], separator: str | None) -> ir.Table:
    """Return the rows of CSV files as text columns; files with other columns are united by name.

    Raises
    ------
    UnreadableCsvError
        A file is not UTF-8 text, or its first records cannot be split.
    duckdb.Error
        A row has too many or too few cells.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[Path]] = {}
    for file in files:
        alike.setdefault(_dialect(file, separator), []).append(file)
    tables = [_read(connection, paths, *dialect) for dialect, paths in alike.items()]
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    if len(tables) == 1:
        return tables[0]
    return ibis.union(*(_with_columns(table, names) for table in tables))


def _read(connection: Any, files: list[Path], separator: str, names: tuple[str, ...]) -> ir.Table:
    return connection.read_csv(
        [str(file) for file in files], columns=dict.fromkeys(names, "VARCHAR"), auto_detect=False,
        header=True, delim=separator, quote='"', escape='"',
    )  # fmt: skip


def _with_columns(table: ir.Table, names: list[str]) -> ir.Table:
    nothing = ibis.null("string")
    return table.select(**{name: table[name] if name in table.columns else nothing for name in names})


def _dialect(file: Path, separator: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the separator and the column names of a file, from its first records."""
    try:
        found = {s: _first_records(file, s) for s in ([separator] if separator else SEPARATORS)}
    except UnicodeDecodeError as error:
        raise UnreadableCsvError(f"{file.name} is not UTF-8: {error.reason}") from None
    except csv.Error as error:
        raise UnreadableCsvError(f"{file.name}: {error}") from None

    def even(records: list[list[str]]) -> tuple[bool, int]:
        """Rank a separator: that every record has as many cells as the first, then how many."""
        width = len(records[0]) if records else 0
        return width > 1 and all(len(r) == width for r in records), width

    best = max(found, key=lambda s: even(found[s]))
    if not found[best] or not found[best][0]:
        raise UnreadableCsvError(
            f"{file.name} is empty, or its first line is: the first line names the columns"
        )
    return best, _names(found[best][0])


def _first_records(file: Path, separator: str) -> list[list[str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        records = csv.reader(stream, delimiter=separator)
        header = list(itertools.islice(records, 1))
        return header + [record for record in itertools.islice(records, _LOOKED_AT) if record]


def _names(header: list[str]) -> tuple[str, ...]:
    """Give each column a name of its own, whatever its case: DuckDB does not tell ``A`` from ``a``."""
    names: list[str] = []
    for place, given in enumerate(header, 1):
        name = wanted = given.strip() or f"column {place}"
        again = itertools.count(1)
        while name.lower() in {n.lower() for n in names}:
            name = f"{wanted}_{next(again)}"
        names.append(name)
    return tuple(names)
