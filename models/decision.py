"""From propensity to decision: who is an MQL, who is nurtured, who is let go, who is ready for sales.

A lead that hovers about a level would change its band with every click. So a band is entered at its
level and lost only further down (hysteresis): one state machine, `settle`, decides when scores are
written, from the last band written, and when the past is replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from features.errors import ConfigurationError, DataError, listed
from models.cutoffs import Cutoff

BANDS = ("mql", "nurture", "let_go")


def default_nurture_level(base_rate: float) -> float:
    """Return the propensity from which a lead below the cutoff is nurtured: half the base rate.

    Letting go is the costlier mistake, since nobody looks again, so the bar is low: a lead goes only
    when it is at most half as likely to convert as the average lead of the calibration window.
    """
    return base_rate / 2


def keep_level(level: float, hysteresis: float) -> float:
    """Return the propensity down to which a band entered at `level` is kept: so many log-odds below it."""
    return float(expit(logit(level) - hysteresis)) if hysteresis else level


def settle(
    propensity: ArrayLike,
    last: ArrayLike | None,
    *,
    mql: float | None,
    nurture: float,
    hysteresis: float = 0.0,
) -> NDArray[np.str_]:
    """Return the band (n,) of each lead, given its propensity and the band it was last in.

    A band is entered at its level. A lead that was in it, or in a better one, keeps it until its
    propensity falls more than `hysteresis` log-odds below the level. So what the last band changes is
    never who enters, only who stays: first crossings do not depend on the hysteresis.

    Parameters
    ----------
    propensity
        (n,) calibrated propensities; the scale of the levels.
    last
        (n,) the band last written, or None where there was none; None if there is none at all.
    mql, nurture
        The levels; `mql` None: nobody is an MQL, whatever it was before.
    hysteresis
        In log-odds of the propensity, at least 0.
    """
    p = np.asarray(propensity, dtype=float)
    before = np.full(len(p), None, dtype=object) if last is None else np.asarray(last, dtype=object)

    def holds(level: float, had: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return (p >= level) | (had & (p >= keep_level(level, hysteresis)))

    was_mql = before == "mql"
    is_mql = np.zeros(len(p), dtype=bool) if mql is None else holds(mql, was_mql)
    return np.select([is_mql, holds(nurture, was_mql | (before == "nurture"))], ["mql", "nurture"], "let_go")


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
    hysteresis
        How many log-odds below the level of its band a lead may fall before it loses the band.

    Raises `ConfigurationError` when a level is not a probability, the second is below the cutoff, or the
    hysteresis is negative.
    """

    mql: Cutoff
    nurture: float
    sales_ready: float | None = None
    hysteresis: float = 0.0

    def __post_init__(self) -> None:
        for name, level in (("nurture", self.nurture), ("sales_ready", self.sales_ready)):
            if level is not None and not 0.0 <= level <= 1.0:
                raise ConfigurationError(
                    f"The {name} level is {level}.", allowed="a propensity from 0 to 1", where=name
                )
        if not 0.0 <= self.hysteresis < np.inf:
            raise ConfigurationError(
                f"A hysteresis of {self.hysteresis}.", allowed="log-odds, 0 or more", where="hysteresis"
            )
        if self.sales_ready is not None and self.mql.level is not None and self.sales_ready < self.mql.level:
            raise ConfigurationError(
                f"The sales_ready level {self.sales_ready} is below the MQL cutoff {self.mql.level:.4g}.",
                allowed="a stricter level: at or above the cutoff",
                todo="Raise it, or leave it out.",
            )

    def decide(
        self, propensity: ArrayLike, asked: ArrayLike | None = None, last: ArrayLike | None = None
    ) -> pd.DataFrame:
        """Return columns ``band`` (str) and ``sales_ready`` (bool) for each lead.

        Parameters
        ----------
        propensity
            (n,) propensities; the index of a Series is kept.
        asked
            (n,) whether the lead asked for sales (quote, demo, contact); nobody if not given.
        last
            (n,) the band last written for each lead, None (or missing) where there was none.

        Raises
        ------
        DataError
            A propensity is missing, the lengths differ, or a last band is none that there is.
        """
        p = np.asarray(propensity, dtype=float)
        wants = np.zeros(len(p), dtype=bool) if asked is None else np.asarray(asked, dtype=bool)
        if np.isnan(p).any() or len(p) != len(wants):
            raise DataError(
                f"{len(p)} propensities, {int(np.isnan(p).sum())} of them missing, "
                f"and {len(wants)} leads that asked or not.",
                allowed="one of each for every lead",
            )
        band = self.settle(p, _known(last, len(p)))
        mql = band == "mql"
        strict = np.zeros(len(p), dtype=bool) if self.sales_ready is None else p >= self.sales_ready
        index = propensity.index if isinstance(propensity, pd.Series) else None
        return pd.DataFrame({"band": band, "sales_ready": mql & (wants | strict)}, index=index)

    def settle(self, propensity: ArrayLike, last: ArrayLike | None) -> NDArray[np.str_]:
        """Return the band (n,) of each lead with these levels; see `settle`."""
        return settle(propensity, last, mql=self.mql.level, nurture=self.nurture, hysteresis=self.hysteresis)

    def to_dict(self) -> dict[str, Any]:
        """Return the cutoff and the levels, ready for JSON."""
        return {
            "mql": self.mql.to_dict(),
            "nurture": self.nurture,
            "sales_ready": self.sales_ready,
            "hysteresis": self.hysteresis,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Bands:
        """Rebuild from `to_dict`."""
        return cls(
            Cutoff.from_dict(data["mql"]),
            data["nurture"],
            data.get("sales_ready"),
            data.get("hysteresis", 0.0),
        )


def _known(last: ArrayLike | None, leads: int) -> NDArray[np.object_] | None:
    """Return the last bands, None where one is missing. Raises `DataError` for what is no band."""
    if last is None:
        return None
    bands = np.array(last, dtype=object)
    bands[pd.isna(bands)] = None
    unknown = sorted({str(band) for band in bands if band is not None and band not in BANDS})
    if len(bands) != leads or unknown:
        raise DataError(
            f"{len(bands)} last bands for {leads} leads"
            + (f", among them {listed(unknown)}." if unknown else "."),
            allowed=f"{listed(BANDS)}, or none, for every lead",
        )
    return bands


def replayed(snapshots: pd.DataFrame, bands: Bands) -> pd.Series:
    """Return the band in which each snapshot would have put its lead, one after the other.

    `snapshots` are ``lead_id, as_of, propensity``, any order; the index is kept.
    """
    ordered = snapshots.sort_values(["lead_id", "as_of"], kind="stable")
    turn = ordered.groupby("lead_id", sort=False).cumcount().to_numpy()
    lead = pd.factorize(ordered["lead_id"])[0]
    last = np.full(lead.max() + 1 if len(lead) else 0, None, dtype=object)
    found = np.full(len(ordered), None, dtype=object)
    p = ordered["propensity"].to_numpy(float)
    for now in range(turn.max() + 1 if len(turn) else 0):
        rows = np.flatnonzero(turn == now)
        found[rows] = bands.settle(p[rows], last[lead[rows]])
        last[lead[rows]] = found[rows]
    return pd.Series(found, index=ordered.index).reindex(snapshots.index)


def comings_and_goings(snapshots: pd.DataFrame, bands: Bands) -> dict[str, Any]:
    """Return what the hysteresis spares people: how often a lead lost the MQL band and got it back.

    ``lost`` and ``again`` with the hysteresis in force, ``again_without`` if there were none; of
    ``mqls`` leads that were MQLs at any time.
    """

    def count(of: Bands) -> tuple[int, int, int]:
        is_mql = replayed(ordered, of).eq("mql")
        before = is_mql.groupby(ordered["lead_id"], sort=False).shift(fill_value=False)
        entered = (is_mql & ~before).groupby(ordered["lead_id"]).sum()
        return int((entered > 0).sum()), int((before & ~is_mql).sum()), int((entered - 1).clip(lower=0).sum())

    ordered = snapshots.sort_values(["lead_id", "as_of"], kind="stable")
    mqls, lost, again = count(bands)
    without = Bands(bands.mql, bands.nurture, bands.sales_ready)
    return {
        "log_odds": bands.hysteresis,
        "mqls": mqls,
        "lost": lost,
        "again": again,
        "again_without": count(without)[2],
    }
