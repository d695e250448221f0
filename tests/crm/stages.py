"""A stage for what can go wrong: a peer behind a proxy, and the real command in processes of its own."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from crm.driver import Started
from crm.peers import SECRETS, Peer
from crm.projects import AS_OF, Project, spread
from crm.rows import same
from crm.server_peers import HubSpotPeer, PostgresPeer, SalesforcePeer, TrytonPeer
from servers.proxy import HttpProxy, TcpProxy

# Peers by the name in a test's id; those of a server share a worker.
GROUPS = {
    "postgresql": "postgres", "tryton": "tryton", "hubspot": "hubspot", "salesforce": "salesforce",
    "bulk": "bulk",
}  # fmt: skip
ALL = tuple(GROUPS)
ROWS = 560


@dataclass(frozen=True)
class Outcome:
    """What became of a process: its exit status, what it printed as JSON, and what it said beside it."""

    status: int
    account: Mapping[str, Any]
    said: str

    @property
    def counts(self) -> dict[str, int]:
        names = ("sent", "unchanged", "failed", "pending")
        return {name: self.account[name] for name in names if self.account[name]}


@dataclass
class Stage:
    """One peer, a proxy before it, and a project that delivers through that."""

    name: str
    peer: Peer
    proxy: HttpProxy | TcpProxy
    project: Project
    processes: list[Started] = field(default_factory=list)
    expected_again: int | None = None

    def seed(self, rows: int = ROWS) -> list[str]:
        """Create records and scores of all of them, and return their keys."""
        keys = self.peer.seed(rows)
        self.project.score(spread(keys))
        return keys

    def moment(self, days: float) -> datetime:
        """Return the moment of the scores, moved by so many days."""
        return AS_OF + timedelta(days=days)

    def start(self, *options: str, kill_at: str = "", clock: float = 0) -> Started:
        """Start `propense sync` with options; see `driver`."""
        self.project.configure()
        where = ["--config", str(self.project.config), "--output", str(self.project.output)]
        said = self.project.folder / f"said-{len(self.processes)}"
        arguments = ["sync", *(options or ("crm", "--json")), *where]
        process = Started(arguments, SECRETS, said, kill_at, clock)
        self.processes.append(process)
        return process

    def finish(self, process: Started) -> Outcome:
        """Wait for a process, and return what became of it."""
        status = process.wait()
        out, said = process.said()
        assert "Traceback" not in said, said
        return Outcome(status, json.loads(out) if out.startswith("{") else {}, said)

    def sync(self, *options: str, clock: float = 0) -> Outcome:
        """Run `propense sync crm` to its end."""
        return self.finish(self.start("crm", "--json", *options, clock=clock))

    def failures(self, *options: str) -> list[dict[str, Any]]:
        """Return what `propense sync failures` tells."""
        process = self.start("failures", "crm", "--json", *options)
        assert process.wait() == 0
        told = json.loads(process.said()[0])
        return list(told["failures"]) if "failures" in told else [told]

    def check_arrived(self, keys: list[str], run: str = "run-1", sequence: int = 1) -> None:
        """Assert that the end is that of an undisturbed run: values, and one effective change of each."""
        wanted = {key: self.project.values(chance, run, sequence) for key, chance in spread(keys).items()}
        assert same(self.peer.scores(keys), wanted)
        self.check_once()

    def check_once(self) -> None:
        """Assert that no field of any record was changed twice."""
        twice = [effect for effect, times in Counter(self.peer.effects() or ()).items() if times > 1]
        assert not twice

    def again(self, rows: int = ROWS) -> int | None:
        """Return how many rows were sent more than once; None where the peer does not count them."""
        sent = self.peer.sent()
        return None if sent is None else sent - rows

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        self.proxy.close()


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


def across(*names: str) -> pytest.MarkDecorator:
    """Run a test for each of these peers."""
    marked = [pytest.param(name, marks=pytest.mark.xdist_group(GROUPS[name])) for name in names]
    return pytest.mark.parametrize("stage", marked, indirect=True)


def peer_of(name: str, request: pytest.FixtureRequest) -> Peer:
    """Return a peer by its name, with the server that it needs."""
    if name == "postgresql":
        return PostgresPeer(request.getfixturevalue("database"))
    if name == "tryton":
        return TrytonPeer(request.getfixturevalue("tryton"))
    emulator = request.getfixturevalue("emulator")
    if name == "hubspot":
        return HubSpotPeer(emulator)
    return SalesforcePeer(emulator, bulk_from=100 if name == "bulk" else 2000)


@pytest.fixture(name="stage")
def stage_(request: pytest.FixtureRequest, tmp_path: Path, record_property: Any) -> Iterator[Stage]:
    """A stage; what it saw goes into the test's report, for the table of results."""
    peer = peer_of(request.param, request)
    proxy = TcpProxy(peer.port) if request.param == "postgresql" else HttpProxy(peer.port)
    stage = Stage(request.param, peer, proxy, peer.project(tmp_path / "project", **peer.settings(proxy.port)))
    try:
        yield stage
        record_property("guarantee", (request.cls.__doc__ or "").strip())
        record_property("peer", request.param)
        record_property("requests", len(proxy.log))
        record_property("again", stage.expected_again)
    finally:
        stage.close()
