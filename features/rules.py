"""The user's own points: "+5 newsletter, +20 case study, -6 personal address".

They are the score that the model is compared with, computed from the same past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.domains import EMAIL_CLASSES
from features.errors import ConfigurationError, listed, nearest
from features.past import SECONDS_A_DAY, Past, attribute_column
from features.reading import EMAIL_CLASS, read_attributes
from features.tables import Attribute


@dataclass(frozen=True)
class ActivityRule:
    """Points for an activity: once, or for `each` time; only on an `asset`, `within_days`, if given."""

    name: str
    points: float
    kind: str
    asset: str | None = None
    within_days: float | None = None
    each: bool = False

    def __post_init__(self) -> None:
        if self.within_days is not None and self.within_days <= 0:
            raise ConfigurationError(
                f"rule '{self.name}': within_days = {self.within_days}", allowed="above 0"
            )


@dataclass(frozen=True)
class AttributeRule:
    """Points for an attribute that meets every one of the conditions given.

    `one_of` compares text; `at_least` and `at_most` numbers, head counts or seniority ranks; `filled` asks
    whether there is a value (True) or none (False).
    """

    name: str
    points: float
    attribute: str
    one_of: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    filled: bool | None = None

    def __post_init__(self) -> None:
        if not self.one_of and self.at_least is None and self.at_most is None and self.filled is None:
            raise ConfigurationError(
                f"rule '{self.name}' has no condition on '{self.attribute}'",
                allowed="one or more of one_of, at_least, at_most, filled",
            )


@dataclass(frozen=True)
class EmailRule:
    """Points for a class of e-mail domain, one of `EMAIL_CLASSES`."""

    name: str
    points: float
    email_class: str

    def __post_init__(self) -> None:
        if self.email_class not in EMAIL_CLASSES:
            raise ConfigurationError(
                f"rule '{self.name}': e-mail class '{self.email_class}'",
                allowed=listed(EMAIL_CLASSES),
                todo=nearest(self.email_class, EMAIL_CLASSES),
            )


Rule = ActivityRule | AttributeRule | EmailRule


def points(past: Past, rules: Sequence[Rule]) -> ir.Table:
    """Return one row a snapshot: snapshot, points (float64, the sum over all rules).

    Raises
    ------
    ConfigurationError
        A rule names an attribute that is not there, or compares text as a number or the reverse.
    """
    counted = times(past, rules)
    total: ir.FloatingValue = ibis.literal(0.0)
    for place, rule in enumerate(rules):
        total = total + counted[times_column(place)] * float(rule.points)
    return counted.select(snapshot=counted.snapshot, points=total)


def times_column(place: int) -> str:
    """Return the column of `times` that holds the rule at this place of the list."""
    return f"r{place}"


def times(past: Past, rules: Sequence[Rule]) -> ir.Table:
    """Return one row a snapshot: snapshot, and how many times each rule's points are given (float64).

    Raises
    ------
    ConfigurationError
        As `points` does.
    """
    on_attributes = [rule for rule in rules if isinstance(rule, AttributeRule)]
    known = {attribute.name: attribute for attribute in past.declared}
    for condition in on_attributes:
        _check(condition, known)
    wanted = {rule.attribute: known[rule.attribute] for rule in on_attributes}
    email = any(isinstance(rule, EmailRule) for rule in rules)
    read = read_attributes(past, wanted.values(), email=email)
    counts = _counts(past.activities, rules)
    joined = read.left_join(counts, read.snapshot == counts.counted_snapshot)
    given = {
        times_column(place): _times(rule, joined, times_column(place)).cast("float64")
        for place, rule in enumerate(rules)
    }
    return joined.select(snapshot=joined.snapshot, **given)


def _counts(rows: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Count the activities of every activity rule in one pass."""
    counts = {
        times_column(place): _meets(rule, rows).cast("int64").sum()
        for place, rule in enumerate(rules)
        if isinstance(rule, ActivityRule)
    }
    return rows.group_by(counted_snapshot="snapshot").agg(rows=rows.count(), **counts)


def _meets(rule: ActivityRule, rows: ir.Table) -> ir.BooleanValue:
    condition = rows.kind == rule.kind
    if rule.asset is not None:
        condition &= rows.asset.fill_null("") == rule.asset
    if rule.within_days is not None:
        condition &= rows.age <= rule.within_days * SECONDS_A_DAY
    return condition


def _times(rule: Rule, joined: ir.Table, column: str) -> ir.NumericValue:
    """Return how many times a rule's points are given to each snapshot."""
    if isinstance(rule, ActivityRule):
        count = joined[column].fill_null(0)
        return count if rule.each else (count > 0).cast("int64")
    if isinstance(rule, EmailRule):
        return (joined[EMAIL_CLASS] == rule.email_class).fill_null(False).cast("int64")
    return _holds(rule, joined[attribute_column(rule.attribute)]).fill_null(False).cast("int64")


def _holds(rule: AttributeRule, value: ir.Value) -> ir.BooleanValue:
    condition: ir.BooleanValue = ibis.literal(True)
    if rule.filled is not None:
        condition &= value.notnull() if rule.filled else value.isnull()
    if rule.one_of:
        condition &= value.isin(list(rule.one_of))
    if rule.at_least is not None:
        condition &= value >= rule.at_least
    if rule.at_most is not None:
        condition &= value <= rule.at_most
    return condition


def _check(rule: AttributeRule, known: dict[str, Attribute]) -> None:
    if rule.attribute not in known:
        raise ConfigurationError(
            f"rule '{rule.name}': no attribute '{rule.attribute}'",
            allowed=listed(known),
            todo=nearest(rule.attribute, known),
        )
    text = known[rule.attribute].type == "category"
    compares = rule.at_least is not None or rule.at_most is not None
    if text and compares:
        raise ConfigurationError(
            f"rule '{rule.name}': at_least or at_most on '{rule.attribute}', which is text",
            allowed="one_of, filled",
        )
    if rule.one_of and not text:
        raise ConfigurationError(
            f"rule '{rule.name}': one_of on '{rule.attribute}', which is a number",
            allowed="at_least, at_most, filled",
        )
