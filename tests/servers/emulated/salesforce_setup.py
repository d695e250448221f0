"""Salesforce's interface: signing in, objects and fields, which values they take, and making fields."""

from __future__ import annotations

import base64
import functools
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response

from .answers import Refusal, as_json, salesforce_error
from .context import met, number, once, store

routes = Blueprint("salesforce_setup", __name__)

CONSUMER_KEY, CONSUMER_SECRET = "emulated-consumer-key", "emulated-consumer-secret"
USERNAME, PASSWORD = "integration@example.com", "emulated-password"
ORGANISATION, USER, PERMISSION_SET = "00D5e000000EmulEAA", "0055e000000EmulAAA", "0PS5e000000EmulGAA"
PREFIXES = {"Lead": "00Q", "Contact": "003"}
VERSION = "<version>"
BASE = f"/services/data/v{VERSION}"


def _field(kind: str, length: int = 0, updateable: bool = True, **more: Any) -> dict[str, Any]:
    return {"type": kind, "length": length, "updateable": updateable, **more}


SYSTEM = {
    "Id": _field("id", 18, False), "IsDeleted": _field("boolean", 0, False),
    "MasterRecordId": _field("reference", 18, False), "LastName": _field("string", 80),
    "FirstName": _field("string", 40), "Email": _field("email", 80), "OwnerId": _field("reference", 18),
    "CreatedDate": _field("datetime", 0, False), "LastModifiedDate": _field("datetime", 0, False),
    "SystemModstamp": _field("datetime", 0, False),
}  # fmt: skip
STANDARD = {
    "Lead": SYSTEM | {
        "Company": _field("string", 255), "Status": _field("picklist", 255), "Title": _field("string", 128),
        "IsConverted": _field("boolean", 0, False), "ConvertedDate": _field("date", 0, False),
        "ConvertedAccountId": _field("reference", 18, False),
        "ConvertedContactId": _field("reference", 18, False),
        "ConvertedOpportunityId": _field("reference", 18, False),
    },
    "Contact": SYSTEM | {"AccountId": _field("reference", 18), "Title": _field("string", 128)},
}  # fmt: skip
# Types of new fields, what each must say of itself, and the type that it then is.
CUSTOM = {
    "Text": (("length",), "string"), "Number": (("precision", "scale"), "double"),
    "Checkbox": (("defaultValue",), "boolean"), "DateTime": ((), "datetime"), "Date": ((), "date"),
    "LongTextArea": (("length", "visibleLines"), "textarea"), "TextArea": ((), "textarea"),
    "Picklist": (("valueSet",), "picklist"), "Percent": (("precision", "scale"), "percent"),
}  # fmt: skip


# -- ids -------------------------------------------------------------------------------------------


