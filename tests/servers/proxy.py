"""A proxy before a peer of a test, that passes all on until it is told what is to go wrong (`faults`).

`HttpProxy` knows requests, `TcpProxy` only bytes, and calls each portion that a client sends a request:
PostgreSQL's is a statement with what belongs to it. Both run in threads of the test, and are told what to
do while the program under test, another process, talks through them:

    with HttpProxy(peer.port) as proxy:
        proxy.set(drops("batch/update"))            # the peer has done it, and nobody hears of it
        proxy.set(answers(429, times=3, retry_after=2))
        run("sync", url=proxy.url)
        assert [seen.fault for seen in proxy.log] == ...

``log`` has every request with its times, on the clock of `time.monotonic`.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler
from typing import Any

from servers.faults import Fault
from servers.proxying import Proxy, Seen, Server, Stop, reset_on_close, wake

_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.proxy.kept(self.connection)

    def finish(self) -> None:
        self.server.proxy.let_go(self.connection)
        super().finish()

    def handle(self) -> None:
        try:
            super().handle()
        except (Stop, OSError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing; `Proxy.log` has it."""

    def _pass(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen, fault = proxy.arrived(f"{self.command} {self.path}", body)
        if fault is None:
            self._give(seen, *self._ask(body))
            return
        if fault.kind == "delay" and not fault.forwarded:
            proxy.hold(self.connection, fault.wait)
        done = self._ask(body) if fault.forwarded or fault.kind == "delay" else None
        if fault.kind == "answer":
            self._give(seen, fault.status, _headers(fault), fault.body)
        elif fault.kind == "delay":
            if fault.forwarded:
                proxy.hold(self.connection, fault.wait)
            assert done is not None
            self._give(seen, *done)
        else:
            self._break(fault)

    def _break(self, fault: Fault) -> None:
        if fault.kind == "hang":
            self.server.proxy.hold(self.connection)
        if fault.kind == "reset":
            reset_on_close(self.connection)
        self.close_connection = True

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return what the peer answers. A peer that is not there ends the client's connection, too."""
        proxy = self.server.proxy
        peer = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=120)
        peer.connect()
        connection = peer.sock
        proxy.kept(connection)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            peer.request(self.command, self.path, body or None, headers)
            answer = peer.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            return answer.status, kept, answer.read()
        except http.client.HTTPException as error:
            raise Stop from error
        finally:
            proxy.let_go(connection)
            peer.close()

    def _give(self, seen: Seen, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        seen.status = status
        asked = next((value for name, value in headers if name.lower() == "retry-after"), "")
        seen.retry_after = float(asked) if asked.replace(".", "", 1).isdigit() else None
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        seen.answered = time.monotonic()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815


class HttpProxy(Proxy):
    """A proxy before a web server on this machine, whose port it is given."""

    handler = _HttpHandler


class _TcpHandler(BaseRequestHandler):
    """One connection: this thread passes on what the client sends, a second one what the peer answers."""

    server: Server
    request: socket.socket

    def setup(self) -> None:
        self._answer = threading.Lock()
        self._spoil: Fault | None = None  # what becomes of the peer's next words

    def handle(self) -> None:
        proxy = self.server.proxy
        try:
            peer = socket.create_connection(("127.0.0.1", proxy.target))
        except OSError:
            reset_on_close(self.request)
            return
        with peer:
            for each in (self.request, peer):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                proxy.kept(each)
            back = threading.Thread(target=self._back, args=(peer,))
            back.start()
            try:
                while content := self.request.recv(1 << 16):
                    self._forth(peer, content)
            except (Stop, OSError):
                pass
            finally:
                wake(peer)
                back.join()
                proxy.let_go(peer)
                proxy.let_go(self.request)

    def _forth(self, peer: socket.socket, content: bytes) -> None:
        seen, fault = self.server.proxy.arrived("", content)
        if fault is not None and not fault.forwarded:
            if fault.kind == "delay":
                self.server.proxy.hold(self.request, fault.wait)
            else:
                self._break(fault)
        elif fault is not None:
            with self._answer:
                self._spoil = fault
        peer.sendall(content)
        seen.answered = time.monotonic()

    def _back(self, peer: socket.socket) -> None:
        try:
            while content := peer.recv(1 << 16):
                with self._answer:
                    fault, self._spoil = self._spoil, None
                if fault is not None and fault.kind == "delay":
                    self.server.proxy.hold(self.request, fault.wait, peer)
                elif fault is not None:
                    self._break(fault, peer)
                self.request.sendall(content)
        except (Stop, OSError):
            pass
        finally:
            wake(self.request)

    def _break(self, fault: Fault, peer: socket.socket | None = None) -> None:
        if fault.kind == "hang":
            self.server.proxy.hold(self.request, None, peer)
        if fault.kind == "reset":
            reset_on_close(self.request)
        raise Stop


class TcpProxy(Proxy):
    """A proxy before any server on this machine, whose port it is given."""

    handler = _TcpHandler


def _headers(fault: Fault) -> list[tuple[str, str]]:
    after = [] if fault.retry_after is None else [("Retry-After", f"{fault.retry_after:g}")]
    return [("Content-Type", fault.content), *after]
