"""Cutoffs: first crossings counted, and each policy's level by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from features.errors import BundleError, ConfigurationError, DataError
from models.crossings import WEEK, Crossings, proportion
from models.cutoffs import Cutoff, capacity, choose_cutoff, manual, precision, value


def snapshots(text):
    """Read ``lead day propensity label`` a line; days count from Monday, 6 January 2025."""
    rows = [line.split() for line in text.strip().splitlines()]
    table = pd.DataFrame(rows, columns=["lead_id", "day", "propensity", "label"])
    table["as_of"] = pd.Timestamp("2025-01-06") + pd.to_timedelta(table["day"].astype(int), unit="D")
    table["propensity"] = table["propensity"].astype(float)
    table["margin"] = np.log(table["propensity"] / (1 - table["propensity"]))
    table["label"] = table["label"].astype(int)
    return table.drop(columns="day")


# Two weeks. Lead a rises and wins late; b falls after a high start; c is steady; d stays low.
TABLE = """
    a   0  0.2  0
    a   7  0.8  1
    b   1  0.8  0
    b   8  0.2  0
    c   3  0.5  1
    d  13  0.1  0
"""


def crossings(text=TABLE, **options):
    return Crossings.of(snapshots(text), **options)


def test_first_crossings_by_hand():
    # level  who crosses first, with which label
    # 0.8    a (day 7, 1), b (day 1, 0)
    # 0.5    the same and c (1)
    # 0.2    a now on day 0, where its label is 0; b, c
    # 0.1    and d
    found = crossings()

    assert found.levels.tolist() == [0.8, 0.5, 0.2, 0.1]
    assert found.margins == pytest.approx(np.log([4, 1, 1 / 4, 1 / 9]))
    assert found.mqls.tolist() == [2, 3, 3, 4]
    assert found.caught.tolist() == [1, 2, 1, 1]
    assert (found.leads, found.won, found.weeks) == (4, 2, 2.0)


def naive(table, level, created=None, start=None):
    """Return MQLs, conversions and backlog at a level, lead by lead."""
    mqls = caught = backlog = 0
    for lead, rows in table.sort_values("as_of").groupby("lead_id"):
        above = (rows["propensity"] >= level).to_numpy()
        if above.any():
            mqls += 1
            caught += int(rows["label"].iloc[above.argmax()])
            backlog += int(above[0] and created is not None and created[lead] < start)
    return mqls, caught, backlog


leads = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 20), st.integers(1, 9), st.booleans()),
    min_size=1,
    max_size=50,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=120, deadline=None)
@given(rows=leads, old=st.sets(st.integers(0, 8)), order=st.randoms(use_true_random=False))
def test_counts_at_every_level_agree_with_going_through_the_leads(rows, old, order):
    order.shuffle(rows)
    table = snapshots("\n".join(f"{lead} {day} 0.{p} {int(won)}" for lead, day, p, won in rows))
    start = pd.Timestamp("2025-01-06")
    created = {str(i): start - pd.Timedelta(days=1 if i in old else -1) for i in range(9)}
    table["created_at"] = table["lead_id"].map(created)

    found = Crossings.of(table, start=start)

    for i, level in enumerate(found.levels):
        assert (found.mqls[i], found.caught[i], found.backlog[i]) == naive(table, level, created, start)
    # Evidence adds up at any level, seen or not.
    assert (np.diff(found.mqls) >= 0).all()
    assert found.mqls[-1] == found.leads == table["lead_id"].nunique()
    assert (found.caught <= found.mqls).all()
    assert (found.caught <= found.won).all()
    for level in (0.0, 0.15, 0.5, 0.95):
        at = found.at(level)
        assert (at["mqls"], at["conversions_caught"], at["backlog"]) == naive(table, level, created, start)
        assert at["mqls_per_week"] == pytest.approx((at["mqls"] - at["backlog"]) / found.weeks)


def test_an_exact_interval_of_a_proportion():
    # Clopper and Pearson: quantiles of beta distributions.
    found = proportion(3, 10)

    expected = {"value": 0.3, "low": beta.ppf(0.05, 3, 8), "high": beta.ppf(0.95, 4, 7), "confidence": 0.9}
    assert found == pytest.approx(expected)
    assert proportion(0, 0) == {"value": None, "low": 0.0, "high": 1.0, "confidence": 0.9}
    # Nobody of 22: at most 1 - 0.05 ** (1 / 22) = 12.7 %.
    assert proportion(0, 22)["high"] == pytest.approx(1 - 0.05 ** (1 / 22))


# capacity: over two weeks 2, 3, 3 and 4 leads cross: 1.0, 1.5, 1.5, 2.0 a week
@pytest.mark.parametrize(("per_week", "level"), [(1.0, 0.8), (1.4, 0.8), (1.5, 0.2), (2, 0.1), (50, 0.1)])
def test_capacity_takes_the_lowest_level_that_fits(per_week, level):
    cutoff = capacity(crossings(), per_week=per_week)

    assert (cutoff.policy, cutoff.level, cutoff.promise) == ("capacity", level, None)
    assert cutoff.evidence["met"]
    assert cutoff.evidence["mqls_per_week"] <= per_week
    assert cutoff.evidence["parameters"] == {"per_week": per_week}


def test_capacity_that_one_tie_exceeds_is_not_met_and_says_what_comes_nearest():
    cutoff = capacity(crossings(), per_week=0.9)

    assert (cutoff.level, cutoff.margin, cutoff.evidence["met"]) == (None, None, False)
    assert "1.0 new MQLs a week" in cutoff.evidence["why"]
    assert cutoff.evidence["best"]["level"] == 0.8
    assert cutoff.evidence["best"]["mqls_per_week"] == 1.0
    assert not cutoff.passes([0.99, 1.0]).any()


def test_the_first_nights_backlog_does_not_use_up_capacity():
    table = snapshots(TABLE).assign(created_at=pd.Timestamp("2025-01-06"))
    # b and d were there before the window. b is at 0.8 when first seen: backlog at any level below.
    table.loc[table["lead_id"].isin(["b", "d"]), "created_at"] = pd.Timestamp("2024-12-01")
    found = Crossings.of(table)

    assert found.backlog.tolist() == [1, 1, 1, 2]
    assert found.new_per_week().tolist() == [0.5, 1.0, 1.0, 1.0]
    cutoff = capacity(found, per_week=1)
    assert (cutoff.level, cutoff.evidence["mqls"], cutoff.evidence["backlog"]) == (0.1, 4, 2)


def test_an_old_lead_that_crosses_later_is_new():
    table = snapshots("a 0 0.2 0\na 7 0.8 1").assign(created_at=pd.Timestamp("2024-12-01"))

    # At 0.8 it crosses in the second week; at 0.2 on the first night.
    assert Crossings.of(table).backlog.tolist() == [0, 1]


def test_capacity_stops_at_the_first_level_that_is_too_low():
    # Old lead a crosses 0.8 as new in week two and 0.2 as backlog: below, fewer are new again.
    text = "a 0 0.2 0\na 7 0.8 1\nb 1 0.9 0"
    table = snapshots(text).assign(created_at=pd.Timestamp("2024-12-01"))
    table.loc[table["lead_id"] == "b", "created_at"] = pd.Timestamp("2025-01-07")
    found = Crossings.of(table, end=pd.Timestamp("2025-01-20"))

    assert found.new_per_week().tolist() == [0.5, 1.0, 0.5]
    assert capacity(found, per_week=0.5).level == 0.9


def test_a_part_of_the_leads_stands_for_all_of_them():
    # A quarter of the leads: 1.0 a week at 0.8 is 4.0 for the company.
    found = crossings(share=0.25)

    assert found.at(0.8)["mqls_per_week"] == 4.0
    assert capacity(found, per_week=4).level == 0.8


def test_the_window_may_be_given():
    found = crossings(start=pd.Timestamp("2025-01-06"), end=pd.Timestamp("2025-02-03"))

    assert found.weeks == 4.0


# value: contacts at 1, a won lead at 4: the threshold is 0.25
def test_value_by_hand():
    # net = 4 x conversions - MQLs at 0.8, 0.5, 0.2, 0.1: 4-2, 8-3, 4-3, 4-4
    cutoff = value(crossings(), cost=1, value=4)

    assert (cutoff.level, cutoff.margin) == (0.25, pytest.approx(0.0))
    assert cutoff.evidence["mqls"] == 3
    net = cutoff.evidence["net_value"]
    assert [point["value"] for point in net["curve"]] == [2, 5, 1, 0]
    assert net["at_level"] == 5
    assert net["best"] == {"level": 0.5, "value": 5}
    assert net["flat"] == {"low": 0.5, "high": 0.5}


def test_the_flat_range_holds_the_levels_that_are_nearly_as_good():
    # 100 leads at 0.9 of which 40 win, 1 at 0.8 that does not, 50 at 0.5 that do not; won 10, contact 1:
    # net 300, 299, 249: 299 is within 95 % of 300, 249 is not.
    text = "\n".join(
        [f"w{i} 0 0.9 {int(i < 40)}" for i in range(100)]
        + ["x 0 0.8 0"]
        + [f"l{i} 0 0.5 0" for i in range(50)]
    )
    net = value(crossings(text), cost=1, value=10).evidence["net_value"]

    assert [point["value"] for point in net["curve"]] == [300, 299, 249]
    assert net["flat"] == {"low": 0.8, "high": 0.9}


def test_value_when_no_level_pays():
    assert value(crossings(), cost=4, value=4).evidence["met"] is False
    # A level that nobody reaches is a cutoff all the same: 0.9.
    cutoff = value(crossings(), cost=9, value=10)
    assert (cutoff.level, cutoff.margin, cutoff.evidence["mqls"]) == (0.9, None, 0)
    assert cutoff.evidence["estimate"]["value"] is None
    assert cutoff.evidence["net_value"]["flat"] is None


# precision at 0.8, 0.5, 0.2, 0.1: 1/2, 2/3, 1/3, 1/4
@pytest.mark.parametrize(("at_least", "level"), [(0.6, 0.5), (0.5, 0.5), (0.3, 0.2), (0.25, 0.1)])
def test_precision_takes_the_lowest_level_that_reaches_it(at_least, level):
    cutoff = precision(crossings(), at_least=at_least, least_mqls=1)

    assert cutoff.level == level
    assert cutoff.evidence["estimate"]["value"] >= at_least


def test_precision_out_of_reach_is_not_met_and_names_the_best():
    cutoff = precision(crossings(), at_least=0.7, least_mqls=1)

    assert (cutoff.level, cutoff.evidence["met"]) == (None, False)
    assert "the best is 66.7%" in cutoff.evidence["why"]
    best = cutoff.evidence["best"]
    assert (best["level"], best["mqls"], best["conversions_caught"]) == (0.5, 3, 2)
    assert best["estimate"]["value"] == pytest.approx(2 / 3)
    assert best["share_caught"] == 1.0
    assert cutoff.evidence["mqls"] == 0


def test_a_handful_of_leads_does_not_reach_a_precision():
    assert precision(crossings(), at_least=0.6, least_mqls=4).evidence["best"]["level"] == 0.1
    unmet = precision(crossings(), at_least=0.6)
    assert (unmet.level, unmet.evidence["best"]) == (None, None)
    assert "4 leads, fewer than the 10" in unmet.evidence["why"]


def test_manual_levels():
    given_propensity = manual(crossings(), propensity=0.3)
    given_margin = manual(crossings(), margin=0.0, calibrate=lambda m: 1 / (1 + np.exp(-m)))

    assert (given_propensity.level, given_propensity.evidence["mqls"]) == (0.3, 3)
    assert given_propensity.margin == pytest.approx(0.0)
    assert (given_margin.level, given_margin.evidence["mqls"]) == (0.5, 3)
    for wrong in ({}, {"propensity": 1.2}, {"margin": 0.0}, {"propensity": 0.1, "margin": 0.1}):
        with pytest.raises(ConfigurationError):
            manual(crossings(), **wrong)


@settings(max_examples=80, deadline=None)
@given(
    rows=leads,
    policy=st.sampled_from(
        [
            ("capacity", {"per_week": 1.0}),
            ("value", {"cost": 1.0, "value": 3.0}),
            ("precision", {"at_least": 0.5, "least_mqls": 2}),
            ("manual", {"propensity": 0.4}),
        ]
    ),
)
def test_any_cutoff_holds_what_its_evidence_says_and_survives_json(rows, policy):
    table = snapshots("\n".join(f"{lead} {day} 0.{p} {int(won)}" for lead, day, p, won in rows))
    name, parameters = policy

    cutoff = choose_cutoff(name, Crossings.of(table), **parameters)

    assert Cutoff.from_dict(json.loads(json.dumps(cutoff.to_dict(), allow_nan=False))) == cutoff
    evidence = cutoff.evidence
    passed = table[cutoff.passes(table["propensity"])]
    assert evidence["mqls"] == passed["lead_id"].nunique()
    estimate = evidence["estimate"]
    if evidence["mqls"]:
        assert estimate["value"] == evidence["conversions_caught"] / evidence["mqls"]
        assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1
    assert evidence["met"] == (cutoff.level is not None)


def test_data_without_times_has_no_weeks():
    found = Crossings.of(snapshots("a 0 0.2 0\nb 0 0.8 1\nc 0 0.8 0").drop(columns="as_of"))

    assert (found.mqls.tolist(), found.caught.tolist()) == ([2, 3], [1, 1])
    assert value(found, cost=1, value=2).evidence["mqls_per_week"] is None
    with pytest.raises(ConfigurationError, match="no times"):
        capacity(found, per_week=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="margin"), "lacks margin"),
        (lambda t: t.iloc[:0], "0 snapshots"),
        (lambda t: t.assign(propensity=np.nan), "6 of them with a missing value"),
        (lambda t: t.assign(label=2), "labels 0 or 1"),
        (lambda t: pd.concat([t, t.iloc[[0]]]), "1 snapshots .* twice"),
        (lambda t: t.drop(columns="as_of"), "2 snapshots .* twice"),
    ],
)
def test_a_window_that_cannot_be_counted_is_refused(change, said):
    with pytest.raises(DataError, match=f"(?s){said}"):
        Crossings.of(change(snapshots(TABLE)))


def test_arguments_out_of_range_are_refused():
    found = crossings()
    for wrong in (
        lambda: capacity(found, per_week=0),
        lambda: value(found, cost=-1, value=3),
        lambda: value(found, cost=1, value=float("nan")),
        lambda: precision(found, at_least=0.0),
        lambda: precision(found, at_least=1.1),
        lambda: crossings(share=0.0),
        lambda: crossings(end=pd.Timestamp("2025-01-01")),
    ):
        with pytest.raises(ConfigurationError):
            wrong()


def test_an_unknown_policy_names_the_nearest():
    with pytest.raises(ConfigurationError, match="Did you mean 'precision'"):
        choose_cutoff("precison", crossings())
    with pytest.raises(BundleError, match="Unknown cutoff policy"):
        Cutoff.from_dict({"policy": "luck", "level": 0.1, "evidence": {}})


def test_with_earlier_snapshots_only_what_was_reached_before_the_window_is_backlog():
    # a was there before: it had reached 0.5 and is at 0.8 when first seen in the window. At levels up
    # to 0.5 it is backlog, at 0.8 it is new. b came in the window. Without what came before, all that
    # a shows at its first snapshot would be backlog, and sales would get more than was promised.
    start = pd.Timestamp("2025-01-06")
    table = pd.DataFrame(
        {
            "lead_id": ["a", "b"],
            "as_of": [start + WEEK / 7, start + WEEK / 7],
            "created_at": [start - WEEK, start],
            "margin": [1.4, 0.0],
            "propensity": [0.8, 0.5],
            "label": [1, 0],
        }
    )
    earlier = pd.DataFrame({"lead_id": ["a", "a"], "propensity": [0.2, 0.5]})
    found = Crossings.of(table, start=start, end=start + WEEK, earlier=earlier)
    assert found.levels.tolist() == [0.8, 0.5]
    assert found.mqls.tolist() == [1, 2]
    assert found.backlog.tolist() == [0, 1]
    assert Crossings.of(table, start=start, end=start + WEEK).backlog.tolist() == [1, 1]
