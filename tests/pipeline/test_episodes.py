"""Episodes: from a lead's creation, or its return, to an outcome; and when it is open."""

from __future__ import annotations

from datetime import datetime

import pytest
from project import read, rows, write_project

from pipeline.preparation import at_moment
from pipeline.snapshots import episodes

ONE = "lead_id, created_at\na, 2024-01-01T00:00:00"
AND_ANOTHER = ONE + "\nz, 2024-01-01T00:00:00"
COLUMNS = ("episode", "opened_at", "closed_at", "outcome")
TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
# Lost on the 10th, back on the 20th, won on the 30th.
LOST_THEN_WON = """
    lead_id, outcome, closed_at
    a,       lost,    2024-01-10T00:00:00
    a,       won,     2024-01-30T00:00:00
"""
BACK = """
    lead_id, occurred_at,         kind,  actor
    a,       2024-01-05T00:00:00, visit, lead
    a,       2024-01-15T00:00:00, email, marketing
    a,       2024-01-20T00:00:00, visit, lead
"""


def of(path, *columns: str) -> list[tuple]:
    return rows(episodes(read(path)), *(columns or COLUMNS))


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("first", [(1, "2024-01-01", "2024-01-10", "lost", None)]),
        # A mailing is not a return: the second opens with the lead's own visit.
        ("latest", [(2, "2024-01-20", "2024-01-30", "won", "2024-01-30")]),
        (
            "all",
            [
                (1, "2024-01-01", "2024-01-10", "lost", "2024-01-30"),
                (2, "2024-01-20", "2024-01-30", "won", "2024-01-30"),
            ],
        ),
    ],
)
def test_first_latest_or_all(tmp_path, which, expected):
    path = write_project(
        tmp_path, leads=ONE, activities=BACK, outcomes=LOST_THEN_WON,
        in_outcomes=TABLE + f'episodes = "{which}"',
    )  # fmt: skip
    assert of(path, *COLUMNS, "won_at") == expected


def test_a_win_that_sales_brought_back_counts_though_nothing_opened_its_episode(tmp_path):
    path = write_project(
        tmp_path, leads=AND_ANOTHER, activities=None, outcomes=LOST_THEN_WON,
        in_outcomes=TABLE + 'episodes = "all"',
    )  # fmt: skip
    assert of(path, "lead_id", *COLUMNS, "won_at") == [
        ("a", 1, "2024-01-01", "2024-01-10", "lost", "2024-01-30"),
        ("z", 1, "2024-01-01", None, None, None),
    ]


def test_a_lead_that_came_back_and_is_open_still(tmp_path):
    path = write_project(
        tmp_path, leads=ONE, activities=BACK, in_outcomes=TABLE + 'episodes = "all"',
        outcomes="lead_id, outcome, closed_at\na, lost, 2024-01-10T00:00:00",
    )  # fmt: skip
    assert of(path) == [(1, "2024-01-01", "2024-01-10", "lost"), (2, "2024-01-20", None, None)]


def test_a_win_ends_it_for_good(tmp_path):
    # Won on the 10th; the visit of the 20th and the loss of the 30th are a customer's.
    path = write_project(
        tmp_path, leads=ONE, activities=BACK, in_outcomes=TABLE + 'episodes = "all"',
        outcomes=LOST_THEN_WON.replace("lost", "WON_").replace("won", "lost").replace("WON_", "won"),
    )  # fmt: skip
    assert of(path) == [(1, "2024-01-01", "2024-01-10", "won")]


def test_of_two_outcomes_on_one_day_the_win_stands(tmp_path):
    path = write_project(
        tmp_path, leads=ONE, activities=None,
        outcomes="lead_id, outcome, closed_at\na, lost, 2024-01-10\na, won, 2024-01-10",
    )  # fmt: skip
    assert of(path) == [(1, "2024-01-01", "2024-01-11", "won")]


