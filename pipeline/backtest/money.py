"""Value and revenue: what contacts cost and customers bring, where the data or the user says so."""

from __future__ import annotations

from typing import Any

import pandas as pd
from ibis import _

from pipeline.config import Config
from pipeline.source.dataset import Dataset


def value_of(config: Config, counts: dict[str, int]) -> dict[str, float]:
    """Return the net value of contacts and customers by the configured value cutoff, or nothing."""
    for cutoff in config.cutoffs:
        if cutoff.contact_cost is not None and cutoff.won_value is not None:
            return {
                "value": cutoff.won_value * counts["customers"] - cutoff.contact_cost * counts["contacts"]
            }
    return {}


def revenue(dataset: Dataset, open_leads: pd.DataFrame) -> dict[str, Any] | None:
    """Return the revenue that the propensities announced at an origin, and what came in.

    Expected is the sum of propensities times the mean amount of the deals won before the origin;
    realised the amounts of those of the same leads that won within the horizon. None where no deal
    before the origin has an amount.

    Parameters
    ----------
    open_leads
        The rows of the leads open at the origin.
    """
    won = _won(dataset)
    if won is None:
        return None
    origin = open_leads["night"].min()
    before = won.loc[won["won_at"] < origin, "amount"].dropna()
    if not len(before):
        return None
    converted = open_leads[open_leads["label"] == 1].merge(won, on="lead_id", how="left")
    within = converted[converted["won_at"] >= origin].sort_values("won_at").drop_duplicates("lead_id")
    return {
        "expected": float(open_leads["propensity"].sum() * before.mean()),
        "realised": float(within["amount"].sum()),
        "without_amount": int(within["amount"].isna().sum()),
        "mean_amount": float(before.mean()),
    }


def _won(dataset: Dataset) -> pd.DataFrame | None:
    """Return lead_id, won_at and amount of the wins, or None where no amount is configured or known."""
    config = dataset.config.outcomes
    if config is None or dataset.outcomes is None or (config.amount is None and not config.from_activities):
        return None
    wins = dataset.outcomes.filter(_.outcome == "won")
    return wins.select("lead_id", won_at=_.closed_at, amount=_.amount.cast("float64")).to_pandas()
