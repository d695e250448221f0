"""By time: the margin of leads as their history is replayed up to their outcome.

A margin that leaps in the last hour before the win was moved by something that comes with the win,
not by something that foretells it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from features.errors import ConfigurationError, DataError, nearest
from models.bundle import Bundle
from models.evaluation import auc
from models.separation import folds_of
from pipeline import featuring
from pipeline import snapshots as snap
from pipeline.durations import format_duration
from pipeline.preparation import Prepared
from pipeline.source.dataset import Dataset

OFFSETS = (
    timedelta(days=30), timedelta(days=14), timedelta(days=7), timedelta(days=3), timedelta(days=1),
    timedelta(hours=6), timedelta(hours=1), timedelta(minutes=5),
)  # fmt: skip
LAST_HOUR = timedelta(hours=1)
# Leads that the model was not fitted on.
UNSEEN = ("decision", "test", "test_by_age")
MOST_LEADS = 300
# Medians of fewer leads are noise.
LEAST_LEADS = 20
# Log-odds: the last hour trebles the odds of those who win, which no hour of behaviour does to most.
LEAP = 1.0


@dataclass(frozen=True)
class Moment:
    """All replayed leads at one distance from their outcome: median margins, and how well they rank."""

    before: str
    won: int
    others: int
    margin_won: float | None
    margin_others: float | None
    auc: float | None


@dataclass(frozen=True)
class Replay:
    """Margins of won and of lost leads on the way to their outcome.

    ``concept`` is what moves the margins of won leads most in the last hour, by ``leap`` log-odds
    in the mean; ``finding`` says so if the last hour is out of proportion, else it is "".
    """

    moments: tuple[Moment, ...]
    concept: str | None
    leap: float | None
    finding: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def replay(dataset: Dataset, prepared: Prepared, bundle: Bundle, *, most: int = MOST_LEADS) -> Replay | None:
    """Replay up to `most` won and as many lost leads that the bundle was not fitted on.

    Returns None for a flat table, which has no times, and where too few leads have an outcome.
    """
    if dataset.outcomes is None:
        return None
    ended = _ended(dataset, prepared, most)
    if ended["won"].sum() < LEAST_LEADS or (~ended["won"]).sum() < LEAST_LEADS:
        return None
    wanted = pd.concat([
        ended.assign(before=place, as_of=ended["closed_at"] - offset) for place, offset in enumerate(OFFSETS)
    ])  # fmt: skip
    wanted = wanted[wanted["as_of"] > wanted["opened_at"]]
    keys, snapshots = _snapshots(dataset, wanted)
    features = featuring.features_of(dataset, snapshots, bundle.vocabulary).loc[keys.index]
    keys["margin"] = bundle.classifier.member_margins(features).mean(axis=1)
    moments = tuple(_moment(keys[keys["before"] == place], offset) for place, offset in enumerate(OFFSETS))
    concept, leap = _last_hour(keys, bundle, features)
    return Replay(moments, concept, leap, _finding(keys, concept))


def replay_lead(dataset: Dataset, bundle: Bundle, lead_id: str, moments: Sequence[datetime]) -> pd.DataFrame:
    """Return one lead's margin and propensity as they would have been at some moments.

    Parameters
    ----------
    moments
        Naive UTC. Those before the lead was created or after it was closed are left out.

    Returns
    -------
    DataFrame
        Columns as_of, margin, propensity; one row a moment, ascending.

    Raises
    ------
    DataError
        There is no such lead.
    ConfigurationError
        The project is a flat table, in which nothing has a time.
    """
    if dataset.outcomes is None:
        raise ConfigurationError("A flat table has no times: no lead's history can be replayed.")
    spans = snap.episodes(dataset, for_scoring=True).filter(_.lead_id == lead_id)
    spans = spans.select("lead_id", "opened_at", "closed_at").to_pandas()
    if spans.empty:
        ids = dataset.tables.leads.lead_id.execute().tolist()
        raise DataError(f"There is no lead '{lead_id}'.", todo=nearest(lead_id, ids))
    times = pd.DataFrame({"as_of": pd.to_datetime(sorted(set(moments))).astype("datetime64[us]")})
    wanted = spans.merge(times, how="cross")
    is_open = (wanted["opened_at"] < wanted["as_of"]) & ~(wanted["closed_at"] < wanted["as_of"])
    wanted = wanted[is_open]
    if wanted.empty:
        return pd.DataFrame({"as_of": wanted["as_of"], "margin": [], "propensity": []})
    keys, snapshots = _snapshots(dataset, wanted)
    features = featuring.features_of(dataset, snapshots, bundle.vocabulary).loc[keys.index]
    keys["margin"] = bundle.classifier.member_margins(features).mean(axis=1)
    keys["propensity"] = bundle.calibrator.predict(keys["margin"])
    return keys[["as_of", "margin", "propensity"]].sort_values("as_of", ignore_index=True)


def _ended(dataset: Dataset, prepared: Prepared, most: int) -> pd.DataFrame:
    """Return a sample of leads with an outcome: lead_id, opened_at, closed_at, won."""
    spans = snap.episodes(dataset).filter(_.closed_at.notnull() & (_.outcome != "excluded"))
    table = spans.select("lead_id", "opened_at", "closed_at", "outcome").to_pandas()
    table = table[table["lead_id"].isin(prepared.rows(*UNSEEN)["lead_id"])]
    table = table[~table["lead_id"].isin(prepared.rows("train", "stopping", "calibration")["lead_id"])]
    table["won"] = table["outcome"] == "won"
    drawn = table.iloc[np.argsort(folds_of(table["lead_id"], 2**31), kind="stable")]
    return drawn.groupby("won").head(most)


def _snapshots(dataset: Dataset, wanted: pd.DataFrame) -> tuple[pd.DataFrame, ir.Table]:
    """Number the wanted keys and return them, index snapshot, beside the canonical snapshots."""
    keys = wanted.sort_values(["lead_id", "as_of"]).reset_index(drop=True)
    keys.index = pd.Index(np.arange(len(keys), dtype=np.int64), name="snapshot")
    rows = keys[["lead_id", "as_of"]].astype({"as_of": "datetime64[us]"})
    table = ibis.memtable(rows, schema={"lead_id": "string", "as_of": "timestamp(6)"})
    numbered = snap.numbered(dataset, table)
    return keys, numbered.select("snapshot", "lead_id", "as_of", "as_of_local")


def _moment(keys: pd.DataFrame, offset: timedelta) -> Moment:
    won, others = keys.loc[keys["won"], "margin"], keys.loc[~keys["won"], "margin"]
    enough = min(len(won), len(others)) >= LEAST_LEADS
    return Moment(
        format_duration(offset),
        len(won),
        len(others),
        float(won.median()) if enough else None,
        float(others.median()) if enough else None,
        auc(keys["won"], 1 / (1 + np.exp(-keys["margin"]))) if enough else None,
    )


def _pairs(keys: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the won leads an hour before the outcome and at the last moment, row by row the same."""
    won = keys[keys["won"]].reset_index()
    start = won[won["before"] == OFFSETS.index(LAST_HOUR)].set_index("lead_id")
    end = won[won["before"] == len(OFFSETS) - 1].set_index("lead_id")
    both = start.index.intersection(end.index)
    return start.loc[both], end.loc[both]


