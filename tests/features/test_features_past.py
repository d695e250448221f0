"""Only the past: nothing known at or after `as_of` can change a feature."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandas as pd
import pyarrow as pa
import pytest
from canonical import ACTIVITY, SNAPSHOT, STAMP, activities, bpic2012, column, leads, snapshots, table
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.compute import frame
from features.past import Past
from features.settings import FeatureSettings
from features.tables import Attribute, Tables
from features.vocabulary import Vocabulary, learn

NOON = datetime(2024, 3, 30, 12)
EVERYTHING = FeatureSettings(
    windows_days=(1, 7), half_lives_days=(7.0,), min_kind_leads=1, min_category_leads=1
)
VERSION = pa.schema(
    [("lead_id", pa.string()), ("known_at", STAMP), ("industry", pa.string()), ("size", pa.string())]
)
LEADS = leads("""
    lead_id | created_at | email_domain | plan
    a       | 2024-03-01 | gmail.com    | trial
    b       | 2024-03-29 | siemens.com  | -
""")
ATTRIBUTES = (
    Attribute("plan", "category"),
    Attribute("industry", "category", origin="history"),
    Attribute("size", "size", origin="history"),
)
# Lead a is seen twice and lead b in between.
SNAPSHOTS = table(
    [
        {"snapshot": number, "lead_id": lead, "as_of": at, "as_of_local": at}
        for number, lead, at in (
            (0, "a", NOON),
            (1, "b", NOON + timedelta(hours=12)),
            (2, "a", NOON + timedelta(hours=24)),
        )
    ],
    SNAPSHOT,
)


def hour(number: int) -> datetime:
    return NOON + timedelta(hours=number)


def activity_row(
    lead: str, known: int, delay: int, kind: str, actor: str, asset: str | None, value: float | None
) -> dict:
    at = hour(known - delay)
    return {
        "lead_id": lead,
        "occurred_at": at,
        "known_at": hour(known),
        "occurred_local": at,
        "kind": kind,
        "actor": actor,
        "asset": asset,
        "channel": asset and asset.upper(),
        "value": value,
    }


# Whole hours, so that rows fall exactly on an as_of (hours 0, 12 and 24) often.
hours = st.one_of(st.integers(-40, 30), st.sampled_from([-1, 0, 1, 12, 24]))
lead_ids = st.sampled_from(["a", "b"])
activity_rows = st.builds(
    activity_row,
    lead_ids,
    hours,
    st.sampled_from([0, 0, 1, 30]),
    st.sampled_from(["page", 'form, "é"', "rare"]),
    st.sampled_from(["lead", "marketing"]),
    st.sampled_from([None, "p", "q"]),
    st.sampled_from([None, 1.5, float("nan")]),
)
version_rows = st.builds(
    lambda lead, known, industry, size: {
        "lead_id": lead,
        "known_at": hour(known),
        "industry": industry,
        "size": size,
    },
    lead_ids,
    hours,
    st.sampled_from([None, "steel", "food", "unheard of"]),
    st.sampled_from([None, "11-50", "1,000+"]),
)
activity_lists = st.lists(activity_rows, max_size=12)
version_lists = st.lists(version_rows, max_size=4)


def past_of(activity_list: list[dict], version_list: list[dict]) -> Past:
    tables = Tables(LEADS, table(activity_list, ACTIVITY), (table(version_list, VERSION),), ATTRIBUTES)
    return Past(tables, SNAPSHOTS)


def some_vocabulary() -> Vocabulary:
    rows = [
        activity_row(lead, -known, 0, kind, "lead", asset, 1.0)
        for lead in "ab"
        for known, kind, asset in ((1, "page", "p"), (2, 'form, "é"', "q"), (3, "page", "q"))
    ]
    versions = [
        {"lead_id": "a", "known_at": hour(-9), "industry": "steel", "size": "11-50"},
        {"lead_id": "b", "known_at": hour(-9), "industry": "food", "size": None},
    ]
    return learn(past_of(rows, versions), EVERYTHING)


VOCABULARY = some_vocabulary()


@given(
    base=st.tuples(activity_lists, version_lists),
    later=st.tuples(activity_lists, version_lists),
    cut=st.sampled_from([0, 12, 24]),
)
# An example takes half a second, so that shrinking a failure would take minutes.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_no_row_known_at_or_after_as_of_changes_a_feature(
    base: tuple[list[dict], list[dict]], later: tuple[list[dict], list[dict]], cut: int
) -> None:
    """Replace all that is known from the cut on, of both leads: snapshots up to the cut stay the same."""

    def rewritten(rows: list[dict], other: list[dict]) -> list[dict]:
        before = [row for row in rows if row["known_at"] < hour(cut)]
        return [row for row in other if row["known_at"] >= hour(cut)] + before[::-1]

    one = frame(past_of(*base), VOCABULARY)
    two = frame(past_of(rewritten(base[0], later[0]), rewritten(base[1], later[1])), VOCABULARY)
    upto = [number for number, at in ((0, 0), (1, 12), (2, 24)) if at <= cut]
    pd.testing.assert_frame_equal(one.loc[upto], two.loc[upto], check_exact=True)


def test_the_boundary_is_strict() -> None:
    acts = activities("""
        lead_id | occurred_at                | kind | known_at
        a       | 2024-03-30T11:59:59.999999 | page | -
        a       | 2024-03-30T12:00:00        | page | -
        a       | 2024-03-30T11:00:00        | page | 2024-03-30T12:00:00
    """)
    seen = snapshots("""
        snapshot | lead_id | as_of
        0        | a       | 2024-03-30T12:00:00
        1        | a       | 2024-03-30T12:00:00.000001
    """)
    past = Past(Tables(LEADS, acts, (), ATTRIBUTES[:1]), seen)
    counts = frame(past, learn(past, EVERYTHING))["activity.page.count"]
    # at 12:00 sharp: only the first; a microsecond later: all three
    assert counts.to_dict() == {0: 1.0, 1: 3.0}


def test_a_version_counts_from_just_after_it_was_known() -> None:
    versions = [
        {"lead_id": "a", "known_at": hour(-5), "industry": "food", "size": None},
        {"lead_id": "a", "known_at": hour(0), "industry": "steel", "size": None},
    ]
    past = past_of([], versions)
    # snapshot 0 is at hour 0, when "steel" becomes known; b has no version at all
    assert column(past.attributes, "attribute.industry") == {0: "food", 1: None, 2: "steel"}


def test_feature_code_gets_ages_and_never_a_date() -> None:
    past = past_of([], [])
    assert not hasattr(past, "__dict__")
    for name in Past.__slots__:
        part = getattr(past, name)
        if isinstance(part, ibis.Table):
            assert not [
                n for n, t in part.schema().items() if isinstance(t, dt.Timestamp | dt.Date | dt.Time)
            ]


@pytest.mark.real_data
def test_truncating_each_application_at_as_of_changes_nothing(real_data: Path) -> None:
    tables, seen = bpic2012(real_data)
    vocabulary = learn(Past(tables, seen), FeatureSettings())
    whole = frame(Past(tables, seen), vocabulary)
    # Each snapshot of a lead needs its own truncation, so each becomes a lead of its own.
    own = seen.mutate(lead_id=seen.snapshot.cast("string"))
    cut = tables.activities.join(seen, "lead_id")
    cut = cut.filter(cut.known_at < cut.as_of).mutate(lead_id=cut.snapshot.cast("string"))
    split = tables.leads.join(seen, "lead_id")
    split = split.mutate(lead_id=split.snapshot.cast("string"))
    truncated = Tables(
        split.select(*tables.leads.columns), cut.select(*tables.activities.columns), (), tables.attributes
    )
    assert whole["overall.count"].sum() < tables.activities.count().to_pyarrow().as_py() * 4
    pd.testing.assert_frame_equal(whole, frame(Past(truncated, own), vocabulary), check_exact=True)
