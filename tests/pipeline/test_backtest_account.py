"""What the account of a backtest says, each number by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest.account import expected_conversions, wins_between, wins_caught
from pipeline.backtest.promised import promised_and_realised, violations
from pipeline.backtest.words import sentence

WEEK = pd.Timedelta(days=7)


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp("2025-01-01") + pd.Timedelta(days=number)


def rows_of(*rows: tuple[str, str, int, int, bool]) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows as (lead, group, night, label, whether it becomes an MQL)."""
    table = pd.DataFrame(rows, columns=["lead_id", "group_id", "night", "label", "mql"])
    table["night"] = table["night"].map(day)
    table["opened_at"] = day(-30)
    return table.drop(columns="mql"), table["mql"].to_numpy()


class TestPromises:
    def kept(self, converted: int, of: int, at_least: float = 0.5) -> dict:
        rows, mql = rows_of(*((f"l{i}", f"g{i}", 0, int(i < converted), True) for i in range(of)))
        promise = {"what": "precision", "at_least": at_least, "confidence": 0.9}
        cutoff = {"promise": promise, "evidence": {"estimate": {"value": 0.6}, "mqls_per_week": 9.0}}
        return promised_and_realised(cutoff, rows, mql, mql, WEEK, None, first=False)

    def test_the_realised_share_stands_beside_the_promised_with_its_exact_interval(self) -> None:
        found = self.kept(20, 50)
        assert found["promised"]["promised"] == 0.5
        assert found["realised"]["value"] == 0.4
        # Clopper-Pearson, 90 %, of 20 in 50: 28.3 % to 52.6 %.
        assert found["realised"]["low"] == pytest.approx(0.283, abs=0.001)
        assert found["realised"]["high"] == pytest.approx(0.526, abs=0.001)
        assert found["held"] == "undecided"

    def test_only_a_significant_shortfall_is_a_violation(self) -> None:
        folds = [self.kept(converted, 50) for converted in (30, 20, 15)]  # 15 in 50: at most 42.4 %
        assert [fold["held"] for fold in folds] == ["held", "undecided", "violated"]
        assert violations(folds) == 1

    def test_an_account_counts_once_at_its_first_crossing_in_the_whole_backtest(self) -> None:
        rows, mql = rows_of(
            ("a1", "A", 0, 0, True),  # the fold before: A's crossing was then
            ("a2", "A", 7, 1, True),
            ("b1", "B", 7, 1, True),
            ("b2", "B", 14, 1, True),  # B's second
            ("c1", "C", 14, 0, True),
            ("d1", "D", 14, 1, False),
        )
        inside = (rows["night"] >= day(7)).to_numpy()
        cutoff = {"promise": None, "evidence": {}}
        found = promised_and_realised(cutoff, rows, mql, inside, WEEK, None, first=False)
        assert (found["realised"]["conversions"], found["realised"]["mqls"]) == (1, 2)  # B yes, C no
        assert found["promised"] is None
        assert found["held"] is None
        # Work, however, is by lead: a2, b1, b2 and c1 within two weeks.
        assert found["volume"]["realised"] == 2.0

    def test_the_first_nights_backlog_is_not_new(self) -> None:
        rows, mql = rows_of(("a", "a", 0, 0, True), ("b", "b", 0, 0, True), ("c", "c", 7, 0, True))
        rows["opened_at"] = [day(-30), day(-3), day(5)]  # a would have been seen a week before
        cutoff = {"promise": None, "evidence": {"mqls_per_week": 4.0}}
        found = promised_and_realised(cutoff, rows, mql, np.ones(3, bool), WEEK, None, first=True)
        assert found["volume"] == {"estimated": 4.0, "realised": 1.0, "backlog": 1, "weeks": 2.0}

    def test_a_promised_recall_is_checked_on_all_wins(self) -> None:
        rows, mql = rows_of(("a", "a", 0, 1, True), ("b", "b", 0, 1, False), ("c", "c", 7, 1, True))
        wins = pd.DataFrame({"lead_id": list("abcx"), "group_id": list("abcx"), "won_at": [day(3)] * 4})
        promise = {"what": "recall", "at_least": 0.9, "confidence": 0.9}
        cutoff = {"promise": promise, "evidence": {}}
        found = promised_and_realised(cutoff, rows, mql, np.ones(3, bool), WEEK, wins, first=False)
        # a was an MQL before; b never; c only after its win; x was never scored: 1 of 4.
        assert (found["promised"]["successes"], found["promised"]["units"]) == (1, 4)


class TestWins:
    def test_each_win_is_caught_missed_or_never_scored(self) -> None:
        rows, mql = rows_of(
            ("a", "a", 0, 1, True),
            ("b", "b", 0, 1, False),
            ("c", "c", 0, 1, False),
            ("c", "c", 7, 1, True),
            ("d", "d", 14, 1, True),
        )
        wins = pd.DataFrame({"lead_id": list("abcdxy"), "won_at": [day(n) for n in (5, 5, 6, 20, 3, 99)]})
        inside = wins_between(wins, rows["night"], WEEK)
        assert "y" not in set(inside["lead_id"])  # won long after the next origin
        # a as an MQL; b was scored and was none; c became one after its win; d in time; x was never seen.
        assert wins_caught(inside, rows, mql) == {"caught": 2, "missed": 2, "never_scored": 1}


def test_expected_conversions_count_a_lead_once() -> None:
    rows, _ = rows_of(("a", "a", 0, 0, False), ("a", "a", 7, 1, False), ("b", "b", 7, 1, False))
    found = expected_conversions(rows.assign(propensity=[0.2, 0.9, 0.5]))
    # a at its first snapshot (0.2, no conversion), b (0.5, one): 0.7 expected.
    assert found["expected"] == pytest.approx(0.7)
    assert found["observed"] == 1
    # The variance is 0.2 x 0.8 + 0.5 x 0.5 = 0.41: 0.7 + 1.645 x 0.640 = 1.753.
    assert found["high"] == pytest.approx(1.753, abs=0.001)


class TestSentence:
    def answer(self, **changes: object) -> str:
        answer = {
            "against": "points",
            "calls": 1200,
            "customers": 250,
            "customers_against": 180,
            "more_customers": {"value": 70, "low": 48.0, "high": 91.0},
            "fewer_calls": {"value": 430.0, "low": 310.4, "high": 555.0},
        }
        return sentence({"answer": answer | changes, "overall": {"mqls": 1150}})

    def test_says_both_numbers_with_their_intervals(self) -> None:
        assert self.answer() == (
            "With the same number of calls (1,200), 70 more customers than with the points (250 instead of "
            "180; 90 % interval +48 to +91); with the same customers, 430 fewer calls (90 % interval 310 "
            "fewer to 555 fewer)."
        )

    def test_says_so_where_the_points_are_better(self) -> None:
        said = self.answer(
            customers=170,
            more_customers={"value": -10, "low": -30.0, "high": 9.0},
            fewer_calls={"value": None, "low": None, "high": 12.0},
        )
        assert "10 FEWER customers than with the points (170 instead of 180" in said
        assert "even half as many calls again would not find the same customers" in said
        assert said.endswith("within what chance can do.")

    def test_without_rules_the_comparison_is_with_first_come(self) -> None:
        assert "than with first come, first served" in self.answer(against="first_come")

    def test_says_so_where_nobody_was_contacted(self) -> None:
        assert "nothing to compare" in sentence({"answer": None})
