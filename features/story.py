"""Reasons in plain words: what is true of a lead, concept by concept.

The words come from the declarations' sentence templates and from `features.wording`; here they are only
chosen and put together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import isfinite
from typing import Any

from features import wording
from features.bands import SENIORITY_LEVELS, size_band
from features.catalogue import catalogue
from features.declare import Feature
from features.errors import PropenseError, nearest
from features.language import Language
from features.vocabulary import OTHER, Vocabulary


class Storyteller:
    """Tells concepts of a lead in words, given the vocabulary that its features were made with."""

    def __init__(self, vocabulary: Vocabulary, language: Language = "en") -> None:
        self._features: dict[str, list[Feature]] = defaultdict(list)
        for feature in catalogue(vocabulary):
            self._features[feature.concept].append(feature)
        self._labels = {f"activity.{kind.name}": kind.label for kind in vocabulary.kinds}
        self._labels |= {f"attribute.{known.name}": known.label for known in vocabulary.attributes}
        self._labels["email"] = "e-mail address"

    def label(self, concept: str) -> str:
        """Return what people call a concept: ``pricing page``, ``industry``, ``own initiative``."""
        return wording.OVERALL[concept][0] if concept in wording.OVERALL else self._labels[concept]

    def sentence(self, concept: str, values: Mapping[str, Any]) -> str:
        """Say what is true of the lead, as ``pricing page 3 times in the last 7 days, last 2 hours ago``.

        Parameters
        ----------
        concept
            A concept of the catalogue.
        values
            Feature name to value, as in a row of `features.compute.frame`; others than the concept's are
            ignored. A missing value is None or not-a-number.

        Raises
        ------
        PropenseError
            The catalogue has no such concept.
        """
        clauses = self._clauses(concept, values)
        if clauses:
            return ", ".join(text for text, _ in clauses)
        if concept in wording.OVERALL:
            return wording.OVERALL[concept][2]
        template = wording.NOTHING_OF_KIND if concept.startswith("activity.") else wording.NOT_KNOWN
        return template.format(label=self.label(concept))

    def value(self, concept: str, values: Mapping[str, Any]) -> str:
        """Return the main value of a concept as text: ``3 times``, ``50-199 employees``; empty if none."""
        clauses = self._clauses(concept, values)
        return clauses[0][1] if clauses else ""

    def _clauses(self, concept: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return (clause, value) for each feature of the concept that is told and has something to tell."""
        if concept not in self._features:
            raise PropenseError(f"no concept '{concept}'", todo=nearest(concept, self._features))
        label = wording.OVERALL[concept][1] if concept in wording.OVERALL else self.label(concept)
        clauses, counted = [], False
        for feature in self._features[concept]:
            value = values.get(feature.name)
            if not _tells(feature, value) or (feature.told == "narrowest" and counted):
                continue
            counted = counted or feature.told == "narrowest"
            text = written(feature, value)
            clauses.append((feature.sentence.format(label=label, value=text), text))
        return clauses


_ZERO_SAYS_NOTHING = {
    "times",
    "weighted times",
    "value",
    "sessions",
    "assets",
    "channels",
    "kinds of activity",
}


def _tells(feature: Feature, value: Any) -> bool:
    """Whether a feature has something to tell: it is known, and not none of what it counts."""
    if feature.told == "never" or value is None or value != value:
        return False
    if feature.type == "number" and not isfinite(value):
        return False
    return feature.family == "fit" or feature.unit not in _ZERO_SAYS_NOTHING or value != 0


def written(feature: Feature, value: Any) -> str:
    """Write a feature's value for people, by its type and unit."""
    if feature.type == "category":
        return wording.RARE if value == OTHER else str(value)
    if feature.type == "flag":
        return wording.YES if value else wording.NO
    writer = _BY_UNIT.get(feature.unit)
    return writer(value) if writer else wording.plain(value)


_BY_UNIT = {
    "times": wording.times,
    "days": wording.lasting,
    "days ago": wording.ago,
    "calendar days": lambda value: wording.counted(value, "day"),
    "sessions": lambda value: wording.counted(value, "session"),
    "assets": lambda value: wording.counted(value, "asset"),
    "channels": lambda value: wording.counted(value, "channel"),
    "kinds of activity": lambda value: wording.counted(value, "kind of activity", "kinds of activity"),
    "fields": lambda value: wording.counted(value, "field"),
    "share": lambda value: f"{value:.0%}",
    "hour": lambda value: f"{int(value):02d}:00",
    "employees": lambda value: f"{size_band(value)} employees",
    "rank 1 to 7": lambda value: SENIORITY_LEVELS[min(max(round(value), 1), len(SENIORITY_LEVELS)) - 1],
}
