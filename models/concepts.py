"""Which concepts are told as one, because the leads that have the one have the other too.

Where two kinds of activity come together in nearly every lead, no data can say which of them tells leads
apart: trees split the credit by chance, another bootstrap of the leads splits it otherwise, and taking one
away while the other stays describes a lead that never was. Summed, the credit is steady and true.
`benchmarks/reasons.py` measures both, before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from features.catalogue import catalogue
from features.vocabulary import Vocabulary

# The correlation of "has it" and "has it not" over snapshots from which two kinds are one thing. Public and
# simulated sets leave a wide gap here: 0.99 and more for steps of one procedure, below 0.85 for all else.
ALIKE = 0.95


def together(features: pd.DataFrame, vocabulary: Vocabulary) -> dict[str, str]:
    """Return which concepts are told as another: the more frequent kind stands for those like it.

    Parameters
    ----------
    features
        (n, p) of the training snapshots, as `features.compute.frame` gives them.
    vocabulary
        What they were made with; its kinds are in order of frequency.

    Returns
    -------
    dict
        Concept to the concept that stands for it; those that stand for themselves are not in it.
    """
    kinds = [f"activity.{kind.name}" for kind in vocabulary.kinds]
    held = np.column_stack([features[f"{kind}.count"] > 0 for kind in kinds]) if kinds else np.empty((0, 0))
    varies = [place for place in range(len(kinds)) if held[:, place].any() and not held[:, place].all()]
    alike = _correlations(held[:, varies].astype(float))
    heads: list[int] = []
    found = {}
    for place in range(len(varies)):
        head = next((head for head in heads if alike[place, head] >= ALIKE), None)
        if head is None:
            heads.append(place)
        else:
            found[kinds[varies[place]]] = kinds[varies[head]]
    return found


def concept_of(vocabulary: Vocabulary, told_as: Mapping[str, str]) -> dict[str, str]:
    """Return the concept that each feature of a vocabulary is told under, by the feature's name."""
    return {f.name: told_as.get(f.concept, f.concept) for f in catalogue(vocabulary)}


def companions(told_as: Mapping[str, str], concepts: Iterable[str]) -> dict[str, list[str]]:
    """Return for each concept those that it stands for, in order of name; empty for most."""
    return {head: sorted(one for one, other in told_as.items() if other == head) for head in concepts}


def _correlations(columns: np.ndarray) -> np.ndarray:
    if not columns.shape[1]:
        return np.empty((0, 0))
    return np.atleast_2d(np.corrcoef(columns, rowvar=False))
