"""One simulated CRM that the tests of the simulation read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline.simulation import simulate


@pytest.fixture(scope="session")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "crm"
    simulate(6_000, 11, folder)
    return folder


@pytest.fixture(scope="session")
def table(crm: Path) -> Callable[[str], pd.DataFrame]:
    """Read one table of the simulated CRM, its times as times."""

    def read(name: str) -> pd.DataFrame:
        path = crm / name
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        for column in ("created_at", "occurred_at", "closed_at", "at", "known_at"):
            if column in frame:
                frame[column] = pd.to_datetime(frame[column], utc=True)
        return frame

    return read
