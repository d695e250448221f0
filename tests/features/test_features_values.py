"""What each feature is, on tables small enough to check by eye."""

from __future__ import annotations

import json
import math

import ibis
import ibis.config
import pandas as pd
import pytest
from canonical import activities, leads, snapshots

from features.catalogue import catalogue
from features.compute import compute, frame
from features.errors import BundleError, ConfigurationError
from features.language import Text
from features.past import Past
from features.settings import FeatureSettings
from features.tables import Attribute, Tables
from features.vocabulary import Vocabulary, learn

ALL = FeatureSettings(min_kind_leads=1, min_category_leads=1)
LEADS = leads(
    """
    lead_id | created_at       | email_domain  | industry | employees | job            | budget | trial
    a       | 2024-03-10 12:00 | gmail.com     | steel    | 50-199    | Head of Sales  | 100    | 1
    b       | 2024-03-15 12:00 | siemens.com   | food     | -         | Engineer       | -      | 0
    c       | 2024-03-19 12:00 | -             | steel    | 1,000+    | -              | 7.5    | -
""",
    numbers=("budget", "trial"),
)
ATTRIBUTES = (
    Attribute("industry", "category"),
    Attribute("employees", "size"),
    Attribute("job", "seniority"),
    Attribute("budget", "number"),
    Attribute("trial", "flag"),
)
# 2024-03-20 is a Wednesday. Lead c does nothing.
ACTIVITIES = activities("""
    lead_id | occurred_at      | kind  | actor     | asset | channel | value
    a       | 2024-03-11 12:00 | mail  | marketing | may   | email   | -
    a       | 2024-03-17 09:00 | page  | lead      | /x    | web     | 1.5
    a       | 2024-03-17 09:20 | page  | lead      | /y    | web     | 2.25
    a       | 2024-03-17 10:00 | form  | lead      | /x    | web     | -
    a       | 2024-03-20 00:00 | page  | lead      | /x    | ad      | -
    b       | 2024-03-18 12:00 | page  | lead      | /x    | web     | -
""")
SNAPSHOTS = snapshots("""
    snapshot | lead_id | as_of
    7        | c       | 2024-03-20 12:00
    5        | a       | 2024-03-20 12:00
    6        | b       | 2024-03-20 12:00
""")
PAST = Past(Tables(LEADS, ACTIVITIES, (), ATTRIBUTES), SNAPSHOTS)


@pytest.fixture(scope="module")
def features() -> pd.DataFrame:
    return frame(PAST, learn(PAST, ALL))


def missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def test_shape_order_and_types(features: pd.DataFrame) -> None:
    vocabulary = learn(PAST, ALL)
    assert features.index.tolist() == [5, 6, 7]
    assert features.columns.tolist() == [feature.name for feature in catalogue(vocabulary)]
    for feature in catalogue(vocabulary):
        dtype = features[feature.name].dtype
        if feature.type == "category":
            assert dtype.categories.tolist() == list(feature.levels)
        else:
            assert dtype == "float64"


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        # a's pages: Sunday 17th 9:00 and 9:20, Wednesday 20th 0:00; seen on the 20th at 12:00
        ("activity.page.count", 3, 1),
        ("activity.page.count_1d", 1, 0),
        ("activity.page.count_7d", 3, 1),
        ("activity.page.last_days", 0.5, 2),
        ("activity.page.first_days", 3.125, 2),  # 3 days and 3 hours
        ("activity.page.active_days", 2, 1),
        ("activity.page.sessions", 2, 1),  # 20 minutes apart is one session
        ("activity.page.assets", 2, 1),
        ("activity.page.channels", 2, 1),
        ("activity.page.value", 3.75, 0),
        ("activity.page.mean_gap_days", (3.125 - 0.5) / 2, math.nan),
        ("activity.page.longest_gap_days", 3.125 - 0.5 - 20 / 1440, math.nan),
        ("activity.page.trend", 3, 1),
        ("activity.mail.trend", -1, 0),  # 9 days ago: in the week before
        ("activity.mail.count_7d", 0, 0),
        ("activity.mail.decayed_30d", 2 ** (-9 / 30), 0),
        ("overall.count", 5, 1),
        ("overall.count_7d", 4, 1),
        ("overall.active_days", 3, 1),
        ("overall.sessions", 4, 1),  # 9:00 + 9:20, then 10:00 is 40 minutes later
        ("overall.kinds", 3, 1),
        ("overall.assets", 3, 1),
        ("overall.inbound", 4, 1),
        ("overall.outbound", 1, 0),
        ("overall.inbound_share", 0.8, 1),
        ("overall.weekend_share", 0.6, 0),
        ("overall.working_hours_share", 0.2, 1),  # the mail, Monday 12:00
        ("overall.last_hour", 0, 12),
        ("overall.first_channel", "email", "web"),
        ("overall.last_channel", "ad", "web"),
        ("overall.last_weekday", "Wednesday", "Monday"),
        ("overall.lead_age_days", 10, 5),
        ("attribute.industry", "steel", "food"),
        ("attribute.employees", 124.5, math.nan),
        ("attribute.job", 6, 3),
        ("attribute.budget", 100, math.nan),
        ("attribute.trial", 1, 0),
        ("filled.budget", 1, 0),
        ("profile.filled", 4, 2),  # of employees, job, budget, trial; industry has no gaps
        ("email.class", "personal", "corporate"),
    ],
)
def test_value(features: pd.DataFrame, name: str, a: object, b: object) -> None:
    for snapshot, expected in ((5, a), (6, b)):
        found = features[name][snapshot]
        if missing(expected):
            assert missing(found), name
        else:
            assert found == (expected if isinstance(expected, str) else pytest.approx(expected, abs=1e-9)), (
                name
            )


