"""Contacts of HubSpot's interface: how they are found, shown, checked, made and merged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from .answers import Refusal, hubspot_error
from .context import met, number, store
from .hubspot_properties import OBJECT, READ_ONLY, definitions, parsed, stamp

ALWAYS = ("createdate", "hs_object_id", "lastmodifieddate")
DEFAULT = (*ALWAYS, "email", "firstname", "lastname")
Record = dict[str, Any]


def survivor(identifier: str) -> Record | None:
    """Return the record that this id leads to: its own, or the one that it was merged into."""
    found = store().find(OBJECT, identifier)
    while found and found["merged_into"]:
        found = store().find(OBJECT, found["merged_into"])
    return None if found is None or found["deleted"] else found


def shown(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Return a record as the interface shows it. A property that does not exist is left out, silently."""
    known = definitions()
    values = {
        **record["data"],
        "hs_object_id": record["id"],
        "createdate": stamp(record["created"]),
        "lastmodifieddate": stamp(record["changed"]),
    }
    names = dict.fromkeys([*names, *ALWAYS])
    return {
        "id": record["id"],
        # A value that was cleared reads as null or as "": both are seen.
        "properties": {name: values.get(name) for name in names if name in known},
        "createdAt": stamp(record["created"]),
        "updatedAt": stamp(record["changed"]),
        "archived": record["deleted"],
    }


def checked(identifier: str, given: Mapping[str, Any]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the values to keep, and what is wrong with those that are refused."""
    known, refused, values, wrong = definitions(), met().refused(), {}, []
    for name, value in given.items():
        try:
            if name in refused:
                raise ValueError("INVALID_OPTION", refused[name].get("message", f"{value} is not allowed."))
            if name not in known:
                raise ValueError("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
            if name in READ_ONLY:
                raise ValueError(
                    "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'
                )
            if value is not None and name not in met().dropped():
                values[name] = parsed(known[name], value)
        except ValueError as error:
            code, text = error.args
            wrong.append({"error": code, "message": text, "name": name})
    fault = met().poison(identifier)
    if fault and fault.get("how", "row") != "conflict":
        text = fault.get("message", "This record refuses to be written.")
        wrong.append({"error": "INVALID_RECORD", "message": text, "name": next(iter(given), "")})
    return values, wrong


def invalid(wrong: list[dict[str, str]]) -> tuple[str, list[dict[str, Any]]]:
    """Return message and errors of the answer to values that are refused."""
    details = [
        {"isValid": False, **one, "localizedErrorMessage": one["message"], "portalId": 1} for one in wrong
    ]
    errors = [
        {"message": one["message"], "code": one["error"], "context": {"propertyName": [one["name"]]}}
        for one in wrong
    ]
    return f"Property values were not valid: {json.dumps(details, separators=(',', ':'))}", errors


def refuse_conflict(record: Record | None, values: Mapping[str, str], identifier: str) -> None:
    """Answer 409 for all of the batch if this record would get another's address."""
    fault = met().poison(identifier)
    if fault and fault.get("how") == "conflict":
        raise Refusal(hubspot_error(409, "CONFLICT", f"Contact already exists. Existing ID: {identifier}"))
    if not values.get("email"):
        return
    for other in store().all(OBJECT):
        if other["data"].get("email") == values["email"] and (record is None or other["id"] != record["id"]):
            text = f"Contact already exists. Existing ID: {other['id']}"
            raise Refusal(hubspot_error(409, "CONFLICT", text))


def create(given: Mapping[str, Any]) -> Record:
    values, wrong = checked("", given)
    if wrong:
        message, details = invalid(wrong)
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", message, errors=details))
    refuse_conflict(None, values, "")
    identifier = new_id()
    store().insert(OBJECT, identifier, values, number())
    return store().find(OBJECT, identifier) or {}


def new_id() -> str:
    place = store().next_place()
    while store().find(OBJECT, str(500 + place)):
        place += 1
    return str(500 + place)


def merged(first: Record, second: Record, new: bool, by: int) -> Record:
    """Merge `second` into `first`, or both into a new record; return the one that remains."""
    ids = [one for row in (first, second) for one in _merged_ids(row)]
    data = {**second["data"], **{name: value for name, value in first["data"].items() if value}}
    if new:
        target, losers = new_id(), [first["id"], second["id"]]
        store().insert(OBJECT, target, data, None)
    else:
        target, losers = first["id"], [second["id"]]
    ids = list(dict.fromkeys([*ids, *losers]))
    data["hs_merged_object_ids"] = ";".join(ids)
    now = time.time()
    store().run(
        "update records set data = ?, changed = ? where object = ? and id = ?",
        (json.dumps(data), now, OBJECT, target),
    )
    for loser in losers:
        store().retire(OBJECT, loser, by, into=target, how="merge")
    return store().find(OBJECT, target) or {}


def _merged_ids(record: Record) -> list[str]:
    return [one for one in (record["data"].get("hs_merged_object_ids") or "").split(";") if one]
