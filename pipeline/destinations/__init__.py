"""Where scores are written: one class a destination; all else is in `pipeline.delivery`.

To add one: a module with a `Settings` and a `Destination` (see `base`), and its line in `ALL`.
"""

from __future__ import annotations

from pipeline.destinations.base import Destination
from pipeline.destinations.duckdb import DuckDB
from pipeline.destinations.files import Csv, Parquet
from pipeline.destinations.hubspot import HubSpot
from pipeline.destinations.postgresql import PostgreSQL
from pipeline.destinations.salesforce import Salesforce
from pipeline.destinations.sqlite import SQLite
from pipeline.destinations.tryton import Tryton

ALL: tuple[type[Destination], ...] = (
    Csv, Parquet, SQLite, DuckDB, PostgreSQL, Tryton, HubSpot, Salesforce,
)  # fmt: skip
SETTINGS = tuple(destination.settings_class for destination in ALL)


def of_type(name: str) -> type[Destination]:
    """Return the class of a configured ``type``."""
    return next(d for d in ALL if d.settings_class.model_fields["type"].default == name)
