"""The emulator answers HubSpot's own client as HubSpot does, and keeps what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from hubspot import HubSpot
from hubspot.crm.contacts import ApiException
from hubspot.crm.properties import ApiException as PropertyException
from hubspot.oauth import ApiException as OAuthException
from servers.emulator import Emulator
from urllib3.util.retry import Retry

Answer = dict[str, Any]


def _client(emulator: Emulator, **more: Any) -> HubSpot:
    return HubSpot(**{"access_token": emulator.hubspot_token, "host": emulator.url} | more)


@pytest.fixture
def client(emulator: Emulator) -> HubSpot:
    emulator.add_field("contacts", "score", "number")
    emulator.add_field("contacts", "reasons", "string")
    options = [{"label": "Qualified", "value": "mql"}, {"label": "Nurture", "value": "nurture"}]
    emulator.add_field("contacts", "band", "enumeration", options=options)
    emulator.add_field("contacts", "ready", "bool")
    emulator.add_field("contacts", "scored_at", "datetime")
    return _client(emulator)


@pytest.fixture
def plain(emulator: Emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {emulator.hubspot_token}"}
    with httpx.Client(base_url=emulator.url, headers=headers) as plain:
        yield plain


def _update(client: HubSpot, *rows: tuple[str, dict[str, Any]], trace: bool = False) -> Any:
    inputs = [{"id": key, "properties": values} for key, values in rows]
    if trace:
        inputs = [{**row, "objectWriteTraceId": f"row-{place}"} for place, row in enumerate(inputs)]
    return client.crm.contacts.batch_api.update({"inputs": inputs})


def _read(client: HubSpot, *ids: str, properties: tuple[str, ...] = ("score",)) -> Any:
    inputs = [{"id": key} for key in ids]
    wanted = {"inputs": inputs, "properties": list(properties), "propertiesWithHistory": []}
    return client.crm.contacts.batch_api.read(wanted)


def _error(
    call: Callable[..., Any], *args: Any, kind: type[Exception] = ApiException, **more: Any
) -> tuple[int, Answer]:
    with pytest.raises(kind) as caught:
        call(*args, **more)
    return caught.value.status, json.loads(caught.value.body)  # type: ignore[attr-defined]


# -- batches ---------------------------------------------------------------------------------------


def test_what_is_written_is_read_and_audited_once(emulator: Emulator, client: HubSpot) -> None:
    one, two = emulator.seed("contacts", [{"email": "one@example.com"}, {"email": "two@example.com"}])
    answer = _update(client, (one, {"score": "57"}), (two, {"score": "0.25"}))
    assert answer.status == "COMPLETE"
    found = {row.id: row.properties for row in _read(client, one, two).results}
    assert {key: values["score"] for key, values in found.items()} == {one: "57", two: "0.25"}
    _update(client, (one, {"score": "57"}), (two, {"score": "8"}))
    changes = [(row["record"], row["field"], row["old"], row["new"]) for row in emulator.audit()]
    assert changes == [
        (one, "score", None, "57"),
        (two, "score", None, "0.25"),
        (two, "score", "0.25", "8"),
    ]
    assert [(row["record"], row["new"]) for row in emulator.ineffective()] == [(one, "57")]
    assert [row["rows"] for row in emulator.requests("/batch/update")] == [2, 2]


def test_results_are_not_in_the_order_of_the_inputs(emulator: Emulator, client: HubSpot) -> None:
    ids = emulator.seed("contacts", [{}, {}, {}])
    answer = _update(client, *((key, {"score": "1"}) for key in ids))
    assert [row.id for row in answer.results] == ids[::-1]


def test_a_missing_contact_does_not_hold_back_the_others(emulator: Emulator, plain: httpx.Client) -> None:
    emulator.add_field("contacts", "score", "number")
    one, two = emulator.seed("contacts", [{}, {}])
    emulator.delete("contacts", two)
    inputs = [{"id": key, "properties": {"score": "1"}} for key in (one, two, "99")]
    for what in ("update", "read"):
        answer = plain.post(f"/crm/v3/objects/contacts/batch/{what}", json={"inputs": inputs})
        assert answer.status_code == 207
        [error] = answer.json()["errors"]
        assert (error["category"], error["context"]["ids"]) == ("OBJECT_NOT_FOUND", [two, "99"])
        assert [row["id"] for row in answer.json()["results"]] == [one]
    assert emulator.records("contacts")[one] == {"score": "1"}
    assert list(emulator.records("contacts")) == [one]


def test_an_unknown_property_refuses_the_whole_batch(emulator: Emulator, client: HubSpot) -> None:
    one, two = emulator.seed("contacts", [{}, {}])
    status, error = _error(_update, client, (one, {"score": "1"}), (two, {"scoer": "2"}))
    assert (status, error["category"]) == (400, "VALIDATION_ERROR")
    assert error["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert error["message"].startswith("Property values were not valid: [{")
    assert emulator.audit() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": "many"},
        {"band": "maybe"},
        {"ready": "perhaps"},
        {"scored_at": "yesterday"},
        {"createdate": "2026-06-30T10:00:00Z"},
    ],
)
def test_a_value_of_the_wrong_type_refuses_the_batch_or_its_row(
    emulator: Emulator, client: HubSpot, wrong: dict[str, str]
) -> None:
    one, two = emulator.seed("contacts", [{}, {}])
    assert _error(_update, client, (one, {"score": "1"}), (two, wrong))[0] == 400
    assert emulator.audit() == []
    # With a trace id of its own on each row, only the row is refused, and named by its trace id alone.
    answer = _update(client, (one, {"score": "1"}), (two, wrong), trace=True)
    assert [row.id for row in answer.results] == [one]
    assert answer.errors[0].context == {"objectWriteTraceId": ["row-1"]}
    emulator.set(hubspot_refuses_rows=True)
    assert _update(client, (two, wrong)).errors[0].context == {"ids": [two]}


def test_values_are_normalised_as_they_are_there(emulator: Emulator, client: HubSpot) -> None:
    [one] = emulator.seed("contacts", [{"reasons": "old"}])
    _update(client, (one, {"scored_at": "2026-06-30T12:00:00+02:00", "ready": "true", "reasons": ""}))
    names = ("scored_at", "ready", "reasons", "score", "no_such_property")
    found = _read(client, one, properties=names).results[0].properties
    assert found["scored_at"] == "2026-06-30T10:00:00Z"
    assert (found["ready"], found["reasons"], found["score"]) == ("true", "", None)
    assert "no_such_property" not in found  # left out, without a word
    assert len(emulator.audit()) == 3
    _update(client, (one, {"reasons": "", "score": ""}))
    assert len(emulator.audit()) == 3


def test_a_batch_has_at_most_a_hundred_different_inputs(emulator: Emulator, client: HubSpot) -> None:
    ids = emulator.seed("contacts", [{} for _ in range(101)])
    assert len(_update(client, *((key, {"score": "1"}) for key in ids[:100])).results) == 100
    assert len(_read(client, *ids[:100]).results) == 100
    assert _error(_update, client, *((key, {"score": "2"}) for key in ids))[0] == 400
    assert _error(_read, client, *ids)[0] == 400
    status, error = _error(_update, client, (ids[0], {"score": "2"}), (ids[0], {"score": "3"}))
    assert status == 400
    assert error["message"] == f"Duplicate IDs found in batch input: [{ids[0]}]. IDs must be unique"
    assert emulator.record("contacts", ids[0]) == {"score": "1"}


def test_one_conflict_refuses_the_whole_batch(emulator: Emulator, client: HubSpot) -> None:
    one, two = emulator.seed("contacts", [{"email": "one@example.com"}, {"email": "two@example.com"}])
    status, error = _error(_update, client, (one, {"score": "1"}), (two, {"email": "one@example.com"}))
    assert (status, error["category"]) == (409, "CONFLICT")
    assert error["message"] == f"Contact already exists. Existing ID: {one}"
    assert emulator.audit() == []


# -- what becomes of a contact ---------------------------------------------------------------------


@pytest.mark.parametrize("new", [True, False])
def test_the_old_ids_lead_to_the_merged_contact(emulator: Emulator, client: HubSpot, new: bool) -> None:
    emulator.set(hubspot_merge_makes_new=new)
    one, two = emulator.seed("contacts", [{"email": "one@example.com"}, {"email": "two@example.com"}])
    merged = client.crm.contacts.basic_api.merge({"primaryObjectId": one, "objectIdToMerge": two})
    assert (merged.id not in (one, two)) == new
    assert merged.properties["email"] == "one@example.com"
    for old in (one, two):
        assert client.crm.contacts.basic_api.get_by_id(old).id == merged.id
    [found] = _read(client, one, two, properties=("hs_merged_object_ids",)).results
    gone = {one, two} - {merged.id}
    assert set(found.properties["hs_merged_object_ids"].split(";")) == gone
    assert [row.id for row in _update(client, (two, {"score": "1"})).results] == [merged.id]
    assert list(emulator.records("contacts")) == [merged.id]
    emulator.set(hubspot_merged_updates="left_out")
    assert _update(client, (two, {"score": "2"})).results == []
    assert emulator.record("contacts", merged.id)["score"] == "1"  # type: ignore[index]


def test_creating_and_deleting_are_seen(emulator: Emulator, client: HubSpot) -> None:
    api = client.crm.contacts.batch_api
    made = api.create({"inputs": [{"properties": {"email": "one@example.com"}, "associations": []}]}).results
    rows = [{"id": key, "idProperty": "email", "properties": {}} for key in ("one@example.com", "new@x.com")]
    assert [row.new for row in api.upsert({"inputs": rows}).results] == [True, False]
    client.crm.contacts.basic_api.archive(made[0].id)
    assert [row["kind"] for row in emulator.audit()] == ["create", "create", "delete"]
    assert _error(client.crm.contacts.basic_api.get_by_id, made[0].id)[0] == 404
    assert len(client.crm.contacts.get_all()) == 1


# -- properties ------------------------------------------------------------------------------------


def _property(**more: Any) -> dict[str, Any]:
    plain = {"name": "propense_score", "label": "Score", "type": "number", "fieldType": "number"}
    return {**plain, "groupName": "propense", **more}


def test_properties_are_created_in_a_group_once(emulator: Emulator, client: HubSpot) -> None:
    api = client.crm.properties
    error = _error(api.core_api.create, "contacts", _property(), kind=PropertyException)
    assert error[0] == 400  # there is no such group
    api.groups_api.create("contacts", {"name": "propense", "label": "propense"})
    assert api.core_api.create("contacts", _property()).name == "propense_score"
    status, answer = _error(api.core_api.create, "contacts", _property(), kind=PropertyException)
    assert (status, answer["message"]) == (409, "A property named 'propense_score' already exists.")
    names = {one.name: one.type for one in api.core_api.get_all("contacts").results}
    assert names["propense_score"] == "number"
    assert names["email"] == "string"
    [one] = emulator.seed("contacts", [{}])
    _update(client, (one, {"propense_score": "3"}))
    emulator.remove_field("contacts", "propense_score")
    assert _error(_update, client, (one, {"propense_score": "4"}))[0] == 400
    status = _error(api.core_api.get_by_name, "contacts", "propense_score", kind=PropertyException)[0]
    assert status == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Propense Score"},
        {"label": ""},
        {"fieldType": "select"},
        {"type": "enumeration", "fieldType": "select"},
        {"type": "bool", "fieldType": "booleancheckbox"},
    ],
)
def test_a_property_that_cannot_be_is_refused(plain: httpx.Client, wrong: dict[str, str]) -> None:
    body = _property(**{"groupName": "contactinformation"} | wrong)
    answer = plain.post("/crm/v3/properties/contacts", json=body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


# -- who may, and how often ------------------------------------------------------------------------


def _tokens(emulator: Emulator, **more: str) -> Any:
    given = {"client_id": emulator.hubspot_client_id, "client_secret": emulator.hubspot_client_secret}
    given |= {"grant_type": "refresh_token", "refresh_token": emulator.hubspot_refresh_token}
    return HubSpot(host=emulator.url).oauth.tokens_api.create(**given | more)


def test_a_token_lasts_as_long_as_it_says(emulator: Emulator) -> None:
    assert _tokens(emulator).expires_in == 1800
    fresh = _client(emulator, access_token=_tokens(emulator).access_token)
    fresh.crm.properties.core_api.get_all("contacts")
    emulator.set(hubspot_token_seconds=0)
    late = _client(emulator, access_token=_tokens(emulator).access_token)
    status, error = _error(late.crm.contacts.basic_api.get_page)
    assert (status, error["category"]) == (401, "EXPIRED_AUTHENTICATION")
    for wrong, said in (("client_id", "BAD_CLIENT_ID"), ("refresh_token", "BAD_REFRESH_TOKEN")):
        status, error = _error(_tokens, emulator, kind=OAuthException, **{wrong: "none"})
        assert (status, error["status"]) == (400, said)


def test_a_wrong_token_is_refused_with_401_or_as_somebody_saw_403(emulator: Emulator) -> None:
    wrong = _client(emulator, access_token="none")
    status, error = _error(wrong.crm.contacts.basic_api.get_page)
    assert (status, error["category"]) == (401, "INVALID_AUTHENTICATION")
    emulator.set(bad_token_status=403)
    assert _error(wrong.crm.contacts.basic_api.get_page)[0] == 403


def test_revoked_tokens_can_be_renewed_unless_revoked_for_good(emulator: Emulator) -> None:
    client = _client(emulator, access_token=_tokens(emulator).access_token)
    emulator.revoke()
    assert _error(client.crm.contacts.basic_api.get_page)[0] == 401
    assert _error(_client(emulator).crm.contacts.basic_api.get_page)[0] == 401
    _client(emulator, access_token=_tokens(emulator).access_token).crm.contacts.basic_api.get_page()
    emulator.revoke(for_good=True)
    assert _error(_tokens, emulator, kind=OAuthException)[0] == 400


def test_a_missing_scope_is_named(emulator: Emulator, client: HubSpot) -> None:
    [one] = emulator.seed("contacts", [{}])
    emulator.set(hubspot_scopes=["crm.objects.contacts.read"])
    assert len(_read(client, one).results) == 1
    status, error = _error(_update, client, (one, {"score": "1"}))
    assert (status, error["category"]) == (403, "MISSING_SCOPES")
    needed = error["errors"][0]["context"]["requiredGranularScopes"]
    assert needed == ["crm.objects.contacts.write"]


def test_no_more_requests_than_the_window_holds(emulator: Emulator, plain: httpx.Client) -> None:
    emulator.set(hubspot_rate_limit=3, hubspot_rate_seconds=0.5)
    path = "/crm/v3/properties/contacts"
    answers = [plain.get(path) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["X-HubSpot-RateLimit-Remaining"] for answer in answers[:3]] == ["2", "1", "0"]
    assert answers[0].headers["X-HubSpot-RateLimit-Max"] == "3"
    assert answers[0].headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "500"
    assert answers[3].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "Retry-After" not in answers[3].headers
    emulator.set(hubspot_rate_limit=190, hubspot_daily_limit=3)
    assert plain.get(path).json()["policyName"] == "DAILY"


def test_the_clients_own_retries_skip_what_is_posted_unless_told(emulator: Emulator) -> None:
    emulator.add_field("contacts", "score", "number")
    [one] = emulator.seed("contacts", [{}])
    emulator.fault("status", status=429, times=1)
    default = _client(emulator, retry=Retry(total=3, status_forcelist=(429,)))
    assert _error(_update, default, (one, {"score": "1"}))[0] == 429
    emulator.fault("status", status=429, times=1)
    told = _client(emulator, retry=Retry(total=3, status_forcelist=(429,), allowed_methods=["POST"]))
    assert len(_update(told, (one, {"score": "1"})).results) == 1
