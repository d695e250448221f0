"""What sets two groups of leads apart, and whether a declared ideal customer agrees with what was learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from models.crossings import proportion

Flags = NDArray[np.bool_]
Fit = Literal["higher", "equal", "lower"]
Converted = Literal["higher", "lower", "unclear"]

# Fewer leads than this on one side tell nothing about a wish.
LEAST_LEADS = 20
# Contributions this near to each other, in log-odds, are equal: the odds differ by less than 5 %.
EQUAL = 0.05
CHANCE = 0.10


@dataclass(frozen=True)
class Compared:
    """Leads that meet a wish, beside the others of whom it is known that they do not.

    ``fit`` says how the learned fit takes it (None: the model has no such concept), ``converted`` whether
    they won more often, beyond chance. ``few``: too few leads on one side to say either.
    """

    meets: int
    others: int
    unknown: int
    difference: float
    fit: Fit | None
    converted: Converted
    few: bool
    share_meets: dict[str, float | None]
    share_others: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return dict(vars(self))


def compare(meets: Flags, known: Flags, contribution: NDArray[np.float64] | None, won: Flags) -> Compared:
    """Compare the leads that meet a wish with those that do not.

    Parameters
    ----------
    meets
        (n,) whether each lead meets it.
    known
        (n,) whether the lead's value is known at all; an unknown value is in neither group.
    contribution
        (n,) what the concept contributes to each lead's margin, in log-odds; None: the model has no such
        concept. The difference of the two means decides whether the learned fit agrees.
    won
        (n,) whether the lead converted. The two shares differ beyond chance where Fisher's exact test,
        both ways, has a p-value of at most 10 %.
    """
    yes, no = meets & known, ~meets & known
    few = min(int(yes.sum()), int(no.sum())) < LEAST_LEADS
    difference = float("nan")
    if contribution is not None and yes.any() and no.any():
        difference = float(contribution[yes].mean() - contribution[no].mean())
    return Compared(
        meets=int(yes.sum()),
        others=int(no.sum()),
        unknown=int((~known).sum()),
        difference=difference,
        fit=None if contribution is None else _fit(difference),
        converted=higher_share(won[yes], won[no]),
        few=few,
        share_meets=proportion(int(won[yes].sum()), int(yes.sum())),
        share_others=proportion(int(won[no].sum()), int(no.sum())),
    )


def higher_share(ours: Flags, theirs: Flags) -> Converted:
    """Return whether `ours` (n,) are true more or less often than `theirs` (m,), beyond chance."""
    if not len(ours) or not len(theirs):
        return "unclear"
    table = [[int(ours.sum()), int((~ours).sum())], [int(theirs.sum()), int((~theirs).sum())]]
    if float(fisher_exact(table).pvalue) > CHANCE:
        return "unclear"
    return "higher" if ours.mean() > theirs.mean() else "lower"


def _fit(difference: float) -> Fit | None:
    if np.isnan(difference):
        return None
    return "equal" if abs(difference) < EQUAL else ("higher" if difference > 0 else "lower")


def distance(concepts: pd.DataFrame, best: Flags, worst: Flags) -> pd.Series:
    """Return how far each concept sets two groups of leads apart, the furthest first.

    `concepts` (n, c) are contributions to the margin by concept, `best` and `worst` (n,) the groups. The
    value is the difference of the concept's means as a share of the difference of the sums, so that all
    values add up to 1; empty where a group is empty or the sums do not differ.
    """
    if not best.any() or not worst.any():
        return pd.Series(dtype=float)
    apart = concepts[best].mean() - concepts[worst].mean()
    whole = float(apart.sum())
    if whole <= 0:
        return pd.Series(dtype=float)
    return (apart / whole).sort_values(ascending=False, kind="stable")


def most_typical(ours: pd.Series, theirs: pd.Series) -> tuple[str, float, float] | None:
    """Return the category that is more frequent in `ours` by most, and its share in both; None if none is.

    Shares are of the known values. Equals are decided by name.
    """
    if not ours.notna().any() or not theirs.notna().any():
        return None
    here, there = (values.astype("string").value_counts(normalize=True) for values in (ours, theirs))
    more = here.sub(there.reindex(here.index, fill_value=0.0))
    more = more.astype(float).sort_index().sort_values(ascending=False, kind="stable")
    name = str(more.index[0])
    return (name, float(here[name]), float(there.get(name, 0.0))) if more.iloc[0] > 0 else None
