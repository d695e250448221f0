"""Salesforce: leads and what became of them are found and written, row by row and in jobs that survive."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from pydantic import ValidationError
from servers.emulator import Emulator

from pipeline.destinations.base import Fatal, Job, Kind, Problem, Refused, Retriable, Row, Value, Written
from pipeline.destinations.salesforce import Salesforce, SalesforceSettings
from pipeline.destinations.salesforce_answers import outcome, settled
from pipeline.destinations.salesforce_fields import cell, long_id, rendered

FIELDS = {
    "score": "Score__c",
    "band": "Band__c",
    "sales_ready": "Ready__c",
    "as_of": "At__c",
    "reasons": "Why__c",
}
BANDS = [{"value": band, "label": band, "active": True} for band in ("mql", "nurture", "let_go")]
TYPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Score__c": ("double", {"precision": 18, "scale": 0}),
    "Band__c": ("picklist", {"picklistValues": BANDS, "restrictedPicklist": True}),
    "Ready__c": ("boolean", {}),
    "At__c": ("datetime", {}),
    "Why__c": ("string", {"length": 40}),
}
KINDS: Mapping[str, Kind] = {
    "Score__c": "integer", "Band__c": "choice", "Ready__c": "boolean", "At__c": "time", "Why__c": "long_text",
}  # fmt: skip
AT = "2026-06-30T10:00:00+00:00"
Make = Callable[..., Salesforce]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[Salesforce] = []
    monkeypatch.setenv("TEST_KEY", Emulator.salesforce_key)
    monkeypatch.setenv("TEST_SECRET", Emulator.salesforce_secret)

    def make_one(
        url: str = "https://acme.my.salesforce.com",
        handler: Callable[[httpx.Request], httpx.Response] | None = None,
        fields: Mapping[str, str] = FIELDS,
        **more: Any,
    ) -> Salesforce:
        given = {"client_id": {"env": "TEST_KEY"}, "client_secret": {"env": "TEST_SECRET"}, **more}
        one = Salesforce("crm", SalesforceSettings(url=url, fields=dict(fields), **given), tmp_path)
        one.transport = httpx.MockTransport(handler) if handler else None
        one.sleep = lambda seconds: None
        made.append(one)
        return one

    yield make_one
    for one in made:
        one.close()


@pytest.fixture
def force(emulator: Emulator, make: Make) -> Salesforce:
    """A destination with its fields, at the emulator."""
    for kind in ("Lead", "Contact"):
        for name, (type_, more) in TYPES.items():
            emulator.add_field(kind, name, type_, **more)
    return make(emulator.url)


def row(key: str, score: int = 50, **more: Value) -> Row:
    values = {"Score__c": score, "Band__c": "mql", "Ready__c": True, "At__c": AT, "Why__c": "+ quote", **more}
    return Row(f"lead {key}", key, values, 1)


def leads(emulator: Emulator, count: int, **values: Any) -> list[str]:
    return emulator.seed("Lead", [values] * count)


def write(force: Salesforce, *rows: Row, job: Job | None = None) -> Written:
    return force.write(rows, job or Job())


def refusal(force: Salesforce, *rows: Row) -> Problem:
    with pytest.raises(Problem) as caught:
        write(force, *rows)
    return caught.value


def scores(emulator: Emulator, kind: str = "Lead") -> dict[str, Any]:
    return {key: record.get("Score__c") for key, record in emulator.records(kind).items()}


# -- configuration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["OwnerId", "Status", "StageName", "IsConverted", "Rating", "LeadSource"])
def test_owner_status_and_stage_cannot_even_be_configured(make: Make, name: str) -> None:
    with pytest.raises(ValidationError, match="owner, status and standard fields are never written"):
        make(fields={"band": name})


@pytest.mark.parametrize(
    "url",
    ["https://login.salesforce.com", "https://test.salesforce.com", "https://acme.lightning.force.com"],
)
def test_the_address_is_the_orgs_own(make: Make, url: str) -> None:
    with pytest.raises(ValidationError, match="org's own address"):
        make(url)


@pytest.mark.parametrize("given", [{"client_secret": None}, {"token": {"env": "A"}}])
def test_there_is_one_way_to_sign_in(make: Make, given: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either token, or client_id and client_secret"):
        make(**given)


# -- ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "full"),
    [
        # 00Q5e: the capital is the third: 4, E. 00000: none: 0, A. 1AbcD: second and fifth: 2 + 16 = 18, S.
        ("00Q5e000001AbcD", "00Q5e000001AbcDEAS"),
        ("00Q5e000001AbcDEAS", "00Q5e000001AbcDEAS"),
        ("003000000000001", "003000000000001AAA"),
        # Its case was lost, but the last three say what it was.
        ("00q5e000001abcdeas", "00Q5e000001AbcDEAS"),
        ("00Q5E000001ABCDEAS", "00Q5e000001AbcDEAS"),
        ("00q5e000001abcd", None),  # without them, it is lost
        ("00Q5e000001AbcDEA9", None),
        ("00Q5e000001AbcDFAS", None),  # says that the first is a capital, which is a digit
        ("0015e000001AbcDAAS", None),  # an account
        ("00Q5e000001AbcDE", None),
        ("00Q5e000001Abc-", None),
        ("", None),
    ],
)
def test_ids_of_both_lengths(key: str, full: str | None) -> None:
    assert long_id(key) == full


# -- preflight --------------------------------------------------------------------------------------


def test_the_preflight_names_fields_and_the_object_that_lacks_them(
    emulator: Emulator, force: Salesforce
) -> None:
    assert force.missing() == []
    emulator.remove_field("Lead", "Band__c")
    emulator.remove_field("Contact", "Band__c")
    emulator.remove_field("Contact", "Why__c")
    assert force.missing() == ["Band__c", "Contact.Why__c"]
    assert emulator.audit() == []


def test_a_field_that_the_user_may_not_write_stops_it(emulator: Emulator, force: Salesforce) -> None:
    emulator.remove_field("Contact", "Score__c")
    emulator.add_field("Contact", "Score__c", "double", precision=18, scale=0, updateable=False)
    with pytest.raises(Fatal, match=r"Contact\.Score__c cannot be written"):
        force.missing()


def test_a_user_who_may_not_write_leads_stops_it(emulator: Emulator, force: Salesforce) -> None:
    emulator.set(sf_read_only=["Lead"])
    with pytest.raises(Fatal, match="may not write a Lead"):
        force.missing()


def test_a_list_without_one_of_the_bands_is_found_before_the_first_write(
    emulator: Emulator, force: Salesforce
) -> None:
    emulator.remove_field("Lead", "Band__c")
    emulator.add_field("Lead", "Band__c", "picklist", picklistValues=BANDS[1:], restrictedPicklist=True)
    with pytest.raises(Fatal, match=r"Lead\.Band__c has no mql"):
        force.missing()


def test_wrong_credentials_stop_it_and_are_not_told(
    emulator: Emulator, force: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SECRET", "wrong-secret")
    with pytest.raises(Fatal) as caught:
        force.missing()
    assert "wrong-secret" not in caught.value.text + caught.value.todo
    assert caught.value.todo


def test_a_session_that_ended_is_renewed_once(emulator: Emulator, force: Salesforce) -> None:
    for status in (401, 403):
        emulator.set(bad_token_status=status)
        assert force.missing() == []
        emulator.revoke()
        assert force.missing() == []
    emulator.revoke(for_good=True)
    with pytest.raises(Fatal, match="sign-in"):
        force.missing()


# -- creating fields --------------------------------------------------------------------------------


def test_fields_that_are_created_are_hidden_until_somebody_may_see_them(
    emulator: Emulator, make: Make
) -> None:
    force = make(emulator.url)
    assert force.missing() == list(FIELDS.values())
    for _ in range(2):  # the second time they are there already
        with pytest.raises(Fatal, match="field-level security") as caught:
            force.create_fields(KINDS)
        assert "Lead.Score__c, Contact.Score__c" in caught.value.todo
    assert len(emulator.audit(kind="field")) == 10


def test_a_permission_set_lets_them_be_seen_and_written(emulator: Emulator, make: Make) -> None:
    force, (key,) = make(emulator.url, permission_set="Propense"), leads(emulator, 1)
    force.create_fields(KINDS)
    assert force.missing() == []
    assert write(force, row(key)) == Written()
    assert emulator.record("Lead", key) == {
        "Score__c": 50.0, "Band__c": "mql", "Ready__c": True, "At__c": "2026-06-30T10:00:00.000+0000",
        "Why__c": "+ quote",
    }  # fmt: skip
    before = len(emulator.audit())
    force.create_fields(KINDS)
    assert len(emulator.audit()) == before


def test_only_the_object_that_lacks_a_field_gets_it(emulator: Emulator, force: Salesforce) -> None:
    emulator.set(sf_new_fields_visible=True)
    emulator.remove_field("Contact", "Why__c")
    assert force.missing() == ["Contact.Why__c"]
    force.create_fields({"Contact.Why__c": "long_text"})
    assert [(field["object"], field["field"]) for field in emulator.audit(kind="field")] == [
        ("Contact", "Why__c")
    ]
    assert force.missing() == []


def test_where_fields_cannot_be_created_a_person_is_told_which(emulator: Emulator, make: Make) -> None:
    emulator.fault("status", status=400, path="/tooling", code="X", message="Limit of fields reached.")
    with pytest.raises(Fatal) as caught:
        make(emulator.url).create_fields({"Score__c": "integer"})
    assert "Lead.Score__c (Number), Contact.Score__c (Number)" in caught.value.todo


# -- writing ----------------------------------------------------------------------------------------


def test_leads_and_contacts_are_written_in_one_call_however_they_alternate(
    emulator: Emulator, force: Salesforce
) -> None:
    some = leads(emulator, 15)
    others = emulator.seed("Contact", [{}] * 15)
    rows = [row(key, number) for number, pair in enumerate(zip(some, others, strict=True)) for key in pair]
    assert write(force, *rows) == Written()
    assert scores(emulator) | scores(emulator, "Contact") == {
        each.key: each.values["Score__c"] for each in rows
    }
    assert len(emulator.requests("/composite/sobjects", "PATCH")) == 1


class Heard(httpx.HTTPTransport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return super().handle_request(request)


@pytest.mark.parametrize("count", [2, 201])
def test_no_write_lets_an_assignment_rule_choose_another_owner(
    emulator: Emulator, force: Salesforce, count: int
) -> None:
    force.transport = heard = Heard()
    assert write(force, *map(row, leads(emulator, count))) == Written()
    writes = [
        request
        for request in heard.sent
        if request.method in ("PATCH", "PUT") or request.url.path.endswith("/jobs/ingest")
    ]
    assert len(writes) == (1 if count == 2 else 3)
    for request in writes:
        assert request.headers.get("Sforce-Auto-Assign") == "FALSE"
        assert b"assignmentRuleId" not in request.content


def test_what_it_signs_in_with_is_called_as_the_vendor_does(make: Make) -> None:
    no = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
    force = make(
        client_id=None, client_secret=None, token={"env": "TEST_SECRET"},
        handler=lambda request: httpx.Response(401, json=no),
    )  # fmt: skip
    with pytest.raises(Fatal) as caught:
        force.missing()
    words = ("external client app", "connected app that is there already")
    for text in (caught.value.todo, SalesforceSettings.model_fields["client_id"].description or ""):
        assert all(word in text for word in words)


def test_each_row_has_its_own_end(emulator: Emulator, force: Salesforce) -> None:
    fine, deleted, poisoned, locked, converted = leads(emulator, 5)
    emulator.delete("Lead", deleted)
    emulator.convert(converted)
    emulator.fault("poison", record=poisoned, message="ask ann.lee@example.com first")
    emulator.fault("poison", record=locked, code="UNABLE_TO_LOCK_ROW", message="unable to obtain access")
    keys = [fine, deleted, poisoned, locked, converted, "00Q000000000001EAA", "0015e000001AbcDAAS", "none"]
    written = write(force, *(row(key) for key in keys))
    assert set(written.refused) == {poisoned, "0015e000001AbcDAAS", "none"}
    assert written.refused[poisoned] == "FIELD_CUSTOM_VALIDATION_EXCEPTION: ask …@… first"
    assert set(written.gone) == {deleted, "00Q000000000001EAA"}
    assert set(written.unconfirmed) == {locked, converted}  # read again, the contact is written
    assert {audit["record"] for audit in emulator.audit()} == {fine}


def test_the_short_form_of_an_id_is_the_same_record(emulator: Emulator, force: Salesforce) -> None:
    first, second = leads(emulator, 2)
    assert write(force, row(first[:15], 1), row(second, 2)) == Written()
    assert scores(emulator) == {first: 1, second: 2}
    written = write(force, row(first, 3), row(first[:15], 4))
    assert written.refused == {first[:15]: "the record of another row"}
    assert scores(emulator)[first] == 3


def test_a_field_that_was_removed_stops_the_run(emulator: Emulator, force: Salesforce) -> None:
    (key,) = leads(emulator, 1)
    force.missing()
    emulator.remove_field("Lead", "Score__c")
    problem = refusal(force, row(key))
    assert isinstance(problem, Fatal)
    assert "Score__c" in problem.text
    assert "field-level security" in problem.todo
    assert emulator.audit() == []


def test_a_field_that_became_read_only_stops_the_run(emulator: Emulator, force: Salesforce) -> None:
    keys = leads(emulator, 2)
    force.missing()
    emulator.remove_field("Lead", "Score__c")
    emulator.add_field("Lead", "Score__c", "double", precision=18, scale=0, updateable=False)
    assert isinstance(refusal(force, *map(row, keys)), Fatal)


def test_one_record_of_somebody_else_is_refused_and_all_of_them_stop_the_run(
    emulator: Emulator, force: Salesforce
) -> None:
    keys = leads(emulator, 2)
    force.missing()
    emulator.fault("poison", record=keys[0], code="INSUFFICIENT_ACCESS_OR_READONLY", message="no access")
    assert list(write(force, *map(row, keys)).refused) == [keys[0]]
    emulator.fault("poison", record=keys[1], code="INSUFFICIENT_ACCESS_OR_READONLY", message="no access")
    assert isinstance(refusal(force, *map(row, keys)), Fatal)


def test_a_call_that_is_refused_as_a_whole_is_to_be_halved(emulator: Emulator, force: Salesforce) -> None:
    keys = leads(emulator, 3)
    emulator.fault("poison", record=keys[1], how="batch")
    assert isinstance(refusal(force, *map(row, keys)), Refused)
    assert emulator.audit() == []


def test_success_without_results_confirms_nothing(emulator: Emulator, force: Salesforce) -> None:
    keys = leads(emulator, 2)
    force.missing()
    emulator.fault("hollow", path="composite/sobjects")
    assert write(force, *map(row, keys)) == Written(unconfirmed=tuple(keys))


@pytest.mark.parametrize(("code", "kind"), [("INVALID_SESSION_ID", Fatal), ("UNKNOWN_EXCEPTION", Retriable)])
def test_an_error_inside_a_success_is_none(
    emulator: Emulator, force: Salesforce, code: str, kind: type[Problem]
) -> None:
    (key,) = leads(emulator, 1)
    force.missing()
    emulator.fault("error_inside", code=code, method="PATCH")
    assert isinstance(refusal(force, row(key)), kind)


def test_a_daily_quota_parks_the_run_and_too_many_at_once_do_not(
    emulator: Emulator, force: Salesforce
) -> None:
    (key,) = leads(emulator, 1)
    force.missing()
    code = "REQUEST_LIMIT_EXCEEDED"
    emulator.fault("status", status=403, code=code, message="TotalRequests Limit exceeded.")
    problem = refusal(force, row(key))
    assert isinstance(problem, Fatal)
    assert "quota" in problem.text
    emulator.fault("status", status=403, code=code, message="ConcurrentRequests Limit exceeded.")
    assert isinstance(refusal(force, row(key)), Retriable)
    emulator.fault("status", status=429, retry_after=0.01)
    assert isinstance(refusal(force, row(key)), Retriable)


# -- values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "field", "sent", "in_bulk"),
    [
        (None, {"type": "double"}, None, "#N/A"),
        (None, {"type": "boolean"}, False, "false"),  # a checkbox knows no null
        (True, {"type": "boolean"}, True, "true"),
        (0.000001, {"type": "double"}, 0.000001, "0.000001"),
        ("", {"type": "string", "length": 9}, None, "#N/A"),
        (50, {"type": "string", "length": 9}, "50", "50"),
        ("longer than that", {"type": "textarea", "length": 6}, "longer", "longer"),
        ("as long as it is", {"type": "textarea", "length": 0}, "as long as it is", "as long as it is"),
        (AT, {"type": "datetime"}, "2026-06-30T10:00:00.000Z", "2026-06-30T10:00:00.000Z"),
        ("2026-07-01T01:30:00+02:00", {"type": "date"}, "2026-06-30", "2026-06-30"),
        ("a\r\nb", {"type": "textarea", "length": 9}, "a\r\nb", "a\nb"),
    ],
)
def test_values_as_fields_take_them(
    value: Value, field: Mapping[str, Any], sent: Value, in_bulk: str
) -> None:
    assert rendered(value, field) == sent
    assert cell(rendered(value, field)) == in_bulk


def test_texts_are_cut_to_what_the_field_holds(emulator: Emulator, force: Salesforce) -> None:
    (key,) = leads(emulator, 1)
    assert write(force, row(key, Why__c="x" * 50)) == Written()
    assert force.read([key])[key].values["Why__c"] == "x" * 40


# -- reading ----------------------------------------------------------------------------------------


def test_many_records_are_read_in_few_calls(emulator: Emulator, force: Salesforce) -> None:
    keys = emulator.seed("Lead", [{"Score__c": number} for number in range(2100)])
    for key in keys[:400]:
        emulator.delete("Lead", key)
    found = force.read([*keys, "00Q000000000001EAA", "0015e000001AbcDAAS", "none"])
    assert list(found) == keys[400:]
    assert found[keys[2099]].values["Score__c"] == 2099
    assert len(emulator.requests("/composite/sobjects/Lead", "POST")) == 2
    assert len(emulator.requests("/queryAll")) == 2


def test_what_became_of_a_lead_is_followed_all_the_way(emulator: Emulator, force: Salesforce) -> None:
    # Merged into a second one, which was converted, and its contact merged into another contact.
    first, second, other, lost = leads(emulator, 4)
    emulator.merge("Lead", second, first)
    contact = emulator.convert(second)
    (last,) = emulator.seed("Contact", [{"Score__c": 7}])
    emulator.merge("Contact", last, contact)
    emulator.delete("Lead", lost)
    found = force.read([first, second[:15], contact, other, lost])
    assert {key: record.id for key, record in found.items()} == {
        first: last, second[:15]: last, contact: last, other: other,
    }  # fmt: skip
    assert found[first].values["Score__c"] == 7


def test_a_contact_that_is_gone_takes_its_lead_with_it(emulator: Emulator, force: Salesforce) -> None:
    (lead,) = leads(emulator, 1)
    emulator.delete("Contact", emulator.convert(lead))
    assert force.read([lead]) == {}


def test_records_that_lead_to_each_other_come_to_an_end(make: Make) -> None:
    one, two = "00Q000000000001EAA", "00Q000000000002EAA"

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "t"})
        if request.url.path.endswith("/queryAll"):
            pairs = [{"Id": one, "MasterRecordId": two}, {"Id": two, "MasterRecordId": one}]
            return httpx.Response(200, json={"records": pairs})
        return httpx.Response(200, json=[None] * len(json.loads(request.content)["ids"]))

    assert make(handler=handler).read([one, two]) == {}


def test_an_answer_that_says_nothing_makes_no_record_gone(make: Make) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "t"})
        return httpx.Response(200, json={} if request.method == "POST" else [])

    with pytest.raises(Retriable):
        make(handler=handler).read(["00Q000000000001EAA"])


# -- jobs -------------------------------------------------------------------------------------------


class Kept(Job):
    """A job, and what the ledger was told of it."""

    def __init__(self, identifier: str | None = None) -> None:
        super().__init__(identifier, self.keep)
        self.told: list[str] = []

    def keep(self, identifier: str) -> None:
        self.told.append(identifier)


class Killed(BaseException):
    pass


def dying(at: int) -> Kept:
    """Return a job whose process dies when it has remembered so many ids."""
    job = Kept()

    def keep(identifier: str) -> None:
        job.told.append(identifier)
        if len(job.told) == at:
            raise Killed

    job.remember = keep
    return job


MANY = 201


@pytest.fixture
def keys(emulator: Emulator, force: Salesforce) -> list[str]:
    force.missing()
    return leads(emulator, MANY)


def resumed(job: Kept) -> Kept:
    return Kept(job.told[-1])


def test_batches_are_small_or_jobs(make: Make) -> None:
    force = make(bulk_from=1000)
    assert [force.batch(total) for total in (1, 1000, 1001, 500_000)] == [200, 200, 10_000, 10_000]


def test_a_job_for_leads_and_one_for_contacts(emulator: Emulator, force: Salesforce, keys: list[str]) -> None:
    contacts = emulator.seed("Contact", [{}] * 2)
    job = Kept()
    rows = [row(key, number) for number, key in enumerate([*keys, *contacts])]
    assert write(force, *rows, job=job) == Written()
    made = {one["object"]: one["id"] for one in emulator.jobs()}
    assert json.loads(job.told[-1]) == made == json.loads(job.id or "")
    assert set(made) == {"Lead", "Contact"}
    assert scores(emulator) | scores(emulator, "Contact") == {
        each.key: each.values["Score__c"] for each in rows
    }
    assert emulator.ineffective() == []


def test_an_id_is_remembered_before_anything_is_uploaded(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    uploads = []
    job = Job(None, lambda identifier: uploads.append([one["uploads"] for one in emulator.jobs()]))
    write(force, *map(row, keys), job=job)
    assert uploads == [[0]]


def test_each_row_of_a_job_has_its_own_end(emulator: Emulator, force: Salesforce, keys: list[str]) -> None:
    deleted, poisoned, locked, empty = keys[5], keys[50], keys[100], keys[150]
    emulator.delete("Lead", deleted)
    emulator.fault("poison", record=poisoned, message="no, never")
    emulator.fault("poison", record=locked, code="UNABLE_TO_LOCK_ROW")
    write(force, row(empty, 99))
    nothing: dict[str, Value] = {"Score__c": None, "Band__c": None, "Ready__c": None, "Why__c": ""}
    rows = [row(key, **(nothing if key == empty else {"Why__c": 'a "b", c'})) for key in keys]  # type: ignore[arg-type]
    written = write(force, *rows)
    assert written == Written(
        {poisoned: "FIELD_CUSTOM_VALIDATION_EXCEPTION: no, never"}, gone=(deleted,), unconfirmed=(locked,)
    )
    assert emulator.record("Lead", keys[0])["Why__c"] == 'a "b", c'  # type: ignore[index]
    held = emulator.record("Lead", empty)
    assert held is not None
    assert [held[name] for name in nothing] == [None, None, False, None]


def test_killed_after_it_was_created_the_same_job_goes_on(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    job = dying(1)
    with pytest.raises(Killed):
        write(force, *map(row, keys), job=job)
    assert [one["state"] for one in emulator.jobs()] == ["Open"]
    assert write(force, *map(row, keys), job=resumed(job)) == Written()
    assert [(one["state"], one["uploads"]) for one in emulator.jobs()] == [("JobComplete", 1)]


@pytest.mark.parametrize("where", ["/batches", "UploadComplete", "GET", "failedResults", "successfulResults"])
def test_an_answer_that_is_lost_at_any_step_leaves_one_job_and_one_effect(
    emulator: Emulator, force: Salesforce, keys: list[str], where: str
) -> None:
    match = {
        "UploadComplete": {"body": "UploadComplete"}, "GET": {"method": "GET", "path": "/ingest/[^/]+$"},
    }.get(where, {"path": where})  # fmt: skip
    emulator.fault("close", when="after", **match)
    job = Kept()
    with pytest.raises(Retriable) as caught:
        write(force, *map(row, keys), job=job)
    assert caught.value.applied
    assert job.id
    assert write(force, *map(row, keys), job=job) == Written()
    assert [(one["state"], one["uploads"]) for one in emulator.jobs()] == [("JobComplete", 1)]
    assert set(scores(emulator).values()) == {50}
    assert emulator.ineffective() == []


def test_killed_between_two_jobs_only_the_one_that_lacks_is_created(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    rows = [row(key) for key in [*keys, *emulator.seed("Contact", [{}])]]
    job = dying(1)
    with pytest.raises(Killed):
        write(force, *rows, job=job)
    assert write(force, *rows, job=resumed(job)) == Written()
    assert [one["object"] for one in emulator.jobs()] == ["Lead", "Contact"]


def test_a_job_that_takes_long_is_waited_for_with_growing_pauses_and_then_taken_up_again(
    emulator: Emulator, make: Make, force: Salesforce, keys: list[str]
) -> None:
    emulator.set(bulk_polls=9)
    patient, slept = make(emulator.url, bulk_wait="2m"), []
    patient.sleep = slept.append
    job = Kept()
    with pytest.raises(Retriable) as caught:
        write(patient, *map(row, keys), job=job)
    assert caught.value.applied
    assert slept == [1, 2, 4, 8, 16, 30, 30, 30]
    assert write(force, *map(row, keys), job=resumed(job)) == Written()
    assert len(emulator.jobs()) == 1


def test_a_finished_job_is_believed_row_by_row_however_often_it_is_asked(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    job = Kept()
    write(force, *map(row, keys), job=job)
    assert write(force, *map(row, keys), job=resumed(job)) == Written()
    # Rows that the job knows nothing of were not written by it.
    (other,) = leads(emulator, 1)
    assert write(force, row(keys[0]), row(other), job=resumed(job)) == Written(unconfirmed=(other,))


def test_what_a_job_did_not_come_to_is_unconfirmed(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    emulator.set(bulk_fails_after=150)
    job = Kept()
    written = write(force, *map(row, keys), job=job)
    left = [key for key, score in scores(emulator).items() if score is None]
    assert (len(left), set(written.unconfirmed)) == (51, set(left))
    assert not written.refused
    assert write(force, *(row(key) for key in left)) == Written()


@pytest.mark.parametrize("end", ["deleted", "aborted"])
def test_a_job_that_somebody_ended_confirms_nothing(
    emulator: Emulator, force: Salesforce, keys: list[str], end: str
) -> None:
    job = dying(1)
    with pytest.raises(Killed):
        write(force, *map(row, keys), job=job)
    where = f"{emulator.url}/services/data/v62.0/jobs/ingest/{emulator.jobs()[0]['id']}"
    headers = {"Authorization": f"Bearer {emulator.session()}"}
    with httpx.Client(trust_env=False, headers=headers) as admin:
        admin.patch(where, json={"state": "Aborted"}).raise_for_status()
        if end == "deleted":
            admin.delete(where).raise_for_status()
    assert write(force, *map(row, keys), job=resumed(job)) == Written(unconfirmed=tuple(keys))
    assert emulator.audit(kind="update") == []


def test_a_job_with_two_uploads_is_given_up_for_another(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    job = dying(1)
    with pytest.raises(Killed):
        write(force, *map(row, keys), job=job)
    # Somebody uploads twice: nothing that this program does, but such a job can never begin.
    where = f"{emulator.url}/services/data/v62.0/jobs/ingest/{emulator.jobs()[0]['id']}/batches"
    headers = {"Authorization": f"Bearer {emulator.session()}", "Content-Type": "text/csv"}
    with httpx.Client(trust_env=False, headers=headers) as other:
        for _ in range(2):
            other.put(where, content=f"Id,Score__c\n{keys[0]},1\n").raise_for_status()
    again = resumed(job)
    with pytest.raises(Retriable) as caught:
        write(force, *map(row, keys), job=again)
    assert not caught.value.applied
    assert again.id is None
    assert again.told == [""]  # the ledger lets go of it too
    assert write(force, *map(row, keys), job=again) == Written()
    assert [one["state"] for one in emulator.jobs()] == ["Aborted", "JobComplete"]


def test_a_job_that_fails_for_a_field_stops_the_run_and_is_let_go(
    emulator: Emulator, force: Salesforce, keys: list[str]
) -> None:
    emulator.remove_field("Lead", "Why__c")
    job = Kept()
    with pytest.raises(Fatal, match="Field name not found : Why__c"):
        write(force, *map(row, keys), job=job)
    assert job.id is None
    assert job.told[-1] == ""
    assert emulator.audit(kind="update") == []


def test_results_that_are_a_page_of_something_else_are_not_believed(make: Make) -> None:
    rows = [row(str(long_id(f"00Q{number:012d}"))) for number in range(MANY)]

    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "t"})
        if path.endswith("/describe"):
            return httpx.Response(200, json={"updateable": True, "fields": []})
        if path.endswith("Results"):
            return httpx.Response(200, html="<html>Down for maintenance</html>")
        return httpx.Response(200, json={"id": "750000000000001", "state": "JobComplete"})

    with pytest.raises(Retriable, match="text/html") as caught:
        make(handler=handler).write(rows, Job())
    assert caught.value.applied


# -- results ----------------------------------------------------------------------------------------


def test_a_result_of_another_row_confirms_nothing() -> None:
    one, two = "00Q000000000001EAA", "00Q000000000002EAA"
    assert outcome({"id": one, "success": True, "errors": []}, one) is None
    assert outcome({"id": one[:15], "success": True}, one) is None
    for strange in ({"id": two, "success": True}, None, "ok"):
        assert settled([one], {one: outcome(strange, one)}, {}).unconfirmed == (one,)
    assert settled([one], {one: outcome({"success": False}, one)}, {}).refused == {one: "UNKNOWN: "}
