"""The sections of ``propense.toml`` that say where the user's own tables and columns are."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.errors import listed
from features.tables import AttributeType
from pipeline.durations import Duration


class Section(BaseModel):
    """A section that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(Section):
    """Where a table is and how its text is to be read."""

    table: str = Field(description="a CSV or Parquet file, or a folder of them, relative to this file")
    separator: str | None = Field(default=None, description="of a CSV file; found by itself if not given")
    time_format: str | None = Field(
        default=None,
        description='of times, as in strptime, or "epoch_s" or "epoch_ms"; ISO 8601 if not given',
    )
    missing: list[str] = Field(default_factory=list, description="texts that mean: no value")
    decimal: Literal[".", ","] = Field(default=".", description="the decimal sign of numbers")


class OpenWhen(Section):
    """Which rows of a flat table are open leads."""

    column: str
    values: list[str] = Field(description='the values that mean open; "" stands for an empty cell')


class Leads(Table):
    """Who may become a customer."""

    id: str | None = None
    hash_id: bool = Field(
        default=False, description="replace ids by a hash; needed where ids are e-mail addresses"
    )
    created_at: str | None = None
    account: str | None = None
    email: str | None = Field(default=None, description="only its domain is kept")
    email_domain: str | None = None
    customer_since: str | None = Field(
        default=None, description="from this time on not a lead but a customer"
    )
    attributes: list[str] | None = Field(
        default=None, description="every column that has no other role if not given"
    )
    ignore: list[str] = Field(default_factory=list)
    types: dict[str, AttributeType] = Field(default_factory=dict)
    engagement: list[str] = Field(
        default_factory=list, description="attributes that say what the lead did, not who it is"
    )
    old_score: list[str] = Field(
        default_factory=list, description="earlier scores and fields computed from them: never features"
    )
    sensitive: dict[str, str] = Field(
        default_factory=dict, description="sensitive attributes to train on nevertheless, each with a reason"
    )
    label: str | None = Field(
        default=None, description="of a flat table without times: the column of the outcome"
    )
    label_won: list[str] = Field(default_factory=lambda: ["1", "true", "yes", "won"])
    order_by: str | None = Field(default=None, description='"row", or a column that grows with time')
    open_when: OpenWhen | None = None


class Activities(Table):
    """One thing at a time by an actor; several tables may be given."""

    lead_id: str
    occurred_at: str
    known_at: str | None = None
    kind: str | None = None
    kind_is: str | None = None
    actor: str | None = None
    actor_is: Literal["lead", "marketing", "sales"] | None = None
    actors: dict[str, Literal["lead", "marketing", "sales"]] = Field(
        default_factory=dict, description="what a value of the actor column, or a kind, means"
    )
    asset: str | None = None
    channel: str | None = None
    channel_is: str | None = None
    value: str | None = None
    ignore_kinds: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_of_each(self) -> Activities:
        if self.kind is None and self.kind_is is None:
            raise ValueError("name either kind (a column) or kind_is (the same for every row)")
        for column in ("kind", "actor", "channel"):
            if getattr(self, column) is not None and getattr(self, f"{column}_is") is not None:
                raise ValueError(f"name either {column} (a column) or {column}_is (the same for every row)")
        return self


class Outcomes(Section):
    """How an episode ended."""

    table: str | None = Field(default=None, description="the leads table if not given")
    separator: str | None = None
    time_format: str | None = None
    missing: list[str] = Field(default_factory=list)
    decimal: Literal[".", ","] = "."
    lead_id: str | None = None
    outcome: str | None = None
    outcome_is: Literal["won", "lost", "disqualified"] | None = None
    closed_at: str | None = None
    amount: str | None = None
    reason: str | None = Field(default=None, description="why it was lost or disqualified, as a code")
    comment: str | None = Field(
        default=None, description="the same in somebody's own words; only themes of many leads are shown"
    )
    values: dict[Literal["won", "lost", "disqualified", "open"], list[str]] = Field(default_factory=dict)
    from_activities: dict[Literal["won", "lost", "disqualified"], list[str]] = Field(
        default_factory=dict, description="activity kinds that are outcomes, instead of a table"
    )
    activity_kinds: list[str] = Field(
        default_factory=list,
        description="activity kinds that are the outcome itself or follow from it: never features",
    )
    episodes: Literal["first", "latest", "all"] = "first"
    exclude_reasons: list[str] = Field(default_factory=lambda: ["test", "spam", "duplicate"])
    stale_after: Duration | None = Field(
        default=None, description="silence after which a lead counts as closed"
    )
    observed_until: datetime | None = Field(default=None, description="time to which outcomes are complete")

    @model_validator(mode="after")
    def _one_source_one_meaning(self) -> Outcomes:
        if self.from_activities and (self.table or self.outcome or self.closed_at):
            raise ValueError("name either from_activities, or a table (or columns of the leads) of outcomes")
        for meanings in (self.values, self.from_activities):
            counted = Counter(word for words in meanings.values() for word in {w.lower() for w in words})
            twice = [word for word, n in counted.items() if n > 1]
            if twice:
                raise ValueError(f"{listed(map(repr, twice))} cannot mean two outcomes")
        return self


class Entities(Table):
    """A table of accounts or contacts, joined to the leads by a key; without times, so unchecked."""

    key: str
    lead_key: str = Field(description="the column of the leads table that holds the key")
    attributes: list[str] | None = None
    ignore: list[str] = Field(default_factory=list)
    types: dict[str, AttributeType] = Field(default_factory=dict)


class History(Table):
    """Versions of attributes, each with the time from which it was known."""

    lead_id: str
    known_at: str
    attributes: list[str]
    types: dict[str, AttributeType] = Field(default_factory=dict)


class Stages(Table):
    """Where a lead stood in the funnel, when and by whom."""

    lead_id: str
    stage: str
    at: str
    by: str | None = None
    reason: str | None = None
    values: dict[str, list[str]] = Field(default_factory=dict)