def test_a_lead_without_activities_is_kept_with_zeros_and_missing_ages(features: pd.DataFrame) -> None:
    row = features.loc[7]
    assert row["overall.count"] == 0
    assert row["activity.page.decayed_7d"] == 0
    assert missing(row["activity.page.last_days"])
    assert missing(row["overall.weekend_share"])
    assert pd.isna(row["overall.last_channel"])
    assert pd.isna(row["email.class"])


def test_an_always_filled_attribute_has_no_filled_feature(features: pd.DataFrame) -> None:
    assert "filled.industry" not in features
    assert "activity.form.value" not in features  # no form has a value


STRANGE = ['a,b "c"', "Tést [é] {x}: y", "Webinar", "webinar", "it's", "a\\b", "other"]


def strange_past(at: str = "2024-03-20") -> Past:
    lines = "\n".join(f"a | 2024-03-19 | {kind}" for kind in STRANGE)
    acts = activities("lead_id | occurred_at | kind\n" + lines)
    seen = snapshots(f"snapshot | lead_id | as_of\n0 | a | {at}")
    people = leads(
        "lead_id | created_at | email_domain | snapshot | a, [b]: 'é'\na | 2024-03-01 | - | red | 1"
    )
    attributes = (Attribute("snapshot", "category"), Attribute("a, [b]: 'é'", "category"))
    return Past(Tables(people, acts, (), attributes), seen)


def test_strange_names_just_work() -> None:
    past = strange_past()
    vocabulary = learn(past, ALL)
    found = frame(past, vocabulary)
    for kind in STRANGE:  # also two that differ by case only; "other" is the pool
        assert found[f"activity.{kind}.count"][0] == 1
    assert found["attribute.snapshot"][0] == "red"
    assert found["attribute.a, [b]: 'é'"][0] == "1"


def test_rare_kinds_and_categories_are_pooled_and_unseen_ones_join_them() -> None:
    settings = FeatureSettings(min_kind_leads=2, min_category_leads=2)
    vocabulary = learn(PAST, settings)
    # page: leads a and b; mail and form: a only. steel: a and c; food: b only.
    assert [kind.name for kind in vocabulary.kinds] == ["page", "other"]
    found = frame(PAST, vocabulary)
    assert found["activity.other.count"].tolist() == [2, 0, 0]
    assert found["attribute.industry"].tolist() == ["steel", "other", "steel"]

    later = activities("lead_id | occurred_at | kind\na | 2024-03-19 | never seen\na | 2024-03-19 | page")
    unseen = leads(
        "lead_id | created_at | email_domain | industry | employees | job | budget | trial\n"
        "a | 2024-03-10 | - | mining | - | - | 1 | 1",
        numbers=("budget", "trial"),
    )
    new = frame(Past(Tables(unseen, later, (), ATTRIBUTES), SNAPSHOTS), vocabulary)
    assert new["activity.other.count"][5] == 1
    assert new["attribute.industry"][5] == "other"
    assert new.columns.tolist() == found.columns.tolist()


