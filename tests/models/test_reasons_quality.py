"""Reasons are steady from one bootstrap of the leads to another, and the margin does what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic

from features.catalogue import catalogue
from features.errors import DataError
from models.comparable import Weighed, comparable, replaced
from models.concepts import companions, concept_of, together
from models.estimator import LeadClassifier
from models.learning import Examples
from models.reason_quality import kept, moves_as_named
from models.reasons import by_concept


def table(*rows):
    return pd.DataFrame(list(rows), columns=list("abcdefg"), dtype=float)


def test_kept_concepts_by_hand():
    # Of the first lead a, b, c are the strongest three of both models but for b; of the second d and e only,
    # since f and g do not move the margin at all.
    shipped = table([3, -2, 1, 0.5, 0, 0, 0], [0, 0, 0, 2, 1, 0, 0])
    other = table([-1, 0.1, 2, 0.5, 0, 0, 0], [0, 0, 0, 1, 2, 0, 0])

    assert kept(shipped, other, top=3).tolist() == [2, 2]
    with pytest.raises(DataError, match="same leads"):
        kept(shipped, other[["a", "b"]])


def test_kinds_that_the_same_leads_have_are_told_as_the_more_frequent_one():
    made = synthetic.vocabulary()
    pricing, webinar = (f"activity.{kind.name}" for kind in made.kinds)
    has = np.tile([1.0, 0.0], 200)
    apart = np.repeat([1.0, 0.0], 200)
    nearly = np.where(np.arange(400) < 4, 1 - has, has)  # 4 of 400 differ: correlation 0.98

    def alike(second):
        frame = pd.DataFrame({f"{pricing}.count": 3 * has, f"{webinar}.count": second})
        return together(frame, made)

    assert alike(has) == alike(nearly) == {webinar: pricing}
    assert alike(apart) == {}
    assert alike(np.ones(400)) == {}, "everyone has it: that says nothing of who else does"
    of = concept_of(made, alike(has))
    assert of[f"{webinar}.count"] == of[f"{pricing}.count"] == pricing
    assert companions(alike(has), [pricing, "email"]) == {pricing: [webinar], "email": []}


def test_comparable_leads_are_alike_in_all_but_the_concept():
    family_of = {"size": "fit", "visits": "engagement", "trial": "engagement"}
    past = pd.DataFrame({"size": [0.0, 1.0, 0.0], "visits": [1.0, 1.0, -1.0], "trial": [5.0, 0.0, 0.0]})
    lead = pd.DataFrame({"size": [0.1], "visits": [0.9], "trial": [-5.0]})

    found = comparable(Weighed(lead, lead), Weighed(past, past), "trial", family_of, most=2)

    # Without the trial, distances in (fit, engagement) are (0.1, 0.1), (0.9, 0.1) and (0.1, 1.9).
    assert found.tolist() == [[0, 1]]


class Sum:
    """A model whose members' margins are the sum of all features, and twice that."""

    @staticmethod
    def member_margins(X: pd.DataFrame) -> np.ndarray:
        total = X.sum(axis=1).to_numpy()
        return np.column_stack([total, 2 * total])


def test_replacing_by_hand():
    leads = pd.DataFrame({"x": [10.0], "z": [1.0]})
    past = pd.DataFrame({"x": [2.0, 4.0, 100.0], "z": [50.0, 50.0, 50.0]})

    moved = replaced(Sum(), Weighed(leads, leads), Weighed(past, past), ["x"], np.array([[0, 1]]))

    # 10 becomes 2 and 4, 3 on average: 7 less, and 14 less for the second member; z stays.
    assert moved.tolist() == [[-7.0, -14.0]]


def resampled(given: Examples, seed: int) -> Examples:
    keys = given.keys[given.keys["window"].isin(["train", "stopping"])]
    leads = keys["group_id"].unique()
    drawn = pd.Series(np.random.default_rng(seed).choice(leads, len(leads))).value_counts()
    rows = keys.index.repeat(keys["group_id"].map(drawn).fillna(0).astype(int))
    return replace(
        given,
        features=given.features.loc[rows].reset_index(drop=True),
        keys=keys.loc[rows].reset_index(drop=True),
    )


def fitted(given: Examples) -> LeadClassifier:
    X, y, groups, _ = given.within("train", "stopping")
    return LeadClassifier(members=4, max_rounds=80).fit(X, y, groups=groups.to_numpy())


@pytest.fixture(scope="module")
def models() -> tuple[Examples, list[LeadClassifier]]:
    given = synthetic.examples(2400)
    return given, [fitted(given), *(fitted(resampled(given, seed)) for seed in range(3))]


OF = concept_of(synthetic.vocabulary(), {})
FAMILY_OF = {OF[f.name]: f.family for f in catalogue(synthetic.vocabulary())}


def test_most_leads_keep_three_of_five_concepts_on_other_bootstraps(models):
    given, (shipped, *others) = models
    test = given.within("test")[0]
    concepts = by_concept(shipped.contributions(test), OF)

    counts = np.array([kept(concepts, by_concept(other.contributions(test), OF)) for other in others])

    assert (counts >= 3).mean() > 0.5


def test_without_the_strongest_concept_the_margin_moves_as_named(models):
    given, (shipped, *_) = models
    test = Weighed.by(shipped, given.within("test")[0].head(150), OF)
    past = Weighed.by(shipped, given.within("calibration", "decision")[0], OF)

    found = moves_as_named(shipped, test, past, OF, FAMILY_OF)

    assert found["as_named"].mean() >= 0.9
    lied = Weighed(test.features, -test.concepts)
    assert moves_as_named(shipped, lied, past, OF, FAMILY_OF)["as_named"].mean() < 0.1
