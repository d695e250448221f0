"""What a margin would be with another lead's values: one concept replaced by those of comparable leads.

A lead is comparable if the model thinks as much of it in all *other* respects: fit and engagement, the two
axes of the grade, without the concept in question. Leads like that exist, so their values are values
that a lead in this position has; an average over all leads would mix in those of quite different ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from models.estimator import LeadClassifier
from models.labels import Floats
from models.reasons import by_concept, shares

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Weighed:
    """Leads with what the model makes of them, row by row.

    features
        (n, p) as the model sees them.
    concepts
        (n, concepts) contributions to the margin, summed by concept.
    """

    features: pd.DataFrame
    concepts: pd.DataFrame

    @classmethod
    def by(cls, classifier: LeadClassifier, features: pd.DataFrame, concept_of: Mapping[str, str]) -> Weighed:
        """Let a model weigh leads."""
        return cls(features, by_concept(classifier.contributions(features), concept_of))

    def __len__(self) -> int:
        return len(self.features)

    def at(self, positions: Positions) -> Weighed:
        """Return some of the rows, by position."""
        return Weighed(self.features.iloc[positions], self.concepts.iloc[positions])


def comparable(
    leads: Weighed, past: Weighed, concept: str, family_of: Mapping[str, str], most: int
) -> Positions:
    """Return for each lead the positions (n, k) of the past leads most like it but for a concept.

    Parameters
    ----------
    family_of
        The family, ``fit`` or ``engagement``, of each concept.
    most
        How many are wanted; fewer where the past has fewer.
    """
    others = [name for name in past.concepts.columns if name != concept]
    of = {name: family_of[name] for name in others}
    stands = NearestNeighbors(n_neighbors=min(most, len(past))).fit(
        shares(past.concepts[others], of).to_numpy()
    )
    found: Positions = stands.kneighbors(shares(leads.concepts[others], of).to_numpy(), return_distance=False)
    return found


def replaced(
    classifier: LeadClassifier, leads: Weighed, past: Weighed, columns: list[str], positions: Positions
) -> Floats:
    """Return (n, members) how much each member's margin changes, on average over the replacements.

    `columns` are the features to be replaced by those of the past leads at `positions` (n, k).
    """
    count, each = positions.shape
    changed = leads.features.iloc[np.repeat(np.arange(count), each)].reset_index(drop=True)
    changed[columns] = past.features.iloc[positions.ravel()][columns].reset_index(drop=True)
    margins = classifier.member_margins(changed).reshape(count, each, -1).mean(axis=1)
    return np.asarray(margins - classifier.member_margins(leads.features), dtype=np.float64)
