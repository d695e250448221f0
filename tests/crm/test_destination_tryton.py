"""Leads of a real Tryton: which are changed, when none is, and what each of its refusals means."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from servers.faults import answers, drops, hangs
from servers.proxy import HttpProxy
from servers.tryton import DATABASE, FIELDS, HALF, PASSWORD, READER, SCORER, STRANGER, Tryton

from pipeline.destinations.base import Fatal, Job, Problem, Refused, Retriable, Row, Value, Written
from pipeline.destinations.tryton import Tryton as Destination
from pipeline.destinations.tryton import TrytonSettings
from pipeline.destinations.tryton_fields import Field

pytestmark = pytest.mark.xdist_group("tryton")
SCORES: dict[str, Value] = {
    "propensity": 0.123457, "score": 71, "band": "mql", "grade": "A1", "sales_ready": True,
    "reasons": "+ asked for a quote; − 1000+ employees", "scored_at": "2026-06-30T10:00:00+00:00",
    "run_id": "run-1", "run_sequence": 1,
}  # fmt: skip
# As the database holds them: four decimals fit, a boolean is a number, times are UTC.
HELD = {**SCORES, "propensity": 0.1235, "sales_ready": 1, "scored_at": "2026-06-30 10:00:00"}
WRITE = r"opportunity\.write"
Opened = Callable[..., Destination]


@pytest.fixture
def opened(tryton: Tryton, tmp_path: Path) -> Iterator[Opened]:
    """Open destinations, with settings changed, and close them after the test."""
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    made: list[Destination] = []

    def open_(**changes: Any) -> Destination:
        given = {
            "url": tryton.url, "database": DATABASE, "user": SCORER, "password": {"file": "password"},
            "fields": FIELDS, "timeout": 30,
        }  # fmt: skip
        settings = TrytonSettings.model_validate({"type": "tryton", **given, **changes})
        made.append(Destination("crm", settings, tmp_path))
        return made[-1]

    yield open_
    for destination in made:
        destination.close()


@pytest.fixture
def crm(opened: Opened) -> Destination:
    return opened()


def rows(*keys: str, sequence: int = 1, **changes: Value) -> list[Row]:
    values = {**SCORES, "run_sequence": sequence, **changes}
    return [Row(f"lead-{key}", key, values, sequence) for key in keys]


def write(destination: Destination, *some: Row) -> Written:
    return destination.write(some, Job())


def held(tryton: Tryton, key: str) -> dict[str, Any]:
    lead = tryton.leads()[int(key)]
    return {name: lead[name] for name in SCORES}


def between(destination: Destination, happens: Callable[[], Any]) -> None:
    """Let something happen once, after the records were read and before they are written."""
    call, left = destination.model.server.call, [happens]

    def late(method: str, *params: Any, context: Any = None) -> Any:
        if method.endswith(".write") and params[0] and left:  # without records it only asks for the right
            left.pop()()
        return call(method, *params, context=context)

    destination.model.server.call = late  # type: ignore[method-assign]


class TestWriting:
    def test_exactly_the_given_leads_and_none_is_created(self, tryton: Tryton, crm: Destination) -> None:
        before = tryton.leads()
        assert write(crm, *rows("3", "7", "600")) == Written()
        after = tryton.leads()
        changed = {key for key in after if after[key] != before[key]}
        assert (set(after), changed) == (set(before), {3, 7, 600})
        for key in changed:
            assert after[key] == before[key] | HELD | {
                name: after[key][name] for name in ("write_date", "write_uid")
            }
        assert [entry["id"] for entry in tryton.writes()] == [3, 7, 600]

    def test_each_its_own_values_in_full_batches(self, tryton: Tryton, crm: Destination) -> None:
        keys = tryton.ids()
        size = crm.batch(len(keys))
        for start in range(0, len(keys), size):
            some = [rows(key, score=int(key) % 101)[0] for key in keys[start : start + size]]
            assert write(crm, *some) == Written()
        assert {key: lead["score"] for key, lead in tryton.leads().items()} == {
            int(key): int(key) % 101 for key in keys
        }
        assert len(tryton.writes()) == len(keys)

    def test_reads_what_it_wrote(self, crm: Destination) -> None:
        write(crm, *rows("1", propensity=0.25))
        found = crm.read(["1", "2", "999999"])
        assert (set(found), found["1"].id) == ({"1", "2"}, "1")
        assert found["1"].values == {**SCORES, "propensity": 0.25}
        assert {found["2"].values[name] for name in SCORES if name != "sales_ready"} == {None}

    def test_clears(self, tryton: Tryton, crm: Destination) -> None:
        write(crm, *rows("1"))
        nothing = dict.fromkeys(SCORES) | {"run_sequence": 2}
        assert write(crm, Row("lead-1", "1", nothing, 2)) == Written()
        assert held(tryton, "1") == nothing
        assert crm.read(["1"])["1"].values == nothing

    def test_into_other_types_of_fields(self, tryton: Tryton, opened: Opened) -> None:
        fields = {"propensity": "propensity_high", "as_of": "scored_on", "sales_ready": "reasons"}
        crm = opened(fields=fields)
        assert crm.missing() == []
        values: dict[str, Value] = {
            "propensity_high": 0.12345678, "scored_on": "2026-07-01T01:30:00+02:00", "reasons": True,
        }  # fmt: skip
        assert write(crm, Row("a", "1", values, 1)) == Written()
        assert crm.read(["1"])["1"].values == {
            "propensity_high": 0.123457, "scored_on": "2026-06-30", "reasons": "true",
        }  # fmt: skip

    def test_by_another_field(self, tryton: Tryton, opened: Opened) -> None:
        crm = opened(key="external")
        tryton.change(5, external="x-4")
        written = write(crm, *rows("x-3", "x-4", "x-nobody", "X-6"))
        assert written == Written({"x-4": "2 records have this external"}, ("x-nobody", "X-6"))
        assert [entry["id"] for entry in tryton.writes() if entry["score"]] == [3]
        assert set(crm.read(["x-3", "x-4", "x-nobody"])) == {"x-3"}

    def test_a_key_that_only_looks_like_a_records_is_nobodys(self, tryton: Tryton, crm: Destination) -> None:
        strange = ("01", " 1", "1.0", "+1", "-1", "٣", "1_0", "", "none", "9" * 30)
        assert write(crm, *rows(*strange)) == Written(gone=strange)
        assert crm.read(strange) == {}
        assert tryton.writes() == []


class TestOrder:
    """An older run never overwrites a newer one, and nobody's change is lost."""

    def test_newer_stays(self, tryton: Tryton, crm: Destination) -> None:
        write(crm, *rows("1", sequence=7, score=90))
        assert write(crm, *rows("1", "2", sequence=6, score=10)) == Written(newer=("1",))
        assert (held(tryton, "1")["score"], held(tryton, "2")["score"]) == (90, 10)
        assert write(crm, *rows("1", sequence=7, score=91)) == Written()
        assert held(tryton, "1")["score"] == 91

    def test_a_change_in_between_is_kept(self, tryton: Tryton, crm: Destination) -> None:
        between(crm, lambda: tryton.change(2, description="called back"))
        with pytest.raises(Retriable) as caught:
            write(crm, *rows("1", "2", "3"))
        assert not caught.value.applied
        assert [entry["id"] for entry in tryton.writes()] == [2]
        assert write(crm, *rows("1", "2", "3")) == Written()
        assert tryton.leads()[2]["description"] == "called back"
        assert held(tryton, "2") == HELD

    def test_a_newer_run_in_between_wins(self, tryton: Tryton, crm: Destination, opened: Opened) -> None:
        other = opened()
        between(crm, lambda: write(other, *rows("1", sequence=9, score=90)))
        with pytest.raises(Retriable):
            write(crm, *rows("1", "2", sequence=8, score=10))
        assert write(crm, *rows("1", "2", sequence=8, score=10)) == Written(newer=("1",))
        assert (held(tryton, "1")["score"], held(tryton, "2")["score"]) == (90, 10)

    def test_a_request_that_comes_late_changes_nothing(
        self, tryton: Tryton, crm: Destination, opened: Opened
    ) -> None:
        """Given up on by a run, held back on its way, and delivered after a newer run."""
        server, held_back = crm.model.server, []
        call = server.call

        def hold(method: str, *params: Any, context: Any = None) -> Any:
            if not (method.endswith(".write") and params[0]):
                return call(method, *params, context=context)
            held_back.append(lambda: call(method, *params, context=context))
            raise Retriable("no answer", applied=True)

        server.call = hold  # type: ignore[method-assign]
        with pytest.raises(Retriable):
            write(crm, *rows("1", sequence=8, score=10))
        write(opened(), *rows("1", sequence=9, score=90))
        with pytest.raises(Retriable, match="changed a record"):
            held_back[-1]()
        assert held(tryton, "1")["score"] == 90

    def test_given_up_on_while_it_takes_effect(self, tryton: Tryton, opened: Opened) -> None:
        with HttpProxy(tryton.port) as proxy:
            crm = opened(url=proxy.url, timeout=1)
            crm.missing()
            proxy.set(hangs(WRITE, forwarded=True))
            with pytest.raises(Retriable, match="Timeout") as caught:
                write(crm, *rows("1"))
            assert caught.value.applied
            assert crm.read(["1"])["1"].values["run_sequence"] == 1


