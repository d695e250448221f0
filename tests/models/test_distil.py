"""The model distilled into a point table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError
from features.rules import ActivityRule, AttributeRule, EmailRule
from models import scorecard
from models.scorecard import MOST_LINES, MOST_POINTS, distil, threshold
from models.scorecard_lines import Candidate, disjoint, in_order, inside
from models.scorecard_loss import judged

LN2 = np.log(2)


def kind(name: str, days: float | None = None) -> Candidate:
    return Candidate(ActivityRule("", 1.0, name, within_days=days), f"activity.{name}")


def a_world(seed: int = 0, rows: int = 600, lines: int = 6) -> tuple[list[Candidate], pd.DataFrame]:
    held = np.random.default_rng(seed).random((rows, lines)) < 0.4
    return [kind(f"k{place}") for place in range(lines)], pd.DataFrame(held.astype(float))


def concepts_of(lines: list[Candidate], times: pd.DataFrame, weights: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({line.concept: times[p] * weights[p] for p, line in enumerate(lines)})


def test_a_margin_that_is_a_point_table_is_found_again_to_the_point():
    # 10 points double the odds: a line of 7 points adds 7 x ln 2 / 10 to the margin.
    lines, times = a_world()
    points = np.array([7, -4, 12, 0, 3, 0])
    weights = points * LN2 / 10
    margin = -2 + times.to_numpy() @ weights
    card = distil(lines, times, concepts_of(lines, times, weights), margin, np.arange(len(times)))
    assert {rule.kind: rule.points for rule in card.rules} == {"k0": 7, "k1": -4, "k2": 12, "k4": 3}
    assert card.doubles == 10
    assert card.explained == pytest.approx(1.0)
    assert card.total(times).tolist() == (times.to_numpy() @ points).tolist()


def test_a_line_never_points_the_other_way_than_the_model():
    # The margin falls with k0, but only by what the model gives to another concept: k0 itself raises.
    lines, times = a_world(lines=2)
    margin = -1.5 * times[0] + 0.2 * times[1]
    concepts = pd.DataFrame({"activity.k0": 0.1 * times[0], "activity.k1": 0.2 * times[1]})
    card = distil(lines, times, concepts, margin, np.arange(len(times)))
    assert all(rule.points > 0 for rule in card.rules)


def test_there_are_never_more_lines_than_allowed():
    lines, times = a_world(lines=40, rows=3000)
    weights = np.linspace(0.3, 0.6, 40)
    margin = (times.to_numpy() - 0.4) @ weights
    card = distil(lines, times, concepts_of(lines, times, weights), margin, np.arange(len(times)))
    assert len(card.rules) == MOST_LINES


def test_no_line_weighs_too_much_all_points_shrink_together():
    # Six log-odds would be 87 points where 10 double the odds, and are 43 where 5 do.
    lines, times = a_world(lines=1)
    weights = np.array([6.0])
    card = distil(lines, times, concepts_of(lines, times, weights), -3 + 6 * times[0], np.arange(600))
    assert [rule.points for rule in card.rules] == [43]
    assert card.doubles == 5
    assert MOST_POINTS == 50


def test_a_model_that_tells_nobody_apart_has_no_lines():
    lines, times = a_world()
    card = distil(lines, times, concepts_of(lines, times, np.zeros(6)), np.full(600, -2.0), np.arange(600))
    assert card.rules == ()
    assert card.total(times).eq(0).all()


def test_moving_points_after_rounding_never_ends_further_from_the_model(monkeypatch):
    lines, times = a_world(seed=3)
    weights = np.array([0.11, 0.13, 0.17, 0.19, 0.12, 0.16])
    margin = times.to_numpy() @ weights + np.random.default_rng(1).normal(0, 0.1, 600)
    concepts = concepts_of(lines, times, weights)
    moved = distil(lines, times, concepts, margin, np.arange(600)).explained
    monkeypatch.setattr(
        scorecard, "_whole", lambda sums, chosen, values: (np.round(values * 10 / LN2).astype(int), 10.0)
    )
    assert moved >= distil(lines, times, concepts, margin, np.arange(600)).explained - 1e-12


def test_snapshots_that_do_not_belong_together_are_refused():
    lines, times = a_world()
    with pytest.raises(DataError, match="do not belong together"):
        distil(lines, times, times, np.zeros(5), np.arange(600))


SETS = st.lists(
    st.tuples(st.frozensets(st.sampled_from("abcd"), min_size=1), st.integers(-9, 9)), min_size=1, max_size=4
)


@given(SETS)
@settings(max_examples=60, deadline=None)
def test_sets_taken_apart_give_every_value_the_same_points(sets):
    rules = [AttributeRule("", 1.0, "colour", one_of=tuple(sorted(levels))) for levels, _ in sets]
    apart = disjoint(rules, [points for _, points in sets])
    for value in "abcd":
        before = sum(points for levels, points in sets if value in levels)
        after = [rule.points for rule in apart if value in rule.one_of]
        assert len(after) <= 1
        assert sum(after) == before


def test_sets_within_sets_make_no_more_lines():
    # {a} 10, {a, b} 5, {d} -3: a has 15, b has 5, d has -3.
    rules = [AttributeRule("", 1.0, "x", one_of=levels) for levels in (("a",), ("a", "b"), ("d",))]
    apart = disjoint(rules, [10, 5, -3])
    assert [(rule.one_of, rule.points) for rule in apart] == [(("a",), 15), (("b",), 5), (("d",), -3)]


@pytest.mark.parametrize(
    ("narrow", "wide", "is_inside"),
    [
        (ActivityRule("", 1, "visit", within_days=7), ActivityRule("", 1, "visit", within_days=30), True),
        (ActivityRule("", 1, "visit", within_days=30), ActivityRule("", 1, "visit"), True),
        (ActivityRule("", 1, "visit"), ActivityRule("", 1, "visit", within_days=30), False),
        (ActivityRule("", 1, "visit", within_days=7), ActivityRule("", 1, "click"), False),
        (AttributeRule("", 1, "size", at_least=50), AttributeRule("", 1, "size", at_least=10), True),
        (AttributeRule("", 1, "size", at_most=10), AttributeRule("", 1, "size", at_most=50), True),
        (AttributeRule("", 1, "size", at_least=50), AttributeRule("", 1, "size", at_most=50), False),
        (AttributeRule("", 1, "size", at_least=50), AttributeRule("", 1, "size", filled=True), True),
        (EmailRule("", 1, "personal"), EmailRule("", 1, "corporate"), False),
    ],
)
def test_a_line_inside_another_is_known_as_such(narrow, wide, is_inside):
    assert inside(narrow, wide) is is_inside


def test_wider_lines_come_before_the_narrower_ones_of_their_concept():
    week, month = (ActivityRule("", 3, "visit", within_days=d) for d in (7, 30))
    large = AttributeRule("", 9, "size", at_least=50)
    assert in_order([week, large, month]) == [large, month, week]


def test_the_threshold_names_as_many_leads_as_wanted_or_nearest_to_it():
    # Most points by lead: a 9, b 5, c 5, d 1. At 9: one lead, at 5: three, at 1: four.
    points = pd.Series([2, 9, 5, 5, 1])
    leads = pd.Series(["a", "a", "b", "c", "d"])
    assert [threshold(points, leads, wanted) for wanted in (1, 2, 3, 4)] == [9, 9, 5, 1]
    assert threshold(points, leads, 0) is None


def test_a_table_that_ranks_as_the_model_loses_nothing_and_names_the_same():
    random = np.random.default_rng(0)
    margin = random.normal(-1, 1, 300)
    chance = 1 / (1 + np.exp(-margin))
    rows = pd.DataFrame(
        {
            "lead_id": [f"l{n}" for n in range(300)], "group_id": range(300), "as_of": pd.NaT,
            "margin": margin,
            "label": (random.random(300) < chance).astype(int), "propensity": chance, "points": np.nan,
            "rules": np.nan,
        }
    )  # fmt: skip
    same = judged(rows, pd.Series(margin * 10), 10.0, 0.4)
    assert same["spearman"] == pytest.approx(1.0)
    assert same["same"] == 1.0
    assert same["difference"]["propense"]["value"] == 0
    assert same["customers"]["scorecard"] == same["customers"]["propense"]
    assert "points" not in same["customers"]
    turned = judged(rows, pd.Series(-margin * 10), 10.0, 0.4)
    assert turned["more_customers"]["propense"]["value"] < 0
    assert turned["spearman"] == pytest.approx(-1.0)
    assert judged(rows, pd.Series(margin), 10.0, 1.0)["same"] is None  # nobody reaches the cutoff
