"""Snapshots: at ages or on dates, only matured ones, labelled by the horizon and nothing else."""

from __future__ import annotations

from datetime import datetime

import pytest
from project import read, rows, write_project

from pipeline import snapshots as snap
from pipeline.preparation import building_snapshots

LEADS = """
    lead_id, created_at
    a,       2024-01-01T00:00:00
    b,       2024-01-01T00:00:00
    c,       2024-01-01T00:00:00
"""
TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'


def labels(tmp_path, outcomes: str, snapshots: str, until: str = "2024-03-01T00:00:00Z", **more):
    """(lead, as_of, label) of all matured snapshots taken while their leads were open."""
    path = write_project(
        tmp_path, leads=more.pop("leads", LEADS), activities=more.pop("activities", None),
        outcomes="lead_id, outcome, closed_at\n" + outcomes,
        in_outcomes=TABLE + f"observed_until = {until}\n" + more.pop("in_outcomes", ""),
        sections="[snapshots]\n" + snapshots,
    )  # fmt: skip
    dataset = read(path)
    seen = building_snapshots(dataset, snap.episodes(dataset))
    return rows(snap.matured(dataset, snap.while_open(dataset, seen)), "lead_id", "as_of", "label")


def test_at_ages_while_open_labelled_by_a_win_within_the_horizon(tmp_path):
    # Horizon 10 days. Seen at 1 d = 2 January (a win until 12 January, not included) and 7 d = 8 January
    # (until 18 January). a wins on the 15th: not within the first, within the second.
    # b loses on the 5th: seen once, 0. c stays open: seen twice, 0.
    found = labels(
        tmp_path, "a, won, 2024-01-15T00:00:00\nb, lost, 2024-01-05T00:00:00",
        'horizon = "10d"\nages = ["1d", "7d"]',
    )  # fmt: skip
    assert found == [
        ("a", "2024-01-02", 0),
        ("a", "2024-01-08", 1),
        ("b", "2024-01-02", 0),
        ("c", "2024-01-02", 0),
        ("c", "2024-01-08", 0),
    ]


@pytest.mark.parametrize(
    ("won_at", "label"),
    [
        ("2024-01-01T23:59:59", None),  # before 2 January: no longer open then
        ("2024-01-02T00:00:00", 1),  # at as_of itself: not known before it, so open, and it counts
        ("2024-01-11T23:59:59", 1),
        ("2024-01-12T00:00:00", 0),  # at as_of + horizon: no longer within
    ],
)
def test_the_edges_of_the_horizon(tmp_path, won_at, label):
    found = labels(tmp_path, f"a, won, {won_at}", 'horizon = "10d"\nages = ["1d"]')
    assert [row[2] for row in found if row[0] == "a"] == ([] if label is None else [label])


@pytest.mark.parametrize(("until", "matured"), [("2024-01-12T00:00:00Z", 3), ("2024-01-11T23:59:59Z", 0)])
def test_matured_is_a_horizon_that_has_passed(tmp_path, until, matured):
    # Seen on 2 January; ten days later is the 12th, which has to be observed, itself not included.
    assert len(labels(tmp_path, "a, open,", 'horizon = "10d"\nages = ["1d"]', until)) == matured


def test_a_fast_win_does_not_mature_early(tmp_path):
    # a is won one day after it was seen, b and c are not known yet. Taking a and leaving b and c
    # would make a rate of 100 %.
    found = labels(
        tmp_path, "a, won, 2024-01-03T00:00:00", 'horizon = "10d"\nages = ["1d"]', "2024-01-11T00:00:00Z"
    )
    assert found == []


def test_on_calendar_dates_in_the_projects_zone(tmp_path):
    # The 1st is the very moment of creation, not after it; b is lost before the second date.
    found = labels(
        tmp_path, "b, lost, 2024-01-09T00:00:00",
        'horizon = "10d"\ncalendar = [2024-01-01, 2024-01-08, 2024-01-15T00:00:00+01:00]',
    )  # fmt: skip
    assert found == [
        ("a", "2024-01-08", 0),
        ("a", "2024-01-14 23:00", 0),
        ("b", "2024-01-08", 0),
        ("c", "2024-01-08", 0),
        ("c", "2024-01-14 23:00", 0),
    ]


def test_a_second_episode_is_seen_at_its_own_ages(tmp_path):
    # Lost on the 3rd, back on the 10th, won on the 14th: seen on the 2nd (a win 12 days later, not
    # within 10) and on the 11th (3 days later).
    found = labels(
        tmp_path, "a, lost, 2024-01-03T00:00:00\na, won, 2024-01-14T00:00:00",
        'horizon = "10d"\nages = ["1d"]', leads="lead_id, created_at\na, 2024-01-01T00:00:00",
        activities="lead_id, occurred_at, kind, actor\na, 2024-01-10T00:00:00, visit, lead",
        in_outcomes='episodes = "all"',
    )  # fmt: skip
    assert found == [("a", "2024-01-02", 0), ("a", "2024-01-11", 1)]


def test_disqualified_counts_as_not_won(tmp_path):
    found = labels(tmp_path, "a, disqualified, 2024-01-15T00:00:00", 'horizon = "10d"\nages = ["1d"]')
    assert ("a", "2024-01-02", 0) in found


def test_snapshots_are_numbered_in_the_order_of_their_key(tmp_path):
    dataset = read(write_project(tmp_path, leads=LEADS))
    spans = snap.episodes(dataset)
    seen = snap.at_dates(dataset, spans, [datetime(2024, 2, 1), datetime(2024, 1, 5)])
    keys = snap.keys(snap.numbered(dataset, seen))
    assert keys.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert keys["lead_id"].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert keys["as_of"].dt.day.tolist() == [5, 1, 5, 1, 5, 1]
