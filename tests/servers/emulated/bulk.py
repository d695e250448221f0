"""Salesforce's Bulk API 2.0 for updates: a job, its upload, its states, and its results."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from .answers import Refusal, as_json, salesforce_error
from .context import met, number, saw, store
from .salesforce import PREFIXES, RowError, at, write
from .salesforce_setup import BASE, USER, canonical, new_id, session

routes = Blueprint("bulk", __name__)
DELIMITERS = {
    "COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`",
}  # fmt: skip
SHOWN = (
    "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode",
    "contentType", "apiVersion", "contentUrl", "lineEnding", "columnDelimiter",
)  # fmt: skip
COUNTED = (
    "jobType", "numberRecordsProcessed", "numberRecordsFailed", "retries", "totalProcessingTime",
    "apiActiveProcessingTime", "apexProcessingTime", "errorMessage",
)  # fmt: skip
CLEAR = "#N/A"
Job = dict[str, Any]


def job(identifier: str) -> Job:
    """Return a job. Answers 404 if there is none."""
    found = store().rows("select definition from jobs where id in (?, ?)", (identifier, identifier[:15]))
    if not found:
        raise Refusal(salesforce_error(404, "NOT_FOUND", "The requested resource does not exist"))
    return json.loads(found[0]["definition"])


def keep(one: Job) -> None:
    one["systemModstamp"] = at(time.time())
    store().run("update jobs set definition = ? where id = ?", (json.dumps(one), one["id"]))


def _state_error(text: str) -> Response:
    return salesforce_error(400, "INVALIDJOBSTATE", text)


@routes.post(f"{BASE}/jobs/ingest")
@session
def create(version: str) -> Response:
    given = request.get_json(force=True, silent=True) or {}
    if given.get("object") not in PREFIXES:
        return salesforce_error(400, "INVALIDENTITY", f"Entity '{given.get('object')}' is not supported")
    if given.get("operation") != "update":
        text = f"the emulator knows only updates, not {given.get('operation')!r}"
        return salesforce_error(400, "INVALIDOPERATION", text)
    delimiter, ending = given.get("columnDelimiter", "COMMA"), given.get("lineEnding", "LF")
    if delimiter not in DELIMITERS or ending not in ("LF", "CRLF"):
        return salesforce_error(400, "INVALIDJOB", "no such columnDelimiter or lineEnding")
    identifier = new_id("750", store().rows("select count(*) as n from jobs")[0]["n"] + 1)
    now = at(time.time())
    one = {
        "id": identifier, "operation": "update", "object": given["object"], "createdById": USER,
        "createdDate": now, "systemModstamp": now, "state": "Open", "concurrencyMode": "Parallel",
        "contentType": "CSV", "apiVersion": float(version),
        "contentUrl": f"services/data/v{version}/jobs/ingest/{identifier}/batches",
        "lineEnding": ending, "columnDelimiter": delimiter,
        "jobType": "V2Ingest", "numberRecordsProcessed": 0, "numberRecordsFailed": 0, "retries": 0,
        "totalProcessingTime": 0, "apiActiveProcessingTime": 0, "apexProcessingTime": 0,
        "uploads": 0, "polls": 0, "closed": None,
    }  # fmt: skip
    store().run("insert into jobs values (?, ?, ?, null, null)", (identifier, number(), json.dumps(one)))
    store().note("job", given["object"], identifier, None, None, "Open", number())
    return as_json({name: one[name] for name in SHOWN}, 200)


@routes.get(f"{BASE}/jobs/ingest")
@session
def all_jobs(version: str) -> Response:
    found = store().rows("select definition from jobs order by place")
    records = [json.loads(row["definition"]) for row in found]
    shown = [{name: one[name] for name in (*SHOWN, "jobType") if name in one} for one in records]
    return as_json({"done": True, "records": shown, "nextRecordsUrl": None}, 200)


@routes.put(f"{BASE}/jobs/ingest/<identifier>/batches")
@session
def upload(version: str, identifier: str) -> Response:
    one = job(identifier)
    if one["state"] != "Open":
        return _state_error(f"Upload to a job that is {one['state']} is not allowed")
    # A second upload is taken without a word: only closing the job then fails.
    if one["uploads"] and store().setting("bulk_second_upload", "closing") == "upload":
        return salesforce_error(400, "INVALIDJOB", _twice(identifier))
    one["uploads"] += 1
    text = request.get_data().decode("utf-8")
    saw(max(text.count("\n") - 1, 0))
    store().run("update jobs set content = ? where id = ?", (text, one["id"]))
    keep(one)
    return Response(status=201)


def _twice(identifier: str) -> str:
    return (
        f"Found multiple contents for job: <{identifier}>, please 'Close' / 'Abort' / 'Delete' the "
        "current Job then create a new Job and make sure you only do 'PUT' once on a given Job."
    )


@routes.patch(f"{BASE}/jobs/ingest/<identifier>")
@session
def close(version: str, identifier: str) -> Response:
    one = job(identifier)
    wanted = (request.get_json(force=True, silent=True) or {}).get("state")
    if wanted == "UploadComplete":
        if one["state"] != "Open":
            return _state_error("Closing already closed Job not allowed")
        if one["uploads"] != 1:
            text = (
                _twice(identifier) if one["uploads"] else f"No content was uploaded for job: <{identifier}>"
            )
            return salesforce_error(400, "INVALIDJOB", text)
        one["closed"] = time.time()
    elif wanted == "Aborted":
        if one["state"] in ("JobComplete", "Failed", "Aborted"):
            return _state_error("Aborting already completed Job not allowed")
    else:
        return salesforce_error(400, "INVALIDJOBSTATE", f"no such state: {wanted!r}")
    one["state"] = wanted
    keep(one)
    return as_json({name: one[name] for name in SHOWN if name in one}, 200)


@routes.get(f"{BASE}/jobs/ingest/<identifier>")
@session
def poll(version: str, identifier: str) -> Response:
    one = job(identifier)
    if one["state"] in ("UploadComplete", "InProgress"):
        one["polls"] += 1
        waited = time.time() - one["closed"] >= store().setting("bulk_seconds", 0.0)
        if one["polls"] > store().setting("bulk_polls", 2) and waited:
            _process(one)
        elif one["polls"] > 1:
            one["state"] = "InProgress"
        keep(one)
    return as_json({name: one[name] for name in (*SHOWN, *COUNTED) if name in one}, 200)


@routes.delete(f"{BASE}/jobs/ingest/<identifier>")
@session
def delete(version: str, identifier: str) -> Response:
    one = job(identifier)
    if one["state"] not in ("JobComplete", "Failed", "Aborted"):
        return _state_error("Only jobs that have ended can be deleted")
    store().run("delete from jobs where id = ?", (one["id"],))
    return Response(status=204)


# -- processing ------------------------------------------------------------------------------------


def _process(one: Job) -> None:
    """Carry the job out: to JobComplete, also with rows that failed, or to Failed part of the way."""
    content = store().rows("select content from jobs where id = ?", (one["id"],))[0]["content"]
    results: dict[str, Any] = {"header": [], "successful": [], "failed": [], "unprocessed": []}
    try:
        _rows(one, content, results)
        one["state"] = "JobComplete"
    except ValueError as error:
        one["state"] = "Failed"
        one["errorMessage"] = str(error)
    if store().setting("bulk_false_success", False):
        results["successful"] += [(identifier, row) for identifier, _, row in results["failed"]]
        results["failed"] = []
    one["numberRecordsProcessed"] = len(results["successful"]) + len(results["failed"])
    one["numberRecordsFailed"] = len(results["failed"])
    store().run("update jobs set results = ? where id = ?", (json.dumps(results), one["id"]))


def _rows(one: Job, content: str, results: dict[str, Any]) -> None:
    """Write the rows into the records, and what became of each into `results`. ValueError if Failed."""
    header, *rows = csv.reader(io.StringIO(content, newline=""), delimiter=_delimiter(one))
    results["header"], results["unprocessed"] = header, list(rows)
    if ("\r\n" in content) != (one["lineEnding"] == "CRLF"):
        text = f"LineEnding is invalid on user data. Current LineEnding setting is {one['lineEnding']}"
        raise ValueError(f"ClientInputError : {text}")
    names = [name if name.lower() == "id" else canonical(one["object"], name) for name in header]
    if None in names:
        raise ValueError(f"InvalidBatch : Field name not found : {header[names.index(None)]}")
    most = store().setting("bulk_fails_after", None)
    for row in rows:
        done = len(results["successful"]) + len(results["failed"])
        if most is not None and done >= most:
            raise ValueError("InternalServerError : Retried more than 10 times")
        if done * 2 >= len(rows):
            met().crash("during")
        results["unprocessed"].pop(0)
        _row(one["object"], [str(name) for name in names], row, results)


def _row(kind: str, names: list[str], row: list[str], results: dict[str, Any]) -> None:
    cells = dict(zip(names, row, strict=False))
    identifier = next((value for name, value in cells.items() if name.lower() == "id"), "")
    # An empty cell leaves the field as it is; #N/A clears it.
    values = {
        name: None if value == CLEAR else value
        for name, value in cells.items()
        if name.lower() != "id" and value != ""
    }
    try:
        results["successful"].append((write(kind, identifier, values), row))
    except RowError as error:
        text = f"{error.code}:{error.text}:{','.join(error.fields)}--"
        results["failed"].append((identifier, text, row))
    except TypeError as error:
        text = f"INVALID_TYPE_ON_FIELD_IN_RECORD:value not of required type: {error.args[0]}:--"
        results["failed"].append((identifier, text, row))


@routes.get(f"{BASE}/jobs/ingest/<identifier>/<which>")
@session
def results(version: str, identifier: str, which: str) -> Response:
    one = job(identifier)
    if one["state"] not in ("JobComplete", "Failed", "Aborted"):
        return _state_error(f"The job is {one['state']}: there are no results yet")
    row = store().rows("select content, results from jobs where id = ?", (one["id"],))[0]
    found = json.loads(row["results"] or "null") or _nothing(one, row["content"])
    lines = _lines(found, which.lower())
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", delimiter=_delimiter(one), quoting=csv.QUOTE_ALL)
    # The order of the results is not that of the upload.
    writer.writerows([lines[0], *lines[:0:-1]])
    saw(len(lines) - 1)
    headers = {"Sforce-NumberOfRecords": str(len(lines) - 1), "Sforce-Locator": "null"}
    return Response(out.getvalue(), 200, headers, content_type="text/csv")


def _delimiter(one: Job) -> str:
    return DELIMITERS[one["columnDelimiter"]]


def _nothing(one: Job, content: str | None) -> dict[str, Any]:
    """Return the results of a job that ended before it began."""
    rows = list(csv.reader(io.StringIO(content or "", newline=""), delimiter=_delimiter(one)))
    header = rows[0] if rows else ["Id"]
    return {"header": header, "successful": [], "failed": [], "unprocessed": rows[1:]}


def _lines(found: dict[str, Any], which: str) -> list[list[str]]:
    header = found["header"]
    if which == "successfulresults":
        head = ["sf__Id", "sf__Created", *header]
        return [head, *([identifier, "false", *row] for identifier, row in found["successful"])]
    if which == "failedresults":
        head = ["sf__Id", "sf__Error", *header]
        return [head, *([identifier, text, *row] for identifier, text, row in found["failed"])]
    if which == "unprocessedrecords":
        return [header, *found["unprocessed"]]
    raise Refusal(salesforce_error(404, "NOT_FOUND", "The requested resource does not exist"))
