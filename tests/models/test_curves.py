"""Curves: bins with leads enough, the mean propensity of otherwise unchanged leads, and which way it goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from features.catalogue import catalogue
from models.bins import FEW, Bin, binned
from models.curves import Step, curve, direction, extremes, importance, main_feature

FEATURES = {feature.name: feature for feature in catalogue(synthetic.vocabulary())}
COUNT = FEATURES["activity.webinar.count"]
SINCE = FEATURES["activity.webinar.last_days"]
INDUSTRY = FEATURES["attribute.industry"]


def each_own(values):
    return pd.Series(range(len(values)))


def bins_of(feature, values, leads=None):
    found = binned(feature, values, each_own(values) if leads is None else leads)
    return [(one, int((found.codes == place).sum())) for place, one in enumerate(found.bins)]


def test_counts_are_binned_as_people_count_and_none_stays_apart():
    # 5 leads with none, 30 with one, 40 with two, 10 with three and 15 with seven: the last two are pooled.
    values = pd.Series([0.0] * 5 + [1.0] * 30 + [2.0] * 40 + [3.0] * 10 + [7.0] * 15)

    assert bins_of(COUNT, values) == [
        (Bin(0, 1), 5),
        (Bin(1, 2), 30),
        (Bin(2, 3), 40),
        (Bin(3, np.inf), 25),
    ]


def test_ages_are_binned_by_day_week_and_month_with_never_apart():
    values = pd.Series([0.5] * 30 + [1.5] * 3 + [5.0] * 25 + [400.0] * 25 + [np.nan] * 2)

    assert bins_of(SINCE, values) == [
        (Bin(0, 1), 30),
        (Bin(1, 7), 28),
        (Bin(7, np.inf), 25),
        (Bin(), 2),
    ]


def test_levels_are_bins_and_rare_ones_are_one():
    values = pd.Series(pd.Categorical(["software"] * 30 + ["retail"] * 50 + ["other"] * 25 + [None] * 3))

    assert bins_of(INDUSTRY, values) == [
        (Bin(levels=("retail",)), 50),
        (Bin(levels=("software",)), 30),
        (Bin(levels=("other",)), 25),
        (Bin(), 3),
    ]


def test_leads_are_counted_and_not_snapshots():
    values = pd.Series([0.0] * 30 + [1.0] * 60 + [2.0] * 30)
    leads = pd.Series([*range(30), *([1] * 60), *range(100, 130)])  # one lead, seen sixty times

    assert [one for one, _ in bins_of(COUNT, values, leads)] == [Bin(0, 1), Bin(1, np.inf)]


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(float, st.integers(1, 300), elements=st.floats(0, 3000) | st.just(np.nan)),
    name=st.sampled_from(["activity.webinar.count", "activity.webinar.last_days", "attribute.seats"]),
)
def test_every_value_is_in_the_bin_that_says_so(values, name):
    found = binned(FEATURES[name], pd.Series(values), each_own(values))

    for value, code in zip(values, found.codes, strict=True):
        one = found.bins[code]
        assert one.missing == np.isnan(value)
        assert one.missing or one.low <= value < one.high
    assert set(found.codes) == set(range(len(found.bins)))


def test_a_step_gives_every_lead_the_mean_of_those_in_it():
    # Two with none (contribution -1 and -2: mean -1.5) and two with some (1 and 2: mean 1.5), each alike
    # otherwise but one: margins without the concept are 0, 0, 0, 1.
    contribution = pd.Series([-1.0, -2.0, 1.0, 2.0])
    margin = contribution.add(pd.Series([0.0, 0.0, 0.0, 1.0]))

    none, some = curve(
        COUNT, pd.Series([0.0, 0.0, 1.0, 1.0]), contribution, margin, expit,
        pd.Series(list("abcd")), pd.Series([0, 0, 1, 0]),
    )  # fmt: skip

    assert (none.moved, some.moved) == (-1.5, 1.5)
    assert none.propensity == pytest.approx((3 * expit(-1.5) + expit(-0.5)) / 4)
    assert some.propensity == pytest.approx((3 * expit(1.5) + expit(2.5)) / 4)
    assert (none.leads, none.won, some.won, some.few) == (2, 0.0, 0.5, True)


def steps(*moved, missing=None, few=()):
    told = [
        Step(Bin(place, place + 1), FEW - 1 if place in few else FEW, m, float(expit(m)), 0.0)
        for place, m in enumerate(moved)
    ]
    return told if missing is None else [*told, Step(Bin(), FEW, missing, float(expit(missing)), 0.0)]


@pytest.mark.parametrize(
    ("feature", "found", "way"),
    [
        (COUNT, steps(-1, 0, 1), "raises"),
        (COUNT, steps(1, 0, -1), "lowers"),
        (COUNT, steps(-1, 1, -1), "depends"),
        (COUNT, steps(-1, 0.9, 0.8), "raises"),  # 1.8 of 2.0 go one way: nine tenths
        (COUNT, steps(0, 0.01, 0.02), "nothing"),
        (COUNT, steps(-1, 0, -9, few=(2,)), "raises"),  # the last is of too few leads
        (COUNT, steps(-1, 0, missing=-3), "raises"),  # not known is neither more nor less
        (SINCE, steps(1, 0, missing=-1), "lowers"),
        (SINCE, steps(1, 0, missing=1), "depends"),  # never is the longest ago
        (INDUSTRY, steps(-1, 0, 1), "depends"),
    ],
)
def test_the_direction_is_read_off_the_curve(feature, found, way):
    assert direction(feature, found) == way


def test_the_ends_of_a_curve_are_of_enough_leads():
    found = steps(-1, 0, 5, few=(2,))

    assert extremes(COUNT, found) == (found[1], found[0])
    assert extremes(COUNT, steps(-1, 0, few=(0,))) is None


def test_the_ends_show_which_way_it_goes_so_the_missing_are_none_of_them():
    up = steps(-1, 0, 1, missing=-3)
    assert extremes(COUNT, up) == (up[2], up[0])
    assert extremes(COUNT, steps(0, 1, few=(0,), missing=-3)) is not None  # nothing to show but that
    depends = steps(-1, 1, -1, missing=-3)  # no way to show
    assert extremes(COUNT, depends) == (depends[1], depends[3])
    never = steps(1, 0, missing=-1)  # the longest ago
    assert extremes(SINCE, never) == (never[0], never[2])


def test_importance_is_what_a_concept_tells_apart():
    # size: 1 from its mean on average; visits: 3; all get the same from the source, which tells nothing.
    concepts = pd.DataFrame({"size": [1.0, -1.0], "source": [7.0, 7.0], "visits": [0.0, 6.0]})

    assert importance(concepts).to_dict() == {"visits": 0.75, "size": 0.25, "source": 0.0}
    assert list(importance(concepts).index) == ["visits", "size", "source"]
    assert importance(concepts * 0).to_dict() == {"size": 0.0, "source": 0.0, "visits": 0.0}


def test_the_main_feature_accounts_for_the_contribution_and_is_one_that_is_told():
    rng = np.random.default_rng(0)
    told = FEATURES["activity.webinar.count_30d"]
    never = replace(FEATURES["activity.webinar.sessions"])
    values = pd.DataFrame({f.name: rng.integers(0, 5, 400).astype(float) for f in (COUNT, told, never)})

    assert never.told == "never"
    for feature in (COUNT, told):
        assert main_feature([COUNT, told, never], values, 0.3 * values[feature.name]) == feature
    assert main_feature([COUNT, never], values, 0.3 * values[never.name]) == COUNT
    assert main_feature([never], values, 0.3 * values[never.name]) == never
