"""What the models' learning is given, from a configuration and prepared snapshots."""

from __future__ import annotations

from typing import Any

import pandas as pd

from models.learning import Choices, Examples
from pipeline.config import Config, CutoffConfig
from pipeline.preparation import Prepared


def examples_of(
    prepared: Prepared, features: pd.DataFrame, points: pd.Series | None, config: Config
) -> Examples:
    """Return what `models.learning.learn` learns from."""
    bounds = prepared.bounds
    window = (bounds.decision, bounds.build_until) if bounds else None
    return Examples(
        features,
        prepared.keys,
        points,
        prepared.decision_share,
        window,
        prepared.wins,
        config.decision.hysteresis,
    )


def choices(config: Config) -> Choices:
    """Return what the configuration decides about the model."""
    return Choices(
        seed=config.model.seed,
        members=config.model.members,
        cutoffs=[_policy(cutoff) for cutoff in config.cutoffs],
        nurture=config.decision.nurture_from,
        sales_ready=config.decision.sales_ready_from,
    )


def _policy(cutoff: CutoffConfig) -> tuple[str, dict[str, Any]]:
    parameters = {
        "capacity": {"per_week": cutoff.per_week, "at_least": cutoff.at_least},
        "value": {"cost": cutoff.contact_cost, "value": cutoff.won_value},
        "precision": {"at_least": cutoff.at_least},
        "recall": {"at_least": cutoff.at_least},
        "manual": {"propensity": cutoff.level},
    }[cutoff.policy]
    return cutoff.policy, {**parameters, "confidence": cutoff.confidence}