class TestOneThatIsRefused:
    @pytest.mark.parametrize(
        ("bad", "why"),
        [
            ({"band": "lukewarm"}, "band: 'lukewarm' is not one of its options"),
            ({"grade": "AAAAA"}, "grade: 5 characters, and there is room for 4"),
            ({"score": 0.5}, "score: 0.5 is no whole number"),
            ({"score": "many"}, "score: could not convert"),
            ({"propensity": float("inf")}, "propensity: inf is no number"),
            ({"sales_ready": "perhaps"}, "sales_ready: 'perhaps' is neither"),
            ({"scored_at": "soon"}, "scored_at: Invalid isoformat"),
        ],
    )
    def test_values_that_do_not_fit_are_told_before_they_are_sent(
        self, tryton: Tryton, crm: Destination, bad: Mapping[str, Value], why: str
    ) -> None:
        written = write(crm, *rows("1"), *rows("2", **bad), *rows("3"))
        assert list(written.refused) == ["2"]
        assert written.refused["2"].startswith(why)
        assert [entry["id"] for entry in tryton.writes()] == [1, 3]

    @pytest.mark.parametrize(
        ("lead", "bad", "why"),
        [
            ({}, {"score": 101}, r'"101" for field "Score".*not valid'),
            ({}, {"grade": "A\n1"}, r'field "Grade".*invalid chars'),
            ({"reference": "frozen"}, {}, r"The lead of …@…, 2, is frozen\.$"),
            ({"reference": "warned"}, {}, r"^Are you sure\? Somebody works on this lead\.$"),
            ({"reference": "broken"}, {}, r"an error in Tryton: .*a mistake in a module"),
        ],
    )
    def test_what_tryton_refuses_refuses_the_batch(
        self, tryton: Tryton, crm: Destination, lead: dict[str, Value], bad: dict[str, Value], why: str
    ) -> None:
        if lead:
            tryton.change(2, **lead)
        poison = rows("2", **bad)
        with pytest.raises(Refused, match=why) as caught:
            write(crm, *rows("1"), *poison, *rows("3"))
        assert "example.com" not in caught.value.text
        with pytest.raises(Refused, match=why):
            write(crm, *poison)
        assert not [entry for entry in tryton.writes() if entry["run_sequence"]]
        assert write(crm, *rows("1", "3")) == Written()

    def test_deleted_and_inactive_ones_stop_nobody(self, tryton: Tryton, crm: Destination) -> None:
        tryton.delete(2)
        tryton.change(3, active=False)
        assert write(crm, *rows("1", "2", "3", "4", "4000")) == Written(gone=("2", "3", "4000"))
        assert set(crm.read(["1", "2", "3", "4"])) == {"1", "4"}
        assert (held(tryton, "1"), held(tryton, "4"), tryton.count()) == (HELD, HELD, 599)
        assert held(tryton, "3")["score"] is None

    def test_deleted_in_between(self, tryton: Tryton, crm: Destination) -> None:
        between(crm, lambda: tryton.delete(2))
        with pytest.raises(Problem) as caught:
            write(crm, *rows("1", "2"))
        assert not isinstance(caught.value, Fatal)
        assert held(tryton, "1")["score"] is None
        assert write(crm, *rows("1", "2")) == Written(gone=("2",))
        assert (held(tryton, "1"), tryton.count()) == (HELD, 599)


