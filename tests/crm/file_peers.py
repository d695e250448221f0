"""Files as peers: what another program would read in them."""

from __future__ import annotations

import csv
from abc import abstractmethod
from pathlib import Path
from typing import Any

from crm.peers import Held, Peer
from crm.sql_peers import FIELDS

KEY = "record id"


class FilePeer(Peer):
    """A file that has the rows that were written to it, and no others."""

    fields = FIELDS
    others = {}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"scores.{self.type}"
        self.seeded = 0

    def settings(self, port: int | None = None) -> dict[str, Any]:
        return {"path": str(self.path), "key": KEY}

    def seed(self, count: int) -> list[str]:
        self.seeded += count
        return [f"00{number}" for number in range(self.seeded - count, self.seeded)]

    def records(self) -> Held:
        rows = self.rows() if self.path.exists() else []
        keys = [str(row.pop(KEY)) for row in rows]
        assert len(keys) == len(set(keys))
        return dict(zip(keys, rows, strict=True))

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the file."""

    def effects(self) -> None:
        return None


class CsvPeer(FilePeer):
    """A CSV file, read as text."""

    type = "csv"

    def rows(self) -> list[dict[str, Any]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


class ParquetPeer(FilePeer):
    """A Parquet file."""

    type = "parquet"

    def rows(self) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        return pq.read_table(self.path).to_pylist()
