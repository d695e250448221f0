"""Salesforce's interface: leads and contacts, one at a time and in collections."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from .answers import Refusal, as_json, salesforce_error
from .context import met, number, saw, store
from .salesforce_setup import (
    BASE,
    PREFIXES,
    canonical,
    fields_of,
    kept,
    long_id,
    may_update,
    new_id,
    session,
)

routes = Blueprint("salesforce", __name__)
MOST, MOST_READ, CHUNKS, REPEATS = 200, 2000, 10, 12
LONGEST_ADDRESS = 16_384
Record = dict[str, Any]


class RowError(Exception):
    """Why one record is not written."""

    def __init__(self, code: str, text: str, fields: list[str] | None = None) -> None:
        super().__init__(text)
        self.code, self.text, self.fields = code, text, fields or []


# -- records ---------------------------------------------------------------------------------------


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def shown(kind: str, record: Record, names: Iterable[str], version: str) -> Record:
    """Return a record as the interface shows it, with the fields that are asked for."""
    kinds = fields_of(kind)
    values = {
        **{name: False for name, field in kinds.items() if field["type"] == "boolean"},
        **{name: value for name, value in record["data"].items() if value is not None},
        "Id": record["id"],
        "IsDeleted": record["deleted"],
        "MasterRecordId": record["merged_into"],
        **dict.fromkeys(("LastModifiedDate", "SystemModstamp"), at(record["changed"])),
        "CreatedDate": at(record["created"]),
    }
    url = f"/services/data/v{version}/sobjects/{kind}/{record['id']}"
    return {"attributes": {"type": kind, "url": url}, **{name: values.get(name) for name in names}}


def checked_fields(kind: str, names: Iterable[str], said: str = "on entity") -> list[str]:
    """Return the names as they are spelt. Answers 400 if there is no such field, or not for this user."""
    found = []
    for name in names:
        one = canonical(kind, name)
        if one is None:
            text = f"No such column '{name}' {said} '{kind}'"
            raise Refusal(salesforce_error(400, "INVALID_FIELD", text))
        found.append(one)
    return found


def target(kind: str, given: Any) -> Record:
    """Return the record to update. Raises RowError if there is none that may be."""
    if not given:
        raise RowError("MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
    identifier = str(given)
    if len(identifier) not in (15, 18) or not identifier.isalnum():
        raise RowError("MALFORMED_ID", f"{kind} ID: id value of incorrect type: {identifier}", ["Id"])
    record = store().find(kind, long_id(identifier))
    if record is None or not identifier.startswith(PREFIXES[kind]):
        raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if record["deleted"]:
        raise RowError("ENTITY_IS_DELETED", "entity is deleted")
    if record["data"].get("IsConverted"):
        raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    if not may_update(kind):
        code = "INSUFFICIENT_ACCESS_OR_READONLY"
        raise RowError(code, "insufficient access rights on object id")
    return record


def write(kind: str, identifier: Any, values: Mapping[str, Any]) -> str:
    """Write values to one record and return its id.

    Raises
    ------
    RowError
        If the record is not written.
    TypeError
        If a value cannot be read at all.
    """
    record = target(kind, identifier)
    fault = met().poison(record["id"])
    if fault:
        code = fault.get("code", "FIELD_CUSTOM_VALIDATION_EXCEPTION")
        raise RowError(code, fault.get("message", "This record refuses to be written."))
    fields, changes = fields_of(kind), {}
    for name, value in values.items():
        if name in met().refused():
            text = met().refused()[name].get("message", f"{name}: this value is not allowed")
            raise RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", text, [name])
        if not fields[name]["updateable"]:
            text = (
                f"Unable to create/update fields: {name}. Please check the security settings of this field "
                "and verify that it is read/write for your profile or permission set."
            )
            raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", text, [name])
        try:
            changes[name] = kept(name, fields[name], value)
        except ValueError as error:
            raise RowError(*error.args, [name]) from None
    kept_back = met().dropped()
    changes = {name: value for name, value in changes.items() if name not in kept_back}
    store().update(kind, record["id"], changes, number())
    return str(record["id"])


# -- one record ------------------------------------------------------------------------------------


@routes.get(f"{BASE}/sobjects/<kind>/<identifier>")
@session
def get(version: str, kind: str, identifier: str) -> Response:
    record = store().find(kind, long_id(identifier))
    if record is None:
        return salesforce_error(404, "NOT_FOUND", "The requested resource does not exist")
    if record["deleted"]:
        return salesforce_error(404, "ENTITY_IS_DELETED", "entity is deleted", [])
    names = request.args.get("fields")
    asked = checked_fields(kind, names.split(",")) if names else list(fields_of(kind))
    return as_json(shown(kind, record, dict.fromkeys(["Id", *asked]), version), 200)


@routes.patch(f"{BASE}/sobjects/<kind>/<identifier>")
@session
def update(version: str, kind: str, identifier: str) -> Response:
    saw(1)
    values = _known_values(kind, request.get_json(force=True))
    try:
        write(kind, identifier, values)
    except RowError as error:
        missing = error.code in ("INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED")
        return salesforce_error(404 if missing else 400, error.code, error.text, error.fields)
    except TypeError as error:
        return unreadable(error)
    return Response(status=204)


@routes.post(f"{BASE}/sobjects/<kind>/")
@session
def create(version: str, kind: str) -> Response:
    values = _known_values(kind, request.get_json(force=True))
    identifier = new_id(PREFIXES[kind], store().next_place())
    store().insert(kind, identifier, values, number())
    return as_json({"id": identifier, "success": True, "errors": []}, 201)


@routes.delete(f"{BASE}/sobjects/<kind>/<identifier>")
@session
def delete(version: str, kind: str, identifier: str) -> Response:
    record = store().find(kind, long_id(identifier))
    if record is None or record["deleted"]:
        return salesforce_error(404, "ENTITY_IS_DELETED", "entity is deleted", [])
    store().retire(kind, record["id"], number())
    return Response(status=204)


def _known_values(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by field, spelt right. Answers 400 for all of the call if a field is unknown."""
    values = {}
    for name, value in given.items():
        if name == "attributes" or name.lower() == "id":
            continue
        one = canonical(kind, name)
        if one is None:
            text = f"No such column '{name}' on sobject of type {kind}"
            raise Refusal(salesforce_error(400, "INVALID_FIELD", text))
        values[one] = value
    return values


