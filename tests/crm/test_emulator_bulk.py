"""The emulator's Bulk jobs: their states, what becomes of each row, and what goes wrong with them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from servers.emulator import Emulator
from simple_salesforce import Salesforce
from test_emulator_salesforce import SCORE, client, connection  # noqa: F401

JOBS = "/services/data/v59.0/jobs/ingest"
Rows = list[dict[str, str]]


@pytest.fixture
def plain(emulator: Emulator) -> Iterator[httpx.Client]:
    emulator.add_field("Lead", SCORE, "double", precision=5, scale=2)
    emulator.add_field("Lead", "Reasons__c", "string", length=255)
    headers = {"Authorization": f"Bearer {emulator.session()}"}
    with httpx.Client(base_url=f"{emulator.url}{JOBS}", headers=headers) as plain:
        yield plain


@pytest.fixture
def leads(emulator: Emulator) -> list[str]:
    return emulator.seed("Lead", [{"LastName": name} for name in ("Able", "Baker", "Cole", "Dorn")])


def _create(plain: httpx.Client, **more: str) -> str:
    answer = plain.post("", json={"object": "Lead", "operation": "update", "contentType": "CSV", **more})
    assert (answer.status_code, answer.json()["state"]) == (200, "Open")
    return answer.json()["id"]


def _upload(plain: httpx.Client, job: str, text: str) -> int:
    headers = {"Content-Type": "text/csv"}
    return plain.put(f"/{job}/batches", content=text.encode(), headers=headers).status_code


def _set(plain: httpx.Client, job: str, state: str) -> tuple[int, Any]:
    answer = plain.patch(f"/{job}", json={"state": state})
    return answer.status_code, answer.json()


def _run(plain: httpx.Client, text: str, **more: str) -> tuple[str, dict[str, Any]]:
    """Return the id of a job that is at its end, and what it says of itself."""
    job = _create(plain, **more)
    assert _upload(plain, job, text) == 201
    assert _set(plain, job, "UploadComplete")[0] == 200
    for _ in range(10):
        info = plain.get(f"/{job}").json()
        if info["state"] in ("JobComplete", "Failed"):
            return job, info
    raise AssertionError("the job does not end")


def _results(plain: httpx.Client, job: str, which: str) -> Rows:
    answer = plain.get(f"/{job}/{which}")
    assert answer.status_code == 200
    return list(csv.DictReader(answer.text.splitlines()))


def test_the_clients_own_way_of_updating(
    emulator: Emulator,
    client: Salesforce,  # noqa: F811
    leads: list[str],
) -> None:
    emulator.delete("Lead", leads[1])
    rows = [{"Id": key, SCORE: str(place)} for place, key in enumerate(leads)]
    emulator.set(bulk_polls=1)
    [job] = client.bulk2.Lead.update(records=rows, wait=0)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (4, 1)
    results = client.bulk2.Lead.get_all_ingest_records(job["job_id"])
    # The order of the results is not that of the upload.
    assert [row["sf__Id"] for row in results["successfulRecords"]] == [leads[3], leads[2], leads[0]]
    [failed] = results["failedRecords"]
    assert (failed["sf__Id"], failed["Id"]) == (leads[1], leads[1])
    assert failed["sf__Error"] == "ENTITY_IS_DELETED:entity is deleted:--"
    assert results["unprocessedRecords"] == []
    assert {row["record"]: row["new"] for row in emulator.audit(kind="update")} == {
        leads[0]: 0,
        leads[2]: 2,
        leads[3]: 3,
    }


def test_a_job_goes_through_its_states(emulator: Emulator, plain: httpx.Client, leads: list[str]) -> None:
    job = _create(plain)
    assert _set(plain, job, "UploadComplete")[1][0]["errorCode"] == "INVALIDJOB"  # nothing was uploaded
    assert plain.get(f"/{job}/successfulResults").status_code == 400
    _upload(plain, job, f"Id,{SCORE}\n{leads[0]},5\n")
    assert plain.get(f"/{job}").json()["state"] == "Open"
    assert _set(plain, job, "UploadComplete")[1]["state"] == "UploadComplete"
    assert _set(plain, job, "UploadComplete")[1][0]["errorCode"] == "INVALIDJOBSTATE"
    assert _upload(plain, job, "Id\n") == 400
    states = [plain.get(f"/{job}").json()["state"] for _ in range(4)]
    assert states == ["UploadComplete", "InProgress", "JobComplete", "JobComplete"]
    assert [row["new"] for row in emulator.audit(kind="update")] == [5]
    assert _set(plain, job, "Aborted")[0] == 400
    assert [one["id"] for one in plain.get("").json()["records"]] == [job]
    assert [one["state"] for one in emulator.jobs()] == ["JobComplete"]
    assert plain.delete(f"/{job}").status_code == 204
    assert plain.get(f"/{job}").status_code == 404


def test_a_second_upload_is_found_out_when_the_job_is_closed(
    emulator: Emulator, plain: httpx.Client, leads: list[str]
) -> None:
    job = _create(plain)
    text = f"Id,{SCORE}\n{leads[0]},5\n"
    assert [_upload(plain, job, text) for _ in range(2)] == [201, 201]
    status, [error] = _set(plain, job, "UploadComplete")
    assert (status, error["errorCode"]) == (400, "INVALIDJOB")
    assert _set(plain, job, "Aborted")[1]["state"] == "Aborted"
    assert [row["Id"] for row in _results(plain, job, "unprocessedrecords")] == [leads[0]]
    assert emulator.audit(kind="update") == []
    emulator.set(bulk_second_upload="upload")
    job = _create(plain)
    assert [_upload(plain, job, text) for _ in range(2)] == [201, 400]


def test_an_empty_cell_leaves_a_field_alone(
    emulator: Emulator, plain: httpx.Client, leads: list[str]
) -> None:
    _run(plain, f'Id,{SCORE},Reasons__c\n{leads[0]},5,"one, ""two""\nthree"\n')
    record = emulator.record("Lead", leads[0]) or {}
    assert (record[SCORE], record["Reasons__c"]) == (5, 'one, "two"\nthree')
    _run(plain, f"Id,{SCORE},Reasons__c\n{leads[0]},,#N/A\n")
    record = emulator.record("Lead", leads[0]) or {}
    assert (record[SCORE], record["Reasons__c"]) == (5, None)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("Id,Nothing__c\n{lead},5\n", {}, "InvalidBatch : Field name not found : Nothing__c"),
        ("Id,Score__c\r\n{lead},5\r\n", {}, "ClientInputError : LineEnding is invalid on user data."),
        ("Id,Score__c\n{lead},5\n", {"lineEnding": "CRLF"}, "ClientInputError : LineEnding is invalid"),
    ],
)
def test_an_upload_that_cannot_be_read_fails_the_job(
    emulator: Emulator, plain: httpx.Client, leads: list[str], text: str, more: dict[str, str], said: str
) -> None:
    job, info = _run(plain, text.format(lead=leads[0]), **more)
    assert info["state"] == "Failed"
    assert info["errorMessage"].startswith(said)
    assert len(_results(plain, job, "unprocessedrecords")) == 1
    assert emulator.audit(kind="update") == []


def test_a_job_that_fails_part_of_the_way(emulator: Emulator, plain: httpx.Client, leads: list[str]) -> None:
    emulator.set(bulk_fails_after=1)
    job, info = _run(plain, f"Id,{SCORE}\n" + "".join(f"{key},5\n" for key in leads))
    assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 1)
    assert [row["sf__Id"] for row in _results(plain, job, "successfulResults")] == leads[:1]
    left = [row["Id"] for row in _results(plain, job, "unprocessedRecords")]
    assert left == leads[:0:-1]
    assert [row["record"] for row in emulator.audit(kind="update")] == leads[:1]


def test_failures_that_are_reported_as_successes(
    emulator: Emulator, plain: httpx.Client, leads: list[str]
) -> None:
    emulator.set(bulk_false_success=True)
    emulator.fault("poison", record=leads[1])
    job, info = _run(plain, f"Id,{SCORE}\n" + "".join(f"{key},5\n" for key in leads))
    assert (info["state"], info["numberRecordsFailed"]) == ("JobComplete", 0)
    assert len(_results(plain, job, "successfulResults")) == 4
    assert _results(plain, job, "failedResults") == []
    assert (emulator.record("Lead", leads[1]) or {}).get(SCORE) is None


def test_other_delimiters_and_operations(emulator: Emulator, plain: httpx.Client, leads: list[str]) -> None:
    _run(plain, f"Id;{SCORE}\n{leads[0]};5\n", columnDelimiter="SEMICOLON")
    assert (emulator.record("Lead", leads[0]) or {})[SCORE] == 5
    for wrong in ({"operation": "insert"}, {"object": "Account"}, {"columnDelimiter": "SPACE"}):
        answer = plain.post("", json={"object": "Lead", "operation": "update", **wrong})
        assert answer.status_code == 400


def test_a_killed_emulator_still_has_the_job(
    emulator: Emulator, plain: httpx.Client, leads: list[str]
) -> None:
    job = _create(plain)
    _upload(plain, job, f"Id,{SCORE}\n" + "".join(f"{key},5\n" for key in leads))
    _set(plain, job, "UploadComplete")
    emulator.set(bulk_polls=0)
    emulator.fault("crash", when="during", path=f"{job}$")
    with pytest.raises(httpx.TransportError):
        plain.get(f"/{job}")
    emulator.wait_until_dead()
    emulator.start()
    assert emulator.audit(kind="update") == []  # half of the rows had been written, and are not
    assert plain.get(f"/{job}").json()["state"] == "JobComplete"
    assert [row["record"] for row in emulator.audit(kind="update")] == leads
