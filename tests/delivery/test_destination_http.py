"""The client of all web destinations: what answers mean, how requests are paced, what is never told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.destinations.answers import tidy
from pipeline.destinations.base import Fatal, Problem, Refused, Retriable
from pipeline.destinations.http import Api, Url
from pipeline.destinations.tokens import Token, grant

SECRET = "s3cr3t-token-that-nobody-may-see"
Handler = Callable[[httpx.Request], httpx.Response]


class Clock:
    """A clock that goes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(clock: Clock) -> Iterator[Callable[..., Api]]:
    made: list[Api] = []

    def make(handler: Handler, **more: object) -> Api:
        given = {"sleep": clock.sleep, "clock": clock, "transport": httpx.MockTransport(handler), **more}
        made.append(Api("https://crm.example.com", **given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def answering(status: int, **more: object) -> Handler:
    return lambda request: httpx.Response(status, **more)  # type: ignore[arg-type]


def raised(api: Api, method: str = "POST", **more: object) -> Problem:
    with pytest.raises(Problem) as caught:
        api.ask(method, "/leads", **more)
    return caught.value


# -- statuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "applied"),
    [
        (429, Retriable, False),  # it was not let in
        (408, Retriable, True), (500, Retriable, True), (502, Retriable, True), (503, Retriable, True),
        (504, Retriable, True), (520, Retriable, True),  # it may have been carried out
        (401, Fatal, False), (403, Fatal, False), (404, Fatal, False), (302, Fatal, False),
        (400, Refused, False), (409, Refused, False), (413, Refused, False),
    ],
)  # fmt: skip
def test_each_status_has_one_meaning(
    api: Callable[..., Api], status: int, kind: type[Problem], applied: bool
) -> None:
    problem = raised(api(answering(status, json={"message": "as it is"})))
    assert type(problem) is kind
    assert problem.applied is applied
    assert str(status) in problem.text


def test_those_that_the_destination_explains_are_left_to_it(api: Callable[..., Api]) -> None:
    for status in (400, 404, 409):
        assert api(answering(status)).request("GET", "/leads").status_code == status


def test_the_destination_may_know_better(api: Callable[..., Api]) -> None:
    odd = Fatal("the quota of the day is used up")
    client = api(answering(429), meaning=lambda response: odd if response.status_code == 429 else None)
    assert raised(client) is odd


def test_a_person_is_told_what_to_do(api: Callable[..., Api]) -> None:
    for status in (401, 403, 302):
        problem = raised(api(answering(status)))
        assert isinstance(problem, Fatal)
        assert problem.todo


def test_a_redirection_is_not_followed(api: Callable[..., Api]) -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example.net/leads"})

    raised(api(handler, token=Token(lambda: (SECRET, None))))
    assert asked == ["crm.example.com"]


@pytest.mark.parametrize(
    ("error", "kind", "applied"),
    [
        (httpx.ConnectError("refused"), Retriable, False),
        (httpx.ConnectTimeout("slow"), Retriable, False),
        (httpx.ReadTimeout("silence"), Retriable, True),
        (httpx.WriteTimeout("stuck"), Retriable, True),
        (httpx.ReadError("reset"), Retriable, True),
        (httpx.RemoteProtocolError("Server disconnected"), Retriable, True),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), Fatal, False),
        (httpx.LocalProtocolError(f"Illegal header value b'Bearer {SECRET}'"), Fatal, False),
    ],
)
def test_lost_connections(
    api: Callable[..., Api], error: httpx.TransportError, kind: type[Problem], applied: bool
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    problem = raised(api(handler))
    assert type(problem) is kind
    assert problem.applied is applied
    assert SECRET not in problem.text
    assert problem.__suppress_context__  # nor in what a traceback shows
    assert problem.__cause__ is None


def failing(error: Exception) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError])
def test_a_host_that_is_not_reached_is_named_with_what_to_see_to(
    api: Callable[..., Api], error: type[httpx.TransportError]
) -> None:
    problem = raised(api(failing(error("at user:pass@proxy"))))
    assert type(problem) is Retriable
    assert not problem.applied
    assert problem.text == (
        f"The server cannot be reached at crm.example.com ({error.__name__}); see that this machine may open "
        "https connections there: name, proxy, firewall."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", f"http://ann:{SECRET}/x@proxy.example.com:80"),
        ("HTTPS_PROXY", f"gopher://ann:{SECRET}@proxy.example.com"),
        ("SSL_CERT_FILE", "/not/there.pem"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_no_defect_and_not_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for one in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(Fatal) as caught:
        Api("https://crm.example.com").ask("GET", "/leads")
    assert name in caught.value.todo
    assert SECRET not in caught.value.text
    assert caught.value.__suppress_context__


# -- waiting ----------------------------------------------------------------------------------------


def at(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
        # Counted from the server's date, three days from ours.
        ({"Retry-After": at(NOW + timedelta(seconds=90)), "Date": at(NOW)}, 90),
        ({"Retry-After": at(NOW - timedelta(seconds=90)), "Date": at(NOW)}, 0),
    ],
)
def test_how_long_to_wait(api: Callable[..., Api], headers: dict[str, str], after: float | None) -> None:
    for status in (429, 503):
        problem = raised(api(answering(status, headers=headers)))
        assert isinstance(problem, Retriable)
        assert problem.after == after


def test_a_date_without_a_date_of_the_server_is_counted_from_ours(api: Callable[..., Api]) -> None:
    later = at(datetime.now(UTC) + timedelta(seconds=60))
    problem = raised(api(answering(429, headers={"Retry-After": later})))
    assert isinstance(problem, Retriable)
    assert problem.after is not None
    assert 50 < problem.after <= 60


def test_a_wait_holds_back_every_request_until_it_is_over(api: Callable[..., Api], clock: Clock) -> None:
    sent = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(clock.now)
        return httpx.Response(429, headers={"Retry-After": "60"}) if len(sent) == 1 else httpx.Response(200)

    client = api(handler)
    raised(client)
    clock.now += 20
    problem = raised(client, "GET")  # another request, as reading back is
    assert isinstance(problem, Retriable)
    assert problem.after == pytest.approx(40)
    assert not problem.applied
    assert len(sent) == 1
    clock.now += 39.5
    client.ask("GET", "/leads")  # what is left of the wait is slept
    assert sent == [1000, 1060]


def sending(times: list[float], clock: Clock) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        times.append(clock.now)
        return httpx.Response(200)

    return handler


def test_requests_are_spaced_evenly(api: Callable[..., Api], clock: Clock) -> None:
    sent: list[float] = []
    client = api(sending(sent, clock), per_10_seconds=190)
    for number in range(1000):
        client.ask("GET", "/leads")
        clock.now += 0.2 if number % 7 == 0 else 0.001  # how long an answer takes
    assert min(later - sooner for sooner, later in pairwise(sent)) >= 10 / 190
    assert sent[-1] - sent[0] < 1000 * 0.0757  # 54 ms each, but 200 ms every seventh: no longer than needed


def test_a_process_that_is_restarted_cannot_exceed_the_window(api: Callable[..., Api], clock: Clock) -> None:
    sent: list[float] = []
    for _ in range(3):
        client = api(sending(sent, clock), per_10_seconds=190)
        for _ in range(100):
            client.ask("GET", "/leads")
    window = [sum(start <= one < start + 10 for one in sent) for start in sent]
    assert max(window) <= 190


def test_a_machine_that_oversleeps_does_not_hurry_afterwards(api: Callable[..., Api], clock: Clock) -> None:
    sent: list[float] = []

    def oversleep(seconds: float) -> None:
        clock.now += seconds + 0.04

    client = api(sending(sent, clock), per_10_seconds=190, sleep=oversleep)
    for _ in range(50):
        client.ask("GET", "/leads")
    assert min(later - sooner for sooner, later in pairwise(sent)) >= 10 / 190


def test_without_a_limit_nothing_waits(api: Callable[..., Api], clock: Clock) -> None:
    client = api(answering(200))
    for _ in range(50):
        client.ask("GET", "/leads")
    assert clock.slept == []


# -- bodies that are not the destination's ----------------------------------------------------------


def test_a_page_in_place_of_json_is_a_wrong_address_at_first_and_an_accident_later(
    api: Callable[..., Api],
) -> None:
    page = httpx.Response(200, html="<html>Sign in to the company's network</html>")
    answers = [httpx.Response(200, json={}), page]
    later = api(lambda request: answers.pop(0))
    later.ask("GET", "/leads")
    assert isinstance(raised(later), Retriable)
    first = raised(api(lambda request: httpx.Response(200, html="<html>Sign in</html>")))
    assert isinstance(first, Fatal)
    assert "text/html" in first.text
    assert "url" in first.todo
    assert first.applied


def test_an_empty_answer_is_none(api: Callable[..., Api]) -> None:
    assert api(answering(204)).ask("POST", "/leads") is None


# -- tokens -----------------------------------------------------------------------------------------


def test_a_token_is_fetched_when_first_needed_and_before_it_expires(clock: Clock) -> None:
    fetched: list[float] = []

    def sign_in() -> tuple[str, float | None]:
        fetched.append(clock.now)
        return f"token-{len(fetched)}", 1800

    token = Token(sign_in, clock=clock)
    assert fetched == []
    assert token.header() == "Bearer token-1"
    clock.now += 1739
    assert token.header() == "Bearer token-1"
    clock.now += 2
    assert token.header() == "Bearer token-2"


def test_a_short_lived_token_is_used_for_most_of_its_life(clock: Clock) -> None:
    fetched: list[float] = []

    def sign_in() -> tuple[str, float | None]:
        fetched.append(clock.now)
        return "t", 10

    token = Token(sign_in, clock=clock)
    for _ in range(3):
        token.header()
        clock.now += 7.9
        token.header()
        clock.now += 0.2
    assert fetched == [1000, pytest.approx(1008.1), pytest.approx(1016.2)]


def test_a_token_that_ended_before_its_time_is_renewed_once(api: Callable[..., Api]) -> None:
    good, seen = ["token-1"], []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        known = seen[-1].removeprefix("Bearer ") in good
        return httpx.Response(200 if known else 401, json={})

    made = iter(range(1, 9))
    client = api(handler, token=Token(lambda: (f"token-{next(made)}", None)))
    client.ask("GET", "/leads")
    good[:] = ["token-2"]
    client.ask("GET", "/leads")
    good.clear()
    assert isinstance(raised(client), Fatal)
    assert seen == [
        "Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-3",
    ]  # fmt: skip


def test_some_servers_say_403_for_a_token_that_they_do_not_know(api: Callable[..., Api]) -> None:
    answers = [
        httpx.Response(403, json=[{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}]),
        httpx.Response(200, json={}),
    ]
    made = iter(("token-1", "token-2"))
    client = api(lambda request: answers.pop(0), token=Token(lambda: (next(made), None)))
    client.ask("GET", "/leads")
    assert answers == []


def test_a_token_of_a_person_is_not_asked_for_again(api: Callable[..., Api]) -> None:
    sent = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(401)

    assert isinstance(raised(api(handler, token=Token(lambda: (SECRET, None), renewable=False))), Fatal)
    assert len(sent) == 1


def test_signing_in_is_not_signed_and_sends_secrets_in_the_body(api: Callable[..., Api]) -> None:
    sent = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 30})

    client = api(handler, token=Token(lambda: ("unused", None)))
    assert grant(client, "/oauth/token", {"client_secret": SECRET}) == ("t", 30)
    assert "Authorization" not in sent[0].headers
    assert SECRET not in str(sent[0].url)
    assert SECRET in sent[0].content.decode()


