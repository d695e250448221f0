"""What a model saw in some leads that it did not see in the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

# Means further apart than so many standard errors are no accident: tens of concepts are compared, several
# times, and what few leads did makes their contributions skewed.
CLEAR = 4.0
LEAST_ROWS = 10


class Contrast(NamedTuple):
    """A concept, and how much more it added to the margin of the chosen than of the others (log-odds)."""

    concept: str
    difference: float


def contrasts(concepts: pd.DataFrame, chosen: ArrayLike) -> tuple[Contrast | None, Contrast | None]:
    """Return the concept that spoke most for the chosen rows, and the one that spoke most against them.

    Parameters
    ----------
    concepts
        (n, k) contributions by concept, one row a lead.
    chosen
        (n,) whether a row is among those asked about; the others are what it is compared with.

    Returns
    -------
    None for either where no difference is clear, or there are too few rows to tell.
    """
    inside = np.asarray(chosen, dtype=bool)
    if min(inside.sum(), (~inside).sum()) < LEAST_ROWS or not concepts.shape[1]:
        return None, None
    one, other = concepts[inside], concepts[~inside]
    difference = (one.mean() - other.mean()).to_numpy()
    # The spread of all: a group where nobody did a rare thing has none, and would look very sure of it.
    error = np.sqrt(concepts.var(ddof=1) * (1 / len(one) + 1 / len(other))).to_numpy()
    clear = np.where(np.abs(difference) > CLEAR * error, difference, 0.0)
    return _named(concepts, clear, int(clear.argmax()), 1), _named(concepts, clear, int(clear.argmin()), -1)


def _named(concepts: pd.DataFrame, clear: np.ndarray, place: int, sign: int) -> Contrast | None:
    return Contrast(str(concepts.columns[place]), float(clear[place])) if sign * clear[place] > 0 else None


def residuals(counts: pd.DataFrame) -> pd.DataFrame:
    """Return how far each cell of a table of counts (r, c) is from what its row and column let expect.

    In standard deviations (adjusted residuals, Haberman 1973); 0 where nothing was expected.
    """
    n = counts.to_numpy(dtype=float)
    total = n.sum()
    if not total:
        return counts * 0.0
    row, column = n.sum(axis=1, keepdims=True) / total, n.sum(axis=0, keepdims=True) / total
    spread = np.sqrt(total * row * column * (1 - row) * (1 - column))
    found = np.divide(n - total * row * column, spread, out=np.zeros_like(n), where=spread > 0)
    return pd.DataFrame(found, index=counts.index, columns=counts.columns)
