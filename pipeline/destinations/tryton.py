"""Leads of Tryton: the model sale.opportunity, over JSON-RPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator

from pipeline.destinations.base import Fatal, Job, Kind, Record, Row, Secret, Settings, Written
from pipeline.destinations.http import Api, Url, WebDestination
from pipeline.destinations.tryton_model import BATCH, Model
from pipeline.destinations.tryton_rpc import Server

# What sales works with: state and owner among them. Never written, whatever the user's rights are.
_THEIRS = {
    "id", "active", "address", "amount", "comment", "company", "contact", "conversion_probability",
    "converted_by", "create_date", "create_uid", "currency", "description", "employee", "end_date",
    "last_modified_at", "lines", "lost_reason", "name", "number", "party", "payment_term", "rec_name",
    "reference", "sales", "start_date", "state", "write_date", "write_uid", "xml_id",
}  # fmt: skip


class TrytonSettings(Settings):
    """Leads of Tryton 8, with a user of that server."""

    type: Literal["tryton"] = "tryton"
    url: Url = Field(description='the server, as "https://crm.example.com"')
    database: str = Field(min_length=1)
    user: str = Field(
        min_length=1, description="who signs in by password alone, and may read and write leads"
    )
    password: Secret
    model: str = Field(
        default="sale.opportunity", pattern=r"^[a-z_.]+$", description="the model that holds the leads"
    )
    key: str = Field(default="id", description="the field that identifies a record: its id, a number or text")
    timeout: float = Field(default=60, gt=0, description="seconds until an answer is given up")

    @field_validator("fields")
    @classmethod
    def _fields_of_ours(cls, fields: dict[str, str]) -> dict[str, str]:
        theirs = sorted(_THEIRS.intersection(fields.values()))
        if theirs:
            raise ValueError(
                f"{', '.join(theirs)}: what sales works with is never written; use fields of your own"
            )
        return fields


class Tryton(WebDestination):
    """Leads of Tryton.

    An older run cannot overwrite a newer one: what is written is bound, inside the call that writes it, to
    the records' being as they were when their run was read. A call takes effect as a whole or not at all.
    """

    settings_class = TrytonSettings
    settings: TrytonSettings
    compares = True

    def connect(self) -> Api:
        """Return the client; who signs in is in `model`."""
        return Api(
            self.settings.url, timeout=self.settings.timeout, transport=self.transport, sleep=self.sleep
        )

    @cached_property
    def model(self) -> Model:
        """The leads."""
        given = self.settings
        server = Server(self.api, given.database, given.user, lambda: given.password.read(self.root))
        return Model(server, given.model, given.key, self.fields)

    def batch(self, total: int) -> int:
        """Return how many rows are one call: as many as take Tryton about a second."""
        return BATCH

    def missing(self) -> list[str]:
        """Sign in, check the rights to the leads and to each field, and return the fields there are not."""
        absent = self.model.missing()
        sequence = self.settings.sequence_field
        if sequence and sequence not in absent and self.model.kind(sequence) != "integer":
            raise Fatal(f"The field {sequence!r} cannot be compared.", todo="make it a field of integers")
        return absent

    def create_fields(self, fields: Mapping[str, Kind]) -> None:
        """Say what is missing: in Tryton a field comes from a module."""
        raise Fatal(
            f"Tryton gets fields from a module, and not over the web; {self.settings.model} lacks some.",
            todo="add to a module of yours, as docs/delivery.md shows: "
            + ", ".join(f"{name} ({kind})" for name, kind in fields.items()),
        )

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the leads; a key that several have identifies none of them."""
        found = self.model.find(keys, self.fields)
        return {
            key: Record(key, self.model.decode(records[0]))
            for key, records in found.items()
            if len(records) == 1
        }

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        """Update the leads that hold no later run, in one call."""
        sequence = self.settings.sequence_field
        found = self.model.find([row.key for row in rows], ["_timestamp", *([sequence] if sequence else [])])
        refused: dict[str, str] = {}
        newer, changes = [], []
        for row in rows:
            records = found.get(row.key, [])
            if len(records) > 1:
                refused[row.key] = f"{len(records)} records have this {self.settings.key}"
            elif records and sequence and (records[0][sequence] or 0) > row.sequence:
                newer.append(row.key)
            elif records:
                try:
                    changes.append((records[0], self.model.encode(row.values)))
                except ValueError as error:
                    refused[row.key] = str(error)
        if changes:
            self.model.change(changes)
        gone = tuple(row.key for row in rows if row.key not in found)
        return Written(refused, gone, tuple(newer))