def test_disqualified_is_an_outcome_except_for_reasons_that_make_it_no_lead(tmp_path):
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\n" + "\n".join(f"{x}, 2024-01-01T00:00:00" for x in "abcd"),
        activities=None,
        outcomes="""
            lead_id, outcome,      closed_at,           reason
            a,       disqualified, 2024-01-10T00:00:00, no budget
            b,       disqualified, 2024-01-10T00:00:00, Spam
            c,       disqualified, 2024-01-10T00:00:00,
            d,       lost,         2024-01-10T00:00:00, spam
        """,
        in_outcomes=TABLE + 'reason = "reason"',
    )
    assert of(path, "lead_id", "outcome") == [
        ("a", "disqualified"), ("b", "excluded"), ("c", "disqualified"), ("d", "lost"),
    ]  # fmt: skip
    dataset = read(path)
    # That b was spam is known from the 10th on: before, it is scored like the others.
    assert set(at_moment(dataset, datetime(2024, 1, 5))[1]["lead_id"]) == {"a", "b", "c", "d"}


def test_outcomes_from_activity_kinds_are_no_features_and_open_nothing(tmp_path):
    path = write_project(
        tmp_path,
        leads=ONE,
        activities="""
            lead_id, occurred_at,         kind,     actor
            a,       2024-01-02T00:00:00, visit,    lead
            a,       2024-01-10T00:00:00, declined, lead
            a,       2024-01-12T00:00:00, archived, lead
        """,
        in_outcomes="""
            from_activities = { lost = ["declined"] }
            activity_kinds = ["archived"]
            episodes = "all"
        """,
    )
    assert of(path) == [(1, "2024-01-01", "2024-01-10", "lost")]
    dataset = read(path)
    assert rows(dataset.tables.activities, "kind") == [("visit",)]
    assert rows(dataset.activities_all, "kind") == [("archived",), ("declined",), ("visit",)]


def test_outcomes_from_columns_of_the_leads_table(tmp_path):
    path = write_project(
        tmp_path,
        leads="""
            lead_id, created_at,          status,  closed,              reason
            a,       2024-01-01T00:00:00, Gewonnen, 2024-01-10T00:00:00, price
            b,       2024-01-01T00:00:00, Neu,      ,
            c,       2024-01-01T00:00:00, ,         ,
        """,
        activities=None,
        outcomes=None,
        in_outcomes='outcome = "status"\nclosed_at = "closed"\nreason = "reason"\n'
        'values = { won = ["gewonnen"], open = ["Neu"] }',
    )
    dataset = read(path)
    assert rows(dataset.outcomes, "lead_id", "outcome", "reason") == [("a", "won", "price")]
    # What says how it ended is no attribute.
    assert dataset.tables.attributes == ()


def test_a_table_of_wins_alone(tmp_path):
    path = write_project(
        tmp_path, outcomes="lead_id, won_at\nb, 2024-01-09T00:00:00",
        in_outcomes='table = "outcomes.csv"\noutcome_is = "won"\nclosed_at = "won_at"',
    )  # fmt: skip
    assert rows(read(path).outcomes, "lead_id", "outcome") == [("b", "won")]


def open_at(path, *moment: int) -> set[str]:
    """Leads that are open at a moment of 2024 and not with sales."""
    keys = at_moment(read(path), datetime(2024, *moment))[1]
    return set(keys.loc[~keys["handed_over"], "lead_id"])


def test_a_lead_is_open_until_it_is_known_to_be_closed(tmp_path):
    path = write_project(
        tmp_path, leads=AND_ANOTHER, activities=None,
        outcomes="lead_id, outcome, closed_at\na, lost, 2024-01-10T12:00:00",
    )  # fmt: skip
    assert open_at(path, 1, 1) == set()  # created at this very moment: not known before it
    assert open_at(path, 1, 1, 0, 1) == {"a", "z"}
    assert open_at(path, 1, 10, 12) == {"a", "z"}  # closed at this very moment
    assert open_at(path, 1, 10, 12, 1) == {"z"}


