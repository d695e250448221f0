"""What leads otherwise like a lead had done: planted habits are found, chance is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.likeness import Habit, Likeness

KINDS = ["demo", "mail", "webinar"]


def fit_of(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"size": values})


def done_of(*rows: str) -> pd.DataFrame:
    """Return flags from letters: "dw" did the demo and the webinar."""
    return pd.DataFrame([[kind[0] in row for kind in KINDS] for row in rows], columns=KINDS)


def past(done_reached: list[str], done_others: list[str], size: float = 0.0) -> dict[str, object]:
    """Return a past of leads all alike; the first reached the goal, the others did not."""
    done = [*done_reached, *done_others]
    return {
        "leads": [f"p{i}" for i in range(len(done))],
        "fit": fit_of(*[size] * len(done)),
        "age": np.full(len(done), 10.0),
        "done": done_of(*done),
        "reached": np.arange(len(done)) < len(done_reached),
    }


def habits(of: dict[str, object], lead: str = "new", done: str = "", size: float = 0.0) -> list[Habit]:
    return Likeness(**of).habits([lead], fit_of(size), [10.0], done_of(done))[0]  # type: ignore[arg-type]


def test_what_most_of_them_had_done_and_the_others_had_not_is_named() -> None:
    of = past(["w"] * 12 + [""] * 8, ["w"] * 3 + [""] * 57)
    assert habits(of) == [Habit("webinar", 12, 20, 3, 60)]


def test_what_the_lead_did_itself_is_not_named() -> None:
    assert habits(past(["w"] * 12 + [""] * 8, [""] * 60), done="w") == []


def test_what_everybody_did_is_not_named() -> None:
    assert habits(past(["m"] * 20, ["m"] * 60)) == []


def test_what_fewer_of_them_did_is_not_named() -> None:
    assert habits(past([""] * 20, ["m"] * 50 + [""] * 10)) == []


def test_at_most_two_are_named_the_strongest_first() -> None:
    of = past(["dmw"] * 10 + ["mw"] * 4 + ["w"] * 6, ["d"] * 2 + [""] * 58)
    assert [habit.kind for habit in habits(of)] == ["webinar", "mail"]


@pytest.mark.parametrize(("reached", "others"), [(9, 60), (20, 9)])
def test_of_fewer_than_ten_nothing_is_said(reached: int, others: int) -> None:
    assert habits(past(["w"] * reached, [""] * others)) == []


def test_only_the_nearest_are_looked_at() -> None:
    near = past(["w"] * 20, [""] * 60)
    far = past(["d"] * 20, [""] * 60, size=5.0)
    both = {
        name: pd.concat([near[name], far[name]], ignore_index=True)  # type: ignore[list-item]
        if isinstance(near[name], pd.DataFrame)
        else np.concatenate([np.asarray(near[name]), np.asarray(far[name])])
        for name in near
    }
    both["leads"] = [f"p{i}" for i in range(160)]
    assert [habit.kind for habit in habits(both)] == ["webinar"]
    assert [habit.kind for habit in habits(both, size=5.0)] == ["demo"]


def test_a_lead_counts_once_and_where_it_reached_the_goal() -> None:
    of = past(["w"] * 12, [""] * 40)
    # The same 12 leads a week earlier, before they were there and before they had done it.
    again = {
        "leads": [*of["leads"], *of["leads"][:12]],  # type: ignore[misc,index]
        "fit": fit_of(*[0.0] * 64),
        "age": np.full(64, 10.0),
        "done": done_of(*["w"] * 12, *[""] * 52),
        "reached": np.arange(64) < 12,
    }
    assert habits(again) == [Habit("webinar", 12, 12, 0, 40)]


def test_a_lead_is_not_compared_with_its_own_past() -> None:
    of = past(["w"] * 10, [""] * 60)
    assert habits(of) != []
    assert habits(of, lead="p0") == []  # nine others are too few


def test_an_unknown_age_is_as_good_as_any() -> None:
    of = past(["w"] * 12 + [""] * 8, [""] * 60)
    of["age"] = np.full(80, np.nan)
    found = Likeness(**of).habits(["new"], fit_of(0.0), [np.nan], done_of(""))  # type: ignore[arg-type]
    assert found == [[Habit("webinar", 12, 20, 0, 60)]]


def test_where_nothing_makes_a_difference_hardly_anything_is_named() -> None:
    """Of 300 leads in worlds where nobody's habits matter at most 5 % are told any: 15, chance aside."""
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(300):
        n = 120
        done = pd.DataFrame(rng.random((n, 12)) < 0.3, columns=[f"k{i}" for i in range(12)])
        world = Likeness(
            range(n), pd.DataFrame(rng.normal(size=(n, 3))), rng.random(n), done, rng.random(n) < 0.3
        )
        none = pd.DataFrame(np.zeros((1, 12), bool), columns=done.columns)
        told += bool(world.habits(["new"], pd.DataFrame(np.zeros((1, 3))), [0.5], none)[0])
    assert told <= 23
