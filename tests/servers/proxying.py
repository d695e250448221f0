"""What a proxy is apart from what it understands: the faults that are set, the log, and its connections."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Any, ClassVar

from servers.faults import Fault

_TICK = 0.05


@dataclass
class Seen:
    """One request: when it came, when it was answered, and what went wrong, empty if nothing did."""

    at: float
    what: str
    size: int
    fault: str = ""
    status: int | None = None
    retry_after: float | None = None
    answered: float | None = None


@dataclass
class _Set:
    fault: Fault
    since: float = field(default_factory=time.monotonic)
    matched: int = 0
    hit: int = 0
    behind: bool = False


class Stop(Exception):
    """The connection is over."""


class Proxy:
    """What both proxies share: the faults that are set, the log, and the life of connections."""

    handler: ClassVar[type[BaseRequestHandler]]

    def __init__(self, port: int, *, seed: int = 0) -> None:
        self.target = port
        self.log: list[Seen] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._faults: list[_Set] = []
        self._random = random.Random(seed)
        self._sockets: set[socket.socket] = set()
        self._server = Server(("127.0.0.1", 0), self.handler)
        self._server.proxy = self
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_TICK,))
        self._thread.start()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where the program under test finds the peer."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, *faults: Fault) -> None:
        """Add faults; of those that match a request the first one counts."""
        with self._lock:
            self._faults += [_Set(fault) for fault in faults]

    def clear(self) -> None:
        """Let everything pass again."""
        with self._lock:
            self._faults.clear()

    def cut(self) -> None:
        """Reset every connection that is open."""
        with self._lock:
            for each in self._sockets:
                reset_on_close(each)
                wake(each)

    def close(self) -> None:
        """End all connections, and listen no longer; nothing happens the second time."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self.cut()
        self._server.server_close()  # waits for the threads of its connections

    def hits(self, label: str = "") -> list[Seen]:
        """Return the requests that went wrong, in this way if one is named."""
        with self._lock:
            return [seen for seen in self.log if seen.fault and seen.fault.startswith(label)]

    # For the handlers.

    def arrived(self, what: str, content: bytes) -> tuple[Seen, Fault | None]:
        """Write a request into the log, and return what is to become of it."""
        with self._lock:
            seen = Seen(time.monotonic(), what, len(content))
            self.log.append(seen)
            fault = self._fault(what.encode() + b"\n" + content)
            seen.fault = fault.label if fault else ""
            return seen, fault

    def _fault(self, text: bytes) -> Fault | None:
        now = time.monotonic()
        for each in self._faults:
            fault = each.fault
            if fault.behind and not each.behind:
                each.behind = re.search(fault.behind.encode(), text) is not None
                continue
            if fault.lasts is not None and now > each.since + fault.lasts:
                continue
            if fault.times is not None and each.hit >= fault.times:
                continue
            if fault.match and not re.search(fault.match.encode(), text):
                continue
            each.matched += 1
            if each.matched > fault.skip and self._random.random() < fault.share:
                each.hit += 1
                return fault
        return None

    def kept(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connection)

    def let_go(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(connection)

    def hold(
        self, client: socket.socket, seconds: float | None = None, peer: socket.socket | None = None
    ) -> None:
        """Wait so long, for ever if None is given; raise `Stop` when one side is gone, or all is over."""
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            left = _TICK if until is None else min(_TICK, max(0.0, until - time.monotonic()))
            if self.closing.is_set() or _gone(client, left) or (peer is not None and _gone(peer, 0)):
                raise Stop


class Server(ThreadingTCPServer):
    proxy: Proxy
    allow_reuse_address = True
    request_queue_size = 64
    daemon_threads = False
    block_on_close = True

    def shutdown_request(self, request: Any) -> None:
        """Close without saying goodbye first: after that a reset would be none."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections that break are what this is for."""


def _gone(client: socket.socket, seconds: float) -> bool:
    """Wait so long for the client to hang up."""
    readable, _, _ = select.select([client], [], [], seconds)
    if not readable:
        return False
    try:
        if client.recv(1, socket.MSG_PEEK) == b"":
            return True
    except OSError:
        return True
    time.sleep(seconds)  # it has said more, which waits its turn
    return False


def reset_on_close(connection: socket.socket) -> None:
    """Let closing send a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def wake(connection: socket.socket) -> None:
    """Let whoever waits for words on this connection wait no longer; the other side is told nothing."""
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return
