"""A point table beside a model: what each line is worth, and whether that can be told from chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.comparable import Weighed
from models.contradictions import FEW, SIDES, Line, judged

N = 200
CONCEPT_OF = {name: name for name in ("trial", "news", "size", "idle")}
FAMILY_OF = {"trial": "engagement", "news": "engagement", "idle": "engagement", "size": "fit"}


class Known:
    """Four members; per feature, how much each of them adds to the margin for one unit of it."""

    weights = {  # noqa: RUF012
        "trial": [1.0, 1.0, 1.0, 1.0],
        "news": [-0.2, 0.2, -0.2, 0.2],
        "size": [-0.5, -0.6, -0.5, -0.6],
        "idle": [-1.5, 2.5, -1.5, 2.5],
    }

    def member_margins(self, X: pd.DataFrame) -> np.ndarray:
        return X.to_numpy() @ np.array([self.weights[name] for name in X.columns])


def judge(points_of, concepts=None, least=80):
    """Judge lines on leads of which each second, third, fourth and fifth meets a condition."""
    place = np.arange(N)
    held = {name: (place % (n + 2) == 0).astype(float) for n, name in enumerate(CONCEPT_OF)}
    features = pd.DataFrame(held)
    means = {name: np.mean(weight) for name, weight in Known.weights.items()}
    weighed = Weighed(features, features * pd.Series(means))
    points = pd.DataFrame({name: features[name] * given for name, given in points_of.items()})
    lines = judged(
        Known(), weighed, points, concepts or list(points_of), pd.Series(place), CONCEPT_OF, FAMILY_OF
    )
    return dict(zip(points_of, lines, strict=True))


def test_points_and_effects_are_on_one_scale():
    # trial: 100 leads with 10 points each, worth +1 in log-odds; size: 50 leads (every fourth) with 5 points
    # each, worth -0.55. Given in all 1,250 points, found 100 + 27.5 log-odds: 9.804 points each.
    found = judge({"trial": 10, "size": 5})

    scale = 1250 / 127.5
    assert found["trial"].effect == pytest.approx(scale)
    assert found["size"].effect == pytest.approx(-0.55 * scale)
    assert (found["trial"].leads, found["trial"].given) == (100, 10.0)
    error = np.std([-0.5, -0.6, -0.5, -0.6], ddof=1)
    assert found["size"].high - found["size"].effect == pytest.approx(SIDES * error * scale)
    assert found["size"].verdict == "opposite"


def test_nothing_is_said_only_where_it_can_be_told_from_what_the_table_gives():
    # news: 0 on average, members differ by 0.4; idle: 0.5 on average, members differ by 4.
    found = judge({"trial": 10, "news": 10, "idle": 10})

    assert found["news"].effect == pytest.approx(0.0, abs=1e-9)
    assert found["news"].verdict == "nothing"
    assert found["idle"].low < 0 < 10 < found["idle"].high
    assert found["idle"].verdict == "unclear"


@pytest.mark.parametrize(("size", "verdict"), [(-1, "more"), (-12, "less"), (12, "opposite")])
def test_lines_worth_more_or_less_than_they_give(size, verdict):
    assert judge({"trial": 10, "size": size})["size"].verdict == verdict


def test_a_line_that_gives_about_what_it_is_worth_agrees():
    assert judge({"trial": 10, "size": -5.5})["size"].verdict == "same"


def test_what_cannot_be_judged_is_said():
    place, features = np.arange(N), pd.DataFrame({name: np.zeros(N) for name in CONCEPT_OF})
    features.loc[: FEW - 2, "trial"] = 1.0
    points = features[["trial", "news"]] * 5

    few, unseen = judged(
        Known(), Weighed(features, features), points, ["trial", None], pd.Series(place), CONCEPT_OF, FAMILY_OF
    )

    assert (few.verdict, few.leads) == ("few", FEW - 1)
    assert (unseen.verdict, unseen.leads) == ("unseen", 0)
    assert np.isnan([few.effect, unseen.effect]).all()


def test_a_model_that_moves_nothing_leaves_all_open():
    place, features = np.arange(N), pd.DataFrame({"other": np.zeros(N), "trial": np.arange(N) % 2 * 1.0})

    class Still:
        def member_margins(self, X):
            return np.zeros((len(X), 3))

    (line,) = judged(
        Still(), Weighed(features[["trial"]], features[["trial"]]), features[["trial"]] * 5, ["trial"],
        pd.Series(place), CONCEPT_OF, FAMILY_OF,
    )  # fmt: skip

    assert isinstance(line, Line)
    assert line.verdict == "unclear"
