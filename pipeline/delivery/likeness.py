"""Does a destination hold what it was sent? Compared the way a CRM may store it, not bit by bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.destinations.base import Value

# A field of two decimals holds a propensity well enough; one without decimals does not.
_NEAR, _SHARE = 0.006, 0.01
# A shorter text is none that was cut: fields for text are longer, and it may be the one before.
_SHORTEST = 32
# What is left out of a time, by whoever keeps no fractions of a second.
_FRACTION = timedelta(seconds=1)


def same(sent: Value, held: Any, *, cut: bool = True) -> bool:
    """Return whether `held` is `sent` as a CRM may keep it.

    Empty text is no value; numbers and booleans may be text; floats may be rounded; times are compared as
    moments to the second, or by their day; a text may be cut, but not where `cut` is False: what is left
    may also be the text before. No value may be held as False: a checkbox knows nothing else.
    """
    if _nothing(sent) or _nothing(held):
        return _nothing(sent) and (_nothing(held) or (_truth(held) is False and not _is_number(held)))
    if isinstance(sent, bool):
        return _truth(held) is sent
    if isinstance(sent, int | float):
        return _same_number(sent, held)
    return _same_text(str(sent).strip(), held, cut) or _same_time(str(sent), held)


def unlike(sent: Mapping[str, Value], held: Mapping[str, Any], *, cut: bool = True) -> list[str]:
    """Return the fields in which `held` is not what was sent; `cut` as for `same`."""
    return [name for name, value in sent.items() if not same(value, held.get(name), cut=cut)]


def _nothing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _is_number(value: Any) -> bool:
    """Return whether a value is a number: 0 is a score, and no empty checkbox."""
    return not isinstance(value, bool) and str(value).strip().replace(".", "", 1).isdigit()


def _truth(value: Any) -> bool | None:
    text = str(value).strip().lower()
    return (
        True if text in {"true", "1", "t", "1.0"} else False if text in {"false", "0", "f", "0.0"} else None
    )


def _same_number(sent: int | float, held: Any) -> bool:
    try:
        number = float(held)
    except (TypeError, ValueError):
        return False
    if isinstance(sent, int):
        return number == sent
    return math.isclose(number, sent, rel_tol=_SHARE, abs_tol=_NEAR)


def _same_text(sent: str, held: Any, cut: bool) -> bool:
    text = str(held).strip()
    return text == sent or (cut and len(text) >= _SHORTEST and sent.startswith(text))


def _same_time(sent: str, held: Any) -> bool:
    moment, text = None if sent.isdigit() else _moment(sent), str(held).strip()
    if moment is None:  # a version may look like a number of milliseconds
        return False
    if text == moment.date().isoformat():
        return True
    other = _moment(held.isoformat() if isinstance(held, datetime) else text)
    return other is not None and abs(moment - other) < _FRACTION


def _moment(text: str) -> datetime | None:
    try:
        if text.isdigit():  # milliseconds since 1970
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
