"""What a cutoff promises, in a form that can be kept: words, the next hundred, and whether it held."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from scipy.stats import betabinom

from models.certificates import LEAST_UNITS, Trial, lower_bound, units_needed, upper_bound
from models.replay import Replay

What = Literal["precision", "recall"]
IN_SEQUENCE = "exact binomial tests, one cutoff after the other"
AT_ONE_LEVEL = "exact lower bound at this one cutoff"
AT_EVERY_LEVEL = "exact lower bounds that hold at all of these cutoffs at once"
# How sure it must be that a promise was broken before anyone is told so.
VIOLATION_CONFIDENCE = 0.95
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def promise(
    what: What,
    at_least: float,
    confidence: float,
    trial: Trial,
    *,
    unit: str,
    horizon: str | None,
    method: str = IN_SEQUENCE,
) -> dict[str, Any]:
    """Return a promise, ready for JSON.

    Parameters
    ----------
    what
        "precision": of those who become MQLs this share converts within the horizon. "recall": of
        those who win this share had become MQLs before.
    at_least, confidence
        The share, and the least probability that what was promised is true.
    trial
        The cutoff and what was counted there, by units that are independent of each other.
    unit, horizon
        "account" or "lead"; a duration such as "30d", or None.
    """
    counted = "converted" if what == "precision" else "caught"
    return {
        "what": what,
        "at_least": at_least,
        "confidence": confidence,
        "margin": trial.candidate.margin,
        "level": trial.candidate.level,
        "tested_on": {"units": trial.units, counted: trial.successes, "unit": unit},
        "method": method,
        "words": words(what, at_least, confidence, unit, horizon),
    }


def bound(
    trial: Trial,
    confidence: float,
    *,
    unit: str,
    horizon: str | None,
    what: What = "precision",
    each: float | None = None,
) -> dict[str, Any] | None:
    """Return the best promise at one cutoff, or None.

    The exact lower bound, rounded down. None where fewer than `LEAST_UNITS` units speak for it, or
    where it rounds down to nothing. Without `each` the cutoff was chosen without labels; where it may
    have been chosen after seeing what many would bring, `each` is the confidence of one bound that it takes
    for all of them to hold (`models.ladder`).
    """
    least = rounded_down(trial.at_least(confidence if each is None else each))
    if trial.units < LEAST_UNITS or least <= 0.0:
        return None
    return promise(
        what,
        least,
        confidence,
        trial,
        unit=unit,
        horizon=horizon,
        method=AT_ONE_LEVEL if each is None else AT_EVERY_LEVEL,
    )


def rounded_down(share: float) -> float:
    """Return a share as people say it, never more than it is: whole percents, tenths below 10 %."""
    steps = 100 if share >= 0.1 else 1000
    # What is a whole step but for rounding stays it.
    return math.floor(share * steps + 1e-9) / steps


def words(what: What, at_least: float, confidence: float, unit: str, horizon: str | None) -> str:
    """Return a promise as a sentence."""
    said, sure = percent(at_least), percent(confidence)
    whose = " (the first of each account)" if unit == "account" else ""
    if what == "recall":
        return f"At least {said} of wins{whose} were MQLs before, with {sure} confidence."
    return f"At least {said} of MQLs{whose} convert{within(horizon)}, with {sure} confidence."


def percent(share: float) -> str:
    """Return a share in percent, with as many digits as it takes and no more than a tenth."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def within(horizon: str | None) -> str:
    """Return a horizon as people say it, or nothing."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", horizon or "")
    if match is None:
        return ""
    number, unit = match[1], _UNITS[match[2]]
    return f" within {number} {unit.removesuffix('s') if number == '1' else unit}"


def next_hundred(units: int, converted: int, confidence: float = 0.9, of: int = 100) -> dict[str, Any] | None:
    """Return how many of the next hundred MQLs will convert: a prediction interval.

    What is known of the share (Jeffreys' prior, so a beta distribution with half a success and half a
    failure added) and the chance in a hundred leads together: a beta-binomial distribution. None where
    nothing was counted.
    """
    if not units:
        return None
    ahead = betabinom(of, converted + 0.5, units - converted + 0.5)
    tail = (1.0 - confidence) / 2
    low, high = int(ahead.ppf(tail)), int(ahead.ppf(1.0 - tail))
    return {
        "of": of,
        "expected": float(ahead.mean()),
        "low": low,
        "high": high,
        "confidence": confidence,
        "words": f"Of the next {of} MQLs, {low} to {high} will convert ({percent(confidence)} interval).",
    }


def leads_needed(trial: Trial, share: float, confidence: float, leads: int, unit: str) -> dict[str, Any]:
    """Return how many leads the decision window would need for the promise to be certified.

    With a power of 80 %, if the share seen is the true one. ``leads`` and ``times`` (as many as there
    are now) are None where the share seen is not above the one promised: more leads will not help.
    """
    counted = f"{trial.successes} of {trial.units} {unit}s"
    if not trial.units or trial.successes <= share * trial.units:
        said = f"More leads will not help: {counted} is not more than {percent(share)}."
        return {"times": None, "leads": None, "words": said}
    needed = units_needed(trial.successes / trial.units, share, confidence)
    if needed is None:
        said = f"No number of leads would do: {counted} is as good as {percent(share)}."
        return {"times": None, "leads": None, "words": said}
    times = needed / trial.units
    number = math.ceil(times * leads)
    said = f"It would take about {number:,} leads in the decision window ({times:.1f} times as many)"
    return {
        "times": times,
        "leads": number,
        "words": f"{said}, if the {percent(trial.successes / trial.units)} seen there are the truth.",
    }


def counted(given: dict[str, Any], replay: Replay) -> tuple[int, int]:
    """Return the units and successes of a promise on other leads, counted as it was made."""
    return (replay.caught if given["what"] == "recall" else replay.converted)(given["margin"])


def held(given: dict[str, Any], units: int, successes: int) -> Literal["held", "violated", "undecided"]:
    """Return whether a promise held on later leads, counted by `counted`.

    "violated" only if the exact upper bound of the share (95 %) lies below the promise: so of promises
    that are just true no more than one in twenty is accused. "held" if the share itself reached it;
    "undecided" if it stayed below by no more than chance explains.
    """
    if units and successes >= given["at_least"] * units:
        return "held"
    broken = upper_bound(units, successes, VIOLATION_CONFIDENCE) < given["at_least"] if units else False
    return "violated" if broken else "undecided"


def realised(given: dict[str, Any], units: int, successes: int) -> dict[str, Any]:
    """Return promised beside realised on later leads, with the exact 90 % interval and the verdict."""
    return {
        "promised": given["at_least"],
        "units": units,
        "successes": successes,
        "share": successes / units if units else None,
        "low": lower_bound(units, successes, VIOLATION_CONFIDENCE) if units else 0.0,
        "high": upper_bound(units, successes, VIOLATION_CONFIDENCE) if units else 1.0,
        "verdict": held(given, units, successes),
    }