def test_an_existing_customer_is_not_a_lead(tmp_path):
    path = write_project(
        tmp_path,
        leads="""
            lead_id, created_at,          since
            old,     2024-01-01T00:00:00, 2020-01-01T00:00:00
            later,   2024-01-01T00:00:00, 2024-01-05T00:00:00
            never,   2024-01-01T00:00:00,
        """,
        activities=None,
        outcomes="lead_id, outcome, closed_at\nnever, open,",
        in_leads='customer_since = "since"',
    )
    assert open_at(path, 1, 5) == {"later", "never"}
    assert open_at(path, 1, 6) == {"never"}


WITH_SALES = """
    lead_id, occurred_at,         kind,  actor
    a,       2024-01-02T00:00:00, visit, lead
    a,       2024-01-05T00:00:00, call,  sales
    a,       2024-01-06T00:00:00, visit, lead
"""


def test_the_hand_over_ends_the_snapshots_and_hides_what_sales_does(tmp_path):
    path = write_project(
        tmp_path, leads=AND_ANOTHER, activities=WITH_SALES, outcomes="lead_id, outcome, closed_at\nz, open,"
    )
    assert open_at(path, 1, 5) == {"a", "z"}  # called at this very moment
    assert open_at(path, 1, 6) == {"z"}
    dataset = read(path)
    assert {kind for (kind,) in rows(dataset.tables.activities, "kind")} == {"visit"}
    keys = at_moment(dataset, datetime(2024, 1, 6))[1]
    assert dict(zip(keys["lead_id"], keys["handed_over"], strict=True)) == {"a": True, "z": False}


def test_the_hand_over_may_be_ignored(tmp_path):
    path = write_project(
        tmp_path, leads=AND_ANOTHER, activities=WITH_SALES, outcomes="lead_id, outcome, closed_at\nz, open,",
        sections="[snapshots]\nend_at_handover = false",
    )  # fmt: skip
    assert open_at(path, 1, 6) == {"a", "z"}
    assert ("call",) in rows(read(path).tables.activities, "kind")


def test_each_episode_has_its_own_hand_over(tmp_path):
    path = write_project(
        tmp_path, leads=ONE, outcomes="lead_id, outcome, closed_at\na, lost, 2024-01-10T00:00:00",
        activities=BACK + "    a, 2024-01-05T00:00:00, call, sales\n", in_outcomes=TABLE + 'episodes = "all"',
    )  # fmt: skip
    assert of(path, "episode", "handed_at") == [(1, "2024-01-05"), (2, None)]
    assert open_at(path, 1, 6) == set()
    assert open_at(path, 1, 21) == {"a"}


def test_silence_closes_a_lead_judged_by_the_past_alone(tmp_path):
    # Visits on the 5th and on the 30th; after ten days without a sign a lead counts as closed.
    path = write_project(
        tmp_path,
        leads=ONE,
        activities="""
            lead_id, occurred_at,         kind,  actor
            a,       2024-01-05T00:00:00, visit, lead
            a,       2024-01-12T00:00:00, email, marketing
            a,       2024-01-30T00:00:00, visit, lead
        """,
        outcomes="lead_id, outcome, closed_at\na, open,",
        in_outcomes=TABLE + 'stale_after = "10d"',
    )
    assert open_at(path, 1, 4) == {"a"}  # created three days ago
    assert open_at(path, 1, 15) == {"a"}  # ten days after the visit, and a mailing is no sign of life
    assert open_at(path, 1, 15, 0, 1) == set()
    assert open_at(path, 1, 30) == set()  # back at this very moment: not known before it
    assert open_at(path, 1, 31) == {"a"}


def test_leads_of_one_account_are_one_group_and_a_lead_without_one_is_its_own(tmp_path):
    # Lead x has no account, and nothing to do with the account that is called x.
    path = write_project(
        tmp_path,
        leads="""
            lead_id, created_at,          company
            a,       2024-01-01T00:00:00, x
            b,       2024-01-01T00:00:00, x
            x,       2024-01-01T00:00:00,
            y,       2024-01-01T00:00:00,
        """,
        activities=None,
        outcomes="lead_id, outcome, closed_at\na, open,",
        in_leads='account = "company"',
    )
    groups = dict(of(path, "lead_id", "group_id"))
    assert groups["a"] == groups["b"]
    assert len(set(groups.values())) == 3
    assert None not in groups.values()
