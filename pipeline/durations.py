"""Durations as people write them: ``"30d"``, ``"1h"``, ``"2w"``, ``"90m"``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([mhdw])\s*")


def parse_duration(value: Any) -> Any:
    """Turn ``"30d"``, ``"1h"``, ``"2w"`` or ``"90m"`` into a `timedelta`."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a duration as a number and m, h, d or w, for example "30d"')
    try:
        duration = timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        raise ValueError("a duration must be shorter than that") from None
    if duration <= timedelta(0):
        raise ValueError("a duration must be longer than nothing")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, in the largest unit that fits: ``30d``."""
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if duration % length == timedelta(0):
            return f"{duration // length}{unit}"
    return f"{duration / timedelta(minutes=1):g}m"


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
