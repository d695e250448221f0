"""What tests tell the emulator, and ask it: state, audit, requests, faults. No part of any real interface."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from . import faults, hubspot_properties, hubspot_records, salesforce_setup
from .answers import as_json
from .context import store
from .store import Store

routes = Blueprint("control", __name__, url_prefix="/control")
BY_NOBODY = 0  # the number of no request: what a test did to the records, as a person there might


def given() -> Any:
    return request.get_json(force=True)


def done(**more: Any) -> Response:
    return as_json({"done": True, **more}, 200)


@routes.post("/reset")
def reset() -> Response:
    store().reset()
    return done()


@routes.post("/settings")
def settings() -> Response:
    for name, value in given().items():
        store().set(name, value)
    return done()


@routes.post("/seed")
def seed() -> Response:
    kind, key = given()["object"], "id" if given()["object"] == "contacts" else "Id"
    ids = []
    with store().transaction():
        for record in given()["records"]:
            values = {name: value for name, value in record.items() if name != key}
            identifier = str(record.get(key) or _new_id(kind))
            if kind != "contacts":
                identifier = salesforce_setup.long_id(identifier)
            store().insert(kind, identifier, values, None)
            ids.append(identifier)
    return done(ids=ids)


def _new_id(kind: str) -> str:
    if kind == "contacts":
        return hubspot_records.new_id()
    return salesforce_setup.new_id(salesforce_setup.PREFIXES[kind], store().next_place())


@routes.post("/faults")
def add_faults() -> Response:
    try:
        with store().transaction():
            for fault in given() if isinstance(given(), list) else [given()]:
                faults.add(store(), fault)
    except (ValueError, KeyError) as error:
        return as_json({"error": str(error)}, 400)
    return done()


@routes.delete("/faults")
def no_faults() -> Response:
    store().run("delete from faults")
    return done()


@routes.get("/audit")
def audit() -> Response:
    return as_json(store().audit(request.args.get("effective", "1") == "1"), 200)


@routes.get("/requests")
def requests() -> Response:
    return as_json([dict(row) for row in store().rows("select * from requests order by number")], 200)


@routes.get("/records/<kind>")
def records(kind: str) -> Response:
    return as_json(store().all(kind, deleted=request.args.get("deleted") == "1"), 200)


@routes.get("/records/<kind>/<identifier>")
def record(kind: str, identifier: str) -> Response:
    key = identifier if kind == "contacts" else salesforce_setup.long_id(identifier)
    return as_json(store().find(kind, key), 200)


@routes.get("/jobs")
def jobs() -> Response:
    found = store().rows("select definition from jobs order by place")
    return as_json([json.loads(row["definition"]) for row in found], 200)


@routes.post("/merge")
def merge() -> Response:
    kind, winner, loser = given()["object"], given()["winner"], given()["loser"]
    with store().transaction():
        if kind == "contacts":
            first, second = store().find(kind, winner), store().find(kind, loser)
            assert first, "there is no such winner"
            assert second, "there is no such loser"
            remaining = hubspot_records.merged(first, second, given().get("new", True), BY_NOBODY)["id"]
        else:
            remaining = salesforce_setup.long_id(winner)
            store().retire(kind, salesforce_setup.long_id(loser), BY_NOBODY, into=remaining, how="merge")
    return done(id=remaining)


@routes.post("/delete")
def delete() -> Response:
    kind, identifier = given()["object"], given()["id"]
    if kind != "contacts":
        identifier = salesforce_setup.long_id(identifier)
    with store().transaction():
        store().retire(kind, identifier, BY_NOBODY)
    return done()


@routes.post("/convert")
def convert() -> Response:
    """Convert a lead into a contact, which has none of the lead's own values unless it has such fields."""
    lead = store().find("Lead", salesforce_setup.long_id(given()["id"]))
    assert lead, "there is no such lead"
    with store().transaction():
        contact = _new_id("Contact")
        known = salesforce_setup.fields_of("Contact")
        shared = {name: value for name, value in lead["data"].items() if name in known}
        store().insert("Contact", contact, shared, None)
        changes = {
            "IsConverted": True, "ConvertedContactId": contact, "Status": "Closed - Converted",
            "ConvertedAccountId": salesforce_setup.new_id("001", store().next_place()),
        }  # fmt: skip
        store().update("Lead", lead["id"], changes, BY_NOBODY)
    return done(id=contact)


@routes.post("/fields")
def add_field() -> Response:
    kind, name, more = given()["object"], given()["name"], given().get("more", {})
    if kind == "contacts":
        definition = hubspot_properties.define(name, given()["type"], **more)
    else:
        plain = {"length": 255 if given()["type"] in ("string", "picklist") else 0, "updateable": True}
        definition = {"type": given()["type"], "precision": 0, "scale": 0, **plain, **more}
    store().add_field(kind, name, definition)
    return done()


@routes.post("/fields/remove")
def remove_field() -> Response:
    store().remove_field(given()["object"], given()["name"])
    return done()


@routes.post("/tokens/add")
def add_token() -> Response:
    """Make a session without signing in."""
    store().run(
        "insert or replace into tokens values (?, ?, ?, 0)",
        (given()["token"], given()["vendor"], given().get("expires", 4e9)),
    )
    return done()


@routes.post("/revoke")
def revoke_now() -> Response:
    revoke(store(), bool(given().get("for_good")))
    return done()


def revoke(store: Store, for_good: bool) -> None:
    """Revoke all tokens, and `for_good` also what they are renewed with."""
    private = hubspot_properties.PRIVATE_TOKEN
    with store.transaction():
        store.run("insert or ignore into tokens values (?, 'hubspot', 4e9, 0)", (private,))
        store.run("update tokens set revoked = 1")
        if for_good:
            store.set("hubspot_refresh_revoked", True)
            store.set("sf_user_inactive", True)
