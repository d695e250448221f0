"""Contacts of HubSpot, over its CRM v3 API.

Only ``batch/update`` by record id is used to write: ``batch/upsert`` would create contacts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.destinations import hubspot_answers as answers
from pipeline.destinations import hubspot_properties as properties
from pipeline.destinations import hubspot_records as records
from pipeline.destinations.base import Job, Kind, Record, Retriable, Row, Secret, Settings, Value, Written
from pipeline.destinations.http import Api, Url, WebDestination
from pipeline.destinations.tokens import token_of

_ID = re.compile(r"\d{1,19}")


class HubSpotSettings(Settings):
    """Contacts of HubSpot: a service key, or an OAuth app's id, secret and refresh token."""

    type: Literal["hubspot"] = "hubspot"
    url: Url = "https://api.hubapi.com"
    token: Secret | None = Field(
        default=None, description="a service key, or the token of a private app that is there already"
    )
    client_id: Secret | None = Field(default=None, description="of an OAuth app")
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    object: str = Field(
        default="contacts", pattern=r"^[A-Za-z0-9_-]+$", description="the type of object that holds the leads"
    )
    per_10_seconds: int = Field(
        default=190,
        ge=1,
        description="requests that the account allows in 10 s: 100 on Free and Starter, 110 for an OAuth app",
    )
    timeout: float = Field(default=30, gt=0, description="seconds until an answer is given up")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> HubSpotSettings:
        given = [self.client_id, self.client_secret, self.refresh_token]
        if any(given) if self.token is not None else not all(given):
            raise ValueError("HubSpot takes either token, or client_id, client_secret and refresh_token")
        return self

    @model_validator(mode="after")
    def _fields_of_ours(self) -> HubSpotSettings:
        for name in self.fields.values():
            if name == "lifecyclestage" or name.startswith(("hs_", "hubspot")):
                raise ValueError(
                    f"'{name}' is HubSpot's own: lifecycle stage, owner and status are never written; "
                    "name a property of your own"
                )
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
                raise ValueError(
                    f"'{name}' is no internal name of a property: lower-case letters, digits and underscores"
                )
        return self

    @property
    def objects(self) -> str:
        """Where the records are."""
        return f"/crm/v3/objects/{self.object}"

    @property
    def properties(self) -> str:
        """Where their properties are."""
        return f"/crm/v3/properties/{self.object}"


class HubSpot(WebDestination):
    """Contacts of HubSpot."""

    settings_class = HubSpotSettings
    settings: HubSpotSettings

    def connect(self) -> Api:
        """Return the client; the token is read, or asked for, when it is first needed."""
        settings = self.settings
        api = Api(
            settings.url, timeout=settings.timeout, per_10_seconds=settings.per_10_seconds,
            meaning=partial(answers.meaning, kind=settings.object), transport=self.transport,
            sleep=self.sleep,
        )  # fmt: skip
        names = ("client_id", "client_secret", "refresh_token")
        form = {"grant_type": "refresh_token"} | {name: getattr(settings, name) for name in names}
        # Version 1 of this address, which the vendor's own client still uses, ends in February 2027.
        api.token = token_of(settings.token, self.root, api, "/oauth/v3/token", form)
        return api

    def batch(self, total: int) -> int:
        """Return what a batch of HubSpot holds."""
        return records.BATCH

    def missing(self) -> list[str]:
        """Check that contacts can be read and written, and that the properties are fit to be written."""
        self.api.ask("GET", self.settings.objects, params={"limit": 1})
        # A batch of nothing is refused; but with 403 only where writing is. It shows that without a write.
        with suppress(Retriable):
            self.api.request("POST", f"{self.settings.objects}/batch/update", json={"inputs": []})
        self.__dict__.pop("_properties", None)
        for column, name in self.settings.fields.items():
            if name in self._properties:
                properties.check(self._properties[name], column)
        return [name for name in self.fields if name not in self._properties]

    def create_fields(self, fields: Mapping[str, Kind]) -> None:
        """Create properties, in a group of their own."""
        properties.create(self.api, self.settings.properties, fields)

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the contacts; one that was merged into another is found as that other."""
        return records.read(self.api, self.settings.objects, self.fields, filter(_ID.fullmatch, keys))

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        """Update contacts by their ids, at most 100."""
        refused = {row.key: "not the id of a record of HubSpot" for row in rows if not _ID.fullmatch(row.key)}
        good = {row.key: self._texts(row.values) for row in rows if row.key not in refused}
        written = records.update(self.api, self.settings.objects, good) if good else Written()
        return replace(written, refused={**refused, **written.refused})

    @cached_property
    def _properties(self) -> dict[str, Mapping[str, Any]]:
        answer = self.api.ask_object("GET", self.settings.properties)
        return {found["name"]: found for found in answer.get("results") or []}

    def _texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        types = {name: self._properties.get(name, {}).get("type") for name in values}
        return {name: properties.text(value, types[name]) for name, value in values.items()}
