"""What people are told in words of a result."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipeline.verdicts import cutoff_sentence, doubts, stale


def evidence(share: float, low: float, high: float, mqls: int, **more: object) -> dict:
    return {"estimate": {"value": share, "low": low, "high": high}, "mqls": mqls, **more}


PROMISE = {
    "what": "precision", "at_least": 0.2, "confidence": 0.9, "level": 0.25, "margin": -1.1,
    "tested_on": {"units": 40, "converted": 12, "unit": "account"},
    "words": "At least 20 % of MQLs convert within 30 days, with 90 % confidence.",
}  # fmt: skip


def cutoff(promise: dict | None, **more: object) -> dict:
    seen = evidence(0.3, 0.2, 0.4, 40, parameters={"at_least": 0.2, "confidence": 0.9}, **more)
    return {"policy": "precision", "level": 0.25, "promise": promise, "evidence": seen}


def later(verdict: str, share: float, high: float) -> dict:
    found = {"promised": 0.2, "units": 115, "share": share, "high": high, "verdict": verdict}
    return evidence(share, 0.0, high, 120, promise=found)


def test_a_promise_is_said_with_what_it_was_tested_on_and_what_to_expect():
    ahead = {"words": "Of the next 100 MQLs, 20 to 41 will convert (90 % interval)."}
    said = cutoff_sentence(cutoff(PROMISE, next_hundred=ahead))
    assert (
        "Promise: At least 20 % of MQLs convert within 30 days, with 90 % confidence (seen in 12 of 40)."
        in said
    )
    assert said.startswith("Cutoff by precision (at least 20%): propensity 0.250.")
    assert "Of the next 100 MQLs, 20 to 41 will convert" in said
    assert "In the decision window 30% of 40 MQLs converted" in said


@pytest.mark.parametrize(
    ("verdict", "share", "high", "said"),
    [
        ("held", 0.24, 0.31, "The promise held: 24% of 115 there."),
        ("undecided", 0.17, 0.24, "Below the promise, by no more than chance explains: 17% of 115 there."),
        ("violated", 0.10, 0.16, "The promise did NOT hold: 10% of 115 there, at most 16%."),
    ],
)
def test_whether_it_held_on_later_leads_is_said(verdict, share, high, said):
    assert said in cutoff_sentence(cutoff(PROMISE, test=later(verdict, share, high)))


def test_a_promise_that_the_drift_took_away_is_said_to_be_withdrawn():
    said = cutoff_sentence(cutoff(None, withdrawn={"words": "The rate doubled.", "promise": PROMISE}))
    assert "Its promise is withdrawn, because the base rate moved." in said
    assert "At least 20 %" not in said


def test_a_capacity_tells_of_the_queue_and_a_value_of_how_flat_its_optimum_is():
    queue = {"per_week": 10.0, "mean": 8.3, "largest": 19.0, "longest_wait": 1.9}
    said = cutoff_sentence(cutoff(PROMISE, queue=queue))
    assert "With 10 worked a week, 8 wait on average, and 19 in the worst week" in said
    said = cutoff_sentence(cutoff(PROMISE, net_value={"flat": {"low": 0.11, "high": 0.18}}))
    assert "Any level from 0.110 to 0.180 brought at least 95 % of the best value" in said


def test_what_cannot_be_promised_names_what_can_and_what_it_would_take():
    instead = {
        "why": "No cutoff is certified to keep 30 % with 90 % confidence.",
        "best_promise": {**PROMISE, "level": 0.41},
        "leads_needed": {"words": "It would take about 900 leads in the decision window."},
    }
    given = {"policy": "precision", "level": None, "promise": None, "evidence": instead}
    said = cutoff_sentence(given)
    assert said.startswith("Cutoff by precision: none. No cutoff is certified to keep 30 %")
    assert "What can be promised, from a propensity of 0.410 on: At least 20 % of MQLs" in said
    assert "It would take about 900 leads" in said


def account(
    auc: float, gap: tuple[float, float], loss: tuple[float, float] = (-0.01, 0.01), drift: str = ""
) -> dict:
    interval = lambda ends: {"value": sum(ends) / 2, "low": ends[0], "high": ends[1]}  # noqa: E731
    return {
        "drift": {"moved": bool(drift), "words": drift},
        "test": {"auc": {"propense": {"value": auc}}},
        "difference": {"auc": interval(gap), "log_loss": interval(loss)},
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (account(0.997, (0.0, 0.1)), "too good to be true"),
        (account(0.77, (-0.2, -0.04)), "a logistic regression ranks better: AUC higher by 0.120"),
        (account(0.77, (-0.1, 0.1), (0.01, 0.03)), "log loss lower by 0.0200"),
        (account(0.77, (-0.1, 0.1), drift="The rate doubled."), "The rate doubled. No cutoff promises"),
    ],
)
def test_doubts_are_told(given, said):
    assert any(said in doubt for doubt in doubts(given))


def test_a_result_without_reason_for_doubt_gets_none():
    assert doubts(account(0.77, (-0.02, 0.05))) == []


def test_scoring_long_after_the_data_ends_is_warned_of():
    assert "267 days before" in stale(datetime(2026, 2, 28), datetime(2026, 11, 22))
    assert stale(datetime(2026, 11, 20), datetime(2026, 11, 22)) == ""
    assert stale(None, datetime(2026, 11, 22)) == ""


def test_a_shipped_model_has_no_test_window_to_doubt():
    assert doubts({"drift": {"moved": False, "words": ""}, "test": None}) == []
