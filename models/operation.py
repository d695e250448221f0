"""What becomes of the leads under several ways to choose whom to contact, replayed night by night.

Every policy meets the same open leads on the same nights and contacts a lead at most once. A contact
succeeds if the lead converts within the horizon after it; that the contact made it convert is not
said, and cannot be from what happened once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from features.errors import DataError, listed

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

LEVEL = 0.90
RESAMPLES = 2000
# So many numbers of calls are tried to find how few would do.
STEPS = 50
# Up to so many times the calls, to see how many more a policy would need that finds fewer customers.
FURTHER = 1.5


class Nights:
    """The open leads of every night, in an order in which contacts can be replayed fast.

    Parameters
    ----------
    rows
        One row for each night and each lead open on it: ``lead_id, group_id, as_of, label`` (1 where
        the lead converts within the horizon after that night).

    Raises
    ------
    DataError
        A column is missing, a lead is there twice in one night, or a label is neither 0 nor 1.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        missing = [name for name in ("lead_id", "group_id", "as_of", "label") if name not in rows]
        if missing:
            raise DataError(f"The nights to replay lack {listed(missing)}.")
        if rows.duplicated(["lead_id", "as_of"]).any() or not rows["label"].isin((0, 1)).all():
            raise DataError(
                "The nights to replay cannot be counted.", allowed="a lead once a night, labels 0 or 1"
            )
        self.night, dates = pd.factorize(rows["as_of"], sort=True)
        self.dates = pd.Index(dates)
        self.lead, leads = pd.factorize(rows["lead_id"])
        self.group, groups = pd.factorize(rows["group_id"])
        self.label = rows["label"].to_numpy(np.int64)
        self.leads, self.groups = len(leads), len(groups)
        # Ties are broken by a draw from the lead's name, which knows nothing of the outcome.
        self.tie = pd.util.hash_array(rows["lead_id"].to_numpy(object), hash_key="propense-contact")

    def __len__(self) -> int:
        return len(self.night)

    def order(self, score: ArrayLike) -> list[NDArray[np.intp]]:
        """Return for each night its rows, the highest `score` (n,) first."""
        ranked = np.lexsort((self.tie, -np.asarray(score, dtype=float), self.night))
        edges = np.searchsorted(self.night[ranked], np.arange(len(self.dates) + 1))
        return [ranked[a:b] for a, b in itertools.pairwise(edges)]

    def first(self, passes: ArrayLike) -> Flags:
        """Return (n,) whether a row is its lead's first that passes: who is contacted under a threshold."""
        chosen = np.flatnonzero(np.asarray(passes, dtype=bool))
        chosen = chosen[np.argsort(self.night[chosen], kind="stable")]
        _, earliest = np.unique(self.lead[chosen], return_index=True)
        return self._flags(chosen[earliest])

    def count(self, contacts: Flags) -> dict[str, int]:
        """Return how many contacts there were, and how many of them were followed by a conversion."""
        return {"contacts": int(contacts.sum()), "customers": int(self.label[contacts].sum())}

    def by_night(self, contacts: Flags) -> Counts:
        """Return (nights,) the number of contacts."""
        return np.bincount(self.night[contacts], minlength=len(self.dates)).astype(np.int64)

    def by_group(self, contacts: Flags) -> tuple[Counts, Counts]:
        """Return (groups,) contacts, and of them those followed by a conversion."""
        group, won = self.group[contacts], self.label[contacts] == 1
        calls = np.bincount(group, minlength=self.groups)
        return calls.astype(np.int64), np.bincount(group[won], minlength=self.groups).astype(np.int64)

    def foresight(self) -> Floats:
        """Return a score (n,) that knows what will happen: the ceiling, which nobody can reach.

        First those who convert within the horizon, the one with the fewest nights left before the
        others; then those who never will; last those whose time to be contacted is still to come.
        """
        won = self.label == 1
        last = np.full(self.leads, -1)
        np.maximum.at(last, self.lead[won], self.night[won])
        left = last[self.lead] - self.night
        return np.where(won, 2.0 + 1.0 / (1.0 + np.maximum(left, 0)), np.where(left < 0, 1.0, 0.0))

    def _flags(self, places: NDArray[np.intp]) -> Flags:
        flags = np.zeros(len(self), dtype=bool)
        flags[places] = True
        return flags


class _Replay:
    """One policy while the nights go by."""

    def __init__(self, nights: Nights, score: ArrayLike) -> None:
        self._lead = nights.lead
        self._order = nights.order(score)
        self._contacted = np.zeros(nights.leads, dtype=bool)
        self.contacts = np.zeros(len(nights), dtype=bool)

    def waiting(self, night: int) -> NDArray[np.intp]:
        """Return the rows of the night's leads that were not contacted before, best first."""
        rows = self._order[night]
        return rows[~self._contacted[self._lead[rows]]]

    def contact(self, rows: NDArray[np.intp]) -> None:
        self._contacted[self._lead[rows]] = True
        self.contacts[rows] = True


