"""The canonical tables: what a source brings the user's own tables to, before anything else.

All times are naive timestamps in UTC with microseconds; ``*_local`` are the same instants on the
wall clock of the project's zone (for hour, weekday and calendar day only).

``leads``
    lead_id (str, unique), account_id (str or null), created_at, email_domain (str or null),
    and one column an attribute, under the attribute's own name.
``activities``
    lead_id, occurred_at, known_at (never before occurred_at), occurred_local, kind (str),
    actor ('lead', 'marketing' or 'sales'), asset (str or null), channel (str or null),
    value (float or null).
``versions`` (one table an attribute history)
    lead_id, known_at, and the attributes that it versions.
``snapshots``
    snapshot (int64, unique), lead_id, as_of, as_of_local.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import ibis.expr.types as ir

from features.language import Text

AttributeType = Literal["number", "category", "flag", "size", "seniority"]


@dataclass(frozen=True)
class Attribute:
    """One attribute of a lead.

    `type` says how its values are read: "number" and "flag" as float columns (a flag is 0 or 1),
    "category" as text, "size" as text or number from which a company size is taken, "seniority" as
    a job title from which a seniority is taken. `origin` is "lead", "entity" or "history"; only
    an attribute with history is `checked` against time, the others are taken as they are today.
    `label` is what people read, if not its own name; `family` tells whether it says who the lead is or
    what the lead did (a count of visits in a flat table).
    """

    name: str
    type: AttributeType
    origin: Literal["lead", "entity", "history"] = "lead"
    label: Text | None = None
    family: Literal["fit", "engagement"] = "fit"

    @property
    def checked(self) -> bool:
        """Whether each value has a time from which it was known."""
        return self.origin == "history"


@dataclass(frozen=True)
class Tables:
    """The canonical tables of one project, as Ibis expressions of one backend."""

    leads: ir.Table
    activities: ir.Table
    versions: tuple[ir.Table, ...]
    attributes: tuple[Attribute, ...]
