"""Value and revenue: what contacts cost and customers bring, where the data or the user says so."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.config import Config
from pipeline.deals import amounts_before, segments_of, won_deals
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

    Expected is the sum of propensities times the amount to expect of each lead, learned from the deals won
    before the origin (`models.amounts`); realised the amounts of those of the same leads that won within
    the horizon. None where no deal before the origin has an amount above 0.

    Parameters
    ----------
    open_leads
        The rows of the leads open at the origin.
    """
    origin, won = open_leads["night"].min(), won_deals(dataset)
    amounts = amounts_before(dataset, origin)
    if amounts is None or won is None:
        return None
    each = amounts.expected(segments_of(dataset, open_leads[["lead_id"]].assign(as_of=origin)))
    within = realised_deals(won, open_leads, origin)
    return {
        "expected": float(open_leads["propensity"].to_numpy(float) @ each),
        "realised": float(within["amount"].sum()),
        "without_amount": int(within["amount"].isna().sum()),
        "mean_amount": amounts.mean,
    }


def realised_deals(won: pd.DataFrame, open_leads: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """Return the deals of the open leads that won within the horizon after the origin, one a lead."""
    converted = open_leads[open_leads["label"] == 1].merge(won, on="lead_id", how="left")
    return converted[converted["won_at"] >= origin].sort_values("won_at").drop_duplicates("lead_id")
