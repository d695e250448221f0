"""Finished folds on disk: what a backtest that was stopped does not have to do again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import SHOWN_ONLY, Config
from pipeline.files import finite, sweep, write_json, write_parquet

FOLDER = "backtest"

# What the models say of each snapshot.
NUMBERS = (
    "margin", "propensity", "propensity_low", "propensity_high", "logistic", "base_rate", "rules", "points",
    "points_refitted",
)  # fmt: skip
FOLD_ROWS = pa.schema(
    [
        ("snapshot", pa.int64()),
        ("fold", pa.string()),
        ("lead_id", pa.string()),
        ("group_id", pa.string()),
        ("as_of", pa.timestamp("us")),
        ("opened_at", pa.timestamp("us")),
        ("label", pa.int8()),
        ("passes", pa.bool_()),
        *((name, pa.float64()) for name in (*NUMBERS, "refitted")),
    ]
)


def digest(value: Any) -> str:
    """Return a digest of anything that JSON can say."""
    text = json.dumps(finite(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def procedure(config: Config) -> str:
    """Return the digest of the procedure: all that the configuration decides about a training.

    Of the windows' dates only the first counts: the others are those of one training.
    """
    exclude = {**SHOWN_ONLY, "backtest": True, "windows": True}
    decided = config.model_dump(mode="json", exclude=exclude)
    del decided["hygiene"]["effects"]
    first = config.windows.train_from
    return digest({**decided, "split": config.split, "train_from": first.isoformat() if first else None})


class Store:
    """The finished folds of one backtest: of this data, this configuration and this version.

    Folds of any other are removed: they say nothing about this one.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder / FOLDER / digest(key)[:16]
        if self.folder.parent.is_dir():
            for other in self.folder.parent.iterdir():
                if other.is_dir() and other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)
        sweep(self.folder)

    def has(self, name: str) -> bool:
        """Return whether a fold is finished: its account is written last."""
        return self._account(name).is_file()

    def put(self, name: str, account: dict[str, Any], rows: pd.DataFrame) -> None:
        """Write a finished fold."""
        schema = FOLD_ROWS
        for column in ("night", "waiting_since"):
            moment = pd.api.types.is_datetime64_any_dtype(rows[column])
            schema = schema.append(pa.field(column, pa.timestamp("us") if moment else pa.int64()))
        write_parquet(self._rows(name), rows, schema)
        write_json(self._account(name), account)

    def get(self, name: str) -> tuple[dict[str, Any], pd.DataFrame]:
        """Read a finished fold."""
        account: dict[str, Any] = json.loads(self._account(name).read_text("utf-8"))
        return account, pq.read_table(self._rows(name)).to_pandas()

    def _account(self, name: str) -> Path:
        return self.folder / f"fold-{name}.json"

    def _rows(self, name: str) -> Path:
        return self.folder / f"fold-{name}.parquet"
