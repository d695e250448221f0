"""What a reader of ``train.json`` should be told in words: cutoffs, and doubts about the result."""

from __future__ import annotations

from datetime import datetime
from typing import Any

# An AUC beyond what behaviour can tell is the mark of a field that is filled in after the outcome.
TOO_GOOD = 0.98
# Scores of data older than this deserve a word: what happened since is unknown.
STALE_DAYS = 7


def cutoff_sentence(cutoff: dict[str, Any]) -> str:
    """Say a cutoff, its evidence in both windows, and that it promises nothing yet."""
    evidence, policy = cutoff["evidence"], cutoff["policy"]
    if cutoff["level"] is None:
        return f"Cutoff by {policy}: none. {evidence.get('why', '')}"
    said = f"Cutoff by {policy}: propensity {cutoff['level']:.3f}; in the decision window "
    said += _converted(evidence)
    if evidence.get("share_caught") is not None:
        said += f", which caught {evidence['share_caught']:.0%} of the conversions"
    if evidence.get("mqls_per_week") is not None:
        said += f"; {evidence['mqls_per_week']:.1f} new MQLs a week"
    said += ". An estimate, not a promise."
    if "test" in evidence:
        said += f" In the test window {_converted(evidence['test'])}."
    return said + _not_reached(evidence)


def _converted(evidence: dict[str, Any]) -> str:
    estimate = evidence["estimate"]
    if estimate["value"] is None:
        return "nobody was an MQL"
    return (
        f"{estimate['value']:.0%} of {evidence['mqls']:,} MQLs converted after first crossing it "
        f"(90 % interval {estimate['low']:.0%} to {estimate['high']:.0%})"
    )


def _not_reached(evidence: dict[str, Any]) -> str:
    asked = evidence["parameters"].get("at_least")
    later = evidence.get("test", {}).get("estimate", {})
    if asked is None or later.get("value") is None or later["high"] >= asked:
        return ""
    return f" You asked for {asked:.0%}: on these later leads it did not hold."


def doubts(account: dict[str, Any]) -> list[str]:
    """Return what speaks against trusting a result, most serious first."""
    found = []
    auc = account["test"]["auc"]["propense"]["value"]
    if auc is not None and auc > TOO_GOOD:
        found.append(
            f"An AUC of {auc:.3f} is too good to be true: a column or an activity probably follows from the "
            "outcome. List it under `ignore`, or its kind under `activity_kinds`; "
            "`propense explain` shows what is strongest."
        )
    gap = account["difference"]["auc"]
    if gap["high"] is not None and gap["high"] < 0:
        found.append(
            "On this test window a logistic regression ranks better: "
            f"AUC higher by {-gap['value']:.3f} (90 % interval {-gap['high']:.3f} to {-gap['low']:.3f})."
        )
    loss = account["difference"]["log_loss"]
    if loss["low"] is not None and loss["low"] > 0:
        found.append(
            "On this test window a logistic regression has the better probabilities: "
            f"log loss lower by {loss['value']:.4f}."
        )
    return found


def stale(observed_until: datetime | None, as_of: datetime) -> str:
    """Return a warning if the data ends well before the moment that is scored, else an empty text."""
    if observed_until is None or (as_of - observed_until).days < STALE_DAYS:
        return ""
    return (
        f"The data ends on {observed_until:%Y-%m-%d}, {(as_of - observed_until).days} days before the moment "
        "that is scored: what happened since is unknown. Export again, or ask for "
        f"--as-of {observed_until:%Y-%m-%d}."
    )
