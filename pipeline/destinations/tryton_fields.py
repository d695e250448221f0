"""What the fields of a Tryton model hold, and how values are written to them and read from them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.destinations.base import Value

_Given = str | int | float | bool
_DAY = ("year", "month", "day")
_CLOCK = ("hour", "minute", "second", "microsecond")


@dataclass(frozen=True)
class Field:
    """One field of a model.

    `size` is how many characters it holds, `decimals` how many decimal places; None: as many as one likes.
    ``options`` are the values of a selection, None if only the server knows them.
    """

    kind: str
    size: int | None = None
    decimals: int | None = None
    options: frozenset[str] | None = None

    @classmethod
    def of(cls, definition: dict[str, Any]) -> Field:
        """Return what a definition of ``fields_get`` says."""
        size, options = definition.get("size"), definition.get("selection")
        digits = json.loads(
            definition.get("digits") or "null"
        )  # may also be an expression, or a field's name
        decimals = digits[1] if isinstance(digits, list) and len(digits) == 2 else None
        return cls(
            kind=definition["type"],
            size=size if isinstance(size, int) else None,
            decimals=decimals if isinstance(decimals, int) else None,
            options=frozenset(str(value) for value, _ in options) if isinstance(options, list) else None,
        )

    @property
    def usable(self) -> bool:
        """Whether a value of a score can be in it at all."""
        return self.kind in _ENCODE

    def encode(self, value: Value) -> Any:
        """Return a value as it goes over the wire.

        Raises
        ------
        ValueError
            It does not fit, in words for people. Tryton would refuse it, and all others with it, or
            worse, store something else.
        """
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        return _ENCODE[self.kind](self, value)

    def decode(self, value: Any) -> Value:
        """Return a value of an answer."""
        if value is None:
            return None
        if self.kind == "boolean":  # 0 and 1, where the database has no booleans
            return bool(value)
        if self.kind == "numeric":
            return float(value["decimal"])
        if self.kind == "date":
            return "{:04}-{:02}-{:02}".format(*(value[part] for part in _DAY))
        if self.kind in ("datetime", "timestamp"):
            return datetime(*(value[part] for part in _DAY + _CLOCK), tzinfo=UTC).isoformat()  # type: ignore[misc]
        plain: Value = value
        return plain

    def _boolean(self, value: _Given) -> bool:
        if value not in (True, False):
            raise ValueError(f"{value!r} is neither true nor false")
        return bool(value)

    def _integer(self, value: _Given) -> int:
        if not float(value).is_integer():
            raise ValueError(f"{value!r} is no whole number")
        return int(value)

    def _float(self, value: _Given) -> float:
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{value!r} is no number")
        return number if self.decimals is None else round(number, self.decimals)

    def _numeric(self, value: _Given) -> dict[str, str]:
        return {"__class__": "Decimal", "decimal": str(Decimal(repr(self._float(value))))}

    def _text(self, value: _Given) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if self.size is not None and len(text) > self.size:
            raise ValueError(f"{len(text)} characters, and there is room for {self.size}")
        if self.options is not None and text not in self.options:
            raise ValueError(f"{text!r} is not one of its options")
        return text

    def _date(self, value: _Given) -> dict[str, Any]:
        return {"__class__": "date", **_parts(value, _DAY)}

    def _datetime(self, value: _Given) -> dict[str, Any]:
        return {"__class__": "datetime", **_parts(value, _DAY + _CLOCK)}


_ENCODE: dict[str, Callable[[Field, _Given], Any]] = {
    "boolean": Field._boolean,
    "integer": Field._integer,
    "float": Field._float,
    "numeric": Field._numeric,
    "char": Field._text,
    "text": Field._text,
    "fulltext": Field._text,
    "selection": Field._text,
    "date": Field._date,
    "datetime": Field._datetime,
    "timestamp": Field._datetime,
}


def _parts(value: _Given, names: tuple[str, ...]) -> dict[str, int]:
    """Return the parts of a time, in UTC, as Tryton keeps all times."""
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo:
        moment = moment.astimezone(UTC)
    return {name: getattr(moment, name) for name in names}
