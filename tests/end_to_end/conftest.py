"""What the end-to-end tests share: each expensive training happens once, whichever worker asks first."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import Once, World

from pipeline.demo import demo


def pytest_configure(config: pytest.Config) -> None:
    # Ibis 12 still asks for an option that pandas 3 has deprecated; nothing of ours can help it.
    config.addinivalue_line("filterwarnings", r"ignore:The 'future.infer_string' option is deprecated")


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once for all workers: the first makes it, the others wait. None may change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def world(once: Once) -> World:
    """The demo on 3,000 leads, with its closing screen in ``screen.txt``."""

    def make(folder: Path) -> None:
        screen = io.StringIO()
        folder.mkdir()
        with contextlib.redirect_stdout(screen):
            demo(folder, 3000, 3, folder / "out put", lambda message: None)
        (folder / "screen.txt").write_text(screen.getvalue(), "utf-8")

    return World(once("simulated world", make))
