"""What a reader of ``train.json`` should be told in words: cutoffs, and doubts about the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# An AUC beyond what behaviour can tell is the mark of a field that is filled in after the outcome.
TOO_GOOD = 0.98
# Scores of data older than this deserve a word: what happened since is unknown.
STALE_DAYS = 7


def cutoff_sentence(cutoff: dict[str, Any]) -> str:
    """Say a cutoff, what it promises or why it does not, and its evidence in both windows."""
    evidence, policy = cutoff["evidence"], cutoff["policy"]
    if cutoff["level"] is None:
        asked = _asked(evidence.get("parameters", {}))
        return " ".join([f"Cutoff by {policy}{asked}: none. {evidence.get('why', '')}", *_instead(evidence)])
    said = f"In the decision window {_converted(evidence)}"
    if evidence.get("mqls_per_week") is not None and evidence["mqls"]:
        said += f": {evidence['mqls_per_week']:.1f} new MQLs a week"
    asked = _asked(evidence["parameters"])
    parts = [f"Cutoff by {policy}{asked}: propensity {cutoff['level']:.3f}.", *_promised(cutoff), f"{said}."]
    parts += [*_queue(evidence), *_flat(evidence)]
    if "test" in evidence:
        parts.append(f"In the test window {_converted(evidence['test'])}.")
    return " ".join([*parts, *_kept(evidence)])


ASKED = {
    "at_least": "at least {:.0%}",
    "per_week": "{:g} a week",
    "cost": "a contact costs {:g}",
    "value": "a win brings {:g}",
    "propensity": "yours",
}


def _asked(parameters: dict[str, Any]) -> str:
    """Return what was asked of the policy, so that two cutoffs of one policy can be told apart."""
    given = [
        form.format(parameters[name]) for name, form in ASKED.items() if parameters.get(name) is not None
    ]
    return f" ({', '.join(given)})" if given else ""


def _promised(cutoff: dict[str, Any]) -> list[str]:
    """Return the promise with what it was tested on, or why there is none."""
    evidence, promise = cutoff["evidence"], cutoff["promise"]
    ahead = [evidence["next_hundred"]["words"]] if evidence.get("next_hundred") else []
    if promise is not None:
        on = promise["tested_on"]
        done = on["converted"] if "converted" in on else on["caught"]
        return [f"Promise: {promise['words'].rstrip('.')} (seen in {done} of {on['units']}).", *ahead]
    if "withdrawn" in evidence:
        return ["Its promise is withdrawn, because the base rate moved."]
    return ["An estimate, not a promise.", *_instead(evidence), *ahead]


def _queue(evidence: dict[str, Any]) -> list[str]:
    """Say what waits for sales where the policy fills its capacity."""
    queue = evidence.get("queue")
    if not queue:
        return []
    return [
        f"With {queue['per_week']:g} worked a week, {queue['mean']:.0f} wait on average, and "
        f"{queue['largest']:.0f} in the worst week of a usual year ({queue['longest_wait']:.1f} weeks of it)."
    ]


def _flat(evidence: dict[str, Any]) -> list[str]:
    """Say how much the choice of the level matters where contacts and wins have a value."""
    flat = (evidence.get("net_value") or {}).get("flat")
    if not flat:
        return []
    return [
        f"Any level from {flat['low']:.3f} to {flat['high']:.3f} brought at least 95 % of the best value."
    ]


def _instead(evidence: dict[str, Any]) -> list[str]:
    """Return the best that can be promised instead, and what it would take to promise what was asked."""
    found = []
    if evidence.get("best_promise"):
        best = evidence["best_promise"]
        found.append(f"What can be promised, from a propensity of {best['level']:.3f} on: {best['words']}")
    if evidence.get("leads_needed"):
        found.append(evidence["leads_needed"]["words"])
    return found


def _kept(evidence: dict[str, Any]) -> list[str]:
    """Say whether the promise held on the test window's leads."""
    found = evidence.get("test", {}).get("promise")
    if found is None or found["share"] is None:
        return []
    counted = f"{found['share']:.0%} of {found['units']:,} there"
    return {
        "held": [f"The promise held: {counted}."],
        "undecided": [f"Below the promise, by no more than chance explains: {counted}."],
        "violated": [f"The promise did NOT hold: {counted}, at most {found['high']:.0%}."],
    }[found["verdict"]]


