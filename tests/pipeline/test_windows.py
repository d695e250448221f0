"""The windows: in time order, apart from each other, and drawn without a look at the outcome."""

from __future__ import annotations

import itertools
from dataclasses import astuple
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UnsupportedData
from pipeline.windows import (
    BUILDING,
    CALENDAR,
    NEEDED,
    Bounds,
    assign_by_group,
    assign_by_position,
    assign_by_time,
    bounds_at,
    check_enough,
    draw,
    drawn,
    summarise,
    time_bounds,
)

DAY = timedelta(days=1)
START = pd.Timestamp("2024-01-01")
FREE = dict.fromkeys(("train_from", "calibration_from", "decision_from", "test_from", "test_until"))
# Train from day 0, its last slice from 40, calibration from 50, decision from 70 to 80, embargo of
# 20 days, test from 100 to 120.
BOUNDS = Bounds(*(START + d * DAY for d in (0, 40, 50, 70, 80, 100, 120)))


def on_days(*days: float) -> pd.Series:
    return pd.Series([START + d * DAY for d in days])


@pytest.mark.parametrize(
    ("day", "window"),
    [(-1, ""), (0, "train"), (39.9, "train"), (40, "stopping"), (50, "calibration"), (70, "decision"),
     (80, "decision"), (80.01, ""), (99.9, ""), (100, "test"), (120, "test"), (120.01, "")],
)  # fmt: skip
def test_where_a_moment_lies(day, window):
    # The embargo lets in as_of + 20 d <= day 100: day 80 itself, nothing later.
    assert BOUNDS.of(on_days(day)).tolist() == [window]


@st.composite
def projects(draw_from):
    """Groups with a creation, closed some time later, seen at ages while open."""
    days = st.floats(0, 200, allow_nan=False)
    groups = draw_from(st.lists(st.tuples(days, days), min_size=30, max_size=80))
    ages = draw_from(st.lists(st.integers(0, 40), min_size=1, max_size=4, unique=True))
    horizon = draw_from(st.integers(1, 40))
    return groups, ages, timedelta(days=horizon)


def schedules(groups, ages) -> pd.DataFrame:
    found = [
        (f"lead {i}", START + (created + age) * DAY) for i, (created, _) in enumerate(groups) for age in ages
    ]
    return pd.DataFrame(found, columns=["group_id", "as_of"])


def while_open(groups, scheduled: pd.DataFrame) -> pd.DataFrame:
    """What is seen of the groups, at an age and, at the same moments, on the scoring calendar."""
    closed = {f"lead {i}": START + (created + lasted) * DAY for i, (created, lasted) in enumerate(groups)}
    seen = scheduled[scheduled["as_of"] <= scheduled["group_id"].map(closed)]
    return pd.concat([seen.assign(age="1d"), seen.assign(age=CALENDAR)], ignore_index=True)


@settings(max_examples=60, deadline=None)
@given(projects())
def test_windows_follow_each_other_are_matured_and_hold_disjoint_groups(project):
    groups, ages, horizon = project
    observed = (START + 240 * DAY).to_pydatetime()
    scheduled = schedules(groups, ages)
    keys = while_open(groups, scheduled)
    keys = keys[keys["as_of"] + horizon <= observed].reset_index(drop=True)
    try:
        bounds = time_bounds(keys["as_of"], horizon, observed, FREE)
    except UnsupportedData:
        return
    keys["window"] = assign_by_time(keys, bounds, drawn(scheduled, bounds))
    built = keys[keys["window"].isin(BUILDING)]
    # All that builds a bundle has matured when the test window starts.
    assert (built["as_of"] + horizon <= bounds.test).all()
    assert not (keys["window"] == "test").any()
    # What is built from is seen at ages, what is decided on as it is operated.
    assert ((built["age"] == CALENDAR) == (built["window"] == "decision")).all()
    # A group is in one window only.
    assert (built.groupby("group_id")["window"].nunique() <= 1).all()
    # The windows follow each other in time.
    spans = [built.loc[built["window"] == w, "as_of"] for w in BUILDING]
    spans = [span for span in spans if len(span)]
    assert all(a.max() < b.min() for a, b in itertools.pairwise(spans))


@settings(max_examples=60, deadline=None)
@given(projects(), st.randoms(use_true_random=False))
def test_a_groups_window_depends_on_its_own_schedule_alone(project, random):
    groups, ages, _ = project
    scheduled = schedules(groups, ages)
    before = window_of(scheduled, while_open(groups, scheduled))
    # Other closing times (and so other outcomes): what is still seen keeps its window.
    others = [(created, random.uniform(0, 200)) for created, _ in groups]
    after = window_of(scheduled, while_open(others, scheduled))
    assert all(after[key] == before[key] for key in before.keys() & after.keys())
    # Other groups gone: the same.
    half = scheduled[scheduled["group_id"].isin(scheduled["group_id"].unique()[::2])]
    alone = window_of(half, while_open(groups, half))
    assert all(alone[key] == before[key] for key in alone)


