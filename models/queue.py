"""The queue before sales: what becomes of new MQLs when no more than so many are worked in a week.

On average the policy fills the capacity, so whatever comes unevenly must wait. How much is simulated
from the window's mean and unevenness, not replayed: the window shows a part of the leads and a few weeks,
and scaling its counts up would scale its chance up too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

WEEKS = 52
PATHS = 400
# How sure it must be that weeks differ by more than chance before the simulation lets them.
UNEVEN_CONFIDENCE = 0.95


def queue(weekly: ArrayLike, share: float, arrivals: float, per_week: float, seed: int = 0) -> dict[str, Any]:
    """Simulate a year's queue.

    Parameters
    ----------
    weekly
        (w,) new MQLs in each whole week of the window, of the share of leads that it shows.
    share
        The share of all leads that the window shows, above 0 to 1.
    arrivals
        New MQLs a week on average, of all leads.
    per_week
        How many are worked a week.

    Returns
    -------
    dict
        ``mean`` MQLs waiting at the end of a week, over the year; ``largest``, the year's largest queue
        in the median of the simulated years, and ``largest_high``, the one exceeded in 5 % of them;
        ``weeks_of_wait``, the mean queue in weeks of work, and ``longest_wait``; ``uneven``, the
        variance of weekly arrivals by their mean (1: as chance has it); and what it was made from.
        The first night's backlog is not in it.
    """
    uneven = unevenness(weekly, share)
    waiting = _waiting(arrivals, uneven, per_week, seed)
    largest = waiting.max(axis=1)
    return {
        "per_week": per_week,
        "arrivals": arrivals,
        "use": arrivals / per_week,
        "uneven": uneven,
        "weekly": [int(count) for count in np.asarray(weekly)],
        "share": share,
        "weeks": WEEKS,
        "mean": float(waiting.mean()),
        "largest": float(np.median(largest)),
        "largest_high": float(np.quantile(largest, 0.95)),
        "weeks_of_wait": float(waiting.mean() / per_week),
        "longest_wait": float(np.median(largest) / per_week),
    }


def unevenness(weekly: ArrayLike, share: float) -> float:
    """Return variance by mean of all leads' weekly arrivals; 1 unless the weeks differ beyond chance.

    Of a share s of arrivals with ratio D, drawn at random, the ratio is 1 + s (D - 1).
    """
    counts = np.asarray(weekly, dtype=float)
    if len(counts) < 2 or not counts.sum():
        return 1.0
    seen = float(counts.var(ddof=1) / counts.mean())
    weeks = len(counts) - 1
    if seen * weeks <= chi2.ppf(UNEVEN_CONFIDENCE, weeks):
        return 1.0
    return 1.0 + (seen - 1.0) / share


def _waiting(arrivals: float, uneven: float, per_week: float, seed: int) -> NDArray[np.float64]:
    """Return (paths, weeks) how many wait at the end of each week, from an empty queue."""
    rng = np.random.default_rng(seed)
    shape = (PATHS, WEEKS)
    if uneven > 1.0 and arrivals > 0:
        # Negative binomial with this mean and this variance by mean.
        coming = rng.negative_binomial(arrivals / (uneven - 1.0), 1.0 / uneven, shape)
    else:
        coming = rng.poisson(arrivals, shape)
    waiting = np.zeros(shape)
    before = np.zeros(PATHS)
    for week in range(WEEKS):
        before = np.maximum(before + coming[:, week] - per_week, 0.0)
        waiting[:, week] = before
    return waiting
