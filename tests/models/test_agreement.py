"""Announced beside came: shares with intervals, tenths and segments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.agreement import POOL, segments, share, tenths
from models.crossings import proportion


def test_without_groups_the_interval_is_nearly_the_exact_binomial_one():
    label = np.r_[np.ones(30), np.zeros(70)]
    found, exact = share(label, np.arange(100)), proportion(30, 100)
    assert found["came"] == exact["value"]
    # The variance is estimated with 99 in place of 100, so the rows are worth 99.
    assert found["effective"] == pytest.approx(99)
    assert found["low"] == pytest.approx(exact["low"], abs=0.002)
    assert found["high"] == pytest.approx(exact["high"], abs=0.002)


def test_ten_copies_of_a_lead_are_worth_one():
    label = np.r_[np.ones(30), np.zeros(70)]
    once = share(label, np.arange(100))
    copied = share(np.repeat(label, 10), np.repeat(np.arange(100), 10))
    assert copied == pytest.approx(once)


def test_nobody_converted_is_said_with_an_upper_end():
    # 1 - 0.05^(1/20): the upper end of none in twenty, whatever the number of rows.
    found = share(np.zeros(100), np.repeat(np.arange(20), 5))
    assert (found["came"], found["low"]) == (0.0, 0.0)
    assert found["high"] == pytest.approx(1 - 0.05 ** (1 / 20))
    assert share(np.ones(20), np.arange(20))["low"] == pytest.approx(0.05 ** (1 / 20))


def test_tenths_go_from_the_lowest_to_the_highest_with_equal_propensities_together():
    propensity = np.repeat(np.arange(1, 11) / 20, 10)
    label = np.tile([1] * 3 + [0] * 7, 10)
    found = tenths(propensity, label, np.arange(100), (propensity - 0.01, propensity + 0.02))
    assert [row["announced"] for row in found] == pytest.approx(np.arange(1, 11) / 20)
    assert [row["came"] for row in found] == pytest.approx([0.3] * 10)
    assert found[0]["given_low"] == pytest.approx(0.04)
    assert found[0]["given_high"] == pytest.approx(0.07)
    assert len(tenths(np.full(100, 0.2), label, np.arange(100))) == 1


def by_segment(sizes: dict[str, tuple[int, float, float]]) -> list[dict]:
    """Return what comes of segments: name to (leads, announced, came)."""
    parts = []
    for name, (leads, announced, came) in sizes.items():
        won = round(leads * came)
        label = [1] * won + [0] * (leads - won)
        parts.append(pd.DataFrame({"segment": name, "label": label, "propensity": announced}))
    table = pd.concat(parts, ignore_index=True)
    ids = np.arange(len(table))
    return segments(table["segment"], ids, table["propensity"], table["label"], ids)


def test_small_segments_are_pooled_and_come_last():
    found = by_segment({"a": (100, 0.2, 0.2), "b": (300, 0.2, 0.2), "c": (20, 0.2, 0.2), "d": (10, 0.2, 0.2)})
    assert [(row["segment"], row["leads"]) for row in found] == [("b", 300), ("a", 100), (POOL, 30)]


def test_a_segment_agrees_unless_chance_cannot_explain_the_gap():
    found = by_segment({"as announced": (400, 0.2, 0.22), "far off": (400, 0.2, 0.4)})
    assert {row["segment"]: row["agrees"] for row in found} == {"as announced": True, "far off": False}


def test_what_came_is_drawn_to_what_was_announced_as_far_as_chance_explains_it():
    # Gaps as small as chance makes them: nothing is learnt beyond what was announced.
    still = by_segment({"a": (100, 0.2, 0.22), "b": (100, 0.2, 0.19)})
    assert [row["shrunk"] for row in still] == pytest.approx([0.2, 0.2])
    # Gaps far beyond it: most of the gap stays.
    moved = {row["segment"]: row for row in by_segment({"a": (1000, 0.2, 0.5), "b": (60, 0.2, 0.5)})}
    assert 0.45 < moved["a"]["shrunk"] < 0.5
    assert 0.2 < moved["b"]["shrunk"] < moved["a"]["shrunk"]
