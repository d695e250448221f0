"""The user's own points."""

from __future__ import annotations

import pytest
from canonical import activities, column, leads, snapshots

from features.errors import ConfigurationError
from features.past import Past
from features.rules import ActivityRule, AttributeRule, EmailRule, Rule, points
from features.tables import Attribute, Tables

LEADS = leads("""
    lead_id | created_at | email_domain | industry | employees
    a       | 2024-03-01 | gmail.com    | steel    | 50-199
    b       | 2024-03-01 | -            | -        | 1,000+
""")
ATTRIBUTES = (Attribute("industry", "category"), Attribute("employees", "size"))
ACTIVITIES = activities("""
    lead_id | occurred_at      | kind       | asset
    a       | 2024-03-01       | newsletter | -
    a       | 2024-03-19       | newsletter | -
    a       | 2024-03-19       | download   | case study
    a       | 2024-03-19       | download   | brochure
    a       | 2024-03-20 12:00 | newsletter | -
""")
SNAPSHOTS = snapshots("""
    snapshot | lead_id | as_of
    0        | a       | 2024-03-20 12:00
    1        | b       | 2024-03-20 12:00
""")
PAST = Past(Tables(LEADS, ACTIVITIES, (), ATTRIBUTES), SNAPSHOTS)


@pytest.mark.parametrize(
    ("rule", "a", "b"),
    [
        (ActivityRule("newsletter", 5, "newsletter"), 5, 0),
        (ActivityRule("each newsletter", 5, "newsletter", each=True), 10, 0),  # the third is not yet known
        (ActivityRule("recent newsletter", 5, "newsletter", within_days=7, each=True), 5, 0),
        (ActivityRule("case study", 20, "download", asset="case study", each=True), 20, 0),
        (ActivityRule("never done", 20, "demo"), 0, 0),
        (AttributeRule("heavy", 3, "industry", one_of=("steel", "coal")), 3, 0),
        (AttributeRule("empty", -1, "industry", filled=False), 0, -1),
        (AttributeRule("large", 4, "employees", at_least=200), 0, 4),
        (AttributeRule("medium", 4, "employees", at_least=50, at_most=200), 4, 0),
        (EmailRule("personal address", -6, "personal"), -6, 0),
    ],
)
def test_a_rule(rule: Rule, a: float, b: float) -> None:
    assert column(points(PAST, [rule]), "points") == {0: a, 1: b}


def test_points_add_up() -> None:
    rules = [
        ActivityRule("newsletter", 5, "newsletter"),
        ActivityRule("case study", 20, "download", asset="case study"),
        EmailRule("personal address", -6, "personal"),
    ]
    # a: 5 + 20 - 6; b: nothing
    assert column(points(PAST, rules), "points") == {0: 19, 1: 0}
    assert column(points(PAST, []), "points") == {0: 0, 1: 0}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (AttributeRule("x", 1, "industri", filled=True), "Did you mean 'industry'"),
        (AttributeRule("x", 1, "industry", at_least=3), "which is text"),
        (AttributeRule("x", 1, "employees", one_of=("50-199",)), "which is a number"),
    ],
)
def test_a_rule_that_does_not_fit_the_data_is_explained(rule: AttributeRule, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        points(PAST, [rule])


def test_a_rule_without_meaning_cannot_be_made() -> None:
    with pytest.raises(ConfigurationError, match="no condition"):
        AttributeRule("x", 1, "industry")
    with pytest.raises(ConfigurationError, match="personal"):
        EmailRule("x", 1, "private")
    with pytest.raises(ConfigurationError, match="within_days"):
        ActivityRule("x", 1, "page", within_days=0)
