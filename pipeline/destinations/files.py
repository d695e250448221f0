"""A CSV or Parquet file that another program imports: the scores on their way there, not the CRM itself.

The file is ours, so leads that are not in it are added; whether they exist is for the importer to judge. It
is replaced as a whole or not at all, and only if something changed, so that an importer that watches it
sees complete files and no needless ones. Rows and columns that others put there stay. An importer that
takes the file away finds in the next one what has changed since.

Texts are written as they are. Reasons start with "+" or "−": an importer needs them so, but who opens a CSV
file in a spreadsheet has to import its columns as text, or the spreadsheet computes what begins like a
formula.
"""

from __future__ import annotations

import csv
import errno
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from features.errors import listed, nearest
from pipeline.destinations.base import (
    Destination,
    Fatal,
    Job,
    Problem,
    Record,
    Refused,
    Retriable,
    Row,
    Settings,
    Written,
)
from pipeline.destinations.columns import plain
from pipeline.destinations.merging import keys_of, merged

_PASSING = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT}
_BOM = b"\xef\xbb\xbf"


class FileSettings(Settings):
    """A file for an importer."""

    path: str = Field(description="the file, relative to this file; made if it is not there")
    key: str = Field(default="lead_id", description="the column that identifies a record")

    @model_validator(mode="after")
    def _key_once(self) -> FileSettings:
        if self.key in self.fields.values():
            raise ValueError(f"the column '{self.key}' identifies the record anyway: take it out of fields")
        return self


class CsvSettings(FileSettings):
    """A CSV file."""

    type: Literal["csv"] = "csv"


class ParquetSettings(FileSettings):
    """A Parquet file."""

    type: Literal["parquet"] = "parquet"


class File(Destination):
    """A file that is merged with the rows and replaced; subclasses say how it is read and saved."""

    settings: FileSettings
    compares = True
    own = True

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        return (self.root / self.settings.path).resolve()

    @abstractmethod
    def load(self) -> Any:
        """Return the file's content as an Arrow table, None if it is not there."""

    @abstractmethod
    def save(self, table: Any, part: Path) -> None:
        """Write an Arrow table to a new file."""

    @abstractmethod
    def types(self) -> dict[str, Any]:
        """Return the Arrow types that the key and the fields have in a new file."""

    def batch(self, total: int) -> int:
        """Return all of them: the file is written once."""
        return max(total, 1)

    def emptied(self) -> bool:
        """Return whether the file was taken away."""
        return not self.path.exists()

    def missing(self) -> list[str]:
        """Return nothing: fields that are not there are added. The folder and the key have to be there."""
        folder = self.path.parent
        if not folder.is_dir():
            raise Fatal(f"There is no folder {folder}.", todo="make it, or correct `path`")
        if self.path.exists() and not self.path.is_file():  # a folder, a device, a pipe that would hang
            raise Fatal(f"{self.path} is no file.", todo="correct `path`")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Fatal(f"Nothing may be written in {folder}.", todo="make the folder writable")
        merged(self._held(), [], self.settings.key, self.types(), None)
        return []

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return what is in the file; of several rows of a key, the last."""
        import pyarrow as pa

        held, wanted = self._held(), set(keys)
        places = {key: n for n, key in enumerate(keys_of(held, self.settings.key)) if key in wanted}
        columns = [name for name in self.fields if name in held.schema.names]
        # The key is always there: Arrow takes a table without columns for one without rows.
        found = (
            held.select([self.settings.key, *columns]).take(pa.array(places.values(), pa.int64())).to_pylist()
        )
        return {
            key: Record(key, {name: plain(row.get(name)) for name in self.fields})
            for key, row in zip(places, found, strict=True)
        }

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        """Merge the rows into the file, where it holds an older run's values, and replace it."""
        from pipeline.files import locked, replacing

        with locked(self.path.parent):
            held = self._held()
            new = merged(held, rows, self.settings.key, self.types(), self.settings.sequence_field)
            if not new.table.equals(held):
                with replacing(self.path) as part:
                    self.save(new.table, part)
                    _to_disk(part)
                _to_disk(self.path.parent)
        return Written(newer=new.newer, refused=new.refused)

    def classify(self, error: Exception) -> Problem | None:
        """Return what an error means: hardly any goes away by waiting."""
        if isinstance(error, UnicodeEncodeError):
            return Refused("a text that is not Unicode")
        if isinstance(error, OSError):
            said = f"{self.path}: {error.strerror or error}."
            return Retriable(said, applied=True) if error.errno in _PASSING else Fatal(said, applied=True)
        return None

    def _held(self) -> Any:
        """Return the file's content, without rows if it is not there. Raises `Fatal` without the key."""
        import pyarrow as pa

        key = self.settings.key
        try:
            held = self.load()
        except (csv.Error, UnicodeDecodeError, pa.ArrowException) as error:
            said = str(error).split("\n")[0]
            raise Fatal(
                f"{self.path} cannot be read: {said}.",
                todo="correct it, or take it away: then a new one is made",
            ) from None
        if held is None:
            return pa.schema([(key, self.types()[key])]).empty_table()
        _check(held, key, self.path)
        return held


