"""Everything arrives, and nothing takes effect twice: whatever fails, whoever dies, however often it runs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from delivery.fakes import (
    AS_OF,
    FIELDS,
    Desk,
    Dropped,
    Fault,
    Shelf,
    at,
    many,
    nobody,
    scores,
    settings,
    summed,
)
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as tried

from features.errors import DeliveryError, PropenseError
from pipeline.delivery.ledger import Busy, LeaseLost
from pipeline.delivery.payload import Scores
from pipeline.destinations.base import Fatal, Refused, Retriable, Settings
from pipeline.levels import Levels

TWO = "lead propensity band\n1 0.25 nurture\n2 0.75 mql"
BANDS = {"1": "nurture", "2": "mql"}
BUSY = Retriable("too many requests", after=7)
HANGS = Retriable("no answer in time", applied=True)


@pytest.fixture(params=[False, True], ids=["read, check, write", "compares"])
def compares(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def desk(tmp_path: Path, compares: bool) -> Desk:
    """Records 1, 2 and 3; of each kind of destination."""
    return Desk(tmp_path, shelf(compares=compares).put("1", "2", "3"))


def shelf(fields: dict[str, str] = FIELDS, *, patience: int = 60, **more: Any) -> Shelf:
    return Shelf(settings(fields, patience=timedelta(seconds=patience)), **more)


def stock(folder: Path, count: int, *, compares: bool = False, size: int = 10, **more: Any) -> Desk:
    """A desk with as many records as `many` has leads."""
    keys = many(count).frame["lead_id"]
    return Desk(folder, shelf(compares=compares, size=size, **more).put(*keys))


def undisturbed(folder: Path, runs: list[Scores], count: int, **more: Any) -> dict[str, dict[str, Any]]:
    """What the records hold after runs that nothing disturbed."""
    folder.mkdir()
    quiet = stock(folder, count, **more)
    for run in runs:
        quiet.sync(run)
    return quiet.shelf.store.records


class TestDelivered:
    def test_exactly_the_leads_that_have_scores(self, desk: Desk) -> None:
        account = desk.sync(scores(TWO))
        assert (account.sent, account.unchanged, account.pending, account.exit_status) == (2, 0, 0, 0)
        assert desk.shelf.store.records["1"] == {
            "band": "nurture", "points": 25, "ready": True, "grade": "A1", "why": "+ quote; − big",
            "at": "2026-06-30T10:00:00+00:00", "model": "3", "run": 1,
        }  # fmt: skip
        assert desk.shelf.held("band") == {**BANDS, "3": None}

    def test_no_change_the_second_time(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        effects, calls = list(desk.shelf.store.effects), desk.shelf.sizes("write")
        again = desk.sync(scores(TWO, run="s", model="4"))
        assert (again.sent, again.unchanged, again.exit_status) == (0, 2, 0)
        assert (desk.shelf.store.effects, desk.shelf.sizes("write")) == (effects, calls)

    def test_only_what_changed(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        account = desk.sync(scores(TWO.replace("1 0.25 nurture", "1 0.05 let_go"), run="s"))
        assert (account.sent, account.unchanged) == (1, 1)
        assert desk.shelf.written() == ["1", "2", "1"]
        assert desk.shelf.held("run") == {"1": 2, "2": 1, "3": None}

    def test_everything_if_asked_for(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        assert desk.sync(scores(TWO, run="s"), everything=True).sent == 2

    def test_none_is_created(self, desk: Desk) -> None:
        account = desk.sync(scores("lead\n1\n9"))
        assert (account.sent, account.skipped, account.exit_status) == (1, {"gone": 1}, 0)
        assert set(desk.shelf.store.records) == {"1", "2", "3"}
        assert desk.failures() == {"9": "gone"}

    def test_no_scores_no_writes(self, desk: Desk) -> None:
        assert desk.sync(nobody()).exit_status == 0
        assert desk.shelf.calls == [("missing", 0)]

    def test_who_scored_nobody_does_not_know_the_destination_yet(self, desk: Desk) -> None:
        desk.sync(nobody())
        with pytest.raises(Fatal, match="None of the 2 leads"):
            desk.sync(scores("lead\na\nb", run="s"))

    def test_a_closed_lead_is_cleared(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        account = desk.sync(scores("lead propensity band\n1 0.25 nurture", run="s"))
        assert (account.sent, account.cleared, account.unchanged) == (1, 1, 1)
        assert desk.shelf.held("band") == {"1": "nurture", "2": None, "3": None}
        assert desk.shelf.store.records["2"]["run"] == 2

    def test_a_closed_lead_whose_record_is_gone_needs_no_clearing(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        del desk.shelf.store.records["2"]
        one = scores("lead propensity band\n1 0.25 nurture", run="s")
        assert desk.sync(one).exit_status == 0
        assert desk.failures() == {}
        assert desk.sync(replace(one, run_id="t")).to_send == 0

    def test_every_step_is_told(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 15, compares=compares)
        desk.shelf.poison = {"00003"}
        desk.sync(many(15))
        told = [(e.step, e.batch, e.batches, e.rows, e.sent, e.failed) for e in desk.events]
        assert told == [
            ("planned", 0, 2, 15, 0, 0),
            ("intent", 1, 2, 10, 0, 0), ("answer", 1, 2, 10, 0, 0), ("settled", 1, 2, 10, 9, 1),
            ("intent", 2, 2, 5, 0, 0), ("answer", 2, 2, 5, 0, 0), ("settled", 2, 2, 5, 5, 0),
        ]  # fmt: skip
        assert all(event.seconds >= 0 for event in desk.events)

    def test_a_destination_that_takes_all_at_once_may_say_so_of_none(self, tmp_path: Path) -> None:
        desk = stock(tmp_path, 3)
        desk.shelf.batch = lambda total: total  # type: ignore[method-assign]
        assert desk.sync(many(3)).sent == 3
        assert desk.sync(many(3, run="s")).unchanged == 3


class TestDryRun:
    def test_it_writes_nothing(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        before = desk.path.read_bytes(), _dump(desk)
        for text in (TWO.replace("mql", "nurture"), "lead\n1"):
            account = desk.sync(scores(text, run="s"), dry_run=True)
            assert (account.to_send, account.sent, account.exit_status) == (1 + (text == "lead\n1"), 0, 0)
        assert _dump(desk) == before[1]
        assert desk.shelf.written() == ["1", "2"]

    def test_nor_at_first_contact(self, desk: Desk) -> None:
        desk.shelf.store.records["1"]["band"] = "mql"
        account = desk.sync(scores(TWO), dry_run=True)
        assert (account.to_send, account.sequence, summed(account)) == (2, 1, 0)
        assert desk.shelf.written() == []
        assert desk.shelf.sizes("write") == []
        assert [(change["lead_id"], change["why"], change["band_before"]) for change in account.changes] == [
            ("1", "other fields, band, ready for sales, grade, reasons, score", "mql"), ("2", "new", None),
        ]  # fmt: skip
        assert _dump(desk)["propense_written"] == _dump(desk)["propense_runs"] == []

    def test_it_shows_the_difference_and_an_example(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        account = desk.sync(scores("lead propensity band\n2 0.1 let_go", run="s"), dry_run=True)
        assert account.changes == [
            {"lead_id": "2", "why": "band, score", "band_before": "mql", "band": "let_go",
             "grade_before": "A1", "grade": "A1", "score_before": 75, "score": 10},
            {"lead_id": "1", "why": "closed", "band_before": "nurture", "band": None,
             "grade_before": "A1", "grade": None, "score_before": 25, "score": None},
        ]  # fmt: skip
        assert account.example is not None
        assert (account.example["band"], account.example["run"], account.cleared) == ("let_go", 2, 1)

    def test_it_tells_of_what_is_in_flight_and_leaves_it(self, desk: Desk) -> None:
        with pytest.raises(SystemExit):
            desk.sync(scores(TWO), watch=at("answer", 1))
        account = desk.sync(scores(TWO), dry_run=True)
        assert (account.to_send, account.pending) == (2, 2)
        assert (desk.sync(scores(TWO)).unchanged, desk.shelf.written()) == (2, ["1", "2"])

    def test_it_says_that_a_run_is_older(self, desk: Desk) -> None:
        old = desk.score(scores(TWO, run="old"))
        desk.sync(scores(TWO, run="new"))
        account = desk.sync(old, dry_run=True)
        assert (account.skipped, account.to_send, account.sequence) == ({"stale": 2}, 0, 1)


def _dump(desk: Desk) -> dict[str, list[tuple[Any, ...]]]:
    """All of the ledger that says what was or is to be delivered."""
    import sqlite3
    from contextlib import closing

    tables = ["propense_deliveries", "propense_written", "propense_runs", "propense_ledger", "propense_moved"]
    with closing(sqlite3.connect(desk.path)) as ledger:
        found = {name: ledger.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
        known = ledger.execute("SELECT destination, known, latest FROM propense_leases").fetchall()
    return {**found, "leases": known}


COUNT = 35  # in batches of 10: 10, 10, 10, 5


class TestCrash:
    """The process dies at each step; the next run goes on. The records are those of an undisturbed run."""

    @pytest.fixture
    def quiet(self, tmp_path: Path, compares: bool) -> dict[str, dict[str, Any]]:
        return undisturbed(tmp_path / "quiet", [many(COUNT)], COUNT, compares=compares)

    @pytest.fixture
    def desk(self, tmp_path: Path, compares: bool) -> Desk:
        return stock(tmp_path, COUNT, compares=compares)

    def _ends_well(self, desk: Desk, quiet: dict[str, dict[str, Any]], *, sent_again: int) -> None:
        account = desk.sync(many(COUNT))
        assert (summed(account), account.exit_status) == (COUNT, 0)
        assert desk.shelf.store.records == quiet
        assert max(Counter(desk.shelf.written()).values()) == 1
        assert sum(desk.shelf.sizes("write")) == COUNT + sent_again
        assert desk.sync(many(COUNT, run="s")).unchanged == COUNT

    @pytest.mark.parametrize(("batch", "error"), [(1, SystemExit), (3, KeyboardInterrupt), (4, SystemExit)])
    @pytest.mark.parametrize("step", ["intent", "answer", "settled"])
    def test_at_a_step_of_a_batch(
        self, desk: Desk, quiet: dict[str, Any], step: Any, batch: int, error: type[BaseException]
    ) -> None:
        with pytest.raises(error):
            desk.sync(many(COUNT), watch=at(step, batch, error))
        done = 10 * (batch - 1) + {"intent": 0, "answer": 10, "settled": 10}[step]
        assert len(desk.shelf.written()) == min(done, COUNT)
        self._ends_well(desk, quiet, sent_again=0)

    @pytest.mark.parametrize(("share", "sent_again"), [(0.0, 10), (0.5, 5), (1.0, 0)])
    def test_while_it_sends(self, desk: Desk, quiet: dict[str, Any], share: float, sent_again: int) -> None:
        desk.shelf.fail("write", None, Fault(SystemExit(), share))
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT))
        assert len(desk.shelf.written()) == 10 + 10 * share
        self._ends_well(desk, quiet, sent_again=sent_again)

    def test_while_it_plans(self, desk: Desk, quiet: dict[str, Any]) -> None:
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT), watch=at("planned", 0))
        self._ends_well(desk, quiet, sent_again=0)

    def test_again_and_again(self, desk: Desk, quiet: dict[str, Any]) -> None:
        for batch in (1, 1, 2):
            with pytest.raises(SystemExit):
                desk.sync(many(COUNT), watch=at("answer", batch))
        self._ends_well(desk, quiet, sent_again=0)

    def test_the_next_run_tells_what_had_arrived(self, desk: Desk) -> None:
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT), watch=at("answer", 2))
        account = desk.sync(many(COUNT))
        assert (account.unchanged, account.sent) == (20, 15)
        assert account.notes == ["10 leads that an earlier run had sent were found written."]

    def test_a_newer_run_takes_over(self, desk: Desk, tmp_path: Path, compares: bool) -> None:
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT), watch=at("answer", 2))
        account = desk.sync(many(COUNT, run="s", score=80))
        assert (account.sent, account.pending) == (COUNT, 0)
        assert set(desk.shelf.held("points").values()) == {80}
        assert desk.shelf.written()[20:] == list(desk.shelf.held("run"))

    def test_in_the_midst_of_a_bisection(self, desk: Desk, quiet: dict[str, Any]) -> None:
        desk.shelf.poison, desk.shelf.whole = {"00013"}, True
        desk.shelf.fail("write", None, None, None, Fault(SystemExit(), 1.0))
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT))
        account = desk.sync(many(COUNT))
        assert (account.failed, account.pending, desk.failures()) == (1, 0, {"00013": "refused"})
        assert max(Counter(desk.shelf.written()).values()) == 1
        assert len(desk.shelf.written()) == COUNT - 1

    def test_batches_may_be_of_another_size_then(self, desk: Desk, quiet: dict[str, Any]) -> None:
        """Half a batch had arrived; the other half must not pass as arrived with it."""
        desk.shelf.fail("write", Fault(SystemExit(), 0.5))
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT))
        desk.shelf.size = 5
        self._ends_well(desk, quiet, sent_again=5)

    def test_a_lead_that_closed_meanwhile_is_cleared(self, desk: Desk) -> None:
        with pytest.raises(SystemExit):
            desk.sync(many(COUNT), watch=at("answer", 1))
        desk.sync(many(COUNT - 35 + 5, run="s"))
        assert list(desk.shelf.held("points").values()) == [50] * 5 + [None] * 30


class TestWaiting:
    def test_never_earlier_than_asked_for(self, desk: Desk) -> None:
        desk.shelf.fail("write", BUSY, BUSY, BUSY)
        assert desk.sync(scores(TWO)).sent == 2
        assert len(desk.clock.waits) == 3
        assert min(desk.clock.waits) >= 7

    def test_reading_waits_too(self, desk: Desk) -> None:
        desk.shelf.fail("missing", BUSY)
        desk.shelf.fail("read", BUSY, None, BUSY)
        assert desk.sync(scores(TWO)).sent == 2
        assert len(desk.clock.waits) == 3

    def test_then_it_parks_and_goes_on_later(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 25, compares=compares)
        desk.shelf.fail("write", None, *[BUSY] * 9)  # 60 seconds of patience, at least 7 a time
        account = desk.sync(many(25))
        assert (account.sent, account.pending, account.exit_status) == (10, 15, 5)
        assert account.stopped is not None
        assert account.stopped.text == "too many requests"
        assert sum(desk.clock.waits) <= 60
        desk.shelf.faults["write"].clear()
        again = desk.sync(many(25))
        assert (again.sent, again.unchanged, again.pending, again.exit_status) == (15, 10, 0, 0)
        assert max(Counter(desk.shelf.written()).values()) == 1

    def test_a_quota_of_a_day_parks_at_once(self, desk: Desk) -> None:
        desk.shelf.fail("write", Retriable("the quota of today is used up", after=3600))
        account = desk.sync(scores(TWO))
        assert (desk.clock.waits, account.pending, account.exit_status) == ([], 2, 5)

    def test_no_destination_at_all(self, desk: Desk) -> None:
        desk.shelf.fail("missing", *[BUSY] * 20)
        account = desk.sync(scores(TWO))
        assert (account.exit_status, account.sent) == (5, 0)
        assert account.stopped is BUSY


class TestLostAnswer:
    """The write took effect, all of it or a part, and the answer did not come."""

    @pytest.mark.parametrize("error", [HANGS, Dropped("reset")])
    @pytest.mark.parametrize(("share", "calls"), [(1.0, [10]), (0.5, [10, 5]), (0.0, [10, 10])])
    def test_it_is_read_back_before_anything_is_sent_again(
        self, tmp_path: Path, compares: bool, error: Exception, share: float, calls: list[int]
    ) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(error, share))
        account = desk.sync(many(10))
        assert (account.sent, account.exit_status) == (10, 0)
        assert desk.shelf.sizes("write") == calls
        assert len(desk.shelf.written()) == 10

    def test_reading_back_may_fail_too(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(HANGS, 1.0))
        desk.shelf.fail("read", None, *([] if compares else [None]), BUSY, HANGS)
        assert desk.sync(many(10)).sent == 10
        assert desk.shelf.sizes("write") == [10]

    def test_if_it_cannot_be_read_back_the_next_run_does(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(HANGS, 0.5))
        desk.shelf.fail("read", None, *([] if compares else [None]), *[BUSY] * 9)
        account = desk.sync(many(10))
        assert (account.sent, account.pending, account.exit_status) == (0, 10, 5)
        assert desk.shelf.sizes("write") == [10]
        desk.shelf.faults["read"].clear()
        again = desk.sync(many(10))
        assert (again.sent, again.unchanged) == (5, 5)
        assert desk.shelf.sizes("write") == [10, 5]

    @pytest.mark.parametrize("mapped", [True, False])
    @pytest.mark.parametrize("before", ["+quote", "+asked-for-a-quote,+read-the-case-study"])
    def test_an_older_text_that_begins_the_same_is_not_the_new_one(
        self, tmp_path: Path, compares: bool, mapped: bool, before: str
    ) -> None:
        fields = {"reasons": "why", "band": "band"} | ({"run_sequence": "run"} if mapped else {})
        desk = Desk(tmp_path, shelf(fields, compares=compares).put("1"))
        desk.sync(scores(f"lead reasons\n1 {before}"))
        desk.shelf.fail("write", Fault(HANGS, 0.0))
        desk.sync(scores(f"lead reasons\n1 {before},+demo", run="s"))
        assert str(desk.shelf.held("why")["1"]).endswith("; + demo")


class TestPoison:
    @pytest.mark.parametrize("poison", [0, 1, 279, 280, 559])
    def test_one_in_560_is_found_by_halving(self, tmp_path: Path, compares: bool, poison: int) -> None:
        desk = stock(tmp_path, 560, compares=compares, size=1000)
        desk.shelf.poison, desk.shelf.whole = {f"{poison:05}"}, True
        account = desk.sync(many(560))
        assert (account.sent, account.failed, account.pending, account.exit_status) == (559, 1, 0, 6)
        assert desk.failures() == {f"{poison:05}": "refused"}
        assert Counter(desk.shelf.written()) == Counter(set(desk.shelf.held("run")) - {f"{poison:05}"})
        assert len(desk.shelf.sizes("write")) <= 2 * math.ceil(math.log2(560)) + 1

    def test_all_of_a_batch(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 20, compares=compares)
        desk.shelf.poison, desk.shelf.whole = {f"{n:05}" for n in range(10)}, True
        assert desk.sync(many(20)).failed == 10
        assert len(desk.shelf.sizes("write")) == 2 * 10 - 1 + 1

    def test_refused_row_by_row(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 20, compares=compares)
        desk.shelf.poison = {"00003", "00011"}
        account = desk.sync(many(20))
        assert (account.sent, account.failed, desk.shelf.sizes("write")) == (18, 2, [10, 10])
        with desk.ledger() as ledger:
            reasons = {failure.lead_id: (failure.reason, failure.attempts) for failure in ledger.failures()}
        assert reasons == {"00003": ("00003 is poison", 1), "00011": ("00011 is poison", 1)}

    def test_it_is_held_until_its_decision_changes_or_it_is_retried(self, desk: Desk) -> None:
        desk.shelf.poison = {"2"}
        desk.sync(scores(TWO))
        held = desk.sync(scores(TWO, run="s"))
        assert (held.skipped, held.unchanged, held.exit_status) == ({"refused before": 1}, 1, 0)
        assert desk.sync(scores(TWO.replace("mql", "let_go"), run="t")).failed == 1
        assert desk.retry("2") == 1
        assert desk.sync(scores(TWO.replace("mql", "let_go"), run="u")).failed == 1
        desk.shelf.poison.clear()
        desk.retry()
        mended = desk.sync(scores(TWO.replace("mql", "let_go"), run="v"))
        assert (mended.sent, desk.failures(), desk.shelf.held("band")["2"]) == (1, {}, "let_go")

    def test_attempts_add_up(self, desk: Desk) -> None:
        desk.shelf.poison = {"2"}
        for run in "abc":
            desk.sync(scores(TWO, run=run))
            desk.retry()
        with desk.ledger() as ledger:
            assert [failure.attempts for failure in ledger.failures()] == [3]

    def test_a_failure_is_over_when_the_lead_is_as_it_was_written(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.poison = {"2"}
        desk.sync(scores(TWO.replace("mql", "nurture"), run="s"))
        assert desk.failures() == {"2": "refused"}
        desk.sync(scores(TWO, run="t"))
        assert desk.failures() == {}

    def test_a_file_of_leads_forgets_its_own_failures_only(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.poison = {"1", "2"}
        desk.sync(scores(TWO.replace("mql", "let_go").replace("nurture", "mql"), run="s"))
        desk.sync(scores("lead propensity band\n2 0.75 mql", run="t", complete=False))
        assert desk.failures() == {"1": "refused"}

    def test_a_halt_inside_a_bisection(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 30, compares=compares, size=16)
        desk.shelf.poison, desk.shelf.whole = {"00005"}, True
        desk.shelf.fail("write", None, None, None, Fatal("signed out"))
        account = desk.sync(many(30))
        assert account.exit_status == 5
        assert summed(account) == 30
        again = desk.sync(many(30))
        assert (again.pending, desk.failures(), again.exit_status) == (0, {"00005": "refused"}, 6)
        assert max(Counter(desk.shelf.written()).values()) == 1
        assert len(desk.shelf.written()) == 29


class TestHalt:
    def test_the_rest_stays_pending_and_goes_on(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 35, compares=compares)
        desk.shelf.fail("write", None, Fatal("signed out", todo="renew the token"))
        account = desk.sync(many(35))
        assert (account.sent, account.pending, account.exit_status) == (10, 25, 5)
        assert account.stopped is not None
        assert account.stopped.text == "signed out"
        again = desk.sync(many(35))
        assert (again.sent, again.unchanged, again.exit_status) == (25, 10, 0)
        assert sum(desk.shelf.sizes("write")) == 35 + 10

    def test_that_may_have_taken_effect(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(Fatal("an error in a 200", applied=True), 0.5))
        assert desk.sync(many(10)).pending == 10
        again = desk.sync(many(10))
        assert (again.sent, again.unchanged, len(desk.shelf.written())) == (5, 5, 10)

    def test_no_access_to_begin_with(self, desk: Desk) -> None:
        desk.shelf.fail("missing", Fatal("401"))
        with pytest.raises(Fatal, match="401"):
            desk.sync(scores(TWO))

    def test_a_field_that_is_not_there(self, desk: Desk) -> None:
        desk.shelf.absent = ["band"]
        with pytest.raises(Fatal, match="no field 'band'") as raised:
            desk.sync(scores(TWO))
        assert "propense sync setup shelf" in raised.value.todo
        assert desk.shelf.calls == [("missing", 0)]

    def test_a_defect_is_raised_and_its_batch_read_back_next_time(
        self, tmp_path: Path, compares: bool
    ) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(KeyError("a defect"), 0.5))
        with pytest.raises(KeyError):
            desk.sync(many(10))
        again = desk.sync(many(10))
        assert (again.sent, again.unchanged, len(desk.shelf.written())) == (5, 5, 10)

    def test_while_it_finishes_what_a_dead_run_left(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        with pytest.raises(SystemExit):
            desk.sync(many(10), watch=at("answer", 1))
        desk.shelf.fail("read", Fatal("403"))
        account = desk.sync(many(10))
        assert (account.pending, account.exit_status) == (10, 5)
        assert desk.sync(many(10)).unchanged == 10


class TestNeitherNor:
    """Rows that were neither accepted nor refused."""

    def test_they_are_read_back_and_sent_again(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(share=0.5, unconfirmed=True), Fault(share=0.2, unconfirmed=True))
        account = desk.sync(many(10))
        assert (account.sent, account.exit_status) == (10, 0)
        assert desk.shelf.sizes("write") == [10, 5, 4]
        assert len(desk.shelf.written()) == 10

    def test_but_not_without_end(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", *[Fault(share=0.9, unconfirmed=True)] * 4)
        account = desk.sync(many(10))
        assert (account.sent, account.failed, account.exit_status) == (9, 1, 6)
        assert desk.failures() == {"00009": "unkept"}
        assert desk.sync(many(10, run="s")).sent == 1  # it is tried again by itself
        assert desk.failures() == {}

    def test_none_ever_is(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", *[Fault(unconfirmed=True)] * 9)
        account = desk.sync(many(10))
        assert (account.pending, account.exit_status) == (10, 5)
        assert "accepted 10 rows 4 times" in str(account.stopped)


class TestSilentSuccess:
    def test_accepted_and_nothing_written(self, desk: Desk) -> None:
        desk.shelf.fail("write", Fault())
        account = desk.sync(scores(TWO))
        assert "does not keep it" in str(account.stopped)
        assert (account.sent, account.pending, account.exit_status) == (0, 2, 5)
        assert desk.sync(scores(TWO)).sent == 2

    def test_a_field_that_is_dropped(self, desk: Desk) -> None:
        desk.shelf.drops = {"points"}
        account = desk.sync(scores(TWO))
        assert "'points'" in str(account.stopped)
        assert account.pending == 2
        desk.shelf.drops = set()
        assert desk.sync(scores(TWO)).exit_status == 0
        assert desk.shelf.held("points") == {"1": 25, "2": 75, "3": None}

    def test_a_row_that_is_not_written(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 10, compares=compares)
        desk.shelf.fail("write", Fault(share=0.9))
        account = desk.sync(many(10))
        assert (account.sent, account.failed, desk.failures()) == (9, 1, {"00009": "unkept"})
        assert desk.sync(many(10)).sent == 1

    def test_if_a_sample_lacks_some_all_are_read_back(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 400, compares=compares, size=400)
        desk.shelf.fail("write", Fault(share=0.5))
        account = desk.sync(many(400))
        assert (account.sent, account.failed) == (200, 200)


class TestOlderRun:
    """Runs are ordered by when they were scored, not by when they are delivered, nor by any clock."""

    OLD, NEW = "lead band\n1 nurture\n2 nurture", "lead band\n1 mql\n2 nurture"

    @pytest.mark.parametrize("days", [-3, 0, 3])
    def test_the_newer_values_stay(self, desk: Desk, days: int) -> None:
        old = desk.score(scores(self.OLD, run="old", at=AS_OF + timedelta(days=days)))
        desk.sync(scores(self.NEW, run="new"))
        before = list(desk.shelf.store.effects)
        account = desk.sync(old)
        assert (account.skipped, account.sent, account.exit_status) == ({"stale": 2}, 0, 0)
        assert "run 1" in account.notes[-1]
        assert desk.shelf.store.effects == before
        assert desk.failures() == {}

    def test_also_those_that_the_newer_one_left_unchanged(self, desk: Desk) -> None:
        desk.sync(scores(self.OLD, run="first"))
        old = desk.score(scores(self.NEW, run="old"))
        desk.sync(scores(self.OLD, run="new"))
        desk.sync(old)
        assert desk.shelf.held("band")["1"] == "nurture"

    def test_what_the_newer_one_left_pending_is_sent(self, desk: Desk) -> None:
        old = desk.score(scores(self.OLD, run="old"))
        desk.shelf.fail("write", Fatal("signed out"))
        desk.sync(scores(self.NEW, run="new"))
        account = desk.sync(old)
        assert (account.sent, account.pending) == (2, 0)
        assert desk.shelf.held("band") == {"1": "mql", "2": "nurture", "3": None}

    def test_without_a_field_for_the_run_the_ledger_sees_to_it(self, tmp_path: Path, compares: bool) -> None:
        desk = Desk(tmp_path, shelf({"band": "band"}, compares=compares).put("1", "2"))
        old = desk.score(scores(self.OLD, run="old"))
        assert "only the ledger" in desk.sync(scores(self.NEW, run="new")).notes[0]
        desk.sync(old)
        assert desk.shelf.held("band") == {"1": "mql", "2": "nurture"}

    def test_a_record_that_holds_a_later_run_keeps_it(self, desk: Desk) -> None:
        """As after a second ledger was merged into this one by hand: its runs are known here."""
        desk.sync(scores(self.OLD, run="old"))
        with desk.ledger() as ledger:
            ledger.raise_to(9)
        desk.shelf.store.records["1"].update(run=9, band="mql")
        desk.sync(desk.score(scores(self.OLD, run="x")), everything=True)  # gets 10, comes after it
        desk.shelf.store.records["1"].update(run=11, band="mql")
        with desk.ledger() as ledger:
            ledger.raise_to(11)
        account = desk.sync(scores("lead band\n1 let_go\n2 mql", run="x"))
        assert (account.skipped, account.sent, desk.failures()) == ({"stale": 1}, 1, {"1": "stale"})
        assert desk.shelf.held("band") == {"1": "mql", "2": "mql", "3": None}
        assert desk.sync(scores("lead band\n1 let_go\n2 mql", run="y")).sent == 1  # and is over by itself
        assert desk.failures() == {}


class TestTwoAtOnce:
    def test_one_of_the_two_refuses(self, desk: Desk) -> None:
        refused: list[PropenseError] = []

        def second(event: Any) -> None:
            if event.step == "intent":
                with pytest.raises(Busy, match="Another run is writing to 'shelf'") as raised:
                    desk.sync(scores(TWO, run="s"))
                refused.append(raised.value)

        assert desk.sync(scores(TWO), watch=second).sent == 2
        assert [error.exit_status for error in refused] == [5]
        assert len(desk.shelf.written()) == 2

    def test_whoever_lost_the_lease_sends_nothing_more(self, tmp_path: Path, compares: bool) -> None:
        """A writer that was stopped while another took over: it finds the fence raised."""
        import sqlite3
        from contextlib import closing

        desk = stock(tmp_path, 35, compares=compares)

        def overtake(event: Any) -> None:
            if (event.step, event.batch) == ("settled", 2):
                with closing(sqlite3.connect(desk.path)) as ledger, ledger:
                    ledger.execute("UPDATE propense_leases SET fence = fence + 1")

        with pytest.raises(LeaseLost):
            desk.sync(many(35), watch=overtake)
        assert len(desk.shelf.written()) == 20
        assert desk.sync(many(35)).sent == 15


class TestForeignLedger:
    def _lost(self, desk: Desk) -> None:
        desk.path.unlink()
        for more in ("-wal", "-shm"):
            desk.path.with_name(desk.path.name + more).unlink(missing_ok=True)

    def _three(self, desk: Desk) -> None:
        for run in "abc":
            desk.sync(scores(TWO, run=run), everything=True)

    def test_it_is_refused(self, desk: Desk) -> None:
        self._three(desk)
        self._lost(desk)
        with pytest.raises(Fatal, match="holds scores of run 3, and this ledger is at run 1") as raised:
            desk.sync(scores(TWO, run="d"))
        assert "propense sync shelf --adopt" in raised.value.todo
        assert set(desk.shelf.held("run").values()) == {3, None}

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_unless_it_is_to_go_on_after_it(self, desk: Desk, dry_run: bool) -> None:
        self._three(desk)
        self._lost(desk)
        account = desk.sync(scores(TWO, run="d"), adopt=True, dry_run=dry_run)
        assert account.sequence == 4
        assert "held run 3" in account.notes[0]
        assert desk.shelf.held("run")["1"] == (3 if dry_run else 4)
        if not dry_run:
            assert desk.sync(scores(TWO, run="e")).unchanged == 2

    def test_an_old_copy_of_the_ledger_is_noticed_when_it_writes_and_can_go_on(self, desk: Desk) -> None:
        desk.sync(scores(TWO, run="a"))
        copy = desk.path.read_bytes()
        self._three(desk)
        self._lost(desk)
        desk.path.write_bytes(copy)
        changed = scores(TWO.replace("mql", "let_go"), run="z")
        account = desk.sync(changed)
        assert "holds scores of run 3" in str(account.stopped)
        assert (account.pending, desk.shelf.held("band")["2"]) == (1, "mql")
        assert desk.sync(changed, adopt=True).exit_status == 0
        assert desk.shelf.held("band") == {"1": "nurture", "2": "let_go", "3": None}
        assert desk.shelf.held("run")["2"] == 4

    def test_adopting_what_is_known_anyway_changes_nothing(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        account = desk.sync(scores(TWO, run="s"), adopt=True)
        assert (account.unchanged, account.sequence) == (2, 2)

    @pytest.mark.parametrize(
        ("held", "propensity", "band"),
        [("mql", 0.45, "mql"), (None, 0.45, "nurture"), ("nurture", 0.45, "nurture"), ("?", 0.45, "nurture")],
    )
    def test_the_last_band_is_the_destinations_own(
        self, desk: Desk, held: str | None, propensity: float, band: str
    ) -> None:
        """At first contact the ledger knows no last band, and the record does: an MQL stays one to 0.401."""
        desk.shelf.store.records["1"]["band"] = held
        levels = Levels(mql=0.5, nurture=0.2, hysteresis=0.4)
        desk.sync(scores(f"lead propensity\n1 {propensity}", levels=levels))
        assert desk.shelf.held("band")["1"] == band

    def test_a_destination_that_knows_none_of_the_leads_is_a_mistake(self, desk: Desk) -> None:
        with pytest.raises(Fatal, match="None of the 2 leads is in the destination") as raised:
            desk.sync(scores("lead\na\nb"))
        assert "'a'" in raised.value.todo
        desk.shelf.own = True  # type: ignore[misc]
        assert desk.sync(scores("lead\na\nb")).skipped == {"gone": 2}


class TestRecords:
    @pytest.fixture
    def desk(self, tmp_path: Path) -> Desk:
        """A destination where records are merged."""
        return Desk(tmp_path, shelf().put("1", "2", "3"))

    CHANGED = TWO.replace("mql", "let_go").replace("nurture", "mql")

    def test_a_deleted_one_is_told_and_its_batch_mates_are_written(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        del desk.shelf.store.records["2"]
        account = desk.sync(scores(self.CHANGED, run="s"))
        assert (account.sent, account.skipped, desk.failures()) == (1, {"gone": 1}, {"2": "gone"})
        assert set(desk.shelf.store.records) == {"1", "3"}

    def test_a_merged_one_is_followed(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "Contact 1")
        assert desk.sync(scores(self.CHANGED, run="s")).sent == 2
        assert desk.shelf.held("band") == {"2": "let_go", "3": None, "Contact 1": "mql"}
        assert desk.sync(scores(self.CHANGED, run="t")).unchanged == 2

    def test_and_again(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "Contact 1")
        desk.sync(scores(self.CHANGED, run="s"))
        desk.shelf.merge("Contact 1", "Contact 9")
        desk.sync(scores(TWO, run="t"))
        assert desk.shelf.held("band")["Contact 9"] == "nurture"
        assert desk.sync(scores(TWO, run="u")).unchanged == 2

    def test_and_cleared_there_when_the_lead_closes(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "Contact 1")
        desk.sync(scores("lead propensity band\n2 0.75 mql", run="s"))
        assert desk.shelf.held("band")["Contact 1"] is None

    def test_a_table_that_names_the_new_one_is_no_change(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "Contact 1")
        desk.sync(scores(self.CHANGED, run="s"))
        account = desk.sync(scores(self.CHANGED, run="t"), keys={"1": "Contact 1", "2": "2"})
        assert (account.unchanged, desk.shelf.written()) == (2, ["1", "2", "Contact 1", "2"])

    def test_what_is_merged_into_another_leads_record_is_not_written(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "2")
        account = desk.sync(scores(self.CHANGED, run="s"))
        assert (account.sent, account.skipped, desk.failures()) == (1, {"shared": 1}, {"1": "shared"})
        assert desk.shelf.held("band") == {"2": "let_go", "3": None}

    def test_also_if_that_one_does_not_change(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "2")
        desk.sync(scores(TWO.replace("nurture", "let_go"), run="s"))
        assert desk.shelf.held("band") == {"2": "mql", "3": None}

    def test_nor_is_it_cleared_when_its_lead_closes(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "2")
        one = scores("lead propensity band\n2 0.75 mql", run="s")
        assert (desk.sync(one).exit_status, desk.shelf.held("band")["2"], desk.failures()) == (0, "mql", {})
        assert desk.sync(replace(one, run_id="t")).to_send == 0

    def test_until_that_one_closes(self, desk: Desk) -> None:
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "2")
        desk.sync(scores(self.CHANGED, run="s"))
        left = "lead propensity band\n1 0.25 mql"
        desk.sync(scores(left, run="t"))
        desk.sync(scores(left, run="u"))
        assert desk.shelf.held("band") == {"2": "mql", "3": None}
        assert desk.failures() == {}

    def test_of_two_that_are_merged_into_a_third_one_is_written(self, desk: Desk) -> None:
        """And always the same one: what of the two changes later does not decide."""
        desk.sync(scores(TWO))
        desk.shelf.merge("1", "3")
        desk.shelf.merge("2", "3")
        desk.shelf.size = 1
        first = desk.sync(scores(self.CHANGED, run="s"))
        assert (first.sent, first.skipped, desk.shelf.held("band")) == (1, {"shared": 1}, {"3": "mql"})
        only_two = "lead propensity band\n1 0.25 mql\n2 0.95 nurture"
        second = desk.sync(scores(only_two, run="t"))
        assert (second.unchanged, second.skipped, desk.shelf.held("band")) == (1, {"shared": 1}, {"3": "mql"})

    def test_leads_with_one_record_and_without_any(self, desk: Desk) -> None:
        account = desk.sync(scores("lead propensity\n1 0.2\n2 0.7\n4 0.5"), keys={"1": "3", "2": "3"})
        assert (account.sent, account.skipped) == (1, {"unknown": 1, "shared": 1})
        assert desk.failures() == {"1": "shared", "4": "unknown"}
        assert summed(account) == 3


class TestJobs:
    """A destination that works in jobs; the job's id is in the ledger before anything is uploaded."""

    @pytest.fixture
    def desk(self, tmp_path: Path, compares: bool) -> Desk:
        return stock(tmp_path, 25, compares=compares, jobs=True)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_killed_after_it_was_created_it_is_taken_up_again(self, desk: Desk, share: float) -> None:
        desk.shelf.fail("write", None, Fault(SystemExit(), share))
        with pytest.raises(SystemExit):
            desk.sync(many(25))
        assert list(desk.shelf.store.jobs) == ["job-1", "job-2"]
        account = desk.sync(many(25))
        assert (account.unchanged, account.sent, summed(account)) == (20, 5, 25)
        assert list(desk.shelf.store.jobs) == ["job-1", "job-2", "job-3"]
        assert len(desk.shelf.written()) == 25

    @pytest.mark.parametrize("step", ["intent", "answer", "settled"])
    def test_killed_at_a_step(self, desk: Desk, step: Any) -> None:
        with pytest.raises(SystemExit):
            desk.sync(many(25), watch=at(step, 2))
        desk.sync(many(25))
        assert list(desk.shelf.store.jobs) == ["job-1", "job-2", "job-3"]
        assert len(desk.shelf.written()) == 25

    def test_waiting_for_it_may_take_several_runs(self, desk: Desk) -> None:
        desk.shelf.fail("write", *[Fault(BUSY, 1.0)] * 9)
        account = desk.sync(many(25))
        assert (account.pending, account.exit_status) == (25, 5)
        desk.shelf.faults["write"].clear()
        again = desk.sync(many(25))
        assert (again.unchanged, again.sent) == (10, 15)
        assert list(desk.shelf.store.jobs) == ["job-1", "job-2", "job-3"]

    def test_a_halt_while_it_is_under_way(self, desk: Desk) -> None:
        desk.shelf.fail("write", Fault(Fatal("signed out"), 1.0))
        assert desk.sync(many(25)).pending == 25
        assert desk.sync(many(25)).exit_status == 0
        assert list(desk.shelf.store.jobs) == ["job-1", "job-2", "job-3"]
        assert len(desk.shelf.written()) == 25

    def test_refused_rows_of_a_job_that_is_taken_up_are_counted_once(self, desk: Desk) -> None:
        desk.shelf.poison = {"00004"}
        desk.shelf.fail("write", Fault(SystemExit(), 1.0))
        with pytest.raises(SystemExit):
            desk.sync(many(25))
        account = desk.sync(many(25))
        assert (account.failed, account.unchanged, account.sent, account.exit_status) == (1, 9, 15, 6)
        again = desk.sync(many(25))
        assert (again.skipped, again.exit_status) == ({"refused before": 1}, 0)

    def test_killed_while_halving_each_job_has_its_own_rows(self, desk: Desk) -> None:
        desk.shelf.poison, desk.shelf.whole = {"00007"}, True
        desk.shelf.fail("write", None, Fault(SystemExit(), 1.0))
        with pytest.raises(SystemExit):
            desk.sync(many(25))
        desk.sync(many(25))
        assert desk.failures() == {"00007": "refused"}
        assert Counter(desk.shelf.written()) == Counter(set(desk.shelf.held("run")) - {"00007"})

    def test_a_job_whose_rows_were_not_kept_is_over(self, desk: Desk) -> None:
        desk.shelf.drops = {"points"}
        assert "does not keep it" in str(desk.sync(many(25)).stopped)
        desk.shelf.drops = set()
        assert desk.sync(many(25)).exit_status == 0
        assert set(desk.shelf.held("points").values()) == {50}

    def test_rows_that_a_job_left_undone_get_another_one(self, desk: Desk) -> None:
        desk.shelf.fail("write", Fault(SystemExit(), 0.0))
        with pytest.raises(SystemExit):
            desk.sync(many(25))
        desk.shelf.unfinished = [Fault(share=0.5, unconfirmed=True)]
        account = desk.sync(many(25))
        assert (account.exit_status, len(desk.shelf.written())) == (0, 25)
        assert list(desk.shelf.store.jobs) == ["job-1", "job-2", "job-3", "job-4"]


