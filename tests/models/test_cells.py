"""The grid's cells: every lead counted once in each, small ones drawn together, and a rule for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cells import CELLS, advice, conversion, first_in_cell, shrunken

DAYS = pd.to_datetime(["2026-01-01", "2026-01-08", "2026-01-15", "2026-01-22"])


def seen(*rows: tuple[str, int, str, int]) -> pd.DataFrame:
    """Return rows of lead, week, grade, label."""
    table = pd.DataFrame(rows, columns=["lead_id", "week", "grade", "label"])
    return table.assign(as_of=DAYS[table["week"].astype(int)])


def test_a_lead_counts_once_in_each_cell_it_came_through_and_as_it_was_when_it_came_in() -> None:
    rows = seen(
        ("a", 1, "B2", 1),  # later in B2: counted at week 0, where its win was too far ahead
        ("a", 0, "B2", 0),
        ("a", 2, "A1", 1),
        ("b", 0, "B2", 1),
    )
    found = conversion(rows)
    assert first_in_cell(rows).sort_index().index.to_list() == [1, 2, 3]
    assert found.loc["B2", ["leads", "won"]].to_list() == [2, 1]
    assert found.loc["A1", ["leads", "won"]].to_list() == [1, 1]
    assert found["leads"].sum() == 3
    assert list(found.index) == list(CELLS)


def test_leads_without_times_are_counted_as_they_are() -> None:
    rows = seen(("a", 0, "A1", 1), ("b", 0, "A1", 0)).assign(as_of=pd.NaT)
    assert conversion(rows).loc["A1", ["leads", "won"]].to_list() == [2, 1]


def test_without_any_lead_there_is_no_share() -> None:
    found = conversion(seen())
    assert found["share"].isna().all()
    assert (found["leads"] == 0).all()


def test_few_leads_are_drawn_to_the_others_and_many_are_not() -> None:
    # 3 of 3 and 300 of 1000 say much the same about what is likely: far below 1, and near 0.3.
    found = shrunken([3, 300, 100, 120, 80], [3, 1000, 1000, 1000, 1000])
    assert found["share"][0] < 0.6
    assert found["share"][1] == pytest.approx(0.3, abs=0.01)
    assert found["high"][0] - found["low"][0] > found["high"][1] - found["low"][1]


def test_an_empty_cell_gets_what_all_have_in_common_and_a_wide_interval() -> None:
    found = shrunken([0, 20, 22, 18], [0, 200, 200, 200])
    assert found["share"][0] == pytest.approx(0.10, abs=0.03)
    assert found["high"][0] - found["low"][0] > found["high"][1] - found["low"][1]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=6))
def test_a_share_lies_within_its_interval_and_both_within_0_and_1(pairs: list[tuple[int, int]]) -> None:
    won, lost = (np.array(column) for column in zip(*pairs, strict=True))
    found = shrunken(won, won + lost)
    if (won + lost).sum():
        assert (found["low"] >= 0).all()
        assert (found["low"] <= found["share"] + 1e-6).all()
        assert (found["share"] <= found["high"] + 1e-6).all()
        assert (found["high"] <= 1).all()


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # 20 worlds of 16 cells of 40 leads, true shares drawn around 10 %: 288 of 320 would be 90 %, with a
    # standard deviation of 5; at the best guess of the spread alone fewer hold.
    rng = np.random.default_rng(1)
    held = []
    for _ in range(20):
        truth = rng.beta(2, 18, 16)
        found = shrunken(rng.binomial(40, truth), np.full(16, 40))
        held.append((found["low"] <= truth) & (truth <= found["high"]))
    assert 0.86 <= np.mean(held) <= 0.95


@pytest.mark.parametrize(
    ("cell", "propensity", "expected"),
    [
        ("D4", 0.30, ("call", None)),
        ("D4", 0.20, ("call", None)),  # at the cutoff
        ("A1", 0.19, ("nurture", "decision")),
        ("A2", 0.19, ("nurture", "consideration")),
        ("A3", 0.19, ("nurture", "awareness")),
        ("D4", 0.05, ("nurture", "awareness")),  # at the nurture level
        ("B4", 0.04, ("newsletter", None)),
        ("D2", 0.04, ("newsletter", None)),
        ("C3", 0.04, ("let_go", None)),
        ("D4", 0.04, ("let_go", None)),
        ("A1", float("nan"), (None, None)),
    ],
)
def test_what_to_do(cell: str, propensity: float, expected: tuple[str | None, str | None]) -> None:
    assert advice(cell, propensity, cutoff=0.2, nurture=0.05) == expected


def test_without_a_cutoff_nobody_is_called() -> None:
    assert advice("A1", 0.99, cutoff=None, nurture=0.05) == ("nurture", "decision")