# -- what is never told -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_token_is_in_no_text_and_no_log(
    api: Callable[..., Api], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)

    def handler(request: httpx.Request) -> httpx.Response:
        message = f"{request.headers['Authorization']} is not known; ask ann.lee+x@example.co.uk"
        return httpx.Response(status, json={"message": message})

    token = Token(lambda: (SECRET, None))
    client = api(handler, token=token)
    problem = raised(client, params={"q": "Ann Lee"})
    shown = [problem.text, str(problem), repr(problem), getattr(problem, "todo", "")]
    shown += [repr(client), repr(token), str(vars(problem)), caplog.text]
    for one in shown:
        assert SECRET not in one
        assert "ann.lee" not in one
        assert "Ann" not in one
    assert "is not known" in problem.text


def test_credentials_are_in_no_text(api: Callable[..., Api]) -> None:
    echo = {"error": "invalid_client", "error_description": f"no client hub-7 with {SECRET}"}
    with pytest.raises(Fatal) as caught:
        grant(api(answering(400, json=echo)), "/token", {"client_id": "hub-7", "client_secret": SECRET})
    assert SECRET not in caught.value.text
    assert "hub-7" not in caught.value.text
    assert "no client" in caught.value.text


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_credentials_are_in_no_text_whatever_the_status(api: Callable[..., Api], status: int) -> None:
    echo = {"error": "invalid_client", "error_description": f"no client hub-7 with {SECRET}"}
    with pytest.raises(Problem) as caught:
        grant(api(answering(status, json=echo)), "/token", {"client_id": "hub-7", "client_secret": SECRET})
    assert SECRET not in str(caught.value) + caught.value.text
    assert "no client …" in caught.value.text


