"""The choice of a calibrator, on leads later than those trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold

from features.errors import DataError
from models.calibrators import METHODS, Calibrator, Floats, both_classes, checked

Codes = NDArray[np.intp]
# Steps are free to follow every accident, so isotonic regression needs many more leads than a line;
# with fewer it lost to Platt in Niculescu-Mizil and Caruana, "Predicting good probabilities", 2005.
LEAST_FOR_STEPS = 100
# For each split the rows to fit on and the rows to judge.
Parts = list[tuple[Codes, Codes]]


@dataclass(frozen=True)
class Chosen:
    """The calibrator that was chosen, fitted on the whole window, and why it was."""

    calibrator: Calibrator
    method: str
    evidence: dict[str, Any]


def choose(
    margin: ArrayLike,
    label: ArrayLike,
    groups: ArrayLike,
    as_of: ArrayLike | None,
    weight: ArrayLike | None = None,
    splits: int = 4,
) -> Chosen:
    """Choose the calibrator that predicts later leads best, and fit it on all of them.

    Each method is fitted on earlier leads and judged by log loss on leads first seen later, `splits`
    times over; without times (`as_of` None or all alike) the splits are folds of groups. The simplest
    method is taken whose mean log loss is within one standard error, over groups, of the best one's.
    Isotonic is tried only with `LEAST_FOR_STEPS` leads that won, and as many that did not.

    Parameters
    ----------
    margin, label, weight
        (n,) margins, labels 0 or 1, and weights (all 1 if not given) of the calibration window.
    groups
        (n,) the lead, or the account where leads share one; never on both sides of a split.
    as_of
        (n,) times, or anything that sorts as they do.

    Raises
    ------
    DataError
        A margin is not finite, a label not 0 or 1, or the lengths differ.
    UnsupportedData
        All labels are the same.
    """
    m, y, w = checked(margin, label, weight)
    kept = w > 0
    m, y, w = m[kept], y[kept], w[kept]
    both_classes(y)
    group = _codes(groups, kept, "group")
    kind, parts = _parts(group, None if as_of is None else _codes(as_of, kept, "time"), splits)
    usable = [(fit, judge) for fit, judge in parts if len(judge) and 0 < y[fit].sum() < len(fit)]
    notes: list[str] = []
    if len(usable) < len(parts):
        notes.append(f"{len(parts) - len(usable)} of {len(parts)} splits had too few wins to fit on")
    method, evidence = "none", {"methods": {}, "snapshots": 0, "groups": 0, "won": 0}
    if usable:
        judged = np.concatenate([judge for _, judge in usable])
        methods = [name for name in METHODS if name != "isotonic" or _enough_for_steps(y, group, notes)]
        losses = {name: _losses(name, m, y, w, usable, notes) for name in methods}
        method, evidence = _verdict(losses, w[judged], group[judged], y[judged])
    calibrator: Calibrator = METHODS[method]().fit(m, y, w)
    if calibrator.note:
        notes.append(f"{method}, on the whole window: {calibrator.note}")
    return Chosen(calibrator, method, {"split": kind, "splits": len(usable), **evidence, "notes": notes})


def _enough_for_steps(y: Floats, group: Codes, notes: list[str]) -> bool:
    """Return whether there are leads enough to fit steps; `notes` says so if not."""
    won = int((np.bincount(group, weights=y) > 0).sum())
    rarer = min(won, int(group.max()) + 1 - won)
    if rarer < LEAST_FOR_STEPS:
        notes.append(f"isotonic was not tried: {rarer} leads of the rarer outcome, {LEAST_FOR_STEPS} needed")
    return rarer >= LEAST_FOR_STEPS


def _codes(values: ArrayLike, kept: NDArray[np.bool_], what: str) -> Codes:
    """Return numbers that sort as the values do. Raises `DataError` for a missing one."""
    array = np.asarray(values)
    if len(array) != len(kept) or pd.isna(array).any():
        raise DataError(f"Not each of the {len(kept)} snapshots to calibrate on has a {what}.")
    return pd.factorize(array[kept], sort=True)[0]


def _parts(group: Codes, time: Codes | None, splits: int) -> tuple[str, Parts]:
    """Return the kind of split and its parts."""
    count = int(group.max()) + 1
    if time is not None:
        parts = list(_rolling(group, time, splits))
        if parts:
            return "rolling", parts
    folds = min(splits + 1, count)
    if folds < 2:
        return "none", []
    folding = GroupKFold(folds, shuffle=True, random_state=0)
    return "folds", list(folding.split(group, groups=group))


def _rolling(group: Codes, time: Codes, splits: int) -> Iterator[tuple[Codes, Codes]]:
    """Yield each split of groups in the order in which they were first seen.

    A group is placed by its first snapshot alone. Placing it by its last, or dropping from the earlier
    side whatever is seen again later, would keep the leads that closed fast and so bend the rate.
    """
    first = pd.Series(time).groupby(group).min().sort_index().to_numpy()
    starts = np.quantile(first, np.arange(1, splits + 1) / (splits + 1), method="higher")
    starts = np.unique(starts[starts > first.min()])
    for start, end in zip(starts, [*starts, np.inf][1:], strict=True):
        seen = first[group]
        judged = (seen >= start) & (seen < end)
        # Whoever has a snapshot before `start` was first seen before it, and is not judged in this split.
        yield np.flatnonzero(time < start), np.flatnonzero(judged)


def _losses(name: str, m: Floats, y: Floats, w: Floats, parts: Parts, notes: list[str]) -> Floats:
    """Return the log loss of each judged row under one method; add to `notes` what went wrong."""
    losses, fallen = [], []
    for fit, judge in parts:
        calibrator: Calibrator = METHODS[name]().fit(m[fit], y[fit], w[fit])
        if calibrator.note:
            fallen.append(calibrator.note)
        p = calibrator.predict(m[judge])
        losses.append(-np.log(np.where(y[judge] == 1, p, 1.0 - p)))
    if fallen:
        notes.append(f"{name}, in {len(fallen)} of {len(parts)} splits: {fallen[0]}")
    return np.concatenate(losses)


def _verdict(
    losses: Mapping[str, Floats], weight: Floats, group: Codes, label: Floats
) -> tuple[str, dict[str, Any]]:
    """Return the simplest method within one standard error of the best, and the evidence."""
    mean = {name: float(np.average(loss, weights=weight)) for name, loss in losses.items()}
    best = min(mean, key=mean.__getitem__)
    codes, leads = np.unique(group, return_inverse=True)
    sizes = np.bincount(leads, weights=weight)
    methods = {}
    for name, loss in losses.items():
        difference = mean[name] - mean[best]
        # The standard error of a ratio of sums over groups: rows of one lead are not independent.
        excess = np.bincount(leads, weights=weight * (loss - losses[best])) - difference * sizes
        error = np.sqrt(len(codes) / max(len(codes) - 1, 1) * np.sum(excess**2)) / sizes.sum()
        methods[name] = {"log_loss": mean[name], "difference": difference, "standard_error": float(error)}
    chosen = next(name for name, it in methods.items() if it["difference"] <= it["standard_error"])
    counts = {"snapshots": len(label), "groups": len(codes), "won": int(label.sum())}
    return chosen, {"methods": methods, "best": best, **counts}
