"""Sequences of moments of many leads at once: counting, adding up and fading within each lead.

An ``Events`` value is usually sorted by lead, then time. Leads are numbered 0 .. leads - 1 within a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.simulation.rhythm import Floats
from pipeline.simulation.world import KIND_NAMES

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Events:
    """Activities of a block of leads: who, when (whole seconds since the start) and what kind.

    All of shape (events,); `kind` is an index into `KIND_NAMES`, see `code`.
    """

    lead: Ints
    at: Ints
    kind: Codes

    def __len__(self) -> int:
        return len(self.lead)

    def where(self, rows: npt.NDArray[np.bool_]) -> Events:
        """Return the chosen events."""
        return Events(self.lead[rows], self.at[rows], self.kind[rows])

    def are(self, *names: str) -> npt.NDArray[np.bool_]:
        """Return which events are of one of these kinds; (events,)."""
        return np.isin(self.kind, [code(name) for name in names])

    def each(self, values: Mapping[str, float]) -> Floats:
        """Return the value of each event's kind, 0 for a kind without one; (events,)."""
        return np.array([values.get(name, 0.0) for name in KIND_NAMES])[self.kind]


def code(name: str) -> int:
    """Return the index of a kind in `KIND_NAMES`."""
    return KIND_NAMES.index(name)


def codes(name: str, size: int) -> Codes:
    """Return `size` times the same kind."""
    return np.full(size, code(name), dtype=np.int8)


def merged(*parts: Events) -> Events:
    """Return all events together, sorted by lead and time; at the same time in the order given."""
    lead = np.concatenate([part.lead for part in parts])
    at = np.concatenate([part.at for part in parts])
    kind = np.concatenate([part.kind for part in parts])
    order = np.lexsort((at, lead))
    return Events(lead[order], at[order], kind[order])


def rank_within(lead: Ints) -> Ints:
    """Return the position of each event within its lead: 0, 1, 2, … ; `lead` is sorted."""
    index = np.arange(len(lead))
    first = np.concatenate([[True], lead[1:] != lead[:-1]]) if len(lead) else np.zeros(0, bool)
    return index - np.maximum.accumulate(np.where(first, index, 0))


def faded_sums(lead: Ints, t: Floats, weight: Floats, memory: float) -> Floats:
    """Return, just after each event, the sum of weights so far of its lead, each faded exponentially.

    `lead`, `t` (days) and `weight` are of shape (events,), sorted by lead and time.
    """
    rank = rank_within(lead)
    total = weight.astype(np.float64).copy()
    order = np.argsort(rank, kind="stable")
    borders = np.cumsum(np.bincount(rank)) if len(rank) else np.zeros(0, np.int64)
    for low, high in pairwise(borders):
        now = order[low:high]
        total[now] += total[now - 1] * np.exp(-(t[now] - t[now - 1]) / memory)
    return total


def last_before(lead: Ints, at: Ints, of_lead: Ints, before: Ints) -> Ints:
    """Return the index of the last event of `of_lead` strictly before `before`, or -1.

    Events (`lead`, `at`) are sorted by lead and time; times are whole seconds, not negative.
    """
    if not len(lead):
        return np.full(len(of_lead), -1)
    step = int(max(at.max(), before.max(initial=0))) + 2
    found = np.searchsorted(lead * step + at, of_lead * step + before, side="left") - 1
    return np.where((found >= 0) & (lead[found] == of_lead), found, -1)


def first_of(lead: Ints, at: Ints, leads: int, never: int) -> Ints:
    """Return the earliest `at` of each of `leads` leads, `never` for those without."""
    earliest = np.full(leads, never)
    np.minimum.at(earliest, lead, at)
    return earliest


def count_between(lead: Ints, at: Ints, of_lead: Ints, start: Ints, before: Ints) -> Ints:
    """Return how many events of `of_lead` have ``start <= at < before``; events as in `last_before`."""
    if not len(lead):
        return np.zeros(len(of_lead), dtype=np.int64)
    step = int(max(at.max(), before.max(initial=0))) + 2
    key = lead * step + at
    until = np.searchsorted(key, of_lead * step + before, side="left")
    return until - np.searchsorted(key, of_lead * step + start, side="left")
