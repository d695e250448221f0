"""HubSpot: contacts are found, followed and written as its interface wants it, and nothing else is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from pydantic import ValidationError
from servers.emulator import Emulator

from pipeline.destinations.base import Fatal, Job, Problem, Record, Refused, Retriable, Row, Value, Written
from pipeline.destinations.hubspot import HubSpot, HubSpotSettings
from pipeline.destinations.hubspot_answers import told
from pipeline.destinations.hubspot_properties import text

FIELDS = {"score": "score", "band": "band", "sales_ready": "ready", "as_of": "at", "run_sequence": "run"}
BANDS = [{"label": band, "value": band} for band in ("mql", "nurture", "let_go")]
AT = "2026-06-30T10:00:00+00:00"
Make = Callable[..., HubSpot]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make a destination, of the emulator or of a handler."""
    made: list[HubSpot] = []
    monkeypatch.setenv("TEST_TOKEN", Emulator.hubspot_token)

    def make_one(
        url: str = "https://hub.example.com",
        handler: Callable[[httpx.Request], httpx.Response] | None = None,
        fields: Mapping[str, str] = FIELDS,
        **more: Any,
    ) -> HubSpot:
        given = {"token": {"env": "TEST_TOKEN"}, "per_10_seconds": 5000, **more}
        one = HubSpot("crm", HubSpotSettings(url=url, fields=dict(fields), **given), tmp_path)
        one.transport = httpx.MockTransport(handler) if handler else None
        made.append(one)
        return one

    yield make_one
    for one in made:
        one.close()


@pytest.fixture
def hub(emulator: Emulator, make: Make) -> HubSpot:
    """A destination with its properties, at the emulator."""
    emulator.add_field("contacts", "score", "number")
    emulator.add_field("contacts", "band", "enumeration", options=BANDS)
    emulator.add_field("contacts", "ready", "bool")
    emulator.add_field("contacts", "at", "datetime")
    emulator.add_field("contacts", "run", "number")
    return make(emulator.url)


def row(key: str, score: int = 50, run: int = 1, **more: Value) -> Row:
    values = {"score": score, "band": "mql", "ready": True, "at": AT, "run": run, **more}
    return Row(f"lead {key}", key, values, run)


def write(hub: HubSpot, *rows: Row) -> Written:
    return hub.write(rows, Job())


def refusal(hub: HubSpot, *rows: Row) -> Problem:
    with pytest.raises(Problem) as caught:
        write(hub, *rows)
    return caught.value


# -- configuration ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["lifecyclestage", "hubspot_owner_id", "hs_lead_status", "hs_pipeline_stage", "hubspotscore"],
)
def test_stage_owner_and_status_cannot_even_be_configured(make: Make, name: str) -> None:
    with pytest.raises(ValidationError, match="HubSpot's own: lifecycle stage, owner and status"):
        make(fields={"band": name})


def test_labels_are_no_names(make: Make) -> None:
    with pytest.raises(ValidationError, match="internal name"):
        make(fields={"band": "Propense Band"})


@pytest.mark.parametrize(
    "given",
    [
        {"token": None},
        {"client_id": {"env": "A"}},
        {"token": None, "client_id": {"env": "A"}, "client_secret": {"env": "B"}},
    ],
)
def test_there_is_one_way_to_sign_in(make: Make, given: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either token, or client_id"):
        make(**given)


# -- preflight --------------------------------------------------------------------------------------


def test_the_preflight_names_what_is_missing_and_changes_nothing(emulator: Emulator, hub: HubSpot) -> None:
    assert hub.missing() == []
    emulator.remove_field("contacts", "band")
    assert hub.missing() == ["band"]
    assert emulator.audit() == []


@pytest.mark.parametrize(
    ("lacking", "todo"),
    [("crm.objects.contacts.read", ".read"), ("crm.objects.contacts.write", ".write")],
)
def test_the_preflight_finds_scopes_that_are_missing(
    emulator: Emulator, hub: HubSpot, lacking: str, todo: str
) -> None:
    emulator.seed("contacts", [{}])
    scopes = {"crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read"}
    emulator.set(hubspot_scopes=sorted(scopes - {lacking}))
    with pytest.raises(Fatal) as caught:
        hub.missing()
    assert todo in caught.value.todo
    assert emulator.audit() == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("contacts", "contacts"),
        ("leads", "leads"),
        ("0-2", "companies"),
        ("2-345", "custom"),
        ("p7_x", "custom"),
    ],
)
def test_the_scopes_that_it_names_are_of_its_object(make: Make, kind: str, name: str) -> None:
    no = {"status": "error", "category": "MISSING_SCOPES", "message": "scopes are missing"}
    with pytest.raises(Fatal) as caught:
        make(handler=lambda request: httpx.Response(403, json=no), object=kind).missing()
    named = set(re.findall(r"crm\.[a-z.]+[a-z]", caught.value.todo))
    assert named == {f"crm.{of}.{name}.{may}" for of in ("objects", "schemas") for may in ("read", "write")}
    assert "service key, or the private app that is there already" in caught.value.todo


