"""`PropensityInterval`: it holds the truth about as often as it says, and its own propensity always."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from features.errors import BundleError, DataError, UnsupportedData
from models.interval import Calibrator, PropensityInterval


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


def by_hand(calibrator: Calibrator) -> PropensityInterval:
    interval = PropensityInterval(own_spread=0.5, common_spread=2.0, shared_error=0.09, few_wins_error=0.4)
    interval.centre_, interval.wins_, interval.information_ = 0.0, 40, 0.05
    interval.slope_, interval.mean_spread_ = 2.0, 0.05
    interval.covariance_, interval.calibrator_ = np.array([[0.04, 0.0], [0.0, 0.01]]), calibrator
    return interval


def test_the_width_follows_its_formula() -> None:
    low, high = by_hand(lambda margin: np.full(len(margin), 0.5)).predict(np.array([[0.9, 1.1]]))
    # margin 1, variance between members 0.02. The propensity 0.5 tells 0.5 * 0.5 = 0.25 about its
    # log-odds, the leads of the calibration window 0.05: five times less. The parts, then
    # 1.644854 * sqrt(0.51) = 1.174661, around log-odds 0, where nothing is skewed:
    # 0.04 + 0.01 * 1**2 + 2**2 * (0.5 * 0.02 + 2 * 0.05) + (0.09 + 0.4 / 40) * 0.05 / 0.25 = 0.51
    np.testing.assert_allclose([logit(low[0]), logit(high[0])], [-1.174661, 1.174661], atol=1e-5)


def test_the_propensity_is_the_mean_of_what_the_truth_may_be() -> None:
    interval = by_hand(lambda margin: np.full(len(margin), 0.05))
    interval.covariance_ = np.zeros((2, 2))
    low, high = interval.predict(np.array([[0.9, 1.1]]))
    # 0.05 * 0.95 = 0.0475 against 0.05: the variance is 0.44 + 0.10 * 0.05 / 0.0475 = 0.545263
    middle, deviation = (logit(low[0]) + logit(high[0])) / 2, np.sqrt(0.545263)
    truth = expit(norm.ppf((np.arange(100_000) + 0.5) / 100_000, middle, deviation))
    np.testing.assert_allclose(truth.mean(), 0.05, rtol=1e-4)
    assert np.median(truth) < 0.042


def test_what_the_calibrator_gets_wrong_pulls_neither_way() -> None:
    sure, unsure = by_hand(lambda margin: np.full(len(margin), 0.05)), fitted(n=200)
    unsure.__dict__ |= sure.__dict__ | {"covariance_": np.diag([0.5, 0.0])}
    ends = [logit(interval.predict(np.array([[0.9, 1.1]]))) for interval in (sure, unsure)]
    np.testing.assert_allclose(ends[0].sum(), ends[1].sum(), atol=1e-6)
    assert np.ptp(ends[1]) > np.ptp(ends[0])


def test_the_interval_of_a_rare_answer_mirrors_that_of_its_opposite() -> None:
    margins = np.array([[-3.1, -2.9], [3.1, 2.9]])
    low, high = by_hand(expit).predict(margins)
    np.testing.assert_allclose(low[1], 1 - high[0], atol=1e-9)
    np.testing.assert_allclose(high[1], 1 - low[0], atol=1e-9)


def test_rarely_won_leads_are_known_less_well_up_to_a_limit() -> None:
    usual, rare, hopeless, certain = (
        np.ptp(
            logit(by_hand(expit).predict(np.array([[-2.9, -3.1], [-4.0, -4.2], [-8.0, -8.2], [-9.0, -9.2]]))),
            axis=0,
        )
        / 2
        / norm.ppf(0.95)
    )
    # At -3 the propensity 0.047 tells 0.0452, 0.05 / 0.0452 = 1.107; at -4.1 0.0160, 3.13; below, 6 at most.
    # The calibrator adds 0.04 + 0.01 * margin**2, the members 0.44.
    expected = [0.57 + 0.1107, 0.6481 + 0.313, 1.1361 + 0.6, 1.3081 + 0.6]
    np.testing.assert_allclose(np.square([usual, rare, hopeless, certain]), expected, rtol=2e-3)


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
