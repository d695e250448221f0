"""What all tests share."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import Once, World

ROOT = Path(__file__).resolve().parents[1]
# The report made of a whole world and opened in a browser: a suite of its own, `make test-report`.
PAGES = (ROOT / "tests" / "browser", ROOT / "tests" / "end_to_end" / "test_report.py")


def pytest_configure(config: pytest.Config) -> None:
    # Ibis 12 still calls the old name of a method that DuckDB 2 has renamed; nothing of ours can help it.
    config.addinivalue_line(
        "filterwarnings", r"ignore:fetch_arrow_table\(\) is deprecated:DeprecationWarning"
    )
    # MLflow 3 describes its tables with an option that SQLAlchemy has deprecated.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")
    # Ibis 12 still asks for an option that pandas 3 has deprecated.
    config.addinivalue_line("filterwarnings", r"ignore:The 'future.infer_string' option is deprecated")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the suite of the report, and keep tests that share an expensive world on one worker."""
    for item in items:
        if any(item.path.is_relative_to(place) for place in PAGES):
            item.add_marker(pytest.mark.page)
        names = set(getattr(item, "fixturenames", ()))
        if names & {"world", "opened"}:  # the pages that are opened are the world's
            item.add_marker(pytest.mark.xdist_group("world"))
        elif "once" in names:
            item.add_marker(pytest.mark.xdist_group("examples"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data sets: ``PROPENSE_REAL_DATA``, else ``../shared/data`` beside the project.

    Where it is absent the test is skipped with a message, but in CI it fails: a build that quietly
    tested nothing on real data must not pass.
    """
    folder = Path(os.environ.get("PROPENSE_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"no real data at {folder}; set PROPENSE_REAL_DATA to the folder that holds bpic2012/"
        if os.environ.get("CI"):
            pytest.fail(f"in CI: {message}")
        pytest.skip(message)
    return folder


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

    from pipeline.demo import demo  # heavy: only those who need a world pay

    def make(folder: Path) -> None:
        screen = io.StringIO()
        folder.mkdir()
        with contextlib.redirect_stdout(screen):
            demo(folder, 3000, 3, folder / "out put", lambda message: None)
        (folder / "screen.txt").write_text(screen.getvalue(), "utf-8")

    return World(once("simulated world", make))
