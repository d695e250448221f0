"""What columns of databases hold, and how values are made to fit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from pipeline.destinations.base import Refused, Value

# What a column holds. "other" takes what it is given, and as a key is compared as text.
Holds = Literal["integer", "number", "boolean", "text", "time", "zoned time", "date", "uuid", "other"]


@dataclass(frozen=True)
class Column:
    """A column of the user's table; `readable` and `writable` for whom we sign in as.

    `longest` is how many characters it holds, None for any number.
    """

    name: str
    holds: Holds
    longest: int | None = None
    readable: bool = True
    writable: bool = True


def plain(value: Any) -> Value:
    """Return what a database gave as destinations give it: times as ISO 8601 text in UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def text(value: Value) -> str | None:
    """Return a value as text; booleans as true and false, and nothing for an empty text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None or value == "" else str(value)


def cast_to(holds: Holds, longest: int | None = None) -> Callable[[Value], Value]:
    """Return the function that makes a value fit a column of at most `longest` characters.

    It raises `Refused`, per value, where no value of that kind would fit: cheaper than to have a database
    refuse the batch, and it names the value's column type instead of rounding without a word.
    """
    if holds == "text" and longest is not None:
        return lambda value: _short(text(value), longest)
    functions: dict[Holds, Callable[[Value], Value]] = {
        "text": text, "boolean": _boolean, "integer": _whole, "number": _number,
        "time": _time, "zoned time": lambda value: _time(value, "+00:00"), "date": _date,
    }  # fmt: skip
    return functions.get(holds, _filled)


def _filled(value: Value) -> Value:
    return None if value == "" else value


def _short(value: str | None, longest: int) -> str | None:
    if value is not None and len(value) > longest:
        raise Refused(f"a text of {len(value)} characters, and the column holds {longest}")
    return value


def _boolean(value: Value) -> Value:
    known = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}
    if value is None or value == "":
        return None
    try:
        return known[str(int(value) if isinstance(value, float) else value).lower()]
    except (KeyError, ValueError, OverflowError):
        raise Refused(
            f"{_shown(value)} is neither true nor false, and the column holds nothing else"
        ) from None


def _number(value: Value) -> Value:
    if isinstance(value, str) and value:
        try:
            float(value)
        except ValueError:
            raise Refused(f"{_shown(value)} is no number, and the column holds nothing else") from None
    return int(value) if isinstance(value, bool) else _filled(value)


def _whole(value: Value) -> Value:
    number = _number(value)
    if isinstance(number, float):
        if not number.is_integer():  # some databases would round it, and say nothing
            raise Refused(f"{number} is no whole number, and the column holds nothing else")
        return int(number)
    return number


@lru_cache  # the leads of a run were all seen at the same moment
def _time(value: Value, zone: str = "") -> Value:
    """Return an ISO 8601 time in UTC, followed by `zone`; a time without a zone is in UTC already."""
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise Refused(f"{_shown(value)} is no time, and the column holds nothing else") from None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat(" ") + zone


def _date(value: Value) -> Value:
    moment = _time(value)
    return moment[:10] if isinstance(moment, str) else moment


def _shown(value: Value) -> str:
    return f"'{str(value)[:20]}'"