def _last_hour(keys: pd.DataFrame, bundle: Bundle, features: pd.DataFrame) -> tuple[str | None, float | None]:
    """Return the concept that raises the margins of won leads most in the last hour, and by how much."""
    start, end = _pairs(keys)
    if len(start) < LEAST_LEADS:
        return None, None
    concept_of = bundle.concept_of
    added = [bundle.classifier.contributions(features.loc[part["snapshot"]]).mean() for part in (start, end)]
    change = added[1] - added[0]
    by_concept = change.groupby([concept_of[str(name)] for name in change.index]).sum()
    concept = str(by_concept.idxmax())
    return concept, float(by_concept[concept])


def _finding(keys: pd.DataFrame, concept: str | None) -> str:
    """Say it where the last hour moves the won leads, and not the others, more than all time before."""
    start, end = _pairs(keys)
    if len(start) < LEAST_LEADS:
        return ""
    first, last = float(start["margin"].median()), float(end["margin"].median())
    leap = float((end["margin"] - start["margin"]).median())
    others_start, others_end = _pairs(keys.assign(won=~keys["won"]))
    others = float((others_end["margin"] - others_start["margin"]).median()) if len(others_start) else 0.0
    if leap - max(others, 0.0) < LEAP:
        return ""
    return (
        f"Within the last hour the margin of won leads leaps by {leap:.1f}, from {first:.1f} to "
        f"{last:.1f} in the median, that of others by {others:.1f}: something is recorded with the win. "
        f"What moves it most is '{concept}'."
    )