def _converted(evidence: dict[str, Any]) -> str:
    estimate = evidence["estimate"]
    if estimate["value"] is None:
        return "nobody was an MQL"
    return (
        f"{estimate['value']:.0%} of {evidence['mqls']:,} MQLs converted "
        f"(90 % interval {estimate['low']:.0%} to {estimate['high']:.0%})"
    )


@dataclass(frozen=True)
class Doubt:
    """One thing that speaks against trusting a result: its name, and the values that are said of it."""

    name: str
    values: dict[str, Any]


def doubts(account: dict[str, Any]) -> list[str]:
    """Return what speaks against trusting a result, in words, most serious first."""
    return [DOUBTS[doubt.name](doubt.values) for doubt in doubted(account)]


def doubted(account: dict[str, Any]) -> list[Doubt]:
    """Return what speaks against trusting a result, most serious first; names are those of `DOUBTS`."""
    verdicts = account.get("guard", {}).get("verdicts", [])
    found = []
    kept = [v["name"] for v in verdicts if v["verdict"] == "excluded" and v["kept"]]
    if kept:
        found.append(Doubt("kept", {"names": kept}))
    if account["drift"]["moved"]:
        found.append(Doubt("moved", {"words": account["drift"]["words"]}))
    if account["test"] is None:
        return found
    auc = account["test"]["auc"]["propense"]["value"]
    if auc is not None and auc > TOO_GOOD:
        suspects = [v["name"] for v in verdicts if v["verdict"] == "suspect" and v["kept"]]
        found.append(Doubt("too_good", {"auc": auc, "suspects": suspects[:5]}))
    gap, loss = (account["difference"][metric] for metric in ("auc", "log_loss"))
    if gap["high"] is not None and gap["high"] < 0:
        found.append(
            Doubt("logistic_ranks", {"gain": -gap["value"], "low": -gap["high"], "high": -gap["low"]})
        )
    if loss["low"] is not None and loss["low"] > 0:
        found.append(Doubt("logistic_calibrates", {"gain": loss["value"]}))
    return found


def _too_good(values: dict[str, Any]) -> str:
    suspects = values["suspects"]
    first = f"Look at the suspects first: {', '.join(suspects)}. " if suspects else ""
    return (
        f"An AUC of {values['auc']:.3f} is too good to be true: a column or an activity probably follows "
        f"from the outcome. {first}List it under `ignore`, or its kind under `activity_kinds`; "
        "`propense explain` shows what is strongest."
    )


DOUBTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "kept": lambda values: (
        f"You keep what the leak guard would leave out: {', '.join(values['names'])}. If it is right, no "
        "number here will hold on leads to come."
    ),
    "moved": lambda values: f"{values['words']} No cutoff promises anything.",
    "too_good": _too_good,
    "logistic_ranks": lambda values: (
        "On this test window a logistic regression ranks better: "
        f"AUC higher by {values['gain']:.3f} (90 % interval {values['low']:.3f} to {values['high']:.3f})."
    ),
    "logistic_calibrates": lambda values: (
        "On this test window a logistic regression has the better probabilities: "
        f"log loss lower by {values['gain']:.4f}."
    ),
}


def nobody_passes(bands: dict[str, Any]) -> str:
    """Return a warning if no cutoff is in force, so that nobody can be an MQL, else an empty text."""
    cutoff = bands["mql"]
    if cutoff["level"] is not None:
        return ""
    why = cutoff["evidence"].get("why", "")
    return (
        f"No cutoff is in force, so no lead is an MQL. {why} Choose another policy under [[cutoffs]], or "
        "ask it for less, and train again."
    )


def stale(observed_until: datetime | None, as_of: datetime) -> str:
    """Return a warning if the data ends well before the moment that is scored, else an empty text."""
    if observed_until is None or (as_of - observed_until).days < STALE_DAYS:
        return ""
    return (
        f"The data ends on {observed_until:%Y-%m-%d}, {(as_of - observed_until).days} days before the moment "
        "that is scored: what happened since is unknown. Export again, or ask for "
        f"--as-of {observed_until:%Y-%m-%d}."
    )
