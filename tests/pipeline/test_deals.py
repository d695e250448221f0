"""Deals: what they brought, and what was known of their leads before they won."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from project import read, write_project

from pipeline.backtest.money import revenue
from pipeline.deals import amounts_before, segments_of, won_deals
from pipeline.source.dataset import Dataset

# b moves from 5 to 50 employees after winning; c has no amount, d a credit note.
LEADS = """
    lead_id, created_at,          industry
    a,       2024-01-01T00:00:00, retail
    b,       2024-01-01T00:00:00, software
    c,       2024-01-01T00:00:00,
    d,       2024-01-01T00:00:00, retail
    e,       2024-01-01T00:00:00, retail
"""
OUTCOMES = """
    lead_id, outcome, closed_at,           amount
    a,       won,     2024-02-01T00:00:00, 100
    b,       won,     2024-03-01T00:00:00, 300
    c,       won,     2024-03-02T00:00:00,
    d,       won,     2024-03-03T00:00:00, -50
    e,       lost,    2024-03-04T00:00:00, 900
"""
HISTORY = """
    lead_id, known_at,            job_title
    b,       2024-01-02T00:00:00, Assistant
    b,       2024-04-01T00:00:00, Director
"""
AMOUNT = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\namount = "amount"'


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    history = (
        '[[history]]\ntable = "history.csv"\nlead_id = "lead_id"\nknown_at = "known_at"\n'
        'attributes = ["job_title"]'
    )
    return read(
        write_project(
            tmp_path, leads=LEADS, outcomes=OUTCOMES, in_outcomes=AMOUNT, sections=history,
            files={"history.csv": HISTORY},
        )
    )  # fmt: skip


def test_won_deals_in_time_order_with_their_amounts(dataset: Dataset) -> None:
    found = won_deals(dataset)
    assert found is not None
    assert found["lead_id"].tolist() == ["a", "b", "c", "d"]
    assert found["amount"].fillna(0).tolist() == [100, 300, 0, -50]


def test_without_an_amount_in_the_configuration_there_are_none(tmp_path: Path) -> None:
    plain = read(write_project(tmp_path, leads=LEADS, outcomes=OUTCOMES))
    assert won_deals(plain) is None
    assert amounts_before(plain, pd.Timestamp("2025-01-01")) is None


def test_segments_are_what_was_known_strictly_before(dataset: Dataset) -> None:
    rows = pd.DataFrame(
        {"lead_id": ["b", "b", "a"], "as_of": pd.to_datetime(["2024-03-01", "2024-05-01", "2024-03-01"])}
    )
    found = segments_of(dataset, rows.set_axis([7, 8, 9]))
    assert found.index.tolist() == [7, 8, 9]
    assert found["industry"].tolist() == ["software", "software", "retail"]
    assert found["job_title"].tolist()[:2] == [2, 6]  # ranks: assistant, then director
    assert pd.isna(found.loc[9, "job_title"])


@pytest.mark.parametrize(
    ("moment", "deals", "mean"),
    [("2024-02-15", 1, 100.0), ("2024-06-01", 2, 200.0)],
)
def test_amounts_are_of_deals_won_before_without_credit_notes(
    dataset: Dataset, moment: str, deals: int, mean: float
) -> None:
    found = amounts_before(dataset, pd.Timestamp(moment))
    assert found is not None
    assert (found.deals, found.mean) == (deals, mean)


def test_nothing_won_yet_is_nothing_to_learn_from(dataset: Dataset) -> None:
    assert amounts_before(dataset, pd.Timestamp("2024-01-15")) is None


def test_revenue_of_the_open_leads_at_an_origin(dataset: Dataset) -> None:
    # Before 15 February one deal of 100 was won: b, c and e should bring half of that each. b and c win.
    open_leads = pd.DataFrame(
        {
            "lead_id": ["b", "c", "e"],
            "night": pd.Timestamp("2024-02-15"),
            "label": [1, 1, 0],
            "propensity": 0.5,
        }
    )
    assert revenue(dataset, open_leads) == {
        "expected": pytest.approx(150), "realised": 300.0, "without_amount": 1, "mean_amount": 100.0,
    }  # fmt: skip
