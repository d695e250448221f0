"""Adding up and counting within leads, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulation.moments import count_between, faded_sums, last_before, rank_within

events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40)), max_size=30).map(sorted)


def arrays(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.int64)


@given(events)
def test_faded_sums_are_sums_over_the_past_of_the_same_lead(rows: list[tuple[int, int]]) -> None:
    lead, at = arrays(rows)
    weight = np.arange(1.0, len(rows) + 1)
    found = faded_sums(lead, at / 1.0, weight, memory=7.0)
    for i in range(len(rows)):
        mine = [weight[j] * np.exp(-(at[i] - at[j]) / 7.0) for j in range(i + 1) if lead[j] == lead[i]]
        assert found[i] == pytest.approx(sum(mine))


@given(events, st.integers(0, 5), st.integers(0, 45), st.integers(0, 45))
def test_last_and_count_look_strictly_before(
    rows: list[tuple[int, int]], who: int, start: int, before: int
) -> None:
    lead, at = arrays(rows)
    start, before = min(start, before), max(start, before)
    past = [i for i, row in enumerate(rows) if row[0] == who and row[1] < before]
    key = (np.array([who]), np.array([before]))
    assert last_before(lead, at, *key)[0] == (past[-1] if past else -1)
    expected = sum(1 for i in past if at[i] >= start)
    assert count_between(lead, at, key[0], np.array([start]), key[1])[0] == expected


def test_rank_counts_from_zero_within_each_lead() -> None:
    assert rank_within(np.array([3, 3, 3, 5, 8, 8])).tolist() == [0, 1, 2, 0, 0, 1]
