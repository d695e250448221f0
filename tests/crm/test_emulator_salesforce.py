"""The emulator answers simple-salesforce as Salesforce does, and keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from requests.adapters import HTTPAdapter
from servers.emulated.salesforce_setup import PERMISSION_SET, long_id
from servers.emulator import Emulator
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

SCORE, REASONS, BAND, READY, AT = "Score__c", "Reasons__c", "Band__c", "Ready__c", "Scored_At__c"


class _ToTheEmulator(HTTPAdapter):
    """Sends what is meant for https://*.salesforce.com to the emulator: the client knows only https."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = f"{self.url}{parts.path}?{parts.query}"
        return super().send(request, *args, **more)


@pytest.fixture
def connection(emulator: Emulator) -> Iterator[requests.Session]:
    with requests.Session() as connection:
        connection.trust_env = False
        connection.mount("https://", _ToTheEmulator(emulator.url))
        yield connection


@pytest.fixture
def client(emulator: Emulator, connection: requests.Session) -> Salesforce:
    bands = [{"value": "mql", "label": "Qualified"}, {"value": "nurture", "label": "Nurture"}]
    for kind in ("Lead", "Contact"):
        emulator.add_field(kind, SCORE, "double", precision=5, scale=2)
        emulator.add_field(kind, REASONS, "string", length=20)
        emulator.add_field(kind, BAND, "picklist", picklistValues=bands, restrictedPicklist=True)
        emulator.add_field(kind, READY, "boolean")
        emulator.add_field(kind, AT, "datetime")
    return Salesforce(session_id=emulator.session(), instance_url=emulator.url, session=connection)


@pytest.fixture
def leads(emulator: Emulator) -> list[str]:
    return emulator.seed("Lead", [{"LastName": name} for name in ("Able", "Baker", "Cole")])


def _row(identifier: str, kind: str = "Lead", **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, "Id": identifier, **values}


def _patch(client: Salesforce, *rows: dict[str, Any], all_or_none: bool = False) -> Any:
    body = {"allOrNone": all_or_none, "records": list(rows)}
    return client.restful("composite/sobjects", method="PATCH", json=body)


def _said(results: list[dict[str, Any]]) -> list[str]:
    """Return the code of each row's error, "" for a success."""
    return [row["errors"][0]["statusCode"] if row["errors"] else "" for row in results]


def _code(call: Callable[..., Any], *args: Any, kind: type[SalesforceError], **more: Any) -> str:
    """Return the code of the error that a call is refused with as a whole."""
    with pytest.raises(kind) as caught:
        call(*args, **more)
    return caught.value.content[0]["errorCode"]


# -- signing in ------------------------------------------------------------------------------------


def test_one_signs_in_with_a_secret_or_a_password(emulator: Emulator, connection: requests.Session) -> None:
    key = {"consumer_key": emulator.salesforce_key, "consumer_secret": emulator.salesforce_secret}
    user = {"username": emulator.salesforce_user, "password": emulator.salesforce_password}
    for given in (key | {"domain": "company.my"}, key | user):
        client = Salesforce(session=connection, **given)
        assert client.sf_instance == f"127.0.0.1:{emulator.port}"
        assert client.Lead.describe()["name"] == "Lead"
    for wrong, said in (
        (key | {"consumer_secret": "none", "domain": "company.my"}, "invalid_client"),
        (key | {"consumer_key": "none", "domain": "company.my"}, "invalid_client_id"),
        (key | user | {"password": "none"}, "invalid_grant"),
    ):
        with pytest.raises(SalesforceAuthenticationFailed) as caught:
            Salesforce(session=connection, **wrong)
        assert caught.value.code == said


def test_a_session_expires_and_is_revoked(emulator: Emulator, client: Salesforce) -> None:
    client.Lead.describe()
    emulator.revoke()
    assert _code(client.Lead.describe, kind=SalesforceExpiredSession) == "INVALID_SESSION_ID"
    emulator.set(sf_session_seconds=0)
    given = {"grant_type": "client_credentials", "client_id": emulator.salesforce_key}
    given["client_secret"] = emulator.salesforce_secret
    answer = httpx.post(f"{emulator.url}/services/oauth2/token", data=given).json()
    assert answer["instance_url"] == emulator.url
    client.headers["Authorization"] = f"Bearer {answer['access_token']}"
    assert _code(client.query, "SELECT Id FROM Lead", kind=SalesforceExpiredSession) == "INVALID_SESSION_ID"
    emulator.revoke(for_good=True)
    assert httpx.post(f"{emulator.url}/services/oauth2/token", data=given).status_code == 400


