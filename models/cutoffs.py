"""The cutoff: from which propensity on a lead is an MQL, chosen on the decision window, with a promise.

A promise comes from tests whose candidates no label of the window had a say in (`models.certificates`),
on first crossings replayed group by group (`models.replay`). Where the policy itself fixes the level
without labels, the promise is the one exact bound there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import BundleError, ConfigurationError, listed, nearest
from models.certificates import FURTHEST, LEAST_UNITS, Candidate, Tested, in_sequence, start
from models.crossings import net_value, proportion
from models.decision_window import DecisionWindow
from models.ladder import confidence_of_each
from models.promises import bound, leads_needed, next_hundred, percent, promise
from models.queue import queue

CONFIDENCE = 0.90


@dataclass(frozen=True)
class Cutoff:
    """The level from which a lead is an MQL, and how it came about.

    `level` is a propensity and decides; `margin` is the lowest margin that has it, so that both select the
    same leads. Both are None where the policy could not be met: ``evidence["met"]`` is then False,
    ``evidence["best"]`` what comes nearest. `promise` is what `models.promises.promise` returns, or None:
    ``evidence["why"]`` then says why, and ``evidence["best_promise"]`` what could be promised instead.
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


def precision(
    window: DecisionWindow, *, at_least: float, confidence: float = CONFIDENCE, fall_back: bool = False
) -> Cutoff:
    """Choose the loosest cutoff of which it is certain enough that this share of MQLs converts.

    With `fall_back`, where none can be certified, the level at which the propensity itself is the share
    asked for, without a promise: for those who asked for nothing and want a start.
    """
    parameters = _asked(at_least, confidence)
    found = _certified("precision", window, window.candidates, parameters)
    if found.level is not None or not fall_back:
        return found
    kept = {key: found.evidence[key] for key in ("why", "best_promise", "leads_needed", "tests")}
    return _met("precision", window, window.at(at_least), parameters, **kept)


def recall(window: DecisionWindow, *, at_least: float, confidence: float = CONFIDENCE) -> Cutoff:
    """Choose the strictest cutoff of which it is certain enough that this share of wins crossed before.

    The wins are all those in the window, also of leads that won before they were first scored.
    """
    parameters = _asked(at_least, confidence)
    trials = [window.recall_of(candidate) for candidate in reversed(window.candidates)]
    if not trials or trials[0].units < LEAST_UNITS:
        wins = trials[0].units if trials else 0
        why = f"The window has {wins} wins, fewer than the {LEAST_UNITS} needed to judge by."
        return _unmet("recall", window, None, why, parameters)
    tested = in_sequence(trials, at_least, confidence)
    kept = [test.trial for test in tested if test.kept]
    evidence = {"tests": [test.to_dict() for test in tested], "all_wins": window.replay.all_wins}
    if kept:
        promised = promise("recall", at_least, confidence, kept[-1], **window.said)
        return _met("recall", window, kept[-1].candidate, parameters, promise=promised, **evidence)
    loosest = trials[0]
    best = bound(loosest, confidence, what="recall", **window.said)
    why = (
        f"No cutoff can promise {percent(at_least)} of wins with {percent(confidence)} confidence: even at "
        f"the loosest, {loosest.successes} of {loosest.units} had been MQLs before they won."
    )
    needed = leads_needed(loosest, at_least, confidence, window.crossings.leads, "win")
    return _unmet(
        "recall",
        window,
        loosest.candidate,
        why,
        parameters,
        best_promise=best,
        leads_needed=needed,
        **evidence,
    )