def test_frequency_counts_leads_and_not_snapshots() -> None:
    twice = snapshots("""
        snapshot | lead_id | as_of
        0        | a       | 2024-03-20 12:00
        1        | a       | 2024-03-21 12:00
    """)
    past = Past(Tables(LEADS, ACTIVITIES, (), ATTRIBUTES), twice)
    assert learn(past, FeatureSettings(min_kind_leads=2)).kept_kinds == ()


def test_the_vocabulary_survives_json() -> None:
    settings = FeatureSettings(
        min_kind_leads=1, directions={"activity.page": 1}, labels={"page": Text("page", "la page")}
    )
    vocabulary = learn(PAST, settings)
    again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary
    assert catalogue(again) == catalogue(vocabulary)


def test_a_vocabulary_from_when_labels_had_one_language_is_read() -> None:
    plain = learn(PAST, ALL).to_dict()
    plain["settings"]["labels"] = {"page": "Seite"}
    plain["kinds"][0]["label"] = "Seite"
    plain["attributes"][0] |= {
        "label": "Branche",
        "declared": plain["attributes"][0]["declared"] | {"label": ""},
    }
    again = Vocabulary.from_dict(plain)
    assert again.settings.labels == {"page": Text("Seite", "Seite")}
    assert again.kinds[0].label == Text("Seite", "Seite")
    assert (again.attributes[0].label, again.attributes[0].declared.label) == (
        Text("Branche", "Branche"),
        None,
    )


def test_a_kind_without_a_label_is_read_by_its_name_in_every_language() -> None:
    labelled = FeatureSettings(min_kind_leads=1, labels={"page": Text("page viewed", "page vue")})
    kinds = {kind.name: kind.label for kind in learn(PAST, labelled).kinds}
    assert kinds == {
        "page": Text("page viewed", "page vue"), "mail": Text("mail", "mail"), "form": Text("form", "form"),
    }  # fmt: skip


def test_a_direction_becomes_a_constraint_of_each_feature_that_grows_with_the_concept() -> None:
    vocabulary = learn(PAST, FeatureSettings(min_kind_leads=1, directions={"activity.page": 1}))
    direction = {feature.name: feature.direction for feature in catalogue(vocabulary)}
    assert direction["activity.page.count_7d"] == 1
    assert direction["activity.page.last_days"] == -1  # the longer ago, the less of it
    assert direction["activity.page.trend"] == 0
    assert direction["activity.form.count_7d"] == 0


def test_a_missing_attribute_is_named() -> None:
    vocabulary = learn(PAST, ALL)
    fewer = Past(Tables(LEADS, ACTIVITIES, (), ATTRIBUTES[1:]), SNAPSHOTS)
    with pytest.raises(BundleError, match="industry"):
        frame(fewer, vocabulary)


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows_days": (0, 7)},
        {"windows_days": (7, 7)},
        {"directions": {"x": 2}},
        {"session_gap_minutes": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError):
        FeatureSettings(**wrong)


class SparkOptions(ibis.config.Config):
    """What Ibis registers when its Spark backend is loaded, for which Spark itself is needed."""

    treat_nan_as_null: bool = False


def test_the_same_expression_compiles_to_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ibis.options, "pyspark", SparkOptions())
    sql = str(ibis.to_sql(compute(PAST, learn(PAST, ALL)), dialect="pyspark"))
    assert sql.count("GROUP BY") == 2  # by snapshot and kind, then by snapshot: one pass


@pytest.mark.parametrize("step", [1, -1])
def test_a_tie_is_broken_by_what_the_rows_say_and_not_by_how_they_are_stored(step: int) -> None:
    rows = ["a | 2024-03-19 | page | web", "a | 2024-03-19 | page | ad", "a | 2024-03-19 | form | email"][
        ::step
    ]
    acts = activities("lead_id | occurred_at | kind | channel\n" + "\n".join(rows))
    past = Past(Tables(LEADS, acts, (), ATTRIBUTES), SNAPSHOTS)
    found = frame(past, learn(past, ALL)).loc[5]
    # by kind, then actor, asset and channel: form/email, page/ad, page/web
    assert (found["overall.first_channel"], found["overall.last_channel"]) == ("email", "web")