def test_what_the_organisation_may(emulator: Emulator, client: Salesforce, leads: list[str]) -> None:
    emulator.set(sf_read_only=["Lead"])
    assert client.Lead.describe()["updateable"] is False
    assert _said(_patch(client, _row(leads[0], Score__c=1))) == ["INSUFFICIENT_ACCESS_OR_READONLY"]
    emulator.set(sf_daily_limit=2)
    assert _code(client.Lead.describe, kind=SalesforceRefusedRequest) == "REQUEST_LIMIT_EXCEEDED"
    emulator.set(sf_daily_limit=100, sf_api_enabled=False)
    assert _code(client.Lead.describe, kind=SalesforceRefusedRequest) == "API_DISABLED_FOR_ORG"
    emulator.set(sf_api_enabled=True)
    assert client.limits()["DailyApiRequests"] == {"Max": 100, "Remaining": 97}
    assert client.api_usage["api-usage"].total == 100


# -- collections -----------------------------------------------------------------------------------


def test_what_is_written_is_read_and_audited_once(
    emulator: Emulator, client: Salesforce, leads: list[str]
) -> None:
    one, two, three = leads
    results = _patch(client, _row(one, Score__c=57), _row(two[:15], score__c=0.25))
    assert results == [{"id": key, "success": True, "errors": []} for key in (one, two)]
    asked = {"ids": [two, "00Q5e0000000zzz", one, three], "fields": ["Id", SCORE]}
    found = client.restful("composite/sobjects/Lead", method="POST", json=asked)
    assert [row and (row["Id"], row[SCORE]) for row in found] == [(two, 0.25), None, (one, 57), (three, None)]
    _patch(client, _row(one, Score__c=57.0), _row(two, Score__c=8))
    changes = [(row["record"], row["old"], row["new"]) for row in emulator.audit()]
    assert changes == [(one, None, 57), (two, None, 0.25), (two, 0.25, 8)]
    assert [row["record"] for row in emulator.ineffective()] == [one]
    assert [row["rows"] for row in emulator.requests("/composite/sobjects", "PATCH")] == [2, 2]


def test_each_row_has_its_own_answer(emulator: Emulator, client: Salesforce, leads: list[str]) -> None:
    gone, converted, long = leads
    [good] = emulator.seed("Lead", [{"LastName": "Dorn"}])
    emulator.delete("Lead", gone)
    emulator.convert(converted)
    rows = [
        _row(gone, Score__c=1),
        _row(converted, Score__c=1),
        _row("00Q5e0000000zzzAAA", Score__c=1),
        _row("not an id", Score__c=1),
        {"attributes": {"type": "Lead"}, SCORE: 1},
        _row(long, Reasons__c="more than twenty letters"),
        _row(long, Band__c="maybe"),
        _row(long, IsConverted=True),
        _row(long, Score__c=1000),
        _row(good, Score__c=1, Ready__c=True, Scored_At__c="2026-06-30T12:00:00+02:00"),
    ]
    results = _patch(client, *rows)
    assert _said(results) == [
        "ENTITY_IS_DELETED",
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "MISSING_ARGUMENT",
        "STRING_TOO_LONG",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "",
    ]
    assert results[1]["errors"][0]["message"] == "cannot reference converted lead"
    assert results[5]["errors"][0]["fields"] == [REASONS]
    assert "id" not in results[0]
    written = {row["field"]: row["new"] for row in emulator.audit()}
    assert written == {SCORE: 1, READY: True, AT: "2026-06-30T10:00:00.000+0000"}


def test_all_or_none_writes_all_or_none(emulator: Emulator, client: Salesforce, leads: list[str]) -> None:
    emulator.delete("Lead", leads[1])
    results = _patch(client, *(_row(key, Score__c=1) for key in leads), all_or_none=True)
    rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert _said(results) == [rolled_back, "ENTITY_IS_DELETED", rolled_back]
    assert emulator.audit() == []