def window_of(scheduled: pd.DataFrame, keys: pd.DataFrame) -> dict[tuple, str]:
    assigned = assign_by_time(keys, BOUNDS, drawn(scheduled.sample(frac=1, random_state=0), BOUNDS))
    return dict(zip(zip(keys["group_id"], keys["as_of"], keys["age"], strict=True), assigned, strict=True))


def test_a_window_is_drawn_in_the_share_in_which_a_schedule_falls_into_it():
    # Each group is scheduled three times in train and once in calibration: a quarter goes there.
    groups = [f"lead {i}" for i in range(4000)]
    scheduled = pd.concat(
        [pd.DataFrame({"group_id": groups, "as_of": START + day * DAY}) for day in (1, 2, 3, 55)]
    )
    share = (drawn(scheduled, BOUNDS) == "calibration").mean()
    # Standard deviation of the share: sqrt(0.25 * 0.75 / 4000) = 0.007; four of them.
    assert share == pytest.approx(0.25, abs=0.028)


def test_leads_of_a_group_that_came_later_follow_its_first_ones_window():
    scheduled = pd.DataFrame({"group_id": ["firm"], "as_of": on_days(1)})
    keys = pd.DataFrame({"group_id": ["firm", "firm", "firm"], "as_of": on_days(1, 5, 55), "age": "1d"})
    assert assign_by_time(keys, BOUNDS, drawn(scheduled, BOUNDS)).tolist() == ["train", "train", ""]


def test_what_the_decision_windows_leads_had_reached_before_it_is_kept_apart():
    scheduled = pd.DataFrame({"group_id": ["firm"], "as_of": on_days(75)})
    keys = pd.DataFrame({"group_id": "firm", "as_of": on_days(66, 69, 75, 79, 81), "age": CALENDAR})
    keys.loc[0, "age"] = "1d"
    expected = ["", "before_decision", "decision", "decision", ""]
    assert assign_by_time(keys, BOUNDS, drawn(scheduled, BOUNDS)).tolist() == expected


def test_windows_at_an_origin_know_nothing_of_what_comes_later():
    moments = on_days(*range(0, 300))
    at = bounds_at(moments[moments <= START + 200 * DAY], 20 * DAY, START + 200 * DAY, START + 230 * DAY)
    known_more = bounds_at(moments, 20 * DAY, START + 200 * DAY, START + 230 * DAY)
    assert at == known_more
    assert at.build_until == START + 180 * DAY
    # Days 0 to 180 have matured: three fifths for training, a fifth each to calibrate and to decide.
    assert (at.calibration, at.decision) == (START + 108 * DAY, START + 144 * DAY)


def test_the_draw_never_changes_and_is_even():
    # Pinned: another number here would silently give every project other windows.
    assert draw(["lead a", "account 1"]).round(6).tolist() == [0.391446, 0.961703]
    many = draw([f"lead {i}" for i in range(10_000)])
    assert many.min() >= 0
    assert many.max() < 1
    # Ten bins of 1,000 expected; standard deviation sqrt(10000 * 0.1 * 0.9) = 30.
    assert np.abs(np.histogram(many, bins=10, range=(0, 1))[0] - 1000).max() < 150


def test_groups_without_times_are_drawn_in_fixed_shares():
    windows = pd.Series(assign_by_group(pd.Series([f"lead {i}" for i in range(10_000)])))
    shares = windows.value_counts(normalize=True)
    for window, share in {
        "train": 0.48,
        "stopping": 0.08,
        "calibration": 0.14,
        "decision": 0.12,
        "test": 0.18,
    }.items():
        assert shares[window] == pytest.approx(share, abs=0.02)


def test_by_position_windows_follow_the_order_and_keep_groups_together():
    # 100 rows, the windows end at rows 48, 56, 70 and 82; every group has one row.
    position = pd.Series(range(100), dtype=float)
    windows = assign_by_position(position, pd.Series([f"lead {i}" for i in range(100)]))
    changes = [i for i in range(1, 100) if windows[i] != windows[i - 1]]
    assert changes == [48, 56, 70, 82]
    assert list(dict.fromkeys(windows)) == [*BUILDING, "test"]
    # A firm with the rows 1, 60 and 90 stays in train, and is tested where it appears again.
    groups = pd.Series([f"lead {i}" for i in range(100)])
    groups[[1, 60, 90]] = "firm"
    windows = assign_by_position(position, groups)
    assert [windows[1], windows[60], windows[90]] == ["train", "", "test"]


def test_rows_are_ordered_by_position_not_by_place():
    position = pd.Series([3.0, 1.0, 2.0] + [10.0 + i for i in range(97)])
    reversed_windows = assign_by_position(-position, pd.Series([f"lead {i}" for i in range(100)]))
    assert reversed_windows[:3].tolist() == ["test"] * 3
    assert reversed_windows[99] == "train"


