"""How good propensities are on leads whose outcome is known, with intervals.

Every metric is computed for many weightings of the rows at once: one row of ``weight`` (r, n) is one
weighting, and a metric is (r,). A bootstrap resample of leads is such a weighting: how often each
lead was drawn. All models are judged on the same resamples, so their differences are paired.

A metric that is not defined (AUC with one class only, precision with nobody selected) is NaN here and
None in results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from features.errors import ConfigurationError, DataError, listed, nearest

Floats = NDArray[np.float64]
Interval = dict[str, float | None]

BINS = 10
METRICS = ("auc", "average_precision", "log_loss", "brier", "calibration_error", "lift_at_10")
AT_CUTOFF = ("precision", "recall")
# Weights of one chunk of resamples: 32 MB, large enough to be fast.
_CHUNK = 4_000_000


def auc(label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the chance that a lead that converts ranks above one that does not; ties count half."""
    return _single("auc", label, propensity, weight)


def average_precision(label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return precision averaged over the steps of recall; tied propensities are one step."""
    return _single("average_precision", label, propensity, weight)


def log_loss(label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the mean of -ln(probability given to what happened), in nats."""
    return _single("log_loss", label, propensity, weight)


def brier(label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the mean squared difference between propensity and label."""
    return _single("brier", label, propensity, weight)


def calibration_error(label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the expected calibration error over 10 bins of equal count.

    The sum over bins of (share of weight in the bin) x |mean propensity - observed rate|. Bins are cut
    by the rank of the propensity among the rows, whatever their weight; tied propensities stay in one
    bin, that of their mid-rank. It is above 0 even for a perfect model, by chance; compare like with
    like.
    """
    return _single("calibration_error", label, propensity, weight)


def lift_at_10(label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the conversion rate of the tenth with the highest propensity over that of all.

    Where the tenth ends among tied propensities, the tied rows are in it in part: its expected value
    over all ways to break the tie.
    """
    return _single("lift_at_10", label, propensity, weight)


def precision_recall(
    label: ArrayLike, selected: ArrayLike, weight: ArrayLike | None = None
) -> tuple[float, float]:
    """Return the share of the selected that convert, and the share of those that convert selected."""
    y, s = np.asarray(label, dtype=float), np.asarray(selected, dtype=float)
    found = _at_cutoff(y, s, _weights(weight, len(y)))
    return float(found["precision"][0]), float(found["recall"][0])


@dataclass(frozen=True)
class Evaluation:
    """The metrics of several models on the same leads and the same resamples of them.

    `values` holds metric, then model, then its value; `samples` in place of the value the (r,) values
    on the resamples. `level` is the confidence of the intervals.
    """

    values: dict[str, dict[str, float]]
    samples: dict[str, dict[str, Floats]]
    level: float

    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Return metric, then model, then ``{value, low, high}``."""
        return {
            metric: {
                name: self._interval(value, self.samples[metric][name], turned=metric == "calibration_error")
                for name, value in models.items()
            }
            for metric, models in self.values.items()
        }

    def difference(self, first: str, second: str) -> dict[str, Interval]:
        """Return metric, then ``{value, low, high}`` of `first` minus `second`, paired.

        Metrics that only one of them has are left out. Raises `ConfigurationError` for unknown names.
        """
        names = self.values["auc"]
        for name in (first, second):
            if name not in names:
                raise ConfigurationError(
                    f"No model {name!r} was evaluated.", allowed=listed(names), todo=nearest(name, names)
                )
        return {
            metric: self._interval(
                models[first] - models[second], self.samples[metric][first] - self.samples[metric][second]
            )
            for metric, models in self.values.items()
            if first in models and second in models
        }

    def _interval(self, value: float, samples: Floats, *, turned: bool = False) -> Interval:
        """Return the percentile interval; `turned`, the basic one, which undoes an upward bias.

        A resample is noisier than the sample, and noise can only raise an absolute deviation:
        percentiles of the calibration error would lie above the value that they surround.
        """
        usable = samples[np.isfinite(samples)]
        if not np.isfinite(value) or not len(usable):
            return {"value": None, "low": None, "high": None}
        low, high = np.quantile(usable, [(1 - self.level) / 2, (1 + self.level) / 2])
        if turned:
            low, high = max(0.0, min(2 * value - high, value)), max(2 * value - low, value)
        return {"value": float(value), "low": float(low), "high": float(high)}


def evaluation(
    label: ArrayLike,
    propensities: Mapping[str, ArrayLike],
    groups: ArrayLike,
    *,
    selected: Mapping[str, ArrayLike] | None = None,
    resamples: int = 300,
    seed: int = 0,
    level: float = 0.90,
) -> Evaluation:
    """Evaluate several models on the same rows, with a bootstrap of leads.

    Parameters
    ----------
    label
        (n,) 1 where the snapshot's lead converted within the horizon, else 0.
    propensities
        For each model's name its (n,) propensities, 0 to 1.
    groups
        (n,) what is drawn with replacement: the lead, or the account where leads share one.
    selected
        For each model that has a cutoff, (n,) whether the row is at or above it: adds precision and
        recall.

    Raises
    ------
    DataError
        No rows, lengths that differ, a label not 0 or 1, a propensity outside of 0 to 1.
    """
    y, models, masks = _checked(label, propensities, groups, selected or {})
    plans = {name: _Plan(y, p) for name, p in models.items()}
    whole = _measured(plans, masks, y, np.ones((1, len(y))))
    codes = pd.factorize(np.asarray(groups))[0]
    if codes.min() < 0:
        raise DataError(f"{int((codes < 0).sum())} of {len(codes)} rows to evaluate have no group.")
    chunks = [_measured(plans, masks, y, weight) for weight in _resamples(codes, resamples, seed)]
    values = {metric: {name: float(it[0]) for name, it in of.items()} for metric, of in whole.items()}
    samples = {
        metric: {name: np.concatenate([chunk[metric][name] for chunk in chunks]) for name in of}
        for metric, of in whole.items()
    }
    return Evaluation(values, samples, level)


def evaluate(
    label: ArrayLike,
    propensities: Mapping[str, ArrayLike],
    groups: ArrayLike,
    *,
    selected: Mapping[str, ArrayLike] | None = None,
    resamples: int = 300,
    seed: int = 0,
    level: float = 0.90,
) -> dict[str, dict[str, Interval]]:
    """Return metric, then model, then ``{value, low, high}``; see `evaluation`."""
    return evaluation(
        label, propensities, groups, selected=selected, resamples=resamples, seed=seed, level=level
    ).intervals()


def by_age(
    label: ArrayLike,
    propensities: Mapping[str, ArrayLike],
    groups: ArrayLike,
    age: ArrayLike,
    *,
    resamples: int = 300,
    seed: int = 0,
    level: float = 0.90,
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Return what `evaluate` does for the rows of each age (n,), in the order in which ages first come."""
    ages = pd.Series(np.asarray(age))
    found = {}
    for one in ages.unique():
        rows = (ages == one).to_numpy()
        found[str(one)] = evaluate(
            np.asarray(label)[rows],
            {name: np.asarray(p)[rows] for name, p in propensities.items()},
            np.asarray(groups)[rows],
            resamples=resamples,
            seed=seed,
            level=level,
        )
    return found


class _Plan:
    """What one model's metrics need and no weighting changes: order, ties, bins, losses by row."""

    def __init__(self, label: Floats, propensity: Floats) -> None:
        self.order = np.argsort(-propensity, kind="stable")
        ranked = propensity[self.order]
        self.starts = np.flatnonzero(np.r_[True, np.diff(ranked) != 0.0])
        self.label = label[self.order]
        sizes = np.diff(np.r_[self.starts, len(label)])
        middle = np.repeat(self.starts + sizes / 2, sizes) / len(label)
        in_bin = np.floor(middle * BINS)[:, None] == np.arange(BINS)
        tiny = np.finfo(float).eps
        kept = ranked.clip(tiny, 1.0 - tiny)
        # By row, in order: log loss, squared error, and the deviation in the column of its bin.
        self.by_row = np.column_stack(
            [
                -np.log(np.where(self.label == 1, kept, 1.0 - kept)),
                (ranked - self.label) ** 2,
                np.where(in_bin, (ranked - self.label)[:, None], 0.0),
            ]
        )

    def metrics(self, weight: Floats) -> dict[str, Floats]:
        """Return each metric (r,) for the weightings (r, n)."""
        w = weight[:, self.order]
        total = np.add.reduceat(w, self.starts, axis=1)
        won = np.add.reduceat(w * self.label, self.starts, axis=1)
        sums = (w @ self.by_row) / w.sum(axis=1, keepdims=True)
        return {
            "auc": _auc(won, total),
            "average_precision": _average_precision(won, total),
            "log_loss": sums[:, 0],
            "brier": sums[:, 1],
            "calibration_error": np.abs(sums[:, 2:]).sum(axis=1),
            "lift_at_10": _lift(won, total, 0.1),
        }


def _auc(won: Floats, total: Floats) -> Floats:
    """Return the AUC from the weights won and in all at each distinct propensity, highest first."""
    lost = total - won
    wins, losses = won.sum(axis=1), lost.sum(axis=1)
    below = losses[:, None] - np.cumsum(lost, axis=1)
    return _ratio((won * (below + lost / 2)).sum(axis=1), wins * losses)


def _average_precision(won: Floats, total: Floats) -> Floats:
    precision = _ratio(np.cumsum(won, axis=1), np.cumsum(total, axis=1), empty=0.0)
    return _ratio((won * precision).sum(axis=1), won.sum(axis=1))


def _lift(won: Floats, total: Floats, share: float) -> Floats:
    wanted = share * total.sum(axis=1, keepdims=True)
    before = np.cumsum(total, axis=1) - total
    taken = _ratio(np.clip(wanted - before, 0.0, total), total, empty=0.0)
    caught = (won * taken).sum(axis=1) / wanted[:, 0]
    return _ratio(caught, won.sum(axis=1) / total.sum(axis=1))


def _at_cutoff(label: Floats, selected: Floats, weight: Floats) -> dict[str, Floats]:
    caught = weight @ (label * selected)
    return {"precision": _ratio(caught, weight @ selected), "recall": _ratio(caught, weight @ label)}


def _ratio(above: Floats, below: Floats, empty: float = np.nan) -> Floats:
    """Return `above / below`, and `empty` where `below` is 0."""
    return np.divide(above, below, out=np.full_like(below, empty), where=below > 0)


def _measured(
    plans: Mapping[str, _Plan], masks: Mapping[str, Floats], label: Floats, weight: Floats
) -> dict[str, dict[str, Floats]]:
    """Return metric, then model, then its value (r,) for each weighting (r, n)."""
    found: dict[str, dict[str, Floats]] = {metric: {} for metric in METRICS}
    for name, plan in plans.items():
        for metric, value in plan.metrics(weight).items():
            found[metric][name] = value
    for name, mask in masks.items():
        for metric, value in _at_cutoff(label, mask, weight).items():
            found.setdefault(metric, {})[name] = value
    return found


def _resamples(codes: NDArray[np.intp], resamples: int, seed: int) -> Iterator[Floats]:
    """Yield weightings (r, n) of the rows, in chunks: how often each row's group was drawn."""
    random = np.random.default_rng(seed)
    groups = int(codes.max()) + 1
    for start in range(0, resamples, size := max(1, _CHUNK // len(codes))):
        drawn = random.integers(0, groups, size=(min(size, resamples - start), groups))
        drawn += np.arange(len(drawn))[:, None] * groups
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield times[:, codes].astype(float)


def _weights(weight: ArrayLike | None, rows: int) -> Floats:
    return np.ones((1, rows)) if weight is None else np.asarray(weight, dtype=float)[None, :]


def _single(metric: str, label: ArrayLike, propensity: ArrayLike, weight: ArrayLike | None) -> float:
    y, models, _ = _checked(label, {"it": propensity}, label, {})
    return float(_Plan(y, models["it"]).metrics(_weights(weight, len(y)))[metric][0])


def _checked(
    label: ArrayLike,
    propensities: Mapping[str, ArrayLike],
    groups: ArrayLike,
    selected: Mapping[str, ArrayLike],
) -> tuple[Floats, dict[str, Floats], dict[str, Floats]]:
    y = np.asarray(label, dtype=float)
    models = {name: np.asarray(p, dtype=float) for name, p in propensities.items()}
    masks = {name: np.asarray(mask, dtype=float) for name, mask in selected.items()}
    lengths = {len(y), len(np.asarray(groups)), *map(len, models.values()), *map(len, masks.values())}
    if len(lengths) != 1 or not len(y):
        raise DataError(
            f"Columns of {sorted(lengths)} rows to evaluate.", allowed="one length, at least 1 row"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("A label to evaluate on is neither 0 nor 1.", todo="Leave out what has not matured.")
    for name, p in models.items():
        if not ((p >= 0.0) & (p <= 1.0)).all():
            raise DataError(f"The propensities of {name!r} are not all from 0 to 1.")
    return y, models, masks
