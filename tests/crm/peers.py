"""What a test needs of a destination beside the destination: to prepare it, break it, and look into it.

A `Peer` looks past `pipeline`: by SQL, by the file, by the emulator's own door. So a destination that
reads wrongly what it wrote wrongly is found out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from crm.projects import Project

# The environment of the program under test, as a user would set it.
SECRETS = {
    "TEST_TRYTON_PASSWORD": "a kettle of blue fish", "TEST_HUBSPOT_TOKEN": "pat-emulated-private-app",
    "TEST_SF_KEY": "emulated-consumer-key", "TEST_SF_SECRET": "emulated-consumer-secret",
}  # fmt: skip
Held = dict[str, dict[str, Any]]


class Peer(ABC):
    """A destination with records in it, seen from outside.

    fields
        Column of the scores by the field that holds it there: one of each kind.
    others
        Fields that nobody maps, with the value that each record is seeded with: a lifecycle stage and an
        owner among them.
    secret
        What must not be shown anywhere, None if there is nothing secret.
    """

    type: ClassVar[str]
    fields: ClassVar[Mapping[str, str]]
    others: ClassVar[Mapping[str, Any]]
    secret: ClassVar[str | None] = None
    # What is found in a request that writes, and in nothing else.
    writes: ClassVar[str] = ""
    # A key that no record has, and one that could not be any record's.
    unknown: ClassVar[tuple[str, ...]] = ("999999999", "none")

    # Where a server listens.
    port: int = 0

    @abstractmethod
    def settings(self, port: int | None = None) -> dict[str, Any]:
        """Return the section [destinations.crm], without its fields; to be reached at another port."""

    @abstractmethod
    def seed(self, count: int) -> list[str]:
        """Create records, and return their keys in the order of their creation."""

    @abstractmethod
    def records(self) -> Held:
        """Return all records with all their fields, by key."""

    @abstractmethod
    def effects(self) -> list[tuple[str, str]] | None:
        """Return (key, field) for each change of a value since the records were seeded, in order.

        None where there is no audit.
        """

    def sent(self) -> int | None:
        """Return how many rows were sent to be written, None where that is not known."""
        return None

    def absent(self, column: str) -> str:
        """Return a name that a field for this column could have, and that no field has."""
        return f"brand_new_{column}"

    def poison(self, key: str) -> None:
        """Let this record refuse whatever is written to it."""
        raise NotImplementedError

    def heal(self, key: str) -> None:
        """Let it accept again."""
        raise NotImplementedError

    def delete(self, key: str) -> None:
        """Remove a record."""
        raise NotImplementedError

    def project(self, folder: Path, **settings: Any) -> Project:
        """Return a project that writes here."""
        given = {"type": self.type, "record": "record", "patience": "0.5m", **self.settings(), **settings}
        return Project(folder, self.fields, given)

    def scores(self, keys: Sequence[str]) -> Held:
        """Return what these records hold in the mapped fields; files lack what was never written."""
        records = self.records()
        return {key: {name: records.get(key, {}).get(name) for name in self.fields.values()} for key in keys}

    def rest(self) -> Held:
        """Return what all records hold in the fields that nobody maps."""
        mapped = set(self.fields.values())
        return {
            key: {name: value for name, value in record.items() if name not in mapped}
            for key, record in self.records().items()
        }
