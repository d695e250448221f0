"""Comments on outcomes: read where they are named, no attribute of the lead, and those of the real end."""

from __future__ import annotations

import pandas as pd
import pytest
from project import read, rows, write_project

from features.errors import DataError
from pipeline.hygiene.merging import merged_outcomes

TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
OUTCOMES = """
    lead_id, outcome, closed_at,           note
    a,       won,     2024-01-10T00:00:00,
    b,       lost,    2024-01-20T00:00:00, price too high
"""


def test_a_comment_is_read_where_its_column_is_named(tmp_path):
    dataset = read(write_project(tmp_path, outcomes=OUTCOMES, in_outcomes=TABLE + 'comment = "note"'))
    assert rows(dataset.outcomes, "lead_id", "comment") == [("a", None), ("b", "price too high")]


def test_without_a_name_there_are_none(tmp_path):
    dataset = read(write_project(tmp_path, outcomes=OUTCOMES))
    assert rows(dataset.outcomes, "comment") == [(None,), (None,)]


def test_a_column_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="notes"):
        read(write_project(tmp_path, outcomes=OUTCOMES, in_outcomes=TABLE + 'comment = "notes"'))


def test_a_comment_in_the_leads_table_is_no_attribute(tmp_path):
    leads = """
        lead_id, created_at,          status, closed,              plan, note
        a,       2024-01-01T00:00:00, won,    2024-01-10T00:00:00, gold,
        b,       2024-01-01T00:00:00, lost,   2024-01-20T00:00:00, tin,  price
        c,       2024-01-01T00:00:00, open,   ,                    gold, price
    """
    dataset = read(
        write_project(
            tmp_path, leads=leads, outcomes=None,
            in_outcomes='outcome = "status"\nclosed_at = "closed"\ncomment = "note"',
        )
    )  # fmt: skip
    assert [a.name for a in dataset.tables.attributes] == ["plan"]
    assert rows(dataset.outcomes, "lead_id", "comment") == [("a", None), ("b", "price")]


def test_outcomes_in_the_log_have_no_comment(tmp_path):
    dataset = read(
        write_project(tmp_path, outcomes=None, in_outcomes='from_activities = { won = ["visit"] }')
    )
    assert rows(dataset.outcomes, "comment") == [(None,), (None,)]


def test_a_person_keeps_the_comment_of_the_real_end():
    # b is closed as a duplicate after a was lost: the person was lost, for what was written of a.
    outcomes = pd.DataFrame(
        {
            "lead_id": ["a", "b"],
            "outcome": ["lost", "disqualified"],
            "closed_at": pd.to_datetime(["2024-01-05", "2024-01-07"]),
            "reason": ["budget", "duplicate"],
            "comment": ["too expensive", "same as a"],
        }
    )
    born = pd.to_datetime(["2024-01-01", "2024-01-02"])
    records = pd.DataFrame({"lead_id": ["a", "b"], "survivor_id": "a", "created_at": born})
    found = merged_outcomes(outcomes, records, ["duplicate"])
    assert found[["lead_id", "reason", "comment"]].to_numpy().tolist() == [["a", "budget", "too expensive"]]
