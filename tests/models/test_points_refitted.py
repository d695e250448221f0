"""The user's rules with the points that the data would give them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.errors import UnsupportedData
from models.baselines import RefittedPoints


def world(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Three rules worth 10 points each time: the first helps, the second harms, the third never applies."""
    random = np.random.default_rng(5)
    times = np.column_stack([random.poisson(1, rows), random.poisson(1, rows), np.zeros(rows)])
    label = random.random(rows) < expit(-2 + 1.0 * times[:, 0] - 0.5 * times[:, 1])
    return 10 * times, label.astype(int)


def test_each_time_a_rule_applies_is_worth_what_it_does_to_the_log_odds() -> None:
    points, label = world()
    model = RefittedPoints().fit(points, label)
    none, first, second, twice = model.margin(np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [20, 0, 0]]))
    assert first - none == pytest.approx(1.0, abs=0.15)
    assert second - none == pytest.approx(-0.5, abs=0.15)
    # Still a point table: the second time counts as much as the first.
    assert twice - first == pytest.approx(first - none)


def test_the_users_own_points_do_not_matter_only_how_often_each_rule_applies() -> None:
    points, label = world(1000)
    own = RefittedPoints().fit(points, label).margin(points)
    other = RefittedPoints().fit(points * [-3, 0.5, 1], label).margin(points * [-3, 0.5, 1])
    pd.testing.assert_series_equal(pd.Series(own), pd.Series(other), atol=1e-6)


def test_rules_that_tell_nothing_give_everybody_the_base_rate() -> None:
    label = np.array([0, 0, 0, 1])
    model = RefittedPoints().fit(np.full((4, 2), 5.0), label)
    assert expit(model.margin(np.array([[5.0, 5.0], [0.0, 9.0]]))) == pytest.approx([0.25, 0.25])


def test_one_class_is_refused() -> None:
    with pytest.raises(UnsupportedData):
        RefittedPoints().fit(np.ones((4, 1)), np.zeros(4))
