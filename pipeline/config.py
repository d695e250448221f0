"""What the user may say in ``propense.toml``.

One class a section; a field's description is what the commented template and an error message tell
about it. Reading a file into a `Config` is in `pipeline.configuring`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features.tables import AttributeType

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([mhdw])\s*")


def parse_duration(value: Any) -> Any:
    """Turn ``"30d"``, ``"1h"``, ``"2w"`` or ``"90m"`` into a `timedelta`."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a duration as a number and m, h, d or w, for example "30d"')
    duration = timedelta(**{_UNITS[match[2]]: float(match[1])})
    if duration <= timedelta(0):
        raise ValueError("a duration must be longer than nothing")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, in the largest unit that fits: ``30d``."""
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if duration % length == timedelta(0):
            return f"{duration // length}{unit}"
    return f"{duration / timedelta(minutes=1):g}m"


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Section(BaseModel):
    """A section that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(Section):
    """Where a table is and how its text is to be read."""

    table: str = Field(description="a CSV or Parquet file, or a folder of them, relative to this file")
    separator: str | None = Field(None, description="of a CSV file; found by itself if not given")
    time_format: str | None = Field(
        None, description='of times, as in strptime, or "epoch_s" or "epoch_ms"; ISO 8601 if not given'
    )
    missing: list[str] = Field(default_factory=list, description="texts that mean: no value")


class Project(Section):
    """Names and places."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$")
    timezone: str = Field("UTC", description="of times without one, and of local hours and days")
    target: str = Field("won", description="what the propensity is of, as people call it")


class OpenWhen(Section):
    """Which rows of a flat table are open leads."""

    column: str
    values: list[str] = Field(description='the values that mean open; "" stands for an empty cell')


class Leads(Table):
    """Who may become a customer."""

    id: str | None = None
    hash_id: bool = Field(False, description="replace ids by a hash; needed where ids are e-mail addresses")
    created_at: str | None = None
    account: str | None = None
    email: str | None = Field(None, description="only its domain is kept")
    email_domain: str | None = None
    customer_since: str | None = Field(None, description="from this time on not a lead but a customer")
    attributes: list[str] | None = Field(None, description="every column that has no other role if not given")
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
    label: str | None = Field(None, description="of a flat table without times: the column of the outcome")
    label_won: list[str] = Field(default_factory=lambda: ["1", "true", "yes", "won"])
    order_by: str | None = Field(None, description='"row", or a column that grows with time')
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
    def _one_kind(self) -> Activities:
        if (self.kind is None) == (self.kind_is is None):
            raise ValueError("name either kind (a column) or kind_is (the same for every row)")
        return self


class Outcomes(Section):
    """How an episode ended."""

    table: str | None = Field(None, description="the leads table if not given")
    separator: str | None = None
    time_format: str | None = None
    missing: list[str] = Field(default_factory=list)
    lead_id: str | None = None
    outcome: str | None = None
    outcome_is: Literal["won", "lost", "disqualified"] | None = None
    closed_at: str | None = None
    amount: str | None = None
    reason: str | None = None
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
    stale_after: Duration | None = Field(None, description="silence after which a lead counts as closed")
    observed_until: datetime | None = Field(None, description="time to which outcomes are complete")


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


class RuleConfig(Section):
    """One line of the user's own point table."""

    name: str
    points: float
    activity: str | None = None
    asset: str | None = None
    within: Duration | None = None
    each: bool = Field(False, description="points for every occurrence, not once")
    attribute: str | None = None
    is_one_of: list[str] | None = None
    at_least: float | None = None
    at_most: float | None = None
    email_class: Literal["personal", "student", "disposable", "corporate"] | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> RuleConfig:
        given = [self.activity, self.attribute, self.email_class]
        if sum(condition is not None for condition in given) != 1:
            raise ValueError("a rule names exactly one of activity, attribute and email_class")
        return self


class Snapshots(Section):
    """At which moments of the past the leads are seen, and how far ahead."""

    horizon: Duration = Field(timedelta(days=30), description="how long a conversion still counts")
    ages: list[Duration] = Field(
        default_factory=lambda: [timedelta(hours=1), *(timedelta(days=d) for d in (1, 3, 7, 14, 30))]
    )
    calendar: list[datetime] = Field(default_factory=list, description="dates instead of ages")
    scoring_every: Duration = Field(timedelta(days=7), description="the scoring calendar of the test window")
    end_at_handover: bool = Field(
        True, description="end at the first activity of sales, whose activities are then no features"
    )


