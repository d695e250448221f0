"""The part of SOQL that the emulator understands: columns of one object, and conditions joined by AND."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_QUERY = re.compile(
    r"\s*select\s+(?P<columns>.+?)\s+from\s+(?P<kind>\w+)"
    r"(?:\s+where\s+(?P<where>.+?))?"
    r"(?:\s+order\s+by\s+[\w, ]+?)?(?:\s+limit\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(
    r"\s*(?P<name>[\w.]+)\s*(?:=\s*(?P<one>'[^']*'|[\w.+:-]+)|\s+in\s*\((?P<many>[^)]*)\))\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Query:
    """What is asked for: the columns of an object, which records by allowed values, and how many."""

    kind: str
    fields: list[str]
    where: Mapping[str, list[Any]]
    count: bool
    limit: int | None


def parse(text: str) -> Query:
    """Return what a query asks for. Raises ValueError if it is not understood."""
    found = _QUERY.fullmatch(text)
    if found is None:
        raise ValueError(f"unexpected token: {text[:40]!r}")
    columns = [name.strip() for name in found["columns"].split(",")]
    count = columns[0].lower() == "count()"
    where = {}
    for condition in re.split(r"\s+and\s+", found["where"] or "", flags=re.IGNORECASE):
        if condition.strip():
            name, values = _condition(condition)
            where[name] = values
    limit = int(found["limit"]) if found["limit"] else None
    return Query(found["kind"], [] if count else columns, where, count, limit)


def _condition(text: str) -> tuple[str, list[Any]]:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(f"unexpected token: {text[:40]!r}")
    given = [found["one"]] if found["one"] else found["many"].split(",")
    return found["name"], [_literal(one.strip()) for one in given]


def _literal(text: str) -> Any:
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1]
    named = {"true": True, "false": False, "null": None}
    if text.lower() in named:
        return named[text.lower()]
    return float(text)
