"""Contacts replayed: as many each night, no lead twice, and nobody knows the outcome beforehand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError
from models.operation import Nights, equal_contacts, fewer_calls, more_customers, with_quota

# Three nights. a converts within the horizon from night 1 on, b from night 2 on, c only after night 3,
# d and e never. e comes on night 2; a has won by night 3.
THREE_NIGHTS = """
    as_of lead_id label ours theirs
    1     a       1     0.9  10
    1     b       0     0.5  30
    1     c       0     0.2  20
    1     d       0     0.1  40
    2     a       1     0.9  10
    2     b       1     0.8  30
    2     c       0     0.2  60
    2     d       0     0.3  50
    2     e       0     0.6  70
    3     b       1     0.8  30
    3     c       1     0.7  20
    3     d       0     0.3  50
    3     e       0     0.6  70
"""


def rows_of(table: str) -> pd.DataFrame:
    rows = pd.read_csv(io.StringIO(table), sep=r"\s+")
    return rows.assign(group_id=rows["lead_id"])


def called(rows: pd.DataFrame, contacts: Any) -> list[str]:
    """Who is called when: ``1a`` is lead a on night 1."""
    return [f"{night}{lead}" for night, lead in rows.loc[contacts, ["as_of", "lead_id"]].to_numpy()]


def test_a_lead_is_contacted_at_its_first_crossing_and_never_again() -> None:
    rows = rows_of(THREE_NIGHTS)
    contacts = Nights(rows).first(rows["ours"] >= 0.6)
    # a on night 1; b only rises to 0.8 on night 2, when e comes with 0.6; c on night 3.
    assert called(rows, contacts) == ["1a", "2b", "2e", "3c"]
    assert Nights(rows).count(contacts) == {"contacts": 4, "customers": 3}


def test_every_policy_contacts_as_many_as_the_reference_does_each_night() -> None:
    rows = rows_of(THREE_NIGHTS)
    contacts = equal_contacts(
        Nights(rows), {"theirs": rows["theirs"], "ours": rows["ours"]}, "theirs", rows["theirs"] >= 40
    )
    # By their 40 points: d on night 1; c and e on night 2; nobody new on night 3.
    assert called(rows, contacts["theirs"]) == ["1d", "2c", "2e"]
    # The same numbers, 1, 2 and 0, of our best: a; then b and e (a was called before).
    assert called(rows, contacts["ours"]) == ["1a", "2b", "2e"]


def test_where_a_policy_has_nobody_left_the_others_wait_too() -> None:
    rows = rows_of("""
        as_of lead_id label ours theirs
        1     a       0     0    1
        1     b       0     1    0
        2     b       0     1    1
        3     a       0     0    0
        3     b       0     1    1
    """)
    scores = {"theirs": rows["theirs"], "ours": rows["ours"]}
    contacts = equal_contacts(Nights(rows), scores, "theirs", rows["theirs"] >= 1)
    # On night 2 they would call b, whom we called on night 1: nobody calls. On night 3 we have a.
    assert called(rows, contacts["theirs"]) == ["1a", "3b"]
    assert called(rows, contacts["ours"]) == ["1b", "3a"]


def test_more_customers_is_the_difference_of_conversions_after_contact() -> None:
    rows = rows_of(THREE_NIGHTS)
    nights = Nights(rows)
    contacts = equal_contacts(nights, {"theirs": rows["theirs"], "ours": rows["ours"]}, "theirs",
                              rows["theirs"] >= 40)  # fmt: skip
    # Ours: a and b convert. Theirs: d never does, c was called on night 2, more than a horizon too early.
    assert nights.count(contacts["ours"])["customers"] == 2
    assert nights.count(contacts["theirs"])["customers"] == 0
    found = more_customers(nights, contacts["ours"], contacts["theirs"])
    # Resampled, the sum is 2 of 5 leads worth one each: binomial(5, 0.4), 5 % to 95 %: 0 to 4.
    assert (found.value, found.low, found.high) == (2, 0, 4)


def test_fewer_calls_is_the_least_number_that_finds_as_many() -> None:
    # One night, ten leads in the order in which we call them: six calls, to a to f.
    rows = pd.DataFrame({"as_of": 1, "lead_id": list("abcdefghij"), "label": [1, 1, 1, 0, 0, 0, 1, 0, 0, 0]})
    rows = rows.assign(group_id=rows["lead_id"])
    nights, ours = Nights(rows), -np.arange(10.0)
    calls = with_quota(nights, ours, np.array([6]))
    for theirs, saved in (
        ("aefhij", 5),  # one customer, a: one call finds one
        ("abefhi", 4),  # two customers: two calls
        ("abcdef", 3),  # three: three
        ("abcghi", -1),  # four: it takes seven, one more than the six
    ):
        found = fewer_calls(nights, ours, calls, rows["lead_id"].isin(list(theirs)).to_numpy())
        assert found.value == saved, theirs


def test_where_no_number_of_calls_will_do_none_is_named() -> None:
    rows = pd.DataFrame({"as_of": 1, "lead_id": list("abcdef"), "label": [0, 0, 0, 0, 0, 1]})
    rows = rows.assign(group_id=rows["lead_id"])
    nights, ours = Nights(rows), -np.arange(6.0)
    calls, theirs = with_quota(nights, ours, np.array([2])), np.arange(6) == 5
    found = fewer_calls(nights, ours, calls, theirs)  # three calls, half as many again, reach c
    assert found.value is None
    assert found.low is None


def test_the_same_policy_is_no_better_than_itself() -> None:
    rows = rows_of(THREE_NIGHTS)
    nights = Nights(rows)
    calls = nights.first(rows["ours"] >= 0.6)
    found = more_customers(nights, calls, calls)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_leads_of_one_account_are_resampled_together() -> None:
    # Ten customers more, each a lead: alone they vary; all of one account, it is all of them or none.
    rows = pd.DataFrame({"as_of": 1, "lead_id": [f"l{i}" for i in range(40)]})
    rows = rows.assign(label=(rows.index < 10).astype(int))
    ours, theirs = (rows.index < 10), (rows.index >= 30)
    apart = more_customers(Nights(rows.assign(group_id=rows["lead_id"])), ours, theirs)
    account = rows["lead_id"].where(rows.index >= 10, "one account")
    together = more_customers(Nights(rows.assign(group_id=account)), ours, theirs)
    assert apart.value == together.value == 10
    assert apart.low >= 5
    assert together.low == 0
    assert together.high > apart.high


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.drop(columns="group_id"), "lack group_id"),
        (lambda rows: pd.concat([rows, rows.head(1)]), "cannot be counted"),
        (lambda rows: rows.assign(label=2), "cannot be counted"),
    ],
)
def test_nights_that_cannot_be_counted_are_refused(change: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Nights(change(rows_of(THREE_NIGHTS)))


@st.composite
def histories(draw: st.DrawFn) -> pd.DataFrame:
    """A few nights on which leads come and go, with tied scores."""
    rows = [
        {
            "as_of": night,
            "lead_id": f"lead {lead}",
            "group_id": f"group {lead // 2}",
            "label": draw(st.integers(0, 1)),
            "ours": draw(st.integers(0, 4)),
            "theirs": draw(st.integers(0, 4)),
        }
        for night in range(draw(st.integers(1, 5)))
        for lead in range(7)
        if draw(st.booleans())
    ]
    return pd.DataFrame(rows, columns=["as_of", "lead_id", "group_id", "label", "ours", "theirs"]).sample(
        frac=1, random_state=draw(st.integers(0, 9))
    )


def by_hand(rows: pd.DataFrame, names: list[str], passes: int) -> dict[str, set[tuple[int, str]]]:
    """The replay again, lead by lead in plain Python; ties as the draw of the name has them."""
    tie = dict(zip(rows["lead_id"], Nights(rows).tie, strict=True))
    contacted: dict[str, set[str]] = {name: set() for name in names}
    found: dict[str, set[tuple[int, str]]] = {name: set() for name in names}
    for night in sorted(set(rows["as_of"])):
        tonight = rows[rows["as_of"] == night].to_dict("records")
        free = {n: [r for r in tonight if r["lead_id"] not in contacted[n]] for n in names}
        wish = sum(r["theirs"] >= passes for r in free["theirs"])
        number = min([wish, *(len(of) for of in free.values())])
        for name in names:
            best = sorted(free[name], key=lambda r: (-r[name], tie[r["lead_id"]]))[:number]
            contacted[name] |= {r["lead_id"] for r in best}
            found[name] |= {(night, r["lead_id"]) for r in best}
    return found


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 5))
def test_the_replay_is_what_plain_python_finds(rows: pd.DataFrame, passes: int) -> None:
    if rows.empty:
        return
    nights = Nights(rows)
    contacts = equal_contacts(
        nights, {"theirs": rows["theirs"], "ours": rows["ours"]}, "theirs", rows["theirs"] >= passes
    )
    oracle = by_hand(rows, ["theirs", "ours"], passes)
    for name, flags in contacts.items():
        chosen = rows[flags]
        assert set(zip(chosen["as_of"], chosen["lead_id"], strict=True)) == oracle[name]
        assert not chosen["lead_id"].duplicated().any()
    assert (nights.by_night(contacts["ours"]) == nights.by_night(contacts["theirs"])).all()


@settings(max_examples=40, deadline=None)
@given(histories(), st.integers(0, 4))
def test_no_choice_depends_on_what_happened_later(rows: pd.DataFrame, passes: int) -> None:
    if rows.empty:
        return
    chosen = []
    for label in (rows["label"], 1 - rows["label"]):
        nights = Nights(rows.assign(label=label))
        scores = {"theirs": rows["theirs"], "ours": rows["ours"]}
        chosen.append(equal_contacts(nights, scores, "theirs", rows["theirs"] >= passes))
    for name in chosen[0]:
        assert (chosen[0][name] == chosen[1][name]).all()


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 5))
def test_under_a_threshold_the_first_crossing_is_what_plain_python_finds(
    rows: pd.DataFrame, passes: int
) -> None:
    if rows.empty:
        return
    flags = Nights(rows).first(rows["ours"] >= passes)
    above = rows[rows["ours"] >= passes]
    assert set(zip(rows.loc[flags, "as_of"], rows.loc[flags, "lead_id"], strict=True)) == {
        (min(of["as_of"]), lead) for lead, of in above.groupby("lead_id")
    }


def test_foresight_calls_the_one_who_is_about_to_be_lost_first() -> None:
    rows = rows_of(THREE_NIGHTS)
    nights = Nights(rows)
    contacts = with_quota(nights, nights.foresight(), np.array([1, 1, 1]))
    # a has two nights left on night 1, and is taken; then b or c: b converts on both that are left.
    assert nights.count(contacts) == {"contacts": 3, "customers": 3}


def test_ties_are_broken_by_neither_order_nor_name() -> None:
    rows = pd.DataFrame({"as_of": 1, "lead_id": [f"{i:04d}" for i in range(1000)], "label": 0})
    nights = Nights(rows.assign(group_id=rows["lead_id"]))
    chosen = np.flatnonzero(with_quota(nights, np.zeros(1000), np.array([500])))
    # 500 of 1,000 drawn evenly: their mean place is 499.5 with a standard deviation of 9.1.
    assert abs(chosen.mean() - 499.5) < 40
