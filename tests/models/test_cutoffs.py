"""Cutoffs: volume at every level counted, and each policy's level and promise by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import beta, binom

from features.errors import BundleError, ConfigurationError, DataError
from models.certificates import Candidate
from models.crossings import WEEK, Crossings, proportion
from models.cutoffs import Cutoff, capacity, choose_cutoff, manual, precision, recall, value
from models.decision_window import DecisionWindow
from models.ladder import ladder
from models.promises import rounded_down
from models.queue import queue, unevenness
from models.replay import Replay


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


def logit(level):
    return float(np.log(level / (1 - level)))


def window(table, *, wins=None, levels=None, **options):
    """A decision window whose propensities are the margins taken at their word; all levels may be tested."""
    levels = sorted(set(table["propensity"]) if levels is None else levels, reverse=True)
    return DecisionWindow(
        crossings=Crossings.of(table, **options),
        replay=Replay.of(table, wins=wins),
        candidates=tuple(Candidate(logit(level) - 1e-9, level) for level in levels),
        predict=expit,
        horizon="30d",
    )


def crowd(*parts, weeks=10):
    """Leads with one snapshot each, spread evenly over some weeks: parts are (leads, won, propensity)."""
    rows = [(p, int(i < won)) for leads, won, p in parts for i in range(leads)]
    table = pd.DataFrame(rows, columns=["propensity", "label"])
    table["lead_id"] = [f"L{i}" for i in range(len(table))]
    # In an order that mixes the parts, so that each week has some of all.
    order = np.argsort(pd.util.hash_array(table["lead_id"].to_numpy(object)), kind="stable")
    day = np.empty(len(table))
    day[order] = np.arange(len(table)) * 7 * weeks // len(table)
    table["as_of"] = pd.Timestamp("2025-01-06") + pd.to_timedelta(day, unit="D")
    return table.assign(
        margin=logit(table["propensity"]) if not len(table) else table["propensity"].map(logit)
    )


def test_first_crossings_by_hand():
    # level  who crosses first, with which label
    # 0.8    a (day 7, 1), b (day 1, 0)
    # 0.5    the same and c (1)
    # 0.2    a now on day 0, where its label is 0; b, c
    # 0.1    and d
    found = crossings()

    assert found.levels.tolist() == [0.8, 0.5, 0.2, 0.1]
    assert found.records["week"].tolist() == [0, 1, 0, 0, 1]
    assert (found.weekly(0.8).tolist(), found.weekly(0.1).tolist()) == ([1, 1], [3, 1])
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


@settings(max_examples=60, deadline=None)
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
    cutoff = capacity(window(snapshots(TABLE)), per_week=per_week)

    assert (cutoff.policy, cutoff.level) == ("capacity", level)
    assert cutoff.margin == pytest.approx(logit(level))
    assert cutoff.evidence["met"]
    assert cutoff.evidence["mqls_per_week"] <= per_week
    assert cutoff.evidence["parameters"] == {"per_week": per_week, "confidence": 0.9}
    # Four leads are too few to promise anything of.
    assert cutoff.promise is None
    assert cutoff.evidence["why"].startswith("Nothing can be promised at this level: ")


def test_capacity_that_one_tie_exceeds_is_not_met_and_says_what_comes_nearest():
    cutoff = capacity(window(snapshots(TABLE)), per_week=0.9)

    assert (cutoff.level, cutoff.margin, cutoff.evidence["met"]) == (None, None, False)
    assert "1.0 new MQLs a week" in cutoff.evidence["why"]
    assert cutoff.evidence["best"]["level"] == 0.8
    assert cutoff.evidence["best"]["mqls_per_week"] == 1.0
    assert not cutoff.passes([0.99, 1.0]).any()


# 20 leads at 0.8 of which 16 win, 80 at 0.4 of which 24 do, 300 at 0.1 of which 15 do; in ten weeks.
CROWD = ((20, 16, 0.8), (80, 24, 0.4), (300, 15, 0.1))


def test_capacity_promises_the_bound_at_its_level_and_tells_of_the_queue():
    # 10 a week: the 100 leads at 0.4 or above. 40 of them win: the exact 90 % bound is 33.6 %.
    cutoff = capacity(window(crowd(*CROWD)), per_week=10)

    assert cutoff.level == 0.4
    assert cutoff.promise["at_least"] == 0.33 == np.floor(100 * beta.ppf(0.1, 40, 61)) / 100
    assert cutoff.promise["tested_on"] == {"units": 100, "converted": 40, "unit": "lead"}
    assert sum(cutoff.evidence["queue"]["weekly"]) == 100
    assert cutoff.evidence["queue"]["use"] == 1.0


# Half: 20 units win 16 (p = 0.006), 100 win 40 (p = 0.98). A quarter: both, and 400 win 55 (p = 1).
@pytest.mark.parametrize(
    ("per_week", "at_least", "level"),
    [(10, 0.5, 0.8), (10, 0.25, 0.4), (3, 0.25, 0.8), (99, 0.25, 0.4), (10, 0.9, None), (1, 0.1, None)],
)
def test_capacity_with_a_precision_takes_the_loosest_cutoff_that_keeps_both(per_week, at_least, level):
    cutoff = capacity(window(crowd(*CROWD)), per_week=per_week, at_least=at_least)

    assert cutoff.level == level
    if level is not None:
        assert cutoff.promise["at_least"] == at_least
        assert cutoff.evidence["mqls_per_week"] <= per_week
    elif at_least == 0.9:
        assert "with at most 10 new MQLs a week is certified to keep 90 %" in cutoff.evidence["why"]


def test_the_first_nights_backlog_does_not_use_up_capacity():
    table = snapshots(TABLE).assign(created_at=pd.Timestamp("2025-01-06"))
    # b and d were there before the window. b is at 0.8 when first seen: backlog at any level below.
    table.loc[table["lead_id"].isin(["b", "d"]), "created_at"] = pd.Timestamp("2024-12-01")
    found = Crossings.of(table)

    assert found.backlog.tolist() == [1, 1, 1, 2]
    assert found.new_per_week().tolist() == [0.5, 1.0, 1.0, 1.0]
    cutoff = capacity(window(table), per_week=1)
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
    found = window(table, end=pd.Timestamp("2025-01-20"))

    assert found.crossings.new_per_week().tolist() == [0.5, 1.0, 0.5]
    assert capacity(found, per_week=0.5).level == 0.9


def test_a_part_of_the_leads_stands_for_all_of_them():
    # A quarter of the leads: 1.0 a week at 0.8 is 4.0 for the company.
    found = crossings(share=0.25)

    assert found.at(0.8)["mqls_per_week"] == 4.0
    assert capacity(window(snapshots(TABLE), share=0.25), per_week=4).level == 0.8


def test_the_window_may_be_given():
    found = crossings(start=pd.Timestamp("2025-01-06"), end=pd.Timestamp("2025-02-03"))

    assert found.weeks == 4.0


# value: contacts at 1, a won lead at 4: the threshold is 0.25
def test_value_by_hand():
    # net = 4 x conversions - MQLs at 0.8, 0.5, 0.2, 0.1: 4-2, 8-3, 4-3, 4-4
    cutoff = value(window(snapshots(TABLE)), cost=1, value=4)

    assert (cutoff.level, cutoff.margin) == (0.25, pytest.approx(logit(0.25)))
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
    net = value(window(snapshots(text)), cost=1, value=10).evidence["net_value"]

    assert [point["value"] for point in net["curve"]] == [300, 299, 249]
    assert net["flat"] == {"low": 0.8, "high": 0.9}


def test_value_when_no_level_pays():
    found = window(snapshots(TABLE))
    assert value(found, cost=4, value=4).evidence["met"] is False
    # A level that nobody reaches is a cutoff all the same: 0.9.
    cutoff = value(found, cost=9, value=10)
    assert (cutoff.level, cutoff.margin) == (0.9, pytest.approx(logit(0.9)))
    assert (cutoff.evidence["mqls"], cutoff.promise, cutoff.evidence["next_hundred"]) == (0, None, None)
    assert cutoff.evidence["estimate"]["value"] is None
    assert cutoff.evidence["net_value"]["flat"] is None


# The loosest cutoff at which 90 % confidence is reached, going from 16 of 20 to 40 of 100 to 55 of 400:
# 60 % of 20 or more in 16: p = 0.051; 35 % of 100 in 40: 0.172; 33 %: 0.086; 11 % of 400 in 55: 0.051.
@pytest.mark.parametrize(
    ("at_least", "level", "tests"), [(0.6, 0.8, 2), (0.35, 0.8, 2), (0.33, 0.4, 3), (0.11, 0.1, 3)]
)
def test_precision_takes_the_loosest_cutoff_that_is_certified(at_least, level, tests):
    cutoff = precision(window(crowd(*CROWD)), at_least=at_least)

    assert cutoff.level == level
    assert cutoff.promise["at_least"] == at_least
    assert cutoff.promise["level"] == cutoff.level
    assert cutoff.promise["margin"] == cutoff.margin
    assert len(cutoff.evidence["tests"]) == tests
    units, converted = {0.8: (20, 16), 0.4: (100, 40), 0.1: (400, 55)}[level]
    last = [test for test in cutoff.evidence["tests"] if test["kept"]][-1]
    assert last["p_value"] == pytest.approx(binom.sf(converted - 1, units, at_least))
    assert cutoff.evidence["first_crossings"]["value"] == converted / units
    assert cutoff.evidence["next_hundred"]["expected"] == pytest.approx(100 * (converted + 0.5) / (units + 1))


def test_precision_out_of_reach_is_not_met_and_says_what_can_be_promised_and_what_it_would_take():
    cutoff = precision(window(crowd(*CROWD)), at_least=0.7)

    assert (cutoff.level, cutoff.promise, cutoff.evidence["met"], cutoff.evidence["mqls"]) == (
        None,
        None,
        False,
        0,
    )
    # 16 of 20: the 90 % bound is 63.9 %. Four fifths for seven tenths: some 130 units, so many times 20.
    best = cutoff.evidence["best_promise"]
    assert (best["at_least"], best["level"]) == (0.63, 0.8)
    assert cutoff.evidence["why"].endswith("16 of 20 leads converted there.")
    assert cutoff.evidence["best"]["level"] == 0.8
    needed = cutoff.evidence["leads_needed"]
    assert needed["leads"] == np.ceil(needed["times"] * 400)
    assert 3 < needed["times"] < 8


def test_more_confidence_takes_more():
    found = window(crowd(*CROWD))
    assert precision(found, at_least=0.33, confidence=0.9).level == 0.4
    assert precision(found, at_least=0.33, confidence=0.95).level == 0.8


def test_a_handful_of_leads_does_not_reach_a_precision():
    unmet = precision(window(crowd((9, 9, 0.8))), at_least=0.1)
    assert (unmet.level, unmet.evidence["best"], unmet.evidence["best_promise"]) == (None, None, None)
    assert "Of 9 leads fewer than 10 cross any cutoff" in unmet.evidence["why"]


def test_who_asked_for_nothing_gets_a_level_all_the_same_but_no_promise():
    found = window(crowd(*CROWD))
    assert precision(found, at_least=0.5, fall_back=True) == precision(found, at_least=0.5)
    cutoff = precision(found, at_least=0.7, fall_back=True)
    assert (cutoff.level, cutoff.promise, cutoff.evidence["met"]) == (0.7, None, True)
    assert "No cutoff is certified to keep 70 %" in cutoff.evidence["why"]
    assert cutoff.evidence["best_promise"]["at_least"] == 0.63


def winners(*leads, never=0):
    """Wins on the last day of the crowd's window, of these leads and of some that nobody scored."""
    names = [*leads, *(f"N{i}" for i in range(never))]
    return pd.DataFrame({"lead_id": names, "won_at": pd.Timestamp("2025-04-01")})


