"""What Tryton's answers mean, and how its values look on the wire; the real server is in `tests/crm`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.likeness import same
from pipeline.destinations.base import Fatal, Problem, Refused, Retriable, Value
from pipeline.destinations.tryton import Tryton, TrytonSettings
from pipeline.destinations.tryton_fields import Field
from pipeline.destinations.tryton_rpc import Server

PASSWORD = "a secret that nobody may see"
Answer = Callable[[str, httpx.Request], httpx.Response]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Make a server that answers as given; signing in works unless it says otherwise."""
    (tmp_path / "password").write_text(PASSWORD)
    made: list[Tryton] = []

    def make(answer: Answer, user: str = "scorer") -> Server:
        given = {"url": "https://crm.example.com", "database": "my crm", "user": user}
        settings = TrytonSettings.model_validate(
            {**given, "password": {"file": "password"}, "fields": {"score": "score"}}
        )
        tryton = Tryton("crm", settings, tmp_path)
        tryton.transport = httpx.MockTransport(lambda r: answer(json.loads(r.content)["method"], r))
        made.append(tryton)
        return tryton.model.server

    yield make
    for tryton in made:
        tryton.close()


def result(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": 1, "result": value})


def error(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": 1, "error": value})


def signed_in(answer: httpx.Response) -> Answer:
    return lambda method, request: result([7, "key"]) if method == "common.db.login" else answer


def problem(server: Server) -> Problem:
    with pytest.raises(Problem) as caught:
        server.call("model.sale.opportunity.write", [1], {"score": 1})
    assert PASSWORD not in caught.value.text + getattr(caught.value, "todo", "")
    return caught.value


def test_a_call_is_signed_with_the_session_and_has_a_context(server: Callable[..., Server]) -> None:
    seen: list[httpx.Request] = []

    def answer(method: str, request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return result([7, "key", None]) if method == "common.db.login" else result([1])

    crm = server(answer, "zoë")
    assert crm.call("model.x.read", [1], ["score"], context={"_timestamp": {}}) == [1]
    assert crm.call("model.x.search", []) == [1]
    sign_in, first, second = seen  # the session is kept
    assert sign_in.url == first.url == httpx.URL("https://crm.example.com/my%20crm/rpc/")
    assert json.loads(sign_in.content)["params"] == ["zoë", {"password": PASSWORD}]
    assert "Authorization" not in sign_in.headers
    scheme, _, session = first.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(session).decode()) == ("Session", "zoë:7:key")
    assert json.loads(first.content)["params"] == [[1], ["score"], {"_timestamp": {}}]
    assert json.loads(second.content)["params"] == [[], {}]


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (["UserError", ["Too long.", "See the field.", None]], Refused, "Too long. See the field."),
        (["UserError", ["Ask ann@example.com", "", None]], Refused, "Ask …@…"),
        (["UserWarning", ["a.name", "Sure?", "It is old."]], Refused, "Sure? It is old."),
        (["'score'", ""], Refused, "an error in Tryton: 'score'"),
        (["UserError", "a text where a list should be"], Refused, "an error in Tryton: UserError"),
        ("all is wrong", Refused, "an error in Tryton: all is wrong"),
        (["ConcurrencyException", "Records were modified"], Retriable, "Somebody changed a record between"),
        (["LoginException", ["code", "Your code, please", "char"]], Fatal, "more than a password"),
    ],
)  # fmt: skip
def test_errors_inside_a_200(
    server: Callable[..., Server], said: Any, kind: type[Problem], text: str
) -> None:
    found = problem(server(signed_in(error(said))))
    assert type(found) is kind
    assert text in found.text
    assert not found.applied


@pytest.mark.parametrize("body", [None, [], {}, {"id": 1}, "all is well", 3])
def test_what_is_no_answer_of_tryton_may_have_taken_effect(server: Callable[..., Server], body: Any) -> None:
    found = problem(server(signed_in(httpx.Response(200, json=body))))
    assert isinstance(found, Fatal)
    assert "does not answer as Tryton does" in found.text
    assert found.applied