class Csv(File):
    """A CSV file: UTF-8, commas, quotes where needed, times in ISO 8601, nothing for no value."""

    settings_class = CsvSettings

    def types(self) -> dict[str, Any]:
        """Return text for all."""
        import pyarrow as pa

        return dict.fromkeys([self.settings.key, *self.fields], pa.string())

    def load(self) -> Any:
        """Return the file's cells, all as text."""
        import pyarrow as pa

        if not self.path.exists():
            return None
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            lines = [
                line for line in csv.reader(file, strict=True) if line
            ]  # some end a file with empty ones
        if not lines:  # somebody has touched it
            return None
        header = lines.pop(0)
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise Fatal(
                    f"Record {number} of {self.path} has {len(line)} cells, and the first one {len(header)}.",
                    todo="correct it; cells are separated by commas",
                )
        cells = list(zip(*lines, strict=True)) or [()] * len(header)
        return pa.Table.from_arrays([pa.array(map(_filled, c), pa.string()) for c in cells], names=header)

    def save(self, table: Any, part: Path) -> None:
        """Write the file, with a byte order mark if the one before had it."""
        marked = self.path.exists() and self.path.read_bytes()[: len(_BOM)] == _BOM
        with part.open("w", encoding="utf-8-sig" if marked else "utf-8", newline="") as file:
            writer = csv.writer(file)  # ends lines as RFC 4180 does, and so quotes both \r and \n
            writer.writerow(table.schema.names)
            writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))


class Parquet(File):
    """A Parquet file; new columns have the types of scores.parquet, others keep theirs."""

    settings_class = ParquetSettings

    def types(self) -> dict[str, Any]:
        """Return the types of scores.parquet; reasons are one text here."""
        import pyarrow as pa

        from pipeline.score import SCORES

        known = {f.name: pa.string() if pa.types.is_nested(f.type) else f.type for f in SCORES}
        known["run_sequence"] = pa.int64()
        fields = self.settings.fields.items()
        return {self.settings.key: pa.string(), **{field: known[column] for column, field in fields}}

    def load(self) -> Any:
        """Return the file's table."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path, partitioning=None) if self.path.exists() else None

    def save(self, table: Any, part: Path) -> None:
        """Write the file."""
        import pyarrow.parquet as pq

        pq.write_table(table, part)


def _check(table: Any, key: str, path: Path) -> None:
    names = table.schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Fatal(f"{path} has several columns {listed(map(repr, twice))}.", todo="keep one of them")
    if key not in names:
        raise Fatal(
            f"{path} has no column '{key}'.",
            todo=nearest(key, names) or f"it has {listed(names)}; correct `key`, or take the file away",
        )


def _filled(cell: str) -> str | None:
    return cell or None


def _to_disk(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