def test_recall_takes_the_strictest_cutoff_that_is_certified():
    # Of 60 wins: 20 at 0.8, 50 at 0.4 or above, 58 at 0.1 or above, 2 never scored. 75 % of 60 or more
    # in 50: p = 0.087; 80 %: 0.32, and in 58 p < 0.001; 20 is not enough for either.
    table = crowd((20, 0, 0.8), (80, 0, 0.4), (300, 0, 0.1))
    wins = winners(*(f"L{i}" for i in [*range(50), *range(100, 108)]), never=2)
    found = window(table, wins=wins)

    for at_least, level, seen in ((0.75, 0.4, 50), (0.8, 0.1, 58)):
        cutoff = recall(found, at_least=at_least)
        assert (cutoff.level, cutoff.promise["what"]) == (level, "recall")
        assert cutoff.promise["tested_on"] == {"units": 60, "caught": seen, "unit": "lead"}
        assert cutoff.evidence["all_wins"]
    unmet = recall(found, at_least=0.97)
    assert (unmet.level, unmet.promise) == (None, None)
    assert "even at the loosest, 58 of 60 had been MQLs" in unmet.evidence["why"]
    assert unmet.evidence["best_promise"]["at_least"] == np.floor(100 * beta.ppf(0.1, 58, 3)) / 100


