"""Columns of the user's tables brought to canonical types: text, numbers, and times in UTC."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
from ibis import _

from features.errors import ConfigurationError
from pipeline.config import Table
from pipeline.source.engine import Raw
from pipeline.source.findings import Findings

_DATE = r"^\d{4}-\d{2}-\d{2}$"
_OFFSET = r"\d{1,2}:\d{2}.*(Z|z|UTC|[+-]\d{2}(:?\d{2})?)$"
_CLOCK_DIRECTIVES = ("%H", "%I", "%X", "%c", "%T", "%R", "%s")


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp(6)"), "timestamp('UTC', 6)"))
def _instant(zone: str, wall_clock):  # type: ignore[no-untyped-def]
    """Return the instant at which clocks in `zone` show `wall_clock`."""


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC', 6)"), "timestamp(6)"))
def _wall_clock(zone: str, instant):  # type: ignore[no-untyped-def]
    """Return what clocks in `zone` show at `instant`."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp(6)"))
def _parsed(text, form):  # type: ignore[no-untyped-def]
    """Return a text read by a strptime format, or null."""


def text(raw: Raw, column: str, config: Table) -> ir.StringColumn:
    """Return a column as trimmed text, null where it is empty or means "no value"."""
    value = raw.table[column].cast("string").strip()
    return ibis.cases((value.isin(["", *config.missing]), ibis.null("string")), else_=value)


def local(instant: ir.TimestampColumn, zone: str) -> ir.TimestampColumn:
    """Return the wall clock of `zone` for naive UTC times."""
    return _wall_clock(zone, instant.cast("timestamp('UTC', 6)"))


@dataclass(frozen=True)
class Time:
    """A time column being read: its UTC value and what may be wrong with it, all per row."""

    column: str
    value: ir.TimestampColumn
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
        return _formatted(column, source, given, config.time_format, zone)
    if source.type().is_date():
        return Time(column, _end_of_day(source, zone), given, never, always)
    if source.type().is_timestamp():
        if source.type().timezone is not None:
            return Time(column, _utc(source), given, always, never)
        return Time(column, _utc(_instant(zone, source.cast("timestamp(6)"))), given, never, never)
    date_only, has_offset = given.re_search(_DATE), given.re_search(_OFFSET)
    value = ibis.cases(
        (date_only, _end_of_day(given.try_cast("date"), zone)),
        (has_offset, _utc(given.try_cast("timestamp('UTC', 6)"))),
        else_=_utc(_instant(zone, given.try_cast("timestamp(6)"))),
    )
    return Time(column, value, given, has_offset, date_only)


def _formatted(column: str, source: ir.Column, given: ir.StringColumn, form: str, zone: str) -> Time:
    never, always = ibis.literal(False), ibis.literal(True)
    if form in ("epoch_s", "epoch_ms"):
        number = given.try_cast("int64")
        value = number.as_timestamp(form.removeprefix("epoch_")).cast("timestamp(6)")
        return Time(column, value, given, always, never)
    if "%" not in form:
        raise ConfigurationError(
            f"time_format = '{form}' is not a format.",
            allowed='a strptime format such as "%d/%m/%Y %H:%M", "epoch_s" or "epoch_ms"',
        )
    parsed = _parsed(given, form)
    if "%z" in form:
        return Time(column, parsed, given, always, never)
    if any(d in form for d in _CLOCK_DIRECTIVES):
        return Time(column, _utc(_instant(zone, parsed)), given, never, never)
    return Time(column, _end_of_day(parsed.date(), zone), given, never, always)


def _end_of_day(date: ir.DateColumn, zone: str) -> ir.TimestampColumn:
    next_midnight = date.cast("timestamp(6)") + ibis.interval(days=1)
    return _utc(_instant(zone, next_midnight))


def _utc(instant: ir.TimestampColumn) -> ir.TimestampColumn:
    """Return naive UTC; the engine's own zone is UTC, so the cast only drops the zone."""
    return instant.cast("timestamp(6)")


def check_times(raw: Raw, times: list[Time], now: object, findings: Findings, required: set[str]) -> None:
    """Record times that cannot be read, are missing, lie in the future, or mix zones."""
    latest = ibis.literal(now, "timestamp(6)")
    measures = {"rows": _.count()}
    for i, t in enumerate(times):
        unread = t.given.notnull() & t.value.isnull()
        future = t.value > latest
        naive = t.value.notnull() & ~t.has_offset & ~t.date_only
        measures |= {
            f"unread {i}": unread.sum().fill_null(0),
            f"unread example {i}": t.given.max(where=unread),
            f"absent {i}": t.given.isnull().sum(),
            f"future {i}": future.sum().fill_null(0),
            f"future example {i}": t.given.max(where=future),
            f"offset {i}": (t.given.notnull() & t.has_offset).sum().fill_null(0),
            f"naive {i}": naive.sum().fill_null(0),
            f"naive example {i}": t.given.max(where=naive),
            f"dates {i}": (t.given.notnull() & t.date_only).sum().fill_null(0),
        }
    row = raw.table.aggregate(**measures).to_pyarrow().to_pylist()[0]
    for i, t in enumerate(times):
        numbers = {key.removesuffix(f" {i}"): row[key] for key in row if key.endswith(f" {i}")}
        _record(raw, t.column, row["rows"], numbers, findings, required)


def _record(
    raw: Raw, column: str, rows: int, found: dict[str, object], findings: Findings, required: set[str]
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
