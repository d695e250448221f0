"""LightGBM behind scikit-learn's interface: the average of several small boosted models.

Each member learns from its own bootstrap of the leads, and margins are averaged. That steadies the
prediction where wins are few, and how far the members disagree says how well a lead's margin is
known (`models.interval`). How they grow is in `models.boosting`, how deep in `models.defaults`.

Every member is trained in one thread and `threads` members at a time, so the number of threads
cannot change the result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from features.errors import BundleError, ConfigurationError
from models.boosting import Grower, Rows
from models.columns import Columns, group_index
from models.defaults import Settings, settings_for
from models.labels import Floats, Stopping, both_classes, checked_weight, zero_or_one

FORMAT = 1


class LeadClassifier(ClassifierMixin, BaseEstimator):
    """Log-odds of winning, from numbers and categories, with defaults that follow the number of wins.

    Parameters
    ----------
    members
        How many boosted models are averaged; each sees its own bootstrap of the groups.
    directions
        ``{feature name: +1 or -1}``: the margin may only rise (fall) with this number.
    seed
        Decides bootstraps and feature draws; the same seed, data and settings give the same bits.
    threads
        Members trained at a time; it never changes the result.
    max_rounds
        Most boosting rounds of a member.
    depth, leaf_size, leaf_wins, learning_rate, penalty, feature_share
        See `models.defaults.Settings`; None follows the number of groups that won.

    Attributes
    ----------
    feature_names_in_ : (p,) array of names
    classes_ : array [0, 1]
    base_value_ : float, the margin from which contributions start
    rounds_ : int, boosting rounds used
    wins_ : int, groups with a win among all rows learned from
    settings_ : Settings in use
    """

    def __init__(
        self,
        *,
        members: int = 8,
        directions: Mapping[str, int] | None = None,
        seed: int = 0,
        threads: int = 2,
        max_rounds: int = 1500,
        depth: int | None = None,
        leaf_size: int | None = None,
        leaf_wins: float | None = None,
        learning_rate: float | None = None,
        penalty: float | None = None,
        feature_share: float | None = None,
    ) -> None:
        self.members = members
        self.directions = directions
        self.seed = seed
        self.threads = threads
        self.max_rounds = max_rounds
        self.depth = depth
        self.leaf_size = leaf_size
        self.leaf_wins = leaf_wins
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.feature_share = feature_share

    def fit(
        self,
        X: pd.DataFrame,
        y: Sequence[int] | NDArray[Any],
        *,
        groups: Sequence[Any] | NDArray[Any] | None = None,
        stopping: Stopping | None = None,
        stopping_groups: Sequence[Any] | NDArray[Any] | None = None,
        sample_weight: Floats | None = None,
    ) -> LeadClassifier:
        """Learn from `X` (n, p) and labels `y` (n,) of 0 and 1.

        Parameters
        ----------
        X
            Float, int, bool or categorical columns under any names; NaN is allowed.
        groups
            (n,) lead (or account) of each row; bootstraps draw whole groups. Default: each row its own.
        stopping
            ``(X, y)`` of later rows of other leads. They choose the number of rounds; the members are
            then trained once more with them included, so that the latest leads are not lost.
        stopping_groups
            (m,) lead of each stopping row, as `groups`.
        sample_weight
            (n,) weights; the stopping rows weigh the mean of them.

        Raises
        ------
        UnsupportedData
            When `y` has one class.
        DataError
            When a column is neither a number nor a category, or lengths differ.
        ConfigurationError
            When a direction or a parameter cannot be used.
        """
        self._check_parameters()
        columns = Columns.of(X)
        signs = columns.signs(self.directions or {})  # LightGBM would abort the process: check first
        weight = checked_weight(sample_weight, len(X))
        train = Rows(columns.matrix(X), both_classes(y), group_index(groups, len(X)), weight / weight.mean())
        later = None if stopping is None else self._later(columns, stopping, stopping_groups)
        whole = train if later is None else train.plus(later)
        self._settle(whole)
        grower = Grower(self.settings_, columns.positions(), signs, self.seed, self.members, self.threads)
        texts, self.rounds_ = grower.until_flat(train, later, self.max_rounds)
        self._adopt(columns, texts if later is None else grower.exactly(whole, self.rounds_))
        return self

    def margin(self, X: pd.DataFrame) -> Floats:
        """Return (n,) log-odds before calibration: the mean over members.

        Raises
        ------
        BundleError
            When `X` lacks a training column or one has another type.
        """
        return self.member_margins(X).mean(axis=1)

    def member_margins(self, X: pd.DataFrame) -> Floats:
        """Return (n, members) log-odds, one column a member; raises as `margin`."""
        matrix = self._matrix(X)
        return np.column_stack([self._predict(booster, matrix) for booster in self.boosters_])

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return exact TreeSHAP contributions (n, p) on the margin scale, named like the features.

        ``base_value_ + row sum == margin``. They are those of Lundberg et al. 2020 ("From local
        explanations to global understanding with explainable AI for trees"), path-dependent,
        averaged over members, which keeps them exact because the margin is an average too.
        Raises as `margin`.
        """
        matrix = self._matrix(X)
        total = np.zeros(matrix.shape)
        for booster in self.boosters_:
            total += self._predict(booster, matrix, pred_contrib=True)[:, :-1]
        return pd.DataFrame(total / len(self.boosters_), index=X.index, columns=list(self.feature_names_in_))

    def decision_function(self, X: pd.DataFrame) -> Floats:
        """Return `margin`, under scikit-learn's name."""
        return self.margin(X)

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return (n, 2) probabilities of not winning and of winning, before calibration."""
        won = expit(self.margin(X))
        return np.column_stack([1 - won, won])

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """Return (n,) the likelier class before calibration. Decisions use a cutoff instead."""
        return (self.margin(X) > 0).astype(np.int64)

    def to_texts(self) -> dict[str, str]:
        """Return the fitted model as texts by name: ``model.json`` and one LightGBM file a member."""
        self._check_fitted()
        header = {
            "format": FORMAT,
            "columns": self._columns.to_dict(),
            "parameters": self.get_params(),
            "settings": self.settings_.to_dict(),
            "rounds": self.rounds_,
            "wins": self.wins_,
            "digests": [_digest(text) for text in self._texts],
        }
        texts = {"model.json": json.dumps(header, ensure_ascii=False, indent=1)}
        return texts | {_member_name(i): text for i, text in enumerate(self._texts)}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> LeadClassifier:
        """Return the fitted model that `to_texts` wrote, with predictions identical to the bit.

        Raises
        ------
        BundleError
            When a text is missing, altered, cannot be read, or is of another format.
        """
        try:
            header = json.loads(texts["model.json"])
            if header["format"] != FORMAT:
                raise BundleError(f"The model has format {header['format']}.", allowed=str(FORMAT))
            model = cls(**header["parameters"])
            model.settings_ = Settings(**header["settings"])
            model.rounds_, model.wins_ = header["rounds"], header["wins"]
            members = [texts[_member_name(i)] for i in range(model.members)]
            # Before LightGBM sees them: a text cut short ends the whole process there.
            if header["digests"] != [_digest(text) for text in members]:
                raise ValueError("a member's digest does not match")
            model._adopt(Columns.from_dict(header["columns"]), members)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(
                "The model's texts cannot be read.",
                where=f"{type(error).__name__}: {error}",
                todo="Restore the bundle from the registry, or train again.",
            ) from error
        return model

    def _adopt(self, columns: Columns, texts: list[str]) -> None:
        """Take over trees from text, so that a fitted model and a restored one are the same thing."""
        self._columns = columns
        self._texts = texts
        self.boosters_ = [lgb.Booster(model_str=text) for text in texts]
        self.feature_names_in_ = np.array(columns.names, dtype=object)
        self.n_features_in_ = len(columns.names)
        self.classes_ = np.array([0, 1])
        anywhere = np.zeros((1, len(columns.names)))
        bases = [self._predict(b, anywhere, pred_contrib=True)[0, -1] for b in self.boosters_]
        self.base_value_ = float(np.mean(bases))

    def _predict(self, booster: lgb.Booster, matrix: Floats, pred_contrib: bool = False) -> Floats:
        if not len(matrix):  # LightGBM answers no rows with an array of the wrong shape
            return np.empty((0, matrix.shape[1] + 1) if pred_contrib else 0)
        result = booster.predict(matrix, raw_score=True, pred_contrib=pred_contrib, num_threads=self.threads)
        return np.asarray(result, dtype=np.float64)

    def _matrix(self, X: pd.DataFrame) -> Floats:
        self._check_fitted()
        return self._columns.matrix(X)

    def _check_fitted(self) -> None:
        if not hasattr(self, "boosters_"):
            raise BundleError("The model has not been trained.", todo="Call fit or from_texts first.")

    def _check_parameters(self) -> None:
        for name, least in (
            ("members", 1),
            ("threads", 1),
            ("max_rounds", 1),
            ("depth", 1),
            ("leaf_size", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigurationError(f"{name} is {value}.", allowed=f"{least} or more")

    def _later(self, columns: Columns, stopping: Stopping, groups: Any) -> Rows | None:
        X, y = stopping
        if not len(X):
            return None
        index = group_index(groups, len(X))
        return Rows(columns.matrix(X), zero_or_one(y), index, np.ones(len(X)))

    def _settle(self, rows: Rows) -> None:
        """Decide the settings from the leads that won and did not."""
        won = rows.won
        self.wins_ = int(won.sum())
        settings = settings_for(min(self.wins_, len(won) - self.wins_))
        given = self.get_params()
        self.settings_ = settings.with_given({name: given.get(name) for name in settings.to_dict()})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _member_name(position: int) -> str:
    return f"member_{position:02d}.txt"
