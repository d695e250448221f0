"""The ladder in ``train.json``: the same counts as the cutoffs', for every level that may be chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from synthetic import learned

from models.drift import Drift
from models.learning import Learned
from pipeline.evaluating import cutoffs_account, ladder_account
from pipeline.files import finite


@pytest.fixture(scope="module")
def usual() -> Learned:
    return learned(
        cutoffs=[("manual", {"propensity": 0.3, "confidence": 0.8}), ("capacity", {"per_week": 9})]
    )


@pytest.fixture(scope="module")
def account(usual: Learned) -> dict[str, Any]:
    return ladder_account(usual)


def test_it_has_every_candidate_and_every_configured_level_loosest_first(
    usual: Learned, account: dict[str, Any]
) -> None:
    levels = [rung["level"] for rung in account["rungs"]]
    configured = {cutoff.level for cutoff in usual.bundle.cutoffs}
    assert levels == sorted({candidate.level for candidate in usual.window.candidates} | configured)


def test_at_a_configured_level_it_says_what_the_cutoff_says(usual: Learned, account: dict[str, Any]) -> None:
    for cutoff in cutoffs_account(usual.predictions, usual.bundle):
        (rung,) = [rung for rung in account["rungs"] if rung["level"] == cutoff["level"]]
        evidence = cutoff["evidence"]
        assert rung["decision"] == {name: evidence[name] for name in rung["decision"]}
        assert rung["test"] == {name: evidence["test"][name] for name in rung["test"]}
        assert rung["margin"] == cutoff["margin"]


def test_its_promise_is_no_higher_than_that_of_a_level_fixed_beforehand(
    usual: Learned, account: dict[str, Any]
) -> None:
    cutoff = usual.bundle.cutoffs[0]
    (rung,) = [rung for rung in account["rungs"] if rung["level"] == cutoff.level]
    assert account["confidence"] == 0.8 < account["each"]  # the confidence of the cutoff in force
    assert cutoff.promise is not None
    assert rung["promise"]["at_least"] <= cutoff.promise["at_least"]


def test_each_promise_is_held_against_the_test_window(account: dict[str, Any]) -> None:
    promised = [rung for rung in account["rungs"] if rung["promise"]]
    assert promised
    for rung in promised:
        assert rung["realised"]["promised"] == rung["promise"]["at_least"]
        assert rung["realised"]["verdict"] in ("held", "undecided", "violated")
    assert all(rung["realised"] is None for rung in account["rungs"] if not rung["promise"])


def test_without_a_test_window_it_is_the_decision_window_alone(usual: Learned) -> None:
    shipped = replace(usual, predictions=usual.predictions[usual.predictions["part"] != "test"])
    found = ladder_account(shipped)["rungs"]
    assert all(rung["test"] is None and rung["realised"] is None for rung in found)
    assert all(rung["decision"]["mqls"] >= 0 for rung in found)


def test_where_the_base_rate_moved_nothing_is_promised_and_it_is_said(usual: Learned) -> None:
    found = ladder_account(replace(usual, drift=Drift(True, "It moved.")))
    assert found["withdrawn"] == "It moved."
    assert not any(rung["promise"] for rung in found["rungs"])


def test_it_can_be_written_as_json(account: dict[str, Any]) -> None:
    json.dumps(finite(account), allow_nan=False)
