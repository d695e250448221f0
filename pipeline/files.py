"""Files that are either there whole or not at all, and results that only change together."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PART = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; put it in place only when the block ended well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    part = Path(name)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield part
        part.chmod(0o644)
        part.replace(path)
    finally:
        os.close(handle)
        part.unlink(missing_ok=True)


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """Give an empty folder inside `folder` in which results wait until all of them are complete.

    It is removed when the block ends, with all that was not put in place. As long as this process
    lives the folder is locked, which tells others that it is no leftover.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=PART, dir=folder))
    handle = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield part
    finally:
        os.close(handle)
        shutil.rmtree(part, ignore_errors=True)


def leftovers(folder: Path) -> list[Path]:
    """Return what killed processes left half-written in `folder`; what a living one writes is not."""
    found = sorted(folder.glob(f".*{PART}")) if folder.is_dir() else []
    return [path for path in found if not _in_use(path)]


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder`."""
    for path in leftovers(folder):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _in_use(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # finished, and gone, in this moment
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def publish(staged: Path, folder: Path, seal: str) -> None:
    """Move all that is in `staged` to its place in `folder`; the file `seal` goes first and comes last.

    So whoever finds the seal finds everything that it speaks of, also after a kill in between;
    then what is left in `staged` can be published again.
    """
    (folder / seal).unlink(missing_ok=True)
    names = sorted(path.name for path in staged.iterdir() if not path.name.startswith("."))
    for name in sorted(names, key=lambda name: name == seal):
        new, place = staged / name, folder / name
        if place.is_dir():  # a folder cannot be replaced by a rename, so the old one steps aside
            place.rename(Path(tempfile.mkdtemp(prefix=".old.", dir=staged)) / name)
        new.replace(place)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change what belongs together in `folder`; the others wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block has ended: for steps that belong together."""
    if threading.current_thread() is not threading.main_thread():  # signals do not reach this one
        yield
        return
    came: list[int] = []
    before = {
        int(which): signal.signal(which, lambda number, frame: came.append(number))
        for which in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as part:
        part.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; numbers that are not finite become null."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return `value` as plain Python, with NaN and infinities replaced by None, all the way down."""
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and not abs(plain) < float("inf"):
        return None
    return plain


def write_parquet(path: Path, table: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a Parquet file atomically, with exactly the columns and types of `schema`."""
    if table.empty:  # without rows, pandas does not say what a column would hold
        arrow = schema.empty_table()
    else:
        arrow = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False)
    with replacing(path) as part:
        pq.write_table(arrow.replace_schema_metadata(schema.metadata), part)
