"""Did the base rate move while the model was built? Then what is certified there says little of what comes.

A certificate is about leads like those of the decision window. Whether the leads to come are like them
cannot be tested, but a rate that moved from one window to the next, further than chance and season take
it, will hardly stand still after. It takes labels alone, and no label of the test window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]

CONFIDENCE = 0.99
# From one window to the next a base rate changes with the season by about so much, and a promise has to
# live with that: it moved only if the whole interval of its ratio lies beyond.
BAND = (0.8, 1.25)


@dataclass(frozen=True)
class Drift:
    """Whether the base rate moved, in words, and the comparisons that say so.

    `checks` are dictionaries: ``between`` (what is compared), ``ratio`` of the later rate to the
    earlier, ``low`` and ``high`` (99 %), None where one had no conversion, and ``moved``.
    """

    moved: bool
    words: str
    checks: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {"moved": self.moved, "words": self.words, "checks": self.checks}


def find_drift(keys: pd.DataFrame, propensity: pd.Series, *, ordered: bool = True) -> Drift:
    """Compare the windows that a model was built from.

    From training to calibration: the rate of conversion itself, at the same ages of leads. From
    calibration to decision: conversions by those expected from the calibrated propensities, since there
    the leads differ in age, and propensities know it. Nothing shorter than a window is compared: from
    one month to the next the season alone moves a rate by more than half.

    Parameters
    ----------
    keys
        ``group_id, label, window, as_of`` of the snapshots; those of other windows are left alone.
    propensity
        Calibrated, with the same index.
    ordered
        Whether the windows follow each other; if not, time within calibration and decision tells.
    """
    table = keys[["group_id", "label", "window", "as_of"]].assign(propensity=propensity)
    training, calibration, decision = (
        table[table["window"].isin(names)]
        for names in (("train", "stopping"), ("calibration",), ("decision",))
    )
    checks = []
    if ordered:
        plain = [part.assign(propensity=1.0) for part in (training, calibration)]
        checks.append(_check("from the training to the calibration window", *plain))
        checks.append(_check("from the calibration to the decision window", calibration, decision))
    else:
        checks += _halves("while the model was built", pd.concat([calibration, decision]))
    moved = [check for check in checks if check["moved"]]
    return Drift(bool(moved), _words(moved, checks), checks)


def _halves(name: str, part: pd.DataFrame) -> list[dict[str, Any]]:
    """Compare the later half of a window's time with the earlier, if it has times."""
    if part["as_of"].isna().any() or part["as_of"].nunique() < 2:
        return []
    part = part.assign(propensity=1.0)
    later = part["as_of"] > part["as_of"].min() + (part["as_of"].max() - part["as_of"].min()) / 2
    return [_check(name, part[~later], part[later])]


def _check(name: str, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, Any]:
    found = ratio(earlier, later)
    low, high = found["low"], found["high"]
    beyond = low is not None and high is not None and (low > BAND[1] or high < BAND[0])
    return {"between": name, **found, "moved": beyond}


def ratio(
    earlier: pd.DataFrame, later: pd.DataFrame, confidence: float = CONFIDENCE
) -> dict[str, float | None]:
    """Return how many times as often as in `earlier` snapshots convert in `later`, given what was expected.

    Both are ``group_id, label, propensity``. The interval is normal on the log of the ratio, its
    variance from sums over groups (linearised), since snapshots of one group are not independent; a
    group may have snapshots in both. All None where either has no conversion.
    """
    group, names = pd.factorize(
        np.r_[earlier["group_id"].to_numpy(object), later["group_id"].to_numpy(object)]
    )
    rates, influence = [], []
    for part, of in ((earlier, group[: len(earlier)]), (later, group[len(earlier) :])):
        converted = np.bincount(of, weights=part["label"].to_numpy(float), minlength=len(names))
        expected = np.bincount(of, weights=part["propensity"].to_numpy(float), minlength=len(names))
        if not converted.sum():
            return {"ratio": None, "low": None, "high": None, "confidence": confidence}
        rates.append(converted.sum() / expected.sum())
        influence.append((converted - rates[-1] * expected) / converted.sum())
    error = float(np.sqrt(((influence[1] - influence[0]) ** 2).sum()))
    centre, reach = np.log(rates[1] / rates[0]), norm.ppf(0.5 + confidence / 2) * error
    return {
        "ratio": float(np.exp(centre)),
        "low": float(np.exp(centre - reach)),
        "high": float(np.exp(centre + reach)),
        "confidence": confidence,
    }


def _words(moved: Sequence[dict[str, Any]], checks: Sequence[dict[str, Any]]) -> str:
    if moved:
        said = "; ".join(
            f"{check['between']} leads converted {check['ratio']:.2f} times as often "
            f"(99 % interval {check['low']:.2f} to {check['high']:.2f})"
            for check in moved
        )
        return f"The base rate moved: {said}. What held then need not hold for the leads to come."
    seen = [check for check in checks if check["ratio"] is not None]
    unsure = [check for check in seen if check["low"] < BAND[0] or check["high"] > BAND[1]]
    if unsure:
        widest = max(unsure, key=lambda check: check["high"] / check["low"])
        return (
            "No move of the base rate beyond chance was seen; with so few wins it may still have changed: "
            f"{widest['between']} leads converted {widest['low']:.2f} to {widest['high']:.2f} times as often "
            "(99 % interval)."
        )
    if seen:
        return "The base rate did not move while the model was built, beyond chance and season."
    return "Whether the base rate moves cannot be seen in this data."
