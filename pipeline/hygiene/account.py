"""The account of what hygiene found and did: shown next to the result, and kept with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

MEASURES = ("duplicates", "tests", "employees", "bots", "impossible", "personal", "student", "disposable")
NO_COLUMNS = "not possible: no such columns"
SWITCHED_OFF = "switched off"

# Why a lead is no longer among the leads; the words are those of ``excluded.parquet``.
DUPLICATE = "duplicate"
# Of a lead that stays: its own record is open, but the same person was won under another one.
CUSTOMER = "customer"
REASONS = {
    "tests": "test",
    "employees": "employee",
    "disposable": "disposable_address",
    "student": "student_address",
    "personal": "personal_address",
}
REMOVED = {
    "lead_id": "str",
    "reason": "str",
    "survivor_id": "str",
    "created_at": "datetime64[us]",
    "closed_at": "datetime64[us]",
    "customer_since": "datetime64[us]",
    "is_open": "boolean",
}
SURVIVORS = {name: kind for name, kind in REMOVED.items() if name != "survivor_id"} | {
    "customer_at": "datetime64[us]"
}


@dataclass(frozen=True)
class Measure:
    """One measure: how much it found and what became of it.

    `found` counts what the measure is about: leads, or for "bots" and "impossible" activities.
    `done` is what was done in a few words, `words` the whole in a sentence. `leads` and `activities`
    are how many of each were merged, left out or removed; `details` are the counts behind them.
    """

    name: str
    on: bool
    found: int = 0
    done: str = ""
    leads: int = 0
    activities: int = 0
    words: str = ""
    details: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``train.json``."""
        return {
            "name": self.name,
            "on": self.on,
            "found": self.found,
            "done": self.done,
            "leads": self.leads,
            "activities": self.activities,
            "words": self.words,
            "details": dict(self.details),
        }


def switched_off(name: str, how: str) -> Measure:
    """Return the measure that the configuration does not want; `how` is the line that says so."""
    return Measure(name, on=False, done=SWITCHED_OFF, words=f"Switched off: {how}.")


def not_possible(name: str, why: str, done: str = NO_COLUMNS) -> Measure:
    """Return the measure that these data do not allow."""
    return Measure(name, on=True, done=done, words=why)


def no_leads(columns: dict[str, str]) -> pd.DataFrame:
    """Return a table of `REMOVED` or `SURVIVORS`, empty."""
    return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in columns.items()})


@dataclass(frozen=True)
class Cleaned:
    """What hygiene did to one project's data.

    ``removed`` has a row for each lead that is no longer among the leads: lead_id, reason,
    survivor_id (of a duplicate), and what tells whether it was open: created_at, closed_at (its own
    first outcome), customer_since, is_open (of a flat table, else null). ``customers`` has
    the survivors of whom a duplicate was won, at customer_at. ``came_back`` has lead_id and
    earlier_id of the people who opened a lead of their own after an earlier one was closed; both
    stay. ``own_ends`` has lead_id and closed_at of the survivors whose own record was closed, whatever
    became of the person. ``bot_leads`` are the leads whose mails a machine clicked; they stay.
    """

    measures: tuple[Measure, ...] = ()
    removed: pd.DataFrame = field(default_factory=lambda: no_leads(REMOVED))
    customers: pd.DataFrame = field(default_factory=lambda: no_leads(SURVIVORS))
    came_back: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["lead_id", "earlier_id"]))
    own_ends: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["lead_id", "closed_at"]))
    bot_leads: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Measure:
        return next(m for m in self.measures if m.name == name)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the measures as plain values: counts and sentences, no lead and nobody's name."""
        return [m.to_dict() for m in self.measures]

    def left_out_at(self, as_of: datetime) -> pd.DataFrame:
        """Return lead_id, reason and survivor_id of the leads that only their own record says were open.

        A record was open if it was created before `as_of`, with no outcome of its own and not a
        customer before it. How long it had been silent and whether sales had it is not asked: a lead
        too many in the list is better than one that nobody can account for.
        """
        removed = self.removed[_open_at(self.removed, as_of)]
        flat = self.customers["is_open"].notna()
        won = flat | (self.customers["customer_at"] < as_of)
        customers = self.customers[_open_at(self.customers, as_of) & won]
        both = pd.concat([removed, customers.assign(survivor_id=None)], ignore_index=True)
        return both[["lead_id", "reason", "survivor_id"]]

    def records_at(self, as_of: datetime) -> dict[str, str]:
        """Return, for survivors whose own record is closed, the record under which they are still open.

        Sales works the open record, so that is where the person's score belongs: the earliest one.
        """
        closed = self.own_ends.loc[(self.own_ends["closed_at"] < as_of).astype(bool), "lead_id"]
        others = self.removed[_open_at(self.removed, as_of) & self.removed["survivor_id"].isin(closed)]
        first = others.sort_values(["created_at", "lead_id"]).drop_duplicates("survivor_id")
        return dict(zip(first["survivor_id"], first["lead_id"], strict=True))


def _open_at(lead: pd.DataFrame, as_of: datetime) -> pd.Series:
    by_times = (lead["created_at"] < as_of) & ~(lead["closed_at"] < as_of) & ~(lead["customer_since"] < as_of)
    return by_times.where(lead["is_open"].isna(), lead["is_open"].fillna(False).astype(bool)).astype(bool)
