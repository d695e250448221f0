"""A table in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class PostgreSQLSettings(Settings):
    """A table in a PostgreSQL database."""

    type: Literal["postgresql"] = "postgresql"
    url: str | Secret = Field(
        description='"postgresql://user@host/database" without a password (it comes from PGPASSWORD or a '
        "pgpass file), or a secret that holds the whole URL"
    )
    table: str = Field(description='"leads", or with its schema: "crm.leads"')
    key: str = Field(description="the column that holds what identifies a record")


class PostgreSQL(Destination):
    """A table in a PostgreSQL database."""

    settings_class = PostgreSQLSettings
    compares = True

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

