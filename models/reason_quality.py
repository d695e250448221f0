"""Whether reasons deserve belief: are they steady, and does the margin do what they say?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError
from models.comparable import Weighed, comparable, replaced
from models.estimator import LeadClassifier
from models.labels import Floats

# How many past leads a lead is compared with.
COMPARED = 50


def kept(shipped: pd.DataFrame, other: pd.DataFrame, top: int = 5) -> NDArray[np.int64]:
    """Return (n,) how many of each lead's `top` strongest concepts are also among another model's.

    Both are (n, concepts) summed contributions of the same leads. A concept that does not move the
    margin at all is no reason, so it is not among them. Raises `DataError` where rows or columns differ.
    """
    if not (shipped.index.equals(other.index) and shipped.columns.equals(other.columns)):
        raise DataError("The contributions of two models are not of the same leads and concepts.")
    return (_strongest(shipped, top) & _strongest(other, top)).sum(axis=1)


def moves_as_named(
    classifier: LeadClassifier,
    leads: Weighed,
    past: Weighed,
    concept_of: Mapping[str, str],
    family_of: Mapping[str, str],
) -> pd.DataFrame:
    """Replace each lead's strongest concept by the values of comparable leads, and see what happens.

    A reason that raised the margin is true if the margin falls without it, and the reverse.

    Parameters
    ----------
    leads, past
        Leads to explain, and earlier ones that the values are taken from.
    concept_of, family_of
        The concept of each feature, and the family of each concept.

    Returns
    -------
    pandas.DataFrame
        Index of the leads; concept, contribution, change (of the margin, mean over replacements), and
        as_named (whether it moved against the contribution).
    """
    names = np.array(leads.concepts.columns, dtype=object)
    moved = leads.concepts.to_numpy()
    strongest = np.abs(moved).argmax(axis=1)
    change: Floats = np.zeros(len(leads))
    for place in np.unique(strongest):
        concept, rows = str(names[place]), np.flatnonzero(strongest == place)
        columns = [name for name in leads.features.columns if concept_of[name] == concept]
        some = leads.at(rows)
        positions = comparable(some, past, concept, family_of, COMPARED)
        change[rows] = replaced(classifier, some, past, columns, positions).mean(axis=1)
    contribution = moved[np.arange(len(leads)), strongest]
    return pd.DataFrame(
        {
            "concept": names[strongest],
            "contribution": contribution,
            "change": change,
            "as_named": change * contribution < 0,
        },
        index=leads.features.index,
    )


def _strongest(concepts: pd.DataFrame, top: int) -> NDArray[np.bool_]:
    """Return (n, concepts) which are the strongest; equals by name, as reasons are."""
    strength = np.abs(concepts.to_numpy())
    first = np.argsort(-strength, axis=1, kind="stable")[:, :top]
    among = np.zeros(strength.shape, dtype=bool)
    np.put_along_axis(among, first, True, axis=1)
    return among & (strength > 0)