def equal_contacts(
    nights: Nights, scores: Mapping[str, ArrayLike], reference: str, passes: ArrayLike
) -> dict[str, Flags]:
    """Let every policy contact as many leads each night as the reference does.

    Parameters
    ----------
    scores
        For each policy's name a score (n,); it contacts the highest of those it has not contacted yet.
    reference
        The policy that sets the number: it contacts every lead that passes and was not contacted.
    passes
        (n,) whether a row passes the reference's threshold; monotone in its score.

    Returns
    -------
    dict
        For each policy (n,) whether it contacts. Where a policy has fewer leads left than the
        reference would contact that night, all contact only so many; the rest wait for the next night.
    """
    replays = {name: _Replay(nights, score) for name, score in scores.items()}
    wanted = np.asarray(passes, dtype=bool)
    for night in range(len(nights.dates)):
        waiting = {name: replay.waiting(night) for name, replay in replays.items()}
        wish = int(wanted[waiting[reference]].sum())
        number = min(wish, *(len(rows) for rows in waiting.values()))
        for name, replay in replays.items():
            replay.contact(waiting[name][:number])
    return {name: replay.contacts for name, replay in replays.items()}


def with_quota(nights: Nights, score: ArrayLike, quota: Counts) -> Flags:
    """Contact up to `quota` (nights,) leads each night, the highest score first, none of them twice."""
    replay = _Replay(nights, score)
    for night, number in enumerate(quota):
        if number:
            replay.contact(replay.waiting(night)[:number])
    return replay.contacts


@dataclass(frozen=True)
class Difference:
    """A number with its bootstrap interval; an end is None where the resamples give none."""

    value: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Return it ready for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def more_customers(nights: Nights, ours: Flags, theirs: Flags, *, seed: int = 0) -> Difference:
    """Return how many more customers one policy found than another, with an interval.

    The interval is the percentile bootstrap over groups (the lead, or the account where leads share
    one), paired: a group drawn twice counts twice for both. Who was contacted is taken as given.
    """
    gained = nights.by_group(ours)[1] - nights.by_group(theirs)[1]
    drawn = _resampled(gained[:, None], seed)[:, 0]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(int(gained.sum()), float(low), float(high))


def fewer_calls(
    nights: Nights, score: ArrayLike, calls: Flags, theirs: Flags, *, seed: int = 0
) -> Difference:
    """Return how many fewer calls a policy needs to find as many customers as another did.

    Every night's number of calls is made smaller (or, if need be, up to half as large again) by one
    factor. The fewest calls are sought among 50 numbers of calls or more; between two of them what
    is found is taken to grow evenly. The interval is the bootstrap over groups of the share saved. A
    value is negative where the policy needs more calls, None where even half as many again do not do.
    """
    quota = nights.by_night(calls)
    curve = [nights.by_group(with_quota(nights, score, shared)) for shared in _quotas(quota)]
    made, _ = nights.by_group(calls)
    _, target = nights.by_group(theirs)
    columns = [*(c for c, _ in curve), *(found for _, found in curve), made, target]
    profile = np.column_stack(columns)
    saved = made.sum() * _saved(profile.sum(axis=0, keepdims=True).astype(float), len(curve))[0]
    drawn = np.sort(made.sum() * _saved(_resampled(profile, seed), len(curve)))
    low, high = (drawn[round(q * (len(drawn) - 1))] for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Difference(_or_none(np.floor(saved + 1e-9)), _or_none(low), _or_none(high))


def _quotas(quota: Counts) -> list[Counts]:
    """Return the nights' numbers of calls, scaled so that their sums are spread from none to half more."""
    total = int(quota.sum())
    so_far = np.cumsum(quota)
    last = int(np.ceil(FURTHER * total))
    wanted = np.unique(np.linspace(0, last, min(last, int(FURTHER * STEPS)) + 1).round().astype(int))
    # Rounding the running sum spends exactly the wanted number, as evenly as whole calls can be spread.
    scaled = [np.floor(so_far * (t / max(total, 1)) + 1e-9).astype(np.int64) for t in wanted]
    return [np.diff(s, prepend=0) for s in scaled]


def _saved(sums: Floats, steps: int) -> Floats:
    """Return (r,) the share of calls saved; minus infinity where no step finds as many as the target.

    `sums` (r, 2 * steps + 2) has calls by step, customers by step, the calls made, and the target.
    """
    calls, found = sums[:, :steps], np.maximum.accumulate(sums[:, steps : 2 * steps], axis=1)
    made, target = sums[:, -2], sums[:, -1]
    enough = found >= target[:, None]
    place = enough.argmax(axis=1)
    row = np.arange(len(sums))
    before = np.maximum(place - 1, 0)
    rise = found[row, place] - found[row, before]
    share = np.divide(target - found[row, before], rise, out=np.zeros_like(rise), where=rise > 0)
    needed = calls[row, before] + share * (calls[row, place] - calls[row, before])
    return np.where(enough.any(axis=1), 1.0 - needed / np.maximum(made, 1.0), -np.inf)


def _resampled(values: NDArray[Any], seed: int) -> Floats:
    """Return (RESAMPLES, k) sums of the columns of `values` (groups, k), groups drawn with replacement.

    Groups that are alike are drawn together: how often each kind comes up is multinomial.
    """
    alike, count = np.unique(values, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(int(count.sum()), count / count.sum(), size=RESAMPLES)
    return np.asarray(drawn.astype(float) @ alike, dtype=np.float64)


def _or_none(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
