"""A simulated CRM after the whole job, and how results are read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import Config
from pipeline.configuring import read_config
from pipeline.results import read_table

Once = Callable[[str, Callable[[Path], None]], Path]


@dataclass(frozen=True)
class World:
    """A simulated CRM after the whole job has run once, and what was left behind."""

    folder: Path

    now = datetime(2026, 6, 30)

    @property
    def crm(self) -> Path:
        return self.folder / "crm"

    @property
    def output(self) -> Path:
        return self.folder / "out put"

    @property
    def config(self) -> Config:
        return read_config(self.crm / "propense.toml").model_copy(update={"root": self.crm})

    @property
    def account(self) -> dict[str, Any]:
        return read_json(self.output / "train.json")

    def table(self, name: str) -> pd.DataFrame:
        """A result, times as naive UTC."""
        return read_table(self.output / name)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
