"""What a ledger is, whatever database it is kept in: one specification, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from delivery.ledger_model import check_against_model
from delivery.ledger_rows import AS_OF, leads_of, planned
from sqlalchemy import event, text

from features.errors import DeliveryError
from pipeline.delivery.ledger import Book, Busy, LeaseLost, Ledger
from pipeline.delivery.ledger_tables import SCHEMA_VERSION, connect, parsed

TESTS = Path(__file__).resolve().parents[1]
PATIENCE = 60


@contextmanager
def program(url: str, code: str) -> Iterator[subprocess.Popen[str]]:
    """Run `code` in a process of its own, with `ledger` open; it is killed at the end of the block."""
    head = (
        "import sys, os, time\n"
        "from delivery.ledger_rows import AS_OF, planned\n"
        "from pipeline.delivery.ledger import Busy, Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
    )
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    with subprocess.Popen(
        [sys.executable, "-c", head + code, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def statement(url: str, sql: str, **values: Any) -> None:
    """Change the ledger behind its back."""
    engine = connect(parsed(url))
    with engine.begin() as connection:
        connection.execute(text(sql), values)
    engine.dispose()


def eventually(attempt: Callable[[], Any], error: type[Exception]) -> Any:
    """Return what `attempt` returns once it no longer raises `error`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def states(book: Book) -> tuple[int, int, int, int]:
    """How many are pending, in flight, settled, failed."""
    counts = book.counts()
    assert list(counts) == ["pending", "in_flight", "settled", "failed"]
    return tuple(counts.values())  # type: ignore[return-value]


