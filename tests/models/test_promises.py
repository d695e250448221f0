"""Promises: first crossings replayed by hand, tests that are exact, and truth as often as was said."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom, binomtest

from features.errors import DataError
from models.calibrators import Isotonic, NoCalibration, Platt
from models.certificates import (
    LEAST_UNITS,
    Candidate,
    Trial,
    candidates,
    in_sequence,
    left_edge,
    lower_bound,
    start,
    units_needed,
    upper_bound,
)
from models.promises import (
    bound,
    counted,
    held,
    leads_needed,
    next_hundred,
    promise,
    realised,
    rounded_down,
    words,
)
from models.replay import Replay

MONDAY = pd.Timestamp("2025-01-06")
HERE = Candidate(-1.0, 0.25)


def rows(text: str, names: str = "group_id lead_id day margin label") -> pd.DataFrame:
    """Read snapshots, one a line; days count from a Monday, and propensities follow from margins."""
    table = pd.DataFrame([line.split() for line in text.strip().splitlines()], columns=names.split())
    table["as_of"] = MONDAY + pd.to_timedelta(table.pop("day").astype(float), unit="D")
    table["margin"] = table["margin"].astype(float)
    return table.assign(label=table["label"].astype(int), propensity=expit(table["margin"]))


class TestReplay:
    # Account A has two leads: a rises late and wins, b is high on day 1 and does not. B is one lead.
    SNAPSHOTS = """
        A  a  0  -2  0
        A  b  1   1  0
        A  a  7   2  1
        B  c  2   1  1
        B  c  9   3  1
        C  d  3  -3  0
    """

    def test_each_account_contributes_its_first_crossing_or_nothing(self) -> None:
        # margin   A's first           B's          C's         groups, converted
        # 3        -                   c, day 9, 1  -           1, 1
        # 2        a on day 7: 1       c, day 9, 1  -           2, 2
        # 1        b on day 1: 0       c, day 2, 1  -           2, 1
        # -2       a on day 0: 0       c, day 2, 1  -           2, 1
        # -3       a on day 0: 0       c, day 2, 1  d: 0        3, 1
        replay = Replay.of(rows(self.SNAPSHOTS))
        counts = {margin: replay.converted(margin) for margin in (4, 3, 2, 1, -2, -3)}
        assert counts == {4: (0, 0), 3: (1, 1), 2: (2, 2), 1: (2, 1), -2: (2, 1), -3: (3, 1)}
        assert (replay.unit, replay.units) == ("account", 3)

    def test_who_had_crossed_before_the_window_contributes_nothing(self) -> None:
        # A had reached 1 before, through b. At 2 it crosses in the window, at 1 and below it did before.
        earlier = rows("A b -3 1 0")
        replay = Replay.of(rows(self.SNAPSHOTS), earlier=earlier)
        assert [replay.converted(margin) for margin in (2, 1, -2)] == [(2, 2), (1, 1), (1, 1)]

    def test_what_became_of_earlier_snapshots_is_not_looked_at(self) -> None:
        first, other = (
            Replay.of(rows(self.SNAPSHOTS), earlier=rows(f"A b -3 0.5 {label}")) for label in (0, 1)
        )
        assert all(first.converted(m) == other.converted(m) for m in (-3, 0, 0.5, 1, 2))

    def test_wins_of_leads_that_were_never_scored_are_in_the_denominator_of_recall(self) -> None:
        # a wins on day 8, having reached 2; c wins on day 5, having reached 1 (its 3 came later);
        # e won before it was scored. Of A only the first win counts.
        wins = pd.DataFrame(
            [("a", "A", 8), ("c", "B", 5), ("e", "E", 2), ("b", "A", 20)],
            columns=["lead_id", "group_id", "day"],
        )
        wins["won_at"] = MONDAY + pd.to_timedelta(wins.pop("day"), unit="D")
        replay = Replay.of(rows(self.SNAPSHOTS), wins=wins)
        caught = [replay.caught(margin) for margin in (3, 2, 1, -2, -9)]
        assert caught == [(3, 0), (3, 1), (3, 2), (3, 2), (3, 2)]
        assert replay.all_wins

    def test_a_crossing_before_the_window_catches_a_win_within_it(self) -> None:
        wins = pd.DataFrame({"lead_id": ["a"], "group_id": ["A"], "won_at": [MONDAY + pd.Timedelta(days=1)]})
        assert Replay.of(rows(self.SNAPSHOTS), wins=wins).caught(1.0) == (1, 0)
        replay = Replay.of(rows(self.SNAPSHOTS), earlier=rows("A a -3 1.5 0"), wins=wins)
        assert replay.caught(1.0) == (1, 1)

    def test_a_window_without_wins_catches_none(self) -> None:
        none = pd.DataFrame({"lead_id": [], "group_id": [], "won_at": []})
        assert Replay.of(rows(self.SNAPSHOTS), wins=none).caught(0.0) == (0, 0)

    def test_without_a_list_of_wins_the_winners_are_those_whose_labels_say_so(self) -> None:
        # a (account A) had reached 2 by day 7, c (B) 3 by day 9.
        replay = Replay.of(rows(self.SNAPSHOTS))
        assert [replay.caught(margin) for margin in (3, 2.5, 2)] == [(2, 1), (2, 1), (2, 2)]
        assert not replay.all_wins

    def test_without_times_each_lead_is_one_row(self) -> None:
        table = pd.DataFrame(
            {"lead_id": ["a", "b", "c"], "margin": [1.0, 2.0, -1.0], "propensity": 0.5, "label": [1, 0, 1]}
        )
        replay = Replay.of(table)
        assert (replay.converted(1.0), replay.caught(1.0), replay.unit) == ((2, 1), (2, 1), "lead")

    def test_a_missing_column_is_named(self) -> None:
        with pytest.raises(DataError, match="lack margin"):
            Replay.of(rows(self.SNAPSHOTS).drop(columns="margin"))

    @settings(max_examples=60, deadline=None)
    @given(
        drawn=st.lists(
            st.tuples(
                st.integers(0, 3), st.integers(0, 2), st.integers(-9, 20), st.integers(-3, 3), st.booleans()
            ),
            min_size=1,
            max_size=40,
            unique_by=lambda row: row[:3],
        ),
        order=st.randoms(use_true_random=False),
    )
    def test_it_agrees_with_going_through_the_nights_one_by_one(self, drawn: list, order: Any) -> None:
        order.shuffle(drawn)
        table = rows("\n".join(f"G{g} L{g}{lead} {day} {m} {int(won)}" for g, lead, day, m, won in drawn))
        inside = table["as_of"] >= MONDAY
        replay = Replay.of(table[inside], earlier=table[~inside])
        for margin in (-3.0, -1.0, 0.5, 3.0):
            assert replay.converted(margin) == night_by_night(table, margin)
            assert replay.expected(margin)[0] == replay.converted(margin)[0]
        assert replay.converted(-99.0)[0] <= table["group_id"].nunique()


def night_by_night(table: pd.DataFrame, margin: float) -> tuple[int, int]:
    """Operate the cutoff: every night, tell sales of the accounts that they have not heard of."""
    told: set[str] = set()
    units = converted = 0
    for night, scored in table.sort_values(["as_of", "lead_id"]).groupby("as_of"):
        for row in scored.itertuples():
            if row.margin >= margin and row.group_id not in told:
                told.add(row.group_id)
                units += night >= MONDAY
                converted += row.label if night >= MONDAY else 0
    return units, converted


class TestCandidates:
    def test_margin_and_level_select_the_same_leads_where_the_calibrator_is_flat(self) -> None:
        def steps(margin: np.ndarray) -> np.ndarray:
            return np.select([np.asarray(margin) >= 1.25, np.asarray(margin) >= -0.5], [0.6, 0.3], 0.1)

        found = candidates(np.linspace(-3, 3, 200), steps)
        # From left to right: 0.1 for everyone, 0.3 from -0.5 on, 0.6 from 1.25 on.
        assert [(c.margin, c.level) for c in found] == [(1.25, 0.6), (-0.5, 0.3), (-1000.0, 0.1)]
        assert left_edge([0.7, 0.2], steps).tolist() == [1000.0, -0.5]

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 10**6), ties=st.booleans())
    def test_margin_and_level_select_the_same_leads_with_every_calibrator(
        self, seed: int, ties: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        margins = rng.normal(-2, 1, 300).round(1 if ties else 12)
        label = (rng.random(300) < expit(margins)).astype(int)
        label[:2] = 0, 1
        for calibrator in (NoCalibration(), Platt(), Isotonic()):
            predict = calibrator.fit(margins, label).predict
            later = np.concatenate([rng.normal(-2, 1, 500), margins])
            for candidate in candidates(margins, predict):
                assert ((later >= candidate.margin) == (predict(later) >= candidate.level)).all()

    def test_they_go_from_strict_to_loose(self) -> None:
        found = candidates(np.random.default_rng(0).normal(size=1000), expit)
        assert len(found) == 60
        assert all(a.margin > b.margin and a.level > b.level for a, b in itertools.pairwise(found))

    def test_testing_starts_where_the_bound_would_be_highest_and_looks_at_no_label(self) -> None:
        # 12 leads at 0.9, 88 more at 0.5: with all at 0.9 the 99 % bound is highest at the first.
        table = pd.DataFrame({"lead_id": range(100), "margin": np.r_[np.full(12, 2.0), np.full(88, 0.0)]})
        table = table.assign(propensity=np.where(table["margin"] > 1, 0.9, 0.5))
        among = [Candidate(3.0, 0.95), Candidate(1.0, 0.7), Candidate(-1.0, 0.4)]
        for label in (0, 1):
            replay = Replay.of(table.assign(label=label))
            assert start(replay, among) == 1
            # 4 leads are too few, whatever is expected of them.
            assert start(replay, [Candidate(2.5, 0.92)]) is None
        assert start(Replay.of(table.iloc[8:].assign(label=1)), among) == 2
        assert start(Replay.of(table.assign(label=1)), []) is None


class TestTests:
    @settings(deadline=None)
    @given(units=st.integers(1, 400), share=st.floats(0.01, 0.99), of=st.floats(0, 1))
    def test_p_values_and_bounds_are_exact(self, units: int, share: float, of: float) -> None:
        successes = round(of * units)
        trial = Trial(HERE, units, successes)
        expected = binomtest(successes, units, share, alternative="greater")
        assert trial.p_value(share) == pytest.approx(expected.pvalue, abs=1e-12)
        low = expected.proportion_ci(0.9, method="exact").low
        assert trial.at_least(0.9) == pytest.approx(low, abs=1e-9)
        high = binomtest(successes, units, share, alternative="less").proportion_ci(0.95, method="exact").high
        assert upper_bound(units, successes, 0.95) == pytest.approx(high, abs=1e-9)
        # A bound above the share and a rejection of it are one and the same.
        if abs(trial.at_least(0.9) - share) > 1e-9:
            assert (trial.p_value(share) <= 0.1) == (trial.at_least(0.9) > share)

    def test_it_stops_at_the_first_that_fails_whatever_comes_after(self) -> None:
        # 9 of 10, 40 of 100 and 90 of 100 against one half.
        trials = [Trial(HERE, 10, 9), Trial(HERE, 100, 40), Trial(HERE, 100, 90)]
        tested = in_sequence(trials, 0.5, 0.9)
        assert [test.kept for test in tested] == [True, False]
        assert tested[0].p_value == pytest.approx(11 / 1024)
        assert tested[0].to_dict() == {
            "level": 0.25, "margin": -1.0, "units": 10, "successes": 9,
            "p_value": tested[0].p_value, "kept": True,
        }  # fmt: skip

    def test_nobody_is_no_evidence(self) -> None:
        assert Trial(HERE, 0, 0).p_value(0.1) == 1.0
        assert lower_bound(0, 0, 0.9) == 0.0

    @pytest.mark.parametrize(("truth", "share"), [(0.35, 0.3), (0.5, 0.3), (0.9, 0.3), (0.13, 0.1)])
    def test_as_many_units_as_it_takes(self, truth: float, share: float) -> None:
        needed = units_needed(truth, share, 0.9)
        assert needed is not None

        def power(units: int) -> float:
            critical = next(k for k in range(units + 2) if binom.sf(k - 1, units, share) <= 0.1)
            return float(binom.sf(critical - 1, units, truth))

        assert power(needed) >= 0.8 > power(needed - 1)

    def test_no_number_of_units_shows_what_is_not_so(self) -> None:
        assert units_needed(0.3, 0.3, 0.9) is None
        assert units_needed(0.2, 0.3, 0.9) is None


class TestWords:
    def test_a_promise_says_what_it_rests_on(self) -> None:
        made = promise("precision", 0.3, 0.9, Trial(HERE, 80, 32), unit="account", horizon="30d")
        assert made == {
            "what": "precision",
            "at_least": 0.3,
            "confidence": 0.9,
            "margin": -1.0,
            "level": 0.25,
            "tested_on": {"units": 80, "converted": 32, "unit": "account"},
            "method": "exact binomial tests, one cutoff after the other",
            "words": "At least 30 % of MQLs (the first of each account) convert within 30 days, "
            "with 90 % confidence.",
        }

    @pytest.mark.parametrize(
        ("given_words", "said"),
        [
            (("precision", 0.3, 0.9, "lead", None), "At least 30 % of MQLs convert, with 90 % confidence."),
            (
                ("precision", 0.075, 0.95, "lead", "1d"),
                "At least 7.5 % of MQLs convert within 1 day, with 95 % confidence.",
            ),
            (
                ("recall", 0.8, 0.9, "lead", "12h"),
                "At least 80 % of wins were MQLs before, with 90 % confidence.",
            ),
        ],
    )
    def test_words(self, given_words: tuple, said: str) -> None:
        assert words(*given_words) == said

    @settings(deadline=None)
    @given(share=st.floats(0, 1))
    def test_rounding_never_promises_more(self, share: float) -> None:
        assert share - 0.01 - 1e-9 <= rounded_down(share) <= share + 1e-9

    def test_rounding_by_hand(self) -> None:
        found = [rounded_down(share) for share in (0.3399, 0.34, 0.29 + 0.05, 0.0999, 0.0731, 0.0004)]
        assert found == [0.33, 0.34, 0.34, 0.099, 0.073, 0.0]

    def test_the_bound_at_one_level(self) -> None:
        # 30 of 80: the exact 90 % lower bound is 30.1 %.
        trial = Trial(HERE, 80, 30)
        made = bound(trial, 0.9, unit="lead", horizon="30d")
        assert made is not None
        assert made["at_least"] == 0.3 <= trial.at_least(0.9)
        assert made["method"] == "exact lower bound at this one cutoff"

    @pytest.mark.parametrize("trial", [Trial(HERE, LEAST_UNITS - 1, 9), Trial(HERE, 500, 0)])
    def test_too_few_or_nothing_is_no_promise(self, trial: Trial) -> None:
        assert bound(trial, 0.9, unit="lead", horizon="30d") is None


class TestNextHundred:
    def test_it_holds_what_comes_as_often_as_it_says(self) -> None:
        # True share 0.3, 60 units seen: of 2,000 times a hundred leads, at least 90 % inside.
        rng = np.random.default_rng(0)
        intervals = [next_hundred(60, converted) for converted in range(61)]
        seen, came = rng.binomial(60, 0.3, 2000), rng.binomial(100, 0.3, 2000)
        inside = [intervals[k]["low"] <= n <= intervals[k]["high"] for k, n in zip(seen, came, strict=True)]
        assert 0.88 <= np.mean(inside) <= 0.96

    def test_it_is_wider_than_the_share_alone_would_have_it(self) -> None:
        found, sure = next_hundred(20, 6), next_hundred(20_000, 6000)
        assert found is not None
        assert sure is not None
        assert found["high"] - found["low"] > sure["high"] - sure["low"]
        assert (sure["low"], sure["high"]) == (binom(100, 0.3).ppf(0.05), binom(100, 0.3).ppf(0.95))
        assert found["words"] == "Of the next 100 MQLs, 14 to 50 will convert (90 % interval)."

    def test_nothing_is_known_of_nothing(self) -> None:
        assert next_hundred(0, 0) is None


class TestLater:
    MADE = promise("precision", 0.3, 0.9, Trial(HERE, 80, 32), unit="lead", horizon="30d")

    # 100 units, 0.3 promised: with 22 the exact 95 % upper bound is 29.9 %, with 23 it is 31.0 %.
    @pytest.mark.parametrize(
        ("units", "successes", "verdict"),
        [
            (100, 30, "held"),
            (100, 29, "undecided"),
            (100, 23, "undecided"),
            (100, 22, "violated"),
            (5, 0, "undecided"),
            (0, 0, "undecided"),
            (10, 3, "held"),
        ],
    )
    def test_violated_only_beyond_chance(self, units: int, successes: int, verdict: str) -> None:
        assert held(self.MADE, units, successes) == verdict
        assert realised(self.MADE, units, successes)["verdict"] == verdict

    def test_a_promise_that_is_just_true_is_seldom_accused(self) -> None:
        for units in (10, 50, 200, 1000):
            accused = [k for k in range(units + 1) if held(self.MADE, units, k) == "violated"]
            assert binom.pmf(accused, units, 0.3).sum() <= 0.05

    def test_later_leads_are_counted_as_the_promise_was_made(self) -> None:
        replay = Replay.of(rows(TestReplay.SNAPSHOTS))
        assert counted(self.MADE | {"margin": 1.0}, replay) == (2, 1)
        assert counted(self.MADE | {"margin": 2.5, "what": "recall"}, replay) == (2, 1)

    def test_how_many_leads_it_would_take(self) -> None:
        found = leads_needed(Trial(HERE, 50, 18), 0.3, 0.9, 400, "lead")
        times = units_needed(0.36, 0.3, 0.9) / 50
        assert found["times"] == pytest.approx(times)
        assert found["leads"] == np.ceil(times * 400)
        assert "if the 36 % seen there are the truth" in found["words"]
        none = leads_needed(Trial(HERE, 50, 15), 0.3, 0.9, 400, "lead")
        assert (none["times"], none["leads"]) == (None, None)
        assert "will not help" in none["words"]