def test_pinned_dates_are_kept():
    as_of = on_days(*range(120))
    days = {"train_from": 10, "calibration_from": 30, "decision_from": 50, "test_from": 90, "test_until": 100}
    pinned = {name: (START + day * DAY).to_pydatetime() for name, day in days.items()}
    bounds = time_bounds(as_of, 10 * DAY, (START + 200 * DAY).to_pydatetime(), pinned)
    kept = (bounds.train, bounds.calibration, bounds.decision, bounds.test, bounds.test_until)
    assert [(edge - START).days for edge in kept] == list(days.values())
    assert bounds.build_until == START + 80 * DAY


def test_derived_dates_by_hand():
    # 101 daily snapshots, horizon 10, observed until day 120. The newest fifth is tested: from day
    # 80 to 110 = 120 - 10; built until 80 - 10 = 70, of which 60 % are before day 42, 80 % before
    # 56; the last 15 % of days 0 to 41 start on day floor(0.85 * 41) = 34.
    bounds = time_bounds(on_days(*range(101)), 10 * DAY, (START + 120 * DAY).to_pydatetime(), FREE)
    days = [(edge - START).days for edge in astuple(bounds)]
    assert days == [0, 34, 42, 56, 70, 80, 110]


def test_the_test_window_never_goes_past_what_has_matured():
    pinned = {**FREE, "test_until": (START + 500 * DAY).to_pydatetime()}
    bounds = time_bounds(on_days(*range(101)), 10 * DAY, (START + 120 * DAY).to_pydatetime(), pinned)
    assert bounds.test_until == START + 110 * DAY


@pytest.mark.parametrize("days", [[], [0.5], list(range(30))])
def test_too_short_a_history_says_how_long_it_is_and_how_long_it_must_be(days):
    observed = (START + 70 * DAY).to_pydatetime()
    with pytest.raises(UnsupportedData) as error:
        time_bounds(
            on_days(*days) if days else pd.Series([], dtype="datetime64[us]"), 30 * DAY, observed, FREE
        )
    assert error.value.exit_status == 3
    assert "the embargo alone takes 30 days" in error.value.message
    assert "about 150 days or more with a horizon of 30 days" in error.value.message
    assert 'split = "group"' in error.value.message


@pytest.mark.parametrize(
    "pins",
    [{"calibration_from": 60, "decision_from": 50}, {"decision_from": 85}, {"calibration_from": 0},
     {"train_from": 30, "calibration_from": 20}, {"test_from": 115}, {"test_from": 90, "test_until": 80}],
)  # fmt: skip
def test_pinned_dates_that_do_not_follow_each_other(pins):
    pinned = {**FREE, **{name: (START + day * DAY).to_pydatetime() for name, day in pins.items()}}
    with pytest.raises(UnsupportedData) as error:
        time_bounds(on_days(*range(101)), 10 * DAY, (START + 120 * DAY).to_pydatetime(), pinned)
    assert error.value.todo


def test_a_summary_counts_leads_with_a_win_once():
    keys = pd.DataFrame(
        {"lead_id": ["a", "a", "b", "c"], "as_of": on_days(1, 2, 3, 4), "label": [1, 1, 0, 1]}
    )
    summary = summarise(keys, np.array(["train", "train", "stopping", "test"], dtype=object))
    assert summary["train"] == {
        "from": "2024-01-02T00:00:00Z", "to": "2024-01-04T00:00:00Z", "leads": 2, "snapshots": 3, "won": 1,
    }  # fmt: skip
    assert summary["calibration"] == {"from": None, "to": None, "leads": 0, "snapshots": 0, "won": 0}


def enough(**changes) -> dict:
    summary = {name: {"leads": 2 * needed, "won": needed} for name, needed in NEEDED.items()}
    return {name: {**window, **changes.get(name, {})} for name, window in summary.items()}


def test_enough_wins_pass():
    check_enough(enough())


def test_too_few_wins_say_how_many_there_are_and_how_many_are_needed():
    with pytest.raises(UnsupportedData) as error:
        check_enough(enough(train={"won": 7}, test={"won": 9}))
    assert "train: 7 of 20 needed; test: 9 of 10 needed" in error.value.message
    assert "train: 7 won of 40" in error.value.where
    assert error.value.exit_status == 3


def test_too_few_leads_that_did_not_win():
    with pytest.raises(UnsupportedData, match="decision: 3 of 10 needed"):
        check_enough(enough(decision={"won": 17}))


@pytest.mark.parametrize("won", [0, 1])
def test_one_class_only(won):
    summary = {name: {"leads": 50, "won": 50 * won} for name in NEEDED}
    with pytest.raises(UnsupportedData, match=f"one class only: {200 * won} of 200 leads won"):
        check_enough(summary)
