"""Contacts of HubSpot, over its CRM v3 API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class HubSpotSettings(Settings):
    """Contacts of HubSpot: a private app's token, or an OAuth app's id, secret and refresh token."""

    type: Literal["hubspot"] = "hubspot"
    url: str = "https://api.hubapi.com"
    token: Secret | None = Field(default=None, description="of a private app")
    client_id: Secret | None = Field(default=None, description="of an OAuth app")
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    object: str = Field(default="contacts", description="the type of object that holds the leads")
    per_10_seconds: int = Field(default=190, ge=1, description="requests that the account allows in 10 s")
    timeout: float = Field(default=30, gt=0, description="seconds until an answer is given up")


class HubSpot(Destination):
    """Contacts of HubSpot."""

    settings_class = HubSpotSettings

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

