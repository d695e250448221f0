"""10,000 rows to the emulator while everything goes wrong at once, always in the same way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("crm.stages")
from crm.projects import lead_of, spread  # noqa: E402
from crm.rows import same  # noqa: E402
from crm.server_peers import HubSpotPeer  # noqa: E402
from crm.stages import Stage  # noqa: E402
from servers.emulator import Emulator  # noqa: E402
from servers.faults import answers, delays, drops, hangs, resets  # noqa: E402
from servers.proxy import HttpProxy  # noqa: E402

SEED = 5
ROWS = 10_000
STARTS = 40  # more would not be needed for what is planned to go wrong
MERGED, DELETED, POISONED = 4, 4, 6


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path) as emulator:
        yield emulator


@pytest.fixture
def stage(emulator: Emulator, tmp_path: Path, record_property: Any) -> Iterator[Stage]:
    peer = HubSpotPeer(emulator)
    proxy = HttpProxy(peer.port, seed=SEED)
    settings = {**peer.settings(proxy.port), "timeout": 2, "patience": "0.5m"}
    stage = Stage("hubspot", peer, proxy, peer.project(tmp_path / "project", **settings))
    try:
        yield stage
        record_property("guarantee", "10,000 rows under all faults at once")
        record_property("peer", "hubspot")
        record_property("requests", len(proxy.log))
        record_property("again", stage.again(ROWS))
    finally:
        stage.close()


def weather(stage: Stage) -> None:
    """Set what goes wrong on the way: about every seventh request."""
    every: Any = {"times": None}
    stage.proxy.set(
        answers(429, share=0.02, retry_after=1, **every), answers(429, share=0.01, **every),
        answers(503, share=0.02, **every), answers(502, share=0.01, page=True, **every),
        drops(share=0.02, **every), resets(share=0.02, **every),
        resets(share=0.02, forwarded=True, **every), hangs(share=0.004, **every),
        hangs(share=0.004, forwarded=True, **every), delays(0.3, share=0.02, **every),
    )  # fmt: skip


def test_ten_thousand_rows_arrive(stage: Stage, emulator: Emulator) -> None:
    dice = random.Random(SEED)
    survivors, keys = stage.peer.seed(MERGED), stage.seed(ROWS)
    special = dice.sample(keys, MERGED + DELETED + POISONED)
    merged, deleted = special[:MERGED], special[MERGED : MERGED + DELETED]
    poisoned = special[MERGED + DELETED :]
    for survivor, loser in zip(survivors, merged, strict=True):
        emulator.merge("contacts", survivor, loser, new=False)
    for key in deleted:
        stage.peer.delete(key)
    for number, key in enumerate(poisoned):
        emulator.fault("poison", record=key, how=("row", "batch", "conflict")[number % 3])
    there = set(stage.peer.records())
    for after in (15, 40):  # of its own, it dies in the middle of a batch
        emulator.fault("crash", when="during", path="batch/update$", body='"id"', after=after)
    weather(stage)
    statuses = run_until_done(stage, emulator, dice)
    assert statuses[-1] in (0, 6), statuses
    assert {-9, 5} & set(statuses)
    check_end(stage, keys, dict(zip(merged, survivors, strict=True)), deleted, poisoned)
    assert set(stage.peer.records()) == there


def run_until_done(stage: Stage, emulator: Emulator, dice: random.Random) -> list[int]:
    """Start it again and again; the first times it dies at a step of some batch."""
    statuses: list[int] = []
    while len(statuses) < STARTS:
        step = dice.choice(["intent", "answer", "settled"]) if len(statuses) < 6 else ""
        process = stage.start(kill_at=f"{step}:{dice.randrange(1, 15)}" if step else "")
        while process.poll() is None:
            emulator.start()  # if it died
            process.join(0.05)
        statuses.append(stage.finish(process).status if process.poll() != -9 else -9)
        if statuses[-1] in (0, 6):
            break
    return statuses


def check_end(
    stage: Stage, keys: list[str], merged: dict[str, str], deleted: list[str], poisoned: list[str]
) -> None:
    """Assert that the CRM is right to the last record, and that each field was written once."""
    stage.proxy.clear()
    wanted = {
        merged.get(key, key): stage.project.values(chance)
        for key, chance in spread(keys).items()
        if key not in deleted and key not in poisoned
    }
    held = stage.peer.scores(list(wanted))
    assert same(held, wanted)
    effects = Counter(stage.peer.effects() or ())
    assert max(effects.values()) == 1
    assert {key for key, _ in effects} == set(wanted)
    kinds = {(failure["lead_id"], failure["kind"]) for failure in stage.failures()}
    assert kinds == {(lead_of(key), "gone") for key in deleted} | {
        (lead_of(key), "refused") for key in poisoned
    }
    last = stage.sync()
    assert (last.status, last.account["pending"], last.account["sent"]) == (0, 0, 0)
