"""HubSpot's interface: tokens, who may do what, the rate window, properties, and which values they take."""

from __future__ import annotations

import functools
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from .answers import NO_CREDENTIALS, Refusal, as_json, hubspot_error, rate_limited
from .context import changed, met, number, once, store

routes = Blueprint("hubspot_properties", __name__)
OBJECT = "contacts"

CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "emulated-client", "emulated-secret", "emulated-refresh-token"
PRIVATE_TOKEN = "pat-emulated-private-app"
SCOPES = [
    "crm.objects.contacts.read", "crm.objects.contacts.write",
    "crm.schemas.contacts.read", "crm.schemas.contacts.write",
]  # fmt: skip
STANDARD = {
    "email": "string", "firstname": "string", "lastname": "string", "company": "string",
    "jobtitle": "string", "phone": "string", "lifecyclestage": "enumeration",
    "hubspot_owner_id": "enumeration",
    "createdate": "datetime", "lastmodifieddate": "datetime", "hs_object_id": "number",
    "hs_merged_object_ids": "enumeration",
}  # fmt: skip
READ_ONLY = ("createdate", "lastmodifieddate", "hs_object_id", "hs_merged_object_ids")
TYPES = {
    "string": ("text", "textarea", "html", "phonenumber", "file", "calculation_equation"),
    "number": ("number", "calculation_equation"),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox"),
    "bool": ("booleancheckbox", "calculation_equation"),
    "date": ("date",),
    "datetime": ("date",),
}


def body() -> dict[str, Any]:
    """Return the request's JSON. Answers 400 if it is none."""
    found = request.get_json(force=True, silent=True)
    if not isinstance(found, dict):
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1"))
    return found


# -- tokens, scopes and the window -----------------------------------------------------------------


@routes.post("/oauth/v1/token")
@routes.post("/oauth/v3/token")
def token() -> Response:
    given = request.form
    if given.get("grant_type") != "refresh_token":
        return _no_token("BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type")
    if given.get("client_id") != CLIENT_ID:
        return _no_token("BAD_CLIENT_ID", "invalid_client", "missing or invalid client id")
    if given.get("client_secret") != CLIENT_SECRET:
        return _no_token("BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client secret")
    if given.get("refresh_token") != REFRESH_TOKEN or store().setting("hubspot_refresh_revoked", False):
        return _no_token("BAD_REFRESH_TOKEN", "invalid_grant", "missing or invalid refresh token")
    seconds = store().setting("hubspot_token_seconds", 1800)
    made = secrets.token_hex(24)
    store().run("insert into tokens values (?, 'hubspot', ?, 0)", (made, time.time() + seconds))
    answer = {"token_type": "bearer", "refresh_token": REFRESH_TOKEN, "access_token": made}
    return as_json({**answer, "expires_in": seconds}, 200)


def _no_token(status: str, error: str, message: str) -> Response:
    return as_json({"status": status, "message": message, "error": error, "error_description": message}, 400)