def test_a_host_that_is_not_reached_is_called_by_name(make: Make) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(
        Retriable, match=r"^HubSpot cannot be reached at hub\.example\.com \(ConnectError\); see"
    ):
        make(handler=handler).missing()


def test_a_token_in_an_answer_is_not_told(make: Make) -> None:
    no = {
        "status": "error",
        "category": "INVALID_AUTHENTICATION",
        "message": f"{Emulator.hubspot_token} expired",
    }
    with pytest.raises(Fatal) as caught:
        make(handler=lambda request: httpx.Response(401, json=no)).missing()
    assert Emulator.hubspot_token not in str(caught.value)
    assert "service key" in caught.value.todo


def test_a_token_that_is_not_known_stops_it(emulator: Emulator, hub: HubSpot) -> None:
    emulator.revoke()
    with pytest.raises(Fatal) as caught:
        hub.missing()
    assert "token" in caught.value.todo
    assert Emulator.hubspot_token not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [("email", "HubSpot's own"), ("createdate", "HubSpot's own"), ("formula", "cannot be written")],
)
def test_properties_that_are_not_ours_are_not_written(
    emulator: Emulator, hub: HubSpot, make: Make, name: str, why: str
) -> None:
    emulator.add_field("contacts", "formula", "number", calculated=True)
    with pytest.raises(Fatal, match=why):
        make(emulator.url, fields={**FIELDS, "propensity": name}).missing()


def test_a_list_without_one_of_the_bands_is_found_before_the_first_write(
    emulator: Emulator, hub: HubSpot
) -> None:
    emulator.remove_field("contacts", "band")
    emulator.add_field("contacts", "band", "enumeration", options=BANDS[:2])
    with pytest.raises(Fatal, match="no option let_go"):
        hub.missing()


# -- creating properties ----------------------------------------------------------------------------


def test_properties_are_created_once_in_a_group_and_take_what_is_written(
    emulator: Emulator, make: Make
) -> None:
    hub, (key,) = make(emulator.url), emulator.seed("contacts", [{}])
    kinds = {"score": "integer", "band": "choice", "ready": "boolean", "at": "time", "run": "integer"}
    assert hub.missing() == list(kinds)
    for _ in range(2):
        hub.create_fields(kinds)  # type: ignore[arg-type]
    assert hub.missing() == []
    assert len(emulator.audit(kind="field")) == 5
    assert write(hub, row(key)) == Written()
    assert emulator.record("contacts", key) == {
        "score": "50", "band": "mql", "ready": "true", "at": "2026-06-30T10:00:00Z", "run": "1",
    }  # fmt: skip


def test_where_properties_cannot_be_created_a_person_is_told_which(emulator: Emulator, hub: HubSpot) -> None:
    emulator.set(hubspot_scopes=["crm.objects.contacts.read", "crm.objects.contacts.write"])
    with pytest.raises(Fatal) as caught:
        hub.create_fields({"propense_grade": "text"})
    assert "crm.schemas.contacts.write" in caught.value.todo
    emulator.fault("status", status=400, path="/properties", message="No more properties can be made.")
    with pytest.raises(Fatal, match="No more properties") as caught:
        hub.create_fields({"propense_grade": "text", "propense_why": "long_text"})
    assert "propense_grade (type string, shown as text)" in caught.value.todo
    assert "propense_why (type string, shown as textarea)" in caught.value.todo


# -- writing ----------------------------------------------------------------------------------------