def test_recall_of_a_handful_of_wins_is_not_promised():
    unmet = recall(window(crowd(*CROWD), wins=winners("L1", "L2")), at_least=0.1)
    assert "2 wins, fewer than the 10" in unmet.evidence["why"]


def test_a_manual_level_gets_the_bound_there_or_nothing():
    found = window(crowd(*CROWD))
    cutoff = manual(found, propensity=0.3)
    assert (cutoff.level, cutoff.promise["at_least"]) == (0.3, 0.32)
    # Whoever names a level has looked at others: it is promised what the ladder of all levels promises there,
    # below the bound that would do for a level fixed blindly.
    rungs = {rung.candidate.level: rung for rung in ladder(found, [0.3], 0.9).rungs}
    assert rungs[0.3].promise["at_least"] == 0.32
    assert rounded_down(rungs[0.3].trial.at_least(0.9)) == 0.33
    assert cutoff.margin == pytest.approx(logit(0.3))
    assert manual(found, propensity=0.95).promise is None
    assert manual(window(snapshots(TABLE)), propensity=0.3).promise is None
    with pytest.raises(ConfigurationError):
        manual(found, propensity=1.2)


POLICIES = [
    ("capacity", {"per_week": 1.0}),
    ("capacity", {"per_week": 2.0, "at_least": 0.2}),
    ("value", {"cost": 1.0, "value": 3.0}),
    ("precision", {"at_least": 0.3}),
    ("precision", {"at_least": 0.3, "fall_back": True}),
    ("recall", {"at_least": 0.3}),
    ("manual", {"propensity": 0.4}),
]


