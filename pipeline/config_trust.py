"""The sections of a configuration that say what is not to be believed without a look: hygiene and guard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from features.errors import listed
from pipeline.config_tables import Section

Reason = Annotated[str, Field(min_length=3, description="why, for those who read the result")]


class Hygiene(Section):
    """What is cleaned before features are made. Each measure is counted, and off by one line."""

    duplicates: bool = Field(default=True, description="merge leads of one person into the earliest")
    tests: bool = Field(default=True, description="leave out test leads")
    own_domains: list[Annotated[str, Field(pattern=r"^@?[^@\s]+\.[^@\s]+$")]] = Field(
        default_factory=list,
        description="e-mail domains of the company itself: employees are left out",
    )
    bots: bool = Field(default=True, description="remove clicks that a machine made, not the lead")
    impossible: bool = Field(default=True, description="remove activities that cannot have happened")
    leave_out: list[Literal["personal", "student", "disposable"]] = Field(
        default_factory=list, description="classes of e-mail addresses whose leads are left out"
    )
    name: list[str] = Field(
        default_factory=list, description="columns of the person's name; found by their usual names if empty"
    )
    company: str | None = Field(default=None, description="column of the company's name; found by its name")
    mail_sent: list[str] = Field(
        default_factory=list, description="kinds that are a mail's delivery; found by their usual names"
    )
    mail_clicked: list[str] = Field(
        default_factory=list, description="kinds that are a click in a mail; found by their usual names"
    )
    effects: bool = Field(default=True, description="measure what each measure changes in the result")


class Overrule(Section):
    """A verdict of the leak guard that the user knows better."""

    name: str = Field(description="the column, kind or table, as the guard names it")
    verdict: Literal["keep", "leave_out"]
    reason: Reason


class Guard(Section):
    """The leak guard."""

    on: bool = Field(default=True, description="judge every column, kind and table at each training")
    overrule: list[Overrule] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Guard:
        names = [rule.name for rule in self.overrule]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{listed(map(repr, twice))} is overruled more than once")
        if names and not self.on:
            raise ValueError("on = false has no verdicts to overrule; use `ignore` to leave something out")
        return self


class CutoffConfig(Section):
    """A cutoff to choose; the first one given is the one in force."""

    policy: Literal["precision", "recall", "capacity", "value", "manual"]
    per_week: float | None = Field(default=None, gt=0, description="capacity: new MQLs a week")
    contact_cost: float | None = Field(default=None, gt=0, description="value: what a contact costs")
    won_value: float | None = Field(default=None, gt=0, description="value: what a won lead is worth")
    at_least: float | None = Field(
        default=None, gt=0, lt=1,
        description="precision (or capacity): share of MQLs that convert; recall: share of wins caught",
    )  # fmt: skip
    level: float | None = Field(default=None, ge=0, le=1, description="manual: the propensity itself")
    confidence: float = Field(default=0.9, ge=0.5, lt=1, description="of the promise")

    @model_validator(mode="after")
    def _needs(self) -> CutoffConfig:
        needs = {
            "capacity": ["per_week"],
            "value": ["contact_cost", "won_value"],
            "precision": ["at_least"],
            "recall": ["at_least"],
            "manual": ["level"],
        }[self.policy]
        optional = ["at_least"] if self.policy == "capacity" else []
        numbers = ("per_week", "contact_cost", "won_value", "at_least", "level")
        given = [n for n in numbers if getattr(self, n) is not None]
        if any(n not in given for n in needs) or any(n not in needs + optional for n in given):
            more = f" ({' and '.join(optional)} if you like)" if optional else ""
            takes = f"{' and '.join(needs)}{more}, and nothing else (but confidence)"
            raise ValueError(f'policy = "{self.policy}" takes {takes}')
        return self


class Backtest(Section):
    """The rolling origin."""

    folds: int = Field(default=6, ge=2, le=60, description="at most so many origins, as the history allows")
    every: int | None = Field(
        default=None, ge=1, description="scoring dates from one origin to the next; else spread evenly"
    )
