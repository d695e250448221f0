"""`PropensityInterval`: it holds the truth about as often as it says, and its own propensity always."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from features.errors import BundleError, DataError, UnsupportedData
from models.interval import PropensityInterval


def members_around(truth: np.ndarray, apart: float, rng: np.random.Generator) -> np.ndarray:
    """Eight members scattered `apart` around an estimate that is itself `apart` from the truth."""
    estimate = truth + apart * rng.normal(size=len(truth))
    return estimate[:, None] + apart * rng.normal(size=(len(truth), 8))


def fitted(n: int = 3000, apart: float = 0.3, seed: int = 0, **given: float) -> PropensityInterval:
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1, n)
    y = (rng.random(n) < expit(truth)).astype(int)
    return PropensityInterval(**given).fit(members_around(truth, apart, rng), y, None, expit)


def test_it_holds_nine_of_ten_where_the_spread_tells_all() -> None:
    # Truth has variance 1 around -1, the mean of 8 members adds 0.09 + 0.09 / 8 = 0.10: the best guess of
    # the truth is -1 + (mean + 1) / 1.10, and its variance 0.10 / 1.10 = 0.092. The interval, with weight
    # 1.1 on the members' own 0.09, takes (1 / 1.10)**2 * 1.1 * 0.09 = 0.082: 88 % of a normal, for 90 %.
    interval = fitted(apart=0.3, own_spread=0.0, common_spread=1.1, shared_error=0.0, few_wins_error=0.0)
    interval.calibrator_ = lambda margin: expit(-1 + (margin + 1) / 1.10)
    rng = np.random.default_rng(1)
    truth = rng.normal(-1, 1, 4000)
    low, high = interval.predict(members_around(truth, 0.3, rng))
    held = (low <= expit(truth)) & (expit(truth) <= high)
    assert 0.86 < held.mean() < 0.92


def test_the_width_follows_its_formula() -> None:
    interval = PropensityInterval(own_spread=0.5, common_spread=2.0, shared_error=0.09, few_wins_error=0.4)
    interval.centre_, interval.wins_ = 0.0, 40
    interval.slope_, interval.mean_spread_ = 2.0, 0.05
    interval.covariance_, interval.calibrator_ = np.array([[0.04, 0.0], [0.0, 0.01]]), expit
    low, high = interval.predict(np.array([[0.9, 1.1]]))
    # margin 1, variance between members 0.02; the parts, then 1.644854 * sqrt(0.59) = 1.263436:
    # 0.04 + 0.01 * 1**2 + 2**2 * (0.5 * 0.02 + 2 * 0.05) + 0.09 + 0.4 / 40 = 0.59
    np.testing.assert_allclose([logit(low[0]), logit(high[0])], [1 - 1.263436, 1 + 1.263436], atol=1e-6)


def test_members_that_disagree_make_a_wider_interval() -> None:
    low, high = fitted().predict(np.array([[0.0] * 8, [-1.0, 1.0] * 4]))
    assert high[1] - low[1] > high[0] - low[0]


def test_less_calibration_data_makes_a_wider_interval() -> None:
    asked = np.full((1, 8), 2.0)
    few, many = fitted(n=100), fitted(n=5000)
    assert np.ptp(few.predict(asked)) > 1.1 * np.ptp(many.predict(asked))


def test_repeated_rows_of_a_lead_add_no_certainty() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(-1, 1, 300)
    y = (rng.random(300) < expit(truth)).astype(int)
    members = members_around(truth, 0.3, rng)
    once = PropensityInterval().fit(members, y, None, expit).covariance_
    five = np.repeat(np.arange(300), 5)
    by_lead = PropensityInterval().fit(members[five], y[five], five, expit).covariance_
    by_row = PropensityInterval().fit(members[five], y[five], None, expit).covariance_
    np.testing.assert_allclose(by_lead, once, rtol=1e-2)
    np.testing.assert_allclose(by_row, once / 5, rtol=1e-2)


def test_the_covariance_agrees_with_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(-1, 1, 1000)
    y = (rng.random(1000) < expit(margin)).astype(int)
    interval = PropensityInterval().fit(np.column_stack([margin, margin]), y, None, expit)
    draws = [rng.integers(0, 1000, 1000) for _ in range(150)]
    model = LogisticRegression(C=1e4)
    slopes = [model.fit(margin[d, None] - margin.mean(), y[d]).coef_[0, 0] for d in draws]
    assert np.std(slopes) == pytest.approx(np.sqrt(interval.covariance_[1, 1]), rel=0.2)


@settings(max_examples=60, deadline=None)
@given(margins=st.lists(st.lists(st.floats(-700, 700), min_size=3, max_size=3), min_size=1, max_size=5))
@pytest.mark.parametrize("shape", ["smooth", "steps"])
def test_the_propensity_is_always_inside(shape: str, margins: list[list[float]]) -> None:
    def steps(margin: np.ndarray) -> np.ndarray:  # isotonic calibration answers exactly 0 and 1 too
        return np.where(margin < -1, 0.0, np.where(margin > 1, 1.0, 0.3))

    interval = fitted(n=200)
    interval.calibrator_ = expit if shape == "smooth" else steps
    given = np.array(margins)
    propensity = interval.calibrator_(given.mean(axis=1))
    low, high = interval.predict(given)
    assert (low >= 0).all()
    assert (low <= propensity).all()
    assert (propensity <= high).all()
    assert (high <= 1).all()


def test_json_restores_the_same_interval() -> None:
    interval = fitted(level=0.8)
    again = PropensityInterval.from_dict(json.loads(json.dumps(interval.to_dict())), expit)
    asked = np.random.default_rng(0).normal(size=(20, 8))
    np.testing.assert_array_equal(again.predict(asked), interval.predict(asked))


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(UnsupportedData, match="only label 0"):
        PropensityInterval().fit(np.zeros((5, 2)), np.zeros(5), None, expit)
    with pytest.raises(DataError, match="different lengths"):
        PropensityInterval().fit(np.zeros((5, 2)), [0, 1], None, expit)
    with pytest.raises(DataError, match="finite"):
        fitted(n=200).predict(np.array([[np.nan, 1.0]]))
    with pytest.raises(BundleError, match="not been fitted"):
        PropensityInterval().predict(np.zeros((1, 2)))
    with pytest.raises(BundleError, match="lacks 'slope'"):
        PropensityInterval.from_dict(
            {k: v for k, v in fitted(n=200).to_dict().items() if k != "slope"}, expit
        )
