"""A CSV or Parquet file that another program imports, replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipeline.destinations.base import Destination, Job, Problem, Record, Row, Secret, Settings, Written


class CsvSettings(Settings):
    """A CSV file."""

    type: Literal["csv"] = "csv"
    path: str = Field(description="the file, relative to this file; made if it is not there")
    key: str = Field(default="lead_id", description="the column that identifies a record")


class ParquetSettings(Settings):
    """A Parquet file."""

    type: Literal["parquet"] = "parquet"
    path: str = Field(description="the file, relative to this file; made if it is not there")
    key: str = Field(default="lead_id", description="the column that identifies a record")


class Csv(Destination):
    """A CSV file."""

    settings_class = CsvSettings
    compares = True

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError


class Parquet(Destination):
    """A Parquet file."""

    settings_class = ParquetSettings
    compares = True

    def missing(self) -> list[str]:
        raise NotImplementedError

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        raise NotImplementedError

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        raise NotImplementedError

    def classify(self, error: Exception) -> Problem | None:
        raise NotImplementedError