class Windows(Section):
    """The split; dates may be pinned, the others follow from the data."""

    split: Literal["time", "group"] = "time"
    train_from: datetime | None = None
    calibration_from: datetime | None = None
    decision_from: datetime | None = None
    test_from: datetime | None = None
    test_until: datetime | None = None


class Features(Section):
    """How the past is summarised."""

    windows: list[int] = Field(default_factory=lambda: [1, 7, 30, 90], description="days")
    half_lives: list[float] = Field(default_factory=lambda: [7.0, 30.0], description="days")
    session_gap: Duration = timedelta(minutes=30)
    directions: dict[str, Literal["up", "down"]] = Field(
        default_factory=dict, description="concept = direction: a constraint on the model"
    )
    labels: dict[str, str] = Field(default_factory=dict, description="kind or attribute = what people read")


class Model(Section):
    """Training."""

    seed: int = 0
    members: int = Field(8, ge=2, le=50, description="models averaged, each on a bootstrap of the leads")


class CutoffConfig(Section):
    """A cutoff to choose; the first one given is the one in force."""

    policy: Literal["capacity", "value", "precision", "manual"]
    per_week: float | None = Field(None, gt=0, description="capacity: new MQLs a week")
    contact_cost: float | None = Field(None, gt=0, description="value: what a contact costs")
    won_value: float | None = Field(None, gt=0, description="value: what a won lead is worth")
    at_least: float | None = Field(None, gt=0, lt=1, description="precision: share of MQLs that convert")
    level: float | None = Field(None, ge=0, le=1, description="manual: the propensity itself")

    @model_validator(mode="after")
    def _needs(self) -> CutoffConfig:
        needs = {
            "capacity": ["per_week"],
            "value": ["contact_cost", "won_value"],
            "precision": ["at_least"],
            "manual": ["level"],
        }[self.policy]
        numbers = ("per_week", "contact_cost", "won_value", "at_least", "level")
        wrong = [n for n in numbers if (getattr(self, n) is not None) != (n in needs)]
        if wrong:
            raise ValueError(f'policy = "{self.policy}" takes {" and ".join(needs)}, and nothing else')
        return self


class Decision(Section):
    """What becomes of a propensity."""

    rules_mql_at: float | None = Field(None, description="the user's own threshold on the points")
    nurture_from: float | None = Field(None, ge=0, le=1)
    sales_ready_kinds: list[str] = Field(
        default_factory=list, description="activity kinds by which a lead asks for sales"
    )
    sales_ready_from: float | None = Field(None, ge=0, le=1)


class Destination(Section):
    """Where scores are written."""

    type: Literal["sqlite"]
    path: str
    table: str
    key: str
    fields: dict[str, str] = Field(description="column of scores.parquet = column of the destination")


class Checks(Section):
    """How strict the reading is."""

    tolerate: float = Field(0.0, ge=0, le=0.5, description="share of bad rows that may be left out, counted")


class Config(Section):
    """A whole ``propense.toml``."""

    project: Project
    leads: Leads
    activities: list[Activities] = Field(default_factory=list)
    outcomes: Outcomes | None = None
    entities: list[Entities] = Field(default_factory=list)
    history: list[History] = Field(default_factory=list)
    stages: Stages | None = None
    rules: list[RuleConfig] = Field(default_factory=list)
    snapshots: Snapshots = Field(default_factory=Snapshots)
    windows: Windows = Field(default_factory=Windows)
    features: Features = Field(default_factory=Features)
    model: Model = Field(default_factory=Model)
    cutoffs: list[CutoffConfig] = Field(default_factory=list)
    decision: Decision = Field(default_factory=Decision)
    destinations: dict[str, Destination] = Field(default_factory=dict)
    checks: Checks = Field(default_factory=Checks)
    root: Path = Field(Path(), exclude=True, description="where data paths start; set by the reader")

    @model_validator(mode="after")
    def _times_or_label(self) -> Config:
        if self.flat:
            timed = [n for n in ("activities", "outcomes", "history") if getattr(self, n)]
            if timed or self.leads.created_at:
                raise ValueError("leads.label is for a flat table without times; remove it, or the times")
            return self
        missing = [n for n in ("id", "created_at") if getattr(self.leads, n) is None]
        if missing:
            raise ValueError(f"[leads] needs {' and '.join(missing)} (or a label, if it is a flat table)")
        if self.outcomes is None:
            raise ValueError("the section [outcomes] is missing: what became of the leads?")
        return self

    @property
    def flat(self) -> bool:
        """Whether the project is one table without times."""
        return self.leads.label is not None

    @property
    def split(self) -> str:
        """How the windows are made: "time", "group", "row" or "random"."""
        if not self.flat:
            return self.windows.split
        return "row" if self.leads.order_by else "random"
