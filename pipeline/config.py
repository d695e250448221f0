"""What the user may say in ``propense.toml``.

One class a section; a field's description says what it is. The sections about the user's own tables
are in `pipeline.config_tables`; reading a file into a `Config` is in `pipeline.configuring`.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from zoneinfo import available_timezones

from pydantic import AfterValidator, Discriminator, Field, PlainSerializer, PlainValidator, model_validator

from features.errors import listed, nearest
from features.language import LANGUAGES, Language, Text
from pipeline.config_report import Content, Report, Wish
from pipeline.config_tables import (
    Activities,
    Entities,
    History,
    Leads,
    Outcomes,
    Section,
    Stages,
    Table,
)
from pipeline.config_trust import Backtest, CutoffConfig, Guard, Hygiene, Overrule
from pipeline.destinations import SETTINGS
from pipeline.destinations.base import Secret, Settings
from pipeline.durations import Duration, format_duration


def _known_zone(name: str) -> str:
    known = available_timezones()
    if name not in known:
        hint = nearest(name, known) or 'write it like "Europe/Paris", or "UTC"'
        raise ValueError(f"there is no such time zone. {hint}")
    return name


def _all_different(values: list[timedelta]) -> list[timedelta]:
    if len(set(values)) < len(values):
        raise ValueError("each age may be given once only")
    return values


def _label(given: Any) -> Text:
    """Read what people read: one text for all languages, or a table with one for each."""
    every = given if isinstance(given, dict) else dict.fromkeys(LANGUAGES, given)
    if set(every) != set(LANGUAGES):
        raise ValueError('a label is a text, or one for each language: { en = "...", fr = "..." }')
    if not all(isinstance(text, str) and text.strip() for text in every.values()):
        raise ValueError("a label is a text that is not empty")
    return Text.of(every)


def _as_given(label: Text) -> str | dict[str, str]:
    return label.en if label.en == label.fr else label.to_dict()


Zone = Annotated[str, AfterValidator(_known_zone)]
Label = Annotated[Text, PlainValidator(_label), PlainSerializer(_as_given)]
Ages = Annotated[list[Duration], Field(min_length=1), AfterValidator(_all_different)]


class Project(Section):
    """Names and places."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$")
    timezone: Zone = Field(default="UTC", description="of times without one, and of local hours and days")
    target: str = Field(default="won", description="what the propensity is of, as people call it")
    language: Language = Field(default="en", description="of reasons and of the report")
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$", description='of amounts, as "EUR"')


class RuleConfig(Section):
    """One line of the user's own point table."""

    name: str
    points: float
    activity: str | None = None
    asset: str | None = None
    within: Duration | None = None
    each: bool = Field(default=False, description="points for every occurrence, not once")
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

    horizon: Duration = Field(default=timedelta(days=30), description="how long a conversion still counts")
    ages: Ages = Field(
        default_factory=lambda: [timedelta(hours=1), *(timedelta(days=d) for d in (1, 3, 7, 14, 30))]
    )
    calendar: Annotated[list[datetime], AfterValidator(_all_different)] = Field(
        default_factory=list, description="dates instead of ages"
    )
    scoring_every: Duration = Field(
        default=timedelta(days=7), description="the scoring calendar of the test window"
    )
    end_at_handover: bool = Field(
        default=True, description="end at the first activity of sales, whose activities are then no features"
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

    windows: list[Annotated[int, Field(gt=0)]] = Field(
        default_factory=lambda: [1, 7, 30, 90], description="days"
    )
    half_lives: list[Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: [7.0, 30.0], description="days"
    )
    session_gap: Duration = timedelta(minutes=30)
    directions: dict[str, Literal["up", "down"]] = Field(
        default_factory=dict, description="concept = direction: a constraint on the model"
    )
    labels: dict[str, Label] = Field(
        default_factory=dict, description="kind or attribute = what people read, or { en = ..., fr = ... }"
    )


class Model(Section):
    """Training."""

    seed: int = 0
    members: int = Field(
        default=8, ge=2, le=50, description="models averaged, each on a bootstrap of the leads"
    )


class Decision(Section):
    """What becomes of a propensity."""

    rules_mql_at: float | None = Field(default=None, description="the user's own threshold on the points")
    nurture_from: float | None = Field(default=None, ge=0, le=1)
    sales_ready_kinds: list[str] = Field(
        default_factory=list, description="activity kinds by which a lead asks for sales"
    )
    sales_ready_from: float | None = Field(default=None, ge=0, le=1)
    hysteresis: float = Field(
        default=0.2, ge=0, le=2,
        description="log-odds below the level of its band to which a lead may fall before it loses the band",
    )  # fmt: skip


class Sync(Section):
    """How scores are delivered, whatever the destination."""

    ledger: str | Secret | None = Field(
        default=None,
        description='of what was delivered: "postgresql://user@host/database", or a secret that holds the '
        "URL; ledger.sqlite in the output folder if not given",
    )


# What `propense sync` understands otherwise.
WORDS = ("setup", "failures")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]*")