def test_what_the_destination_makes_of_an_answer_has_no_token_either(api: Callable[..., Api]) -> None:
    client = api(
        answering(401),
        meaning=lambda response: Fatal(f"Bearer {SECRET} is not known"),
        token=Token(lambda: (SECRET, None), renewable=False),
    )
    problem = raised(client)
    assert (problem.text, str(problem)) == ("Bearer … is not known",) * 2


@pytest.mark.parametrize("odd", ["two words", "line\nbreak", "tokën", ""])
def test_a_token_that_cannot_be_one_is_never_sent_nor_told(api: Callable[..., Api], odd: str) -> None:
    problem = raised(api(answering(200, json={}), token=Token(lambda: (odd, None))))
    assert isinstance(problem, Fatal)
    assert not odd or odd not in problem.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Contact ann@example.com exists", "Contact …@… exists"),
        ('"email":"ann.lee+x@mail.example.co.uk"', '"email":"…@…"'),
        ("<ann@example.com>", "<…@…>"),
        ("mailto:ann@example.com, ben@example.com", "mailto:…@…, …@…"),
        ("ünal@exämple.com", "…@…"),
        ("two\n  lines", "two lines"),
    ],
)
def test_addresses_are_hidden(text: str, shown: str) -> None:
    assert tidy(text) == shown


def test_long_texts_are_cut() -> None:
    assert len(tidy("x" * 1000)) == 300


# -- addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://crm.example.com", "http://localhost:8000", "http://127.0.0.1:8000/crm", "http://[::1]:80"],
)
def test_an_address_is_encrypted_or_on_this_machine(url: str) -> None:
    assert TypeAdapter(Url).validate_python(url + "/") == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://crm.example.com", "in clear"),
        ("http://127.0.0.1.example.com", "in clear"),
        ("http://localhost@example.com", "user"),
        ("https://user:secret@crm.example.com", "user"),
        ("https://crm.example.com?key=secret", "query"),
        ("ftp://crm.example.com", "is written like"),
        ("crm.example.com", "is written like"),
    ],
)
def test_an_address_that_would_send_secrets_in_clear_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(Url).validate_python(url)


def test_a_proxy_of_the_environment_does_not_get_what_is_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    local = Api("http://127.0.0.1:1")
    assert not local._client._mounts
    local.close()
