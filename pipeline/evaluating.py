"""What ``train.json`` says of the test window, computed from the predictions alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from models.bundle import Bundle
from models.crossings import Crossings
from models.decision_window import DecisionWindow
from models.evaluation import by_age, evaluate, evaluation
from models.ladder import AT_EVERY_LEVEL, Rung, ladder
from models.learning import Learned
from models.promises import counted, realised
from models.replay import Replay
from pipeline.config import Config

MODELS = {"propense": "propensity", "logistic": "logistic", "base_rate": "base_rate", "rules": "rules"}


def propensities(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the predictions of each model that there is, under the name used in ``train.json``."""
    return {name: rows[column] for name, column in MODELS.items() if rows[column].notna().all()}


def evaluated(learned: Learned, config: Config, *, ship: bool) -> dict[str, Any]:
    """Return what the test window shows; to `ship` there is none."""
    if ship:
        return {"test": None, "difference": None}
    return evaluate_test(learned.predictions, learned.bundle, config.decision.rules_mql_at, config.model.seed)


def evaluate_test(
    predictions: pd.DataFrame, bundle: Bundle, rules_mql_at: float | None, seed: int
) -> dict[str, Any]:
    """Evaluate the test window: as operated, by age, and for new leads.

    Returns
    -------
    dict
        ``test``: metric, model, ``{value, low, high}`` on the leads open on the scoring calendar;
        ``difference``: the same for propense minus logistic, paired; ``by_age`` and ``new_leads``.
    """
    test = predictions[predictions["part"] == "test"]
    whole = evaluation(
        test["label"],
        propensities(test),
        test["group_id"],
        selected=_selected(test, bundle, rules_mql_at),
        seed=seed,
    )
    found: dict[str, Any] = {
        "test": whole.intervals(),
        "difference": whole.difference("propense", "logistic"),
    }
    aged = predictions[predictions["part"] == "test_by_age"]
    if len(aged):
        found["by_age"] = by_age(
            aged["label"], propensities(aged), aged["group_id"], aged["age"], resamples=100, seed=seed
        )
    new = test[test["new_lead"]]
    if 0 < len(new) < len(test):
        found["new_leads"] = {
            "leads": int(new["lead_id"].nunique()),
            "test": evaluate(new["label"], propensities(new), new["group_id"], resamples=100, seed=seed),
        }
    return found


def cutoffs_account(
    predictions: pd.DataFrame, bundle: Bundle, wins: pd.DataFrame | None = None
) -> list[dict[str, Any]]:
    """Return the cutoffs for ``train.json``; ``evidence.test`` is what each did in the test window.

    Counted as in the decision window: a lead is an MQL once, at its first crossing. ``promise`` there
    says whether what was promised held, on the groups whose first crossing was seen; `wins` (lead_id,
    group_id, won_at) are all wins in the test window's time, also of leads never scored before.
    """
    tested = _Tested.of(predictions, wins)
    found = []
    for cutoff in bundle.cutoffs:
        account = cutoff.to_dict()
        if cutoff.level is not None and tested is not None:
            seen = tested.crossings.at(cutoff.level)
            if cutoff.promise is not None:
                seen["promise"] = tested.kept(cutoff.promise)
            account["evidence"] = {**account["evidence"], "test": seen}
        found.append(account)
    return found


def ladder_account(learned: Learned) -> dict[str, Any]:
    """Return the evidence for every cutoff that may be chosen, loosest first.

    Returns
    -------
    dict
        ``confidence``: that all promises of the ladder hold; ``each``: of one level's bound; ``method``;
        ``unit`` of promises; ``share``: of all leads, those that the decision window counts; ``withdrawn``:
        why nothing is promised, or None; ``rungs``: level, margin, ``decision`` and ``test`` (as
        `Crossings.at`; None without a test window), promise or None, and ``realised`` in the test window
        (`models.promises.realised`, or None).
    """
    bundle, window, drift = learned.bundle, learned.window, learned.drift
    levels = [cutoff.level for cutoff in bundle.cutoffs if cutoff.level is not None]
    confidence = bundle.cutoffs[0].evidence["parameters"]["confidence"]
    found = ladder(window, levels, confidence, promises=not drift.moved)
    tested = _Tested.of(learned.predictions, None)
    return {
        "confidence": found.confidence,
        "each": found.each,
        "method": AT_EVERY_LEVEL,
        "unit": window.replay.unit,
        "share": window.crossings.share,
        "withdrawn": drift.words if drift.moved else None,
        "rungs": [_rung(rung, window, tested) for rung in found.rungs],
    }


def _rung(rung: Rung, window: DecisionWindow, tested: _Tested | None) -> dict[str, Any]:
    level = rung.candidate.level
    return {
        "level": level,
        "margin": rung.margin,
        "decision": window.crossings.at(level),
        "test": tested.crossings.at(level) if tested else None,
        "promise": rung.promise,
        "realised": tested.kept(rung.promise) if tested and rung.promise else None,
    }


@dataclass(frozen=True)
class _Tested:
    """The test window's snapshots, counted by lead, and its wins."""

    table: pd.DataFrame
    crossings: Crossings
    wins: pd.DataFrame | None

    @classmethod
    def of(cls, predictions: pd.DataFrame, wins: pd.DataFrame | None) -> _Tested | None:
        """Take the test window out of predictions; None where there is none."""
        test = predictions[predictions["part"] == "test"]
        if test.empty:
            return None
        table = test[["lead_id", "group_id", "margin", "propensity", "label"]]
        if test["as_of"].notna().all():
            table = table.assign(as_of=test["as_of"], created_at=test["opened_at"])
        return cls(table, Crossings.of(table), wins)

    def kept(self, promise: dict[str, Any]) -> dict[str, Any]:
        """Return promised beside realised.

        A lead from before the window that is above the level on its first date crossed nobody knows
        when: its group says nothing about first crossings.
        """
        table = self.table
        if "as_of" in table and promise["what"] == "precision":
            first = self._first
            unseen = (first["margin"] >= promise["margin"]) & (first["created_at"] < table["as_of"].min())
            table = table[~table["group_id"].isin(first.loc[unseen, "group_id"])]
        if table.empty:
            return realised(promise, 0, 0)
        return realised(promise, *counted(promise, Replay.of(table, wins=self.wins)))

    @cached_property
    def _first(self) -> pd.DataFrame:
        return self.table.sort_values("as_of").drop_duplicates("lead_id")


def _selected(test: pd.DataFrame, bundle: Bundle, rules_mql_at: float | None) -> dict[str, pd.Series]:
    """Return who is an MQL: by the cutoff in force, and by the user's own points."""
    selected = {"propense": pd.Series(bundle.cutoffs[0].passes(test["propensity"]), index=test.index)}
    if rules_mql_at is not None and test["points"].notna().all():
        selected["rules"] = test["points"] >= rules_mql_at
    return selected


def flat_metrics(found: dict[str, Any]) -> dict[str, float]:
    """Return the values of the test window as MLflow metrics: ``test_auc``, ``test_auc_logistic``, ..."""
    metrics = {}
    for metric, models in (found["test"] or {}).items():
        for name, interval in models.items():
            suffix = "" if name == "propense" else f"_{name}"
            if interval["value"] is not None:
                metrics[f"test_{metric}{suffix}"] = interval["value"]
    return metrics
