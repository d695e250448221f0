"""Rows merged into an Arrow table by their keys: those that are there are updated, the others added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.destinations.base import Fatal, Refused, Row, Value
from pipeline.destinations.columns import Holds, cast_to

# The rows that can be written, by key, each with its cells in the order of the columns that are written.
Fitted = dict[str, tuple[Row, list[Value]]]


@dataclass
class Merged:
    """What came of a merge: the new table, keys that hold a later run's values, and refused ones."""

    table: Any = None
    newer: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


def merged(
    held: Any, rows: Sequence[Row], key: str, types: Mapping[str, Any], sequence: str | None
) -> Merged:
    """Merge rows into a table.

    Parameters
    ----------
    held
        An Arrow table. Its rows stay in their order, and new ones follow; so do its columns, and those
        that are not in `types` stay as they are and are empty in new rows.
    key
        The column that identifies a row, of texts or whole numbers. All rows that have it are updated.
    types
        By column, the key among them: the Arrow type that it has if it is not in `held`.
    sequence
        The column whose number, if it is above a row's sequence, keeps the row from being written.

    Raises
    ------
    Fatal
        A column of `held` cannot hold our values.
    """
    import pyarrow as pa

    types = {name: _type(held, name, type_) for name, type_ in types.items()}
    result = Merged()
    fitted = _fitted(rows, key, types, result)
    origin, source = _places(held, fitted, key, sequence, result)
    # A cell is the written row's, else that of the row that was there; ours are behind theirs.
    size, both = held.num_rows, zip(origin, source, strict=True)
    cells = pa.array([there if ours is None else size + ours for there, ours in both], pa.int64())
    columns = {name: held[name] for name in held.schema.names}
    for n, (name, type_) in enumerate(types.items()):
        theirs = columns[name].cast(type_).chunks if name in columns else [pa.nulls(size, type_)]
        ours_ = _array([values[n] for _, values in fitted.values()], type_, name)
        columns[name] = pa.chunked_array([*theirs, ours_], type_).take(cells)
    for name in set(columns) - set(types):
        columns[name] = columns[name].take(pa.array(origin, pa.int64()))
    result.table = pa.table(columns)
    return result


def keys_of(table: Any, key: str) -> list[str | None]:
    """Return the keys of a table's rows, as text."""
    return [None if value is None else str(value) for value in table[key].to_pylist()]


def _type(held: Any, name: str, otherwise: Any) -> Any:
    """Return the type of a column as it is there; words may be kept in a dictionary, ours are not."""
    import pyarrow as pa

    found = held.schema.field(name).type if name in held.schema.names else otherwise
    found = found.value_type if pa.types.is_dictionary(found) else found
    return otherwise if pa.types.is_null(found) else found


def _holds(type_: Any) -> Holds:
    import pyarrow as pa

    judged: dict[Holds, bool] = {
        "integer": pa.types.is_integer(type_),
        "number": pa.types.is_floating(type_) or pa.types.is_decimal(type_),
        "boolean": pa.types.is_boolean(type_),
        "text": pa.types.is_string(type_) or pa.types.is_large_string(type_),
        "date": pa.types.is_date(type_),
        "time": pa.types.is_timestamp(type_) and type_.tz is None,
        "zoned time": pa.types.is_timestamp(type_) and type_.tz is not None,
    }
    return next((holds for holds, so in judged.items() if so), "other")


def _fitted(rows: Sequence[Row], key: str, types: Mapping[str, Any], result: Merged) -> Fitted:
    """Return the rows that the columns can hold; note the others as refused."""
    key_holds = _holds(types[key])
    if key_holds not in ("text", "integer"):
        raise Fatal(
            f"The column '{key}' of the file holds neither texts nor whole numbers.", todo="correct `key`"
        )
    casts = [(name, cast_to(_holds(type_))) for name, type_ in types.items()]
    fitted: Fitted = {}
    for row in rows:
        if row.key in fitted:
            result.refused[row.key] = "another row is written to the same record"
        elif key_holds == "integer" and not _is_number(row.key):
            result.refused[row.key] = f"the column '{key}' holds whole numbers only"
        else:
            try:
                fitted[row.key] = row, [to(row.key if n == key else row.values[n]) for n, to in casts]
            except Refused as problem:
                result.refused[row.key] = problem.text
    return fitted


def _is_number(key: str) -> bool:
    """Return whether a key is a whole number of 64 bits, written in the one way that it is read back."""
    return key.lstrip("-").isdecimal() and len(key) < 20 and str(int(key)) == key and abs(int(key)) < 2**63


def _places(
    held: Any, fitted: Fitted, key: str, sequence: str | None, result: Merged
) -> tuple[list[int | None], list[int | None]]:
    """Return for each row of the new table: which row there it was, and which row that is written it is."""
    places = defaultdict(list)
    for place, name in enumerate(keys_of(held, key)):
        places[name].append(place)
    guarded = sequence is not None and sequence in held.schema.names
    sequences = held[sequence].to_pylist() if guarded else [None] * held.num_rows
    origin: list[int | None] = list(range(held.num_rows))
    source: list[int | None] = [None] * held.num_rows
    for n, (name, (row, _)) in enumerate(fitted.items()):
        for place in places.get(name, ()):
            if _sequence(sequences[place]) > row.sequence:
                result.newer.add(name)
            else:
                source[place] = n
        if name not in places:
            origin.append(None)
            source.append(n)
    return origin, source


def _sequence(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("-inf")


def _array(values: list[Value], type_: Any, name: str) -> Any:
    import pyarrow as pa

    holds = _holds(type_)
    try:
        if holds == "other":  # Arrow would take a text for a list of letters
            return pa.array(values, pa.null()).cast(type_)
        if holds in ("time", "zoned time", "date") or any(isinstance(value, str) for value in values):
            return pa.array(values, pa.string()).cast(type_)
        if pa.types.is_decimal(type_):
            return pa.array(values, pa.float64()).cast(type_)
        return pa.array(values, type_)
    except pa.ArrowException:
        raise Fatal(
            f"The column '{name}' of the file holds {type_}, and ours does not fit into it.",
            todo="correct the fields, or take the file away: then a new one is made",
        ) from None
