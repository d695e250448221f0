"""What the leak guard is judged on is what it claims to be: traps know the outcome, honest plants do not."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from project import NOW, company, write_project

from pipeline.configuring import read_config
from pipeline.source.dataset import load

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DAY = pd.Timedelta(1, "D")


@pytest.fixture(scope="module")
def planting() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("planting")


@pytest.fixture(scope="module")
def worlds(planting: ModuleType) -> ModuleType:
    return importlib.import_module("guard_worlds")


def fates_of(n: int, seed: int = 0) -> pd.DataFrame:
    """Leads that come for 100 days, are won after 60 days on average or lost after 20, seen on day 100."""
    rng = np.random.default_rng(seed)
    clock = rng.uniform(0, 100, n)
    win, loss = rng.exponential(60, n), rng.exponential(20, n)
    age = np.minimum(win, loss)
    closed = clock + age <= 100
    created = pd.Timestamp("2024-01-01") + pd.Series(pd.to_timedelta(clock, "D"))
    closed_at = (created + pd.Series(pd.to_timedelta(age, "D"))).where(closed)
    until = closed_at.fillna(pd.Timestamp("2024-01-01") + 100 * DAY)
    return pd.DataFrame({
        "lead_id": [f"l{i}" for i in range(n)], "clock": clock, "created_at": created, "until": until,
        "closed_at": closed_at, "closed": closed, "won": closed & (win < loss), "true end": win < loss,
    })  # fmt: skip


@pytest.fixture(scope="module")
def world(worlds):
    """A world without files: 30,000 leads, so that an AUC is sure to a hundredth."""
    fates = fates_of(30_000)
    fates["eventual"] = worlds.eventual(fates, np.random.default_rng(1))
    activities = pd.DataFrame({"lead_id": fates["lead_id"], "kind": "visit", "occurred_at": fates["until"]})
    until = pd.Timestamp("2024-01-01") + 100 * DAY
    return worlds.World("drawn", None, pd.DataFrame(), fates, activities, until)


def made(planting, world, what):
    [one] = [p for p in planting.PLANTS if p.what == what]
    return one.make(world, np.random.default_rng(7))


def test_open_leads_are_drawn_an_end_with_the_odds_of_those_that_were_still_open(world):
    still_open = world.fates[~world.fates["closed"]]

    # Whatever its age, an open lead is won with (1/60) / (1/60 + 1/20) = 1/4.
    assert still_open["eventual"].mean() == pytest.approx(0.25, abs=0.02)
    assert still_open["true end"].mean() == pytest.approx(0.25, abs=0.02)
    assert (world.fates["eventual"] == world.fates["won"])[world.fates["closed"]].all()


@pytest.mark.parametrize(
    ("trap", "twin"),
    [
        ("copy of the outcome, 5 % flipped", "twin of the copy, 5 % flipped"),
        ("copy of the outcome, 15 % flipped", "twin of the copy, 15 % flipped"),
        ("score as of today", "twin of the score"),
    ],
)
def test_a_trap_and_its_honest_twin_separate_decided_leads_alike(planting, worlds, world, trap, twin):
    closed = world.fates["closed"]
    won = world.fates.loc[closed, "won"]
    found = [worlds.auc(made(planting, world, what)[closed], won) for what in (trap, twin)]

    assert found[0] == pytest.approx(found[1], abs=0.02)


@pytest.mark.parametrize("target", [0.75, 0.85, 0.92, 0.96])
def test_an_honest_number_has_the_auc_that_its_name_says(planting, worlds, world, target):
    column = made(planting, world, f"number, AUC {target}")

    assert worlds.auc(column, world.fates["eventual"]) == pytest.approx(target, abs=0.01)


def test_a_trap_treats_open_leads_as_not_won_and_its_twin_as_what_they_will_be(planting, world):
    still_open = ~world.fates["closed"]
    trap, twin = (
        (made(planting, world, what)[still_open] == "yes").mean()
        for what in ("copy of the outcome, 5 % flipped", "twin of the copy, 5 % flipped")
    )

    assert trap == pytest.approx(0.05, abs=0.02)
    assert twin == pytest.approx(0.25 * 0.95 + 0.75 * 0.05, abs=0.02)  # a quarter of them will be won


@pytest.mark.parametrize(
    ("what", "won", "lost"),
    [
        ("filled after winning", 1.0, 0.0),
        ("filled after 60 % of wins", 0.6, 0.0),
        ("filled after losing", 0.0, 1.0),
        ("closing note of any outcome", 1.0, 1.0),
    ],
)
def test_fields_that_outcomes_fill_are_empty_for_open_leads(planting, world, what, won, lost):
    filled = made(planting, world, what).notna()
    fates = world.fates

    assert not filled[~fates["closed"]].any()
    assert filled[fates["won"]].mean() == pytest.approx(won, abs=0.02)
    assert filled[fates["closed"] & ~fates["won"]].mean() == pytest.approx(lost, abs=0.02)


def test_the_number_that_grows_with_time_never_falls(planting, world):
    numbers = made(planting, world, "number that grows with time")

    in_order = numbers[world.fates["clock"].argsort()]
    assert in_order.is_monotonic_increasing
    assert in_order.max() > 20 * len(in_order)  # or the reader would take it for a plain id


@pytest.mark.parametrize("what", ["kind of the open life", "request hours before many wins"])
def test_honest_activities_happen_while_the_lead_is_open_and_not_to_winners_alone(planting, world, what):
    rows = made(planting, world, what).merge(world.fates, "left", "lead_id")

    assert (rows["occurred_at"] >= rows["created_at"]).all()
    assert (rows["occurred_at"] <= rows["until"]).all()
    assert rows.loc[rows["closed"], "won"].mean() < 0.9


@pytest.mark.parametrize(
    ("what", "low", "high", "only_won"),
    [
        ("kind 2 min before a win", -2 / 1440, -2 / 1440, True),
        ("kind after a win", 1 / 1440, 10, True),
        ("kind around any outcome", -3 / 1440, 3 / 1440, False),
        ("kind of wins, backdated 1 to 5 days", -5, -1, True),
        ("activities of won leads, backdated", -1, -1, True),
    ],
)
def test_planted_kinds_keep_their_distance_to_the_outcome(planting, world, what, low, high, only_won):
    rows = made(planting, world, what).merge(world.fates, "left", "lead_id")
    after = (rows["occurred_at"] - rows["closed_at"]) / DAY
    at_start = rows["occurred_at"] <= rows["created_at"] + pd.Timedelta(1, "s")  # nothing before the lead

    assert rows["closed"].all()
    assert rows["won"].all() == only_won
    assert (after[~at_start] >= low - 1e-6).all()
    assert (after[~at_start] <= high + 1e-6).all()


def test_every_plant_is_read_under_its_name(planting, worlds, tmp_path):
    leads, outcomes = company(120)
    project = write_project(tmp_path, leads=leads, outcomes=outcomes, activities=None)
    world = worlds.read_world("tiny", read_config(project), NOW)
    plants = [p for p in planting.PLANTS if p.fits(world)]
    planted = planting.plant(world, plants, tmp_path, seed=0)
    dataset = load(planted.config, NOW)

    attributes = {a.name.split("·")[0] for a in dataset.tables.attributes}
    kinds = {k.removeprefix("kind of ") for k in dataset.activities_all.kind.execute()}
    assert len(planted.names) == len(plants) > 25
    assert set(planted.names.values()) <= attributes | kinds
    assert not [f for f in dataset.findings if f.level == "error"]


def test_a_flat_world_has_open_rows_whose_label_is_not_seen(planting, worlds, tmp_path):
    rows = "\n".join(f"{i}, {i % 3 == 0:d}, {i % 7}" for i in range(200))
    (tmp_path / "flat.csv").write_text("id,label,x\n" + rows.replace(" ", ""), "utf-8")
    (tmp_path / "propense.toml").write_text(
        '[project]\nname = "flat"\n[leads]\ntable = "flat.csv"\nid = "id"\nlabel = "label"\n'
        'order_by = "row"\n',
        "utf-8",
    )
    world = worlds.with_open_rows(worlds.read_world("flat", read_config(tmp_path / "propense.toml"), NOW))
    planted = planting.plant(world, planting.PLANTS[:1], tmp_path, seed=0)
    dataset = load(planted.config, NOW)

    assert int(dataset.labels.open.sum().execute()) == 40
    assert int(dataset.labels.label.count().execute()) == 160
    assert not planted.columns["f01"].tail(40).notna().any()  # the newest rows: nothing was won yet
