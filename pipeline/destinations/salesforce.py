"""Leads of Salesforce, or the contacts that they were converted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class SalesforceSettings(Settings):
    """Leads and contacts of Salesforce: OAuth client credentials, or an access token that is there."""

    type: Literal["salesforce"] = "salesforce"
    url: str = Field(description='the org\'s own address, as "https://acme.my.salesforce.com"')
    client_id: Secret | None = Field(default=None, description="consumer key of a connected app")
    client_secret: Secret | None = None
    token: Secret | None = Field(default=None, description="an access token, instead of the two")
    version: str = Field(default="62.0", pattern=r"^\d+\.0$", description="of the API")
    bulk_from: int = Field(default=2000, ge=1, description="rows above which the Bulk API is used")
    timeout: float = Field(default=60, gt=0, description="seconds until an answer is given up")


class Salesforce(Destination):
    """Leads of Salesforce, or the contacts that they were converted to."""

    settings_class = SalesforceSettings

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

