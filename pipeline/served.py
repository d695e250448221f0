"""How MLflow loads a bundle: by this module's name, from text files, with their digests checked.

The registered model is data only. MLflow imports this module from the installed application and
calls `_load_pyfunc`; nothing is unpickled and no copy of our code is imported under another name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import catalogue
from features.errors import BundleError, listed
from features.vocabulary import OTHER
from models.bundle import Bundle, bundle_digest


def read_bundle(folder: Path) -> tuple[Bundle, str]:
    """Read a bundle from a folder; return it with the digest of the whole.

    Raises
    ------
    BundleError
        The folder is not there, or a file is missing or altered.
    """
    if not folder.is_dir():
        raise BundleError(
            "There is no trained model here.", where=str(folder), todo="train one with `propense train`"
        )
    try:
        texts = {file.name: _text(file) for file in sorted(folder.iterdir()) if file.is_file()}
        return Bundle.from_texts(texts), bundle_digest(texts)
    except BundleError as error:
        raise BundleError(
            error.given, allowed=error.allowed, todo=error.todo, where=f"{folder} {error.where}".strip()
        ) from None


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        raise BundleError(
            f"The bundle is not what was trained: no text any more: {file.name}",
            todo="restore the bundle from where it was registered, or train again",
        ) from None


class ServedModel:
    """A bundle as MLflow's pyfunc: a feature table in, scores out."""

    def __init__(self, bundle: Bundle, digest: str) -> None:
        self.bundle = bundle
        self.digest = digest

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score features (n, p), given under the names of the bundle's catalogue; categories as text."""
        return self.bundle.score(self._typed(model_input))

    def get_raw_model(self) -> ServedModel:
        """Return itself: what MLflow hands out to those who want more than `predict`."""
        return self

    def _typed(self, table: pd.DataFrame) -> pd.DataFrame:
        features = catalogue(self.bundle.vocabulary)
        missing = [f.name for f in features if f.name not in table.columns]
        if missing:
            raise BundleError(f"Features are missing: {listed(missing)}.", allowed="all of the catalogue")
        columns = {
            f.name: _category(table[f.name], f.levels) if f.type == "category" else _number(table[f.name])
            for f in features
        }
        return pd.DataFrame(columns, index=table.index)


def _category(column: pd.Series, levels: tuple[str, ...]) -> pd.Categorical:
    """Read a category as text; a value never seen counts to the pool of rare ones, if there is one."""
    texts = column.astype(object).where(column.notna(), None)
    if OTHER in levels:
        texts = texts.where(texts.isin(levels) | texts.isna(), OTHER)
    return pd.Categorical(texts, categories=list(levels))


def _number(column: pd.Series) -> NDArray[np.float64]:
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise BundleError(
            f"The feature '{column.name}' holds text.", allowed="numbers, as in training",
            todo="give the features as `features.compute.frame` makes them",
        ) from None  # fmt: skip


def _load_pyfunc(data_path: str) -> ServedModel:
    return ServedModel(*read_bundle(Path(data_path)))