def allowed(*scopes: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Let an endpoint answer only to a valid token with one of `scopes`, inside the rate window."""

    def decorate(endpoint: Callable[..., Response]) -> Callable[..., Response]:
        @functools.wraps(endpoint)
        def guarded(*args: Any, **more: Any) -> Response:
            headers: dict[str, str] = {}
            try:
                _signed_in()
                headers = _within_the_window()
                _in_scope(scopes)
                if met().first("error_inside"):
                    response = _error_inside()
                else:
                    with store().transaction():
                        response = endpoint(*args, **more)
            except Refusal as refusal:
                response = refusal.response
            response.headers.extend(headers)
            return response

        return guarded

    return decorate


def _error_inside() -> Response:
    fault = met().first("error_inside") or {}
    return hubspot_error(200, fault.get("code", "INTERNAL_ERROR"), fault.get("message", "internal error"))


def _signed_in() -> None:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    status = store().setting("bad_token_status", 401)
    if given == PRIVATE_TOKEN:
        revoked = store().rows("select 1 from tokens where token = ? and revoked = 1", (given,))
        if not revoked:
            return
    found = store().rows("select * from tokens where token = ? and vendor = 'hubspot'", (given,))
    if not found or found[0]["revoked"]:
        raise Refusal(hubspot_error(status, "INVALID_AUTHENTICATION", NO_CREDENTIALS))
    late = time.time() - found[0]["expires"]
    if late >= 0:
        message = f"The OAuth token used to make this call expired {late:.0f} second(s) ago."
        when = {"expire time": [stamp(found[0]["expires"])]}
        raise Refusal(hubspot_error(status, "EXPIRED_AUTHENTICATION", message, context=when))


def _within_the_window() -> dict[str, str]:
    """Count this request; return the headers that say what is left. Answers 429 to one too many."""
    most = store().setting("hubspot_rate_limit", 190)
    seconds = store().setting("hubspot_rate_seconds", 10.0)
    daily = store().setting("hubspot_daily_limit", 650_000)
    counted = "select count(*) as n from requests where counted = 1"
    with store().transaction():
        used = store().rows(f"{counted} and time > ?", (time.time() - seconds,))[0]["n"]
        today = store().rows(counted)[0]["n"]
        policy = "DAILY" if today >= daily else "TEN_SECONDLY_ROLLING" if used >= most else None
        if policy is None:
            store().leave(number(), counted=1)
    headers = {
        "X-HubSpot-RateLimit-Max": str(most),
        "X-HubSpot-RateLimit-Remaining": str(max(most - used - 1, 0)),
        "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(seconds * 1000)),
    }
    if request.headers.get("Authorization") == f"Bearer {PRIVATE_TOKEN}":
        headers["X-HubSpot-RateLimit-Daily"] = str(daily)
        headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(daily - today - 1, 0))
    if policy:
        response = rate_limited(policy, store().setting("hubspot_retry_after", None))
        response.headers.extend(headers)
        raise Refusal(response)
    return headers


def _in_scope(scopes: tuple[str, ...]) -> None:
    if not set(scopes) & set(store().setting("hubspot_scopes", SCOPES)):
        message = (
            "This app hasn't been granted all required scopes to make this call. "
            "Read more about required scopes here: https://developers.hubspot.com/scopes."
        )
        needed = {"requiredGranularScopes": list(scopes)}
        errors = [{"message": "One or more of the following scopes are required.", "context": needed}]
        links = {"scopes": "https://developers.hubspot.com/scopes"}
        raise Refusal(hubspot_error(403, "MISSING_SCOPES", message, errors=errors, links=links))


# -- properties ------------------------------------------------------------------------------------


def definitions() -> dict[str, dict[str, Any]]:
    """Return the properties of contacts by name: the standard ones and those that were added."""

    def make() -> dict[str, dict[str, Any]]:
        return {name: _standard(name, kind) for name, kind in STANDARD.items()} | store().fields(OBJECT)

    return once("properties", make)


def _standard(name: str, kind: str) -> dict[str, Any]:
    return define(name, kind, groupName="contactinformation") | {
        "hubspotDefined": True,
        "modificationMetadata": {"archivable": False, "readOnlyValue": name in READ_ONLY},
    }


def define(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return the definition of a property as the interface shows it."""
    now = stamp(time.time())
    return {
        "name": name, "label": name.replace("_", " ").capitalize(), "type": kind,
        "fieldType": TYPES[kind][0], "description": "", "groupName": "contactinformation", "options": [],
        "displayOrder": -1, "calculated": False, "externalOptions": False, "archived": False,
        "hasUniqueValue": False, "hidden": False, "formField": False, "createdAt": now, "updatedAt": now,
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False},
        **more,
    }  # fmt: skip


@routes.get("/crm/v3/properties/contacts")
@allowed("crm.schemas.contacts.read", "crm.objects.contacts.read")
def properties() -> Response:
    return as_json({"results": list(definitions().values())}, 200)


@routes.get("/crm/v3/properties/contacts/<name>")
@allowed("crm.schemas.contacts.read", "crm.objects.contacts.read")
def property_(name: str) -> Response:
    found = definitions().get(name)
    if found is None:
        message = f'Property "{name}" does not exist'
        return hubspot_error(404, "OBJECT_NOT_FOUND", message, subCategory="Properties.PROPERTY_NOT_FOUND")
    return as_json(found, 200)


@routes.post("/crm/v3/properties/contacts")
@allowed("crm.schemas.contacts.write")
def create_property() -> Response:
    return as_json(_create(body()), 201)


