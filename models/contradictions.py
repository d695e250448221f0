"""A hand-made point table against the model: what each line gives, and what its condition really changes.

The effect of a condition is measured on leads of which it is true: their features of the concept that it is
about are replaced by those of comparable leads of which it is not (`models.comparable`), in each member
of the model. Members have learned from different bootstraps of the leads, so how far they disagree says how
well the effect is known (Efron 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from models.comparable import Weighed, comparable, replaced
from models.estimator import LeadClassifier

Verdict = Literal["few", "unseen", "nothing", "unclear", "opposite", "less", "more", "same"]

# A condition that fewer leads met cannot be judged.
FEW = 30
# Rows that an effect is measured on, and comparable leads of each.
MOST_ROWS, COMPARED = 300, 10
# Standard errors to each side of a 90 % interval.
SIDES = 1.645


@dataclass(frozen=True)
class Line:
    """One line of the table, judged.

    Attributes
    ----------
    leads
        Different leads of which the condition was true.
    given
        Points that the line gave to them, on average.
    effect, low, high
        What the condition changes, in points of this table (see `judged`), beside `given`; with its 90 %
        interval. NaN where it is not known.
    verdict
        "opposite", or "more", "less" or the "same" as given, where the interval is on one side of 0;
        "nothing" where it holds 0 but not what is given, "unclear" where it holds both; "few" leads to
        judge it by; "unseen" by the model.
    """

    leads: int
    given: float
    effect: float
    low: float
    high: float
    verdict: Verdict


def judged(
    classifier: LeadClassifier,
    past: Weighed,
    points: pd.DataFrame,
    concepts: Sequence[str | None],
    leads: pd.Series,
    concept_of: Mapping[str, str],
    family_of: Mapping[str, str],
) -> list[Line]:
    """Judge every line of a point table.

    The table and the model are put on one scale by giving out as many points in all: the lines that can be
    judged give their leads so many points, up or down, and these are given out again by effect.

    Parameters
    ----------
    past
        Leads that the model did not learn from.
    points
        (n, lines) what each line gives to each of them.
    concepts
        The concept that each line is about, None where the model knows none.
    leads
        (n,) whose row it is.
    concept_of, family_of
        The concept of each feature, and the family of each concept.
    """
    lines = [
        _line(classifier, past, points.iloc[:, place], concept, leads, concept_of, family_of)
        for place, concept in enumerate(concepts)
    ]
    known = [line for line in lines if np.isfinite(line.effect)]
    given = sum(abs(line.given) * line.leads for line in known)
    found = sum(abs(line.effect) * line.leads for line in known)
    scale = given / found if found > 0 else np.nan
    return [_in_points(line, scale) for line in lines]


def _line(
    classifier: LeadClassifier,
    past: Weighed,
    points: pd.Series,
    concept: str | None,
    leads: pd.Series,
    concept_of: Mapping[str, str],
    family_of: Mapping[str, str],
) -> Line:
    holds = points.to_numpy() != 0
    count = int(leads[holds].nunique())
    given = float(points[holds].mean()) if count else 0.0
    unknown = Line(count, given, np.nan, np.nan, np.nan, "few")
    if concept is None or concept not in past.concepts:
        return replace(unknown, verdict="unseen")
    if min(count, int(leads[~holds].nunique())) < FEW:
        return unknown
    rows = np.flatnonzero(holds)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)]
    those, others = past.at(rows), past.at(np.flatnonzero(~holds))
    columns = [name for name in past.features.columns if concept_of[name] == concept]
    positions = comparable(those, others, concept, family_of, COMPARED)
    by_member = -replaced(classifier, those, others, columns, positions).mean(axis=0)
    effect = float(by_member.mean())
    error = float(by_member.std(ddof=1)) if len(by_member) > 1 else np.nan
    return Line(count, given, effect, effect - SIDES * error, effect + SIDES * error, "unclear")


def _in_points(line: Line, scale: float) -> Line:
    """Return a line whose effect is in log-odds with its effect in points, and its verdict."""
    if not np.isfinite(line.effect):
        return line
    effect, low, high = (value * scale for value in (line.effect, line.low, line.high))
    return Line(line.leads, line.given, effect, low, high, _verdict(line.given, effect, low, high))


def _verdict(given: float, effect: float, low: float, high: float) -> Verdict:
    if not np.isfinite([effect, low, high]).all():  # one member, or a table of no effect at all
        return "unclear"
    as_given = low <= given <= high
    if low <= 0 <= high:
        return "unclear" if as_given else "nothing"
    if effect * given < 0:
        return "opposite"
    if as_given:
        return "same"
    return "more" if abs(effect) > abs(given) else "less"
