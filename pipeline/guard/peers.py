"""Given up, or filled in at the outcome? Leads of the same days that are decided can tell.

A field that nobody asks for any more is missing for all leads created since, decided or not; one that
is filled in at the outcome is missing for the undecided alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Days of creation are compared in parts of equal count of undecided leads, each with so many decided.
PARTS = 8
LEAST_DECIDED = 10
# With fewer undecided leads to compare, peers cannot tell.
LEAST_UNDECIDED = 15
# Standard errors: one in a hundred by chance, for it only confirms what was found otherwise.
CONFIRMS = 2.33
ROUNDING = 1e-9


class Peers:
    """The leads undecided now, beside decided ones created at about the same time.

    Parameters
    ----------
    born
        (leads,) when each was created, or its place in the table: any number that grows with time.
    decided
        (leads,) whether its outcome is known by now.
    undecided
        Positions of the leads undecided now.
    """

    def __init__(self, born: Floats, decided: NDArray[np.bool_], undecided: NDArray[np.int64]) -> None:
        edges = np.unique(np.quantile(born[undecided], np.arange(1, PARTS) / PARTS))
        self.part = np.searchsorted(edges, born, side="right")
        self.decided = decided
        count = np.bincount(self.part[decided], minlength=PARTS)
        self.undecided = undecided[count[self.part[undecided]] >= LEAST_DECIDED]

    def confirm(self, score: Floats, rises: bool, design: float) -> bool:
        """Return whether the score (leads,) of the undecided differs from that of decided peers.

        In the direction given; also where there are too few peers to tell. `design` is by how much
        leads of one group inflate the variance.
        """
        if len(self.undecided) < LEAST_UNDECIDED:
            return True
        part, decided = self.part[self.undecided], score[self.decided]
        weight = np.bincount(part, minlength=PARTS) / len(part)
        count = np.maximum(np.bincount(self.part[self.decided], minlength=PARTS), 1)
        mean = np.bincount(self.part[self.decided], decided, minlength=PARTS) / count
        square = np.bincount(self.part[self.decided], decided**2, minlength=PARTS) / count
        variance = np.maximum(square - mean**2, 0.0)
        difference = float(score[self.undecided].mean() - weight @ mean)
        error = np.sqrt(design * (weight @ variance / len(part) + weight**2 @ (variance / count)))
        return (difference if rises else -difference) > max(CONFIRMS * float(error), ROUNDING)
