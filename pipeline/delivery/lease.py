"""One writer a destination at a time: a lease that ends with the process that holds it, by no clock.

On SQLite it is a lock on a file beside the ledger, on PostgreSQL a lock of the very session that the
deliveries are recorded in: without the lease there is nothing left to write with. The fence, a number that
rises with each lease, keeps out whoever believes to hold one that another has taken over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from features.errors import Undelivered
from pipeline.delivery.ledger_tables import LEASES, insert_into


class Busy(Undelivered):
    """Another run is writing to this destination."""


class LeaseLost(Undelivered):
    """This run no longer holds the lease, and must not record or send anything any more."""

    def __init__(self, destination: str, why: str) -> None:
        super().__init__(
            f"This run lost its lease of '{destination}': {why}.",
            todo=f"run `propense sync {destination}` again; it goes on where this one stopped",
        )


@dataclass(frozen=True)
class Lease:
    """The right to write to a destination, as long as `connection` is the session that it was given in."""

    destination: str
    fence: int
    connection: Connection
    session: object

    def check(self) -> None:
        """Raise `LeaseLost` if the session has ended, or another run has taken over. Within a transaction.

        Who takes over waits for the transaction that has passed this check.
        """
        if self.connection.connection.driver_connection is not self.session:
            raise self.broken()
        here = LEASES.c.destination == self.destination
        now = self.connection.scalar(select(LEASES.c.fence).where(here).with_for_update())
        if now != self.fence:
            raise LeaseLost(self.destination, "another run has taken over")

    def broken(self) -> LeaseLost:
        """Return the error of a session that has ended."""
        return LeaseLost(self.destination, "the connection to the ledger broke")

    def ended(self) -> bool:
        """Return whether the session has ended, as far as this side knows."""
        return self.connection.invalidated or bool(getattr(self.session, "closed", False))


@contextmanager
def leased(engine: Engine, destination: str) -> Iterator[Lease]:
    """Hold the lease of a destination. Raises `Busy`, at once, if another does."""
    with engine.connect() as connection:
        exclusive = _session_lock if engine.dialect.name == "postgresql" else _file_lock
        with exclusive(connection, destination) as held:
            if not held:
                raise _busy(connection, destination)
            yield Lease(destination, _next_fence(connection, destination), connection, _session(connection))


def _session(connection: Connection) -> object:
    return connection.connection.driver_connection


@contextmanager
def _file_lock(connection: Connection, destination: str) -> Iterator[bool]:
    ledger = Path(str(connection.engine.url.database))
    handle = os.open(f"{ledger}.{quote(destination, safe='')}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


@contextmanager
def _session_lock(connection: Connection, destination: str) -> Iterator[bool]:
    with connection.begin():
        schema = connection.scalar(select(func.current_schema()))
        name = f"propense\0{schema}\0{destination}".encode()
        number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)
        held = bool(connection.scalar(select(func.pg_try_advisory_lock(number))))
    session = _session(connection)
    try:
        yield held
    finally:
        # The lock would end with the session, but the server may notice that later than the next run starts.
        if held and not connection.invalidated and _session(connection) is session:
            with suppress(SQLAlchemyError), connection.begin():
                connection.execute(select(func.pg_advisory_unlock(number)))


def _next_fence(connection: Connection, destination: str) -> int:
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
    statement = insert_into(connection, LEASES).values(destination=destination, fence=1, **holder)
    statement = statement.on_conflict_do_update(
        index_elements=["destination"], set_={"fence": LEASES.c.fence + 1, **holder}
    )
    here = LEASES.c.destination == destination
    with connection.begin():
        connection.execute(statement)
        return int(connection.execute(select(LEASES.c.fence).where(here)).scalar_one())


def _busy(connection: Connection, destination: str) -> Busy:
    here = LEASES.c.destination == destination
    connection.execution_options(reading=True)  # at once, even while the other's transaction lasts
    with connection.begin():
        holder = connection.execute(select(LEASES).where(here)).one_or_none()
    where = ""
    if holder is not None:
        since = datetime.fromisoformat(holder.since)
        where = f"host {holder.host}, process {holder.pid}, since {since:%Y-%m-%d %H:%M:%S} UTC"
    return Busy(
        f"Another run is writing to '{destination}'.",
        where=where,
        todo="run again when it has ended; if it hangs, end that process, and its lease ends with it",
    )
