"""The cutoff: from which propensity on a lead is an MQL, chosen on the decision window, with evidence.

The estimates are what was seen in the decision window, of leads at their first crossing. They are no
promise (`promise` stays None): the level was chosen on the same leads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import BundleError, ConfigurationError, listed, nearest
from models.crossings import Crossings, Floats

# Fewer MQLs than this say nothing about a precision: one win in one lead is not "100 %".
LEAST_MQLS = 10
# Levels whose net value is at least this share of the best one's make up the flat range.
FLAT_SHARE = 0.95
# Points of the net value curve that are kept as evidence.
CURVE_POINTS = 50


@dataclass(frozen=True)
class Cutoff:
    """The level from which a lead is an MQL, and how it came about.

    `level` is a propensity and decides; `margin` is the lowest margin seen at it. Both are None where
    the policy could not be met: ``evidence["met"]`` is then False, ``evidence["why"]`` says why and
    ``evidence["best"]`` what comes nearest.
    """

    policy: str
    level: float | None
    margin: float | None = None
    promise: dict[str, Any] | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    def passes(self, propensity: ArrayLike) -> NDArray[np.bool_]:
        """Return (n,) whether each propensity makes its lead an MQL."""
        p = np.asarray(propensity, dtype=float)
        return np.zeros(p.shape, dtype=bool) if self.level is None else p >= self.level

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "policy": self.policy,
            "level": self.level,
            "margin": self.margin,
            "promise": self.promise,
            "evidence": self.evidence,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cutoff:
        """Rebuild from `to_dict`. Raises `BundleError` when the policy is not known."""
        if data.get("policy") not in POLICIES:
            raise BundleError(f"Unknown cutoff policy {data.get('policy')!r}.", allowed=listed(POLICIES))
        return cls(
            data["policy"], data["level"], data.get("margin"), data.get("promise"), dict(data["evidence"])
        )


def capacity(crossings: Crossings, *, per_week: float) -> Cutoff:
    """Choose the lowest level down to which new MQLs average at most `per_week` a week.

    The first night's backlog does not count: it is worked off once.
    """
    _positive("per_week", per_week)
    parameters = {"per_week": per_week}
    new = crossings.new_per_week()
    # Not monotone: at a lower level a lead that was new may be backlog. Stop at the first that is too low.
    fitting = int(np.argmax(np.r_[new > per_week, True]))
    if not fitting:
        why = f"Even the highest level makes {new[0]:.1f} new MQLs a week: its leads are tied."
        return _unmet("capacity", crossings, 0, why, parameters)
    return _met("capacity", crossings, float(crossings.levels[fitting - 1]), parameters)


def value(crossings: Crossings, *, cost: float, value: float) -> Cutoff:
    """Choose the level at which a contact pays for itself: propensity = cost / value.

    Parameters
    ----------
    cost, value
        What working one MQL costs, and what one won lead is worth, in the same currency.

    The evidence holds the net value (value x conversions - cost x MQLs) that the window shows at
    this and other levels, the best of them, and the flat range around the best: the levels that reach
    at least 95 % of it, among which the choice hardly matters.
    """
    _positive("cost", cost)
    _positive("value", value)
    parameters = {"cost": cost, "value": value}
    if cost >= value:
        why = f"A contact costs {cost:g} and a won lead is worth {value:g}: nobody pays for it."
        return _unmet("value", crossings, None, why, parameters)
    level = cost / value
    found = _met("value", crossings, level, parameters)
    found.evidence["net_value"] = _net_value(crossings, level, cost, value)
    return found


def precision(crossings: Crossings, *, at_least: float, least_mqls: int = LEAST_MQLS) -> Cutoff:
    """Choose the lowest level at which at least this share of the MQLs converted.

    Levels with fewer than `least_mqls` MQLs are not considered.
    """
    if not 0.0 < at_least <= 1.0:
        raise ConfigurationError(f"A precision of {at_least}.", allowed="a share above 0, up to 1")
    parameters = {"at_least": at_least, "least_mqls": least_mqls}
    enough = crossings.mqls >= max(least_mqls, 1)
    reached = np.where(enough, crossings.caught / np.maximum(crossings.mqls, 1), -1.0)
    fitting = np.flatnonzero(reached >= at_least)
    if len(fitting):
        return _met("precision", crossings, float(crossings.levels[fitting[-1]]), parameters)
    if not enough.any():
        why = f"The window has {crossings.leads} leads, fewer than the {least_mqls} MQLs needed to judge by."
        return _unmet("precision", crossings, None, why, parameters)
    best = int(np.flatnonzero(reached == reached.max())[-1])
    why = f"No level with at least {least_mqls} MQLs reached {at_least:.1%}; the best is {reached[best]:.1%}."
    return _unmet("precision", crossings, best, why, parameters)


def manual(
    crossings: Crossings,
    *,
    propensity: float | None = None,
    margin: float | None = None,
    calibrate: Callable[[Floats], Floats] | None = None,
) -> Cutoff:
    """Take the level given: a propensity, or a margin, which `calibrate` turns into a propensity."""
    if (propensity is None) == (margin is None) or (margin is not None and calibrate is None):
        raise ConfigurationError(
            "A manual cutoff needs one level.", allowed="a propensity, or a margin with the calibrator"
        )
    if margin is not None and calibrate is not None:
        level = float(calibrate(np.array([margin], dtype=float))[0])
        return _met("manual", crossings, level, {"margin": margin})
    if propensity is None or not 0.0 <= propensity <= 1.0:
        raise ConfigurationError(f"A manual cutoff of {propensity}.", allowed="a propensity from 0 to 1")
    return _met("manual", crossings, float(propensity), {"propensity": propensity})


POLICIES: dict[str, Callable[..., Cutoff]] = {
    "capacity": capacity,
    "value": value,
    "precision": precision,
    "manual": manual,
}


def choose_cutoff(policy: str, crossings: Crossings, **parameters: Any) -> Cutoff:
    """Choose a cutoff by the name of its policy. Raises `ConfigurationError` for an unknown one."""
    if policy not in POLICIES:
        raise ConfigurationError(
            f"Unknown cutoff policy {policy!r}.", allowed=listed(POLICIES), todo=nearest(policy, POLICIES)
        )
    return POLICIES[policy](crossings, **parameters)


def _met(policy: str, crossings: Crossings, level: float, parameters: dict[str, Any]) -> Cutoff:
    evidence = {"met": True, **crossings.at(level), "parameters": parameters}
    return Cutoff(policy, level, crossings.margin_at(level), evidence=evidence)


def _unmet(
    policy: str, crossings: Crossings, best: int | None, why: str, parameters: dict[str, Any]
) -> Cutoff:
    """Return a cutoff without a level; `best` is the place of the level that came nearest."""
    nearest_level = None
    if best is not None:
        level = float(crossings.levels[best])
        nearest_level = {"level": level, "margin": crossings.margin_at(level), **crossings.at(level)}
    nobody = crossings.at(np.inf)
    evidence = {"met": False, "why": why, "best": nearest_level, **nobody, "parameters": parameters}
    return Cutoff(policy, None, evidence=evidence)


def _net_value(crossings: Crossings, level: float, cost: float, worth: float) -> dict[str, Any]:
    net = worth * crossings.caught - cost * crossings.mqls
    best = int(np.argmax(net))
    flat = None
    if net[best] > 0:
        out = np.flatnonzero(net < FLAT_SHARE * net[best])
        above, below = out[out < best], out[out > best]
        first = above[-1] + 1 if len(above) else 0
        last = below[0] - 1 if len(below) else len(net) - 1
        flat = {"low": float(crossings.levels[last]), "high": float(crossings.levels[first])}
    kept = np.unique(np.linspace(0, len(net) - 1, CURVE_POINTS).round().astype(int))
    here = crossings.at(level)
    return {
        "at_level": float(worth * here["conversions_caught"] - cost * here["mqls"]),
        "best": {"level": float(crossings.levels[best]), "value": float(net[best])},
        "flat": flat,
        "curve": [
            {"level": float(crossings.levels[i]), "mqls": int(crossings.mqls[i]), "value": float(net[i])}
            for i in kept
        ],
    }


def _positive(name: str, number: float) -> None:
    if not (np.isfinite(number) and number > 0):
        raise ConfigurationError(f"{name} is {number}.", allowed="a number above 0", where=name)
