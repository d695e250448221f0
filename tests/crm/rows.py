"""Rows as the engine makes them, written past it, and compared with what a peer holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from crm.projects import Project, lead_of

from pipeline.delivery.likeness import unlike
from pipeline.destinations.base import Destination, Job, Row, Value, Written

LONG = "; ".join(f"+ reason number {number}: a page about prices" for number in range(1, 40))
# What people write, in every kind of field that takes text, and numbers at their edges.
SENT: dict[str, dict[str, Value]] = {
    "plain": {},
    "unicode": {"reasons": "+ Größe 1–5 €; − 見積もり 🙂 é", "grade": "Ä1"},
    "quotes": {"reasons": "+ O'Hara said \"no\"; -- DROP TABLE x; \\ {0} $1 %s ? <b>&amp;", "grade": "'\"1"},
    "lines": {"reasons": "+ first line\n− second line\twith a tab", "grade": "A1"},
    "spreadsheet": {"reasons": "=1+1, and; more", "grade": "-1"},
    "nothing": dict.fromkeys(("reasons", "grade", "band", "score", "propensity", "as_of")),
    "long": {"reasons": LONG[:1800]},
    "no": {"sales_ready": False, "score": 0, "propensity": 0.0, "band": "let_go"},
    "all": {"sales_ready": True, "score": 100, "propensity": 1.0},
    "small": {"propensity": 0.000001},
    "digits": {"propensity": 0.123457, "run_id": "0012e5"},
    "winter": {"as_of": "2026-01-31T23:59:59+00:00"},
}  # fmt: skip


def row(project: Project, key: str, sequence: int = 1, **columns: Value) -> Row:
    """Return a row as the engine makes one, with some columns changed."""
    given = dict(columns)
    chance = given.pop("chance", 0.25)
    assert isinstance(chance, float)
    values = project.values(chance, sequence=sequence)
    values |= {project.fields[column]: value for column, value in given.items()}
    return Row(lead_of(key), key, values, sequence)


@contextmanager
def opened(project: Project) -> Iterator[Destination]:
    with closing(project.destination()) as destination:
        yield destination


def write(project: Project, *rows: Row) -> Written:
    """Write past the engine, as one batch."""
    with opened(project) as destination:
        return destination.write(rows, Job())


def accepted(written: Written) -> bool:
    """Whether there is nothing to be said of any row."""
    return not (written.refused or written.gone or written.newer or written.unconfirmed)


def same(held: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Mapping[str, Value]]) -> bool:
    """Whether records hold what they should, compared as a CRM may keep it."""
    return set(held) == set(wanted) and not any(unlike(wanted[key], held[key]) for key in wanted)
