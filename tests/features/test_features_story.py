"""Reasons in plain words, in English and in French, and the dictionary."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from features.catalogue import catalogue
from features.dictionary import example_vocabulary, render
from features.errors import PropenseError
from features.language import LANGUAGES, SPEAKERS, Language, Text
from features.settings import FeatureSettings
from features.story import Storyteller, written
from features.tables import Attribute
from features.vocabulary import Kind, KnownAttribute, Vocabulary
from features.wording import OVERALL, readable, spaced

VOCABULARY = Vocabulary(
    settings=FeatureSettings(),
    kinds=(
        Kind("pricing", Text("pricing page", "page des tarifs"), assets=True),
        Kind("webinar", Text("webinar attended", "webinaire suivi")),
    ),
    pooled=False,
    overall=Kind("", Text("all activities", "toutes les activités"), assets=True, values=True),
    channels=("ad", "email", "other"),
    attributes=(
        KnownAttribute(Attribute("size", "size"), Text("company size", "taille"), gaps=True),
        KnownAttribute(
            Attribute("industry", "category"),
            Text("industry", "secteur"),
            gaps=True,
            levels=("steel", "other"),
        ),
        KnownAttribute(Attribute("trial", "flag"), Text("trial", "essai"), gaps=False),
        KnownAttribute(Attribute("job", "seniority"), Text("job title", "fonction"), gaps=False),
        KnownAttribute(Attribute("budget", "number"), Text("budget", "budget"), gaps=False),
    ),
    email=True,
)
NAN = math.nan
PRICING = "activity.pricing"
THRICE = {
    "activity.pricing.count": 5.0,
    "activity.pricing.count_1d": 0.0,
    "activity.pricing.count_7d": 3.0,
    "activity.pricing.count_30d": 4.0,
    "activity.pricing.last_days": 1.5,
    "activity.pricing.assets": 1.0,
}
JUST_NOW = {
    "activity.pricing.count": 1.0,
    "activity.pricing.count_1d": 1.0,
    "activity.pricing.last_days": 0.01,  # 14.4 minutes
}
LONG_AGO = {
    "activity.pricing.count": 2.0,
    "activity.pricing.count_90d": 0.0,
    "activity.pricing.last_days": 120.4,
}
NO_WEBINAR = {"activity.webinar.count": 0.0, "activity.webinar.last_days": NAN}
PAUSES = {"overall.longest_gap_days": 3.2, "overall.mean_gap_days": 0.5}
BY_MARKETING = {"overall.inbound": 0.0, "overall.outbound": 2.0}
TIMES = {
    "overall.last_hour": 23.0,
    "overall.working_hours_share": 0.999,
    "overall.last_weekday": "Friday",
}
# Five of the activities are of rare kinds, which count as one kind.
KINDS = {"overall.kinds": 3.0, "activity.other.count": 5.0}


@pytest.mark.parametrize(
    ("concept", "values", "en", "fr"),
    [
        (
            PRICING,
            THRICE,
            "pricing page 3 times in the last week, last 36 hours ago",
            "page des tarifs : 3 fois ces 7 derniers jours, la dernière il y a 36 heures",
        ),
        (
            PRICING,
            {**THRICE, "activity.pricing.assets": 2.0},
            "pricing page 3 times in the last week, last 36 hours ago, 2 different assets in all",
            "page des tarifs : 3 fois ces 7 derniers jours, la dernière il y a 36 heures, "
            "2 contenus différents au total",
        ),
        (
            PRICING,
            JUST_NOW,
            "pricing page 14 minutes ago",
            "page des tarifs il y a 14 minutes",
        ),
        (
            PRICING,
            {**JUST_NOW, "activity.pricing.assets": 3.0},  # those of former times too
            "pricing page 14 minutes ago, 3 different assets in all",
            "page des tarifs il y a 14 minutes, 3 contenus différents au total",
        ),
        (
            PRICING,
            {"activity.pricing.count_7d": 1.0},  # when is not known
            "pricing page once in the last week",
            "page des tarifs : une fois ces 7 derniers jours",
        ),
        (PRICING, {"activity.pricing.assets": 1.0}, "1 asset in all", "1 contenu au total"),
        (
            "activity.webinar",
            {"activity.webinar.last_days": 3.0},
            "last 3 days ago",
            "la dernière il y a 3 jours",
        ),
        (
            PRICING,
            LONG_AGO,
            "pricing page twice, last 120 days ago",
            "page des tarifs : deux fois, la dernière il y a 120 jours",
        ),
        ("activity.webinar", NO_WEBINAR, "webinar attended: never", "webinaire suivi : jamais"),
        (
            "overall.recency",
            {"overall.last_days": 3.0},
            "last activity 3 days ago",
            "dernière activité il y a 3 jours",
        ),
        ("overall.frequency", {"overall.count": 4.0}, "4 activities", "4 activités"),
        (
            "overall.frequency",
            {"overall.count_7d": 1.0},
            "1 activity in the last week",
            "1 activité ces 7 derniers jours",
        ),
        (
            "overall.frequency",
            {"overall.count": 0.0},
            "no activity yet",
            "aucune activité pour l’instant",
        ),
        ("overall.age", {"overall.lead_age_days": 12.9}, "known for 12 days", "dans la base depuis 12 jours"),
        (
            "overall.rhythm",
            PAUSES,
            "longest pause 3 days, 12 hours between two activities on average",
            "plus longue pause : 3 jours, 12 heures en moyenne entre deux activités",
        ),
        ("overall.value", {"overall.value": 0.0}, "sum of values: 0", "somme des valeurs : 0"),
        (
            "overall.initiative",
            BY_MARKETING,
            "0 activities of their own, contacted by marketing twice",
            "0 activité de sa propre initiative, contact par le marketing : deux fois",
        ),
        (
            "overall.time_of_day",
            TIMES,
            "last activity between 23:00 and 00:00, 99% of activities in working hours, "
            "last activity on a Friday",
            "dernière activité entre 23 h et 0 h, 99 % des activités aux heures ouvrées, "
            "dernière activité un vendredi",
        ),
        ("overall.variety", KINDS, "at least 3 kinds of activity", "au moins 3 types d’activité"),
        (
            "overall.variety",
            {"overall.assets": 1.0, "overall.kinds": 1.0},
            "1 kind of activity",
            "1 type d’activité",
        ),
        (
            "overall.initiative",
            {"overall.inbound": 2.0, "overall.outbound": 1.0},
            "2 activities of their own, contacted by marketing once",
            "2 activités de sa propre initiative, contact par le marketing : une fois",
        ),
        ("overall.value", {"overall.value": -12.25}, "sum of values: −12.2", "somme des valeurs : −12,2"),
        (
            "overall.channel",
            {"overall.first_channel": "ad", "overall.last_channel": "other"},
            "first channel: ad, last channel: a rarer one",
            "premier canal : ad, dernier canal : une valeur plus rare",
        ),
        (
            "attribute.size",
            {"attribute.size": 124.5},
            "company of 50–199 employees",
            "entreprise de 50 à 199 salariés",
        ),
        (
            "attribute.size",
            {"attribute.size": NAN, "filled.size": 0.0},
            "company size not known",
            "taille : pas d’information",
        ),
        ("attribute.industry", {"attribute.industry": "steel"}, "industry: steel", "secteur : steel"),
        (
            "attribute.industry",
            {"attribute.industry": "iron_and_steel"},
            "industry: iron and steel",
            "secteur : iron and steel",
        ),
        (
            "attribute.industry",
            {"attribute.industry": "other"},
            "industry: a rarer one",
            "secteur : une valeur plus rare",
        ),
        (
            "attribute.industry",
            {"attribute.industry": None},
            "industry not known",
            "secteur : pas d’information",
        ),
        ("attribute.trial", {"attribute.trial": 0.0}, "trial: no", "essai : non"),
        (
            "attribute.job",
            {"attribute.job": 6.0},
            "job title at director level",
            "fonction : niveau direction",
        ),
        ("attribute.budget", {"attribute.budget": 1250.5}, "budget: 1,250.5", "budget : 1 250,5"),
        ("email", {"email.class": "student"}, "academic e-mail address", "adresse e-mail universitaire"),
        (
            "profile",
            {"profile.filled": 1.0},
            "optional fields filled in: 1 of 2",
            "champs facultatifs renseignés : 1 sur 2",
        ),
    ],
)
def test_a_sentence_in_both_languages(concept: str, values: dict, en: str, fr: str) -> None:
    assert Storyteller(VOCABULARY).sentence(concept, values) == en
    assert plain_spaces(Storyteller(VOCABULARY, "fr").sentence(concept, values)) == fr


@pytest.mark.parametrize(
    ("concept", "values", "value", "clause"),
    [
        (PRICING, THRICE, "3 times in the last week", "pricing page: 3 times in the last week"),
        (PRICING, JUST_NOW, "14 minutes ago", "pricing page: 14 minutes ago"),
        ("activity.webinar", NO_WEBINAR, "", "webinar attended: never"),
        ("attribute.size", {"attribute.size": 124.5}, "50–199 employees", "company size: 50–199 employees"),
        ("overall.recency", {"overall.last_days": 3.0}, "3 days ago", "last activity 3 days ago"),
    ],
)
def test_the_main_value_and_the_short_form(concept: str, values: dict, value: str, clause: str) -> None:
    teller = Storyteller(VOCABULARY)
    assert teller.value(concept, values) == value
    assert teller.clause(concept, values) == clause


def test_an_unknown_concept_names_the_nearest() -> None:
    with pytest.raises(PropenseError, match=r"activity\.pricing"):
        Storyteller(VOCABULARY).sentence("activity.pricng", {})


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_concept_has_a_label_and_a_sentence_with_and_without_values(language: Language) -> None:
    vocabulary = example_vocabulary()
    teller = Storyteller(vocabulary, language)
    features = catalogue(vocabulary)
    for feature in features:
        full = {f.name: (f.levels[0] if f.levels else 1.0) for f in features if f.concept == feature.concept}
        for values in (full, {}):
            text = teller.sentence(feature.concept, values)
            assert teller.label(feature.concept)
            assert teller.clause(feature.concept, values)
            assert text
            assert "{" not in text
            assert "nan" not in text


def test_whoever_has_all_values_is_told_some_of_them() -> None:
    """Of no concept is it said that there is nothing where there is something."""
    vocabulary = example_vocabulary()
    features = catalogue(vocabulary)
    for concept in dict.fromkeys(feature.concept for feature in features):
        full = {f.name: (f.levels[0] if f.levels else 1.0) for f in features if f.concept == concept}
        assert Storyteller(vocabulary).value(concept, full), concept


def test_no_overall_concept_is_left_without_use() -> None:
    used = {feature.concept for feature in catalogue(example_vocabulary())}
    assert set(OVERALL) <= used


def test_every_feature_is_declared_in_full_and_once() -> None:
    features = catalogue(example_vocabulary())
    assert len({feature.name for feature in features}) == len(features)
    for feature in features:
        assert all((feature.label.en, feature.description.en, feature.sentence.en, feature.concept))
        assert (feature.type == "category") == bool(feature.levels), feature.name
        assert len(feature.level_words) in (0, len(feature.levels)), feature.name


def test_a_declaration_without_french_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="fr"):
        Text("pricing page")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="do not name the same values"):
        Text("{label} {value}", "{label}")


@pytest.mark.parametrize(
    ("share", "en"), [(0.0, "0%"), (0.001, "1%"), (0.125, "12%"), (0.999, "99%"), (1.0, "100%")]
)
def test_all_and_none_are_said_of_all_and_none_only(share: float, en: str) -> None:
    feature = next(f for f in catalogue(VOCABULARY) if f.name == "overall.working_hours_share")
    assert written(feature, share, SPEAKERS["en"]) == en


@pytest.mark.parametrize(
    ("change", "en", "fr"), [(2.0, "+2", "+2"), (0.0, "0", "0"), (-1000.0, "−1,000", "−1 000")]
)
def test_a_change_has_its_sign(change: float, en: str, fr: str) -> None:
    feature = next(f for f in catalogue(VOCABULARY) if f.name == "overall.trend")
    assert written(feature, change, SPEAKERS["en"]) == en
    assert plain_spaces(written(feature, change, SPEAKERS["fr"])) == fr


def test_names() -> None:
    assert readable("pricing_page") == "pricing page"
    assert readable("pricingPage") == "pricing page"
    assert readable("W_Nabellen offertes") == "W_Nabellen offertes"
    assert readable("A_SUBMITTED") == "A SUBMITTED"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("paid_ads", "paid ads"),
        ("FR", "FR"),
        ("LinkedIn", "LinkedIn"),
        ("Trade__Fair", "Trade Fair"),
        ("_", "_"),
    ],
)
def test_a_value_of_the_data_is_told_without_underscores_and_else_as_it_is(value: str, said: str) -> None:
    assert spaced(value) == said


def test_the_dictionary_in_the_repository_is_current() -> None:
    file = Path(__file__).resolve().parents[2] / "data" / "feature_dictionary.md"
    assert file.read_text(encoding="utf-8") == render(), (
        "stale: python -m features.dictionary > data/feature_dictionary.md"
    )


def plain_spaces(text: str) -> str:
    """French sets spaces that a line does not break at; here they are as typed."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")
