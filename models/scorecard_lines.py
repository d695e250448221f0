"""The lines that a point table could have: conditions that a person, or a CRM without a model, can check.

Each is a rule as users write them, for 1 point. What the model makes of the leads decides where numbers
are cut and which values of a category stand together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.bands import SENIORITY_LEVELS, SIZE_BANDS
from features.domains import EMAIL_CLASSES
from features.rules import ActivityRule, AttributeRule, EmailRule, Rule
from features.vocabulary import OTHER, KnownAttribute, Vocabulary

# Windows in days that people think in; None is "ever".
WINDOWS = (None, 90.0, 30.0, 7.0)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Candidate:
    """A rule for 1 point, and the concept of the model that it speaks of."""

    rule: Rule
    concept: str


def candidates(
    vocabulary: Vocabulary, features: pd.DataFrame, concepts: pd.DataFrame
) -> tuple[Candidate, ...]:
    """Return every line that may be tried, about what the model uses alone.

    Parameters
    ----------
    features
        (n, p) of snapshots, as the model saw them.
    concepts
        (n, concepts) contributions to the margin of the same snapshots, summed by concept.

    Pools of rare kinds and rare values have no line: no rule can name what is in them.
    """
    found = [
        Candidate(ActivityRule("", 1.0, kind, within_days=days), f"activity.{kind}")
        for kind in vocabulary.kept_kinds
        for days in WINDOWS
    ]
    for known in vocabulary.attributes:
        concept = f"attribute.{known.name}"
        if concept in concepts and concept in features:
            rules = _of_attribute(known, features[concept], concepts[concept])
            found += [Candidate(rule, concept) for rule in rules]
    if vocabulary.email:
        found += [Candidate(EmailRule("", 1.0, one), "email") for one in EMAIL_CLASSES]
    return tuple(found)


def _of_attribute(known: KnownAttribute, values: pd.Series, effect: pd.Series) -> Iterator[AttributeRule]:
    if known.gaps:
        yield AttributeRule("", 1.0, known.name, filled=True)
    if known.declared.type == "category":
        for levels in _groups(values, effect):
            yield AttributeRule("", 1.0, known.name, one_of=levels)
        return
    edges = _edges(known, values)
    for edge in edges:
        yield AttributeRule("", 1.0, known.name, at_least=edge)
    if known.gaps:  # without gaps, "at most" says no more than "at least" does
        for edge in edges:
            yield AttributeRule("", 1.0, known.name, at_most=edge)


def _groups(values: pd.Series, effect: pd.Series) -> Iterator[tuple[str, ...]]:
    """Yield the best level, the best two, and so on down to the mean; then the same from the worst up."""
    mean = effect.groupby(values.astype(object)).mean().drop(OTHER, errors="ignore").sort_values()
    overall = float(effect.mean())
    for ranked in (mean[mean > overall].iloc[::-1], mean[mean < overall]):
        for count in range(1, len(ranked) + 1):
            yield tuple(sorted(map(str, ranked.index[:count])))


def _edges(known: KnownAttribute, values: pd.Series) -> list[float]:
    """Return where a number may be cut: bands that people know, else round numbers near quantiles."""
    kind = known.declared.type
    if kind == "flag":
        return [1.0]
    if kind == "size":
        return [float(low) for low, _ in SIZE_BANDS[1:]]
    if kind == "seniority":
        return [float(rank) for rank in range(2, len(SENIORITY_LEVELS) + 1)]
    there = values.astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    if there.empty:
        return []
    return sorted({float(f"{edge:.2g}") for edge in there.quantile(QUANTILES)})


def disjoint(rules: Sequence[Rule], points: Sequence[float]) -> list[Rule]:
    """Return the rules with their points, sets of one category's values taken apart.

    Of sets within sets a value is in several: 5 points for {a, b} and 10 for {a} become 15 for {a} and
    5 for {b}. Every lead gets the same points as before, and no set is empty, so there are no more
    lines than before. All other rules stay as they are.
    """
    found: list[Rule] = []
    by_value: dict[str, dict[str, float]] = {}
    for rule, given in zip(rules, points, strict=True):
        if isinstance(rule, AttributeRule) and rule.one_of:
            own = by_value.setdefault(rule.attribute, {})
            for value in rule.one_of:
                own[value] = own.get(value, 0.0) + given
        else:
            found.append(replace(rule, points=float(given)))
    for attribute, own in by_value.items():
        for total in sorted({given for given in own.values() if given}, reverse=True):
            levels = tuple(sorted(value for value, given in own.items() if given == total))
            found.append(AttributeRule("", total, attribute, one_of=levels))
    return found


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Return rules as people read them: by concept, the weightiest first, the wider before the narrower."""
    weight: dict[str, float] = {}
    for rule in rules:
        weight[concept_of(rule)] = max(weight.get(concept_of(rule), 0.0), abs(rule.points))
    return sorted(rules, key=lambda r: (-weight[concept_of(r)], concept_of(r), *_width(r)))


def concept_of(rule: Rule) -> str:
    """Return the concept of the model that a rule speaks of."""
    if isinstance(rule, ActivityRule):
        return f"activity.{rule.kind}"
    return f"attribute.{rule.attribute}" if isinstance(rule, AttributeRule) else "email"


def _width(rule: Rule) -> tuple[float, float]:
    """Return a key by which wider lines of one concept come before the narrower ones."""
    if isinstance(rule, ActivityRule):
        return 0.0, -(rule.within_days or float("inf"))
    if isinstance(rule, AttributeRule):
        if rule.filled is not None:
            return 0.0, 0.0
        if rule.at_least is not None:
            return 1.0, rule.at_least
        if rule.at_most is not None:
            return 2.0, -rule.at_most
    return 3.0, -rule.points


def inside(rule: Rule, other: Rule) -> bool:
    """Return whether a lead of whom `rule` is true always has `other`'s points too."""
    if rule is other or concept_of(rule) != concept_of(other):
        return False
    if isinstance(rule, ActivityRule) and isinstance(other, ActivityRule):
        return (other.within_days or float("inf")) > (rule.within_days or float("inf"))
    if not isinstance(rule, AttributeRule) or not isinstance(other, AttributeRule):
        return False
    if other.filled:
        return True
    if None not in (rule.at_least, other.at_least):
        return rule.at_least > other.at_least  # type: ignore[operator]
    return None not in (rule.at_most, other.at_most) and rule.at_most < other.at_most  # type: ignore[operator]
