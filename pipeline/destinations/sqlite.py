"""A table in a SQLite database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class SQLiteSettings(Settings):
    """A table in a SQLite database."""

    type: Literal["sqlite"] = "sqlite"
    path: str = Field(description="the database file, relative to this file")
    table: str
    key: str = Field(description="the column that holds what identifies a record")


class SQLite(Destination):
    """A table in a SQLite database."""

    settings_class = SQLiteSettings
    compares = True

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

