"""The scorecard in the report: its lines are rules that the configuration reads and that give its points."""

from __future__ import annotations

import csv
import io
import tomllib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibis import _
from project import read, write_project

from features.rules import ActivityRule, AttributeRule, EmailRule, times, times_column
from features.tables import Attribute
from models.scorecard import distil
from models.scorecard_lines import candidates
from pipeline import featuring
from pipeline.config import RuleConfig
from pipeline.preparation import prepare
from pipeline.report.words_lines import COLUMNS, as_config, as_csv, as_toml, line_name
from pipeline.source.dataset import Dataset

KINDS = ("visit", "case_study", "demo")


def a_dataset(folder) -> Dataset:
    """A company whose 400 leads have activities, categories, numbers, gaps and addresses."""
    random = np.random.default_rng(0)
    created = pd.date_range("2023-01-01", periods=400, freq="12h")
    leads, activities = ["lead_id, created_at, email, industry, size, visits"], ["lead_id, occurred_at, kind"]
    outcomes = ["lead_id, outcome, closed_at"]
    for place, at in enumerate(created):
        size = random.choice(["5", "20", "120", "2000", ""])
        domain = random.choice(["gmail.com", "acme.example", "stanford.edu"])
        industry = random.choice(["Finance", 'Health "care"', "Retail", ""])
        row = f"l{place}, {at.isoformat()}, p{place}@{domain}, {industry}, {size}, {random.integers(0, 9)}"
        leads.append(row.replace('"', ""))
        for kind in KINDS:
            for days in random.uniform(0.1, 60, random.integers(0, 3)):
                activities.append(f"l{place}, {(at + pd.Timedelta(days=days)).isoformat()}, {kind}")
        outcomes.append(
            f"l{place}, {'won' if place % 3 else 'lost'}, {(at + pd.Timedelta(days=80)).isoformat()}"
        )
    path = write_project(
        folder,
        leads="\n".join(leads), activities="\n".join(activities), outcomes="\n".join(outcomes),
        in_activities='kind = "kind"',
        in_leads='email = "email"\nattributes = ["industry", "size", "visits"]\ntypes = { size = "size" }',
        in_outcomes='table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"',
        sections='[snapshots]\nhorizon = "30d"\nages = ["5d", "40d"]\n',
    )  # fmt: skip
    return read(path)


def test_exported_rules_read_back_give_exactly_the_points_of_the_scorecard(tmp_path):
    dataset = a_dataset(tmp_path)
    prepared = prepare(dataset)
    snapshots = prepared.snapshots
    given_settings = featuring.settings(dataset.config)
    vocabulary = featuring.learn_vocabulary(dataset, prepared, given_settings)
    features = featuring.features_of(dataset, snapshots, vocabulary)
    random = np.random.default_rng(1)
    names = [f"activity.{k}" for k in vocabulary.kept_kinds] + ["email"]
    names += [f"attribute.{known.name}" for known in vocabulary.attributes]
    # A model that takes the values of a category, and numbers, in their order ...
    concepts = pd.DataFrame(0.0, features.index, names)
    for name in ("attribute.industry", "attribute.size", "attribute.visits"):
        concepts[name] += features[name].astype("category").cat.codes * 0.1
    lines = candidates(vocabulary, features, concepts)
    past = featuring.past_of(dataset, snapshots, given_settings)
    table = times(past, [line.rule for line in lines]).order_by(_.snapshot).to_pandas().set_index("snapshot")
    held = table[[times_column(place) for place in range(len(lines))]]
    # ... and every other line at a weight of its own.
    for place, line in enumerate(lines):
        if not isinstance(line.rule, AttributeRule):
            concepts[line.concept] += held.iloc[:, place] * random.normal(0, 0.5)
    card = distil(lines, held, concepts, concepts.sum(axis=1), np.arange(len(held)))
    assert {type(rule) for rule in card.rules} == {ActivityRule, AttributeRule, EmailRule}

    text = as_toml([as_config(rule, f"line {n}") for n, rule in enumerate(card.rules)], ["a comment"])
    rules = [RuleConfig(**entry) for entry in tomllib.loads(text)["rules"]]
    config = dataset.config.model_copy(update={"rules": rules})
    points = featuring.points_of(dataset, snapshots, config)
    assert points is not None
    pd.testing.assert_series_equal(points, card.total(held), check_names=False)
    assert points.nunique() > 10


TEXT = st.text(min_size=1, max_size=12)
RULES = st.one_of(
    st.builds(
        ActivityRule, st.just(""), st.integers(-50, 50), TEXT,
        within_days=st.sampled_from([None, 7.0, 30.0, 90.0]),
    ),
    st.builds(
        AttributeRule, st.just(""), st.integers(-50, 50), TEXT,
        one_of=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(AttributeRule, st.just(""), st.integers(-50, 50), TEXT, at_least=st.floats(-1e6, 1e6)),
    st.builds(AttributeRule, st.just(""), st.integers(-50, 50), TEXT, filled=st.just(True)),
    st.builds(EmailRule, st.just(""), st.integers(-50, 50), st.just("personal")),
)  # fmt: skip


@given(RULES, TEXT)
def test_any_rule_survives_the_way_through_the_configuration(rule, name):
    entry = tomllib.loads(as_toml([as_config(rule, name)], ["comment"]))["rules"][0]
    read_back = featuring._rule(RuleConfig(**entry))
    assert read_back.name == name
    assert {**vars(read_back), "name": ""} == vars(rule)


def test_the_spreadsheet_has_a_row_a_line_and_nothing_that_it_would_compute():
    entries = [
        as_config(AttributeRule("", 5, "plan", one_of=("=1+1", "gold")), "plan: =1+1, gold"),
        as_config(ActivityRule("", -3, "visit", within_days=7), "-visit"),
    ]
    header, first, second = csv.reader(io.StringIO(as_csv(entries)))
    assert tuple(header) == COLUMNS
    assert [*first[:2], first[5]] == ["plan: =1+1, gold", "5", "'=1+1 | gold"]
    assert second[:4] == ["'-visit", "-3", "visit", "7d"]


@pytest.mark.parametrize(
    ("rule", "english", "french"),
    [
        (
            ActivityRule("", 5, "demo", within_days=7),
            "x in the last 7 days",
            "x dans les 7 derniers jours",
        ),
        (ActivityRule("", 5, "demo"), "x, at any time", "x, à tout moment"),
        (
            AttributeRule("", 5, "size", at_least=50),
            "x: at least 50 employees",
            "x\u00a0: au moins 50 salariés",
        ),
        (AttributeRule("", 5, "visits", at_most=1250), "x: at most 1,250", "x\u00a0: au plus 1\u202f250"),
        (AttributeRule("", 5, "industry", one_of=("a", "b")), "x: a, b", "x\u00a0: a, b"),
        (AttributeRule("", 5, "opt_in", at_least=1), "x: yes", "x\u00a0: oui"),
        (AttributeRule("", 5, "industry", filled=True), "x: known", "x\u00a0: renseigné"),
        (EmailRule("", 5, "personal"), "personal e-mail address", "adresse e-mail personnelle"),
    ],
)
def test_lines_are_called_what_people_call_them(rule, english, french):
    kinds = {"size": "size", "visits": "number", "industry": "category", "opt_in": "flag"}
    declared = {name: Attribute(name, kind) for name, kind in kinds.items()}
    said = line_name(rule, lambda concept: {"en": "x", "fr": "x"}, declared)
    assert said == {"en": english, "fr": french}
