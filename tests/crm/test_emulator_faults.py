"""The emulator's faults: which requests they meet, what they do, and what is left of the effect."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from servers.emulator import TESTS, Emulator

UPDATE = "/crm/v3/objects/contacts/batch/update"
READ = "/crm/v3/objects/contacts/batch/read"
PROPERTIES = "/crm/v3/properties/contacts"
COLLECTION = "/services/data/v62.0/composite/sobjects"


@pytest.fixture
def hubspot(emulator: Emulator) -> Iterator[httpx.Client]:
    emulator.add_field("contacts", "score", "number")
    emulator.add_field("contacts", "grade", "string")
    headers = {"Authorization": f"Bearer {emulator.hubspot_token}"}
    with httpx.Client(base_url=emulator.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def salesforce(emulator: Emulator) -> Iterator[httpx.Client]:
    emulator.add_field("Lead", "Score__c", "double")
    emulator.add_field("Lead", "Grade__c", "string")
    headers = {"Authorization": f"Bearer {emulator.session()}"}
    with httpx.Client(base_url=emulator.url, headers=headers, timeout=20) as client:
        yield client


def _update(client: httpx.Client, *ids: str, score: int = 1) -> httpx.Response:
    values = {"score": str(score), "grade": "A1"}
    return client.post(UPDATE, json={"inputs": [{"id": key, "properties": values} for key in ids]})


def _patch(client: httpx.Client, *ids: str, score: int = 1) -> httpx.Response:
    values = {"attributes": {"type": "Lead"}, "Score__c": score, "Grade__c": "A1"}
    return client.patch(COLLECTION, json={"allOrNone": False, "records": [{**values, "Id": i} for i in ids]})


def _scores(emulator: Emulator, kind: str = "contacts", field: str = "score") -> list[Any]:
    return [values.get(field) for values in emulator.records(kind).values()]


# -- which requests --------------------------------------------------------------------------------


def test_faults_are_consumed_in_their_order(emulator: Emulator, hubspot: httpx.Client) -> None:
    emulator.faults(
        {"do": "status", "status": 429, "retry_after": 2},
        {"do": "status", "status": 503, "times": 2},
        {"do": "status", "status": 500, "path": "batch/update"},
    )
    answers = [hubspot.get(PROPERTIES) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 503, 503, 200]
    assert answers[0].headers["Retry-After"] == "2"
    assert "Retry-After" not in answers[1].headers
    assert _update(hubspot, "1").status_code == 500
    assert [row["status"] for row in emulator.requests()] == [429, 503, 503, 200, 500]


def test_a_fault_may_let_some_pass_and_wants_its_path_method_and_body(
    emulator: Emulator, hubspot: httpx.Client
) -> None:
    ids = emulator.seed("contacts", [{}, {}])
    emulator.fault("status", status=503, path="/batch/", method="POST", body=ids[1], after=1)
    answers = [hubspot.get(PROPERTIES), _update(hubspot, ids[0]), _update(hubspot, ids[1])]
    answers += [_update(hubspot, ids[1]), _update(hubspot, ids[1])]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 503, 200]


def test_a_storm_lasts_as_long_as_it_says(emulator: Emulator, hubspot: httpx.Client) -> None:
    emulator.fault("status", status=429, seconds=0.5)
    began = time.time()
    statuses = []
    while time.time() - began < 5 and 200 not in statuses:
        statuses.append(hubspot.get(PROPERTIES).status_code)
    assert 0.4 < time.time() - began < 5
    assert statuses[-1] == 200


def test_chance_is_the_same_every_time(emulator: Emulator, hubspot: httpx.Client) -> None:
    runs = []
    for _ in range(2):
        emulator.clear_faults()
        emulator.fault("status", status=500, probability=0.5, seed=7)
        runs.append([hubspot.get(PROPERTIES).status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


def test_a_fault_that_is_not_known_is_an_error(emulator: Emulator) -> None:
    with pytest.raises(AssertionError, match="no such fault"):
        emulator.fault("stauts", status=500)


def test_each_interface_has_its_own_bodies(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client
) -> None:
    emulator.fault("status", status=429, policy="DAILY")
    assert hubspot.get(PROPERTIES).json()["policyName"] == "DAILY"
    emulator.fault("status", status=403, code="API_DISABLED_FOR_ORG", message="API is not enabled")
    [error] = salesforce.get("/services/data/v62.0/limits").json()
    assert error == {"message": "API is not enabled", "errorCode": "API_DISABLED_FOR_ORG"}
    for client, path in ((hubspot, PROPERTIES), (salesforce, "/services/data/v62.0/limits")):
        emulator.fault("status", status=502)
        assert client.get(path).headers["Content-Type"].startswith("text/html")


# -- delays and cut connections --------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_is_before_or_after_the_effect(emulator: Emulator, hubspot: httpx.Client, when: str) -> None:
    ids = emulator.seed("contacts", [{}])
    emulator.fault("delay", wait=1.5, when=when)
    with pytest.raises(httpx.ReadTimeout):
        hubspot.post(UPDATE, json={"inputs": [{"id": ids[0], "properties": {"score": "1"}}]}, timeout=0.7)
    assert _scores(emulator) == [None if when == "before" else "1"]
    time.sleep(1.2)
    assert _scores(emulator) == ["1"]  # nobody waits for the answer, and it is written nevertheless


@pytest.mark.parametrize(("when", "left"), [("before", None), ("after", "1")])
def test_a_connection_is_cut_before_or_after_the_effect(
    emulator: Emulator, hubspot: httpx.Client, when: str, left: str | None
) -> None:
    ids = emulator.seed("contacts", [{}])
    emulator.fault("close", when=when)
    with pytest.raises(httpx.TransportError):
        _update(hubspot, *ids)
    assert _scores(emulator) == [left]
    assert [row["answered"] for row in emulator.requests(UPDATE)] == [0]
    assert _update(hubspot, *ids).status_code == 200


def test_an_error_after_the_effect(emulator: Emulator, hubspot: httpx.Client) -> None:
    ids = emulator.seed("contacts", [{}])
    emulator.fault("status", status=504, when="after")
    assert _update(hubspot, *ids).status_code == 504
    assert _scores(emulator) == ["1"]


# -- faults inside an answer -----------------------------------------------------------------------


def test_a_field_is_dropped_without_a_word(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client
) -> None:
    contacts, leads = emulator.seed("contacts", [{}]), emulator.seed("Lead", [{}])
    emulator.faults({"do": "drop", "field": "score"}, {"do": "drop", "field": "Score__c"})
    for _ in range(2):
        assert _update(hubspot, *contacts).status_code == 200
        assert _patch(salesforce, *leads).json()[0]["success"] is True
    assert {row["field"] for row in emulator.audit()} == {"grade", "Grade__c"}
    emulator.clear_faults()
    _update(hubspot, *contacts)
    assert _scores(emulator) == ["1"]


@pytest.mark.parametrize("pretend", [True, False])
def test_success_that_is_none(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client, pretend: bool
) -> None:
    contacts, leads = emulator.seed("contacts", [{}, {}]), emulator.seed("Lead", [{}])
    emulator.faults(*[{"do": "hollow", "pretend": pretend}] * 2)
    inputs = [{"id": key} for key in contacts]
    assert len(hubspot.post(READ, json={"inputs": inputs}).json()["results"]) == 2  # reading is no victim
    answer = _update(hubspot, *contacts)
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETE")
    assert len(answer.json()["results"]) == (2 if pretend else 0)
    assert len(_patch(salesforce, *leads).json()) == (1 if pretend else 0)
    assert emulator.audit() == []
    _update(hubspot, *contacts)
    assert _scores(emulator) == ["1", "1"]


def test_an_error_inside_a_success(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client
) -> None:
    contacts, leads = emulator.seed("contacts", [{}]), emulator.seed("Lead", [{}])
    emulator.faults(*[{"do": "error_inside", "code": "INVALID_AUTHENTICATION", "message": "no"}] * 2)
    answer = _update(hubspot, *contacts)
    assert (answer.status_code, answer.json()["category"]) == (200, "INVALID_AUTHENTICATION")
    answer = _patch(salesforce, *leads)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (200, "INVALID_AUTHENTICATION")
    assert emulator.audit() == []


@pytest.mark.parametrize(("how", "status"), [("row", 207), ("batch", 400), ("conflict", 409)])
def test_one_poisoned_contact(emulator: Emulator, hubspot: httpx.Client, how: str, status: int) -> None:
    ids = emulator.seed("contacts", [{}, {}, {}])
    emulator.fault("poison", record=ids[1], how=how)
    assert _update(hubspot, *ids).status_code == status
    assert _scores(emulator) == (["1", None, "1"] if how == "row" else [None] * 3)
    assert _update(hubspot, ids[1]).status_code == status
    assert _update(hubspot, ids[0], ids[2]).status_code == 200


def test_one_poisoned_lead(emulator: Emulator, salesforce: httpx.Client) -> None:
    ids = emulator.seed("Lead", [{}, {}, {}])
    emulator.fault("poison", record=ids[1][:15], code="UNABLE_TO_LOCK_ROW", times=1)
    assert _patch(salesforce, ids[0]).json()[0]["success"] is True  # it is not in there: not consumed
    results = _patch(salesforce, *ids).json()
    assert [row["success"] for row in results] == [True, False, True]
    assert results[1]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert all(row["success"] for row in _patch(salesforce, *ids).json())
    emulator.fault("poison", record=ids[1], how="batch")
    assert _patch(salesforce, *ids).status_code == 400


def test_one_field_whose_values_are_refused(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client
) -> None:
    contacts, leads = emulator.seed("contacts", [{}]), emulator.seed("Lead", [{}])
    emulator.faults({"do": "refuse", "field": "score", "message": "too low"})
    emulator.faults({"do": "refuse", "field": "Score__c", "message": "too low"})
    assert "too low" in _update(hubspot, *contacts).json()["message"]
    [row] = _patch(salesforce, *leads).json()
    assert row["errors"][0]["statusCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert row["errors"][0]["fields"] == ["Score__c"]
    assert emulator.audit() == []


# -- what happens there in the meantime ------------------------------------------------------------


def test_tokens_are_revoked_between_two_requests(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client
) -> None:
    contacts, leads = emulator.seed("contacts", [{}]), emulator.seed("Lead", [{}])
    emulator.fault("revoke", path="batch/update|composite", after=2)
    assert _update(hubspot, *contacts).status_code == 200
    assert _patch(salesforce, *leads).status_code == 200
    assert _update(hubspot, *contacts, score=2).status_code == 401
    assert _patch(salesforce, *leads, score=2).status_code == 401
    assert _scores(emulator) == ["1"]


def test_a_field_is_removed_between_two_requests(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client
) -> None:
    contacts, leads = emulator.seed("contacts", [{}]), emulator.seed("Lead", [{}])
    emulator.fault("remove_field", object="contacts", field="score", path="batch/update", after=1)
    emulator.fault("remove_field", object="Lead", field="Score__c", path="composite", after=1)
    assert [_update(hubspot, *contacts, score=n).status_code for n in (1, 2)] == [200, 400]
    assert [_patch(salesforce, *leads, score=n).status_code for n in (1, 2)] == [200, 400]
    assert emulator.record("contacts", contacts[0]) == {"grade": "A1"}


# -- crashes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
def test_a_crash_leaves_all_of_a_batch_or_nothing(
    emulator: Emulator, hubspot: httpx.Client, salesforce: httpx.Client, when: str, vendor: str
) -> None:
    kind, field = ("contacts", "score") if vendor == "hubspot" else ("Lead", "Score__c")
    ids = emulator.seed(kind, [{} for _ in range(10)])
    emulator.fault("crash", when=when)
    with pytest.raises(httpx.TransportError):
        _update(hubspot, *ids) if vendor == "hubspot" else _patch(salesforce, *ids)
    emulator.wait_until_dead()
    port = emulator.port
    emulator.start()
    assert emulator.port == port
    written = [score is not None for score in _scores(emulator, kind, field)]
    assert written == [when == "after"] * 10
    assert len(emulator.audit()) == (20 if when == "after" else 0)
    answer = _update(hubspot, *ids) if vendor == "hubspot" else _patch(salesforce, *ids)
    assert answer.status_code == 200
    assert len(emulator.audit()) == 20


def test_a_killed_emulator_forgets_nothing(emulator: Emulator, hubspot: httpx.Client) -> None:
    ids = emulator.seed("contacts", [{}])
    _update(hubspot, *ids)
    emulator.fault("status", status=503)
    before = (emulator.records("contacts"), emulator.audit(), emulator.requests())
    emulator.kill()
    with pytest.raises(httpx.ConnectError):
        hubspot.get(PROPERTIES)
    emulator.start()
    assert (emulator.records("contacts"), emulator.audit(), emulator.requests()) == before
    assert hubspot.get(PROPERTIES).status_code == 503
    assert _update(hubspot, *ids, score=2).status_code == 200


def test_the_audit_only_grows(emulator: Emulator, hubspot: httpx.Client) -> None:
    _update(hubspot, *emulator.seed("contacts", [{}]))
    emulator.kill()
    database = sqlite3.connect(emulator.database)
    for statement in ("update audit set new = '2'", "delete from audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    database.close()
    emulator.start()
    assert len(emulator.audit()) == 2


def test_many_at_once_lose_nothing(emulator: Emulator, hubspot: httpx.Client) -> None:
    ids = emulator.seed("contacts", [{} for _ in range(40)])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda key: _update(hubspot, key), ids))
    assert {answer.status_code for answer in answers} == {200}
    assert len(emulator.audit()) == 80
    assert sorted(row["number"] for row in emulator.requests()) == list(range(1, 41))


def test_it_never_outlives_the_tests(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from servers.emulator import Emulator\n"
        "emulator = Emulator(Path(sys.argv[1])); emulator.start()\n"
        "print(emulator.port, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout
        port = int(tests.stdout.readline())
        os.kill(tests.pid, signal.SIGKILL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise AssertionError("the emulator is still there")
