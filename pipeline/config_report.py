"""The sections of a configuration that the report reads: what marketing knows and the data does not say."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline.config_tables import Section


class Wish(Section):
    """What the ideal customer has in one attribute; the conditions are those of a rule."""

    is_one_of: list[str] | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _some_condition(self) -> Wish:
        if self.is_one_of is None and self.at_least is None and self.at_most is None:
            raise ValueError("give is_one_of, or at_least, or at_most")
        return self


class Content(Section):
    """Which kinds of activity are content of which stage of a buyer's way."""

    awareness: list[str] = Field(default_factory=list, description="what is this about?")
    consideration: list[str] = Field(default_factory=list, description="which ways are there?")
    decision: list[str] = Field(default_factory=list, description="why this one?")


class Report(Section):
    """What the report calls pages, offers and campaigns, and how much of it is shown."""

    pages: list[str] = Field(default_factory=list, description="kinds whose assets are pages")
    offers: list[str] = Field(default_factory=list, description="kinds whose assets are offers or content")
    campaigns: list[str] = Field(default_factory=list, description="kinds whose assets are campaigns")
    source: str | None = Field(
        default=None, description="attribute that says where a lead came from; else its first channel"
    )
    leads: int = Field(default=20, ge=1, le=500, description="leads to call that are listed")
