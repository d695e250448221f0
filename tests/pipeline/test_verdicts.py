"""What people are told in words of a result."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipeline.verdicts import cutoff_sentence, doubts, stale


def evidence(share: float, low: float, high: float, mqls: int, **more: object) -> dict:
    return {"estimate": {"value": share, "low": low, "high": high}, "mqls": mqls, **more}


def cutoff(later: dict) -> dict:
    seen = evidence(0.3, 0.2, 0.4, 40, parameters={"at_least": 0.3}, test=later)
    return {"policy": "precision", "level": 0.25, "evidence": seen}


def test_a_cutoff_that_did_not_hold_later_says_so():
    said = cutoff_sentence(cutoff(evidence(0.1, 0.06, 0.16, 115)))
    assert "30% of 40 MQLs" in said
    assert "In the test window 10% of 115 MQLs converted" in said
    assert "You asked for 30%: on these later leads it did not hold." in said


def test_a_cutoff_that_may_have_held_is_not_accused():
    assert "did not hold" not in cutoff_sentence(cutoff(evidence(0.25, 0.18, 0.33, 115)))


def account(auc: float, gap: tuple[float, float], loss: tuple[float, float] = (-0.01, 0.01)) -> dict:
    interval = lambda ends: {"value": sum(ends) / 2, "low": ends[0], "high": ends[1]}  # noqa: E731
    return {
        "test": {"auc": {"propense": {"value": auc}}},
        "difference": {"auc": interval(gap), "log_loss": interval(loss)},
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (account(0.997, (0.0, 0.1)), "too good to be true"),
        (account(0.77, (-0.2, -0.04)), "a logistic regression ranks better: AUC higher by 0.120"),
        (account(0.77, (-0.1, 0.1), (0.01, 0.03)), "log loss lower by 0.0200"),
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
