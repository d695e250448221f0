"""The known truth: the probability of winning for any lead and moment, from the exported files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.dataset

from features.errors import ConfigurationError, DataError, listed
from pipeline.simulation.activities import NEVER
from pipeline.simulation.hazard import Situation, win_within
from pipeline.simulation.moments import Events, Ints, code, first_of
from pipeline.simulation.rhythm import Floats, Rhythms, span
from pipeline.simulation.situations import situations
from pipeline.simulation.traits import Multipliers, traits_of
from pipeline.simulation.world import HORIZON_LIMIT_DAYS, World, read_world

_LEADS = ["lead_id", "created_at", "email", "industry", "company_size", "job_title", "source"]


def win_probability(directory: Path, keys: pd.DataFrame, horizon: timedelta) -> Floats:
    """Return the true probability that each lead is won within (as_of, as_of + horizon].

    It is conditional on all that the exported tables say of the lead strictly before ``as_of``, and on
    the lead being open then; whether sales has taken the lead over changes nothing.

    Parameters
    ----------
    directory
        A folder written by `simulate`.
    keys
        Columns ``lead_id`` (text) and ``as_of`` (times; naive ones are UTC); any order, repeats allowed.
    horizon
        At most 365 days.

    Returns
    -------
    Shape (len(keys),). NaN where the lead was not yet created or no longer open at ``as_of``.

    Raises
    ------
    DataError
        When a lead is unknown, or `directory` holds no truth.
    ConfigurationError
        When the horizon is not positive or too long, or an ``as_of`` lies after the end of the log.
    """
    world = read_world(directory)
    rhythms = Rhythms.of(world)
    as_of = _seconds(world, keys["as_of"])
    _check(world, as_of, span(horizon))
    known, now = _open_then(directory, world, rhythms, keys, as_of)
    found = np.full(len(keys), np.nan)
    found[known] = win_within(world, rhythms, now, [span(horizon)])[:, 0]
    return found


def _open_then(
    directory: Path, world: World, rhythms: Rhythms, keys: pd.DataFrame, as_of: Ints
) -> tuple[npt.NDArray[np.bool_], Situation]:
    """Return which keys are of leads that were open, and the situations of those."""
    leads, lead = _leads(directory, keys)
    created, closed = _seconds(world, leads["created_at"]), _closed(directory, world, leads)
    known = (created[lead] < as_of) & (as_of < closed[lead])
    events = _events(directory, world, leads)
    gone = events.are("unsubscribed")
    unsubscribed = first_of(events.lead[gone], events.at[gone], len(leads), NEVER)
    effect = Multipliers.of(world, traits_of(world, leads))
    return known, situations(world, rhythms, lead[known], as_of[known], created, effect, events, unsubscribed)


def _check(world: World, as_of: Ints, horizon: float) -> None:
    if not 0 < horizon <= HORIZON_LIMIT_DAYS:
        raise ConfigurationError(
            f"The truth is not known for a horizon of {horizon:g} days.",
            allowed=f"more than 0 and at most {HORIZON_LIMIT_DAYS:g} days",
        )
    if len(as_of) and as_of.max() > world.end * 86400:
        raise ConfigurationError(
            "A moment lies after the end of the simulated log.",
            allowed=f"as_of up to {world.ended.isoformat()}",
            where="column as_of",
        )


def _leads(directory: Path, keys: pd.DataFrame) -> tuple[pd.DataFrame, Ints]:
    """Return the leads that occur in `keys`, and the row there of each key."""
    leads = pd.read_csv(directory / "leads.csv", usecols=_LEADS, dtype="str")
    wanted = keys["lead_id"].astype("str")
    leads = leads[leads["lead_id"].isin(wanted)].reset_index(drop=True)
    lead = pd.Index(leads["lead_id"]).get_indexer(pd.Index(wanted)).astype(np.int64)
    if (lead < 0).any():
        unknown = wanted[lead < 0].unique()
        raise DataError(
            f"{len(unknown)} leads are not in the simulated CRM.",
            where=f"{directory / 'leads.csv'}, for example {listed(unknown, 3)}",
            todo="ask for leads of this simulation only",
        )
    return leads, lead


def _closed(directory: Path, world: World, leads: pd.DataFrame) -> Ints:
    outcomes = pd.read_csv(directory / "outcomes.csv", usecols=["lead_id", "closed_at"], dtype="str")
    outcomes = outcomes[outcomes["lead_id"].isin(leads["lead_id"])]
    closed = np.full(len(leads), NEVER)
    rows = pd.Index(leads["lead_id"]).get_indexer(pd.Index(outcomes["lead_id"]))
    closed[rows] = _seconds(world, outcomes["closed_at"])
    return closed


def _events(directory: Path, world: World, leads: pd.DataFrame) -> Events:
    kinds = [*world.strengths, "webinar_registered", "unsubscribed"]
    files = [str(directory / "web.parquet"), str(directory / "marketing.parquet")]
    column = pyarrow.dataset.field
    table = pyarrow.dataset.dataset(files).to_table(
        columns=["lead_id", "occurred_at", "kind"], filter=column("kind").isin(kinds)
    )
    frame = table.to_pandas()
    frame = frame[frame["lead_id"].isin(leads["lead_id"])]
    lead = pd.Index(leads["lead_id"]).get_indexer(pd.Index(frame["lead_id"])).astype(np.int64)
    at = _seconds(world, frame["occurred_at"])
    kind = frame["kind"].map({name: code(name) for name in kinds}).to_numpy(np.int8)
    order = np.lexsort((at, lead))
    return Events(lead[order], at[order], kind[order])


def _seconds(world: World, times: pd.Series) -> Ints:
    """Return times as whole seconds since the start, rounded up: all before stays strictly before."""
    moments = pd.to_datetime(times, utc=True).dt.as_unit("us").to_numpy("datetime64[us]").astype(np.int64)
    start = int(world.started.timestamp()) * 1_000_000
    return np.asarray(-((start - moments) // 1_000_000), dtype=np.int64)
