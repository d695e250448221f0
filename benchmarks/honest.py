"""What was known when the lead was created, or done in its open life, however well it separates.

The functions return what those in `traps` return.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
from guard_worlds import DAY, World, auc
from traps import Make, Rng, refreshed_score


def known_at_creation(target: float) -> Make:
    """Return a number known at creation whose AUC on the leads' eventual ends is `target`."""

    def make(world: World, rng: Rng) -> pd.Series:
        apart = 2**0.5 * NormalDist().inv_cdf(target)
        return pd.Series(rng.normal(0, 1, len(world.fates)) + apart * world.fates["eventual"]).round(2)

    return make


def like_the_score(world: World, rng: Rng) -> pd.Series:
    """Return a number known at creation that separates decided leads as well as `refreshed_score`."""
    closed = world.fates["closed"] if world.lost.any() else world.fates["closed"] | True
    measured = auc(refreshed_score(world, rng)[closed], world.fates.loc[closed, "won"])
    return known_at_creation(measured)(world, rng)


def filled_by(shares: tuple[float, float], noise: float = 0.0) -> Make:
    """Return a field filled at creation for a share of the (eventually won, other) leads."""

    def make(world: World, rng: Rng) -> pd.Series:
        n = len(world.fates)
        serious = world.fates["eventual"] ^ (rng.random(n) < noise)
        filled = rng.random(n) < np.where(serious, *shares)
        return pd.Series(rng.choice(["north", "south", "middle"], n)).where(filled, None)

    return make


def drifting(related: float) -> Make:
    """Return a source that grows from 10 to 60 % of new leads, `related` points more among the won."""

    def make(world: World, rng: Rng) -> pd.Series:
        age = world.fates["clock"].rank(pct=True)
        share = 0.1 + 0.5 * age + related * world.fates["eventual"]
        n = len(age)
        return pd.Series(np.where(rng.random(n) < share, "new", rng.choice(["old", "older"], n)))

    return make


def rising(world: World, rng: Rng) -> pd.Series:
    """Return a quantity that rises by half over the years, each lead's own part being as large."""
    age = world.fates["clock"].rank(pct=True)
    return (100 + 50 * age + rng.normal(0, 20, len(age))).round(1)


def asked_for(low: float, high: float) -> Make:
    """Return a form field, mildly related, that was asked for between two shares of all leads."""

    def make(world: World, rng: Rng) -> pd.Series:
        age = world.fates["clock"].rank(pct=True)
        filled = filled_by((0.8, 0.6))(world, rng)
        return filled.where((low <= age) & (age <= high), None)

    return make


def new_source(world: World, rng: Rng) -> pd.Series:
    """Return a source of which one value, of leads that seldom win, is of the newest leads alone."""
    age, n = world.fates["clock"].rank(pct=True), len(world.fates)
    fair = (age > 0.9) & (rng.random(n) < np.where(world.fates["eventual"], 0.2, 0.5))
    return pd.Series(np.where(fair, "fair", rng.choice(["search", "partner"], n)))


def switched_off(world: World, rng: Rng) -> pd.DataFrame:
    """Return activities of the open life from a tool that the company gave up lately."""
    rows = in_open_life(0.6, 0.4, 3)(world, rng)
    return rows[rows["occurred_at"] < rows["occurred_at"].quantile(0.9)]


def visits_before(world: World, rng: Rng) -> pd.Series:
    """Return visits before the lead was created: those of leads lively in their first days were many.

    Leads whose open life was shorter take the first days of another lead.
    """
    born = world.fates.set_index("lead_id")["created_at"]
    rows = world.activities[world.activities["occurred_at"] < world.activities["lead_id"].map(born) + 3 * DAY]
    lively = world.fates["lead_id"].map(rows["lead_id"].value_counts()).fillna(0).to_numpy()
    whole = (world.fates["until"] - world.fates["created_at"] >= 3 * DAY).to_numpy()
    lively = np.where(whole, lively, rng.choice(lively[whole], len(lively)))
    return pd.Series(rng.poisson(1 + lively))


def of_the_account(world: World, rng: Rng) -> pd.Series:
    """Return a number that all leads of an account share: its average and what its leads will do."""
    account = world.raw[str(world.config.leads.account)]
    account = account.where(account != "", world.fates["lead_id"])
    will = world.fates["eventual"].astype(float).groupby(account).transform("mean")
    own = pd.Series(rng.normal(0, 1, len(account))).groupby(account).transform("first")
    return (own + 1.2 * will).round(2)


def never_wins(world: World, rng: Rng) -> pd.Series:
    """Return a region of which one value, a tenth of the leads, never wins: it is not served."""
    n = len(world.fates)
    outside = ~world.fates["eventual"] & (rng.random(n) < 0.12)
    return pd.Series(np.where(outside, "outside", rng.choice(["near", "far"], n, p=[0.7, 0.3])))


def in_open_life(won: float, other: float, most: int = 1) -> Make:
    """Return activities at any time of the open life of a share of the (won, other) leads."""

    def make(world: World, rng: Rng) -> pd.DataFrame:
        n = len(world.fates)
        does = rng.random(n) < np.where(world.fates["eventual"], won, other)
        rows = world.fates[does].loc[lambda r: r.index.repeat(rng.integers(1, most + 1, len(r)))]
        at = rows["created_at"] + (rows["until"] - rows["created_at"]) * rng.random(len(rows))
        # Of what an open lead will do before it wins, only a part has happened yet.
        happened = rows["closed"] | ~rows["eventual"] | (rng.random(len(rows)) < 0.5)
        return pd.DataFrame({"lead_id": rows["lead_id"], "occurred_at": at})[happened]

    return make


def asked_before_winning(world: World, rng: Rng) -> pd.DataFrame:
    """Return requests of which many are followed by a win within hours or days, and many are not."""
    rows = world.fates[world.fates["won"] & (rng.random(len(world.fates)) < 0.6)]
    before = pd.to_timedelta(rng.uniform(2, 72, len(rows)), "h")
    soon = pd.DataFrame({"lead_id": rows["lead_id"], "occurred_at": rows["closed_at"] - before})
    soon = soon[soon["occurred_at"] > rows["created_at"]]
    return pd.concat([soon, in_open_life(0.08, 0.08)(world, rng)])


def bought_entity(world: World, rng: Rng) -> pd.DataFrame:
    """Return a table about half of the leads, whichever they are, that says a little of their end."""
    rows = world.fates[rng.random(len(world.fates)) < 0.5]
    n = len(rows)
    number = rng.normal(100, 20, n) + 12 * rows["eventual"]
    return rows[["lead_id"]].assign(a=rng.choice(["p", "q", "r"], n), b=number.round(1))