def unreadable(error: TypeError) -> Response:
    text = f"Cannot deserialize instance of {error.args[0]} or request may be missing a required field"
    return salesforce_error(400, "JSON_PARSER_ERROR", text)


# -- collections -----------------------------------------------------------------------------------


@routes.patch(f"{BASE}/composite/sobjects")
@session
def update_collection(version: str) -> Response:
    given = request.get_json(force=True, silent=True) or {}
    rows = given.get("records")
    if not isinstance(rows, list) or not rows:
        return salesforce_error(400, "JSON_PARSER_ERROR", "records: a list of at least one is required")
    saw(len(rows))
    if len(rows) > MOST:
        text = f"record limit reached. cannot submit more than {MOST} records into this call"
        return salesforce_error(400, "EXCEEDED_ID_LIMIT", text)
    kinds = [(row.get("attributes") or {}).get("type") for row in rows]
    if any(kind not in PREFIXES for kind in kinds):
        return salesforce_error(400, "INVALID_TYPE", "Each record needs attributes with a type that exists")
    if 1 + sum(one != two for one, two in itertools.pairwise(kinds)) > CHUNKS:
        text = f"Cannot have more than {CHUNKS} chunks in a single operation. Please rearrange the data."
        return salesforce_error(400, "LIMIT_EXCEEDED", text)
    values = [_known_values(kind, row) for kind, row in zip(kinds, rows, strict=True)]
    hollow = met().first("hollow")
    if hollow:
        success = [{"id": long_id(str(_id(row))), "success": True, "errors": []} for row in rows]
        return as_json(success if hollow.get("pretend") else [], 200)
    whole = [met().poison(long_id(str(_id(row)))) for row in rows]
    if any(fault and fault.get("how") in ("batch", "conflict") for fault in whole):
        return salesforce_error(400, "INVALID_INPUT", "This call refuses to be carried out.")
    try:
        results = _written(kinds, rows, values)
    except TypeError as error:
        raise Refusal(unreadable(error)) from None
    if given.get("allOrNone") and not all(result["success"] for result in results):
        raise Refusal(as_json(_rolled_back(results), 200))
    return as_json(results, 200)


def _id(row: Mapping[str, Any]) -> Any:
    return next((value for name, value in row.items() if name.lower() == "id"), None)


def _written(kinds: list[str], rows: list[Record], values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the rows in their order; return what became of each, in the same order."""
    results: list[dict[str, Any]] = []
    seen: set[str] = set()
    repeats = 0
    for place, (kind, row, changes) in enumerate(zip(kinds, rows, values, strict=True)):
        if place * 2 >= len(rows):
            met().crash("during")
        identifier = long_id(str(_id(row) or ""))
        repeats += identifier in seen
        try:
            if identifier in seen and repeats > REPEATS:
                text = (
                    f"Maximum number of duplicate updates in one batch ({REPEATS} allowed). "
                    f"Attempt to update Id more than once in this Api call: {identifier}"
                )
                raise RowError("DUPLICATE_VALUE", text)
            results.append({"id": write(kind, _id(row), changes), "success": True, "errors": []})
        except RowError as error:
            results.append({"success": False, "errors": [row_error(error)]})
        seen.add(identifier)
    return results


def row_error(error: RowError) -> dict[str, Any]:
    return {"statusCode": error.code, "message": error.text, "fields": error.fields}


def _rolled_back(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    text = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    error = {"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": text, "fields": []}
    return [{"success": False, "errors": [error]} if one["success"] else one for one in results]


@routes.post(f"{BASE}/composite/sobjects/<kind>")
@session
def read_collection(version: str, kind: str) -> Response:
    given = request.get_json(force=True, silent=True) or {}
    return _read(version, kind, given.get("ids") or [], given.get("fields") or [])


@routes.get(f"{BASE}/composite/sobjects/<kind>")
@session
def read_collection_by_address(version: str, kind: str) -> Response:
    short_enough()
    lists = [request.args.get(name, "").split(",") for name in ("ids", "fields")]
    return _read(version, kind, lists[0], lists[1])


def short_enough() -> None:
    if len(request.full_path) > LONGEST_ADDRESS:
        raise Refusal(Response("<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", 414))


def _read(version: str, kind: str, ids: list[str], names: list[str]) -> Response:
    saw(len(ids))
    if not ids or len(ids) > MOST_READ or not names:
        text = f"record limit reached. cannot retrieve more than {MOST_READ} records in this call"
        return salesforce_error(400, "EXCEEDED_ID_LIMIT", text)
    asked = checked_fields(kind, names)
    found = [store().find(kind, long_id(str(one))) for one in ids]
    gone = [None if one is None or one["deleted"] else one for one in found]
    return as_json([one and shown(kind, one, asked, version) for one in gone], 200)
