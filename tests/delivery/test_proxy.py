"""The fault proxy does what it is told, no more and no less: what is tested through it rests on that."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import httpx
import pytest
from servers.faults import Fault, answers, delays, drops, hangs, resets
from servers.proxy import HttpProxy, TcpProxy

LOCAL = "127.0.0.1"


class _Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.done.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(201)
        self.send_header("X-From", "peer")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.upper())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


class _Lines(BaseRequestHandler):
    def handle(self) -> None:
        while said := self.request.recv(1000):
            self.server.done.append(said)  # type: ignore[attr-defined]
            self.request.sendall(said.upper())


def _served(server: Any) -> Iterator[Any]:
    server.done = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web() -> Iterator[Any]:
    yield from _served(ThreadingHTTPServer((LOCAL, 0), _Web))


@pytest.fixture
def lines() -> Iterator[Any]:
    yield from _served(ThreadingTCPServer((LOCAL, 0), _Lines))


@pytest.fixture
def proxy(web: Any) -> Iterator[HttpProxy]:
    with HttpProxy(web.server_address[1], seed=3) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: HttpProxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=0.5, trust_env=False) as client:
        yield client


class TestHttp:
    def test_passes_on_both_ways(self, client: httpx.Client, proxy: HttpProxy, web: Any) -> None:
        answer = client.post("/a/b?c=1", content=b"hello")
        assert (answer.status_code, answer.content, answer.headers["X-From"]) == (201, b"HELLO", "peer")
        assert web.done == [("/a/b?c=1", b"hello")]
        (seen,) = proxy.log
        assert (seen.what, seen.size, seen.fault, seen.status) == ("POST /a/b?c=1", 5, "", 201)
        assert seen.answered is not None
        assert seen.at <= seen.answered

    def test_answers_in_place_of_the_peer(self, client: httpx.Client, proxy: HttpProxy, web: Any) -> None:
        proxy.set(answers(429, retry_after=2), answers(502, page=True))
        first, second, third = (client.post("/", content=b"x") for _ in range(3))
        assert (first.status_code, first.headers["Retry-After"]) == (429, "2")
        assert (second.status_code, second.headers["Content-Type"]) == (502, "text/html")
        assert "Retry-After" not in second.headers
        assert third.status_code == 201
        assert [seen.fault for seen in proxy.log] == ["429", "502", ""]
        assert [seen.retry_after for seen in proxy.log] == [2, None, None]
        assert len(web.done) == 1

    @pytest.mark.parametrize(
        ("fault", "error", "arrived"),
        [
            (drops(), httpx.RemoteProtocolError, 1),
            (resets(), httpx.ReadError, 0),
            (resets(forwarded=True), httpx.ReadError, 1),
            (hangs(), httpx.ReadTimeout, 0),
            (hangs(forwarded=True), httpx.ReadTimeout, 1),
        ],
        ids=["drop", "reset before", "reset after", "hang before", "hang after"],
    )
    def test_breaks(
        self, proxy: HttpProxy, client: httpx.Client, web: Any,
        fault: Fault, error: type[Exception], arrived: int,
    ) -> None:  # fmt: skip
        proxy.set(fault)
        with pytest.raises(error):
            client.post("/", content=b"x")
        assert len(web.done) == arrived
        assert client.post("/", content=b"y").status_code == 201

    @pytest.mark.parametrize("forwarded", [True, False])
    def test_delays(self, client: httpx.Client, proxy: HttpProxy, web: Any, forwarded: bool) -> None:
        proxy.set(delays(0.2, forwarded=forwarded))
        began = time.monotonic()
        thread = threading.Thread(target=client.post, args=("/",), kwargs={"content": b"x"})
        thread.start()
        time.sleep(0.1)
        assert len(web.done) == int(forwarded)
        thread.join()
        assert time.monotonic() - began >= 0.2
        assert len(web.done) == 1

    def test_hits_what_it_is_told_to(self, client: httpx.Client, proxy: HttpProxy) -> None:
        proxy.set(answers(500, r"^POST /write.*\n.*poison", skip=1, times=2))
        paths = ["/write", "/read", "/write", "/write", "/write"]
        statuses = [client.post(path, content=b"poison").status_code for path in paths]
        assert statuses == [201, 201, 500, 500, 201]
        assert client.post("/write", content=b"fine").status_code == 201

    def test_hits_what_comes_behind_another(self, client: httpx.Client, proxy: HttpProxy) -> None:
        proxy.set(answers(500, "COMMIT", behind="UPDATE"))
        said = ["COMMIT", "UPDATE", "SELECT", "COMMIT", "COMMIT"]
        statuses = [client.post("/", content=text.encode()).status_code for text in said]
        assert statuses == [201, 201, 201, 500, 201]

    def test_lasts_as_long_as_it_is_told_to(self, client: httpx.Client, proxy: HttpProxy) -> None:
        proxy.set(answers(429, times=None, lasts=0.3))
        began, statuses = time.monotonic(), []
        while time.monotonic() - began < 0.5:
            statuses.append(client.post("/", content=b"x").status_code)
        assert sorted(statuses, reverse=True) == statuses
        assert set(statuses) == {429, 201}

    def test_a_seed_makes_the_same_weather(self, web: Any) -> None:
        def weather(seed: int) -> list[int]:
            port = web.server_address[1]
            with HttpProxy(port, seed=seed) as proxy, httpx.Client(trust_env=False) as client:
                proxy.set(answers(503, times=None, share=0.3), answers(429, times=None, share=0.3))
                return [client.post(proxy.url, content=b"x").status_code for _ in range(40)]

        assert weather(1) == weather(1) != weather(2)
        assert set(weather(1)) == {201, 429, 503}

    def test_a_peer_that_is_gone_ends_the_connection(self, proxy: HttpProxy, client: httpx.Client) -> None:
        with socket.create_server((LOCAL, 0)) as nobody:
            proxy.target = nobody.getsockname()[1]
        with pytest.raises(httpx.TransportError):
            client.post("/", content=b"x")

    def test_closing_does_not_wait_for_who_hangs(self, web: Any) -> None:
        with HttpProxy(web.server_address[1]) as proxy:
            proxy.set(hangs())
            with socket.create_connection((LOCAL, proxy.port)) as hanging:
                hanging.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
                while not proxy.log:
                    time.sleep(0.01)
                began = time.monotonic()
                proxy.close()
                assert time.monotonic() - began < 1


def _say(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(1000)


class TestTcp:
    @pytest.fixture
    def proxy(self, lines: Any) -> Iterator[TcpProxy]:
        with TcpProxy(lines.server_address[1]) as proxy:
            yield proxy

    def _connect(self, proxy: TcpProxy) -> socket.socket:
        return socket.create_connection((LOCAL, proxy.port), timeout=0.5)

    def test_passes_on_both_ways(self, proxy: TcpProxy, lines: Any) -> None:
        with self._connect(proxy) as connection:
            assert _say(connection, b"one") == b"ONE"
            assert _say(connection, b"two") == b"TWO"
        assert lines.done == [b"one", b"two"]
        assert [seen.size for seen in proxy.log] == [3, 3]

    @pytest.mark.parametrize(
        ("fault", "error", "arrived"),
        [
            (drops("COMMIT"), None, True),
            (resets("COMMIT"), ConnectionResetError, False),
            (resets("COMMIT", forwarded=True), ConnectionResetError, True),
            (hangs("COMMIT"), TimeoutError, False),
            (hangs("COMMIT", forwarded=True), TimeoutError, True),
        ],
        ids=["drop", "reset before", "reset after", "hang before", "hang after"],
    )
    def test_breaks(
        self, proxy: TcpProxy, lines: Any, fault: Fault, error: type[Exception] | None, arrived: bool
    ) -> None:
        proxy.set(fault)
        with self._connect(proxy) as connection:
            assert _say(connection, b"INSERT") == b"INSERT"
            if error is None:
                assert _say(connection, b"COMMIT") == b""
            else:
                with pytest.raises(error):
                    _say(connection, b"COMMIT")
        assert (b"COMMIT" in lines.done) is arrived
        with self._connect(proxy) as connection:
            assert _say(connection, b"COMMIT again") == b"COMMIT AGAIN"

    def test_delays_and_cuts(self, proxy: TcpProxy, lines: Any) -> None:
        proxy.set(delays(0.2, "slow"))
        with self._connect(proxy) as connection:
            began = time.monotonic()
            assert _say(connection, b"slow") == b"SLOW"
            assert time.monotonic() - began >= 0.2
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
