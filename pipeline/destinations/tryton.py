"""Leads of Tryton: the model sale.opportunity, over JSON-RPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class TrytonSettings(Settings):
    """Leads of Tryton 8."""

    type: Literal["tryton"] = "tryton"
    url: str = Field(description='the server, as "https://crm.example.com"')
    database: str
    user: str
    password: Secret
    model: str = Field(default="sale.opportunity", description="the model that holds the leads")
    key: str = Field(default="id", description="the field that identifies a record, as id or number")
    timeout: float = Field(default=60, gt=0, description="seconds until an answer is given up")


class Tryton(Destination):
    """Leads of Tryton."""

    settings_class = TrytonSettings
    compares = True

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