@settings(max_examples=50, deadline=None)
@given(rows=leads, policy=st.sampled_from(POLICIES))
def test_any_cutoff_holds_what_its_evidence_says_and_survives_json(rows, policy):
    table = snapshots("\n".join(f"{lead} {day} 0.{p} {int(won)}" for lead, day, p, won in rows))
    name, parameters = policy

    cutoff = choose_cutoff(name, window(table), **parameters)

    assert Cutoff.from_dict(json.loads(json.dumps(cutoff.to_dict(), allow_nan=False))) == cutoff
    evidence = cutoff.evidence
    passed = table[cutoff.passes(table["propensity"])]
    assert evidence["mqls"] == passed["lead_id"].nunique()
    estimate = evidence["estimate"]
    if evidence["mqls"]:
        assert estimate["value"] == evidence["conversions_caught"] / evidence["mqls"]
        assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1
    assert evidence["met"] == (cutoff.level is not None)
    # Whoever promises nothing says why.
    assert cutoff.promise is not None or evidence["why"]


rates = st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(parts=rates, asked=st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)))
def test_who_asks_for_more_never_gets_a_looser_cutoff(parts, asked):
    table = crowd(*[(n, round(n * rate), 0.8 - 0.1 * i) for i, (n, rate) in enumerate(parts)])
    less, more = (precision(window(table), at_least=at_least) for at_least in sorted(asked))
    if more.level is not None:
        assert less.level is not None
        assert less.level <= more.level
    surer = precision(window(table), at_least=min(asked), confidence=0.99)
    assert surer.level is None or less.level <= surer.level


@settings(max_examples=20, deadline=None)
@given(parts=rates, seed=st.integers(0, 1000))
def test_labels_have_no_say_in_what_is_tested(parts, seed):
    table = crowd(*[(n, round(n * rate), 0.8 - 0.1 * i) for i, (n, rate) in enumerate(parts)])
    other = table.assign(label=np.random.default_rng(seed).integers(0, 2, len(table)))
    tested = [precision(window(t), at_least=0.3).evidence["tests"] for t in (table, other)]
    # The sequences agree as far as both go: they differ in where they stop alone.
    for one, two in zip(*tested, strict=False):
        assert (one["level"], one["units"]) == (two["level"], two["units"])
    fixed = [capacity(window(t), per_week=3).level for t in (table, other)]
    assert fixed[0] == fixed[1]


