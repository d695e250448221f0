"""Fit: who the lead is, from attributes, from the e-mail domain, and from what was filled in at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import ibis.expr.types as ir

from features.declare import Feature, FeatureType
from features.domains import EMAIL_CLASSES
from features.language import Text
from features.past import attribute_column
from features.reading import EMAIL_CLASS
from features.tables import AttributeType
from features.vocabulary import KnownAttribute, Vocabulary, coded
from features.wording import EMAIL_LABEL, EMAIL_WORDS

_AS_IT_IS = Text("{label}: {value}", "{label} : {value}")
# What a marketer reads of each type of attribute: type and unit of the feature, description, sentence.
_BY_TYPE: dict[AttributeType, tuple[FeatureType, str, Text, Text]] = {
    "number": ("number", "", Text("The number as it is.", "Le nombre tel quel."), _AS_IT_IS),
    "flag": ("flag", "", Text("1 for yes, 0 for no.", "1 pour oui, 0 pour non."), _AS_IT_IS),
    "category": (
        "category",
        "",
        Text(
            "The value as it is; rare and unknown ones are pooled.",
            "La valeur telle quelle ; les valeurs rares ou inconnues sont regroupées.",
        ),
        _AS_IT_IS,
    ),
    "size": (
        "number",
        "employees",
        Text(
            "Number of employees, read from a number, range or word.",
            "Nombre de salariés, lu dans un nombre, une fourchette ou un mot.",
        ),
        Text("company of {value}", "entreprise de {value}"),
    ),
    "seniority": (
        "number",
        "rank 1 to 7",
        Text(
            "Rank read from the job title: trainee 1, assistant or junior 2, professional 3, senior or "
            "lead 4, manager 5, director 6, executive or owner 7.",
            "Rang lu dans l’intitulé du poste : stage 1, assistanat ou junior 2, employé ou spécialiste 3, "
            "senior ou référent 4, encadrement 5, direction 6, direction générale ou propriétaire 7.",
        ),
        Text("{label} at {value} level", "{label} : niveau {value}"),
    ),
}
_FILLED = Text("{label}: filled in", "{label} : champ renseigné")


@dataclass(frozen=True)
class AttributeValue:
    """Every attribute as it is, read by its type."""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield one feature an attribute; none for a category without a frequent value."""
        for known in vocabulary.attributes:
            if known.declared.type != "category" or known.levels:
                yield self._of(known, vocabulary)

    @staticmethod
    def _of(known: KnownAttribute, vocabulary: Vocabulary) -> Feature:
        type_, unit, description, sentence = _BY_TYPE[known.declared.type]
        concept = attribute_column(known.name)
        category = type_ == "category"
        return Feature(
            name=concept,
            family=known.declared.family,
            concept=concept,
            label=known.label,
            description=description,
            type=type_,
            unit=unit,
            sentence=sentence,
            formula=_category(concept, known.levels) if category else _column(concept),
            levels=known.levels,
            direction=0 if category else vocabulary.settings.directions.get(concept, 0),
        )


@dataclass(frozen=True)
class Filled:
    """Which attributes were filled in, for those that sometimes are and sometimes are not."""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield a flag an attribute that had gaps in training."""
        for known in vocabulary.attributes:
            if known.gaps:
                concept = attribute_column(known.name)
                yield Feature(
                    name=f"filled.{known.name}",
                    family=known.declared.family,
                    concept=concept,
                    label=_FILLED.fill(label=known.label),
                    description=Text(
                        "1 if there is a value that can be read, 0 if not.",
                        "1 s’il y a une valeur lisible, 0 sinon.",
                    ),
                    type="flag",
                    unit="",
                    sentence=Text("{label} filled in: {value}", "{label}, champ renseigné : {value}"),
                    formula=_filled(concept),
                    told="never",
                )


@dataclass(frozen=True)
class FilledCount:
    """How many of the attributes were filled in."""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield one feature, if any attribute had gaps in training."""
        gaps = [attribute_column(known.name) for known in vocabulary.attributes if known.gaps]
        if gaps:
            yield Feature(
                name="profile.filled",
                family="fit",
                concept="profile",
                label=Text("fields filled in", "champs renseignés"),
                description=Text(
                    "How many of the attributes that are sometimes missing have a value.",
                    "Nombre de champs renseignés parmi ceux qui manquent parfois.",
                ),
                type="number",
                unit="fields",
                sentence=Text(
                    "optional fields filled in: {value} of {all}",
                    "champs facultatifs renseignés : {value} sur {all}",
                ).fill(value="{value}", all=str(len(gaps))),
                formula=lambda read: reduce(add, (_filled(column)(read) for column in gaps)),
                direction=vocabulary.settings.directions.get("profile", 0),
            )


@dataclass(frozen=True)
class EmailClass:
    """Whose e-mail domain it is."""

    def features(self, vocabulary: Vocabulary) -> Iterator[Feature]:
        """Yield one feature, if training had any e-mail domain."""
        if vocabulary.email:
            yield Feature(
                name="email.class",
                family="fit",
                concept="email",
                label=EMAIL_LABEL,
                description=Text(
                    "Whose e-mail domain it is; student means any academic one.",
                    "À qui est le domaine de l’adresse ; student désigne tout domaine universitaire.",
                ),
                type="category",
                unit="",
                sentence=Text("{value} e-mail address", "adresse e-mail {value}"),
                formula=_category(EMAIL_CLASS, EMAIL_CLASSES),
                levels=EMAIL_CLASSES,
                level_words=tuple(EMAIL_WORDS[name] for name in EMAIL_CLASSES),
            )


def _column(name: str) -> Callable[[ir.Table], ir.Value]:
    return lambda read: read[name]


def _category(name: str, levels: tuple[str, ...]) -> Callable[[ir.Table], ir.Value]:
    return lambda read: coded(read[name], levels)


def _filled(name: str) -> Callable[[ir.Table], ir.Value]:
    return lambda read: read[name].notnull().cast("int64")