def long_id(identifier: str) -> str:
    """Return an id with 18 characters: the last three say which of the others are capitals."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    parts = [identifier[start : start + 5] for start in (0, 5, 10)]
    return identifier[:15] + "".join(
        letters[sum(1 << place for place, letter in enumerate(part) if "A" <= letter <= "Z")]
        for part in parts
    )


def new_id(prefix: str, place: int) -> str:
    digits, text = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", ""
    while place:
        place, digit = divmod(place, 62)
        text = digits[digit] + text
    return long_id(f"{prefix}5e{text:0>10}")


# -- signing in ------------------------------------------------------------------------------------


@routes.post("/services/oauth2/token")
def token() -> Response:
    given = dict(request.form)
    basic = request.headers.get("Authorization", "")
    if basic.startswith("Basic "):
        pair = base64.b64decode(basic.removeprefix("Basic ")).decode().split(":", 1)
        given |= dict(zip(("client_id", "client_secret"), pair, strict=True))
    if given.get("grant_type") not in ("client_credentials", "password"):
        return _no_token("unsupported_grant_type", "grant type not supported")
    if given.get("client_id") != CONSUMER_KEY:
        return _no_token("invalid_client_id", "client identifier invalid")
    if given.get("client_secret") != CONSUMER_SECRET:
        return _no_token("invalid_client", "invalid client credentials")
    signed = (given.get("username"), given.get("password")) == (USERNAME, PASSWORD)
    if (given["grant_type"] == "password" and not signed) or store().setting("sf_user_inactive", False):
        return _no_token("invalid_grant", "authentication failure")
    made = f"{ORGANISATION[:15]}!{secrets.token_urlsafe(48)}"
    until = time.time() + store().setting("sf_session_seconds", 7200)
    store().run("insert into tokens values (?, 'salesforce', ?, 0)", (made, until))
    answer = {
        "access_token": made,
        "signature": "emulated",
        "scope": "api",
        "instance_url": store().setting("sf_instance_url", request.host_url.rstrip("/")),
        "id": f"{request.host_url}id/{ORGANISATION}/{USER}",
        "token_type": "Bearer",
        "issued_at": str(int(time.time() * 1000)),
    }
    return as_json(answer, 200)


def _no_token(error: str, text: str) -> Response:
    return as_json({"error": error, "error_description": text}, 400)


def session(endpoint: Callable[..., Response]) -> Callable[..., Response]:
    """Let an endpoint answer only to a valid session of an organisation that may use the interface."""

    @functools.wraps(endpoint)
    def guarded(*args: Any, **more: Any) -> Response:
        try:
            _signed_in()
            _within_the_day()
            inside = met().first("error_inside")
            if inside:
                code = inside.get("code", "UNKNOWN_EXCEPTION")
                return salesforce_error(200, code, inside.get("message", "An unexpected error occurred."))
            with store().transaction():
                response = endpoint(*args, **more)
        except Refusal as refusal:
            response = refusal.response
        used = store().rows("select count(*) as n from requests where counted = 1")[0]["n"]
        response.headers["Sforce-Limit-Info"] = (
            f"api-usage={used}/{store().setting('sf_daily_limit', 100_000)}"
        )
        return response

    return guarded


def _signed_in() -> None:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    found = store().rows(
        "select 1 from tokens where token = ? and vendor = 'salesforce' and revoked = 0 and expires > ?",
        (given, time.time()),
    )
    if not found:
        status = store().setting("bad_token_status", 401)
        raise Refusal(salesforce_error(status, "INVALID_SESSION_ID", "Session expired or invalid"))
    if not store().setting("sf_api_enabled", True):
        text = "API is not enabled for this Organization or Partner"
        raise Refusal(salesforce_error(403, "API_DISABLED_FOR_ORG", text))


def _within_the_day() -> None:
    used = store().rows("select count(*) as n from requests where counted = 1")[0]["n"]
    if used >= store().setting("sf_daily_limit", 100_000):
        raise Refusal(salesforce_error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    store().leave(number(), counted=1)


# -- objects and fields ----------------------------------------------------------------------------


def fields_of(kind: str, hidden: bool = False) -> dict[str, dict[str, Any]]:
    """Return the fields of an object that this user sees, by name. Answers 404 if there is none such."""
    if kind not in STANDARD:
        raise Refusal(salesforce_error(404, "NOT_FOUND", "The requested resource does not exist"))
    return once(f"fields of {kind} {hidden}", lambda: _fields_of(kind, hidden))


def _fields_of(kind: str, hidden: bool) -> dict[str, dict[str, Any]]:
    added = {
        name: field for name, field in store().fields(kind).items() if hidden or field.get("visible", True)
    }
    return {
        name: {"name": name, "label": name, "custom": name.endswith("__c"), "nillable": True, **field}
        for name, field in (STANDARD[kind] | added).items()
    }


def canonical(kind: str, name: str) -> str | None:
    """Return the name of a field as it is spelt; case does not matter when one asks."""
    spelt = once(f"names of {kind}", lambda: {one.lower(): one for one in fields_of(kind)})
    return spelt.get(name.lower())


def may_update(kind: str) -> bool:
    return kind not in once("read only", lambda: store().setting("sf_read_only", []))


@routes.get("/services/data/")
def versions() -> Response:
    return as_json([{"label": "Emulated", "url": "/services/data/v62.0", "version": "62.0"}], 200)


@routes.get(f"{BASE}/limits")
@session
def limits(version: str) -> Response:
    most = store().setting("sf_daily_limit", 100_000)
    used = store().rows("select count(*) as n from requests where counted = 1")[0]["n"]
    return as_json({"DailyApiRequests": {"Max": most, "Remaining": max(most - used, 0)}}, 200)


@routes.get(f"{BASE}/sobjects/<kind>/describe")
@session
def describe(version: str, kind: str) -> Response:
    writable = may_update(kind)
    fields = [{**field, "updateable": field["updateable"] and writable} for field in fields_of(kind).values()]
    answer = {"name": kind, "label": kind, "keyPrefix": PREFIXES[kind], "custom": False}
    return as_json({**answer, "queryable": True, "updateable": writable, "fields": fields}, 200)


@routes.post(f"{BASE}/tooling/sobjects/CustomField")
@session
def create_field(version: str) -> Response:
    given = request.get_json(force=True, silent=True) or {}
    kind, _, name = str(given.get("FullName", "")).partition(".")
    made = defined(given.get("Metadata") or {}, name)
    if name in fields_of(kind, hidden=True):
        text = f"There is already a field named {name.removesuffix('__c')} on {kind}."
        return salesforce_error(400, "DUPLICATE_DEVELOPER_NAME", text, ["DeveloperName"])
    # Nobody sees a field that was made by a program before somebody is given permission to.
    made["visible"] = store().setting("sf_new_fields_visible", False)
    store().add_field(kind, name, made)
    store().note("field", kind, "", name, None, made["type"], number())
    identifier = new_id("00N", len(store().fields(kind)))
    return as_json({"id": identifier, "success": True, "errors": [], "warnings": [], "infos": []}, 201)


def defined(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a new field as describe shows it. Answers 400 if it says too little of itself."""
    kind = metadata.get("type")
    if kind not in CUSTOM or not name.endswith("__c"):
        text = f"Custom fields have a type and a name with __c: {kind!r}, {name!r}"
        raise Refusal(salesforce_error(400, "FIELD_INTEGRITY_EXCEPTION", text, ["FullName"]))
    needed, shown = CUSTOM[kind]
    for one in ("label", *needed):
        if metadata.get(one) is None:
            text = f"Must specify '{one}' for a CustomField of type {kind}"
            raise Refusal(salesforce_error(400, "FIELD_INTEGRITY_EXCEPTION", text, [one]))
    choice = metadata.get("valueSet") or {}
    values = choice.get("valueSetDefinition", {}).get("value", [])
    if kind == "Number" and metadata["scale"] == 0:
        shown = "double"  # there are no integers among custom fields
    return {
        "type": shown, "length": metadata.get("length", 255 if shown == "textarea" else 0),
        "precision": metadata.get("precision", 0), "scale": metadata.get("scale", 0), "updateable": True,
        "label": metadata["label"], "restrictedPicklist": bool(choice.get("restricted")),
        "picklistValues": [{"value": one["fullName"], "label": one["label"]} for one in values],
    }  # fmt: skip