class TestSigningIn:
    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (httpx.Response(401), "does not accept the user 'scorer'"),
            (result(None), "does not accept the user 'scorer'"),
            (error(["LoginException", ["code", "Your code, please", "char"]]), "more than a password"),
            (error(["UserError", ["You are on leave.", "", None]]), "You are on leave."),
            (error(["no such attribute", ""]), "no such attribute"),
            (httpx.Response(404), "no database 'my crm'"),
            (httpx.Response(200, text="<html>"), "did not answer as it should"),
        ],
    )
    def test_it_is_refused(self, server: Callable[..., Server], answer: httpx.Response, text: str) -> None:
        """A person has to help: no batch is halved for it."""
        asked: list[str] = []

        def only(method: str, request: httpx.Request) -> httpx.Response:
            asked.append(method)
            return answer

        found = problem(server(only))
        assert isinstance(found, Fatal)
        assert text in found.text
        assert asked == ["common.db.login"]  # wrong passwords are counted there

    @pytest.mark.parametrize(("headers", "after"), [({}, 60), ({"Retry-After": "5"}, 5)])
    def test_too_many_wrong_ones(
        self, server: Callable[..., Server], headers: dict[str, str], after: float
    ) -> None:
        found = problem(server(lambda method, request: httpx.Response(429, headers=headers)))
        assert isinstance(found, Retriable)
        assert found.after == after

    def test_too_many_requests_are_no_wrong_sign_in(self, server: Callable[..., Server]) -> None:
        found = problem(server(signed_in(httpx.Response(429))))
        assert isinstance(found, Retriable)
        assert found.after is None

    def test_once_more_and_no_more(self, server: Callable[..., Server]) -> None:
        asked: list[str] = []

        def never(method: str, request: httpx.Request) -> httpx.Response:
            asked.append(method.rpartition(".")[2])
            return result([7, "key"]) if method == "common.db.login" else httpx.Response(401)

        assert isinstance(problem(server(never)), Fatal)
        assert asked == ["login", "write", "login", "write"]


class TestValues:
    @pytest.mark.parametrize(
        ("field", "value", "wire", "back"),
        [
            (Field("boolean"), True, True, True),
            (Field("boolean"), 0, False, False),
            (Field("integer"), 71.0, 71, 71),
            (Field("integer"), "71", 71, 71),
            (Field("integer"), True, 1, 1),
            (Field("float", decimals=4), 0.123456, 0.1235, 0.1235),
            (Field("float"), 0.123456, 0.123456, 0.123456),
            (Field("numeric"), 0.1, {"__class__": "Decimal", "decimal": "0.1"}, 0.1),
            (Field("numeric", decimals=2), 71, {"__class__": "Decimal", "decimal": "71.0"}, 71.0),
            (Field("char", size=2), "Ä1", "Ä1", "Ä1"),
            (Field("char"), 7, "7", "7"),
            (Field("text"), False, "false", "false"),
            (Field("selection", options=frozenset({"mql"})), "mql", "mql", "mql"),
            (Field("text"), "", None, None),
            (Field("float"), float("nan"), None, None),
            (
                Field("datetime"), "2026-03-01T00:30:00+02:00",
                {"__class__": "datetime", "year": 2026, "month": 2, "day": 28, "hour": 22, "minute": 30,
                 "second": 0, "microsecond": 0},
                "2026-02-28T22:30:00+00:00",
            ),
            (
                Field("date"), "2026-03-01T00:30:00+02:00",
                {"__class__": "date", "year": 2026, "month": 2, "day": 28}, "2026-02-28",
            ),
        ],
    )  # fmt: skip
    def test_there_and_back(self, field: Field, value: Value, wire: Any, back: Value) -> None:
        assert field.encode(value) == wire
        assert type(field.encode(value)) is type(wire)
        assert field.decode(wire) == back

    @given(st.sampled_from(["float", "numeric"]), st.floats(0, 1) | st.integers(0, 10**6))
    def test_numbers_come_back_as_sent(self, kind: str, value: float) -> None:
        field = Field(kind)
        wire = json.loads(json.dumps(field.encode(value)))
        assert field.decode(wire) == value
        assert same(value, field.decode(wire))

    @given(st.datetimes(), st.sampled_from(["datetime", "timestamp"]))
    def test_times_come_back_as_sent(self, moment: Any, kind: str) -> None:
        sent = moment.isoformat() + "+00:00"
        assert Field(kind).decode(Field(kind).encode(sent)) == sent

    @pytest.mark.parametrize(
        ("definition", "field"),
        [
            ({"type": "char", "size": 4}, Field("char", size=4)),
            ({"type": "char", "size": '{"__class__": "Eval"}'}, Field("char")),
            ({"type": "float", "digits": "[1, 4]"}, Field("float", decimals=4)),
            ({"type": "float", "digits": "[null, null]"}, Field("float")),
            ({"type": "numeric", "digits": '"currency"'}, Field("numeric")),
            ({"type": "numeric", "digits": '[16, {"__class__": "Eval", "v": "digits"}]'}, Field("numeric")),
            ({"type": "float", "digits": "null"}, Field("float")),
            ({"type": "selection", "selection": [[None, ""], ["mql", "MQL"]]},
             Field("selection", options=frozenset({"None", "mql"}))),
            ({"type": "selection", "selection": "get_bands"}, Field("selection")),
        ],
    )  # fmt: skip
    def test_definitions(self, definition: dict[str, Any], field: Field) -> None:
        assert Field.of(definition) == field