def test_only_records_that_are_there_are_written_and_by_update_alone(
    emulator: Emulator, hub: HubSpot
) -> None:
    keys = emulator.seed("contacts", [{}] * 3)
    emulator.delete("contacts", keys[1])
    written = write(hub, *(row(key) for key in [*keys, "99999", "no-id"]))
    assert written.refused == {"no-id": "not the id of a record of HubSpot"}
    assert (written.gone, written.unconfirmed) == ((keys[1], "99999"), ())
    assert set(emulator.records("contacts")) == {keys[0], keys[2]}
    paths = {request["path"] for request in emulator.requests() if request["method"] != "GET"}
    assert paths == {"/crm/v3/objects/contacts/batch/update"}


def test_a_row_that_is_refused_does_not_hold_back_the_others(emulator: Emulator, hub: HubSpot) -> None:
    keys = emulator.seed("contacts", [{}] * 100)
    rows = [row(key) for key in keys[:-1]]
    written = write(hub, *rows, row(keys[-1], band="maybe"))
    assert list(written.refused) == [keys[-1]]
    # The message alone, without the JSON that comes with it.
    assert written.refused[keys[-1]].startswith("maybe was not one of the allowed options")
    assert "isValid" not in written.refused[keys[-1]]
    assert sum(bool(record) for record in emulator.records("contacts").values()) == 99


@pytest.mark.parametrize("how", ["batch", "conflict"])
def test_a_batch_that_is_refused_as_a_whole_is_to_be_halved(
    emulator: Emulator, hub: HubSpot, how: str
) -> None:
    keys = emulator.seed("contacts", [{}] * 3)
    emulator.fault("poison", record=keys[1], how=how, message="ann.lee@example.com is taken")
    problem = refusal(hub, *(row(key) for key in keys))
    assert isinstance(problem, Refused)
    assert not problem.applied
    assert "ann.lee" not in problem.text
    assert emulator.audit() == []
    assert write(hub, row(keys[0]), row(keys[2])) == Written()


def test_a_property_that_was_removed_stops_the_run(emulator: Emulator, hub: HubSpot) -> None:
    (key,) = emulator.seed("contacts", [{}])
    hub.missing()
    emulator.remove_field("contacts", "score")
    for rows in ([row(key)], [row(key), row("12345")]):
        problem = refusal(hub, *rows)
        assert isinstance(problem, Fatal)
        assert "score" in problem.text
        assert "sync setup" in problem.todo


def test_success_without_results_confirms_nothing(emulator: Emulator, hub: HubSpot) -> None:
    keys = emulator.seed("contacts", [{}] * 2)
    emulator.fault("hollow", path="batch/update")
    assert write(hub, *map(row, keys)) == Written(unconfirmed=tuple(keys))
    assert emulator.audit() == []


@pytest.mark.parametrize(("code", "kind"), [("INTERNAL_ERROR", Retriable), ("INVALID_AUTHENTICATION", Fatal)])
def test_an_error_inside_a_success_is_none(
    emulator: Emulator, hub: HubSpot, code: str, kind: type[Problem]
) -> None:
    (key,) = emulator.seed("contacts", [{}])
    hub.missing()
    emulator.fault("error_inside", path="batch/update", code=code)
    assert type(refusal(hub, row(key))) is kind
    assert emulator.audit() == []


def test_a_record_that_was_merged_meanwhile_is_unconfirmed(emulator: Emulator, hub: HubSpot) -> None:
    winner, loser = emulator.seed("contacts", [{}] * 2)
    emulator.merge("contacts", winner, loser)
    for behaviour in ("survivor", "left_out"):
        emulator.set(hubspot_merged_updates=behaviour)
        assert write(hub, row(loser)).unconfirmed == (loser,)


# -- reading ----------------------------------------------------------------------------------------


def test_records_are_read_as_they_are(emulator: Emulator, hub: HubSpot) -> None:
    keys = emulator.seed("contacts", [{"score": str(number)} for number in range(250)])
    emulator.delete("contacts", keys[7])
    found = hub.read([*keys, keys[0], "99999", "no-id"])
    assert list(found) == [key for key in keys if key != keys[7]]
    assert found[keys[249]].values == {"score": "249", "band": None, "ready": None, "at": None, "run": None}
    assert len(emulator.requests("batch/read")) == 3
    assert emulator.requests("/contacts/", "GET") == []  # HubSpot said itself which are not there