class LedgerContract:
    """Subclasses give `url`, a place where there is no ledger yet."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, url: str) -> Iterator[Ledger]:
        with closing(Ledger.open(url)) as ledger:
            yield ledger

    @pytest.fixture
    def book(self, ledger: Ledger) -> Iterator[Book]:
        with ledger.writer("crm") as book:
            yield book

    # A delivery's way

    def test_a_delivery_goes_its_way(self, book: Book) -> None:
        assert not book.known()
        book.plan(planned("a", "b", "c"), 2)
        assert book.pending() == [1, 2]
        assert states(book) == (3, 0, 0, 0)
        begun = book.begin(1)
        assert [(d.lead_id, d.key, d.sequence, d.payload) for d in begun] == [
            ("a", "key of a", 1, {"score": 50}),
            ("b", "key of b", 1, {"score": 50}),
        ]
        assert book.pending() == [2]
        assert states(book) == (1, 2, 0, 0)
        assert [(b.number, b.job_id, leads_of(b.rows)) for b in book.in_flight()] == [(1, None, ["a", "b"])]
        assert book.in_flight()[0].rows == begun
        assert book.written().empty
        assert not book.known()
        book.settle(1)
        assert book.known()
        assert states(book) == (1, 0, 2, 0)
        assert book.in_flight() == []
        assert list(book.written()["lead_id"]) == ["a", "b"]

    def test_what_was_written_is_what_was_planned(self, book: Book) -> None:
        book.plan(planned("a"), 10)
        book.begin(1)
        book.settle(1)
        assert book.written().to_dict("records") == [
            {
                "lead_id": "a", "key": "key of a", "sequence": 1, "band": "mql", "sales_ready": True,
                "grade": "A1", "score": 50.0, "propensity": 0.25, "concepts": "+quote", "mapping": "m",
                "cleared": False,
            }
        ]  # fmt: skip

    def test_a_cleared_lead_has_no_values(self, book: Book) -> None:
        nothing = dict.fromkeys(["band", "sales_ready", "grade", "score", "propensity", "concepts"])
        book.plan(planned("a", cleared=True, **nothing), 10)
        book.begin(1)
        book.settle(1)
        found = book.written()
        assert found[list(nothing)].isna().all(axis=None)
        assert list(found["cleared"]) == [True]

    def test_types_are_the_same_with_rows_and_without(self, book: Book) -> None:
        empty = book.written().dtypes, book.failed().dtypes
        book.plan(planned("a", "b"), 10)
        book.begin(1)
        book.settle(1, ["a"])
        book.fail(1, {"b": ("refused", "no")})
        assert (book.written().dtypes.equals(empty[0]), book.failed().dtypes.equals(empty[1])) == (True, True)
        assert {name: str(type_) for name, type_ in empty[0].items()} == {
            "lead_id": "str", "key": "str", "sequence": "Int64", "band": "str", "sales_ready": "boolean",
            "grade": "str", "score": "float64", "propensity": "float64", "concepts": "str",
            "mapping": "str", "cleared": "bool",
        }  # fmt: skip
        assert [str(type_) for type_ in empty[1]] == ["str", "str", "str", "bool"]

    @pytest.mark.parametrize(
        "odd", ["", "\\N", "\\", "a\tb\nc\rd", 'é„"quoted", $1; −', "NULL", "🙂", "%s :x ?"]
    )
    def test_any_text_comes_back_as_it_was(self, book: Book, odd: str) -> None:
        rows = planned(f"lead {odd}", key=odd, digest=odd, concepts=odd, payload=json.dumps({odd: odd}))
        book.plan(rows, 10)
        (delivery,) = book.begin(1)
        assert (delivery.lead_id, delivery.key, delivery.payload) == (f"lead {odd}", odd, {odd: odd})
        book.settle(1, [f"lead {odd}"])
        assert book.written()[["key", "concepts"]].values.tolist() == [[odd, odd]]

    def test_ids_may_be_long(self, book: Book) -> None:
        """Hashed ids have 64 characters, one more than PostgreSQL's names."""
        leads = ["f" * 63 + "1", "f" * 63 + "2", "long " * 100]
        book.plan(planned(*leads), 10)
        assert leads_of(book.begin(1, leads)) == leads
        book.settle(1, leads[:1])
        assert list(book.written()["lead_id"]) == leads[:1]
        book.fail(1, dict.fromkeys(leads[1:], ("refused", "no")))
        book.forget_failures(except_of=leads[2:])
        assert list(book.failed()["lead_id"]) == leads[2:]

    def test_batches_follow_the_order_of_the_rows(self, book: Book) -> None:
        book.plan(planned("e", "d", "c", "b", "a"), 2)
        assert [leads_of(book.begin(number)) for number in book.pending()] == [["d", "e"], ["b", "c"], ["a"]]

    def test_an_empty_plan_is_one(self, book: Book) -> None:
        book.plan(planned("a"), 10)
        book.plan(planned(), 10)
        assert (book.pending(), states(book)) == ([], (0, 0, 0, 0))

    def test_a_part_of_a_batch_is_settled_failed_or_released(self, book: Book) -> None:
        book.plan(planned(*"abcdef"), 4)
        first, second = book.pending()
        book.begin(first)
        book.settle(first, ["a", "e"])  # e is of the other batch, and is not in flight
        book.fail(first, {"b": ("refused", "no"), "f": ("gone", "")})
        book.release(first, ["c"])
        assert [leads_of(batch.rows) for batch in book.in_flight()] == [["d"]]
        assert states(book) == (3, 1, 1, 1)
        assert book.pending() == [first, second]
        book.release(first)
        assert leads_of(book.begin(first)) == ["c", "d"]
        book.settle(first)
        assert list(book.written()["lead_id"]) == ["a", "c", "d"]

    def test_a_batch_is_not_changed_through_another(self, book: Book) -> None:
        book.plan(planned("a", "b"), 1)
        book.begin(1)
        book.begin(2)
        book.settle(1, ["b"])
        book.fail(1, {"b": ("refused", "no")})
        book.release(1, ["b"])
        book.remember_job(1, "750xx")
        assert [(b.number, b.job_id) for b in book.in_flight()] == [(1, "750xx"), (2, None)]

    def test_only_what_is_in_flight_is_settled_or_fails(self, book: Book) -> None:
        book.plan(planned("a", "b"), 10)
        book.settle(1)
        book.fail(1, {"a": ("refused", "no")})
        book.release(1)
        assert states(book) == (2, 0, 0, 0)
        book.begin(1)
        book.settle(1)
        book.fail(1, {"a": ("refused", "no")})
        assert states(book) == (0, 0, 2, 0)

    def test_a_part_of_a_batch_is_begun(self, book: Book) -> None:
        book.plan(planned(*"abc"), 10)
        assert leads_of(book.begin(1, ["c", "a", "x"])) == ["a", "c"]
        assert (states(book), book.pending()) == ((1, 2, 0, 0), [1])
        assert leads_of(book.begin(1)) == ["b"]
        assert leads_of(book.in_flight()[0].rows) == ["a", "b", "c"]

    def test_where_a_record_has_moved_to_is_followed(self, ledger: Ledger) -> None:
        """First b's record is merged into another, then that one into a third."""
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b"), 10)
            book.begin(1)
            book.follow(1, {"b": "00Q2", "x": "00Q3"})
            assert book.moved() == {"b": ("key of b", "00Q2")}
            assert [d.key for d in book.in_flight()[0].rows] == ["key of a", "00Q2"]
            book.settle(1)
            assert list(book.written()["key"]) == ["key of a", "00Q2"]
            book.plan(planned("a", "b", key=["key of a", "00Q2"], sequence=2), 10)
            (number,) = book.pending()
            book.follow(number, {"b": "00Q9"})  # not in flight
            book.begin(number)
            book.follow(number, {"b": "00Q4"})
            assert book.moved() == {"b": ("key of b", "00Q4")}
            book.settle(number)
            book.plan(planned("b", key="corrected by hand", sequence=3), 10)
            (number,) = book.pending()
            book.begin(number)
            book.follow(number, {"b": "00Q5"})
        with ledger.writer("crm") as book, ledger.writer("other") as other:
            assert book.moved() == {"b": ("corrected by hand", "00Q5")}
            assert other.moved() == {}

    def test_what_may_be_there_in_part_is_to_be_written_again(self, book: Book) -> None:
        book.plan(planned("a", "b"), 10)
        book.begin(1)
        book.settle(1, ["a"])
        book.plan(planned("a", "c", "d", sequence=2, band="let_go"), 10)
        number = max(book.pending())
        book.begin(number)
        book.partly(number, ["a", "c", "x"])
        found = book.written().sort_values("lead_id")[["lead_id", "sequence", "band", "mapping"]]
        assert found.values.tolist() == [["a", 1, "mql", ""], ["c", 2, "let_go", ""]]
        assert leads_of(book.in_flight()[-1].rows) == ["a", "c", "d"], "the result is still to come"
        book.settle(number)
        assert list(book.written()["mapping"]) == ["m", "m", "m"]

    def test_a_job_is_remembered_until_its_rows_are_released(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b"), 10)
            book.begin(1)
            book.remember_job(1, "750xx")
            book.settle(1, ["a"])
        with ledger.writer("crm") as book:
            (batch,) = book.in_flight()
            assert (batch.number, batch.job_id, leads_of(batch.rows)) == (1, "750xx", ["b"])
            book.release(1)
            book.begin(1)
            assert book.in_flight()[0].job_id is None

    # Plans

    def test_a_plan_takes_the_place_of_what_is_pending(self, book: Book) -> None:
        book.plan(planned("a", "b", "c", sequence=1), 1)
        book.begin(1)
        book.settle(1)
        book.plan(planned("b", sequence=2, payload='{"score": 60}'), 10)
        (number,) = book.pending()
        assert number > 3, "numbers of batches are not given again while rows have them"
        assert [(d.lead_id, d.sequence, d.payload) for d in book.begin(number)] == [("b", 2, {"score": 60})]
        assert states(book) == (0, 1, 1, 0)

    def test_a_plan_leaves_alone_what_is_in_flight(self, book: Book) -> None:
        book.plan(planned("a", "b"), 1)
        book.begin(1)
        book.plan(planned("a", "b", "c", sequence=2), 10)
        assert [(b.number, b.rows[0].lead_id, b.rows[0].sequence) for b in book.in_flight()] == [(1, "a", 1)]
        (number,) = book.pending()
        assert leads_of(book.begin(number)) == ["b", "c"]

    def test_a_plan_of_some_leads_leaves_the_others_pending(self, book: Book) -> None:
        book.plan(planned(*"abcd"), 2)
        book.plan(planned("a", sequence=2), 2, leads=["a", "b"])
        found = {d.lead_id: d.sequence for number in book.pending() for d in book.begin(number)}
        assert found == {"a": 2, "c": 1, "d": 1}, "b is as it was written, and c and d were not asked about"

    def test_a_plan_keeps_failures_that_it_does_not_name(self, book: Book) -> None:
        book.plan(planned("a", "b"), 10)
        book.begin(1)
        book.fail(1, {"a": ("refused", "no"), "b": ("refused", "no")})
        book.plan(planned("a", sequence=2), 10)
        assert list(book.failed()["lead_id"]) == ["b"]
        assert states(book) == (1, 0, 0, 1)

    def test_what_is_written_outlives_a_later_delivery(self, book: Book) -> None:
        book.plan(planned("a", band="mql"), 10)
        book.begin(1)
        book.settle(1)
        book.plan(planned("a", sequence=2, band="nurture"), 10)
        (number,) = book.pending()
        book.begin(number)
        assert book.written()[["band", "sequence"]].values.tolist() == [["mql", 1]]
        book.fail(number, {"a": ("refused", "no")})
        assert book.written()[["band", "sequence"]].values.tolist() == [["mql", 1]]
        book.plan(planned("a", sequence=3, band="let_go", score=1), 10)
        (number,) = book.pending()
        book.begin(number)
        book.settle(number)
        assert book.written()[["band", "sequence", "score"]].values.tolist() == [["let_go", 3, 1.0]]

    def test_a_lead_twice_in_a_plan_is_a_defect_and_changes_nothing(self, book: Book) -> None:
        book.plan(planned("a"), 10)
        with pytest.raises(ValueError, match="twice"):
            book.plan(planned("b", "b"), 10)
        assert leads_of(book.begin(1)) == ["a"]

    # Failures

    def test_attempts_are_counted_over_runs_until_one_succeeds(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b"), 10)
            book.begin(1)
            book.release(1)
            book.begin(1)
            book.again(1, ["a"])
            book.fail(1, {"a": ("refused", "no"), "b": ("refused", "no")})
        assert [(f.lead_id, f.attempts) for f in ledger.failures()] == [("a", 3), ("b", 2)]
        assert ledger.retry("crm", ["a"]) == 1
        with ledger.writer("crm") as book:
            for sequence in (2, 3, 4):  # planned, and superseded before it was sent
                book.plan(planned("a", sequence=sequence), 10)
            (number,) = book.pending()
            book.begin(number)
            book.fail(number, {"a": ("refused", "still no")})
        assert [(f.lead_id, f.attempts) for f in ledger.failures()] == [("a", 4), ("b", 2)]
        with ledger.writer("crm") as book:
            for outcome in ("settled", "failed"):
                book.plan(planned("a", sequence=5), 10)
                (number,) = book.pending()
                book.begin(number)
                if outcome == "settled":
                    book.settle(number)
                else:
                    book.fail(number, {"a": ("refused", "no")})
        assert [(f.lead_id, f.attempts) for f in ledger.failures()] == [("a", 1), ("b", 2)]

    def test_failures_say_what_people_need(self, ledger: Ledger) -> None:
        for destination in ("other", "crm"):
            with ledger.writer(destination) as book:
                book.plan(planned("b", "a", sequence=7, digest="d7"), 10)
                book.begin(1)
                book.fail(1, {"b": ("gone", "no such record"), "a": ("refused", f"in {destination}")})
                assert book.failed().sort_values("lead_id").values.tolist() == [
                    ["a", "d7", "refused", False],
                    ["b", "d7", "gone", False],
                ]
        found = ledger.failures()
        assert [(f.destination, f.lead_id, f.kind, f.reason, f.attempts, f.sequence) for f in found] == [
            ("crm", "a", "refused", "in crm", 1, 7),
            ("crm", "b", "gone", "no such record", 1, 7),
            ("other", "a", "refused", "in other", 1, 7),
            ("other", "b", "gone", "no such record", 1, 7),
        ]
        assert all(datetime.now(UTC) - f.at < timedelta(minutes=5) for f in found)
        assert ledger.failures("other") == found[2:]
        assert ledger.failures("nowhere") == []

    def test_a_retry_makes_failures_due_once(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b", "c"), 10)
            book.begin(1)
            book.fail(1, {"a": ("refused", "no"), "b": ("refused", "no")})
            book.settle(1)
            assert ledger.retry("other") == 0
            assert ledger.retry("crm", ["a", "c", "unheard of"]) == 1, "c has not failed"
            assert dict(book.failed()[["lead_id", "retry"]].values) == {"a": True, "b": False}
            assert ledger.retry("crm") == 2
            book.plan(planned("a", sequence=2), 10)
            (number,) = book.pending()
            book.begin(number)
            book.fail(number, {"a": ("refused", "no")})
            assert dict(book.failed()[["lead_id", "retry"]].values) == {"a": False, "b": True}

    def test_skipped_leads_are_failures_that_were_never_sent(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b", "c"), 1)
            book.begin(1)
            book.begin(2)
            book.settle(2)
            why = ("unknown", "no id")
            book.skip({"a": why, "b": ("shared", "same as x"), "c": why, "d": why})
            assert states(book) == (0, 1, 0, 3), "a is in flight, and stays so"
            assert book.failed()["digest"].isna().all()
            book.skip({})
            book.plan(planned("c", sequence=2), 10)
            assert states(book) == (1, 1, 0, 2)
            assert list(book.written()["lead_id"]) == ["b"]
        assert [(f.lead_id, f.kind, f.reason, f.attempts, f.sequence) for f in ledger.failures()] == [
            ("b", "shared", "same as x", 0, None),
            ("d", "unknown", "no id", 0, None),
        ]

    def test_failures_are_forgotten_except_some(self, book: Book) -> None:
        book.plan(planned(*"abcd"), 10)
        book.begin(1)
        book.settle(1, ["d"])
        book.fail(1, dict.fromkeys("abc", ("refused", "no")))
        book.forget_failures(except_of=["b", "d", "x"])
        assert list(book.failed()["lead_id"]) == ["b"]
        assert states(book) == (0, 0, 1, 1)
        book.forget_failures()
        assert states(book) == (0, 0, 1, 0)

    def test_a_reason_may_be_anything_that_a_server_says(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a"), 10)
            book.begin(1)
            book.fail(1, {"a": ("refused", "zero \0, half \ud83d, 'quoted' %s " + "long " * 1000)})
        (failure,) = ledger.failures()
        assert failure.reason.startswith("zero , half ?, 'quoted' %s long")
        assert len(failure.reason) == 2000

    # Destinations

    def test_destinations_do_not_see_each_other(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book, ledger.writer("other") as other:
            book.plan(planned("a", "b"), 1)
            other.plan(planned("a", sequence=2), 1)
            other.begin(1)
            book.begin(1)
            other.settle(1)
            assert (states(book), states(other)) == ((1, 1, 0, 0), (0, 0, 1, 0))
            assert (book.known(), other.known()) == (False, True)
            assert (len(book.written()), len(other.written())) == (0, 1)
            book.fail(1, {"a": ("refused", "no")})
            other.forget_failures()
            assert ledger.retry("other") == 0
            assert len(book.failed()) == 1
            other.plan(planned(), 1)
            assert book.pending() == [2]

    def test_first_contact_is_remembered_even_if_nothing_was_there(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            book.adopt(planned().drop(columns=["digest", "payload"]))
            assert book.known()
        with ledger.writer("crm") as book:
            assert book.known()
            assert book.written().empty
        with ledger.writer("other") as book:
            assert not book.known()

    def test_what_the_destination_held_is_adopted(self, book: Book) -> None:
        held = pd.DataFrame(
            {
                "lead_id": ["a", "b"], "key": ["1", "2"], "sequence": [0, 3], "band": ["mql", None],
                "sales_ready": None, "grade": None, "score": None, "propensity": None, "concepts": None,
                "mapping": "", "cleared": False,
            }
        )  # fmt: skip
        book.adopt(held)
        found = book.written()
        assert found[["lead_id", "key", "sequence", "mapping", "cleared"]].values.tolist() == [
            ["a", "1", 0, "", False],
            ["b", "2", 3, "", False],
        ]
        assert found["band"].fillna("none").tolist() == ["mql", "none"]
        assert found[["sales_ready", "grade", "score", "propensity", "concepts"]].isna().all(axis=None)
        assert states(book) == (0, 0, 0, 0)

    # Runs

    def test_runs_have_sequences_in_the_order_of_their_registration(self, ledger: Ledger, url: str) -> None:
        assert ledger.highest() == 0
        assert ledger.register("r1", AS_OF, "3") == 1
        assert ledger.register("r2", AS_OF - timedelta(days=3), "3") == 2
        assert ledger.register("r1", AS_OF, "3") == 1
        assert ledger.highest() == 2
        with closing(Ledger.open(url)) as again:
            assert (again.register("r2", AS_OF, "3"), again.register("r3", AS_OF, "4")) == (2, 3)

    def test_a_lost_ledger_goes_on_above_what_the_destination_holds(self, ledger: Ledger) -> None:
        ledger.register("r1", AS_OF, "3")
        ledger.raise_to(40)
        assert ledger.highest() == 40
        ledger.raise_to(7)
        assert ledger.register("r2", AS_OF, "3") == 41
        assert ledger.register("r1", AS_OF, "3") == 1
        assert ledger.lift(1, 30) == 42
        assert ledger.lift(42, 100) == 101
        assert (ledger.register("r1", AS_OF, "3"), ledger.register("r3", AS_OF, "3")) == (101, 102)
        with pytest.raises(ValueError, match="no run"):
            ledger.lift(55, 200)
        assert ledger.highest() == 102

    def test_threads_that_register_at_once_get_sequences_of_their_own(self, ledger: Ledger) -> None:
        def register(number: int) -> tuple[str, int]:
            run = f"r{number % 20}"
            return run, ledger.register(run, AS_OF, "3")

        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(register, range(60)))
        assert len(found) == 20, "the same run has the same sequence"
        assert sorted(sequence for _, sequence in found) == list(range(1, 21))

    def test_processes_that_open_and_register_at_once_get_sequences_of_their_own(self, url: str) -> None:
        """None of them finds a ledger: each makes it if it is the first."""
        code = (
            "print('open', flush=True); sys.stdin.readline()\n"
            "me = [ledger.register(f'{sys.argv[1:]}{os.getpid()}-{n}', AS_OF, '3') for n in range(8)]\n"
            "print(me + [ledger.register('common', AS_OF, '3')], flush=True)"
        )
        with program(url, code) as one, program(url, code) as two, program(url, code) as three:
            processes = one, two, three
            assert [said(process) for process in processes] == ["open"] * 3
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            found = [json.loads(said(process)) for process in processes]
        assert all(mine[:-1] == sorted(set(mine[:-1])) for mine in found), "each later one is higher"
        assert len({mine[-1] for mine in found}) == 1
        assert len({number for mine in found for number in mine}) == 25
        with closing(Ledger.open(url)) as ledger:
            assert ledger.highest() == 25

    # The lease

    def test_a_second_writer_is_refused_at_once_and_told_who_the_first_is(self, ledger: Ledger) -> None:
        with ledger.writer("crm") as book:
            with pytest.raises(Busy) as caught, ledger.writer("crm"):
                pass
            book.plan(planned("a"), 10)
        assert caught.value.exit_status == 5
        assert caught.value.where.startswith(f"host {socket.gethostname()}, process {os.getpid()}, since 2")

    def test_a_lease_ends_with_its_block_however_that_ends(self, ledger: Ledger) -> None:
        with pytest.raises(KeyError), ledger.writer("crm"):
            raise KeyError
        with pytest.raises(OSError, match="not the ledger's"), ledger.writer("crm"):
            raise OSError("not the ledger's")
        with ledger.writer("crm") as book:
            assert states(book) == (0, 0, 0, 0)

    def test_a_lease_ends_with_the_process_that_holds_it(self, ledger: Ledger, url: str) -> None:
        code = (
            "with ledger.writer('crm') as book:\n"
            "    book.plan(planned(*'abc'), 2); book.begin(1)\n"
            "    print('begun', flush=True); time.sleep(600)"
        )

        def take() -> None:
            with ledger.writer("crm"):
                pass

        with program(url, code) as process:
            assert said(process) == "begun"
            began = time.monotonic()
            with pytest.raises(Busy, match=f"process {process.pid}"):
                take()
            assert time.monotonic() - began < 5, "it does not wait"
            with ledger.writer("another one"):
                pass
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
            eventually(take, Busy)
        with ledger.writer("crm") as book:
            assert [(b.number, leads_of(b.rows)) for b in book.in_flight()] == [(1, ["a", "b"])]
            assert book.pending() == [2]

    def test_whoever_was_overtaken_changes_nothing_any_more(self, ledger: Ledger, url: str) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b"), 1)
            book.begin(1)
            statement(url, "UPDATE propense_leases SET fence = fence + 1")
            refused: list[Callable[[], Any]] = [
                book.known, book.written, book.failed, book.counts, book.in_flight, book.pending, book.moved,
                lambda: book.plan(planned("c"), 1), lambda: book.begin(2), lambda: book.settle(1),
                lambda: book.fail(1, {"a": ("refused", "no")}), lambda: book.release(1),
                lambda: book.again(1, ["a"]), lambda: book.remember_job(1, "x"),
                lambda: book.skip({"b": ("unknown", "")}), lambda: book.adopt(planned("z")),
                book.forget_failures, lambda: book.follow(1, {"a": "x"}),
                lambda: book.partly(1, ["a"]),
            ]  # fmt: skip
            for call in refused:
                with pytest.raises(LeaseLost, match="another run has taken over") as caught:
                    call()
                assert caught.value.exit_status == 5
        with ledger.writer("crm") as book:
            assert [(b.number, b.job_id, leads_of(b.rows)) for b in book.in_flight()] == [(1, None, ["a"])]
            assert (states(book), book.known()) == ((1, 1, 0, 0), False)

    # Crashes

    def test_a_kill_at_any_moment_leaves_each_step_done_or_not(self, ledger: Ledger, url: str) -> None:
        code = (
            "with ledger.writer('crm') as book:\n"
            "    book.plan(planned(*[f'{n:05d}' for n in range(4000)], sequence=9), 20)\n"
            "    print('planned', flush=True)\n"
            "    for number in book.pending():\n"
            "        book.begin(number); book.settle(number)"
        )
        midway = []
        for delay in (0.05, 0.2, 0.4):
            with program(url, code) as process:
                assert said(process) == "planned"
                time.sleep(delay)
                process.kill()
                process.wait(PATIENCE)
            with eventually(lambda: _enter(ledger), Busy) as book:
                pending, flying, settled, failed = states(book)
                assert pending + flying + settled == 4000
                assert flying in {0, 20}
                assert settled % 20 == 0
                assert failed == 0
                midway.append(0 < settled < 4000)
                assert int((book.written()["sequence"] == 9).sum()) == settled
                book.plan(planned(), 1)
                for batch in book.in_flight():
                    book.release(batch.number)
            statement(url, "DELETE FROM propense_deliveries")
            statement(url, "DELETE FROM propense_written")
        assert any(midway)

    def test_a_settled_row_and_what_is_written_change_together(self, ledger: Ledger, book: Book) -> None:
        book.plan(planned("a"), 10)
        book.begin(1)

        def fail(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
            if sql.startswith("UPDATE propense_deliveries"):
                raise MemoryError

        event.listen(ledger._engine, "before_cursor_execute", fail)
        with pytest.raises(MemoryError):
            book.settle(1)
        event.remove(ledger._engine, "before_cursor_execute", fail)
        assert (states(book), len(book.written())) == ((0, 1, 0, 0), 0)
        book.settle(1)
        assert (states(book), len(book.written())) == ((0, 0, 1, 0), 1)

    def test_a_plan_that_fails_halfway_leaves_the_old_one(self, book: Book) -> None:
        book.plan(planned("a"), 10)
        broken = planned(*[str(n) for n in range(25_000)], sequence=2)
        broken["sequence"] = broken["sequence"].astype(object)
        broken.loc[24_999, "sequence"] = "two"
        with pytest.raises((TypeError, ValueError)):
            book.plan(broken, 10)
        assert leads_of(book.begin(1)) == ["a"]

    # Opening

    def test_a_ledger_of_a_later_version_is_refused(self, ledger: Ledger, url: str) -> None:
        later = SCHEMA_VERSION + 1
        statement(url, "UPDATE propense_ledger SET value = :v WHERE name = 'schema_version'", v=later)
        with pytest.raises(DeliveryError, match=f"of version {later}.* knows version {SCHEMA_VERSION}"):
            Ledger.open(url)

    def test_opening_again_finds_everything(self, ledger: Ledger, url: str) -> None:
        with ledger.writer("crm") as book:
            book.plan(planned("a", "b"), 1)
            book.begin(1)
        with closing(Ledger.open(url)) as again, again.writer("crm") as book:
            assert states(book) == (1, 1, 0, 0)

    def test_any_sequence_of_steps_does_what_a_plain_model_does(self, url: str) -> None:
        check_against_model(url)


def _enter(ledger: Ledger) -> Any:
    """Return the lease's block, entered: so that it can be tried again until it is free."""
    block = ledger.writer("crm")
    book = block.__enter__()

    @contextmanager
    def entered() -> Iterator[Book]:
        try:
            yield book
        finally:
            block.__exit__(None, None, None)

    return entered()
