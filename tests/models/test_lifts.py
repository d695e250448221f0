"""Lifts: observed against expected, shrunk as far as the numbers ask for, and trends that are not chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from features.errors import DataError
from models.lifts import Expectation, shrunken, trends


def test_with_many_conversions_the_lift_is_observed_over_expected():
    found = shrunken([20_000, 10_000, 5_000], [10_000, 10_000, 10_000])
    assert found["raw"].tolist() == [2.0, 1.0, 0.5]
    assert found["lift"].tolist() == pytest.approx([2.0, 1.0, 0.5], abs=0.01)
    assert (found["high"] - found["low"]).max() < 0.08


def test_few_conversions_are_drawn_towards_what_all_have_in_common():
    # Three of one expected is three times as many, and hardly says anything beside a thousand.
    found = shrunken([3, 1000, 990, 1010, 1005, 995], [1, 1000, 1000, 1000, 1000, 1000])
    assert found["raw"][0] == 3.0
    assert found["lift"][0] < 1.5
    assert found["low"][0] < 1 < found["high"][0]


def test_a_value_without_expectation_gets_what_is_thought_of_any():
    found = shrunken([0, 50, 60, 40], [0, 50, 50, 50])
    assert np.isnan(found["raw"][0])
    assert found["low"][0] < found["lift"][0] < found["high"][0]


@pytest.mark.parametrize(("values", "spread"), [(10, 0.5), (40, 0.3), (5, 0.0)])
def test_nine_in_ten_intervals_hold_the_true_lift_and_lifts_beat_the_raw_ratios(values, spread):
    rng = np.random.default_rng(values)
    held, error, raw_error = [], [], []
    for _ in range(25):
        truth = rng.gamma(1 / spread**2, spread**2, values) if spread else np.ones(values)
        expectation = rng.lognormal(2.0, 1.0, values)
        found = shrunken(rng.poisson(truth * expectation), expectation)
        held.append(found["low"].le(truth) & found["high"].ge(truth))
        error.append((found["lift"] - truth) ** 2)
        raw_error.append((found["raw"] - truth) ** 2)
    assert np.mean(held) >= 0.84
    assert np.mean(error) < 0.6 * np.mean(raw_error)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0.1, 60.0)), min_size=1, max_size=6),
    st.integers(0, 5),
)
def test_the_lift_lies_in_its_interval_and_grows_with_the_conversions(pairs, which):
    observed, expectation = (np.array(part, dtype=float) for part in zip(*pairs, strict=True))
    found = shrunken(observed, expectation)
    assert (found["low"] <= found["lift"]).all()
    assert (found["lift"] <= found["high"]).all()
    assert (found["low"] >= 0).all()
    one = which % len(observed)
    more = shrunken(observed + 5 * (np.arange(len(observed)) == one), expectation)
    assert more["lift"][one] > found["lift"][one]


def test_conversions_cannot_be_negative_or_fewer_than_expectations():
    with pytest.raises(DataError):
        shrunken([-1], [1])
    with pytest.raises(DataError):
        shrunken([1, 2], [1])


def leads(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Leads in accounts of two: gold ones convert in 40 %, others in 10 %."""
    rng = np.random.default_rng(seed)
    gold = rng.random(n) < 0.5
    won = (rng.random(n) < np.where(gold, 0.4, 0.1)).astype(float)
    groups = np.array([f"account {i // 2}" for i in range(n)], dtype=object)
    return pd.DataFrame({"gold": gold.astype(float)}), won, groups


def test_what_is_expected_is_what_leads_like_these_do():
    known, won, groups = leads(4000)
    rate = Expectation().fit(known, won, groups).predict(known, groups)
    gold = known["gold"] == 1
    assert rate[gold].mean() == pytest.approx(0.4, abs=0.03)
    assert rate[~gold].mean() == pytest.approx(0.1, abs=0.03)


def test_nobodys_expectation_is_learned_from_their_own_account():
    known, won, groups = leads(300)
    mine = groups == "account 7"
    other_end = np.where(mine, 1 - won, won)
    before = Expectation().fit(known, won, groups).predict(known[mine], groups[mine])
    after = Expectation().fit(known, other_end, groups).predict(known[mine], groups[mine])
    np.testing.assert_array_equal(before, after)


def test_too_few_conversions_to_part_them_are_still_learned_from():
    known, won, groups = leads(60)
    won = np.zeros(60)
    won[0] = 1.0
    rate = Expectation().fit(known, won, groups).predict(known, groups)
    assert ((rate > 0) & (rate < 0.5)).all()


def test_where_nothing_is_known_of_leads_all_are_expected_to_convert_alike():
    known, won, groups = leads(1000)
    rate = Expectation().fit(known[[]], won, groups).predict(known[[]], groups)
    assert rate == pytest.approx(won.mean(), abs=0.02)


def halves(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    names = ["observed_before", "expected_before", "observed_recent", "expected_recent"]
    return pd.DataFrame(rows, columns=names, dtype=float)


def test_a_trend_is_the_recent_lift_against_the_earlier_one():
    # 10 of 20 expected, then 30 of 20: a lift of 0.5, then 1.5. Of 40 conversions half were to be expected
    # in each half; both tails of 30 or more have the chance 2 * (1 - F(29)) = 0.0022.
    found = trends(halves((10, 20, 30, 20))).iloc[0]
    assert found["change"] == pytest.approx(3.0)
    assert found["chance"] == pytest.approx(2 * binom.sf(29, 40, 0.5))
    assert found["trend"] == "rising"
    assert trends(halves((30, 20, 10, 20)))["trend"].tolist() == ["falling"]


def test_a_change_of_what_was_expected_is_no_trend():
    # Twice as many recently, of leads who were twice as likely to convert.
    assert trends(halves((20, 20, 40, 40)))["trend"].tolist() == ["steady"]


def test_too_few_conversions_have_no_trend():
    found = trends(halves((0, 5, 9, 5), (20, 20, 0, 0)))
    assert found["trend"].tolist() == ["unknown", "unknown"]
    assert found["chance"].isna().all()


def test_among_many_values_one_that_stands_out_by_chance_is_no_trend():
    one = (10.0, 15.0, 20.0, 15.0)  # alone its chance is 0.0987: a trend at 10 %
    assert trends(halves(one))["trend"].tolist() == ["rising"]
    others = [(15.0, 15.0, 15.0, 15.0)] * 9
    assert trends(halves(one, *others))["trend"].tolist() == ["steady"] * 10