@pytest.mark.parametrize("new", [False, True])
def test_merged_records_are_followed_all_the_way(emulator: Emulator, hub: HubSpot, new: bool) -> None:
    first, second, third, other = emulator.seed("contacts", [{"score": str(n)} for n in range(4)])
    middle = emulator.merge("contacts", second, first, new=new)
    last = emulator.merge("contacts", third, middle, new=new)
    found = hub.read([first, second, third, other])
    assert {key: record.id for key, record in found.items()} == {
        first: last, second: last, third: last, other: other,
    }  # fmt: skip
    assert found[first].values["score"] == "2"
    assert emulator.requests("/contacts/", "GET") == []  # a batch tells whom it found in whose place
    assert write(hub, row(last)) == Written()
    assert hub.read([first])[first].values["score"] == "50"


def test_what_a_batch_leaves_out_without_a_word_is_asked_for_alone(make: Make) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/batch/read"):
            return httpx.Response(200, json={"status": "COMPLETE", "results": []})
        key = request.url.path.rsplit("/", 1)[1]
        if key == "1":
            return httpx.Response(200, json={"id": "7", "properties": {"score": "3"}})
        return httpx.Response(404, json={"status": "error", "category": "OBJECT_NOT_FOUND"})

    found = make(handler=handler, fields={"score": "score"}).read(["1", "2"])
    assert found == {"1": Record("7", {"score": "3"})}


# -- limits -----------------------------------------------------------------------------------------


def test_a_full_window_is_waited_for_and_a_daily_quota_is_not(emulator: Emulator, hub: HubSpot) -> None:
    (key,) = emulator.seed("contacts", [{}])
    emulator.fault("status", status=429)
    problem = refusal(hub, row(key))
    assert isinstance(problem, Retriable)
    assert problem.after == 10  # HubSpot does not say how long; its window is 10 s
    assert not problem.applied


def test_how_long_to_wait_is_believed_if_it_is_said(emulator: Emulator, hub: HubSpot) -> None:
    emulator.fault("status", status=429, retry_after=3)
    problem = refusal(hub, row("1"))
    assert isinstance(problem, Retriable)
    assert problem.after == 3


def test_a_daily_quota_parks_the_run(emulator: Emulator, hub: HubSpot) -> None:
    emulator.set(hubspot_daily_limit=0)
    problem = refusal(hub, row("1"))
    assert isinstance(problem, Fatal)
    assert "pending until tomorrow" in problem.text
    assert "midnight" in problem.todo


@pytest.mark.parametrize(("status", "after"), [(423, 2), (477, 2)])
def test_records_that_are_locked_are_waited_for(make: Make, status: int, after: float) -> None:
    hub = make(handler=lambda request: httpx.Response(status, json={"message": "locked"}))
    problem = refusal(hub, row("1"))
    assert isinstance(problem, Retriable)
    assert problem.after == after


def test_requests_stay_under_the_window(emulator: Emulator, hub: HubSpot, make: Make) -> None:
    emulator.set(hubspot_rate_limit=20, hubspot_rate_seconds=1.0)
    paced = make(emulator.url, per_10_seconds=180)  # calls may bunch on their way
    for _ in range(30):
        paced.read(["1"])
    assert {request["status"] for request in emulator.requests("batch/read")} == {207}


# -- what is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "type_", "sent"),
    [
        (None, "number", ""), (True, "bool", "true"), (False, "bool", "false"), (50, "number", "50"),
        (0.25, "number", "0.25"), (0.000001, "number", "0.000001"), (1e-07, None, "0.0000001"),
        (1.0, "number", "1.0"), ("+ quote; − size", "string", "+ quote; − size"), (AT, "string", AT),
        (AT, "datetime", "2026-06-30T10:00:00.000Z"), (AT, "date", "2026-06-30"),
        ("2026-07-01T01:30:00+02:00", "date", "2026-06-30"),
    ],
)  # fmt: skip
def test_all_values_are_texts(value: Value, type_: str | None, sent: str) -> None:
    assert text(value, type_) == sent


