"""What a training leaves in its output folder, and how all of it changes at once.

Everything waits in a staging folder until the model is registered. Then the model becomes champion,
which decides the training, and the results move to their places, ``train.json`` last. A run that
was killed before that moment has changed nothing; one killed after it is finished by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import leftovers, locked, publish, staging, sweep, uninterrupted, write_json
from pipeline.registry import Registry

ACCOUNT = "train.json"
# Where a run keeps, in MLflow, all that its report can be made of again.
KEPT = "account"
_STAGED = "training"


@contextmanager
def new_results(folder: Path) -> Iterator[Path]:
    """Give a folder for the results of one training; what is not kept is removed."""
    with staging(folder, _STAGED) as staged:
        yield staged


def keep(staged: Path, folder: Path, registry: Registry, account: dict[str, Any]) -> None:
    """Make the registered model champion, and put the results of its training in their places."""
    write_json(staged / ACCOUNT, account)
    with uninterrupted(), locked(folder):
        registry.promote(account["model"]["version"])
        publish(staged, folder, ACCOUNT)


def recover(folder: Path, registry: Registry) -> None:
    """Finish what a killed training had decided, and remove what killed runs left half-written."""
    if not leftovers(folder):
        return
    with uninterrupted(), locked(folder):
        for part in leftovers(folder):
            version = _version(part)
            if version is not None and version == registry.champion_version():
                publish(part, folder, ACCOUNT)
        sweep(folder)


def _version(part: Path) -> str | None:
    """Return the version that a staged training registered, or None if it did not come so far."""
    account = part / ACCOUNT
    return json.loads(account.read_text("utf-8"))["model"]["version"] if account.is_file() else None


def read_table(path: Path) -> pd.DataFrame:
    """Read a result back: times as naive UTC, nested values as plain Python."""
    table = pq.read_table(path)
    frame = table.to_pandas()
    for name in table.schema.names:
        kind = table.schema.field(name).type
        if pa.types.is_nested(kind):
            frame[name] = pd.Series(table[name].to_pylist(), index=frame.index, dtype=object)
        elif pa.types.is_timestamp(kind) and kind.tz:
            frame[name] = frame[name].dt.tz_convert(None)
    return frame
