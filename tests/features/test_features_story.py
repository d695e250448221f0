"""Reasons in plain words, and the dictionary."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from features.catalogue import catalogue
from features.dictionary import example_vocabulary, render
from features.errors import PropenseError
from features.settings import FeatureSettings
from features.story import Storyteller
from features.tables import Attribute
from features.vocabulary import Kind, KnownAttribute, Vocabulary
from features.wording import OVERALL, lasting, plain, readable

VOCABULARY = Vocabulary(
    settings=FeatureSettings(),
    kinds=(Kind("pricing", "pricing page", assets=True), Kind("webinar", "webinar attended")),
    pooled=False,
    overall=Kind("", "all activities", assets=True),
    channels=("ad", "email", "other"),
    attributes=(
        KnownAttribute(Attribute("size", "size"), "company size", gaps=True),
        KnownAttribute(Attribute("industry", "category"), "industry", gaps=True, levels=("steel", "other")),
        KnownAttribute(Attribute("trial", "flag"), "trial", gaps=False),
        KnownAttribute(Attribute("job", "seniority"), "job title", gaps=False),
        KnownAttribute(Attribute("budget", "number"), "budget", gaps=False),
    ),
    email=True,
)
NAN = math.nan


@pytest.mark.parametrize(
    ("concept", "values", "sentence", "value"),
    [
        (
            "activity.pricing",
            {
                "activity.pricing.count": 5.0,
                "activity.pricing.count_1d": 0.0,
                "activity.pricing.count_7d": 3.0,
                "activity.pricing.count_30d": 4.0,
                "activity.pricing.last_days": 1.5,
                "activity.pricing.assets": 1.0,
            },
            "pricing page 3 times in the last 7 days, last 36 hours ago, 1 asset",
            "3 times",
        ),
        (
            "activity.pricing",
            {
                "activity.pricing.count": 1.0,
                "activity.pricing.count_1d": 1.0,
                "activity.pricing.last_days": 0.01,
            },
            "pricing page once in the last 24 hours, last 14 minutes ago",
            "once",
        ),
        (
            "activity.pricing",
            {
                "activity.pricing.count": 2.0,
                "activity.pricing.count_90d": 0.0,
                "activity.pricing.last_days": 120.4,
            },
            "pricing page 2 times, last 120 days ago",
            "2 times",
        ),
        (
            "activity.webinar",
            {"activity.webinar.count": 0.0, "activity.webinar.last_days": NAN},
            "no webinar attended",
            "",
        ),
        ("overall.recency", {"overall.last_days": 3.0}, "last active 3 days ago", "3 days ago"),
        ("overall.frequency", {"overall.count": 4.0}, "active 4 times", "4 times"),
        ("overall.frequency", {"overall.count": 0.0}, "no activity yet", ""),
        ("overall.age", {"overall.lead_age_days": 12.9}, "known for 12 days", "12 days"),
        ("attribute.size", {"attribute.size": 124.5}, "company size 50-199 employees", "50-199 employees"),
        ("attribute.size", {"attribute.size": NAN, "filled.size": 0.0}, "company size not known", ""),
        ("attribute.industry", {"attribute.industry": "steel"}, "industry: steel", "steel"),
        ("attribute.industry", {"attribute.industry": "other"}, "industry: a rarer one", "a rarer one"),
        ("attribute.industry", {"attribute.industry": None}, "industry not known", ""),
        ("attribute.trial", {"attribute.trial": 0.0}, "trial: no", "no"),
        ("attribute.job", {"attribute.job": 6.0}, "job title: director", "director"),
        ("attribute.budget", {"attribute.budget": 0.0}, "budget 0", "0"),
        ("email", {"email.class": "student"}, "student e-mail address", "student"),
        ("profile", {"profile.filled": 1.0}, "1 field filled in", "1 field"),
    ],
)
def test_a_sentence_is_true_of_the_lead(concept: str, values: dict, sentence: str, value: str) -> None:
    teller = Storyteller(VOCABULARY)
    assert teller.sentence(concept, values) == sentence
    assert teller.value(concept, values) == value


def test_an_unknown_concept_names_the_nearest() -> None:
    with pytest.raises(PropenseError, match=r"activity\.pricing"):
        Storyteller(VOCABULARY).sentence("activity.pricng", {})


def test_every_concept_has_a_label_and_a_sentence_with_and_without_values() -> None:
    vocabulary = example_vocabulary()
    teller = Storyteller(vocabulary)
    features = catalogue(vocabulary)
    for feature in features:
        full = {f.name: (f.levels[0] if f.levels else 1.0) for f in features if f.concept == feature.concept}
        for values in (full, {}):
            text = teller.sentence(feature.concept, values)
            assert teller.label(feature.concept)
            assert text
            assert "{" not in text
            assert "nan" not in text


def test_no_overall_concept_is_left_without_use() -> None:
    used = {feature.concept for feature in catalogue(example_vocabulary())}
    assert set(OVERALL) <= used


def test_every_feature_is_declared_in_full_and_once() -> None:
    features = catalogue(example_vocabulary())
    assert len({feature.name for feature in features}) == len(features)
    for feature in features:
        assert all((feature.label, feature.description, feature.sentence, feature.concept)), feature.name
        assert (feature.type == "category") == bool(feature.levels), feature.name


@pytest.mark.parametrize(
    ("days", "text"),
    [(0, "less than a minute"), (1 / 24, "1 hour"), (1, "24 hours"), (2, "2 days"), (89.9, "89 days")],
)
def test_lengths_of_time(days: float, text: str) -> None:
    assert lasting(days) == text


def test_names_and_numbers() -> None:
    assert readable("pricing_page") == "pricing page"
    assert readable("pricingPage") == "pricing page"
    assert readable("W_Nabellen offertes") == "W_Nabellen offertes"
    assert readable("A_SUBMITTED") == "A SUBMITTED"
    assert [plain(n) for n in (1250.0, 12.345, 0.0423, 1.25)] == ["1,250", "12.3", "0.042", "1.2"]


def test_the_dictionary_in_the_repository_is_current() -> None:
    file = Path(__file__).resolve().parents[2] / "data" / "feature_dictionary.md"
    assert file.read_text(encoding="utf-8") == render(), (
        "stale: python -m features.dictionary > data/feature_dictionary.md"
    )
