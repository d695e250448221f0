"""Columns of the user's tables brought to canonical types: text, numbers, and times in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import ibis
import ibis.expr.types as ir
from ibis import _

from features.errors import ConfigurationError
from pipeline.config import Table
from pipeline.source.engine import Raw
from pipeline.source.findings import Findings

_DATE = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}$"
# Whatever follows the clock must be read as an offset or zone: DuckDB's plain timestamp would
# silently drop it, and read "10:00 PM" as 10:00.
_OFFSET = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*[A-Za-z+-]"
_MIDNIGHT = r"[T ]00:00(:00(\.0+)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
_CLOCK_DIRECTIVE = re.compile(r"%-?[HIXcTRs]")
# Earlier times are placeholders ("0001-01-01") or two-digit years, not something that happened.
_EARLIEST = datetime(1900, 1, 1)
_EPOCHS = {"epoch_s": ("s", 1), "epoch_ms": ("ms", 1000)}
_EPOCH_SECONDS = (-2_208_988_800, 253_402_300_799)  # 1900 to 9999


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp(6)"), "timestamp('UTC', 6)"))
def _instant(zone: str, wall_clock):  # type: ignore[no-untyped-def]
    """Return the instant at which clocks in `zone` show `wall_clock`."""


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC', 6)"), "timestamp(6)"))
def _wall_clock(zone: str, instant):  # type: ignore[no-untyped-def]
    """Return what clocks in `zone` show at `instant`."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp(6)"))
def _parsed(text, form):  # type: ignore[no-untyped-def]
    """Return a text read by a strptime format without a zone, or null."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp('UTC', 6)"))
def _parsed_instant(text, form):  # type: ignore[no-untyped-def]
    """Return a text read by a strptime format with a zone, or null."""


def text(raw: Raw, column: str, config: Table) -> ir.StringColumn:
    """Return a column as trimmed text, null where it is empty or means "no value".

    Whole numbers are written without a point whatever their type, so that the id 17 of one Parquet
    file, the 17.0 of another (where a missing id made the column floating) and the text "17" join.
    """
    source = raw.table[column]
    value = source.cast("string").strip()
    if source.type().is_floating() or source.type().is_decimal():
        value = value.re_replace(r"\.0+$", "").nullif("nan")
    return ibis.cases((value.isin(["", *config.missing]), ibis.null("string")), else_=value)


def some_values(raw: Raw, value: ir.StringValue, where: ir.BooleanValue, most: int = 50) -> list[str]:
    """Return, in order, up to `most` different values of the rows in question."""
    found = raw.table.filter(where).select(v=value).distinct().order_by("v").limit(most)
    return found.v.execute().tolist()


def as_number(given: ir.StringValue, config: Table) -> ir.FloatingValue:
    """Return text as numbers, null where it is none."""
    plain = given.replace(",", ".") if config.decimal == "," else given
    return plain.try_cast("float64")


def number(raw: Raw, column: str, config: Table, findings: Findings) -> ir.FloatingValue:
    """Return a column as numbers; text where a number should be is recorded, and null."""
    given = text(raw, column, config)
    value = as_number(given, config)
    bad = given.notnull() & value.isnull()
    found = raw.table.aggregate(
        rows=_.count(), bad=bad.sum().fill_null(0), example=given.max(where=bad)
    ).to_pyarrow()
    row = found.to_pylist()[0]
    findings.bad_rows(
        raw.place, "text where a number should be", column=column, rows=int(row["bad"]), of=row["rows"],
        example=repr(row["example"]),
    )  # fmt: skip
    return value


def utc(moment: datetime, zone: str) -> datetime:
    """Return a configured moment as naive UTC; without an offset it is on the wall clock of `zone`."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)


def local(instant: ir.TimestampColumn, zone: str) -> ir.TimestampColumn:
    """Return the wall clock of `zone` for naive UTC times."""
    return _wall_clock(zone, instant.cast("timestamp('UTC', 6)"))


@dataclass(frozen=True)
class Time:
    """A time column being read: its UTC value and what may be wrong with it, all per row.

    ``value`` is when it was known, ``earliest`` when it can have happened: the end and the start of
    the day for a date without a time, else both the same.
    """

    column: str
    value: ir.TimestampColumn
    earliest: ir.TimestampColumn
    given: ir.StringColumn
    has_offset: ir.BooleanColumn
    date_only: ir.BooleanColumn


def time(raw: Raw, column: str, config: Table, zone: str) -> Time:
    """Read a column as UTC times.

    Texts are ISO 8601 unless ``time_format`` says otherwise; those without an offset are taken on
    the wall clock of `zone`; a date without a time is known at the end of its day there.
    """
    given = text(raw, column, config)
    source = raw.table[column]
    never, always = ibis.literal(False), ibis.literal(True)
    if config.time_format is not None:
        return _formatted(raw, column, given, config.time_format, zone)
    if source.type().is_date():
        return _day(column, source, given, zone)
    if source.type().is_timestamp():
        if source.type().timezone is not None:
            return _moment(column, _utc(source), given, always)
        return _moment(column, _utc(_instant(zone, source.cast("timestamp(6)"))), given, never)
    date_only, has_offset = given.re_search(_DATE), given.re_search(_OFFSET)
    moment = ibis.cases(
        (has_offset, _utc(given.try_cast("timestamp('UTC', 6)"))),
        else_=_utc(_instant(zone, given.try_cast("timestamp(6)"))),
    )
    day = _day(column, given.try_cast("date"), given, zone)
    return Time(
        column,
        value=_plausible(ibis.ifelse(date_only, day.value, moment)),
        earliest=_plausible(ibis.ifelse(date_only, day.earliest, moment)),
        given=given,
        has_offset=has_offset,
        date_only=date_only,
    )