class TestClearingMost:
    def test_it_is_a_question_and_nothing_is_written(self, tmp_path: Path) -> None:
        desk = stock(tmp_path, 120, size=200)
        desk.sync(many(120))
        effects = len(desk.shelf.written())
        with pytest.raises(DeliveryError, match="100 of the 120"):
            desk.sync(many(20, run="s"))
        assert len(desk.shelf.written()) == effects
        assert desk.sync(many(20, run="s"), allow_clearing=True).cleared == 100


class TestFileOfLeads:
    """Scores of some leads only, between runs of all."""

    def test_it_leaves_the_others_and_what_is_pending_of_them(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 20, compares=compares)
        desk.shelf.fail("write", None, Fatal("signed out"))
        assert desk.sync(many(20)).pending == 10
        account = desk.sync(many(12, run="s", score=80, complete=False))
        assert (account.sent, account.pending, account.cleared) == (20, 0, 0)
        assert list(desk.shelf.held("points").values()) == [80] * 12 + [50] * 8

    def test_a_lead_that_went_back_is_pending_no_longer(self, tmp_path: Path, compares: bool) -> None:
        desk = stock(tmp_path, 2, compares=compares)
        desk.sync(many(2))
        desk.shelf.fail("write", Fatal("signed out"))
        desk.sync(many(2, run="s", score=80))
        account = desk.sync(many(1, run="t", score=50, complete=False))
        assert (account.unchanged, account.sent) == (1, 1)
        assert list(desk.shelf.held("points").values()) == [50, 80]


