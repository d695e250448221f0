"""A ledger as a plain dictionary, and any sequence of steps done to both."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pandas as pd
from delivery.ledger_rows import leads_of, planned
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pipeline.delivery.ledger import Ledger

LEADS = st.sampled_from("abcde")
SOME = st.lists(LEADS, unique=True, max_size=5)
PLACES = st.integers(0, 4)
REASONS = st.dictionaries(LEADS, st.tuples(st.sampled_from(["refused", "gone"]), st.text(max_size=3)))
_destinations = count(1)


@dataclass(frozen=True)
class Row:
    state: str
    batch: int | None
    sequence: int | None
    digest: str | None
    attempts: int = 0
    kind: str | None = None
    reason: str | None = None
    retry: bool = False
    job: str | None = None
    score: float | None = None


class LedgerMachine(RuleBasedStateMachine):
    """Each example is a destination of its own, in one ledger."""

    url: str

    @initialize()
    def begin_empty(self) -> None:
        self.name = f"destination {next(_destinations)}"
        self.rows: dict[str, Row] = {}
        self.written: dict[str, tuple[int, float]] = {}
        self.known = False
        self.sequence = 0
        self.stack = ExitStack()
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger.open(self.url)
        self.stack.callback(self.ledger.close)
        self.book = self.stack.enter_context(self.ledger.writer(self.name))

    def teardown(self) -> None:
        self.stack.close()

    @rule()
    def reopen(self) -> None:
        self.stack.close()
        self._open()

    @rule(
        leads=SOME, of=st.none() | SOME, size=st.integers(1, 3), score=st.integers(0, 100),
        digest=st.sampled_from(["x", "y"]),
    )  # fmt: skip
    def plan(self, leads: list[str], of: list[str] | None, size: int, score: int, digest: str) -> None:
        self.sequence += 1
        self.book.plan(planned(*leads, sequence=self.sequence, score=score, digest=digest), size, of)
        first = max([row.batch or 0 for row in self.rows.values()], default=0) + 1
        for place, lead in enumerate(leads):
            old = self.rows.get(lead)
            if old is not None and old.state == "in_flight":
                continue
            tried = old.attempts if old is not None and old.state != "settled" else 0
            new = Row("pending", first + place // size, self.sequence, digest, tried, score=score)
            self.rows[lead] = new
        stale = [k for k, r in self.rows.items() if r.state == "pending" and (r.batch or 0) < first]
        for lead in stale:
            if of is None or lead in of:
                del self.rows[lead]

    @rule(place=PLACES, leads=st.none() | SOME)
    def begin(self, place: int, leads: list[str] | None) -> None:
        number = self._number(place)
        here = sorted(k for k, r in self.rows.items() if (r.state, r.batch) == ("pending", number))
        begun = [lead for lead in here if leads is None or lead in leads]
        assert leads_of(self.book.begin(number, leads)) == begun
        for lead in begun:
            row = self.rows[lead]
            self.rows[lead] = replace(row, state="in_flight", attempts=row.attempts + 1)

    def _number(self, place: int) -> int:
        """Return the number of a batch that there is, if there is one: others lead nowhere."""
        numbers = sorted({row.batch for row in self.rows.values() if row.batch})
        return numbers[place % len(numbers)] if numbers else place

    def _flying(self, number: int, leads: Any) -> list[str]:
        here = [k for k, r in self.rows.items() if (r.state, r.batch) == ("in_flight", number)]
        return [lead for lead in here if leads is None or lead in leads]

    @rule(place=PLACES, leads=st.none() | SOME)
    def settle(self, place: int, leads: list[str] | None) -> None:
        number = self._number(place)
        self.book.settle(number, leads)
        for lead in self._flying(number, leads):
            row = self.rows[lead]
            assert row.sequence is not None
            assert row.score is not None
            self.rows[lead] = replace(row, state="settled", job=None)
            self.written[lead] = row.sequence, row.score
            self.known = True

    @rule(place=PLACES, reasons=REASONS)
    def fail(self, place: int, reasons: dict[str, tuple[str, str]]) -> None:
        number = self._number(place)
        self.book.fail(number, reasons)
        for lead in self._flying(number, reasons):
            kind, reason = reasons[lead]
            new = replace(self.rows[lead], state="failed", kind=kind, reason=_kept(reason), job=None)
            self.rows[lead] = new

    @rule(place=PLACES, leads=st.none() | SOME)
    def release(self, place: int, leads: list[str] | None) -> None:
        number = self._number(place)
        self.book.release(number, leads)
        for lead in self._flying(number, leads):
            self.rows[lead] = replace(self.rows[lead], state="pending", job=None)

    @rule(place=PLACES, leads=SOME)
    def again(self, place: int, leads: list[str]) -> None:
        number = self._number(place)
        self.book.again(number, leads)
        for lead in self._flying(number, leads):
            self.rows[lead] = replace(self.rows[lead], attempts=self.rows[lead].attempts + 1)

    @rule(place=PLACES, job=st.sampled_from(["j1", "j2"]))
    def remember_job(self, place: int, job: str) -> None:
        number = self._number(place)
        self.book.remember_job(number, job)
        for lead in self._flying(number, None):
            self.rows[lead] = replace(self.rows[lead], job=job)

    @rule(reasons=REASONS)
    def skip(self, reasons: dict[str, tuple[str, str]]) -> None:
        self.book.skip(reasons)
        for lead, (kind, reason) in reasons.items():
            old = self.rows.get(lead)
            if old is not None and old.state == "in_flight":
                continue
            tried = old.attempts if old is not None and old.state != "settled" else 0
            self.rows[lead] = Row("failed", None, None, None, tried, kind, _kept(reason))

    @rule(kept=SOME)
    def forget_failures(self, kept: list[str]) -> None:
        self.book.forget_failures(except_of=kept)
        gone = [lead for lead, row in self.rows.items() if row.state == "failed" and lead not in kept]
        for lead in gone:
            del self.rows[lead]

    @rule(leads=st.none() | SOME)
    def retry(self, leads: list[str] | None) -> None:
        due = [k for k, r in self.rows.items() if r.state == "failed" and (leads is None or k in leads)]
        assert self.ledger.retry(self.name, leads) == len(due)
        for lead in due:
            self.rows[lead] = replace(self.rows[lead], retry=True)

    @rule(leads=SOME, score=st.integers(0, 100))
    def adopt(self, leads: list[str], score: int) -> None:
        self.book.adopt(planned(*leads, sequence=0, score=score))
        self.written.update(dict.fromkeys(leads, (0, float(score))))
        self.known = True

    @invariant()
    def same(self) -> None:
        of = {s: {k: r for k, r in self.rows.items() if r.state == s} for s in _STATES}
        assert self.book.counts() == {state: len(rows) for state, rows in of.items()}
        assert self.book.pending() == sorted({row.batch for row in of["pending"].values()})
        flying: dict[Any, list[str]] = {}
        for lead, row in sorted(of["in_flight"].items()):
            flying.setdefault(row.batch, []).append(lead)
        found = self.book.in_flight()
        assert [(b.number, leads_of(b.rows)) for b in found] == sorted(flying.items())
        assert all(b.job_id in {of["in_flight"][d.lead_id].job for d in b.rows} for b in found)
        written = self.book.written()
        pairs = zip(written["sequence"], written["score"], strict=True)
        assert dict(zip(written["lead_id"], pairs, strict=True)) == self.written
        assert self.book.known() == self.known
        failed = self.book.failed().set_index("lead_id")
        assert {k: (_none(r.digest), r.kind, r.retry) for k, r in failed.iterrows()} == {
            k: (r.digest, r.kind, r.retry) for k, r in of["failed"].items()
        }
        assert {f.lead_id: (f.kind, f.reason, f.attempts, f.sequence) for f in self._failures()} == {
            k: (r.kind, r.reason, r.attempts, r.sequence) for k, r in of["failed"].items()
        }

    def _failures(self) -> Any:
        return self.ledger.failures(self.name)


_STATES = ("pending", "in_flight", "settled", "failed")


def _none(value: Any) -> Any:
    return None if pd.isna(value) else value


def _kept(reason: str) -> str:
    return reason.replace("\0", "").encode("utf-8", "replace").decode()


def check_against_model(url: str, examples: int = 25) -> None:
    """Do random short sequences of steps to a ledger and to the model, and compare after each."""

    class Machine(LedgerMachine):
        pass

    Machine.url = url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=12, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
