"""Ctrl-C, SIGTERM and SIGKILL at any point: the folder holds one whole training, and the next run works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic import features, learned
from worlds import read_json

from models.bundle import Bundle
from pipeline.files import leftovers, staging
from pipeline.registry import Registry
from pipeline.results import keep, read_table, recover
from pipeline.served import read_bundle

START = "from pipeline.cli import main; main()"


def consistent(folder: Path) -> str | None:
    """Check that all that is under a final name belongs together; return the account's version."""
    registry = Registry(folder, "simulated")
    if not (folder / "train.json").exists():
        return None
    account = read_json(folder / "train.json")
    bundle, digest = read_bundle(folder / "bundle")
    assert account["model"]["bundle_digest"] == digest
    test = read_table(folder / "test_predictions.parquet").query("part == 'test'")
    assert len(test) == account["windows"]["test"]["snapshots"]
    assert registry.champion().version == account["model"]["version"]
    assert registry.champion().bundle.to_texts() == bundle.to_texts()
    return str(account["model"]["version"])


class TestSignals:
    """A training in its own process, stopped when it says that it has come to a stage."""

    @pytest.fixture
    def output(self, world: Any, tmp_path: Path) -> Path:
        return Path(shutil.copytree(world.output, tmp_path / "output"))

    def stopped(
        self, world: Any, output: Path, number: signal.Signals, stage: str, after: float = 0.0
    ) -> tuple[int, str]:
        arguments = ["train", "--config", str(world.crm / "propense.toml"), "--output", str(output)]
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if key != "PROPENSE_DATA"},
        )
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if stage in line:
                time.sleep(after)
                process.send_signal(number)
                break
        _, rest = process.communicate(timeout=60)
        return process.returncode, said + rest

    @pytest.mark.parametrize(
        ("number", "stage", "after"),
        [
            (signal.SIGINT, "reading the tables", 0.3),
            (signal.SIGTERM, "computing features", 1.0),
            (signal.SIGINT, "training on", 1.0),
        ],
    )
    def test_ctrl_c_and_sigterm_end_with_130_and_leave_everything_as_it_was(
        self, world: Any, output: Path, number: signal.Signals, stage: str, after: float
    ) -> None:
        before = {path.name for path in output.iterdir()}
        status, said = self.stopped(world, output, number, stage, after)
        assert status == 130, said
        assert "Traceback" not in said
        assert "run the same command again" in said
        assert {path.name for path in output.iterdir()} == before
        assert consistent(output) == "1"

    def test_killed_it_leaves_rubbish_that_the_next_run_removes(self, world: Any, output: Path) -> None:
        before = {path.name for path in output.iterdir()}
        status, _ = self.stopped(world, output, signal.SIGKILL, "computing features", 0.5)
        assert status == -signal.SIGKILL
        assert consistent(output) == "1"
        assert len(leftovers(output)) == 1
        recover(output, Registry(output, "simulated"))
        assert {path.name for path in output.iterdir()} == before
        assert consistent(output) == "1"


def trained(folder: Path, bundle: Bundle, registry: Registry, staged: Path) -> dict[str, Any]:
    """Stage and register what a training of `bundle` leaves; return its account."""
    (staged / "bundle").mkdir()
    for name, text in bundle.to_texts().items():
        (staged / "bundle" / name).write_bytes(text.encode())
    rows = pd.DataFrame({"part": ["test"], "as_of": [pd.Timestamp("2026-01-01")]})
    rows["as_of"] = rows["as_of"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    rows.to_parquet(staged / "test_predictions.parquet")
    with registry.run("train"):
        version = registry.register(bundle, bundle.to_texts(), staged / "bundle", features(5))
    digest = read_bundle(staged / "bundle")[1]
    return {
        "model": {"version": version, "bundle_digest": digest},
        "windows": {"test": {"snapshots": 1}},
    }


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it but what a new process does."""


@pytest.fixture(scope="module")
def bundles() -> list[Bundle]:
    return [learned(seed=seed).bundle for seed in (0, 1)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, bundles: list[Bundle]) -> Path:
    """The folder after one training."""
    folder = tmp_path_factory.mktemp("first")
    registry = Registry(folder, "simulated")
    with staging(folder, "training") as staged:
        keep(staged, folder, registry, trained(folder, bundles[0], registry, staged))
    assert consistent(folder) == "1"
    return folder


class TestTheLastSteps:
    """Killed between any two steps of putting a new training in the place of an old one."""

    # The steps after registering: promote, then unlink, rename, rename, rename, replace (see publish).
    @pytest.mark.parametrize("step", range(7))
    def test_the_next_run_finds_one_whole_training(
        self, first: Path, tmp_path: Path, bundles: list[Bundle], step: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Path(shutil.copytree(first, tmp_path / "output"))
        registry = Registry(folder, "simulated")
        staged = folder / ".training.killed.part"
        staged.mkdir()
        account = trained(folder, bundles[1], registry, staged)
        steps: list[str] = []

        def breaking(owner: Any, name: str) -> None:
            original = getattr(owner, name)

            def one_step(self: Any, *arguments: Any, **named: Any) -> Any:
                if staged in (self, *getattr(self, "parents", ())) and self.suffix == ".part":
                    return original(self, *arguments, **named)  # of writing train.json where it waits
                if len(steps) == step:
                    raise Killed
                steps.append(name)
                return original(self, *arguments, **named)

            monkeypatch.setattr(owner, name, one_step)

        breaking(Registry, "promote")
        for name in ("unlink", "rename", "replace"):
            breaking(Path, name)
        try:
            keep(staged, folder, registry, account)
            survived = True
        except Killed:
            survived = False
        monkeypatch.undo()
        assert survived == (step == 6)
        # What others see before any of us runs again: no account, or one of what is beside it.
        if (folder / "train.json").exists():
            seen = read_json(folder / "train.json")["model"]["bundle_digest"]
            assert seen == read_bundle(folder / "bundle")[1]

        recover(folder, Registry(folder, "simulated"))
        assert consistent(folder) == ("1" if step == 0 else "2")
        assert leftovers(folder) == []
