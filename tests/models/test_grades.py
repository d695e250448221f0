"""Score and grade: a lead's place among the snapshots of the calibration window."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from features.errors import BundleError, DataError
from models.grades import Grades, ScoreScale

numbers = st.lists(st.floats(-20, 20), min_size=1, max_size=80)


@settings(max_examples=100, deadline=None)
@given(window=numbers, asked=numbers)
def test_a_higher_margin_never_scores_lower(window, asked):
    score = ScoreScale.fit(window).score(np.sort(asked))

    assert (np.diff(score) >= 0).all()
    assert score.min() >= 0
    assert score.max() <= 100


@settings(max_examples=100, deadline=None)
@given(window=st.lists(st.integers(0, 9), min_size=1, max_size=300))
def test_the_score_is_the_percentile_of_the_middle_rank(window):
    # scipy's own percentile, where equals stand in the middle, rounded: at most one apart, by rounding.
    scale = ScoreScale.fit(window)

    expected = [percentileofscore(window, value, kind="mean") for value in window]
    assert np.abs(scale.score(window) - np.array(expected)).max() <= 1.0


def test_a_thousand_different_margins_fill_the_scale_evenly():
    window = np.arange(1000.0)

    score = ScoreScale.fit(window).score(window)

    counts = np.bincount(score, minlength=101)
    assert (counts[1:100] == 10).all()
    assert (counts[0], counts[100]) == (5, 5)
    assert ScoreScale.fit(window).score([-1.0, 5000.0]).tolist() == [0, 100]


def test_where_all_margins_are_the_same_each_scores_50():
    scale = ScoreScale.fit([0.3] * 7)

    assert scale.score([0.3, 0.2, 0.4]).tolist() == [50, 0, 100]


def test_a_weight_of_two_is_a_row_twice():
    window, twice = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 2, 1])

    assert ScoreScale.fit(window, twice) == ScoreScale.fit(np.repeat(window, twice))


def test_grades_by_hand():
    # Fit sums 1..8: quartiles end at 2, 4, 6; engagement 8..1 the other way round.
    fit, engagement = np.arange(1.0, 9), np.arange(8.0, 0, -1)
    grades = Grades.fit(fit, engagement)

    assert grades.fit_edges == (2.0, 4.0, 6.0)
    assert grades.grade(fit, engagement).tolist() == ["D1", "D1", "C2", "C2", "B3", "B3", "A4", "A4"]
    assert grades.grade([99, -99, 4.5], [0, 99, 4.5]).tolist() == ["A4", "D1", "B2"]


def test_where_all_are_the_same_the_grade_is_the_second_lowest():
    # Flat data has no engagement: every sum is 0.
    assert Grades.fit([0.0] * 5, [0.0] * 5).grade([0.0], [0.0]).tolist() == ["C3"]


def test_a_value_that_is_several_edges_stands_in_the_middle_of_them():
    # Edges 0, 0, 3: above the first. 0, 0, 0: above the first. 0, 2, 2: above the second.
    low, most, high = [0, 0, 0, 0, 1, 3, 5, 7], [0, 0, 0, 0, 0, 0, 5, 7], [0, 0, 1, 2, 2, 2, 5, 7]

    assert Grades.fit(low, low).grade([0, 1, 4], [0, 1, 4]).tolist() == ["C3", "B2", "A1"]
    assert Grades.fit(most, most).grade([0, 5], [0, 5]).tolist() == ["C3", "A1"]
    assert Grades.fit(high, high).grade([0, 1, 2, 5], [0, 1, 2, 5]).tolist() == ["D4", "C3", "B2", "A1"]


@settings(max_examples=60, deadline=None)
@given(window=numbers, asked=numbers)
def test_grades_never_get_worse_with_a_higher_sum(window, asked):
    ordered = np.sort(asked)
    grade = Grades.fit(window, window).grade(ordered, ordered)

    assert sorted(g[0] for g in grade) == [g[0] for g in grade][::-1]
    assert sorted(g[1] for g in grade) == [g[1] for g in grade][::-1]


def test_both_are_the_same_after_a_way_through_json():
    window = np.random.default_rng(0).normal(size=500)
    scale, grades = ScoreScale.fit(window), Grades.fit(window, -window)

    assert ScoreScale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale
    assert Grades.from_dict(json.loads(json.dumps(grades.to_dict()))) == grades
    assert len(scale.edges) <= 101


@pytest.mark.parametrize("window", [[], [1.0, np.nan], [1.0, np.inf]])
def test_what_cannot_be_ranked_is_refused(window):
    with pytest.raises(DataError, match="cannot be ranked"):
        ScoreScale.fit(window)
    with pytest.raises(DataError, match="cannot be ranked"):
        Grades.fit(window, window)


def test_a_missing_margin_has_no_score_and_an_altered_scale_is_refused():
    scale = ScoreScale.fit([1.0, 2.0])

    with pytest.raises(DataError, match="1 of 2"):
        scale.score([1.0, np.nan])
    for edges in ([], [1.0] * 99, [2.0] * 50 + [1.0] * 50, [np.nan] * 100):
        with pytest.raises(BundleError, match="rising order"):
            ScoreScale.from_dict({"edges": edges})
