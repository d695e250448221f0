"""A table in a DuckDB database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class DuckDBSettings(Settings):
    """A table in a DuckDB database."""

    type: Literal["duckdb"] = "duckdb"
    path: str = Field(description="the database file, relative to this file")
    table: str
    key: str = Field(description="the column that holds what identifies a record")


class DuckDB(Destination):
    """A table in a DuckDB database."""

    settings_class = DuckDBSettings
    compares = True

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

