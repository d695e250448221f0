"""From propensity to decision: who is an MQL, who is nurtured, who is let go, who is ready for sales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from features.errors import ConfigurationError, DataError
from models.cutoffs import Cutoff

BANDS = ("mql", "nurture", "let_go")


def default_nurture_level(base_rate: float) -> float:
    """Return the propensity from which a lead below the cutoff is nurtured: half the base rate.

    Letting go is the costlier mistake, since nobody looks again, so the bar is low: a lead goes only
    when it is at most half as likely to convert as the average lead of the calibration window.
    """
    return base_rate / 2


@dataclass(frozen=True)
class Bands:
    """The levels of propensity that part the bands.

    mql
        The cutoff. Where its policy could not be met it has no level, and nobody is an MQL.
    nurture
        Below the cutoff: ``nurture`` at or above this propensity, ``let_go`` below it.
    sales_ready
        A second, stricter propensity from which an MQL is `sales_ready` without having asked; None: only
        those who asked are.

    Raises `ConfigurationError` when a level is not a probability, or the second is below the cutoff.
    """

    mql: Cutoff
    nurture: float
    sales_ready: float | None = None

    def __post_init__(self) -> None:
        for name, level in (("nurture", self.nurture), ("sales_ready", self.sales_ready)):
            if level is not None and not 0.0 <= level <= 1.0:
                raise ConfigurationError(
                    f"The {name} level is {level}.", allowed="a propensity from 0 to 1", where=name
                )
        if self.sales_ready is not None and self.mql.level is not None and self.sales_ready < self.mql.level:
            raise ConfigurationError(
                f"The sales_ready level {self.sales_ready} is below the MQL cutoff {self.mql.level:.4g}.",
                allowed="a stricter level: at or above the cutoff",
                todo="Raise it, or leave it out.",
            )

    def decide(self, propensity: ArrayLike, asked: ArrayLike | None = None) -> pd.DataFrame:
        """Return columns ``band`` (str) and ``sales_ready`` (bool) for each lead.

        Parameters
        ----------
        propensity
            (n,) propensities; the index of a Series is kept.
        asked
            (n,) whether the lead asked for sales (quote, demo, contact); nobody if not given.

        Raises
        ------
        DataError
            A propensity is missing, or the lengths differ.
        """
        p = np.asarray(propensity, dtype=float)
        wants = np.zeros(len(p), dtype=bool) if asked is None else np.asarray(asked, dtype=bool)
        if np.isnan(p).any() or len(p) != len(wants):
            raise DataError(
                f"{len(p)} propensities, {int(np.isnan(p).sum())} of them missing, "
                f"and {len(wants)} leads that asked or not.",
                allowed="one of each for every lead",
            )
        mql = self.mql.passes(p)
        strict = np.zeros(len(p), dtype=bool) if self.sales_ready is None else p >= self.sales_ready
        band = np.select([mql, p >= self.nurture], ["mql", "nurture"], "let_go")
        index = propensity.index if isinstance(propensity, pd.Series) else None
        return pd.DataFrame({"band": band, "sales_ready": mql & (wants | strict)}, index=index)

    def to_dict(self) -> dict[str, Any]:
        """Return the cutoff and the levels, ready for JSON."""
        return {"mql": self.mql.to_dict(), "nurture": self.nurture, "sales_ready": self.sales_ready}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Bands:
        """Rebuild from `to_dict`."""
        return cls(Cutoff.from_dict(data["mql"]), data["nurture"], data.get("sales_ready"))
