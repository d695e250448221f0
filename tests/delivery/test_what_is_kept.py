"""What a CRM holds is what was sent, though not bit by bit; and what it held before is not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.delivery.likeness import same, unlike

AT = "2026-06-30T10:00:00+00:00"
LONG = "+ asked for a quote; − 1000+ employees; + read a case study"


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        (None, None),
        (None, ""),
        ("", None),
        (None, float("nan")),
        (True, True),
        (True, "true"),
        (True, "1"),
        (True, 1),
        (False, "False"),
        (False, 0.0),
        (7, 7),
        (7, "7"),
        (7, 7.0),
        (7, "7.0"),
        (0, "0"),
        (0.25, "0.25"),
        (0.254321, 0.25),
        (0.254321, Decimal("0.2543")),
        (0.001, 0.0),
        (0.0, "0"),
        (-1.234567, "-1.23"),
        ("mql", "mql"),
        ("mql", " mql "),
        ("3", 3),
        (LONG, LONG[:40]),
        (AT, AT),
        (AT, "2026-06-30T10:00:00Z"),
        (AT, "2026-06-30T12:00:00.000+0200"),
        (AT, "2026-06-30 10:00:00"),
        (AT, "1782813600000"),
        (AT, 1782813600000),
        (AT, datetime(2026, 6, 30, 10)),
        (AT, datetime(2026, 6, 30, 10, tzinfo=UTC)),
        (AT, date(2026, 6, 30)),
        (AT, "2026-06-30"),
        ("2026-06-30T10:00:00.123456+00:00", "2026-06-30T10:00:00.123Z"),
        ("2026-06-30T10:00:00.900000+00:00", datetime(2026, 6, 30, 10)),
    ],
)
def test_the_same(sent: Any, held: Any) -> None:
    assert same(sent, held)


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        (None, 0),
        (None, "mql"),
        (0, None),
        (0.0, ""),
        (False, None),
        (True, "no"),
        (True, 0),
        (False, "true"),
        (7, 8),
        (7, 7.4),
        (7, "seven"),
        (0.25, 0.26),
        (0.25, None),
        (0.5, True),
        ("mql", "MQL"),
        ("mql", "nurture"),
        ("mql", "mql, nurture"),  # more than was sent
        (LONG, LONG + "; + demo"),
        (LONG, LONG[:19]),
        ("nurture", "nurt"),
        (AT, "2026-06-30T10:00:01Z"),
        (AT, "2026-06-30T10:00:00+02:00"),
        (AT, "2026-07-01"),
        (AT, "tomorrow"),
        ("run 7", 7),
        ("12", "13"),
    ],
)
def test_not_the_same(sent: Any, held: Any) -> None:
    assert not same(sent, held)


def test_a_shorter_text_may_be_the_one_before() -> None:
    assert not same(LONG, "+ asked for a quote; − 1000+ employees", cut=False)
    assert same(LONG, LONG, cut=False)
    assert same(AT, "2026-06-30", cut=False)  # a day is no cut text


def test_the_fields_that_differ_are_named() -> None:
    sent = {"band": "mql", "points": 50, "why": None, "text": LONG}
    assert unlike(sent, {"band": "mql", "points": "51", "text": LONG[:38]}) == ["points"]
    assert unlike(sent, {"band": "mql", "points": "50", "text": LONG[:38]}, cut=False) == ["text"]
    assert unlike(sent, {}) == ["band", "points", "text"]
