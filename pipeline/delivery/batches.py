"""Batches on their way, one after the other: those of a dead run first, halved where a row holds one back."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pipeline.delivery.account import Account, Event, Step, Watch
from pipeline.delivery.attempts import Attempts
from pipeline.delivery.flight import Flight
from pipeline.delivery.ledger import Batch, Book, Delivery, Ledger
from pipeline.destinations.base import Destination, Job, Refused, Row


class Sender:
    """Sends the batches of one run, and writes into the ledger what became of each row.

    ``others`` are the keys of all leads of the run: a record that one of them is written to is not
    written a second time for a lead that was merged into it. ``clearing`` are leads that lose a score,
    ``failed`` those that were refused, or accepted and not kept.
    """

    def __init__(
        self,
        destination: Destination,
        ledger: Ledger,
        book: Book,
        account: Account,
        attempts: Attempts,
        watch: Watch,
    ) -> None:
        self.destination = destination
        self.ledger = ledger
        self.book = book
        self.account = account
        self.attempts = attempts
        self.watch = watch
        self.others: Collection[str] = frozenset()
        self.clearing: Collection[str] = frozenset()
        self.failed: set[str] = set()
        self.taken: dict[str, str] = {}  # records that leads were found merged into, and by which

    def send(self, number: int, place: int, batches: int) -> None:
        """Send a pending batch.

        Raises
        ------
        Problem
            The run cannot go on. What is known not to have arrived is pending again, the rest in flight.
        """
        began = time.perf_counter()
        sent, failed = self.account.sent, self.account.failed
        rows = [_row(delivery) for delivery in self.book.begin(number)]

        def tell(step: Step) -> None:
            now = self.account.sent - sent, self.account.failed - failed
            self.watch(Event(step, place, batches, len(rows), *now, time.perf_counter() - began))

        tell("intent")
        self._deliver(number, rows, Job(), tell)
        tell("settled")

    def recover(self) -> None:
        """Find out what became of rows that a dead run had in flight.

        A batch that is a job on the other side is taken up again as that job. Others are read back: rows
        that arrived are settled, the rest is pending again and planned anew.
        """
        for batch in self.book.in_flight():
            rows = [_row(delivery) for delivery in batch.rows]
            if batch.job_id:
                self._deliver(batch.number, rows, Job(batch.job_id))
            else:
                self._resolve(batch, rows)

    def _resolve(self, batch: Batch, rows: list[Row]) -> None:
        size = max(1, self.destination.batch(len(rows)))
        for start in range(0, len(rows), size):
            part = Flight(self, batch.number, rows[start : start + size], Job(), whole=False)
            part.settle_arrived(self.attempts.call)
        self.book.release(batch.number)

    def _deliver(
        self, number: int, rows: list[Row], job: Job, tell: Callable[[Step], None] = lambda step: None
    ) -> None:
        """Write all rows; halve them where all are refused because of one.

        Only what is being tried is in flight, the other half is pending meanwhile: so whatever stops this
        run, a job has just the rows that are its own.
        """
        waiting: list[list[str]] = []
        while True:
            flight = Flight(self, number, rows, self._remembering(number, job), tell)
            try:
                flight.deliver()
            except Refused as problem:
                waiting += flight.halve(problem)
            if not waiting:
                return
            rows = [_row(delivery) for delivery in self.book.begin(number, waiting.pop())]
            job = Job()

    def _remembering(self, number: int, job: Job) -> Job:
        def remember(identifier: str) -> None:
            self.book.remember_job(number, identifier)
            job.id = identifier or None  # an empty one lets go of a job that is over

        job.remember = remember
        return job


def _row(delivery: Delivery) -> Row:
    return Row(delivery.lead_id, delivery.key, delivery.payload, delivery.sequence)
