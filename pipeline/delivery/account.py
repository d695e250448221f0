"""What a delivery did, for people and for schedulers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipeline.destinations.base import Problem


@dataclass(frozen=True)
class Options:
    """How to deliver.

    `everything` sends what did not change, too. `adopt` goes on where a lost ledger left off.
    `allow_clearing` clears scores even of most leads. `dry_run` writes nothing.
    """

    dry_run: bool = False
    everything: bool = False
    adopt: bool = False
    allow_clearing: bool = False


Step = Literal["planned", "intent", "answer", "settled", "waiting"]


@dataclass(frozen=True)
class Event:
    """A step of a delivery: ``planned``, or of a batch its ``intent``, ``answer`` or ``settled``.

    `batch` of `batches` counts from 1; `rows`, `sent` and `failed` are of this batch. ``waiting`` before
    another attempt says in `text` why, and how long in `seconds`.
    """

    step: Step
    batch: int = 0
    batches: int = 0
    rows: int = 0
    sent: int = 0
    failed: int = 0
    seconds: float = 0.0
    text: str = ""


Watch = Callable[[Event], None]


@dataclass
class Account:
    """What a delivery did.

    sent
        Leads whose record was written and holds it. What a dead run had sent is told in a note.
    unchanged
        Leads for which there was nothing to write.
    skipped
        Leads that were not written and need not be: no record, a shared one, a newer run there, gone, or
        refused before and the same since; by kind.
    failed
        Leads refused, or accepted and not kept, in this run.
    pending
        Leads still to be written: the next run goes on with them.
    cleared
        How many of `sent` lost their score, because they are open no longer.
    stopped
        Why the run ended early, None if it did not.
    planned
        Whether it came so far that what is to be sent was known; if not, `pending` is of earlier runs.
    changes, mapped
        Of a dry run: each lead's difference; and the columns that have a field there.
    """

    destination: str
    sequence: int
    as_of: datetime
    sent: int = 0
    unchanged: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    pending: int = 0
    cleared: int = 0
    stopped: Problem | None = None
    planned: bool = False
    dry_run: bool = False
    to_send: int = 0
    example: dict[str, Any] | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    mapped: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 all is well; 5 not all was delivered, run again; 6 something was refused."""
        if self.stopped is not None or (self.pending and not self.dry_run):
            return 5
        return 6 if self.failed else 0

    def skip(self, kind: str, leads: int = 1) -> None:
        """Count leads that are skipped."""
        if leads:
            self.skipped[kind] = self.skipped.get(kind, 0) + leads
