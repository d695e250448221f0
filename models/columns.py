"""The columns a model was trained on: their names, their types, and how they become numbers.

LightGBM refuses many characters in names, aborts the process on text, and reads categories by the
order of their levels. So names stay on this side, and the trees only ever see one matrix of
floats: numbers as they are, categories as the position of their level among the training levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import BundleError, ConfigurationError, DataError, listed, nearest
from models.labels import Floats


def is_number(column: pd.Series) -> bool:
    """Whether `column` holds numbers or flags."""
    return bool(pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype))


def is_category(column: pd.Series) -> bool:
    """Whether `column` holds categories."""
    return isinstance(column.dtype, pd.CategoricalDtype)


@dataclass(frozen=True)
class Columns:
    """Names in training order, and the levels of each categorical column (as text, in order)."""

    names: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, X: pd.DataFrame) -> Columns:
        """Return the columns of a training table.

        Raises
        ------
        DataError
            When a name occurs twice or a column is neither a number nor a category.
        """
        names = tuple(str(name) for name in X.columns)
        if len(set(names)) < len(names):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            raise DataError(f"Column names occur twice: {listed(twice)}", allowed="each name once")
        if not names:
            raise DataError("There is no feature column.", allowed="at least one")
        other = [name for name, (_, column) in zip(names, X.items(), strict=True) if not _readable(column)]
        if other:
            raise DataError(
                f"{len(other)} feature columns are neither numbers nor categories.",
                where=listed(f"{name} ({X.iloc[:, names.index(name)].dtype})" for name in other),
                allowed="float, int, bool or pandas category",
                todo="Convert text with astype('category').",
            )
        found = zip(names, (column for _, column in X.items()), strict=True)
        levels = {
            name: tuple(str(level) for level in c.cat.categories) for name, c in found if is_category(c)
        }
        return cls(names, levels)

    def matrix(self, X: pd.DataFrame) -> Floats:
        """Return `X` as an (n, p) float matrix in training order; what is missing or unseen is NaN.

        Raises
        ------
        BundleError
            Naming the columns that are missing or whose type has changed. Extra
            columns are ignored and the order does not matter.
        """
        self._check(X)
        result = np.empty((len(X), len(self.names)), order="F")
        for position, name in enumerate(self.names):
            result[:, position] = self._numbers(X[name], name)
        return result

    def positions(self) -> list[int]:
        """Return the positions of the categorical columns."""
        return [position for position, name in enumerate(self.names) if name in self.levels]

    def signs(self, directions: Mapping[str, int]) -> list[int]:
        """Return the direction of every column: +1, -1, or 0 where there is none.

        Raises
        ------
        ConfigurationError
            When a direction names an unknown or categorical column, or is not -1, 0 or +1.
        """
        for name, sign in directions.items():
            if name not in self.names:
                raise ConfigurationError(
                    f"A direction is given for '{name}', which is no feature.", todo=nearest(name, self.names)
                )
            if name in self.levels and sign:
                raise ConfigurationError(
                    f"A direction is given for '{name}', which is a category.", allowed="numeric features"
                )
            if sign not in (-1, 0, 1):
                raise ConfigurationError(f"The direction of '{name}' is {sign!r}.", allowed="-1, 0 or +1")
        return [int(directions.get(name, 0)) for name in self.names]

    def to_dict(self) -> dict[str, Any]:
        """Return the columns as plain lists, ready for JSON."""
        return {"names": list(self.names), "levels": {name: list(v) for name, v in self.levels.items()}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Columns:
        """Return the columns that `to_dict` wrote."""
        return cls(tuple(stored["names"]), {name: tuple(v) for name, v in stored["levels"].items()})

    def _numbers(self, column: pd.Series, name: str) -> Floats:
        if name not in self.levels:
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        position = {level: code for code, level in enumerate(self.levels[name])}
        # One entry a level of the table given, and a last one for code -1, which is "missing".
        codes = [float(position.get(str(level), np.nan)) for level in column.cat.categories]
        return np.array([*codes, np.nan])[column.cat.codes.to_numpy()]

    def _check(self, X: pd.DataFrame) -> None:
        missing = [name for name in self.names if name not in X.columns]
        if missing:
            raise BundleError(
                f"{len(missing)} columns that the model was trained on are missing.",
                where=listed(missing),
                allowed=f"all {len(self.names)} training columns; extra ones are ignored",
                todo="Score with the configuration that the model was trained with, or train again.",
            )
        changed = [name for name in self.names if not self._fits(X[name], name)]
        if changed:
            raise BundleError(
                f"{len(changed)} columns have another type than in training.",
                where=listed(f"{name} (was {self._type(name)}, is {X[name].dtype})" for name in changed),
                allowed="numbers where numbers were, categories where categories were",
                todo="Correct the source of these columns, or train again.",
            )

    def _fits(self, column: pd.Series, name: str) -> bool:
        return is_category(column) if name in self.levels else is_number(column)

    def _type(self, name: str) -> str:
        return "category" if name in self.levels else "number"


def _readable(column: pd.Series) -> bool:
    return is_number(column) or is_category(column)


def group_index(groups: Sequence[Any] | NDArray[Any] | None, rows: int) -> NDArray[np.int64]:
    """Return the position of each row's group (lead); without groups each row is its own."""
    if groups is None:
        return np.arange(rows, dtype=np.int64)
    codes, _ = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    return codes.astype(np.int64)
