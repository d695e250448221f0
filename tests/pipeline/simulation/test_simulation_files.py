"""One folder, written all at once, the same for the same seed."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from features.errors import ConfigurationError
from pipeline.simulation import simulate
from pipeline.simulation.files import MARKER, replaced

FILES = {
    "accounts.csv",
    "crm.sqlite",
    "history.csv",
    "leads.csv",
    "marketing.parquet",
    "outcomes.csv",
    "sales.csv",
    "stages.csv",
    "truth/hygiene.parquet",
    "truth/truth.parquet",
    "truth/world.json",
    "web.parquet",
    MARKER,
}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_files_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(300, seed, tmp_path / name)
    a, b, c = (digests(tmp_path / name) for name in "abc")
    assert set(a) == FILES
    assert a == b
    # the world is the same in each, and an empty CRM with as many leads too
    assert {name for name in FILES if a[name] == c[name]} == {"truth/world.json", "crm.sqlite"}


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ConfigurationError, match="not empty"):
        simulate(50, 1, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_simulating_again_replaces_the_simulation_and_keeps_what_others_put_there(tmp_path: Path) -> None:
    folder = tmp_path / "crm"
    simulate(50, 1, folder)
    (folder / "propense.toml").write_text("[project]")
    old = digests(folder)
    simulate(60, 2, folder)
    new = digests(folder)
    assert new["propense.toml"] == old["propense.toml"]
    assert new["leads.csv"] != old["leads.csv"]
    assert set(new) == FILES | {"propense.toml"}
    assert [path.name for path in tmp_path.iterdir()] == ["crm"]


def test_an_interrupted_run_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "crm"
    simulate(50, 1, folder)
    before = digests(folder)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(60, 2, folder, progress=interrupt)
    assert digests(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["crm"]


def test_an_empty_folder_may_be_used_and_a_file_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with replaced(tmp_path / "empty") as folder:
        (folder / "x").write_text("1")
    assert (tmp_path / "empty" / "x").read_text() == "1"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="is a file"), replaced(tmp_path / "file"):
        pass


@pytest.mark.parametrize(("leads", "seed"), [(0, 1), (-5, 1), (10**9, 1), (10, -1)])
def test_numbers_out_of_range_are_refused(tmp_path: Path, leads: int, seed: int) -> None:
    with pytest.raises(ConfigurationError):
        simulate(leads, seed, tmp_path / "crm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("leads", [1, 2, 7])
def test_a_handful_of_leads_can_be_simulated(tmp_path: Path, leads: int) -> None:
    summary = simulate(leads, 3, tmp_path / "crm")
    assert summary.leads == leads == summary.won + summary.lost + summary.disqualified + summary.open


def test_progress_is_reported(tmp_path: Path) -> None:
    said: list[str] = []
    simulate(50, 1, tmp_path / "crm", progress=said.append)
    assert said == ["50 of 50 leads simulated"]


def test_the_crm_database_has_every_lead_and_empty_score_fields(crm: Path) -> None:
    with closing(sqlite3.connect(crm / "crm.sqlite")) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(leads)")]
        count, filled = database.execute("SELECT count(*), count(propense_score) FROM leads").fetchone()
    assert columns == [
        "lead_id",
        "propense_propensity",
        "propense_score",
        "propense_band",
        "propense_grade",
        "propense_reasons",
        "propense_model_version",
        "propense_as_of",
        "propense_run_id",
        "propense_run_sequence",
    ]
    assert (count, filled) == (6_000, 0)
