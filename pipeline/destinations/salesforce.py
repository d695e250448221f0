"""Leads of Salesforce, or the contacts that they were converted to.

Up to `SalesforceSettings.bulk_from` rows are written in collections of 200, more of them in Bulk jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from pipeline.destinations import salesforce_answers as answers
from pipeline.destinations import salesforce_records as records
from pipeline.destinations.base import Job, Kind, Record, Row, Secret, Settings, Written
from pipeline.destinations.http import Api, Url, WebDestination
from pipeline.destinations.salesforce_bulk import ROWS, Bulk
from pipeline.destinations.salesforce_fields import OBJECTS, long_id
from pipeline.destinations.salesforce_schema import Schema
from pipeline.destinations.tokens import token_of
from pipeline.durations import Duration


class SalesforceSettings(Settings):
    """Leads and contacts of Salesforce: OAuth client credentials, or an access token that is there."""

    type: Literal["salesforce"] = "salesforce"
    url: Url = Field(description='the org\'s own address, as "https://acme.my.salesforce.com"')
    client_id: Secret | None = Field(
        default=None,
        description="consumer key of an external client app, or a connected app that is there already",
    )
    client_secret: Secret | None = None
    token: Secret | None = Field(default=None, description="an access token, instead of the two")
    version: str = Field(default="62.0", pattern=r"^\d+\.0$", description="of the API")
    bulk_from: int = Field(default=2000, ge=1, description="rows above which the Bulk API is used")
    bulk_wait: Duration = Field(
        default=timedelta(minutes=30),
        description="how long a Bulk job is waited for; a later run takes it up again",
    )
    permission_set: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]\w*$",
        description="API name of the one that may read and write what setup creates; nobody may if not given",
    )
    timeout: float = Field(default=60, gt=0, description="seconds until an answer is given up")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> SalesforceSettings:
        given = [self.client_id, self.client_secret]
        if any(given) if self.token is not None else not all(given):
            raise ValueError("Salesforce takes either token, or client_id and client_secret")
        return self

    @model_validator(mode="after")
    def _address_of_the_org(self) -> SalesforceSettings:
        if self.url.endswith(("login.salesforce.com", "test.salesforce.com", ".lightning.force.com")):
            raise ValueError('write the org\'s own address, as "https://acme.my.salesforce.com"')
        return self

    @model_validator(mode="after")
    def _custom_fields(self) -> SalesforceSettings:
        for name in self.fields.values():
            if not name.endswith("__c"):
                raise ValueError(
                    f"'{name}' is no custom field: owner, status and standard fields are never written; "
                    "name a field of your own, as 'propense_score__c'"
                )
        return self

    @property
    def base(self) -> str:
        """Where the API of this version is."""
        return f"/services/data/v{self.version}"


class Salesforce(WebDestination):
    """Leads of Salesforce, or the contacts that they were converted to."""

    settings_class = SalesforceSettings
    settings: SalesforceSettings

    def connect(self) -> Api:
        """Return the client; the token is read, or asked for, when it is first needed."""
        settings = self.settings
        api = Api(
            settings.url, timeout=settings.timeout, meaning=answers.meaning, transport=self.transport,
            sleep=self.sleep,
        )  # fmt: skip
        client = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        form = {"grant_type": "client_credentials", **client}
        api.token = token_of(settings.token, self.root, api, "/services/oauth2/token", form)
        return api

    def batch(self, total: int) -> int:
        """Return what a collection holds, or a Bulk job."""
        return ROWS if total > self.settings.bulk_from else records.UPDATED

    def missing(self) -> list[str]:
        """Check both objects, as a converted lead is written as a contact; one alone is named, by a dot."""
        self.__dict__.pop("_schema", None)
        lacking = self._schema.lacking().items()
        return [name if len(kinds) == len(OBJECTS) else f"{kinds[0]}.{name}" for name, kinds in lacking]

    def create_fields(self, fields: Mapping[str, Kind]) -> None:
        """Create custom fields; a person has to let users see them."""
        self._schema.create({name.rpartition(".")[2]: kind for name, kind in fields.items()})

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the records; converted leads and merged records are found as what they are now."""
        ids = {key: full for key in keys if (full := long_id(key))}
        found = records.read(self.api, self.settings.base, self.fields, ids.values())
        return {key: found[full] for key, full in ids.items() if full in found}

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        """Update records by their ids: up to 200 in a collection; more, or a job's, in Bulk jobs."""
        refused: dict[str, str] = {}
        good: dict[str, Row] = {}
        for row in rows:
            full = long_id(row.key)
            if full is None:
                refused[row.key] = "not the id of a lead (00Q...) or a contact (003...) of Salesforce"
            elif good.setdefault(full, row) is not row:
                refused[row.key] = "the record of another row"
        values = {full: self._schema.values(full, row.values) for full, row in good.items()}
        if job.id or len(values) > records.UPDATED:
            wait = self.settings.bulk_wait.total_seconds()
            outcomes = Bulk(self.api, self.settings.base, job, wait, self.sleep).carry_out(values)
        else:
            outcomes = records.update(self.api, self.settings.base, values) if values else {}
        by_key = {good[full].key: found for full, found in outcomes.items() if full in good}
        return answers.settled([row.key for row in good.values()], by_key, refused)

    @cached_property
    def _schema(self) -> Schema:
        columns = {name: column for column, name in self.settings.fields.items()}
        return Schema(self.api, self.settings.base, columns, self.settings.permission_set)
