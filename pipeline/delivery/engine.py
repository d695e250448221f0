"""Delivers a run's scores to one destination: everything arrives, and nothing takes effect twice.

The intent to write a batch is in the ledger before the batch is sent, and its result after. So whatever
dies in between, the next run knows which rows may have arrived, reads those back, and sends only what is
not there: at-least-once sends with a single effect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from models.decision import BANDS
from pipeline.delivery.account import Account, Event, Options, Watch
from pipeline.delivery.attempts import Attempts
from pipeline.delivery.batches import Sender
from pipeline.delivery.ledger import Book, Ledger
from pipeline.delivery.payload import Scores
from pipeline.delivery.plan import DECISION, Plan, make_plan
from pipeline.delivery.sequences import foreign, sequence_of
from pipeline.destinations.base import Destination, Fatal, Problem, Record, Retriable

__all__ = ["Account", "Event", "Options", "deliver"]


def deliver(
    destination: Destination,
    ledger: Ledger,
    scores: Scores,
    keys: Mapping[str, str],
    options: Options = Options(),  # noqa: B008  (frozen)
    watch: Watch = lambda event: None,
    sleep: Callable[[float], Any] = time.sleep,
) -> Account:
    """Deliver scores, as the only writer of this destination.

    Parameters
    ----------
    keys
        By lead: what finds its record in the destination. Leads without one are skipped, and said.
    watch
        Called at each step, for progress and for the log.
    sleep
        How to wait between attempts.

    Returns
    -------
    Account
        Also when the run stopped early because of the destination: ``stopped`` says why, and the rest is
        pending.

    Raises
    ------
    Fatal
        The preflight failed: nothing was written.
    PropenseError
        Another run is writing there, the lease was lost, or most scores would be cleared.
    """
    if options.dry_run:
        sequence = ledger.sequence_of(scores.run_id) or ledger.highest() + 1
    else:
        sequence = ledger.register(scores.run_id, scores.as_of, scores.model_version)
    account = Account(destination.name, sequence, scores.as_of, dry_run=options.dry_run)
    account.notes += scores.notes
    patience = destination.settings.patience.total_seconds()

    def tell(why: str, seconds: float) -> None:
        watch(Event("waiting", seconds=seconds, text=why))

    with ledger.writer(destination.name) as book:
        attempts = Attempts(destination, patience, sleep, tell)
        run = _Run(destination, ledger, book, account, options, watch, attempts)
        run.go(scores, keys)
        counts = book.counts()
        account.pending = counts.get("pending", 0) + counts.get("in_flight", 0)
    return account


class _Run:
    """One delivery, while it holds the lease."""

    def __init__(
        self,
        destination: Destination,
        ledger: Ledger,
        book: Book,
        account: Account,
        options: Options,
        watch: Watch,
        attempts: Attempts,
    ) -> None:
        self.destination = destination
        self.ledger = ledger
        self.book = book
        self.account = account
        self.options = options
        self.watch = watch
        self.attempts = attempts
        self.sender = Sender(destination, ledger, book, account, attempts, watch)

    def go(self, scores: Scores, keys: Mapping[str, str]) -> None:
        """Check, finish what a dead run left, plan, send."""
        try:
            self._preflight()
            keys = self._followed(keys)
            written = self._known(scores, keys)
        except Retriable as problem:
            self.account.stopped = problem
            return
        try:
            if not self.options.dry_run:
                self._recover(keys)
                written = self.book.written()
            if self.account.sequence < self.book.latest():
                self._older(scores)
            else:
                self._newest(scores, keys, written)
            if not self.options.dry_run:
                self._send()
        except Problem as problem:
            self.account.stopped = problem

    def _followed(self, keys: Mapping[str, str]) -> dict[str, str]:
        """Return the keys by which records are found that were merged or converted since."""
        moved = self.book.moved()
        there = {lead: record for lead, (key, record) in moved.items() if keys.get(lead) == key}
        return {**keys, **there}

    def _recover(self, keys: Mapping[str, str]) -> None:
        """Finish what a dead run had in flight. Its rows are compared like all others, and counted then."""
        self.sender.others = frozenset(keys.values())
        try:
            self.sender.recover()
        finally:
            found = self.account.sent
            self.account.sent, self.account.unchanged, self.account.cleared = 0, 0, 0
            self.account.failed, self.account.skipped = len(self.sender.failed), {}
        if found:
            self.account.notes.append(f"{found:,} leads that an earlier run had sent were found written.")

    def _newest(self, scores: Scores, keys: Mapping[str, str], written: pd.DataFrame) -> None:
        """Plan what is to be sent of a run that is not older than any delivered before."""
        failed = self.book.failed()
        plan = self._plan(scores, keys, written, failed)
        if self.options.dry_run:
            self._describe(plan)
            return
        leads = None if scores.complete else set(scores.frame["lead_id"])
        still = {*plan.held, *plan.skipped, *plan.rows["lead_id"]}
        # The failure of a lead that closed, or went back to what is written, is none any more.
        over = {lead for lead in failed["lead_id"] if lead not in still and (leads is None or lead in leads)}
        self.book.forget_failures(except_of=set(failed["lead_id"]) - over)
        self.book.begin_run(self.account.sequence)
        self.book.skip(plan.skipped)
        self.book.plan(plan.rows, self._size(len(plan.rows)), leads)
        self.sender.others = frozenset(keys.values()) | set(plan.rows["key"])
        self.sender.clearing = frozenset(plan.rows.loc[plan.rows["cleared"].astype(bool), "lead_id"])

    def _older(self, scores: Scores) -> None:
        """Plan nothing of a run that is older than one delivered here: also what that one left unchanged
        is newer. What it left pending still is to be sent.
        """
        self.account.planned = True
        self.account.skip("stale", len(scores.frame))
        self.account.notes.append(
            f"These scores are of run {self.account.sequence}; the later run {self.book.latest()} was "
            "delivered here before, and stays. Run `propense score` for newer ones."
        )

    def _preflight(self) -> None:
        """Refuse to start where the first write would fail."""
        missing = self.attempts.call(self.destination.missing)
        if missing:
            raise Fatal(
                f"The destination has no field {', '.join(map(repr, missing))}.",
                todo=f"create them with `propense sync setup {self.destination.name}`, or correct "
                f"[destinations.{self.destination.name}.fields]",
            )
        if self.destination.settings.sequence_field is None:
            self.account.notes.append(
                "No field holds the run sequence (run_sequence = ... under fields): only the ledger keeps an "
                "older run from overwriting a newer one."
            )

    def _plan(
        self, scores: Scores, keys: Mapping[str, str], written: pd.DataFrame, failed: pd.DataFrame
    ) -> Plan:
        plan = make_plan(
            scores, keys, self.account.sequence, self.destination.settings, written, failed,
            everything=self.options.everything or self.destination.emptied(),
            allow_clearing=self.options.allow_clearing,
        )  # fmt: skip
        self.account.planned = True
        self.account.unchanged = len(plan.unchanged)
        self.account.to_send = len(plan.rows)
        # A score that is still there and should not be is told each time.
        told = (plan.held & self.sender.failed) | plan.stuck
        self.account.failed = len(told)
        self.account.skip("refused before", len(plan.held - told))
        for kind, _ in plan.skipped.values():
            self.account.skip(kind)
        return plan

    def _send(self) -> None:
        numbers = self.book.pending()
        self.watch(Event("planned", batches=len(numbers), rows=self.book.counts()["pending"]))
        for place, number in enumerate(numbers, 1):
            try:
                self.sender.send(number, place, len(numbers))
            except Problem as problem:
                self.account.stopped = problem
                return

    def _known(self, scores: Scores, keys: Mapping[str, str]) -> pd.DataFrame:
        """Return what was last written; at first contact, what the destination says of itself.

        A ledger that knows nothing of a destination, or less than it holds, may be a new one or an old copy,
        and the destination hold the bands and run sequences of a lost one.
        """
        known = self.book.known()
        if known and not self.options.adopt:
            return self.book.written()
        wanted = {lead: keys[lead] for lead in scores.frame["lead_id"] if lead in keys}
        found = self._read(list(dict.fromkeys(wanted.values())))
        if wanted and not found and not known and not self.destination.own:
            raise Fatal(
                f"None of the {len(wanted):,} leads is in the destination; nothing was written.",
                todo="correct `key`, the field there that identifies a record, or `record`, the column of "
                f"the leads' table that holds it; looked for {next(iter(wanted.values()))!r}, for example",
            )
        if not self._go_on_after(found) and known:
            return self.book.written()
        adopted = _adopted(wanted, found, self.destination.settings.fields)
        if wanted and not self.options.dry_run:  # who has seen no record does not know the destination
            self.book.adopt(adopted)
        return adopted

    def _size(self, total: int) -> int:
        return max(1, self.destination.batch(total))

    def _read(self, keys: list[str]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        size = self._size(len(keys))
        for start in range(0, len(keys), size):
            found |= self.attempts.call(self.destination.read, keys[start : start + size])
        return found

    def _go_on_after(self, found: Mapping[str, Record]) -> bool:
        """See to it that this run comes after all that the destination holds; return whether it did not."""
        field = self.destination.settings.sequence_field
        held = [sequence_of(record, field) for record in found.values()]
        highest = max((sequence for sequence in held if sequence is not None), default=0)
        if highest <= self.ledger.highest():
            return False
        if not self.options.adopt:
            raise foreign(self.destination.name, highest, self.account.sequence)
        self.account.notes.append(f"The destination held run {highest}; this one comes after it.")
        self.account.sequence = (
            highest + 1 if self.options.dry_run else self.ledger.lift(self.account.sequence, highest)
        )
        return True

    def _describe(self, plan: Plan) -> None:
        """Say what would be sent."""
        self.account.cleared = plan.clears
        self.account.mapped = tuple(self.destination.settings.fields)
        rows = plan.rows
        if len(rows):
            self.account.example = json.loads(rows["payload"].iloc[0])
        names = ["lead_id", "why", "band_before", "band", "grade_before", "grade", "score_before", "score"]
        plain = rows[names].astype(object).where(rows[names].notna(), None)
        self.account.changes = [dict(zip(names, row, strict=True)) for row in plain.to_numpy().tolist()]


def _adopted(
    wanted: Mapping[str, str], found: Mapping[str, Record], fields: Mapping[str, str]
) -> pd.DataFrame:
    """Return what records hold of a decision, as `Book.adopt` takes it: enough for the last band."""
    band, sequence = fields.get("band"), fields.get("run_sequence")
    rows = []
    for lead, key in wanted.items():
        held = found[key].values.get(band) if band and key in found else None
        if held in BANDS:
            rows.append((lead, key, sequence_of(found[key], sequence) or 0, held))
    made = pd.DataFrame(rows, columns=["lead_id", "key", "sequence", "band"])
    others = dict.fromkeys([name for name in DECISION if name != "band"])
    return made.assign(**others, mapping="", cleared=False)
