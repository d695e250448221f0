"""Labels, weights and the loss that every model here is fitted and stopped by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError, UnsupportedData

Floats = NDArray[np.float64]
Stopping = tuple[pd.DataFrame, Sequence[int] | NDArray[Any]]


def zero_or_one(y: Sequence[int] | NDArray[Any]) -> Floats:
    """Return `y` as (n,) floats; raises `DataError` when a value is neither 0 nor 1."""
    result = np.asarray(y, dtype=np.float64)
    other = np.unique(result[~np.isin(result, (0.0, 1.0))])
    if len(other):
        raise DataError("A label is neither 0 nor 1.", where=f"for example {other[0]}", allowed="0 and 1")
    return result


def both_classes(y: Sequence[int] | NDArray[Any]) -> Floats:
    """Return `y` as (n,) floats 0 and 1, of which each occurs.

    Raises
    ------
    UnsupportedData
        When there is only one class, or no row.
    DataError
        When a value is neither 0 nor 1.
    """
    result = zero_or_one(y)
    found = np.unique(result)
    if len(found) < 2:
        only = f"only label {int(found[0])} in {len(result)} rows" if len(found) else "no row"
        raise UnsupportedData(
            f"Nothing can be learned: the training data has {only}.",
            allowed="leads that won and leads that did not",
            todo="Widen the training window, or check how wins are recorded.",
        )
    return result


def checked_weight(weight: Sequence[float] | Floats | None, rows: int) -> Floats:
    """Return (n,) weights, all 1 by default; raises `DataError` when one is not positive and finite."""
    if weight is None:
        return np.ones(rows)
    result = np.asarray(weight, dtype=np.float64)
    if result.shape != (rows,) or not np.isfinite(result).all() or (result <= 0).any():
        raise DataError(
            "A sample weight cannot be used.", allowed=f"{rows} positive finite numbers, one for each row"
        )
    return result


def log_losses(y: Floats, margin: Floats) -> Floats:
    """Return (n,) log losses in nats, ``log(1 + exp(margin)) - y * margin``, without overflow."""
    return np.logaddexp(0.0, margin) - y * margin