@routes.post("/crm/v3/properties/contacts/batch/create")
@allowed("crm.schemas.contacts.write")
def create_properties() -> Response:
    made = [_create(one) for one in body().get("inputs", [])]
    now = stamp(time.time())
    return as_json({"status": "COMPLETE", "results": made, "startedAt": now, "completedAt": now}, 201)


def _create(given: Mapping[str, Any]) -> dict[str, Any]:
    made = checked_definition(given)
    store().add_field(OBJECT, made["name"], made)
    changed()
    store().note("field", OBJECT, "", made["name"], None, made["type"], number())
    return made


@routes.delete("/crm/v3/properties/contacts/<name>")
@allowed("crm.schemas.contacts.write")
def archive_property(name: str) -> Response:
    store().remove_field(OBJECT, name)
    return Response(status=204)


def checked_definition(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition of a new property. Answers 400 or 409 if there cannot be such a one."""
    missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not given.get(key)]
    if missing:
        text = f"Invalid input JSON on line 1, column 1: Cannot build PropertyCreate, missing {missing}"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text))
    name, kind = given["name"], given["type"]
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        text = f"Property name {name!r} must be lower case letters, digits and underscores, a letter first"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text))
    if given["fieldType"] not in TYPES.get(kind, ()):
        text = f"Property type {kind!r} does not go with field type {given['fieldType']!r}"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text))
    if given["groupName"] not in groups():
        text = f"Property group {given['groupName']!r} does not exist"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text))
    values = [option.get("value") for option in given.get("options", [])]
    if kind == "enumeration" and not values:
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", "Enumerations need at least one option"))
    if kind == "bool" and sorted(map(str, values)) != ["false", "true"]:
        text = "Boolean properties must have exactly two options: true and false"
        raise Refusal(hubspot_error(400, "VALIDATION_ERROR", text))
    if name in definitions():
        text = f"A property named '{name}' already exists."
        raise Refusal(hubspot_error(409, "OBJECT_ALREADY_EXISTS", text))
    return define(name, kind) | dict(given)


def groups() -> list[str]:
    return ["contactinformation", *store().setting("hubspot_groups", [])]


@routes.get("/crm/v3/properties/contacts/groups")
@allowed("crm.schemas.contacts.read", "crm.objects.contacts.read")
def all_groups() -> Response:
    shown = [{"name": name, "label": name, "displayOrder": -1, "archived": False} for name in groups()]
    return as_json({"results": shown}, 200)


@routes.post("/crm/v3/properties/contacts/groups")
@allowed("crm.schemas.contacts.write")
def create_group() -> Response:
    given = body()
    if given["name"] in groups():
        text = f"A property group named '{given['name']}' already exists."
        return hubspot_error(409, "OBJECT_ALREADY_EXISTS", text)
    store().set("hubspot_groups", [*groups()[1:], given["name"]])
    return as_json({"displayOrder": -1, "archived": False, **given}, 201)


# -- values ----------------------------------------------------------------------------------------


def stamp(seconds: float) -> str:
    """Return a time as the interface writes it: UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parsed(definition: Mapping[str, Any], value: Any) -> str:
    """Return a value as it is kept. Raises ValueError with code and text if the property does not take it."""
    text = json.dumps(value) if isinstance(value, bool | int | float) else str(value)
    kind, name = definition["type"], definition["name"]
    if text == "":
        return ""
    if kind == "number" and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text.strip()):
        raise ValueError("INVALID_NUMBER", f"{text} was not a valid number.")
    if kind == "bool" and text.lower() not in ("true", "false"):
        raise ValueError("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    options = [option["value"] for option in definition.get("options", [])]
    if kind == "enumeration" and options and text not in options:
        raise ValueError("INVALID_OPTION", f"{text} was not one of the allowed options: {options}")
    if kind in ("date", "datetime"):
        return _instant(text, kind)
    if kind == "string" and len(text) > 65_536:
        raise ValueError("INVALID_LENGTH", f"The value of {name} is longer than 65536 characters")
    return text.lower() if kind == "bool" else text


def _instant(text: str, kind: str) -> str:
    try:
        when = (
            datetime.fromtimestamp(int(text) / 1000, UTC)
            if re.fullmatch(r"-?\d+", text)
            else datetime.fromisoformat(text)
        )
    except (ValueError, OverflowError):
        raise ValueError("INVALID_DATE", f"{text} was not a valid {kind}.") from None
    if kind == "date":
        return when.date().isoformat()
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    text = when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")
