"""HubSpot's interface: contacts, one at a time and in batches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from .answers import Refusal, as_json, hubspot_error
from .context import met, number, saw, store
from .hubspot_properties import OBJECT, allowed, body, stamp
from .hubspot_records import (
    DEFAULT,
    Record,
    checked,
    invalid,
    merged,
    refuse_conflict,
    shown,
    survivor,
)
from .hubspot_records import create as make

routes = Blueprint("hubspot", __name__)
MOST = 100
LOST = "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."


# -- reading ---------------------------------------------------------------------------------------


def inputs() -> list[dict[str, Any]]:
    """Return the inputs of a batch. Answers 400 if there are none, too many, or one id twice."""
    given = body().get("inputs")
    if not isinstance(given, list) or not given:
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", "inputs: must have at least one entry"))
    saw(len(given))
    if len(given) > MOST:
        text = f"The number of inputs is {len(given)}; the maximum batch size is {MOST}"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text))
    ids = [str(row["id"]) for row in given if "id" in row]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice and not request.path.endswith("/read"):
        text = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text, context={"ids": twice}))
    return given


def batch_answer(results: list[Any], errors: list[dict[str, Any]], status: int = 200) -> Response:
    now = stamp(time.time())
    # The order of the results is not that of the inputs.
    answer: dict[str, Any] = {"status": "COMPLETE", "results": results[::-1]}
    if errors:
        answer |= {"numErrors": len(errors), "errors": errors}
    return as_json({**answer, "startedAt": now, "completedAt": now}, 207 if errors else status)


def lost(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not rows:
        return []
    context: dict[str, Any] = {"ids": [str(row["id"]) for row in rows]}
    traces = [row["objectWriteTraceId"] for row in rows if row.get("objectWriteTraceId")]
    if traces:
        context["objectWriteTraceId"] = traces
    return [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": LOST, "context": context}]


@routes.post("/crm/v3/objects/contacts/batch/read")
@allowed("crm.objects.contacts.read")
def batch_read() -> Response:
    given = inputs()
    names = body().get("properties") or DEFAULT
    found = [(row, survivor(str(row["id"]))) for row in given]
    records = {record["id"]: record for _, record in found if record}
    return batch_answer(
        [shown(record, names) for record in records.values()],
        lost([row for row, record in found if record is None]),
    )


@routes.get("/crm/v3/objects/contacts/<identifier>")
@allowed("crm.objects.contacts.read")
def read(identifier: str) -> Response:
    record = survivor(identifier)
    if record is None:
        return _no_such(identifier)
    names = [name for name in request.args.get("properties", "").split(",") if name]
    return as_json(shown(record, names or DEFAULT), 200)


def _no_such(identifier: str) -> Response:
    text = "Object not found.  objectId are usually numeric."
    return hubspot_error(404, "OBJECT_NOT_FOUND", text, context={"id": [identifier]})


@routes.get("/crm/v3/objects/contacts")
@allowed("crm.objects.contacts.read")
def page() -> Response:
    limit, after = int(request.args.get("limit", 10)), int(request.args.get("after", 0))
    names = [name for name in request.args.get("properties", "").split(",") if name]
    records = store().all(OBJECT)
    answer: dict[str, Any] = {"results": [shown(one, names or DEFAULT) for one in records[after:][:limit]]}
    if after + limit < len(records):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return as_json(answer, 200)


# -- writing ---------------------------------------------------------------------------------------


def _by_row(given: list[dict[str, Any]]) -> bool:
    """Whether rows are refused one by one, as with a trace id of its own on each; else the batch is."""
    poisoned = [met().poison(str(row.get("id", ""))) for row in given]
    if any(fault and fault.get("how") in ("batch", "conflict") for fault in poisoned):
        return False
    traces = [row.get("objectWriteTraceId") for row in given]
    traced = all(traces) and len(set(traces)) == len(traces)
    return traced or store().setting("hubspot_refuses_rows", False) or any(poisoned)


@routes.post("/crm/v3/objects/contacts/batch/update")
@allowed("crm.objects.contacts.write")
def batch_update() -> Response:
    given = inputs()
    if met().first("hollow"):
        return _pretended(given) if (met().first("hollow") or {}).get("pretend") else batch_answer([], [])
    if any(row.get("idProperty") for row in given):
        text = f"Unable to perform update/upsert by non-unique 0-1 property {given[0].get('idProperty')}"
        return hubspot_error(400, "VALIDATION_ERROR", text)
    results, gone, errors = [], [], []
    for place, row in enumerate(given):
        record = _to_update(str(row["id"]))
        values, wrong = checked(str(row["id"]), row.get("properties") or {})
        if wrong:
            message, details = invalid(wrong)
            if not _by_row(given):
                raise Refusal(hubspot_error(400, "VALIDATION_ERROR", message, errors=details))
            errors.append(_row_error(row, message))
        elif record is None:
            gone.append(row)
        elif not record["deleted"]:
            refuse_conflict(record, values, str(row["id"]))
            if place * 2 >= len(given):
                met().crash("during")
            store().update(OBJECT, record["id"], values, number())
            results.append(shown(store().find(OBJECT, record["id"]) or record, row.get("properties") or {}))
    return batch_answer(results, lost(gone) + errors)


def _row_error(row: Mapping[str, Any], message: str) -> dict[str, Any]:
    trace = row.get("objectWriteTraceId")
    context = {"objectWriteTraceId": [trace]} if trace else {"ids": [str(row["id"])]}
    return {"status": "error", "category": "VALIDATION_ERROR", "message": message, "context": context}


def _pretended(given: list[dict[str, Any]]) -> Response:
    """Answer as if everything had been written."""
    results = []
    for row in given:
        record = survivor(str(row["id"]))
        if record:
            data = {**record["data"], **(row.get("properties") or {})}
            results.append(shown({**record, "data": data}, row.get("properties") or {}))
    return batch_answer(results, [])


def _to_update(identifier: str) -> Record | None:
    """Return the record that an update of this id is written to; deleted: to none, and nothing is said."""
    if store().setting("hubspot_merged_updates", "survivor") == "left_out":
        found = store().find(OBJECT, identifier)
        if found and found["merged_into"]:
            return found
    return survivor(identifier)


@routes.patch("/crm/v3/objects/contacts/<identifier>")
@allowed("crm.objects.contacts.write")
def update(identifier: str) -> Response:
    saw(1)
    record, given = survivor(identifier), body().get("properties") or {}
    if record is None:
        return _no_such(identifier)
    values, wrong = checked(identifier, given)
    if wrong:
        message, details = invalid(wrong)
        return hubspot_error(400, "VALIDATION_ERROR", message, errors=details)
    refuse_conflict(record, values, identifier)
    store().update(OBJECT, record["id"], values, number())
    return as_json(shown(store().find(OBJECT, record["id"]) or record, given), 200)


@routes.post("/crm/v3/objects/contacts")
@allowed("crm.objects.contacts.write")
def create() -> Response:
    given = body().get("properties") or {}
    return as_json(shown(make(given), [*DEFAULT, *given]), 201)


@routes.post("/crm/v3/objects/contacts/batch/create")
@allowed("crm.objects.contacts.write")
def batch_create() -> Response:
    made = [(make(row.get("properties") or {}), row.get("properties") or {}) for row in inputs()]
    return batch_answer([shown(record, given) for record, given in made], [], 201)


@routes.post("/crm/v3/objects/contacts/batch/upsert")
@allowed("crm.objects.contacts.write")
def batch_upsert() -> Response:
    results = []
    for row in inputs():
        name, given = row.get("idProperty", "hs_object_id"), row.get("properties") or {}
        found = [one for one in store().all(OBJECT) if one["data"].get(name) == row["id"]]
        record = survivor(str(row["id"])) if name == "hs_object_id" else found[0] if found else None
        if record is None:
            known = {} if name == "hs_object_id" else {name: row["id"]}
            results.append({**shown(make({**known, **given}), given), "new": True})
        else:
            store().update(OBJECT, record["id"], checked(str(row["id"]), given)[0], number())
            results.append({**shown(store().find(OBJECT, record["id"]) or record, given), "new": False})
    return batch_answer(results, [])


@routes.delete("/crm/v3/objects/contacts/<identifier>")
@allowed("crm.objects.contacts.write")
def archive(identifier: str) -> Response:
    record = survivor(identifier)
    if record:
        store().retire(OBJECT, record["id"], number())
    return Response(status=204)


@routes.post("/crm/v3/objects/contacts/merge")
@allowed("crm.objects.contacts.write")
def merge() -> Response:
    given = body()
    first, second = survivor(str(given["primaryObjectId"])), survivor(str(given["objectIdToMerge"]))
    if first is None or second is None:
        return _no_such(str(given["objectIdToMerge"] if first else given["primaryObjectId"]))
    if first["id"] == second["id"]:
        return hubspot_error(400, "VALIDATION_ERROR", "A contact cannot be merged with itself")
    record = merged(first, second, store().setting("hubspot_merge_makes_new", True), number())
    return as_json(shown(record, DEFAULT), 200)
