"""The durable record of all deliveries: what is to be sent, what may have been, and what arrived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from pipeline.delivery.book import Batch, Book, Delivery
from pipeline.delivery.lease import Busy, LeaseLost, leased
from pipeline.delivery.ledger_tables import (
    DELIVERIES,
    FAILED,
    LEASES,
    NUMBERS,
    RUNS,
    connect,
    explained,
    parsed,
    prepare,
)
from pipeline.delivery.loading import among

__all__ = ["Batch", "Book", "Busy", "Delivery", "Failure", "LeaseLost", "Ledger"]


@dataclass(frozen=True)
class Failure:
    """A delivery that failed, and waits for its lead's decision to change or for a person to retry it.

    `kind` is one of refused, gone, stale, shared, unknown, unkept. `attempts` is how often it was sent;
    `sequence` is the run whose score it was, None if it was never to be sent; `at` is in UTC.
    """

    destination: str
    lead_id: str
    kind: str
    reason: str
    attempts: int
    sequence: int | None
    at: datetime


class Ledger:
    """The record of deliveries to all destinations, in a SQLite file or a PostgreSQL database.

    What a method has returned from is on disk. Machines that write to one destination share one ledger.
    A SQLite file has to be on a disk of this machine: locks do not work reliably over a network.
    Any method raises `DeliveryError` if the database cannot be used.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open a ledger, and make it if there is none.

        Parameters
        ----------
        url
            ``sqlite:///path`` (folders are made) or ``postgresql://user@host/database``.

        Raises
        ------
        DeliveryError
            It cannot be opened, or is of a later version; a password is never repeated.
        """
        place = parsed(url)
        with explained(place):
            if place.drivername.startswith("sqlite"):
                Path(str(place.database)).parent.mkdir(parents=True, exist_ok=True)
            engine = connect(place)
            try:
                prepare(engine)
            except BaseException:
                engine.dispose()
                raise
        return cls(engine)

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    def register(self, run_id: str, as_of: datetime, model_version: str) -> int:
        """Return the sequence of a run: higher than any given before, the same whenever it is asked for.

        It comes from the database, under a lock, never from a clock.
        """
        with self._transaction() as connection:
            highest = _highest(connection, lock=True)
            given = connection.scalar(select(RUNS.c.sequence).where(RUNS.c.run_id == run_id))
            if given is not None:
                return int(given)
            run = {"run_id": run_id, "as_of": as_of.isoformat(), "model_version": model_version}
            now = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute(RUNS.insert().values(**run, sequence=highest + 1, registered_at=now))
            _set_highest(connection, highest + 1)
            return highest + 1

    def sequence_of(self, run_id: str) -> int | None:
        """Return the sequence of a run, None if it was never registered."""
        with self._transaction(reading=True) as connection:
            return connection.scalar(select(RUNS.c.sequence).where(RUNS.c.run_id == run_id))

    def highest(self) -> int:
        """Return the highest sequence that was given, or raised to; 0 if none."""
        with self._transaction(reading=True) as connection:
            return _highest(connection)

    def raise_to(self, sequence: int) -> None:
        """See to it that the next run that is registered gets a sequence above this one."""
        with self._transaction() as connection:
            _set_highest(connection, max(sequence, _highest(connection, lock=True)))

    def lift(self, sequence: int, above: int) -> int:
        """Give the run of this sequence a new one, above `above` and all given, and return it."""
        with self._transaction() as connection:
            new = max(above, _highest(connection, lock=True)) + 1
            moved = connection.execute(update(RUNS).where(RUNS.c.sequence == sequence).values(sequence=new))
            if moved.rowcount != 1:
                raise ValueError(f"no run has the sequence {sequence}")
            _set_highest(connection, new)
            return new

    @contextmanager
    def writer(self, destination: str) -> Iterator[Book]:
        """Be the only writer of a destination; the lease ends with the block, or with this process.

        Raises
        ------
        Busy
            Another is; at once.
        """
        with ExitStack() as stack:
            with explained(self._engine.url):  # and not what the block itself may raise
                lease = stack.enter_context(leased(self._engine, destination))
            yield Book(lease)

    def failures(self, destination: str | None = None) -> list[Failure]:
        """Return what failed, of one destination or of all, by destination and lead."""
        d = DELIVERIES.c
        with self._transaction(reading=True) as connection:
            found = connection.execute(
                select(d.destination, d.lead_id, d.error_kind, d.error, d.attempts, d.sequence, d.changed_at)
                .where(*_failed(destination))
                .order_by(d.destination, d.lead_id)
            ).all()
        return [Failure(*row[:-1], datetime.fromisoformat(row[-1])) for row in found]

    def retry(self, destination: str, leads: Sequence[str] | None = None) -> int:
        """Have failed deliveries, all or some, sent with the next run; return how many."""
        with self._transaction() as connection:
            # Take turns with the one who writes: both change many rows, each in an order of its own.
            connection.execute(select(LEASES).where(LEASES.c.destination == destination).with_for_update())
            some = [] if leads is None else [among(connection, DELIVERIES.c.lead_id, leads)]
            where = [*_failed(destination), *some]
            return int(connection.execute(update(DELIVERIES).where(*where).values(retry=True)).rowcount)

    @contextmanager
    def _transaction(self, *, reading: bool = False) -> Iterator[Connection]:
        with (
            explained(self._engine.url),
            self._engine.connect().execution_options(reading=reading) as connection,
            connection.begin(),
        ):
            yield connection


def _failed(destination: str | None) -> list[Any]:
    here = [] if destination is None else [DELIVERIES.c.destination == destination]
    return [*here, DELIVERIES.c.state == FAILED]


def _highest(connection: Connection, *, lock: bool = False) -> int:
    statement = select(NUMBERS.c.value).where(NUMBERS.c.name == "sequence")
    return int(connection.execute(statement.with_for_update() if lock else statement).scalar_one())


def _set_highest(connection: Connection, sequence: int) -> None:
    connection.execute(update(NUMBERS).where(NUMBERS.c.name == "sequence").values(value=sequence))
