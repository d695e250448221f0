"""How much each concept tells leads apart, and what it does to the propensity over its values.

All of it is read off the contributions of real leads, so that no lead is looked at that could not be: one
seen three times this week but never this month. A step of a curve takes the mean of what the concept
contributes to the leads in it, and gives that to every lead in place of its own: what remains is the mean
propensity of leads that are otherwise as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.declare import Feature
from models.bins import FEW, Bin, Binned, binned
from models.labels import Floats

Direction = Literal["raises", "lowers", "depends", "nothing"]

# Rows that a step's mean propensity is taken over; more do not change it.
MOST_ROWS = 2_000
# Of all ups and downs of a curve, the share that must go one way for it to be said.
ONE_WAY = 0.8
# Log-odds between the highest and the lowest step below which a concept does nothing worth telling.
FLAT = 0.05


@dataclass(frozen=True)
class Step:
    """One bin of a curve.

    Attributes
    ----------
    leads
        Different leads in it; `few` if that is too few to rely on.
    moved
        Mean contribution of the concept, in log-odds.
    propensity
        Mean propensity of otherwise unchanged leads.
    won
        Share of the snapshots in it that were won, as observed.
    """

    bin: Bin
    leads: int
    moved: float
    propensity: float
    won: float

    @property
    def few(self) -> bool:
        """Whether there are too few leads to rely on it."""
        return self.leads < FEW


def importance(concepts: pd.DataFrame) -> pd.Series:
    """Return the share of each concept in what tells leads apart, largest first, equals by name.

    It is the mean distance of the concept's contribution from its own mean over leads, as a share of
    the sum over concepts: what a concept gives to all leads alike does not tell them apart.

    Parameters
    ----------
    concepts
        (n, concepts) contributions to the margin, summed by concept.
    """
    apart = (concepts - concepts.mean()).abs().mean()
    total = float(apart.sum())
    shares = apart / total if total > 0 else apart
    return shares.sort_index().sort_values(ascending=False, kind="stable")


def main_feature(features: Sequence[Feature], values: pd.DataFrame, contribution: pd.Series) -> Feature:
    """Return the feature of a concept whose values account for most of what it contributes.

    That is the largest share of variance between bins; of those that people are told, if there are any.

    Parameters
    ----------
    features
        The concept's, which are columns of `values` (n, p).
    contribution
        (n,) of the concept.
    """
    told = [feature for feature in features if feature.told != "never"] or list(features)
    every_row = pd.Series(range(len(values)), index=values.index)
    found = [_explained(binned(f, values[f.name], every_row), contribution.to_numpy()) for f in told]
    return told[int(np.argmax(found))]


def curve(
    feature: Feature,
    values: pd.Series,
    contribution: pd.Series,
    margin: pd.Series,
    predict: Callable[[Floats], Floats],
    leads: pd.Series,
    label: pd.Series,
) -> list[Step]:
    """Return the steps of a concept's curve over its main feature.

    Parameters
    ----------
    values, contribution, margin, leads, label
        (n,) of the feature, of the concept's contribution, of the model, of whose row it is and of whether it
        was won.
    predict
        From margins to propensities.
    """
    found, moved = binned(feature, values, leads), contribution.to_numpy(dtype=float)
    rest = margin.to_numpy(dtype=float) - moved
    some = rest[np.linspace(0, len(rest) - 1, min(len(rest), MOST_ROWS)).astype(int)]
    steps = []
    for place, one in enumerate(found.bins):
        inside = found.codes == place
        mean = float(moved[inside].mean())
        steps.append(
            Step(
                bin=one,
                leads=int(leads[inside].nunique()),
                moved=mean,
                propensity=float(np.mean(predict(some + mean))),
                won=float(label[inside].mean()),
            )
        )
    return steps


def direction(feature: Feature, steps: Sequence[Step]) -> Direction:
    """Say whether more of a feature raises or lowers the propensity, as far as the curve goes one way.

    A category has no more or less. Steps of few leads are not looked at, nor that of missing values, but for
    ages: never is the longest ago.
    """
    moved = np.array([step.moved for step in steps if not step.few])
    if len(moved) < 2 or moved.max() - moved.min() < FLAT:
        return "nothing"
    if feature.type == "category":
        return "depends"
    last = feature.unit == "days ago"
    along = np.diff([step.moved for step in steps if not step.few and (last or not step.bin.missing)])
    if not len(along) or abs(along.sum()) < ONE_WAY * np.abs(along).sum():
        return "depends"
    return "raises" if along.sum() > 0 else "lowers"


def extremes(feature: Feature, steps: Sequence[Step]) -> tuple[Step, Step] | None:
    """Return the steps of the highest and the lowest propensity among those with leads enough.

    Where more of the feature raises or lowers the propensity they are of values that have an order, so that
    they show it: the missing ones are not among them, but for ages, of which never is the longest.
    """
    enough = [step for step in steps if not step.few]
    one_way = direction(feature, steps) in ("raises", "lowers")
    if one_way and feature.unit != "days ago":
        enough = [step for step in enough if not step.bin.missing]
    if len(enough) < 2:
        return None
    return max(enough, key=lambda step: step.moved), min(enough, key=lambda step: step.moved)


def _explained(found: Binned, contribution: NDArray[np.float64]) -> float:
    """Return the variance between bins as a share of all."""
    total = float(contribution.var())
    if total == 0:
        return 0.0
    count = np.bincount(found.codes)
    means = np.bincount(found.codes, weights=contribution) / np.maximum(count, 1)
    return float(np.average((means - contribution.mean()) ** 2, weights=count) / total)
