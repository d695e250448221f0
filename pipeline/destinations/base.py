"""What every destination is: how to read it, write a batch to it, and tell what an error means.

All else, the ledger, the lease, what has changed, retries, bisection and reading back, comes from
`pipeline.delivery` and is the same for each. A new destination is one subclass of `Destination`, its
`Settings`, and a line in `pipeline.destinations`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.config_tables import Section
from pipeline.durations import Duration

# What a destination is given to write: times are ISO 8601 text in UTC, reasons one text.
Value = str | int | float | bool | None
# What a column holds, for destinations that create their fields.
Kind = Literal["number", "integer", "text", "long_text", "choice", "boolean", "time"]


class Secret(Section):
    """Where a secret is: in the environment or in a file; never in ``propense.toml``."""

    env: str | None = Field(default=None, description="name of an environment variable")
    file: Path | None = Field(default=None, description="a file that holds the secret and nothing else")

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError('a secret is { env = "NAME" } or { file = "path" }')
        return self

    def read(self, root: Path) -> str:
        """Return the secret. Raises `Fatal`, which never tells it, if it is not there or empty."""
        if self.env is not None:
            found, where = os.environ.get(self.env, ""), f"environment variable {self.env}"
        else:
            assert self.file is not None
            path, where = root / self.file, f"file {root / self.file}"
            try:
                found = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = type(error).__name__
                raise Fatal(f"The secret cannot be read: {why}.", todo=f"see the {where}") from None
        if not found.strip():
            raise Fatal("A secret is empty or not set.", todo=f"set the {where}")
        return found.strip()


class Settings(Section):
    """What every section [destinations.NAME] may say, whatever its type."""

    type: str
    fields: dict[str, str] = Field(description="column of scores.parquet, or run_sequence = field there")
    record: str | None = Field(
        default=None,
        description="column of the leads' table that identifies the record there; the lead's id if not given",
    )
    closed: Literal["clear", "freeze"] = Field(
        default="clear", description="what becomes of the score of a lead that is no longer open"
    )
    tolerance: int = Field(
        default=2, ge=0, le=100, description="points that a score may move before it is written again"
    )
    patience: Duration = Field(
        default=timedelta(minutes=5), description="how long one batch is tried before it is left pending"
    )

    @property
    def sequence_field(self) -> str | None:
        """The field that holds the run sequence, by which an older run never overwrites a newer one."""
        return self.fields.get("run_sequence")


@dataclass(frozen=True)
class Row:
    """One lead's scores, ready for one destination.

    `key` finds the record there; `values` are by the destination's field, the run sequence among them
    where it is mapped; all rows of a destination have the same fields.
    """

    lead_id: str
    key: str
    values: Mapping[str, Value]
    sequence: int


@dataclass(frozen=True)
class Record:
    """A record as the destination holds it: the values of the fields that are written, by field.

    `id` is where it is now; it differs from the key that it was asked by when the record was merged into
    another or converted. Then that is the one to write to.
    """

    id: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Written:
    """What a destination said of a batch, by key; a row that is not named was accepted.

    refused
        Key and the reason, for rows that will be refused again as they are.
    gone
        There is no such record (any more); none was created.
    newer
        The record holds the values of a later run, and keeps them. Only where the destination compares.
    unconfirmed
        Neither accepted nor refused: read back, and sent again if need be.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    gone: Collection[str] = ()
    newer: Collection[str] = ()
    unconfirmed: Collection[str] = ()


@dataclass
class Job:
    """The job on the other side that a batch is, where the destination works in jobs.

    `id` is None before there is one. `remember` puts it into the ledger, durably, before anything is
    uploaded; so after a crash `write` gets it back, and continues that job instead of starting another.
    """

    id: str | None = None
    remember: Callable[[str], None] = lambda identifier: None


class Problem(Exception):
    """Why a call did not do what it should; each subclass says what helps.

    `text` is for people and names no lead's data and no secret. `applied` says whether the write may
    nevertheless have taken effect: then it is read back before anything is sent again.
    """

    def __init__(self, text: str, *, applied: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.applied = applied


class Retriable(Problem):
    """Waiting helps: too many requests, a server's error, a time-out, a reset connection.

    `after` is how many seconds the destination asked to wait, None if it did not say.
    """

    def __init__(self, text: str, *, after: float | None = None, applied: bool = False) -> None:
        super().__init__(text, applied=applied)
        self.after = after


class Refused(Problem):
    """Something in the batch is refused and with it all of the batch: smaller batches find out which."""


class Fatal(Problem):
    """Nothing but a person helps: credentials, permissions, a field that is not there, a daily quota."""

    def __init__(self, text: str, *, todo: str = "", applied: bool = False) -> None:
        super().__init__(text, applied=applied)
        self.todo = todo


class Destination(ABC):
    """A place where scores are written. Subclasses say how; the engine says what and when.

    Parameters
    ----------
    name
        As in [destinations.NAME].
    settings
        Of the class that the subclass names as `settings_class`.
    root
        The folder that paths in the settings are relative to.

    No method may create a record. Any exception that `classify` does not know is a defect.
    """

    settings_class: ClassVar[type[Settings]]
    # Whether `write` itself keeps an older run from overwriting a newer one. If not, the engine reads
    # each batch first, and writes only rows whose record holds an older sequence.
    compares: ClassVar[bool] = False
    # Whether it is ours, as a file for an importer is: then a record that is not there is no mistake.
    own: ClassVar[bool] = False

    def __init__(self, name: str, settings: Settings, root: Path) -> None:
        self.name = name
        self.settings = settings
        self.root = root
        self.fields = tuple(settings.fields.values())

    def batch(self, total: int) -> int:
        """Return how many rows are written at a time when `total` are to be written."""
        return 100

    def emptied(self) -> bool:
        """Return whether all that was written is gone, as a file that its importer took away.

        Then every lead is due, changed or not.
        """
        return False

    @abstractmethod
    def missing(self) -> list[str]:
        """Check credentials and permissions, and return the mapped fields that are not there.

        Raises
        ------
        Problem
            `Fatal` if one cannot sign in, or may not read and write what is needed.
        """

    def create_fields(self, fields: Mapping[str, Kind]) -> None:
        """Create fields, `missing` ones, of the given kinds. Raises `Fatal` where that is not possible."""
        raise Fatal(
            "Fields cannot be created there by a program.",
            todo="create them by hand: " + ", ".join(f"{name} ({kind})" for name, kind in fields.items()),
        )

    @abstractmethod
    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return what the destination holds now, by key; keys without a record are left out."""

    @abstractmethod
    def write(self, rows: Sequence[Row], job: Job) -> Written:
        """Write a batch: update the records of `rows`, create none.

        Raises
        ------
        Problem
            Or any exception that `classify` turns into one.
        """

    @abstractmethod
    def classify(self, error: Exception) -> Problem | None:
        """Return what an exception of a library or of the destination means, None if it is a defect."""

    def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """Let go of connections."""
