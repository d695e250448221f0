"""Why a margin is what it is: contributions summed by family, and by concept into reasons.

Everything here is on the margin scale, where contributions add up: base + fit + engagement = margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from features.errors import BundleError, ConfigurationError, listed

FAMILIES = ("fit", "engagement")
# How far base + fit + engagement may be from the margin: float rounding, not a lost feature.
TOLERANCE = 1e-9
# Contributions are compared to this many decimals, so that rounding does not decide between equals.
_DECIMALS = 12


class Reason(NamedTuple):
    """One concept that moved a lead's margin, and by how much (strength, always above 0)."""

    concept: str
    direction: Literal["up", "down"]
    strength: float


def shares(
    contributions: pd.DataFrame, family_of: Mapping[str, str], total: ArrayLike | None = None
) -> pd.DataFrame:
    """Sum the contributions of each family.

    Parameters
    ----------
    contributions
        (n, p), one column a feature or a concept, on the margin scale.
    family_of
        The family, ``fit`` or ``engagement``, of every column.
    total
        (n,) margin minus base, if known: then it is checked that nothing was lost.

    Returns
    -------
    pandas.DataFrame
        (n, 2), columns ``fit`` and ``engagement``, with the index of `contributions`.

    Raises
    ------
    BundleError
        A column without a family, an unknown family, or sums that do not add up to `total`.
    """
    families = _grouped(contributions, family_of, "family")
    unknown = sorted(set(families.columns.astype(str)) - set(FAMILIES))
    if unknown:
        raise BundleError(f"Unknown family: {listed(unknown)}.", allowed=listed(FAMILIES))
    sums = families.reindex(columns=list(FAMILIES), fill_value=0.0)
    if total is not None and len(sums):
        expected = np.asarray(total, dtype=float)
        gap = np.abs(sums.to_numpy().sum(axis=1) - expected)
        # "Not at most" rather than "more than": a gap that is not a number must not pass.
        if not np.all(gap <= TOLERANCE * np.maximum(1.0, np.abs(expected))):
            raise BundleError(
                f"Fit and engagement do not add up to the margin: off by up to {gap.max():.3g}.",
                todo="The features and the model do not belong together; train the model again.",
            )
    return sums


def reasons(
    contributions: pd.DataFrame, concept_of: Mapping[str, str], top: int = 5, least_share: float = 0.05
) -> list[list[Reason]]:
    """Name the concepts that moved each margin most.

    The contributions of one concept are summed first, so its features can cancel out. Reasons come
    strongest first, equals by name.

    Parameters
    ----------
    contributions
        (n, p), one column a feature, on the margin scale.
    concept_of
        The concept of every column.
    top
        The most reasons a lead gets.
    least_share
        A concept weaker than this share of the lead's summed strengths is no reason.

    Returns
    -------
    list
        For each row its reasons: at most `top`, none where every concept contributes 0.

    Raises
    ------
    BundleError
        A column without a concept.
    ConfigurationError
        `top` below 1, or `least_share` outside of 0 to 1.
    """
    if top < 1 or not 0.0 <= least_share <= 1.0:
        raise ConfigurationError(
            f"{top} reasons of at least {least_share} of the strength.",
            allowed="one reason or more, and a share from 0 to 1",
        )
    concepts = by_concept(contributions, concept_of)
    names = np.array(concepts.columns, dtype=object)
    moved: NDArray[np.float64] = concepts.to_numpy().round(_DECIMALS)
    strength = np.abs(moved)
    # Columns are in order of name and the sort is stable: equals stay in order of name.
    first = np.argsort(-strength, axis=1, kind="stable")[:, :top]
    strongest = np.take_along_axis(strength, first, axis=1)
    least = least_share * strength.sum(axis=1, keepdims=True) * (1.0 - 1e-12)
    kept = ((strongest > 0.0) & (strongest >= least)).sum(axis=1)
    directions = np.where(np.take_along_axis(moved, first, axis=1) > 0.0, "up", "down").tolist()
    rows = zip(names[first].tolist(), directions, strongest.tolist(), kept.tolist(), strict=True)
    return [
        [Reason(*reason) for reason in zip(who[:count], way[:count], how[:count], strict=True)]
        for who, way, how, count in rows
    ]


def by_concept(contributions: pd.DataFrame, concept_of: Mapping[str, str]) -> pd.DataFrame:
    """Return the contributions (n, p) summed by concept, columns in order of name.

    Raises `BundleError` for a column without a concept.
    """
    return _grouped(contributions, concept_of, "concept")


def _grouped(contributions: pd.DataFrame, group_of: Mapping[str, str], what: str) -> pd.DataFrame:
    """Return the row sums of the columns of each group, groups in order of name."""
    orphans = [column for column in contributions.columns if column not in group_of]
    if orphans:
        raise BundleError(
            f"Features without a {what}: {listed(orphans)}.",
            todo="The bundle's feature list and the catalogue differ; train the model again.",
        )
    groups = [group_of[column] for column in contributions.columns]
    names = sorted(set(groups))
    member = np.array([[group == name for name in names] for group in groups], dtype=float)
    sums = contributions.to_numpy(dtype=float) @ member.reshape(len(groups), len(names))
    return pd.DataFrame(sums, index=contributions.index, columns=pd.Index(names, dtype=object))
