"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    # Ibis 12 still calls the old name of a method that DuckDB 2 has renamed; nothing of ours can help it.
    config.addinivalue_line(
        "filterwarnings", r"ignore:fetch_arrow_table\(\) is deprecated:DeprecationWarning"
    )
    # MLflow 3 describes its tables with an option that SQLAlchemy has deprecated.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")


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
