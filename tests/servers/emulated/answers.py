"""Errors in the words of each interface, and the answers that a fault gives in its place."""

from __future__ import annotations

import json
import uuid
from typing import Any

from werkzeug.wrappers import Response

from .faults import Fault

GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
NAMES = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}
DOCUMENTS = "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
NO_CREDENTIALS = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
    f"more details at {DOCUMENTS}"
)


class Refusal(Exception):
    """An answer that ends the request, whatever it has done so far is undone."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def as_json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json;charset=utf-8")


# -- HubSpot's interface ---------------------------------------------------------------------------


def hubspot_error(status: int, category: str, message: str, **more: Any) -> Response:
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), **more}
    return as_json({**body, "category": category}, status)


def rate_limited(policy: str, retry_after: float | None = None) -> Response:
    """The answer to one request too many, by policy TEN_SECONDLY_ROLLING or DAILY."""
    body = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "groupName": "publicapi:private-app-api-calls",
    }
    return as_json(body, 429, _retry_after(retry_after))


def hubspot_status(fault: Fault) -> Response:
    """The answer of a fault of kind ``status``, with HubSpot's bodies."""
    status = fault["status"]
    if status == 429:
        return rate_limited(fault.get("policy", "TEN_SECONDLY_ROLLING"), fault.get("retry_after"))
    categories = {401: "INVALID_AUTHENTICATION", 403: "MISSING_SCOPES", 409: "CONFLICT"}
    messages = {
        401: NO_CREDENTIALS,
        403: "This app hasn't been granted all required scopes to make this call.",
    }
    if status in (502, 504):
        response = Response(GATEWAY.format(f"{status} {NAMES[status]}"), status, content_type="text/html")
    else:
        response = hubspot_error(
            status,
            fault.get("code", categories.get(status, "INTERNAL_ERROR")),
            fault.get("message", messages.get(status, "internal error")),
        )
    response.headers.extend(_retry_after(fault.get("retry_after")))
    return response


# -- Salesforce's interface ------------------------------------------------------------------------


def salesforce_error(status: int, code: str, message: str, fields: list[str] | None = None) -> Response:
    more = {} if fields is None else {"fields": fields}
    return as_json([{"message": message, "errorCode": code, **more}], status)


SALESFORCE = {
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    429: ("REQUEST_LIMIT_EXCEEDED", "Too many requests."),
    500: (
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support",
    ),
    503: ("SERVER_UNAVAILABLE", "The server is temporarily unavailable to respond to your request."),
}


def salesforce_status(fault: Fault) -> Response:
    """The answer of a fault of kind ``status``, with Salesforce's bodies."""
    status = fault["status"]
    if status in (502, 504):
        response = Response(GATEWAY.format(f"{status} {NAMES[status]}"), status, content_type="text/html")
    else:
        code, message = SALESFORCE.get(status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred."))
        response = salesforce_error(status, fault.get("code", code), fault.get("message", message))
    response.headers.extend(_retry_after(fault.get("retry_after")))
    return response


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}
