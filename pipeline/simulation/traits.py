"""What the recorded attributes of leads imply: the multipliers of their hazards and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.simulation.rhythm import Floats
from pipeline.simulation.world import World

TRAITS = ("industry", "company_size", "seniority", "email_class", "source")


@dataclass(frozen=True)
class Multipliers:
    """One multiplier a lead, each of shape (leads,): of winning, acting, asking for sales and leaving."""

    fit: Floats
    level: Floats
    asking: Floats
    exit: Floats

    @classmethod
    def of(cls, world: World, traits: pd.DataFrame) -> Multipliers:
        """Return the multipliers of leads with these `traits` (categorical columns `TRAITS`)."""
        fit = _sum_of(world.fit_effects, traits)
        for column, level, other, other_level, effect in world.interactions:
            fit += effect * ((traits[column] == level) & (traits[other] == other_level)).to_numpy()
        return cls(
            fit=np.exp(fit),
            level=np.exp(_sum_of(world.activity_effects, traits)),
            asking=np.exp(_sum_of(world.asking_effects, traits)),
            exit=np.exp(_sum_of(world.exit_effects, traits)),
        )


def _sum_of(effects: Mapping[str, Mapping[str, float]], traits: pd.DataFrame) -> Floats:
    total = np.zeros(len(traits))
    for column, levels in effects.items():
        values = traits[column].cat
        by_code = np.array([levels.get(str(name), 0.0) for name in values.categories] + [0.0])
        total += by_code[values.codes.to_numpy()]  # a missing value has code -1: the last, no effect
    return total


def traits_of(world: World, leads: pd.DataFrame) -> pd.DataFrame:
    """Return the traits of an exported leads table: as recorded, seniority and e-mail class derived."""
    domain = leads["email"].str.rpartition("@")[2].str.lower()
    email_class = domain.map(world.domains).fillna("corporate").where(leads["email"].notna(), "missing")
    return pd.DataFrame(
        {
            "industry": leads["industry"],
            "company_size": leads["company_size"],
            "seniority": leads["job_title"].map(world.titles),
            "email_class": email_class,
            "source": leads["source"],
        },
        index=leads.index,
    ).astype("category")