# A run of leads 00000 to 00014, each with its band; what goes wrong with the first writes and reads.
FAULTS = strategies.sampled_from(
    [
        None, Fault(BUSY), Fault(HANGS, 1.0), Fault(HANGS, 0.4), Fault(Fatal("403")), Fault(share=0.7),
        Fault(Dropped(), 0.5), Fault(share=0.5, unconfirmed=True), Fault(Fatal("403", applied=True), 0.5),
        Fault(Refused("no")), Fault(Retriable("later", after=99)),
    ]
)  # fmt: skip
KEYS = [f"{n:05}" for n in range(15)]


@tried(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=strategies.lists(strategies.lists(FAULTS, max_size=6), min_size=1, max_size=3),
    poison=strategies.sets(strategies.sampled_from(KEYS), max_size=3),
    absent=strategies.sets(strategies.sampled_from(KEYS[1:]), max_size=3),
    nowhere=strategies.sets(strategies.sampled_from(KEYS[1:]), max_size=3),
    whole=strategies.booleans(),
    compares=strategies.booleans(),
)
def test_every_lead_is_accounted_for_exactly_once(
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[list[Fault | None]],
    poison: set[str],
    absent: set[str],
    nowhere: set[str],
    whole: bool,
    compares: bool,
) -> None:
    desk = Desk(tmp_path_factory.mktemp("any"), shelf(compares=compares, size=4).put(*KEYS))
    desk.shelf.poison, desk.shelf.whole = poison, whole
    for key in absent:
        del desk.shelf.store.records[key]
    for number, some in enumerate(faults):
        run = many(15, run=str(number), score=10 * (number + 1))
        desk.shelf.faults["write"] = list(some)
        account = desk.sync(run, keys={key: key for key in KEYS if key not in nowhere})
        assert summed(account) == 15
        assert account.exit_status == (
            5 if account.stopped or account.pending else 6 if account.failed else 0
        )
        assert (account.stopped is None) or account.pending


def test_settings_of_any_destination_have_patience() -> None:
    assert Settings(type="x", fields={"band": "b"}).patience == timedelta(minutes=5)
