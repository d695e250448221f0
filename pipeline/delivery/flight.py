"""Rows on their way together: looked at, written, read back, settled or failed, each of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.delivery.account import Step
from pipeline.delivery.likeness import same, unlike
from pipeline.delivery.sequences import foreign, sequence_of
from pipeline.destinations.base import Fatal, Job, Problem, Record, Refused, Retriable, Row, Written

if TYPE_CHECKING:
    from pipeline.delivery.batches import Sender

# So many rows of a batch are read back after it was accepted.
SAMPLE = 100
# So often a row that was neither accepted nor refused is sent before it counts as not kept.
UNCONFIRMED = 4
GONE = ("gone", "the record is not there (any more)")
STALE = ("stale", "the record holds the scores of a later run")
SHARED = ("shared", "merged into a record that another lead is written to")
# Whether a failure is one to look at; the others are in order as they are.
_COUNTED_AS_FAILED = {"refused", "unkept"}

Failures = dict[str, tuple[str, str]]


class Flight:
    """Rows in flight: all that are of one batch, or not `whole`.

    ``open`` are those of which nothing is known yet. `uncertain`: some of them may have arrived.
    """

    def __init__(
        self,
        sender: Sender,
        number: int,
        rows: Sequence[Row],
        job: Job,
        tell: Callable[[Step], None] = lambda step: None,
        *,
        whole: bool = True,
    ) -> None:
        self.sender = sender
        self.number = number
        self.open = list(rows)
        self.job = job
        self.tell = tell
        self.whole = whole
        self.uncertain = False
        self.tries: Counter[str] = Counter()
        self.destination = sender.destination
        self.book = sender.book
        self.account = sender.account
        self.attempts = sender.attempts
        self.field = sender.destination.settings.sequence_field

    def deliver(self) -> None:
        """Write all rows.

        Raises
        ------
        Refused
            All of them because of one: nothing was written.
        Problem
            The run cannot go on. What is known not to have arrived is pending again, the rest in flight.
        """
        try:
            if not self.destination.compares:
                self._look()
            self.attempts.repeat(self._attempt)
        except Refused:
            raise
        except Problem as problem:
            if not (self.uncertain or problem.applied or self.job.id):
                self.book.release(self.number, self._leads())
            raise

    def halve(self, problem: Refused) -> list[list[str]]:
        """Make what was refused pending again, and return its halves; of a single row, fail it."""
        leads = self._leads()
        if len(leads) == 1:
            self._fail({leads[0]: ("refused", problem.text)})
            return []
        self.book.release(self.number, leads)
        middle = len(leads) // 2
        return [leads[middle:], leads[:middle]]

    def _leads(self) -> list[str]:
        return [row.lead_id for row in self.open]

    def _attempt(self) -> None:
        """Send what is open, once; after an attempt that may have taken effect, only what is not there."""
        if self.uncertain and self.job.id is None:
            self.settle_arrived(self.attempts.once)
        if not self.open:
            return
        if self.tries:
            self.book.again(self.number, self._leads())
        self.tries.update(row.lead_id for row in self.open)
        try:
            written = self.attempts.once(self.destination.write, self.open, self.job)
        except Problem as problem:
            self.uncertain = self.uncertain or problem.applied
            raise
        self.uncertain = True  # until the ledger has it
        self.tell("answer")
        self._conclude(written)
        self.uncertain = False
        self._insist(written)

    def _look(self) -> None:
        """Look at the records before writing, where the destination cannot compare while it writes.

        Under the lease nobody of ours writes in between. While a job with these rows is under way the
        records are only found.
        """
        found = self._read(self.open, self.attempts.call)
        self._close_without([row for row in self.open if row.key not in found], GONE)
        self._close_without([row for row in self.open if self._shared(row, found[row.key])], SHARED)
        failures: Failures = {}
        moved: dict[str, str] = {}
        for row in self.open:
            record = found[row.key]
            if self.job.id is None and self._newer(record, row):
                failures[row.lead_id] = STALE
            elif record.id != row.key:
                moved[row.lead_id] = record.id
        if moved:
            self.book.follow(self.number, moved)
        self._fail(failures)
        if self.job.id is None:
            there = [row for row in self.open if self._arrived(row, found[row.key])]
            self._settle(there, sent=False)
        self.open = [replace(row, key=moved.get(row.lead_id, row.key)) for row in self.open]

    def _shared(self, row: Row, record: Record) -> bool:
        """Return whether a record that a lead was merged into is another lead's."""
        if record.id == row.key:
            return False
        taken = self.sender.taken.setdefault(record.id, row.lead_id)
        return taken != row.lead_id or record.id in self.sender.others

    def _close_without(self, rows: Sequence[Row], why: tuple[str, str]) -> None:
        """Record rows without a record of their own; a score that was to be cleared is gone with it."""
        clearing = self.sender.clearing
        self._fail({row.lead_id: why for row in rows if row.lead_id not in clearing})
        self._settle([row for row in rows if row.lead_id in clearing], sent=False)

    def settle_arrived(self, call: Callable[..., dict[str, Record]]) -> None:
        """Read open rows back, and settle those that arrived."""
        found = self._read(self.open, call)
        here = [row for row in self.open if row.key in found]
        self._settle([row for row in here if self._arrived(row, found[row.key])])
        self._note_traces(found)
        self.uncertain = False

    def _note_traces(self, found: Mapping[str, Record]) -> None:
        """Have open rows written again, whatever is decided next, if a part of them may have been kept."""
        traces = [row.lead_id for row in self.open if row.key in found and _trace(row, found[row.key])]
        if traces:
            self.book.partly(self.number, traces)

    def _arrived(self, row: Row, record: Record) -> bool:
        """Return whether a record holds a row; without the run sequence a text that was cut is no proof."""
        return not unlike(row.values, record.values, cut=self.field is not None)

    def _conclude(self, written: Written) -> None:
        """Put into the ledger what the destination said of each row, and check a sample of it."""
        newer, gone, unsure = (set(keys) for keys in (written.newer, written.gone, written.unconfirmed))
        if newer:
            self._check_ours(sorted(newer))
        self._close_without([row for row in self.open if row.key in gone], GONE)
        failures: Failures = {}
        for row in self.open:
            if row.key in written.refused:
                failures[row.lead_id] = ("refused", written.refused[row.key])
            elif row.key in newer:
                failures[row.lead_id] = STALE
        accepted = [row for row in self.open if row.lead_id not in failures and row.key not in unsure]
        failures |= self._unkept(accepted)
        self._fail(failures)
        self._settle([row for row in accepted if row.lead_id not in failures])

    def _unkept(self, rows: Sequence[Row]) -> Failures:
        """Read a sample of accepted rows back, and return those that are not there: silent failures.

        If there are some in the sample, all rows are read back.
        """
        if len(rows) <= SAMPLE:
            return self._lost(rows)
        return self._lost(rows) if self._lost(random.sample(list(rows), SAMPLE)) else {}

    def _lost(self, rows: Sequence[Row]) -> Failures:
        found = self._read(rows, self.attempts.call)
        failures: Failures = {}
        lost: Counter[str] = Counter()
        for row in rows:
            if row.key not in found:
                failures[row.lead_id] = GONE
            elif not self._newer(found[row.key], row):
                names = unlike(row.values, found[row.key].values)
                lost.update(names)
                if names:
                    failures[row.lead_id] = ("unkept", f"accepted, but not kept: {', '.join(names)}")
        self._note_traces(
            {row.key: found[row.key] for row in rows if row.lead_id in failures and row.key in found}
        )
        everywhere = [name for name, times in lost.items() if times == len(rows) > 1]
        if everywhere:
            self.uncertain, self.job.id = False, None  # the job is over, and its rows known not to be there
            raise Fatal(
                f"The destination accepts {', '.join(map(repr, everywhere))} and does not keep it.",
                todo="see whether the field is there, may be written by this user, and fits what it holds",
            )
        return failures

    def _insist(self, written: Written) -> None:
        """Ask for another attempt if rows were neither accepted nor refused; not without end."""
        if not written.unconfirmed:
            return
        self.job.id = None  # that job is over; what it left undone needs another
        self.uncertain = True
        self.settle_arrived(self.attempts.once)
        often = [row for row in self.open if self.tries[row.lead_id] >= UNCONFIRMED]
        if often and len(self.open) == len(self.tries) > 1:  # not one row of them ever was accepted
            raise Fatal(
                f"The destination accepted {len(often):,} rows {UNCONFIRMED} times and did not write them.",
                todo="see what the destination's own log says of these calls",
            )
        self._fail({row.lead_id: ("unkept", "neither accepted nor refused") for row in often})
        if self.open:
            raise Retriable(f"{len(self.open):,} rows were neither accepted nor refused")

    def _fail(self, failures: Mapping[str, tuple[str, str]]) -> None:
        if not failures:
            return
        self.book.fail(self.number, failures)
        self._close(failures)
        for lead, (kind, _) in failures.items():
            if kind in _COUNTED_AS_FAILED:
                self.account.failed += 1
                self.sender.failed.add(lead)
            else:
                self.account.skip(kind)

    def _settle(self, rows: Sequence[Row], *, sent: bool = True) -> None:
        """Settle rows; all that is in flight of the batch in one statement, where that is what they are."""
        if not rows:
            return
        every = self.whole and len(rows) == len(self.open)
        self.book.settle(self.number, None if every else [row.lead_id for row in rows])
        self._close(row.lead_id for row in rows)
        if sent:
            self.account.sent += len(rows)
            self.account.cleared += sum(row.lead_id in self.sender.clearing for row in rows)
        else:
            self.account.unchanged += len(rows)

    def _close(self, leads: Iterable[str]) -> None:
        done = set(leads)
        self.open = [row for row in self.open if row.lead_id not in done]

    def _read(self, rows: Sequence[Row], call: Callable[..., dict[str, Record]]) -> dict[str, Record]:
        return call(self.destination.read, [row.key for row in rows]) if rows else {}

    def _newer(self, record: Record, row: Row) -> bool:
        """Return whether a record holds a later run than the row's, of this ledger."""
        held = sequence_of(record, self.field)
        if held is None or held <= row.sequence:
            return False
        self._check_known(held)
        return True

    def _check_ours(self, keys: Sequence[str]) -> None:
        found = self.attempts.call(self.destination.read, keys[:SAMPLE])
        self._check_known(max((sequence_of(record, self.field) or 0 for record in found.values()), default=0))

    def _check_known(self, held: int) -> None:
        """Refuse to go on beside a ledger that is not ours."""
        highest = self.sender.ledger.highest()
        if held > highest:
            raise foreign(self.destination.name, held, highest)


def _trace(row: Row, record: Record) -> bool:
    """Return whether a record holds any value of a row."""
    given = {name: value for name, value in row.values.items() if value is not None}
    return any(same(value, record.values.get(name)) for name, value in given.items())