def one_draw(rng):
    """Accounts of one or two leads, scored twice; the propensities are too high for the later nights."""
    groups = rng.integers(0, 150, 200)
    margin = rng.normal(-1.0, 1.0, (200, 2))
    win = rng.random(200) < expit(margin[:, 0] - 0.3)
    return pd.DataFrame(
        {
            "lead_id": np.repeat(np.arange(200), 2),
            "group_id": np.repeat(groups, 2),
            "as_of": np.tile(pd.to_datetime(["2025-01-06", "2025-01-13"]), 200),
            "margin": margin.ravel(),
            "propensity": expit(margin.ravel()),
            "label": np.repeat(win, 2).astype(int),
        }
    )


def test_what_is_promised_is_true_as_often_as_was_said_and_the_best_looking_cutoff_is_not():
    # The truth at each level from 400 draws taken together; then 200 draws of 200 leads, asked for 35 %.
    rng = np.random.default_rng(0)
    levels = np.linspace(0.8, 0.2, 13)
    population = pd.concat([one_draw(rng).assign(draw=i) for i in range(400)], ignore_index=True)
    for name in ("lead_id", "group_id"):
        population[name] += 1000 * population["draw"]
    whole = Replay.of(population)
    truth = {level: whole.converted(logit(level) - 1e-9) for level in levels}
    true = {level: converted / units for level, (units, converted) in truth.items()}

    first = window(one_draw(rng), levels=levels)
    false = promised = naive = 0
    for _ in range(200):
        table = one_draw(rng)
        # The volume is of no interest here, and takes longest to count.
        found = replace(first, replay=Replay.of(table))
        cutoff = precision(found, at_least=0.35)
        promised += cutoff.level is not None
        false += cutoff.level is not None and true[cutoff.level] < 0.35
        # What was done before: the loosest level at which the share was reached.
        reached = [
            trial.candidate.level
            for trial in map(found.precision_of, found.candidates)
            if trial.units >= 10 and trial.successes >= 0.35 * trial.units
        ]
        naive += bool(reached) and true[reached[-1]] < 0.35
    # 10 % of 200 are 20; more than 27 would be 5 % likely at most.
    assert false <= 27
    assert promised > 50
    assert naive > 60


def test_the_queue_grows_with_use_and_with_unevenness():
    calm, busy, full = (queue([5] * 12, 0.5, arrivals, 10)["mean"] for arrivals in (5.0, 9.0, 10.0))
    assert calm < busy < full
    uneven = queue([0, 0, 0, 20, 0, 0, 0, 20, 0, 0, 0, 20], 0.5, 10.0, 10)
    assert uneven["mean"] > 2 * full
    assert uneven["weeks_of_wait"] == uneven["mean"] / 10
    assert queue([5] * 12, 0.5, 0.0, 10)["largest"] == 0


def test_the_queue_of_one_server_week_by_week():
    # Poisson arrivals far above what is worked: 20 come, 10 go, so after a year 520 wait, 260 on average.
    found = queue([10] * 12, 0.5, 20.0, 10)
    assert found["mean"] == pytest.approx(10 * 26.5, rel=0.03)
    assert found["largest"] == pytest.approx(520, rel=0.03)


def test_weeks_that_chance_explains_are_even():
    assert unevenness([4, 6, 5, 5], 0.5) == 1.0
    assert unevenness([], 0.5) == unevenness([3], 0.5) == unevenness([0, 0], 0.5) == 1.0
    # Variance 400 / 3 by mean 10 in a quarter of the leads: 1 + (13.33 - 1) / 0.25 of all.
    assert unevenness([0, 20, 0, 20], 0.25) == pytest.approx(1 + (400 / 3 / 10 - 1) / 0.25)


def test_data_without_times_has_no_weeks():
    found = window(snapshots("a 0 0.2 0\nb 0 0.8 1\nc 0 0.8 0").drop(columns="as_of"))

    assert (found.crossings.mqls.tolist(), found.crossings.caught.tolist()) == ([2, 3], [1, 1])
    assert value(found, cost=1, value=2).evidence["mqls_per_week"] is None
    with pytest.raises(ConfigurationError, match="no times"):
        capacity(found, per_week=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="label"), "lacks label"),
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
    found = window(snapshots(TABLE))
    for wrong in (
        lambda: capacity(found, per_week=0),
        lambda: capacity(found, per_week=2, at_least=1.0),
        lambda: recall(found, at_least=0.0),
        lambda: choose_cutoff("manual", found, propensity=0.2, confidence=0.3),
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
        choose_cutoff("precison", window(snapshots(TABLE)))
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
