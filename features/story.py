"""Reasons in plain words: what is true of a lead, concept by concept, in one language.

The words come from the declarations' sentences and from `features.wording`, numbers and times from the
`Speaker`; here they are only chosen and put together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from features import wording
from features.bands import SENIORITY_LEVELS, size_band
from features.catalogue import catalogue
from features.declare import Feature
from features.errors import PropenseError, nearest
from features.language import SPEAKERS, Language, Speaker, Text
from features.vocabulary import OTHER, Vocabulary


class Storyteller:
    """Tells concepts of a lead in words, given the vocabulary that its features were made with."""

    def __init__(self, vocabulary: Vocabulary, language: Language = "en") -> None:
        self._speaker = SPEAKERS[language]
        self._features: dict[str, list[Feature]] = defaultdict(list)
        for feature in catalogue(vocabulary):
            self._features[feature.concept].append(feature)
        self._labels = {concept: overall.label for concept, overall in wording.OVERALL.items()}
        self._labels |= {f"activity.{kind.name}": kind.label for kind in vocabulary.kinds}
        self._labels |= {f"attribute.{known.name}": known.label for known in vocabulary.attributes}
        self._labels["email"] = wording.EMAIL_LABEL

    def label(self, concept: str) -> str:
        """Return what people call a concept: ``pricing page``, ``industry``, ``own initiative``."""
        return self._speaker.say(self._labels[concept])

    def sentence(self, concept: str, values: Mapping[str, Any]) -> str:
        """Say what is true of the lead, as ``pricing page 3 times in the last week, last 2 hours ago``.

        Parameters
        ----------
        concept
            A concept of the catalogue.
        values
            Feature name to value, as in a row of `features.compute.frame`; others than the concept's are
            of use only where they qualify it. A missing value is None or not-a-number.

        Raises
        ------
        PropenseError
            The catalogue has no such concept.
        """
        clauses = self._clauses(concept, values)
        return ", ".join(text for text, _ in clauses) if clauses else self._nothing(concept)

    def value(self, concept: str, values: Mapping[str, Any]) -> str:
        """Return the main value: ``twice in the last week``, ``50–199 employees``; empty if there is none."""
        clauses = self._clauses(concept, values)
        return clauses[0][1] if clauses else ""

    def clause(self, concept: str, values: Mapping[str, Any]) -> str:
        """Say the main thing in short, as ``pricing page: 3 times in the last week``."""
        clauses = self._clauses(concept, values)
        if not clauses:
            return self._nothing(concept)
        text, value = clauses[0]
        if concept in wording.OVERALL:
            return text
        return self._speaker.say(wording.IN_SHORT, label=self.label(concept), value=value)

    def _nothing(self, concept: str) -> str:
        """Say that there is nothing to tell."""
        if concept in wording.OVERALL:
            return self._speaker.say(wording.OVERALL[concept].nothing)
        template = wording.NOTHING_OF_KIND if concept.startswith("activity.") else wording.NOT_KNOWN
        return self._speaker.say(template, label=self.label(concept))

    def _clauses(self, concept: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return (clause, value) for each feature of the concept that is told and has something to tell."""
        if concept not in self._features:
            raise PropenseError(f"no concept '{concept}'", todo=nearest(concept, self._features))
        label = self.label(concept)
        told: list[Feature] = []
        for feature in self._features[concept]:
            counted = any(other.told == "narrowest" for other in told)
            if _tells(feature, values.get(feature.name)) and not (feature.told == "narrowest" and counted):
                told.append(feature)
        once = _happened_once(told, values)
        clauses = []
        for feature in _worth_telling(told, values, once):
            text = self._in_full(feature, values[feature.name], values)
            sentence = wording.ONCE if once and feature.unit == "days ago" else feature.sentence
            clauses.append((self._speaker.say(sentence, label=label, value=text), text))
        return clauses

    def _in_full(self, feature: Feature, value: Any, values: Mapping[str, Any]) -> str:
        """Write a value with its window, and with what else keeps it true."""
        text = written(feature, value, self._speaker)
        if feature.window is not None:
            return self._speaker.say(wording.IN_WINDOW, value=text, window=feature.window)
        # Rare kinds count as one: with several activities of such kinds there may be more kinds.
        rare = values.get(f"activity.{OTHER}.count")
        if feature.unit == "kinds of activity" and rare is not None and rare > 1:
            return self._speaker.say(wording.AT_LEAST, value=text)
        return text


_ZERO_SAYS_NOTHING = {
    "times",
    "activities",
    "weighted times",
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


def _happened_once(told: list[Feature], values: Mapping[str, Any]) -> bool:
    """Whether a kind of activity is told to have happened once, and when."""
    how_often = [f for f in told if f.unit == "times" and f.told == "narrowest"]
    when = any(f.unit == "days ago" for f in told)
    return when and any(values[f.name] == 1 for f in how_often)


def _worth_telling(told: list[Feature], values: Mapping[str, Any], once: bool) -> list[Feature]:
    """Leave out "once" where it is said when, and "1 asset" and "1 channel" where anything else is said."""
    left = [feature for feature in told if not (once and feature.unit == "times")]
    several = [f for f in left if f.unit not in ("assets", "channels") or values[f.name] != 1]
    return several or left


def written(feature: Feature, value: Any, speaker: Speaker) -> str:
    """Write a feature's value for people, by its type and unit."""
    if feature.type == "category":
        return speaker.say(_level(feature, str(value)))
    if feature.type == "flag":
        return speaker.say(wording.YES if value else wording.NO)
    if feature.unit in wording.NOUNS:
        return speaker.counted(value, wording.NOUNS[feature.unit])
    return _BY_UNIT.get(feature.unit, Speaker.plain)(speaker, value)


def _level(feature: Feature, level: str) -> Text:
    """Return what people read for a level of a category: a word of ours, or the user's own value."""
    if level == OTHER:
        return wording.RARE
    if feature.level_words and level in feature.levels:
        return feature.level_words[feature.levels.index(level)]
    return Text.of(wording.spaced(level))


def _share(speaker: Speaker, share: float) -> str:
    """Write a share; ``100%`` is said of all only, and ``0%`` of none."""
    return speaker.percent(share if share in (0.0, 1.0) else min(max(share, 0.01), 0.99))


def _difference(speaker: Speaker, value: float) -> str:
    """Write how many more or fewer: ``+2``, ``−1``."""
    return ("+" if value > 0 else "") + speaker.number(value)


def _rank(speaker: Speaker, value: float) -> str:
    return speaker.say(SENIORITY_LEVELS[min(max(round(value), 1), len(SENIORITY_LEVELS)) - 1])


_BY_UNIT: dict[str, Callable[[Speaker, float], str]] = {
    "times": Speaker.times,
    "difference": _difference,
    "days": Speaker.lasting,
    "days ago": Speaker.ago,
    "share": _share,
    "hour": Speaker.hour,
    "employees": lambda speaker, value: speaker.say(size_band(value)),
    "rank 1 to 7": _rank,
}