@routes.post(f"{BASE}/sobjects/FieldPermissions")
@session
def permit(version: str) -> Response:
    given = request.get_json(force=True, silent=True) or {}
    kind, _, name = str(given.get("Field", "")).partition(".")
    field = store().fields(kind).get(name)
    if field is None or given.get("ParentId") not in (PERMISSION_SET, PERMISSION_SET[:15]):
        text = "bad value for restricted picklist field: " + str(given.get("Field"))
        return salesforce_error(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text, ["Field"])
    store().add_field(kind, name, {**field, "visible": bool(given.get("PermissionsRead"))})
    return as_json({"id": new_id("01k", len(name)), "success": True, "errors": []}, 201)


# -- values ----------------------------------------------------------------------------------------


def kept(name: str, field: Mapping[str, Any], value: Any) -> Any:
    """Return a value as it is kept.

    Raises
    ------
    ValueError
        With code and text, if this record is refused for it.
    TypeError
        If it cannot be read at all: then the whole call is refused.
    """
    kind = field["type"]
    if value is None or (value == "" and kind not in ("double", "int", "percent", "boolean")):
        return False if kind == "boolean" else None
    if kind in ("double", "int", "percent"):
        return _decimal(name, field, value)
    if kind == "boolean":
        if str(value).lower() not in ("true", "false", "0", "1"):
            raise TypeError("boolean")
        return str(value).lower() in ("true", "1")
    if kind == "datetime":
        return _instant(str(value))
    text = str(value)
    if field["length"] and len(text) > field["length"]:
        label = field.get("label", name)
        raise ValueError(
            "STRING_TOO_LONG", f"{label}: data value too large: {text} (max length={field['length']})"
        )
    values = [one["value"] for one in field.get("picklistValues", [])]
    if kind == "picklist" and field.get("restrictedPicklist") and text not in values:
        text = f"{name}: bad value for restricted picklist field: {text}"
        raise ValueError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text)
    return text


def _decimal(name: str, field: Mapping[str, Any], value: Any) -> float:
    try:
        found = float(value)
    except ValueError:
        raise TypeError("double") from None
    precision, scale = field.get("precision") or 18, field.get("scale") or 0
    if abs(found) >= 10.0 ** (precision - scale):
        raise ValueError(
            "NUMBER_OUTSIDE_VALID_RANGE", f"{name}: value outside of valid range on numeric field"
        )
    # What has more decimals than the field is rounded, silently.
    return round(found, scale) if field.get("precision") else found


def _instant(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise TypeError("datetime") from None
    if when.tzinfo is None:
        raise TypeError("datetime")
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
