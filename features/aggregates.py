"""The aggregates over activities that engagement features need, and how their sums stay exact."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Literal

import ibis.expr.types as ir

from features.declare import Aggregate, Scope
from features.past import SATURDAY, SECONDS_A_DAY

# Sums of floats depend on the order in which threads add them up. Weights are therefore summed as
# integers, in units of 2**-32, and values in thousandths, up to 100 billion either way.
WEIGHT_UNITS = 2**32
VALUE_UNITS = 1000
MOST_VALUE = 1e11

WORKING_HOURS = (9, 18)


def _whole(condition: ir.BooleanValue) -> ir.IntegerValue:
    return condition.cast("int64")


def within(scope: Scope, days: float, *, since: float = 0.0) -> Aggregate:
    """Count of activities whose age lies in (since, days] days; with since 0, up to and with `days`."""

    def count(rows: ir.Table) -> ir.NumericValue:
        recent = rows.age <= days * SECONDS_A_DAY
        return _whole(recent & (rows.age > since * SECONDS_A_DAY) if since else recent)

    return Aggregate(f"within {since:g} to {days:g} days", "sum", count)


def every(condition: Callable[[ir.Table], ir.BooleanValue], name: str) -> Aggregate:
    """Count of activities for which a condition holds."""
    return Aggregate(f"count {name}", "sum", lambda rows: _whole(condition(rows)))


COUNT = Aggregate("count", "sum", lambda rows: _whole(rows.order >= 0))
INBOUND = every(lambda rows: rows.actor == "lead", "by the lead")
OUTBOUND = every(lambda rows: rows.actor == "marketing", "by marketing")
WEEKEND = every(lambda rows: rows.weekday >= SATURDAY, "at weekends")
WORKING = every(
    lambda rows: (rows.weekday < SATURDAY) & (rows.hour >= WORKING_HOURS[0]) & (rows.hour < WORKING_HOURS[1]),
    "in working hours",
)
VALUE = Aggregate(
    "sum of values",
    "sum",
    lambda rows: (rows["value"].clip(-MOST_VALUE, MOST_VALUE) * VALUE_UNITS).round().cast("int64"),
)


def decayed(half_life: float) -> Aggregate:
    """Sum of weights 2**(-age / half-life), in units of 2**-32."""
    rate = log(2) / (half_life * SECONDS_A_DAY)
    return Aggregate(
        f"decayed {half_life:g}",
        "sum",
        lambda rows: ((rows.age * -rate).exp() * WEIGHT_UNITS).round().cast("int64"),
    )


def packed(
    how: Literal["min", "max"], name: str, base: int, code: Callable[[ir.Table], ir.Value]
) -> Aggregate:
    """First (min) or last (max) value of a small code, as ``order * base + code``: so it merges."""
    return Aggregate(f"{how} of {name} by order", how, lambda rows: rows.order * base + code(rows))
