"""The baselines are strong and plain: what the model has to beat must not be made of straw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from features.errors import BundleError, DataError, UnsupportedData
from models.baselines import BaseRate, LogisticBaseline, PointsBaseline
from models.labels import log_losses


def leads(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Log-odds -1 + log(1 + visits) / 2 + 1 if referred, - 1 where the size is missing."""
    rng = np.random.default_rng(seed)
    visits = rng.geometric(0.1, n).astype(float)
    source = rng.choice(["search", "referred", "fair"], n)
    size = np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))
    odds = -1 + np.log1p(visits) / 2 + (source == "referred") - np.isnan(size)
    frame = pd.DataFrame({"visits": visits, "source": pd.Categorical(source), "size": size, "flat": 1.0})
    return frame, (rng.random(n) < expit(odds)).astype(int), odds


def test_base_rate_is_the_log_odds_of_the_share_that_won() -> None:
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]})
    # 1 of 4 won: log(1/3)
    np.testing.assert_allclose(BaseRate().fit(X, [1, 0, 0, 0]).margin(X), [np.log(1 / 3)] * 4)
    # weights 3, 1, 1, 1: 3 of 6 won; with 2 more of 2 in the stopping slice 5 of 8: log(5/3)
    weighted = BaseRate().fit(
        X, [1, 0, 0, 0], sample_weight=np.array([3.0, 1, 1, 1]), stopping=(X[:2], [1, 1])
    )
    np.testing.assert_allclose(weighted.margin(X[:1]), [np.log(5 / 3)])


def test_logistic_finds_the_truth_it_can_express() -> None:
    X, y, _ = leads(4000)
    new, label, odds = leads(4000, seed=1)
    margin = LogisticBaseline().fit(X, y).margin(new)
    # 4 coefficients and an intercept cost about 5 / 2 / 4000 = 0.0006 of log loss
    assert log_losses(label, margin).mean() < log_losses(label, odds).mean() + 0.003


def test_logistic_takes_new_levels_missing_values_and_extremes() -> None:
    X, y, _ = leads(500)
    model = LogisticBaseline().fit(X, y)
    new = X[:3].assign(source=pd.Categorical(["agency", None, "fair"]), visits=[np.nan, np.inf, 1e12])
    margin = model.margin(new)
    assert np.isfinite(margin).all()
    two = X[:2].assign(source=pd.Categorical(["agency", None]), visits=1.0, size=0.0)
    np.testing.assert_array_equal(model.margin(two)[0], model.margin(two)[1])


def test_logistic_chooses_a_strong_penalty_when_there_is_nothing_to_find() -> None:
    rng = np.random.default_rng(0)
    X, y, _ = leads(400)
    nothing = rng.permutation(y)
    model = LogisticBaseline().fit(X, nothing, groups=np.arange(400))
    assert model.strength_ <= 1e-2
    assert np.std(model.margin(X)) < 0.3
    assert LogisticBaseline().fit(X, y).strength_ > 1e-2


def test_logistic_uses_the_stopping_slice_to_choose_and_to_fit() -> None:
    X, y, _ = leads(600)
    model = LogisticBaseline().fit(X[:300], y[:300], stopping=(X[300:], y[300:]))
    against = LogisticBaseline().fit(X[:300], y[:300], stopping=(X[300:], 1 - y[300:]))
    assert model.strength_ > against.strength_
    assert np.corrcoef(model.margin(X), against.margin(X))[0, 1] < 0.9


def test_what_never_varies_has_no_coefficient() -> None:
    X, y, _ = leads(300)
    model = LogisticBaseline().fit(X, y)
    # visits, size, whether size is missing, three sources; not the flat number, nor a flag that never varies
    assert model.model_.coef_.shape == (1, 6)


def test_folds_hold_whole_leads() -> None:
    # 40 leads of 10 equal rows each, labels without reason: by rows a strong model would look
    # brilliant, as each lead is seen in training too; by leads only a weak one does not lose.
    rng = np.random.default_rng(3)
    lead = np.repeat(np.arange(40), 10)
    X = pd.DataFrame(rng.normal(size=(40, 30))[lead]).add_prefix("f")
    y = (rng.random(40) < 0.5).astype(int)[lead]
    by_lead, by_row = LogisticBaseline().fit(X, y, groups=lead), LogisticBaseline().fit(X, y)
    assert by_lead.strength_ <= 1e-2 < 1 <= by_row.strength_


def test_logistic_names_what_is_wrong() -> None:
    X, y, _ = leads(60)
    with pytest.raises(UnsupportedData, match="only label 0"):
        LogisticBaseline().fit(X, np.zeros(60))
    with pytest.raises(DataError, match="neither numbers nor categories"):
        LogisticBaseline().fit(X.assign(note="a"), y)
    with pytest.raises(BundleError, match="visits"):
        LogisticBaseline().fit(X, y).margin(X.drop(columns="visits"))


def test_one_win_is_enough_not_to_fail() -> None:
    X, _, _ = leads(60)
    margin = LogisticBaseline().fit(X, np.arange(60) == 0).margin(X)
    assert np.isfinite(margin).all()


def test_points_become_the_log_odds_of_their_two_groups() -> None:
    # Of 100 leads with 10 points 20 won: log(1/4). Of 100 with 50 points 50 won: log(1) = 0.
    points = np.repeat([10.0, 50.0], 100)
    y = np.r_[np.arange(100) < 20, np.arange(100) < 50].astype(int)
    margin = PointsBaseline().fit(points, y).margin(np.array([10.0, 50.0, 90.0]))
    np.testing.assert_allclose(margin, [np.log(1 / 4), 0.0, -np.log(1 / 4)], atol=0.02)


def test_points_that_point_the_wrong_way_are_worth_the_base_rate() -> None:
    points = np.repeat([10.0, 50.0], 100)
    y = np.r_[np.arange(100) < 50, np.arange(100) < 20].astype(int)  # 70 of 200 won
    margin = PointsBaseline().fit(points, y).margin(points)
    np.testing.assert_allclose(margin, np.log(70 / 130), rtol=1e-5)
    assert margin[-1] > margin[0]  # and keep their order


def test_equal_points_are_worth_the_base_rate() -> None:
    margin = PointsBaseline().fit(np.full(8, 5.0), [1, 1, 0, 0, 0, 0, 0, 0]).margin(np.full(2, 5.0))
    np.testing.assert_allclose(margin, np.log(2 / 6), atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(st.integers(-100, 1000), min_size=4, max_size=40),
    asked=st.lists(st.integers(-1000, 2000), min_size=2, max_size=10),
    seed=st.integers(0, 99),
)
def test_more_points_never_mean_less(points: list[int], asked: list[int], seed: int) -> None:
    y = np.random.default_rng(seed).permutation(np.arange(len(points)) % 2)
    margin = PointsBaseline().fit(np.array(points, float), y).margin(np.sort(np.array(asked, float)))
    assert np.isfinite(margin).all()
    assert (np.diff(margin) >= 0).all()