def capacity(
    window: DecisionWindow,
    *,
    per_week: float,
    at_least: float | None = None,
    confidence: float = CONFIDENCE,
) -> Cutoff:
    """Choose the lowest level down to which new MQLs average at most `per_week` a week.

    The first night's backlog does not count: it is worked off once. With `at_least` the cutoff must
    also be certified to have this precision, and is the loosest that is both. The level is fixed by
    counts alone, so without `at_least` the promise is the bound at it.
    """
    _positive("per_week", per_week)
    crossings = window.crossings
    new = crossings.new_per_week()
    parameters = {"per_week": per_week, "confidence": confidence}
    if at_least is not None:
        parameters = {"per_week": per_week, **_asked(at_least, confidence)}
    # Not monotone: at a lower level a lead that was new may be backlog. Stop at the first that is too low.
    fitting = int(np.argmax(np.r_[new > per_week, True]))
    if not fitting:
        why = f"Even the highest level makes {new[0]:.1f} new MQLs a week: its leads are tied."
        return _unmet("capacity", window, window.at(float(crossings.levels[0])), why, parameters)
    lowest = window.at(float(crossings.levels[fitting - 1]))
    if at_least is None:
        found = _fixed("capacity", window, lowest, parameters)
    else:
        stricter = [c for c in window.candidates if c.level > lowest.level]
        found = _certified("capacity", window, [*stricter, lowest], parameters)
    if found.level is not None:
        weekly, arrivals = crossings.weekly(found.level), found.evidence["mqls_per_week"]
        found.evidence["queue"] = queue(weekly, crossings.share, arrivals, per_week)
    return found


def value(window: DecisionWindow, *, cost: float, value: float, confidence: float = CONFIDENCE) -> Cutoff:
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
    parameters = {"cost": cost, "value": value, "confidence": confidence}
    if cost >= value:
        why = f"A contact costs {cost:g} and a won lead is worth {value:g}: nobody pays for it."
        return _unmet("value", window, None, why, parameters)
    found = _fixed("value", window, window.at(cost / value), parameters)
    found.evidence["net_value"] = net_value(window.crossings, cost / value, cost, value)
    return found


def manual(window: DecisionWindow, *, propensity: float, confidence: float = CONFIDENCE) -> Cutoff:
    """Take the level given; its promise is a bound that holds at all candidates and this level at once.

    A level of one's own is chosen by looking: at a report that shows every candidate, or at the last result.
    """
    if not 0.0 <= propensity <= 1.0:
        raise ConfigurationError(f"A manual cutoff of {propensity}.", allowed="a propensity from 0 to 1")
    parameters = {"propensity": propensity, "confidence": confidence}
    chosen = window.at(float(propensity))
    margins = [*(candidate.margin for candidate in window.candidates), chosen.margin]
    each = confidence_of_each(window.replay, margins, confidence)
    return _fixed("manual", window, chosen, parameters, each)


POLICIES: dict[str, Callable[..., Cutoff]] = {
    "precision": precision,
    "recall": recall,
    "capacity": capacity,
    "value": value,
    "manual": manual,
}


def choose_cutoff(policy: str, window: DecisionWindow, **parameters: Any) -> Cutoff:
    """Choose a cutoff by the name of its policy. Raises `ConfigurationError` for an unknown one."""
    if policy not in POLICIES:
        raise ConfigurationError(
            f"Unknown cutoff policy {policy!r}.", allowed=listed(POLICIES), todo=nearest(policy, POLICIES)
        )
    confidence = parameters.get("confidence", CONFIDENCE)
    if not 0.5 <= confidence < 1.0:
        raise ConfigurationError(f"A confidence of {confidence}.", allowed="0.5 or more, below 1")
    return POLICIES[policy](window, **parameters)


def _certified(
    policy: str, window: DecisionWindow, among: Sequence[Candidate], parameters: dict[str, Any]
) -> Cutoff:
    """Choose the loosest certified candidate; what is refused says what could be promised instead."""
    at_least, confidence = parameters["at_least"], parameters["confidence"]
    first = start(window.replay, among)
    if first is None:
        groups = f"{window.replay.units} {window.replay.unit}s"
        why = f"Of {groups} fewer than {LEAST_UNITS} cross any cutoff: too few to judge by."
        return _unmet(policy, window, None, why, parameters)
    tested = in_sequence([window.precision_of(c) for c in among[first:]], at_least, confidence)
    tests = [test.to_dict() for test in tested]
    kept = [test.trial for test in tested if test.kept]
    if kept:
        promised = promise("precision", at_least, confidence, kept[-1], **window.said)
        return _met(policy, window, kept[-1].candidate, parameters, promise=promised, tests=tests)
    # The bound at the first candidate tested: since the test there failed, it lies below what was asked,
    # and both statements together are wrong no more often than either.
    trial = tested[0].trial
    best = bound(trial, confidence, **window.said)
    needed = leads_needed(trial, at_least, confidence, window.crossings.leads, window.replay.unit)
    return _unmet(
        policy, window, trial.candidate, _refusal(policy, tested[0], parameters, window, best), parameters,
        best_promise=best, leads_needed=needed, tests=tests,
    )  # fmt: skip


