"""What says of a lead what nobody could know while it was open.

Functions return, for an attribute, a column in the order of the leads; for a kind or a table of
activities ``lead_id, occurred_at``; for an entity table ``lead_id`` and its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from guard_worlds import World

Rng = np.random.Generator
Make = Callable[[World, Rng], Any]  # a series for an attribute, else a frame


def filled_for(outcome: Literal["won", "lost"], share: float) -> Make:
    """Return a field that is filled after that outcome alone."""

    def make(world: World, rng: Rng) -> pd.Series:
        ended = world.fates["won"] if outcome == "won" else world.lost
        filled = ended & (rng.random(len(ended)) < share)
        return pd.Series(rng.choice(["north", "south", "middle"], len(ended))).where(filled, None)

    return make


def closing_note(world: World, rng: Rng) -> pd.Series:
    """Return a field that is filled after any outcome, and tells which."""
    n = len(world.fates)
    note = np.where(world.fates["won"], rng.choice(["n1", "n2"], n), rng.choice(["n3", "n4", "n5"], n))
    return pd.Series(note).where(world.fates["closed"], None)


def count_today(of_one_kind: bool) -> Make:
    """Return how many activities a lead has on the day of the export."""

    def make(world: World, rng: Rng) -> pd.Series:
        rows = world.activities
        if of_one_kind:
            rows = rows[rows["kind"] == rows["kind"].value_counts().index[0]]
        counts = rows["lead_id"].value_counts()
        return world.fates["lead_id"].map(counts).fillna(0).astype(int)

    return make


def copy_of(fate: Literal["won", "eventual"], flipped: float) -> Make:
    """Return a copy of an end of which a share is flipped: a trap of today's, honest of the eventual."""

    def make(world: World, rng: Rng) -> pd.Series:
        flip = rng.random(len(world.fates)) < flipped
        return pd.Series(np.where(world.fates[fate] ^ flip, "yes", "no"))

    return make


def growing_id(world: World, rng: Rng) -> pd.Series:
    """Return a number that grows with time, with gaps, so that it is no plain row number."""
    gaps = rng.integers(1, 80, len(world.fates)).cumsum()
    return pd.Series(gaps[world.fates["clock"].rank(method="first").astype(int).to_numpy() - 1])


def batch_number(world: World, rng: Rng) -> pd.Series:
    """Return a number that grows with time and that leads of about the same time share."""
    rank = world.fates["clock"].rank(method="first") + rng.normal(0, 40, len(world.fates))
    return (rank.clip(lower=0) // 25).astype(int)


def refreshed_score(world: World, rng: Rng) -> pd.Series:
    """Return a score as of today, which has seen the outcome and all later activities."""
    counts = np.log1p(count_today(of_one_kind=False)(world, rng))
    seen = 14 * world.fates["won"] - (5 * world.lost if world.until is not None else 0)
    return pd.Series(20 + 4 * counts + seen + rng.normal(0, 8, len(counts))).round()


def at_outcome(kinds: Literal["won", "closed"], low: pd.Timedelta, high: pd.Timedelta) -> Make:
    """Return activities between `low` and `high` after the outcome (before it where negative)."""

    def make(world: World, rng: Rng) -> pd.DataFrame:
        rows = world.fates[world.fates[kinds]]
        at = rows["closed_at"] + low + (high - low) * pd.Series(rng.random(len(rows)), index=rows.index)
        at = at.clip(lower=rows["created_at"] + pd.Timedelta(1, "s"))
        return pd.DataFrame({"lead_id": rows["lead_id"], "occurred_at": at})

    return make


def won_entity(world: World, rng: Rng) -> pd.DataFrame:
    """Return a table about won leads alone."""
    rows = world.fates.loc[world.fates["won"], ["lead_id"]]
    n = len(rows)
    return rows.assign(a=rng.choice(["p", "q", "r"], n), b=rng.integers(1, 500, n), c=rng.integers(0, 2, n))
