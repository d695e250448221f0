"""A storm of 60 real seconds in which every request is answered with 429."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("crm.stages")
from crm.server_peers import HubSpotPeer  # noqa: E402
from crm.stages import Stage  # noqa: E402
from servers.emulator import Emulator  # noqa: E402
from servers.faults import answers  # noqa: E402
from servers.proxy import HttpProxy  # noqa: E402
from servers.proxying import Seen  # noqa: E402

SECONDS = 60
ASKED = 7  # seconds that an answer asks to wait
# So many requests in so many seconds are allowed: fewer than HubSpot allows, so that a program that keeps to
# no limit is sure to exceed it. Sent are a few less, since the way there takes now longer and now shorter.
WINDOW, MOST, SENT = 10.0, 40, 38
ROWS = 3000


@pytest.fixture
def stages(tmp_path: Path, record_property: Any) -> Iterator[dict[str, Stage]]:
    """The same stage twice, each with an emulator of its own: both storms rage at once."""
    made: dict[str, Stage] = {}
    emulators = []
    try:
        for name in ("with Retry-After", "without"):
            folder = tmp_path / name.replace(" ", "-")
            folder.mkdir()
            emulator = Emulator(folder)
            emulators.append(emulator)
            emulator.start()
            emulator.set(hubspot_rate_limit=MOST)
            peer = HubSpotPeer(emulator)
            proxy = HttpProxy(peer.port)
            settings = {**peer.settings(proxy.port), "patience": "5m", "per_10_seconds": SENT}
            project = peer.project(folder / "project", **settings)
            made[name] = Stage("hubspot", peer, proxy, project)
        yield made
        record_property("guarantee", "429 storm of 60 s")
        record_property("peer", "hubspot")
        record_property("requests", sum(len(stage.proxy.log) for stage in made.values()))
        record_property("again", sum(stage.again(ROWS) or 0 for stage in made.values()))
    finally:
        for stage in made.values():
            stage.close()
        for emulator in emulators:
            emulator.stop()


@pytest.mark.xdist_group("storm")
def test_a_storm_is_waited_out(stages: dict[str, Stage]) -> None:
    keys = {name: stage.seed(ROWS) for name, stage in stages.items()}
    running = {}
    for name, stage in stages.items():
        asked = ASKED if name.startswith("with ") else None
        # It begins after the first batches are written.
        storm = answers(429, times=None, lasts=SECONDS, retry_after=asked, behind='batch/update\n.*"id"')
        stage.proxy.set(storm)
        running[name] = stage.start()
    for name, stage in stages.items():
        outcome = stage.finish(running[name])
        assert (outcome.status, outcome.counts) == (0, {"sent": ROWS}), outcome.said
        stage.check_arrived(keys[name])
        assert stage.again(ROWS) == 0
        log = stage.proxy.log
        refused = [seen for seen in log if seen.status == 429]
        assert len(refused) >= 3
        assert SECONDS * 0.5 < refused[-1].at - refused[0].at <= SECONDS  # it was a storm
        check_window(seen.at for seen in log)
        check_not_early(log)
    # Who is not told how long comes back less and less often, but at least once a minute.
    assert len([seen for seen in stages["without"].proxy.log if seen.status == 429]) < 20


def check_window(times: Iterable[float]) -> None:
    """Assert that no window of 10 s has more requests than are allowed, the refused ones included."""
    ordered = sorted(times)
    for first, last in zip(ordered, ordered[MOST:], strict=False):
        assert last - first >= WINDOW, f"more than {MOST} requests in {last - first:.2f} s"


def check_not_early(log: list[Seen]) -> None:
    """Assert that after an answer that asks to wait nothing is asked before."""
    for seen, after in pairwise(log):
        if seen.retry_after is not None:
            assert seen.answered is not None
            assert after.at >= seen.answered + seen.retry_after, "a request came before it was asked for"
