"""Projects to plant in: their leads, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from pipeline.config import Config
from pipeline.config_tables import OpenWhen
from pipeline.source.dataset import Dataset, load

DAY = pd.Timedelta(1, "D")


@dataclass(frozen=True)
class World:
    """A project as it is, with what became of its leads.

    Attributes
    ----------
    config
        Its configuration.
    raw
        Its leads table, every cell as text, in the file's order.
    fates
        One row a lead, in the same order: lead_id, clock (grows with creation), created_at and
        until (when its open life ended, or the log), closed_at, closed, won, and eventual: whether it was
        or will be won.
    activities
        lead_id, kind, occurred_at of all activities up to the day of the export, later ones too.
    until
        When the log ends; None without times.
    """

    name: str
    config: Config
    raw: pd.DataFrame
    fates: pd.DataFrame
    activities: pd.DataFrame
    until: pd.Timestamp | None

    @property
    def lost(self) -> pd.Series:
        """Whether each lead ended without a win; in a flat table, every row that is not won."""
        return self.fates["closed"] & ~self.fates["won"]


def read_world(name: str, config: Config, now: datetime, seed: int = 0) -> World:
    """Read a project and draw how its open leads will end."""
    dataset = load(config, now)
    raw = _raw_leads(config)
    ids = raw[config.leads.id] if config.leads.id else pd.Series(np.arange(1, len(raw) + 1).astype(str))
    activities = dataset.activities_all.select("lead_id", "kind", "occurred_at").to_pandas()
    if dataset.labels is not None:
        return World(name, config, raw, _flat_fates(dataset, ids), activities, None)
    assert dataset.observed_until is not None, "outcomes say until when they are complete"
    until = pd.Timestamp(dataset.observed_until)
    fates = _timed_fates(dataset, ids, until)
    fates["eventual"] = eventual(fates, np.random.default_rng([seed, 1]))
    return World(name, config, raw, fates, activities, until)


def _flat_fates(dataset: Dataset, ids: pd.Series) -> pd.DataFrame:
    assert dataset.labels is not None, "a flat table has labels"
    labels = dataset.labels.select("lead_id", "label", "position").to_pandas().set_index("lead_id").loc[ids]
    fates = pd.DataFrame({"lead_id": ids, "clock": labels["position"].to_numpy()})
    fates["closed"] = labels["label"].notna().to_numpy()
    fates["won"] = fates["eventual"] = (labels["label"] == 1).to_numpy()
    return fates


def _timed_fates(dataset: Dataset, ids: pd.Series, until: pd.Timestamp) -> pd.DataFrame:
    assert dataset.outcomes is not None, "a table with times has outcomes"
    created = dataset.tables.leads.select("lead_id", "created_at").to_pandas().set_index("lead_id")
    ends = dataset.outcomes.select("lead_id", "outcome", "closed_at").to_pandas().sort_values("closed_at")
    ends = ends.drop_duplicates("lead_id").set_index("lead_id").reindex(ids)
    fates = pd.DataFrame({"lead_id": ids, "created_at": created.loc[ids, "created_at"].to_numpy()})
    fates["closed_at"] = ends["closed_at"].to_numpy()
    fates["closed"], fates["won"] = ends["outcome"].notna().to_numpy(), (ends["outcome"] == "won").to_numpy()
    fates["until"] = fates["closed_at"].fillna(until)
    fates["clock"] = (fates["created_at"] - fates["created_at"].min()) / DAY
    return fates


def _raw_leads(config: Config) -> pd.DataFrame:
    path = config.root / config.leads.table
    return pd.read_csv(path, sep=config.leads.separator or ",", dtype=str, keep_default_na=False)


def eventual(fates: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Draw how open leads will end, by the Aalen-Johansen estimate given the age they reached."""
    age = ((fates["until"] - fates["created_at"]) / DAY).clip(lower=0).to_numpy()
    order = np.argsort(age, kind="stable")
    at_risk = np.arange(len(age), 0, -1)
    closed, won = fates["closed"].to_numpy()[order], fates["won"].to_numpy()[order]
    alive = np.cumprod(1 - closed / at_risk)
    incidence = np.cumsum(np.append(1.0, alive[:-1]) * won / at_risk)
    still = (incidence[-1] - incidence) / np.maximum(alive, 1e-9)
    chance = np.empty(len(age))
    chance[order] = np.clip(still, 0, 1)
    return fates["won"] | (~fates["closed"] & (rng.random(len(age)) < chance))


def with_open_rows(world: World, share: float = 0.2) -> World:
    """Return a flat world in which the newest rows are leads to be scored, their label unseen."""
    is_open = world.fates["clock"].rank(pct=True) > 1 - share
    leads = world.config.leads
    state = pd.Series(np.where(is_open, "open", "done"))
    raw = world.raw.assign(**{"row state": state, str(leads.label): world.raw[leads.label].mask(is_open, "")})
    opened = leads.model_copy(update={"open_when": OpenWhen(column="row state", values=["open"])})
    fates = world.fates.assign(closed=~is_open, won=world.fates["won"] & ~is_open)
    config = world.config.model_copy(update={"leads": opened})
    return replace(world, name=f"{world.name}, with open rows", config=config, raw=raw, fates=fates)


def auc(column: pd.Series, won: pd.Series) -> float:
    """Return how well one column alone ranks the won: categories by their rate, missing as one more."""
    if not pd.api.types.is_numeric_dtype(column) or column.isna().any():
        bins = pd.qcut(column, 10, duplicates="drop") if pd.api.types.is_numeric_dtype(column) else column
        column = won.groupby(bins.astype(str).fillna("missing").to_numpy()).transform("mean")
    found = roc_auc_score(won, column)
    return max(found, 1 - found)
