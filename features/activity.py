"""Families of engagement features: one declaration for every kind of activity, window and half-life."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import ibis
import ibis.expr.types as ir

from features.aggregates import packed
from features.declare import Aggregate, Feature, Scope, Told, number
from features.language import Text, in_every_language
from features.past import SECONDS_A_DAY
from features.vocabulary import Kind, Vocabulary

Varying = Literal["", "assets", "channels", "values"]
# A clause that is its value alone: "2 different assets".
ALONE = Text("{value}", "{value}")


@dataclass(frozen=True)
class OverAll:
    """The feature over all kinds: its concept, and where it differs from the feature of one kind."""

    concept: str
    unit: str = ""
    sentence: Text | None = None
    told: Told | None = None


@dataclass(frozen=True)
class Activity:
    """A family of engagement features.

    Attributes
    ----------
    suffix
        Last part of the name; ``{days}`` stands for each window or half-life.
    label, description
        For a marketer; ``{what}`` is the kind's label, ``{time}`` the length of the window or half-life
        and ``{window}`` the window as said in a sentence. Labels are nouns that the user chose: a text
        has to read well around any of them, whatever its gender.
    needs, formula
        The aggregates, and the feature from them; by default the first of them.
    over_all
        The feature over all kinds, of concept ``overall.<concept>``, if there is one.
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
    """

    suffix: str
    label: Text
    description: Text
    unit: str
    sentence: Text
    needs: Callable[[Scope], tuple[Aggregate, ...]]
    formula: Callable[..., ir.Value] = lambda first, *_: first
    over_all: OverAll | None = None
    per_kind: bool = True
    days: Literal["", "windows_days", "half_lives_days"] = ""
    varying: Varying = ""
    more: int = 0
    told: Told = "always"

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield the feature of each kind, then the one over all kinds; by window within each."""
        if self.per_kind:
            for position, kind in enumerate(vocabulary.kinds):
                yield from self._of(vocabulary, kind, position)
        if self.over_all:
            over_all = replace(
                self,
                unit=self.over_all.unit or self.unit,
                sentence=self.over_all.sentence or self.sentence,
                told=self.over_all.told or self.told,
            )
            yield from over_all._of(vocabulary, vocabulary.overall, None)

    def _of(self, vocabulary: Vocabulary, kind: Kind, position: int | None) -> Iterator[Feature]:
        if self.varying and not getattr(kind, self.varying):
            return
        settings = vocabulary.settings
        if position is None and self.over_all:
            prefix, concept = "overall", f"overall.{self.over_all.concept}"
        else:
            prefix = concept = f"activity.{kind.name}"
        for days in getattr(settings, self.days) if self.days else (0.0,):
            words = {"what": kind.label, "window": _window(days), "time": _time(days)}
            yield Feature(
                name=f"{prefix}.{self.suffix.format(days=number(days))}",
                family="engagement",
                concept=concept,
                label=self.label.fill(**words),
                description=self.description.fill(**words),
                type="number",
                unit=self.unit,
                sentence=self.sentence,
                needs=self.needs(Scope(position is not None, days)),
                formula=self.formula,
                kind=position,
                direction=self.more * settings.directions.get(concept, 0),
                told=self.told,
                window=words["window"] if self.days == "windows_days" else None,
            )


@dataclass(frozen=True)
class EndOfPath:
    """A category that the first or the last activity has: its channel or its weekday."""

    name: str
    concept: str
    label: Text
    description: Text
    sentence: Text
    end: Literal["min", "max"]
    levels: Callable[[Vocabulary], tuple[str, ...]]
    code: Callable[[ir.Table, tuple[str, ...]], ir.Value]
    level_words: tuple[Text, ...] = ()

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
            level_words=self.level_words,
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
            label=Text("days since the lead was created", "jours depuis la création du lead"),
            description=Text(
                "How long before the snapshot the lead was created.",
                "Temps écoulé entre la création du lead et l’instantané.",
            ),
            type="number",
            unit="days",
            sentence=Text("known for {value}", "dans la base depuis {value}"),
            formula=lambda read: read.lead_age / ibis.literal(SECONDS_A_DAY, type="float64"),
            direction=vocabulary.settings.directions.get("overall.age", 0),
        )


def _window(days: float) -> Text:
    return Text(**in_every_language(lambda speaker: speaker.window(days)))


def _time(days: float) -> Text:
    return Text(**in_every_language(lambda speaker: speaker.time(days, "day")))