def test_what_refuses_the_whole_call(emulator: Emulator, client: Salesforce, leads: list[str]) -> None:
    one, two, _ = leads
    whole = {"kind": SalesforceMalformedRequest}
    assert _code(_patch, client, _row(one, Score__c=1), _row(two, Scoer__c=1), **whole) == "INVALID_FIELD"
    assert (
        _code(_patch, client, _row(one, Score__c=1), _row(two, Score__c="many"), **whole)
        == "JSON_PARSER_ERROR"
    )
    assert _code(_patch, client, *[_row(one, Score__c=1)] * 201, **whole) == "EXCEEDED_ID_LIMIT"
    assert _code(_patch, client, {"Id": one, SCORE: 1}, **whole) == "INVALID_TYPE"
    [contact] = emulator.seed("Contact", [{}])
    mixed = [_row(one, Score__c=1), _row(contact, "Contact", Score__c=1)] * 6
    assert _code(_patch, client, *mixed, **whole) == "LIMIT_EXCEEDED"
    for body in ({"ids": [one], "fields": ["Scoer__c"]}, {"ids": [one] * 2001, "fields": ["Id"]}):
        with pytest.raises(SalesforceMalformedRequest):
            client.restful("composite/sobjects/Lead", method="POST", json=body)
    assert emulator.audit() == []


def test_an_id_may_be_there_twice_but_not_often(
    emulator: Emulator, client: Salesforce, leads: list[str]
) -> None:
    results = _patch(client, *(_row(leads[0], Score__c=number) for number in range(15)))
    assert _said(results) == [""] * 13 + ["DUPLICATE_VALUE"] * 2
    assert emulator.record("Lead", leads[0])["Score__c"] == 12  # type: ignore[index]


def test_null_clears(emulator: Emulator, client: Salesforce, leads: list[str]) -> None:
    _patch(client, _row(leads[0], Score__c=1, Reasons__c="one", Ready__c=True))
    _patch(client, _row(leads[0], Score__c=None, Reasons__c="", Ready__c=False))
    record = emulator.record("Lead", leads[0]) or {}
    assert (record[SCORE], record[REASONS], record[READY]) == (None, None, False)
    before = len(emulator.audit())
    _patch(client, _row(leads[1], Score__c=None, Reasons__c="", Ready__c=False))  # as it has always been
    assert len(emulator.audit()) == before
    assert client.Lead.get(leads[1])[READY] is False


# -- one record, queries, ids ----------------------------------------------------------------------


def test_one_record_at_a_time(emulator: Emulator, client: Salesforce, leads: list[str]) -> None:
    assert client.Lead.update(leads[0], {SCORE: 3}) == 204
    assert client.Lead.get(leads[0][:15])[SCORE] == 3
    made = client.Lead.create({"LastName": "New"})["id"]
    client.Lead.delete(leads[1])
    for gone in (leads[1], "00Q5e0000000zzz"):
        with pytest.raises(SalesforceResourceNotFound):
            client.Lead.get(gone)
    assert [row["kind"] for row in emulator.audit()] == ["update", "create", "delete"]
    assert list(emulator.records("Lead")) == [leads[0], leads[2], made]


def test_ids_of_eighteen_characters_say_which_are_capitals() -> None:
    # From the vendor's documentation of its ids.
    assert long_id("001D000000IRFma") == "001D000000IRFmaIAH"
    assert long_id("a0000000000000A") == "a0000000000000AAAQ"


