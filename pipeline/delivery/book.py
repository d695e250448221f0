"""The deliveries to one destination, as its one writer records them: intent before, result after."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import psycopg
from sqlalchemy import Connection, bindparam, case, delete, exists, func, literal, select, true, update
from sqlalchemy.exc import DBAPIError

from pipeline.delivery.lease import Lease
from pipeline.delivery.ledger_tables import (
    DELIVERIES,
    FAILED,
    IN_FLIGHT,
    LEASES,
    MOVED,
    PENDING,
    SETTLED,
    STATES,
    WRITTEN,
    explained,
    insert_into,
)
from pipeline.delivery.loading import Batch, Delivery, among, deliveries, frame, staged, storable

# What is known of a lead in the destination, in the order in which it is given and returned.
_WRITTEN = [
    "lead_id", "key", "sequence", "band", "sales_ready", "grade", "score", "propensity", "concepts",
    "mapping", "cleared",
]  # fmt: skip
_PLANNED = [*_WRITTEN, "digest", "payload"]
_D = DELIVERIES.c
_DELIVERY = [_D.lead_id, _D.key, _D.sequence, _D.payload]


class Book:
    """The deliveries to one destination, while its lease is held.

    Each method is one transaction, on disk when it returns. Each raises `LeaseLost` and changes nothing
    if the lease is held no longer, and `DeliveryError` if the ledger cannot be used.

    A delivery is ``pending``, then ``in_flight`` (it may have been sent), then ``settled`` (it is there)
    or ``failed``. There is one a lead: a new plan takes the place of what has not begun.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._destination = lease.destination

    def known(self) -> bool:
        """Return whether anything has ever been written to, or adopted from, this destination."""
        with self._transaction() as connection:
            adopted = connection.scalar(
                select(LEASES.c.known).where(LEASES.c.destination == self._destination)
            )
            here = exists().where(WRITTEN.c.destination == self._destination)
            return bool(adopted) or bool(connection.scalar(select(here)))

    def latest(self) -> int:
        """Return the sequence of the latest run that was delivered here, 0 if none."""
        with self._transaction() as connection:
            here = LEASES.c.destination == self._destination
            return int(connection.execute(select(LEASES.c.latest).where(here)).scalar_one())

    def begin_run(self, sequence: int) -> None:
        """Record that this run is being delivered: from now on an older one is not."""
        with self._transaction() as connection:
            here = LEASES.c.destination == self._destination, LEASES.c.latest < sequence
            connection.execute(update(LEASES).where(*here).values(latest=sequence))

    def written(self) -> pd.DataFrame:
        """Return what was last settled or adopted, a row a lead.

        Columns lead_id, key, band, grade, concepts, mapping (`str`), sequence (`Int64`), sales_ready
        (`boolean`), score, propensity (`float64`), cleared (`bool`); what is not known is missing.
        """
        with self._transaction() as connection:
            columns = [WRITTEN.c[name] for name in _WRITTEN]
            return frame(connection, select(*columns).where(WRITTEN.c.destination == self._destination))

    def failed(self) -> pd.DataFrame:
        """Return what failed: lead_id, digest, kind (`str`), and whether a person wants it retried."""
        with self._transaction() as connection:
            columns = [_D.lead_id, _D.digest, _D.error_kind.label("kind"), _D.retry]
            return frame(connection, select(*columns).where(*self._where(FAILED)))

    def counts(self) -> dict[str, int]:
        """Return how many leads' newest delivery is in each state."""
        with self._transaction() as connection:
            found = connection.execute(
                select(_D.state, func.count()).where(_D.destination == self._destination).group_by(_D.state)
            )
            return dict.fromkeys(STATES, 0) | {state: int(number) for state, number in found}

    def moved(self) -> dict[str, tuple[str, str]]:
        """Return by lead the key of a record that was merged or converted, and where that record is."""
        here = MOVED.c.destination == self._destination
        with self._transaction() as connection:
            found = connection.execute(select(MOVED.c.lead_id, MOVED.c.key, MOVED.c.record).where(here))
            return {lead: (key, record) for lead, key, record in found}

    def follow(self, batch: int, records: Mapping[str, str]) -> None:
        """Record by lead where the record of a delivery in flight is: it is written there."""
        with self._transaction() as connection:
            for lead, record in records.items():
                where = self._flying(connection, batch, [lead])
                named = select(literal(self._destination), _D.lead_id, _D.key, literal(record)).where(*where)
                columns = ["destination", "lead_id", "key", "record"]
                statement = insert_into(connection, MOVED).from_select(columns, named)
                before = MOVED.c.record == statement.excluded.key  # it had moved before
                new = {"record": record, "key": case((before, MOVED.c.key), else_=statement.excluded.key)}
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["destination", "lead_id"], set_=new)
                )
                connection.execute(update(DELIVERIES).where(*where).values(key=record))

    def adopt(self, rows: pd.DataFrame) -> None:
        """Record what the destination held before this ledger knew it.

        Parameters
        ----------
        rows
            Columns as `written` returns them; the destination is known from now on even without any.
        """
        with self._transaction() as connection:
            with staged(connection, WRITTEN, _unique(rows)[_WRITTEN]) as stage:
                self._keep(connection, select(*stage.c).where(true()))
            connection.execute(
                update(LEASES).where(LEASES.c.destination == self._destination).values(known=True)
            )

    def plan(self, rows: pd.DataFrame, batch: int, leads: Collection[str] | None = None) -> None:
        """Record what is to be sent, in place of what was pending.

        Deliveries in flight are left alone, failed ones too if they are not among the rows. How often a
        delivery was tried is remembered until it is settled.

        Parameters
        ----------
        rows
            As `written` returns them, with digest and payload (JSON text); others are ignored.
        batch
            How many rows, in their order, make a batch.
        leads
            Whose pending deliveries are replaced; all if None.
        """
        with self._transaction() as connection:
            highest = select(func.max(_D.batch)).where(_D.destination == self._destination)
            first = (connection.scalar(highest) or 0) + 1
            numbers = first + np.arange(len(rows)) // batch
            with staged(connection, DELIVERIES, _unique(rows)[_PLANNED].assign(batch=numbers)) as stage:
                new = {
                    "state": PENDING, "error_kind": None, "error": None, "retry": False, "job_id": None,
                    "changed_at": _now(),
                }  # fmt: skip
                self._replace(connection, stage, new)
            superseded = [*self._where(PENDING), _D.batch < first]
            if leads is not None:
                superseded.append(among(connection, _D.lead_id, leads))
            connection.execute(delete(DELIVERIES).where(*superseded))

    def skip(self, rows: Mapping[str, tuple[str, str]]) -> None:
        """Record failures that are known before anything is sent: by lead, the kind and the reason."""
        if not rows:
            return
        new = {
            "state": FAILED, "sequence": None, "digest": None, "payload": None, "batch": None,
            "job_id": None, "retry": False, "changed_at": _now(),
        }  # fmt: skip
        columns = ["lead_id", "error_kind", "error"]
        table = pd.DataFrame(
            [(lead, kind, storable(why)) for lead, (kind, why) in rows.items()], columns=columns
        )
        with self._transaction() as connection, staged(connection, DELIVERIES, table) as stage:
            self._replace(connection, stage, new)

    def forget_failures(self, except_of: Collection[str] = ()) -> None:
        """Remove what failed, except of some leads: those that are not to be written any more."""
        with self._transaction() as connection:
            failed = connection.scalars(select(_D.lead_id).where(*self._where(FAILED)))
            gone = among(connection, _D.lead_id, set(failed) - set(except_of))
            connection.execute(delete(DELIVERIES).where(*self._where(FAILED), gone))

    def in_flight(self) -> list[Batch]:
        """Return batches, and what of them was begun and neither settled, failed nor released."""
        with self._transaction() as connection:
            found = connection.execute(
                select(_D.batch, _D.job_id, *_DELIVERY).where(*self._where(IN_FLIGHT)).order_by(_D.batch)
            ).all()
        batches = []
        for number, group in groupby(found, key=lambda row: row.batch):
            rows = list(group)
            job = next((row.job_id for row in rows if row.job_id), None)
            batches.append(Batch(number, job, deliveries([row[2:] for row in rows])))
        return batches

    def pending(self) -> list[int]:
        """Return the numbers of the batches that have pending deliveries, in order."""
        with self._transaction() as connection:
            numbers = select(_D.batch).where(*self._where(PENDING)).distinct().order_by(_D.batch)
            return list(connection.scalars(numbers))

    def begin(self, batch: int, leads: Sequence[str] | None = None) -> list[Delivery]:
        """Record the intent to send what is pending of a batch, all or some, in the order of lead_id."""
        with self._transaction() as connection:
            some = () if leads is None else (among(connection, _D.lead_id, leads),)
            where = *self._where(PENDING), _D.batch == batch, *some
            found = connection.execute(select(*_DELIVERY).where(*where)).all()
            begun = {"state": IN_FLIGHT, "attempts": _D.attempts + 1, "changed_at": _now()}
            connection.execute(update(DELIVERIES).where(*where).values(begun))
        return deliveries(found)

    def again(self, batch: int, leads: Sequence[str]) -> None:
        """Count one more attempt of deliveries in flight."""
        self._change(batch, leads, {"attempts": _D.attempts + 1})

    def remember_job(self, batch: int, job_id: str) -> None:
        """Record which job of the destination the deliveries of a batch in flight are."""
        self._change(batch, None, {"job_id": job_id})

    def release(self, batch: int, leads: Sequence[str] | None = None) -> None:
        """Make deliveries pending again that are known not to be there; all in flight if None."""
        self._change(batch, leads, {"state": PENDING, "job_id": None})

    def settle(self, batch: int, leads: Sequence[str] | None = None) -> None:
        """Record that deliveries in flight are there; all of the batch if None."""
        with self._transaction() as connection:
            where = self._flying(connection, batch, leads)
            self._keep(connection, select(*(_D[name] for name in _WRITTEN)).where(*where))
            connection.execute(update(DELIVERIES).where(*where).values(_over(SETTLED)))

    def partly(self, batch: int, leads: Sequence[str]) -> None:
        """Record that deliveries in flight may be there in part: what is written is known no longer.

        So their leads are written again, or cleared when they close, whatever is decided next.
        """
        with self._transaction() as connection:
            values = [literal("") if name == "mapping" else _D[name] for name in _WRITTEN]
            rows = select(*values, literal(self._destination)).where(*self._flying(connection, batch, leads))
            statement = insert_into(connection, WRITTEN).from_select([*_WRITTEN, "destination"], rows)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["destination", "lead_id"], set_={"mapping": ""}
                )
            )

    def fail(self, batch: int, reasons: Mapping[str, tuple[str, str]]) -> None:
        """Record deliveries in flight that failed: by lead, the kind and the reason."""
        if not reasons:
            return
        why: dict[str, Any] = {"error_kind": bindparam("kind"), "error": bindparam("why")}
        failing = update(DELIVERIES).values(_over(FAILED) | why)
        where = *self._where(IN_FLIGHT), _D.batch + 0 == batch, _D.lead_id == bindparam("lead")
        rows = [{"lead": lead, "kind": kind, "why": storable(why)} for lead, (kind, why) in reasons.items()]
        with self._transaction() as connection:
            connection.execute(failing.where(*where), rows)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        connection = self._lease.connection
        if self._lease.ended():
            raise self._lease.broken()
        with explained(connection.engine.url):
            try:
                with connection.begin():
                    self._lease.check()
                    yield connection
            except (DBAPIError, psycopg.Error):
                if self._lease.ended():
                    raise self._lease.broken() from None
                raise

    def _where(self, state: str) -> tuple[Any, ...]:
        return _D.destination == self._destination, _D.state == state

    def _flying(self, connection: Connection, batch: int, leads: Sequence[str] | None) -> tuple[Any, ...]:
        if leads is None:
            return *self._where(IN_FLIGHT), _D.batch == batch
        # Found by lead: the sum keeps a database from reading a large batch for a few of its leads.
        return *self._where(IN_FLIGHT), _D.batch + 0 == batch, among(connection, _D.lead_id, leads)

    def _change(self, batch: int, leads: Sequence[str] | None, values: dict[str, Any]) -> None:
        with self._transaction() as connection:
            where = self._flying(connection, batch, leads)
            connection.execute(update(DELIVERIES).where(*where).values(values | {"changed_at": _now()}))

    def _keep(self, connection: Connection, rows: Any) -> None:
        """Put rows into what was written, in place of what was known of their leads."""
        rows = rows.add_columns(literal(self._destination))
        statement = insert_into(connection, WRITTEN).from_select([*_WRITTEN, "destination"], rows)
        new = {name: statement.excluded[name] for name in _WRITTEN if name != "lead_id"}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["destination", "lead_id"], set_=new)
        )

    def _replace(self, connection: Connection, stage: Any, values: dict[str, Any]) -> None:
        """Make staged rows, with `values`, their leads' deliveries, unless one is in flight."""
        values = values | {"destination": self._destination}
        names = [*stage.c.keys(), *values]
        rows = select(*stage.c, *(literal(value, _D[name].type) for name, value in values.items()))
        statement = insert_into(connection, DELIVERIES).from_select(names, rows.where(true()))
        new = {name: statement.excluded[name] for name in names if name not in {"destination", "lead_id"}}
        new["attempts"] = case((_D.state == SETTLED, 0), else_=_D.attempts)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["destination", "lead_id"], set_=new, where=_D.state != IN_FLIGHT
            )
        )


def _over(state: str) -> dict[str, Any]:
    """Return the values of a delivery that has ended."""
    return {"state": state, "payload": None, "job_id": None, "changed_at": _now()}


def _unique(rows: pd.DataFrame) -> pd.DataFrame:
    if rows["lead_id"].duplicated().any():
        raise ValueError("a lead is twice among the rows")
    return rows


def _now() -> str:
    """Return the time, for people; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
