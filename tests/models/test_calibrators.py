"""Calibrators: what each does to a margin, what it refuses, and what all of them keep."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from features.errors import BundleError, DataError, UnsupportedData
from models.calibrators import METHODS, Isotonic, NoCalibration, Platt, calibrator_from_dict

margins = st.floats(-30, 30, allow_nan=False)
rows = st.lists(st.tuples(margins, st.booleans(), st.floats(0.0, 3.0)), min_size=2, max_size=60)


def both(data):
    m, y, w = (np.array(column, dtype=float) for column in zip(*data, strict=True))
    w[w < 0.01] = 0.0
    y[0], y[-1], w[0], w[-1] = 0, 1, 1, 1
    return m, y, w


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(data=rows, asked=st.lists(st.floats(-60, 60), min_size=2, max_size=30))
def test_a_higher_margin_never_gets_a_lower_propensity_and_none_is_certain(method, data, asked):
    calibrator = METHODS[method]().fit(*both(data))

    propensity = calibrator.predict(np.sort([*asked, *(row[0] for row in data)]))

    # Platt and none go through exp, whose last digit is not promised to rise.
    assert (np.diff(propensity) >= (0.0 if method == "isotonic" else -1e-15)).all()
    assert ((propensity > 0) & (propensity < 1)).all()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30, deadline=None)
@given(data=rows)
def test_a_calibrator_is_the_same_after_a_way_through_json(method, data):
    calibrator = METHODS[method]().fit(*both(data))

    again = calibrator_from_dict(json.loads(json.dumps(calibrator.to_dict())))

    asked = np.linspace(-40, 40, 99)
    assert again.name == method
    assert (again.predict(asked) == calibrator.predict(asked)).all()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30, deadline=None)
@given(data=rows, factor=st.sampled_from([2.0, 0.5]))
def test_only_the_proportions_of_weights_matter(method, data, factor):
    m, y, w = both(data)

    once, scaled = METHODS[method]().fit(m, y, w), METHODS[method]().fit(m, y, factor * w)

    assert scaled.predict(m) == pytest.approx(once.predict(m), abs=1e-7)


def test_none_takes_the_margin_as_log_odds():
    # ln(3) is odds of 3 to 1.
    assert NoCalibration().predict([0.0, np.log(3), -np.log(3)]) == pytest.approx([0.5, 0.75, 0.25])


def test_platt_on_two_margins_reproduces_both_rates_of_many_leads():
    # Margin 0: 1 of 4 converts, log-odds -ln 3. Margin 2: 3 of 4, log-odds +ln 3.
    # So intercept = -ln 3 and slope = 2 ln 3 / 2 = ln 3, where 8,000 leads outweigh the prior.
    platt = Platt().fit([0, 0, 0, 0, 2, 2, 2, 2] * 1000, [1, 0, 0, 0, 1, 1, 1, 0] * 1000)

    assert (platt.intercept, platt.slope) == pytest.approx((-np.log(3), np.log(3)), rel=1e-3)
    assert platt.note == ""
    assert platt.predict([0, 1, 2]) == pytest.approx([0.25, 0.5, 0.75], rel=1e-3)


@pytest.mark.parametrize(("leads", "least", "most"), [(4, 1.0, 1.1), (40, 1.3, 1.7), (4000, 7.0, 8.8)])
def test_few_leads_do_not_stretch_platts_slope_far_from_1(leads, least, most):
    # Margin 0 converts in 1 of 4, margin 0.25 in 3 of 4: by likelihood alone the slope is
    # 2 ln 3 / 0.25 = 8.8, which four leads of each cannot show and four thousand can.
    m, y = np.repeat([0, 0.25], leads), np.tile(np.arange(4) == 0, leads // 2)
    y[leads:] = ~y[leads:]
    assert least < Platt().fit(m, y.astype(int)).slope < most


def test_margins_that_separate_won_from_lost_have_a_slope_all_the_same():
    # Likelihood alone would take it to infinity.
    platt = Platt().fit([0, 1, 2, 3], [0, 0, 1, 1])
    assert 1 < platt.slope < 2
    assert platt.note == ""


def test_platt_agrees_with_maximising_likelihood_and_prior_directly():
    random = np.random.default_rng(1)
    m = random.normal(-300, 200, 500)  # far from the scale on which a solver is at ease
    y = (random.random(500) < expit(0.004 * m + 0.3)).astype(float)
    w = random.integers(1, 4, 500).astype(float)

    platt = Platt().fit(m, y, w)

    def loss(line):
        z = line[0] + line[1] * m / 100
        prior = ((line[1] / 100 - 1) / 0.5) ** 2 / 2
        return np.average(np.logaddexp(0, z) - y * z, weights=w) + prior * w.mean() / w.sum()

    best = minimize(loss, [0.0, 0.0], tol=1e-12)
    assert (platt.intercept, platt.slope) == pytest.approx((best.x[0], best.x[1] / 100), rel=1e-4)


@pytest.mark.parametrize(
    ("m", "y", "slope", "said"),
    [
        ([5, 5, 5, 5], [0, 0, 0, 1], 1.0, "the same"),
        ([0, 1, 2, 3] * 9, [1, 1, 0, 0] * 9, 1e-3, "higher margin"),
        ([0, 1, 2, 3, 4] * 9, [1, 1, 0, 1, 0] * 9, 1e-3, "higher margin"),
    ],
)
def test_platt_says_so_when_it_holds_the_slope_and_still_keeps_the_overall_rate(m, y, slope, said):
    platt = Platt().fit(m, y)

    assert platt.slope == slope
    assert said in platt.note
    assert platt.predict(m).mean() == pytest.approx(np.mean(y))


def test_isotonic_by_hand():
    # Margins 1..6, labels 0 1 0 | 1 0 1: the rates 0, (1+0)/2, (1+0)/2, 1 at 1, 2-3, 4-5, 6; the two
    # middle steps are equal and become one, with centre (2+3+4+5)/4 = 3.5.
    # One more snapshot at the overall rate 1/2 in each step:
    #   (0 + 0.5) / 2 = 0.25 at 1,   (2 + 0.5) / 5 = 0.5 at 3.5,   (1 + 0.5) / 2 = 0.75 at 6.
    isotonic = Isotonic().fit([1, 2, 3, 4, 5, 6], [0, 1, 0, 1, 0, 1])

    assert isotonic.margins == pytest.approx([1, 3.5, 6])
    assert isotonic.propensities == pytest.approx([0.25, 0.5, 0.75])
    # Halfway from 1 to 3.5 is halfway from 0.25 to 0.5.
    assert isotonic.predict([1, 2.25, 3.5, 6]) == pytest.approx([0.25, 0.375, 0.5, 0.75])
    # Beyond the data the log-odds rise by a thousandth a unit of margin.
    assert isotonic.predict([-9, 16]) == pytest.approx(expit(logit([0.25, 0.75]) + np.array([-0.01, 0.01])))


def test_isotonic_pools_again_what_smoothing_put_out_of_order():
    # Rates 0 of 400, 60 of 100, 2 of 3; overall 62/503. With one more at the overall rate the second is
    # (60 + 0.12) / 101 = 0.595 and the third (2 + 0.12) / 4 = 0.53, below it: one step of 103 snapshots.
    m = np.repeat([0, 1, 1, 2, 2], [400, 60, 40, 2, 1])
    y = np.repeat([0, 1, 0, 1, 0], [400, 60, 40, 2, 1])

    isotonic = Isotonic().fit(m, y)

    rate = 62 / 503
    pooled = ((60 + rate) / 101 * 100 + (2 + rate) / 4 * 3) / 103
    assert isotonic.margins == pytest.approx([0, (100 * 1 + 3 * 2) / 103])
    assert isotonic.propensities == pytest.approx([rate / 401, pooled])


def test_isotonic_trusts_an_all_lost_step_the_more_the_larger_it_is():
    def bottom(size):
        m = np.r_[np.zeros(size), 1.0, 1.0]
        return Isotonic().fit(m, np.r_[np.zeros(size), 1, 0]).predict([0.0])[0]

    # One more snapshot at the overall rate: (1/12) / 11, and (1/1002) / 1001.
    assert bottom(10) == pytest.approx(1 / 12 / 11)
    assert bottom(1000) == pytest.approx(1 / 1002 / 1001)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_one_class_cannot_be_calibrated(method):
    with pytest.raises(UnsupportedData, match=r"All 3 snapshots .* label 0"):
        METHODS[method]().fit([1, 2, 3], [0, 0, 0])


@pytest.mark.parametrize(
    ("m", "y", "w"),
    [
        ([], [], None),
        ([1.0, np.nan], [0, 1], None),
        ([1.0, 2.0], [0, 2], None),
        ([1.0, 2.0], [0, 1, 1], None),
        ([1.0, 2.0], [0, 1], [1.0, -1.0]),
        ([1.0, 2.0], [0, 1], [0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_input_that_cannot_be_used_is_refused(method, m, y, w):
    with pytest.raises(DataError):
        METHODS[method]().fit(m, y, w)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(BundleError, match="Did you mean 'isotonic'"):
        calibrator_from_dict({"method": "isotonik"})