def test_each_row_carries_its_id_as_trace(make: Make) -> None:
    sent: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"results": []})
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"status": "COMPLETE", "results": [{"id": "1"}, {"id": "2"}]})

    hub = make(handler=handler, fields={"score": "score"})
    rows = [Row("a", "1", {"score": 50}, 1), Row("b", "2", {"score": None}, 1)]
    assert hub.write(rows, Job()) == Written()
    assert sent == [
        {
            "inputs": [
                {"id": "1", "objectWriteTraceId": "1", "properties": {"score": "50"}},
                {"id": "2", "objectWriteTraceId": "2", "properties": {"score": ""}},
            ]
        }
    ]


# -- answers ----------------------------------------------------------------------------------------


def answered(make: Make, answer: Mapping[str, Any], status: int = 207) -> HubSpot:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"results": []})
        return httpx.Response(status, json=answer)

    return make(handler=handler, fields={"score": "score"})


def test_rows_are_told_apart_by_ids_and_by_traces(make: Make) -> None:
    answer = {
        "results": [{"id": "1"}],
        "errors": [
            {"category": "VALIDATION_ERROR", "message": "too high", "context": {"objectWriteTraceId": ["2"]}},
            {"category": "OBJECT_NOT_FOUND", "message": "none", "context": {"ids": ["3"]}},
            {"category": "VALIDATION_ERROR", "message": "ann@example.com", "id": "4"},
        ],
    }
    rows = [Row(key, key, {"score": 1}, 1) for key in "12345"]
    assert answered(make, answer).write(rows, Job()) == Written(
        {"2": "too high", "4": "…@…"}, gone=("3",), unconfirmed=("5",)
    )


def test_an_error_that_names_no_row_is_found_by_halving(make: Make) -> None:
    answer = {
        "results": [{"id": "1"}],
        "errors": [{"category": "VALIDATION_ERROR", "message": "one is wrong"}],
    }
    hub = answered(make, answer)
    with pytest.raises(Refused, match="one is wrong") as caught:
        hub.write([Row(key, key, {"score": 1}, 1) for key in "12"], Job())
    assert caught.value.applied  # the other one was written


def test_a_batch_of_one_that_is_not_there_is_gone(make: Make) -> None:
    hub = answered(make, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "none"}, 404)
    assert hub.write([Row("a", "1", {"score": 1}, 1)], Job()) == Written(gone=("1",))
    with pytest.raises(Refused):
        hub.write([Row(key, key, {"score": 1}, 1) for key in "12"], Job())


def test_messages_are_for_people() -> None:
    details = [{"isValid": False, "message": "x was not a valid number.", "error": "INVALID_NUMBER"}] * 2
    error = {"message": f"Property values were not valid: {json.dumps(details)}"}
    assert told(error) == "x was not a valid number."
    assert told({"message": "Property values were not valid: [{broken"}) == "Property values were not valid"
    assert told({"category": "VALIDATION_ERROR"}) == "VALIDATION_ERROR"


# -- signing in as an app ---------------------------------------------------------------------------


def test_an_app_signs_in_with_its_refresh_token_and_renews_before_the_token_expires(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ID", "SECRET", "REFRESH"):
        monkeypatch.setenv(f"TEST_{name}", f"the {name.lower()}".replace(" ", "-"))
    forms: list[dict[str, list[str]]] = []
    signed: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/v3/token":
            assert "Authorization" not in request.headers
            assert not request.url.query
            forms.append(parse_qs(request.content.decode()))
            return httpx.Response(200, json={"access_token": f"access-{len(forms)}", "expires_in": 0.05})
        signed.append(request.headers["Authorization"])
        return httpx.Response(404)

    app = {name: {"env": f"TEST_{env}"} for name, env in (
        ("client_id", "ID"), ("client_secret", "SECRET"), ("refresh_token", "REFRESH"))}  # fmt: skip
    hub = make(handler=handler, token=None, per_10_seconds=150, **app)
    for _ in range(2):  # 67 ms apart, so that the token has expired
        with pytest.raises(Fatal):
            hub.missing()
    assert signed == ["Bearer access-1", "Bearer access-2"]
    assert forms[0] == {
        "grant_type": ["refresh_token"], "client_id": ["the-id"], "client_secret": ["the-secret"],
        "refresh_token": ["the-refresh"],
    }  # fmt: skip


def test_nothing_is_asked_for_before_it_is_needed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_TOKEN")
    with closing(make()) as hub, pytest.raises(Fatal, match="secret"):
        hub.missing()
