"""An ideal customer against what was learned: by hand, and by how often chance fools it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.personas import compare, distance, higher_share, most_typical


def flags(*counts: tuple[int, bool]) -> np.ndarray:
    return np.concatenate([np.full(n, value) for n, value in counts]).astype(bool)


def test_who_meets_a_wish_is_compared_with_who_is_known_not_to() -> None:
    # 40 meet it (20 won), 60 do not (6 won), 10 are unknown and in neither group.
    meets = flags((40, True), (70, False))
    known = flags((100, True), (10, False))
    won = flags((20, True), (20, False), (6, True), (54, False), (10, True))
    contribution = np.concatenate([np.full(40, 0.5), np.full(60, -0.1), np.full(10, 9.0)])
    found = compare(meets, known, contribution, won)
    assert (found.meets, found.others, found.unknown) == (40, 60, 10)
    assert found.difference == pytest.approx(0.6)
    assert (found.fit, found.converted, found.few) == ("higher", "higher", False)
    assert found.share_meets["value"] == pytest.approx(0.5)
    assert found.share_others["value"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("gap", "fit"), [(0.06, "higher"), (0.04, "equal"), (-0.04, "equal"), (-0.06, "lower")]
)
def test_odds_within_5_percent_are_equal(gap: float, fit: str) -> None:
    meets = flags((30, True), (30, False))
    found = compare(meets, np.ones(60, bool), np.where(meets, gap, 0.0), np.zeros(60, bool))
    assert found.fit == fit


def test_what_the_model_does_not_look_at_has_no_fit() -> None:
    meets = flags((30, True), (30, False))
    found = compare(meets, np.ones(60, bool), None, meets)
    assert found.fit is None
    assert found.converted == "higher"


@pytest.mark.parametrize(("meeting", "few"), [(19, True), (20, False), (80, False), (81, True)])
def test_fewer_than_20_leads_on_a_side_tell_nothing(meeting: int, few: bool) -> None:
    meets = flags((meeting, True), (100 - meeting, False))
    assert compare(meets, np.ones(100, bool), None, meets).few is few


def test_nobody_meets_it() -> None:
    nobody = np.zeros(50, bool)
    found = compare(nobody, ~nobody, np.zeros(50), nobody)
    assert found.few
    assert found.fit is None
    assert found.converted == "unclear"
    assert found.share_meets["value"] is None


def test_a_difference_that_chance_explains_is_not_clear() -> None:
    assert higher_share(flags((5, True), (15, False)), flags((4, True), (16, False))) == "unclear"
    assert higher_share(flags((2, True), (48, False)), flags((20, True), (30, False))) == "lower"


def test_where_there_is_no_difference_it_is_seldom_found() -> None:
    rng = np.random.default_rng(0)
    found = [higher_share(rng.random(60) < 0.1, rng.random(300) < 0.1) for _ in range(300)]
    # Fisher's test is on the safe side: at most 10 % of 300, and some room for chance.
    assert 300 - found.count("unclear") <= 42


def test_concepts_part_the_distance_between_two_groups() -> None:
    concepts = pd.DataFrame({"size": [1.0, 3.0, 0.0, 0.0], "email": [1.0, 1.0, 0.0, 0.0], "job": [0.0] * 4})
    best, worst = flags((2, True), (2, False)), flags((2, False), (2, True))
    # Means: size 2, email 1, job 0 of 3 in all.
    found = distance(concepts, best, worst)
    assert found.index.to_list() == ["size", "email", "job"]
    assert found.to_list() == pytest.approx([2 / 3, 1 / 3, 0.0])
    assert distance(concepts, worst, best).empty
    assert distance(concepts, best, np.zeros(4, bool)).empty


def test_what_is_more_frequent_here_than_there() -> None:
    ours = pd.Series(["x", "x", "y", "z", None], dtype="category")
    theirs = pd.Series(["y", "y", "x", "z"], dtype="category")
    # x: 2 of 4 known against 1 of 4; y and z are not more frequent.
    assert most_typical(ours, theirs) == ("x", 0.5, 0.25)
    assert most_typical(ours, ours) is None
    assert most_typical(ours.iloc[4:], theirs) is None