def _moment(
    column: str, value: ir.TimestampColumn, given: ir.StringColumn, has_offset: ir.BooleanValue
) -> Time:
    plausible = _plausible(value)
    return Time(column, plausible, plausible, given, has_offset, ibis.literal(False))


def _day(column: str, date: ir.DateColumn, given: ir.StringColumn, zone: str) -> Time:
    """Return a date without a time: known at the end of its day on the wall clock of `zone`."""
    midnight = date.cast("timestamp(6)")
    return Time(
        column,
        value=_plausible(_utc(_instant(zone, midnight + ibis.interval(days=1)))),
        earliest=_plausible(_utc(_instant(zone, midnight))),
        given=given,
        has_offset=ibis.literal(False),
        date_only=ibis.literal(True),
    )


def _plausible(value: ir.TimestampColumn) -> ir.TimestampColumn:
    return ibis.cases((value >= ibis.literal(_EARLIEST, "timestamp(6)"), value))


def _formatted(raw: Raw, column: str, given: ir.StringColumn, form: str, zone: str) -> Time:
    always = ibis.literal(True)
    if form in _EPOCHS:
        unit, a_second = _EPOCHS[form]
        first, last = (edge * a_second for edge in _EPOCH_SECONDS)
        number = given.try_cast("int64")
        sound = ibis.cases((number.between(first, last), number))
        return _moment(column, sound.as_timestamp(unit).cast("timestamp(6)"), given, always)
    _check_format(raw, given, form)
    if "%z" in form or "%Z" in form:
        return _moment(column, _utc(_parsed_instant(given, form)), given, always)
    parsed = _parsed(given, form)
    if _CLOCK_DIRECTIVE.search(form):
        return _moment(column, _utc(_instant(zone, parsed)), given, ibis.literal(False))
    return _day(column, parsed.date(), given, zone)


def _check_format(raw: Raw, given: ir.StringColumn, form: str) -> None:
    try:
        if "%" not in form:
            raise ValueError
        raw.table.limit(1).select(tried=_parsed_instant(given, form).cast("string")).to_pyarrow()
    except (ValueError, duckdb.Error):
        raise ConfigurationError(
            f"time_format = '{form}' is not a format.",
            where=f"{raw.name}: {raw.path}",
            allowed='a strptime format such as "%d/%m/%Y %H:%M", "epoch_s" or "epoch_ms"',
        ) from None


def _utc(instant: ir.TimestampColumn) -> ir.TimestampColumn:
    """Return naive UTC; the engine's own zone is UTC, so the cast only drops the zone."""
    return instant.cast("timestamp(6)")


def check_times(raw: Raw, times: list[Time], now: object, findings: Findings, required: set[str]) -> None:
    """Record times that cannot be read, are missing, lie in the future, or mix zones."""
    latest = ibis.literal(now, "timestamp(6)")
    parts = ("value", "earliest", "given", "has_offset", "date_only")
    seen = raw.table.select(**{f"{p} {i}": getattr(t, p) for i, t in enumerate(times) for p in parts})
    measures = {"rows": _.count()}
    for i in range(len(times)):
        value, earliest, given, has_offset, date_only = (seen[f"{p} {i}"] for p in parts)
        unread = given.notnull() & value.isnull()
        future = earliest > latest
        naive = value.notnull() & ~has_offset & ~date_only
        measures |= {
            f"unread {i}": unread.sum().fill_null(0),
            f"unread example {i}": given.max(where=unread),
            f"absent {i}": given.isnull().sum(),
            f"future {i}": future.sum().fill_null(0),
            f"future example {i}": given.max(where=future),
            f"offset {i}": (given.notnull() & has_offset).sum().fill_null(0),
            f"naive {i}": naive.sum().fill_null(0),
            f"naive example {i}": given.max(where=naive),
            f"dates {i}": (given.notnull() & date_only).sum().fill_null(0),
            f"midnights example {i}": given.max(),
            f"midnights {i}": given.re_search(_MIDNIGHT).sum().fill_null(0),
        }
    row = seen.aggregate(**measures).to_pyarrow().to_pylist()[0]
    for i, t in enumerate(times):
        numbers = {key.removesuffix(f" {i}"): row[key] for key in row if key.endswith(f" {i}")}
        _record(raw, t.column, row["rows"], numbers, findings, required)


def _record(
    raw: Raw, column: str, rows: int, found: dict[str, Any], findings: Findings, required: set[str]
) -> None:
    place, of = raw.place, rows
    findings.bad_rows(
        place, "times that cannot be read (see `time_format`)", column=column, of=of,
        rows=int(found["unread"]), example=repr(found["unread example"]),
    )  # fmt: skip
    findings.bad_rows(
        place, "times in the future", column=column, of=of,
        rows=int(found["future"]), example=repr(found["future example"]),
    )  # fmt: skip
    if column in required:
        findings.bad_rows(place, "times are missing", column=column, of=of, rows=int(found["absent"]))
    if found["offset"] and found["naive"]:
        findings.error(
            place, "mixed zones: some times have an offset, these have none; write all of them one way",
            column=column, rows=int(found["naive"]), example=repr(found["naive example"]),
        )  # fmt: skip
    if found["dates"]:
        findings.note(
            place, "dates without a time are taken as known at the end of their day",
            column=column, rows=int(found["dates"]),
        )  # fmt: skip
    if found["midnights"] and found["midnights"] == rows - int(found["absent"]):
        findings.note(
            place, "every time is midnight; if these are dates, say so with a time_format that has no hour, "
            "such as '%Y-%m-%d 00:00:00', and each is known at the end of its day only",
            column=column, rows=int(found["midnights"]), example=repr(found["midnights example"]),
        )  # fmt: skip
