"""The grid of fit and engagement: how often the leads of each cell converted, and what to do with them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, expit, logit
from scipy.stats import betabinom

Floats = NDArray[np.float64]

FITS, ENGAGEMENTS = ("A", "B", "C", "D"), ("1", "2", "3", "4")
CELLS = tuple(fit + engagement for fit in FITS for engagement in ENGAGEMENTS)
LEVEL = 0.90
# Below so many leads a cell's own share says little, and what is shown leans visibly on all cells together.
FEW = 30
# The standard deviation of true shares as a part of the largest possible one, and their mean in log-odds
# from the share of all leads together: what is thought possible before the counts are looked at.
_SPREADS = np.linspace(0.01, 0.7, 35)
_MEANS = np.linspace(-1.5, 1.5, 25)
# What is so much less likely than the likeliest has no say.
_NEGLIGIBLE = 1e-4
# A quantile is found by halving the interval from 0 to 1 so often: to a hundred-thousandth.
_HALVINGS = 17

Action = Literal["call", "nurture", "newsletter", "let_go"]
Stage = Literal["awareness", "consideration", "decision"]
STAGE_OF: dict[str, Stage] = {"1": "decision", "2": "consideration", "3": "awareness", "4": "awareness"}


def first_in_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """Return for each lead its first row in each cell that it was in.

    `rows` has lead_id, as_of (may be missing throughout) and grade; the index is kept. A lead that moves
    on is counted in every cell that it came through, but once in each.
    """
    return rows.sort_values(["as_of", "lead_id"], kind="stable").drop_duplicates(["lead_id", "grade"])


def conversion(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many leads were in each cell and how many of them won, with a share that is shrunk.

    Parameters
    ----------
    rows
        lead_id, as_of, grade and label (1: won within the horizon after `as_of`).

    Returns
    -------
    pandas.DataFrame
        Index all 16 cells; columns leads, won, share, low, high (see `shrunken`; NaN where nobody was in
        any cell) and few (fewer than `FEW` leads).
    """
    counted = first_in_cell(rows).groupby("grade")["label"].agg(["size", "sum"]).reindex(CELLS, fill_value=0)
    found = shrunken(counted["sum"], counted["size"])
    return pd.DataFrame(
        {"leads": counted["size"], "won": counted["sum"], **found, "few": counted["size"] < FEW}
    ).astype({"leads": int, "won": int})


def shrunken(won: ArrayLike, leads: ArrayLike, level: float = LEVEL) -> dict[str, Floats]:
    """Return share, low and high (k,) of k groups, each drawn towards what all of them have in common.

    The beta-binomial model: the groups' true shares are drawn from one beta distribution. Its mean and its
    spread are hardly known from a few groups, so the answer is averaged over both, by how likely the counts
    are with each (Gelman 2006: the spread uniform beforehand); with their best guess alone intervals would
    be too short. The share is the posterior mean, the interval (at `level`) the posterior's own.

    Without any lead all are NaN.
    """
    successes, trials = np.asarray(won, dtype=float), np.asarray(leads, dtype=float)
    if not trials.sum():
        nothing = np.full(len(trials), np.nan)
        return {"share": nothing, "low": nothing, "high": nothing}
    common = (successes.sum() + 0.5) / (trials.sum() + 1.0)
    mean, spread = (grid.ravel() for grid in np.meshgrid(expit(logit(common) + _MEANS), _SPREADS))
    heads = 1.0 / spread**2 - 1.0  # how many leads the common share weighs
    a, b = heads * mean, heads * (1.0 - mean)
    likely = betabinom.logpmf(successes[:, None], trials[:, None], a, b).sum(axis=0)
    weight = np.exp(likely - likely.max())
    counts = weight > _NEGLIGIBLE
    weight = weight[counts] / weight[counts].sum()
    a, b = a[counts] + successes[:, None], b[counts] + (trials - successes)[:, None]
    tail = (1 - level) / 2
    return {
        "share": (a / (a + b)) @ weight,
        "low": _quantile(tail, a, b, weight),
        "high": _quantile(1 - tail, a, b, weight),
    }


def _quantile(tail: float, a: Floats, b: Floats, weight: Floats) -> Floats:
    """Return (k,) the quantile of each group's mixture of beta distributions (k, m)."""
    low, high = np.zeros(len(a)), np.ones(len(a))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = betainc(a, b, middle[:, None]) @ weight < tail
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def advice(
    cell: str, propensity: float, *, cutoff: float | None, nurture: float
) -> tuple[Action | None, Stage | None]:
    """Return what to do with the leads of a cell, and for nurture which stage of content.

    Whoever is an MQL is called, whatever its cell. The advice is for the typical lead of the cell:

    ========================================= ==========================================================
    its mean propensity                       what to do
    ========================================= ==========================================================
    at or above the cutoff                    call
    below it, at or above the nurture level   nurture: content for a decision at engagement 1, for
                                              consideration at 2, for awareness at 3 and 4
    below that, and fit A or B or             a newsletter, which costs next to nothing: one half of the
    engagement 1 or 2                         picture is right
    below that, and neither                   let go
    ========================================= ==========================================================

    ``(None, None)`` where the propensity is not known: nobody was ever in the cell.
    """
    if np.isnan(propensity):
        return None, None
    if cutoff is not None and propensity >= cutoff:
        return "call", None
    if propensity >= nurture:
        return "nurture", STAGE_OF[cell[1]]
    return ("newsletter" if cell[0] in "AB" or cell[1] in "12" else "let_go"), None