def _refusal(
    policy: str,
    failed: Tested,
    parameters: dict[str, Any],
    window: DecisionWindow,
    best: dict[str, Any] | None,
) -> str:
    trial, unit = failed.trial, window.replay.unit
    within = f" with at most {parameters['per_week']:g} new MQLs a week" if policy == "capacity" else ""
    return (
        f"No cutoff{within} is certified to keep {percent(parameters['at_least'])} with "
        f"{percent(parameters['confidence'])} confidence: the tests begin where the most was to be expected, "
        f"at a propensity of {trial.candidate.level:.3f}, and {trial.successes} of {trial.units} {unit}s "
        f"converted there{'' if best else ', which allows no promise at all'}."
    )


def _fixed(
    policy: str,
    window: DecisionWindow,
    candidate: Candidate,
    parameters: dict[str, Any],
    each: float | None = None,
) -> Cutoff:
    """Return a cutoff whose level is given, with the bound there as its promise; `each` as in `bound`."""
    trial = window.precision_of(candidate)
    promised = bound(trial, parameters["confidence"], each=each, **window.said)
    why = {}
    if promised is None:
        why = {
            "why": f"Nothing can be promised at this level: {trial.successes} of {trial.units} "
            f"{window.replay.unit}s converted after crossing it first in the decision window."
        }
    return _met(policy, window, candidate, parameters, promise=promised, **why)


def _met(
    policy: str,
    window: DecisionWindow,
    candidate: Candidate,
    parameters: dict[str, Any],
    promise: dict[str, Any] | None = None,
    **more: Any,
) -> Cutoff:
    trial = window.precision_of(candidate)
    evidence = {
        "met": True,
        **window.crossings.at(candidate.level),
        "first_crossings": {
            "unit": window.replay.unit,
            "units": trial.units,
            "converted": trial.successes,
            **proportion(trial.successes, trial.units),
        },
        "next_hundred": next_hundred(trial.units, trial.successes),
        "parameters": parameters,
        **more,
    }
    return Cutoff(policy, candidate.level, _margin(candidate), promise, evidence)


def _unmet(
    policy: str,
    window: DecisionWindow,
    best: Candidate | None,
    why: str,
    parameters: dict[str, Any],
    **more: Any,
) -> Cutoff:
    """Return a cutoff without a level; `best` is the candidate that came nearest."""
    near = None
    if best is not None:
        near = {"level": best.level, "margin": _margin(best), **window.crossings.at(best.level)}
    evidence = {
        "met": False,
        "why": why,
        "best": near,
        **window.crossings.at(np.inf),
        "next_hundred": None,
        "parameters": parameters,
        **{"best_promise": None, "leads_needed": None, "tests": [], **more},
    }
    return Cutoff(policy, None, evidence=evidence)


def _margin(candidate: Candidate) -> float | None:
    """Return the margin, None where no lead can reach the level."""
    return candidate.margin if candidate.margin < FURTHEST else None


def _asked(at_least: float, confidence: float) -> dict[str, Any]:
    if not 0.0 < at_least < 1.0:
        raise ConfigurationError(f"A share of {at_least}.", allowed="above 0, below 1", where="at_least")
    return {"at_least": at_least, "confidence": confidence}


def _positive(name: str, number: float) -> None:
    if not (np.isfinite(number) and number > 0):
        raise ConfigurationError(f"{name} is {number}.", allowed="a number above 0", where=name)