def _can_be_asked_for(destinations: dict[str, Any]) -> dict[str, Any]:
    """Refuse names that a command, or the file that holds a lease, could not be given."""
    wrong = [name for name in destinations if name in WORDS or not _NAME.fullmatch(name)]
    if wrong:
        raise ValueError(
            f"a destination cannot be named {listed(map(repr, wrong))}; its name is letters, digits, "
            f"spaces, points, dashes and underscores, and neither {' nor '.join(map(repr, WORDS))}"
        )
    return destinations


if TYPE_CHECKING:
    Destination = Settings
else:
    Destination = Annotated[Union[SETTINGS], Discriminator("type")]  # noqa: UP007  (it is a tuple of classes)
Destinations = Annotated[dict[str, Destination], AfterValidator(_can_be_asked_for)]


class Checks(Section):
    """How strict the reading is."""

    tolerate: float = Field(
        default=0.0, ge=0, le=0.5, description="share of bad rows that may be left out, counted"
    )


# What a result is shown with and where it goes: to change it makes no other procedure.
SHOWN_ONLY: dict[str, Any] = {
    "project": {"language", "currency"},
    "outcomes": {"comment"},
    "features": {"labels"},
    **dict.fromkeys(("persona", "content", "report", "destinations", "sync"), True),
}


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
    snapshots: Snapshots = Snapshots()
    windows: Windows = Windows()
    features: Features = Features()
    model: Model = Model()
    cutoffs: list[CutoffConfig] = Field(default_factory=list)
    decision: Decision = Decision()
    destinations: Destinations = Field(default_factory=dict)
    sync: Sync = Sync()
    checks: Checks = Checks()
    hygiene: Hygiene = Hygiene()
    guard: Guard = Guard()
    backtest: Backtest = Backtest()
    persona: dict[str, Wish] = Field(
        default_factory=dict, description='the ideal customer: attribute (or "email") = what is wished for'
    )
    content: Content = Content()
    report: Report = Report()
    # Set by the reader, not by the file: the alias cannot be a key anyone writes by accident.
    root: Path = Field(default=Path(), exclude=True, validation_alias="(where data paths start)")

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

    @model_validator(mode="after")
    def _one_history_each(self) -> Config:
        counted = Counter(name for history in self.history for name in history.attributes)
        twice = [name for name, n in counted.items() if n > 1]
        if twice:
            raise ValueError(f"[[history]] gives {listed(map(repr, twice))} more than once")
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


__all__ = [
    "Activities",
    "Backtest",
    "Config",
    "Content",
    "CutoffConfig",
    "Destination",
    "Entities",
    "Guard",
    "History",
    "Hygiene",
    "Leads",
    "Outcomes",
    "Overrule",
    "Report",
    "RuleConfig",
    "Stages",
    "Table",
    "Wish",
    "format_duration",
]
