"""Salesforce's Bulk API 2.0: a batch as one job, or one for leads and one for contacts.

A job's id is in the ledger before anything is uploaded. So whoever comes after a crash takes the same job
up where it stands. What a job says of itself is not believed: a row counts as written only if the job
lists it among its successes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.destinations.answers import tidy
from pipeline.destinations.base import Job, Problem, Refused, Retriable, Value
from pipeline.destinations.http import Api
from pipeline.destinations.salesforce_answers import Outcome, codes, lacks_field
from pipeline.destinations.salesforce_fields import cell, long_id, object_of
from pipeline.destinations.salesforce_records import OWNER_STAYS

# Rows in one job: as many as Salesforce works through at a time.
ROWS = 10_000
_ENDED = ("JobComplete", "Failed", "Aborted")
# Seconds between two looks at a job: they double from the first to the last.
_FIRST, _LAST = 1.0, 30.0


class Bulk:
    """Carries out one batch.

    Parameters
    ----------
    base
        Where the API of a version is, as ``/services/data/v62.0``.
    job
        Where the ids of the jobs are kept; with an id, these are continued.
    wait
        Seconds that a job is waited for.
    """

    def __init__(self, api: Api, base: str, job: Job, wait: float, sleep: Callable[[float], None]) -> None:
        self.api, self.jobs, self.job = api, f"{base}/jobs/ingest", job
        self.wait, self.sleep = wait, sleep
        self.parts: dict[str, str] = json.loads(job.id or "{}")  # the id of the job, by object

    def carry_out(self, rows: Mapping[str, Mapping[str, Value]]) -> dict[str, Outcome]:
        """Write values by id; return what became of each row, without those that no job lists.

        Raises
        ------
        Problem
            `Retriable` if a job is not at its end in time: called again, it is waited for again. `Refused`
            or `Fatal` if a job could not begin.
        """
        uploads = {kind: _upload_of(kind, rows) for kind in dict.fromkeys(map(object_of, rows))}
        begun = [kind for kind, upload in uploads.items() if self._begin(kind, upload)]
        outcomes: dict[str, Outcome] = {}
        for kind in begun:
            outcomes |= self._outcomes(kind, self._wait_for(kind))
        return outcomes

    def _begin(self, kind: str, upload: str) -> bool:
        """See to it that the job of an object is under way; return whether there is one (any more)."""
        if kind not in self.parts:
            wanted = {"object": kind, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
            made = self.api.ask_object("POST", self.jobs, json=wanted, headers=OWNER_STAYS)
            self.parts[kind] = str(made["id"])
            self._remember()
            self._upload(kind, upload)
            return True
        state = self._look(kind)["state"]
        # An open job may have its rows, with the answer lost: closing it tells, as an empty one cannot be.
        if state == "Open" and not self._close(kind):
            self._upload(kind, upload)
        return state != "NotFound"

    def _upload(self, kind: str, upload: str) -> None:
        where = f"{self.jobs}/{self.parts[kind]}"
        headers = {**OWNER_STAYS, "Content-Type": "text/csv"}
        sent = self.api.request("PUT", f"{where}/batches", content=upload.encode(), headers=headers)
        self.api.accepted(sent)
        if not self._close(kind):
            # Such a job, with no rows or with two uploads, cannot begin: nothing of it has taken effect.
            self.api.request("PATCH", where, json={"state": "Aborted"}, headers=OWNER_STAYS)
            self._forget()
            raise Retriable("Salesforce could not begin a job; another one takes its place.")

    def _close(self, kind: str) -> bool:
        """Let a job begin; return whether it does."""
        where = f"{self.jobs}/{self.parts[kind]}"
        closed = self.api.request("PATCH", where, json={"state": "UploadComplete"}, headers=OWNER_STAYS)
        found = {code for code, _ in codes(closed)}
        if found & {"INVALIDJOB", "BULK_API_ERROR"}:
            return False
        if "INVALIDJOBSTATE" not in found:  # else it was closed before
            self.api.accepted(closed)
        return True

    def _wait_for(self, kind: str) -> Mapping[str, Any]:
        """Return the job at its end."""
        pause, waited = _FIRST, 0.0
        while True:
            info = self._look(kind)
            if info["state"] in _ENDED or info["state"] == "NotFound":
                return info
            if waited >= self.wait:
                raise Retriable("Salesforce has not finished a job yet; it is taken up again.", applied=True)
            self.sleep(pause)
            waited += pause
            pause = min(2 * pause, _LAST)

    def _look(self, kind: str) -> Mapping[str, Any]:
        response = self.api.request("GET", f"{self.jobs}/{self.parts[kind]}")
        if response.status_code == 404:  # deleted, by a person or after a week
            return {"state": "NotFound"}
        found = self.api.parse(self.api.accepted(response))
        if isinstance(found, dict) and "state" in found:
            return found
        raise Retriable("Salesforce does not say how a job is.", applied=True)

    def _outcomes(self, kind: str, info: Mapping[str, Any]) -> dict[str, Outcome]:
        if info["state"] == "NotFound":
            return {}
        where = f"{self.jobs}/{self.parts[kind]}"
        failed = {one: _reason(row) for one, row in self._rows(f"{where}/failedResults").items()}
        written = dict.fromkeys(self._rows(f"{where}/successfulResults"))
        if info["state"] == "Failed" and not failed and not written:
            self._forget()
            problem = _failure(str(info.get("errorMessage") or ""))
            if problem is not None:
                raise problem
        return {**written, **failed}  # whatever is in both has failed

    def _rows(self, path: str) -> dict[str, Mapping[str, str]]:
        response = self.api.accepted(self.api.request("GET", path, headers={"Accept": "text/csv"}))
        table = csv.DictReader(io.StringIO(response.text, newline=""))
        if response.text.strip() and "sf__Id" not in (table.fieldnames or ()):
            raise self.api.strange(response)
        rows = {long_id(row.get("Id") or row.get("sf__Id") or ""): row for row in table}
        return {one: row for one, row in rows.items() if one is not None}

    def _remember(self) -> None:
        self.job.id = json.dumps(self.parts)
        self.job.remember(self.job.id)

    def _forget(self) -> None:
        """Let go of jobs that will do nothing any more, in the ledger too: the rows are read back then."""
        self.parts, self.job.id = {}, None
        self.job.remember("")


def _reason(row: Mapping[str, str]) -> tuple[str, str]:
    """Return code and message of a row that failed, from ``CODE:message:fields --``."""
    code, _, rest = (row.get("sf__Error") or "UNKNOWN").partition(":")
    return code.strip(), tidy(rest.rpartition(":")[0] or rest)


def _failure(message: str) -> Problem | None:
    """Return why a job did nothing; None if another job may do better."""
    said = tidy(message)
    if lacks_field(said):
        return lacks_field(said)
    return Refused(f"Salesforce: {said}") if said.startswith(("InvalidBatch", "ClientInputError")) else None


def _upload_of(kind: str, rows: Mapping[str, Mapping[str, Value]]) -> str:
    """Return the rows of an object as CSV, with the id in the first column."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    mine = [(one, values) for one, values in rows.items() if object_of(one) == kind]
    names = list(mine[0][1])
    writer.writerow(["Id", *names])
    writer.writerows([one, *(cell(values[name]) for name in names)] for one, values in mine)
    return out.getvalue()