class TestBeforeTheFirstWrite:
    def test_all_is_there(self, tryton: Tryton, crm: Destination) -> None:
        assert crm.missing() == []
        assert tryton.writes() == []

    def test_fields_that_are_not_there_are_named(self, opened: Opened) -> None:
        crm = opened(fields={"score": "score", "band": "bandd", "run_sequence": "sequence"})
        assert crm.missing() == ["bandd", "sequence"]
        with pytest.raises(Fatal) as caught:
            crm.create_fields({"bandd": "choice", "sequence": "integer"})
        assert "bandd (choice), sequence (integer)" in caught.value.todo
        assert "module" in caught.value.todo

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"user": READER}, "not allowed to access"),
            ({"user": HALF}, "not allowed to access .*Score"),
            ({"user": STRANGER}, "not allowed to access"),
            ({"user": "nobody"}, "does not accept the user 'nobody'"),
            ({"database": "elsewhere"}, "has no database 'elsewhere'"),
            ({"database": "../crm"}, "has no /../crm/rpc/"),
            ({"model": "sale.lead"}, "sale.lead"),
            ({"key": "nothing"}, "'nothing' identifies no record"),
            ({"key": "scored_at"}, "'scored_at' identifies no record: its type is datetime"),
            ({"fields": {"score": "fixed"}}, "not allowed to modify.*Nobody may change this"),
            ({"fields": {"score": "notes"}}, "of a type that holds no score"),
            ({"fields": {"run_sequence": "reasons"}}, "'reasons' cannot be compared"),
        ],
    )
    def test_what_only_a_person_can_help_with(
        self, opened: Opened, changes: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(Fatal, match=why) as caught:
            opened(**changes).missing()
        assert caught.value.todo
        assert PASSWORD not in caught.value.text + caught.value.todo

    def test_a_user_of_no_company_sees_no_lead(self, tryton: Tryton, crm: Destination) -> None:
        tryton.write_user(SCORER, company=None)
        with pytest.raises(Fatal, match="sees no record of sale"):
            crm.missing()

    def test_a_wrong_password_and_too_many_of_them(self, opened: Opened, tmp_path: Path) -> None:
        wrong = "hunter2 is no secret"
        (tmp_path / "password").write_text(wrong, "utf-8")
        for _ in range(3):
            with pytest.raises(Fatal, match="does not accept the user 'scorer'") as caught:
                opened().missing()
            assert wrong not in caught.value.text + caught.value.todo
        with pytest.raises(Retriable, match="too many wrong sign-ins") as shut:
            opened().missing()
        assert shut.value.after is not None
        assert shut.value.after >= 60

    def test_what_sales_works_with_is_refused_in_the_configuration(
        self, tryton: Tryton, opened: Opened
    ) -> None:
        """Every field of a lead that is not the test's own module's, and whose type could hold a score."""
        fields = tryton.call("model.ir.model.field.search_read", [["model", "=", "sale.opportunity"]], 0,
                             None, None, ["name", "module", "ttype"])  # fmt: skip
        usable = {f["name"] for f in fields if f["module"] != "propense_score" and Field(f["ttype"]).usable}
        assert {"state", "conversion_probability", "description"} <= usable
        for name in {*usable, "employee", "party", "company", "active"}:
            with pytest.raises(ValidationError, match=f"{name}: what sales works with"):
                opened(fields={"score": name})


class TestInTheMiddle:
    """What goes wrong between one batch and the next, and within one."""

    def test_sessions_are_revoked(self, tryton: Tryton, crm: Destination) -> None:
        write(crm, *rows("1"))
        tryton.sign_out_everybody()
        assert write(crm, *rows("2")) == Written()
        assert (held(tryton, "2"), tryton.sessions()) == (HELD, 1)

    def test_the_user_is_shut_out(self, tryton: Tryton, crm: Destination) -> None:
        write(crm, *rows("1"))
        tryton.write_user(SCORER, active=False)
        tryton.sign_out_everybody()
        with pytest.raises(Fatal, match="does not accept the user"):
            write(crm, *rows("2"))
        assert held(tryton, "2")["score"] is None

    def test_a_right_is_taken_away(self, tryton: Tryton, crm: Destination) -> None:
        """Tryton says it in a 200, in the words that it refuses a value with."""
        write(crm, *rows("1"))
        tryton.write_user(SCORER, groups=[["remove", tryton.groups(SCORER)]])
        with pytest.raises(Fatal, match="not allowed to access"):
            write(crm, *rows("2"))
        with pytest.raises(Fatal, match="not allowed to access"):
            crm.read(["2"])
        assert held(tryton, "2")["score"] is None

    def test_the_right_to_write_is_taken_away(self, tryton: Tryton, crm: Destination) -> None:
        write(crm, *rows("1"))
        change = {"groups": [["remove", tryton.groups(SCORER)], ["add", tryton.groups(READER)]]}
        between(crm, lambda: tryton.write_user(SCORER, **change))
        with pytest.raises(Fatal, match="not allowed to access"):
            write(crm, *rows("2"))
        assert set(crm.read(["2"])) == {"2"}
        assert held(tryton, "2")["score"] is None

    def test_a_field_goes(self, tryton: Tryton, opened: Opened) -> None:
        crm = opened(fields={**FIELDS, "target": "target"})
        assert crm.missing() == ["target"]
        crm.model._fields["target"] = Field("char")  # it was there when the run began
        with pytest.raises(Fatal, match="no fields target"):
            write(crm, *rows("1", target="won"))
        with pytest.raises(Fatal, match="no fields target"):
            crm.read(["1"])
        assert tryton.writes() == []

    def test_the_server_is_killed_while_it_writes(self, tryton: Tryton, crm: Destination) -> None:
        crm.missing()
        (tryton.switches / "pause").touch()
        caught: list[Exception] = []

        def attempt() -> None:
            try:
                write(crm, *rows(*tryton.ids()[:200]))
            except Problem as problem:
                caught.append(problem)

        thread = threading.Thread(target=attempt)
        thread.start()
        deadline = time.monotonic() + 30
        while not (tryton.switches / "paused").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tryton.switches / "paused").exists()  # all are changed, nothing is committed
        tryton.kill()
        thread.join(30)
        (problem,) = caught
        assert isinstance(problem, Retriable)
        assert problem.applied
        with pytest.raises(Retriable) as down:
            crm.read(["1"])
        assert not down.value.applied
        (tryton.switches / "pause").unlink()
        tryton.start()
        assert tryton.writes() == []
        assert write(crm, *rows(*tryton.ids()[:200])) == Written()
        assert len(tryton.writes()) == 200

    def test_the_answer_is_lost(self, tryton: Tryton, opened: Opened) -> None:
        with HttpProxy(tryton.port) as proxy:
            crm = opened(url=proxy.url)
            crm.missing()
            proxy.set(drops(WRITE))
            with pytest.raises(Retriable) as caught:
                write(crm, *rows("1", "2"))
            assert caught.value.applied
            found = crm.read(["1", "2"])
        assert {record.values["run_sequence"] for record in found.values()} == {1}
        assert [entry["id"] for entry in tryton.writes()] == [1, 2]

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_it_is_busy(self, tryton: Tryton, opened: Opened, status: int) -> None:
        with HttpProxy(tryton.port) as proxy:
            crm = opened(url=proxy.url)
            crm.missing()
            proxy.set(answers(status, WRITE, page=True))
            with pytest.raises(Retriable) as caught:
                write(crm, *rows("1"))
            assert caught.value.applied == (status != 429)
            assert write(crm, *rows("1")) == Written()


def test_the_server_of_the_tests_starts_as_it_was(tryton: Tryton) -> None:
    before = tryton.leads()
    tryton.change(1, score=5)
    tryton.delete(2)
    tryton.kill()
    with pytest.raises(Exception, match="refused"):
        tryton.change(1, score=6)
    tryton.start()
    assert (tryton.leads()[1]["score"], tryton.count()) == (5, 599)
    tryton.reset()
    assert tryton.leads() == before
    assert tryton.writes() == []
    tryton.change(1, score=7)
    assert tryton.leads()[1]["score"] == 7


def test_closing_twice_and_unused_is_fine(opened: Opened) -> None:
    with closing(opened()) as crm:
        assert crm.batch(10) >= 200
    crm.close()