def test_where_a_converted_or_merged_lead_went(
    emulator: Emulator, client: Salesforce, leads: list[str]
) -> None:
    one, two, three = leads
    contact = emulator.convert(one)
    emulator.merge("Lead", winner=two, loser=three)
    names = "Id, IsConverted, ConvertedContactId, IsDeleted, MasterRecordId"
    where = f"WHERE Id IN ('{one}', '{two[:15]}', '{three}')"
    found = client.query(f"SELECT {names} FROM Lead {where}")["records"]
    assert [(row["Id"], row["ConvertedContactId"]) for row in found] == [(one, contact), (two, None)]
    found = client.query(f"SELECT {names} FROM Lead {where}", include_deleted=True)["records"]
    assert [row["MasterRecordId"] for row in found] == [None, None, two]
    found = client.query("SELECT id FROM Lead WHERE IsConverted = false LIMIT 5")["records"]
    assert [row["Id"] for row in found] == [two]
    assert _said(_patch(client, _row(contact, "Contact", Score__c=1))) == [""]
    assert client.query("SELECT COUNT() FROM Lead")["totalSize"] == 2


def test_long_answers_come_in_pages(emulator: Emulator, client: Salesforce) -> None:
    ids = emulator.seed("Lead", [{"LastName": str(number)} for number in range(25)])
    emulator.set(sf_query_page=10)
    first = client.query("SELECT Id FROM Lead")
    assert (first["totalSize"], first["done"], len(first["records"])) == (25, False, 10)
    assert [row["Id"] for row in client.query_all_iter("SELECT Id FROM Lead")] == ids
    whole = {"kind": SalesforceMalformedRequest}
    assert _code(client.query, "SELECT Nothing__c FROM Lead", **whole) == "INVALID_FIELD"
    assert _code(client.query, "SELECT Id FORM Lead", **whole) == "MALFORMED_QUERY"
    assert _code(client.query, "SELECT Id FROM Account", **whole) == "INVALID_TYPE"
    assert _code(client.query_more, "01g0-5", **whole) == "INVALID_QUERY_LOCATOR"
    with pytest.raises(SalesforceError) as caught:
        client.query(f"SELECT Id FROM Lead WHERE Id IN ({', '.join([repr(ids[0])] * 800)})")
    assert caught.value.status == 414


# -- fields ----------------------------------------------------------------------------------------


def _field(name: str, **metadata: Any) -> dict[str, Any]:
    return {"FullName": name, "Metadata": {"label": "Score", **metadata}}


def test_a_field_that_a_program_made_is_seen_by_nobody_at_first(
    emulator: Emulator, client: Salesforce, leads: list[str]
) -> None:
    body = _field("Lead.Propense_Score__c", type="Number", precision=18, scale=0)
    made = client.toolingexecute("sobjects/CustomField", method="POST", json=body)
    assert made["success"] is True
    names = [field["name"] for field in client.Lead.describe()["fields"]]
    assert "Propense_Score__c" not in names
    [found] = client.query("SELECT Id FROM PermissionSet WHERE Name = 'Integration'")["records"]
    assert found["Id"] == PERMISSION_SET
    permission = {"ParentId": found["Id"], "SobjectType": "Lead", "Field": "Lead.Propense_Score__c"}
    permission |= {"PermissionsRead": True, "PermissionsEdit": True}
    client.restful("sobjects/FieldPermissions", method="POST", json=permission)
    [field] = [one for one in client.Lead.describe()["fields"] if one["name"] == "Propense_Score__c"]
    assert (field["type"], field["updateable"], field["custom"]) == ("double", True, True)
    assert _said(_patch(client, _row(leads[0], Propense_Score__c=1))) == [""]
    again = _code(
        client.toolingexecute,
        "sobjects/CustomField",
        method="POST",
        json=body,
        kind=SalesforceMalformedRequest,
    )
    assert again == "DUPLICATE_DEVELOPER_NAME"
    emulator.remove_field("Lead", "Propense_Score__c")
    with pytest.raises(SalesforceMalformedRequest):
        _patch(client, _row(leads[0], Propense_Score__c=1))


@pytest.mark.parametrize(
    "metadata",
    [
        {"type": "Number"},
        {"type": "Text"},
        {"type": "LongTextArea", "length": 4096},
        {"type": "Checkbox"},
        {},
    ],
)
def test_a_field_must_say_enough_of_itself(client: Salesforce, metadata: dict[str, Any]) -> None:
    whole = {"kind": SalesforceMalformedRequest, "method": "POST", "json": _field("Lead.New__c", **metadata)}
    assert _code(client.toolingexecute, "sobjects/CustomField", **whole) == "FIELD_INTEGRITY_EXCEPTION"
