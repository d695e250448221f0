"""Families of engagement features: one declaration for every kind of activity, window and half-life."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import ibis
import ibis.expr.types as ir

from features.aggregates import packed
from features.declare import Aggregate, Feature, Scope, Told, number
from features.past import SECONDS_A_DAY
from features.vocabulary import Kind, Vocabulary
from features.wording import window

Varying = Literal["", "assets", "channels", "values"]


@dataclass(frozen=True)
class Activity:
    """A family of engagement features.

    Attributes
    ----------
    suffix
        Last part of the name; ``{days}`` stands for each window or half-life.
    label, description
        For a marketer; ``{what}`` is the kind's label, ``{days}`` the window.
    needs, formula
        The aggregates, and the feature from them; by default the first of them.
    concept
        For the feature over all kinds: ``overall.<concept>``; empty if there is none.
    per_kind
        Whether each kind has it.
    days
        Which setting lists the values of ``{days}``.
    varying
        Made only if this varies in training: no count of distinct assets where there are none.
    more
        +1 if more activity means a higher value, -1 if a lower, 0 if it says nothing of the kind; times
        the direction that the user gave the concept, it is the feature's monotone direction.
    told
        When a reason tells it; see `Feature`.
    overall_sentence
        The sentence of the feature over all kinds, where it needs one of its own.
    """

    suffix: str
    label: str
    description: str
    unit: str
    sentence: str
    needs: Callable[[Scope], tuple[Aggregate, ...]]
    formula: Callable[..., ir.Value] = lambda first, *_: first
    concept: str = ""
    per_kind: bool = True
    days: Literal["", "windows_days", "half_lives_days"] = ""
    varying: Varying = ""
    more: int = 0
    told: Told = "always"
    overall_sentence: str = ""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield the feature of each kind, then the one over all kinds; by window within each."""
        if self.per_kind:
            for position, kind in enumerate(vocabulary.kinds):
                yield from self._of(vocabulary, kind, position)
        if self.concept:
            yield from self._of(vocabulary, vocabulary.overall, None)

    def _of(self, vocabulary: Vocabulary, kind: Kind, position: int | None) -> Iterator[Feature]:
        if self.varying and not getattr(kind, self.varying):
            return
        settings = vocabulary.settings
        concept = f"overall.{self.concept}" if position is None else f"activity.{kind.name}"
        prefix = "overall" if position is None else concept
        sentence = self.overall_sentence if position is None and self.overall_sentence else self.sentence
        for days in getattr(settings, self.days) if self.days else (0.0,):
            words = {"what": kind.label, "days": number(days)}
            yield Feature(
                name=f"{prefix}.{self.suffix.format(days=number(days))}",
                family="engagement",
                concept=concept,
                label=self.label.format(**words),
                description=self.description.format(**words),
                type="number",
                unit=self.unit,
                sentence=sentence.replace("{window}", window(days)),
                needs=self.needs(Scope(position is not None, days)),
                formula=self.formula,
                kind=position,
                direction=self.more * settings.directions.get(concept, 0),
                told=self.told,
            )


@dataclass(frozen=True)
class EndOfPath:
    """A category that the first or the last activity has: its channel or its weekday."""

    name: str
    concept: str
    label: str
    description: str
    sentence: str
    end: Literal["min", "max"]
    levels: Callable[[Vocabulary], tuple[str, ...]]
    code: Callable[[ir.Table, tuple[str, ...]], ir.Value]

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield it, if there are levels to tell apart."""
        levels = self.levels(vocabulary)
        if not levels:
            return
        yield Feature(
            name=f"overall.{self.name}",
            family="engagement",
            concept=f"overall.{self.concept}",
            label=self.label,
            description=self.description,
            type="category",
            unit="",
            sentence=self.sentence,
            levels=levels,
            needs=(packed(self.end, self.name, len(levels), lambda rows: self.code(rows, levels)),),
            formula=lambda found: found % len(levels),
        )


@dataclass(frozen=True)
class LeadAge:
    """How long the lead has been known."""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield the one feature."""
        yield Feature(
            name="overall.lead_age_days",
            family="engagement",
            concept="overall.age",
            label="days since the lead was created",
            description="How long before the snapshot the lead was created.",
            type="number",
            unit="days",
            sentence="known for {value}",
            formula=lambda read: read.lead_age / ibis.literal(SECONDS_A_DAY, type="float64"),
            direction=vocabulary.settings.directions.get("overall.age", 0),
        )
