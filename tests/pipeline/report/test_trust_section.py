"""Can it be trusted: every test of the guard and every measure of hygiene is told in both languages."""

from __future__ import annotations

import ast
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipeline.guard
import pipeline.hygiene
import pipeline.source
from features.language import LANGUAGES, Text
from models.drift import find_drift
from pipeline import score, verdicts
from pipeline.guard.verdicts import DOUBTS, PROOFS
from pipeline.hygiene import account
from pipeline.hygiene.account import MEASURES, Measure, not_possible, switched_off
from pipeline.report import checklist, words_hygiene, words_trust
from pipeline.report.segments import by_attribute
from pipeline.report.words_backtest import POLICIES, answer_sentence
from pipeline.report.words_guard import TESTS, evidence_sentence, replay_sentence
from pipeline.report.words_hygiene import effect_sentence, measure_sentence, state
from pipeline.report.words_trust import doubt_sentence, drift_sentence, drift_verdict, finding_sentence


def calls(package: Any, *names: str) -> list[ast.Call]:
    """Return every call, in the source of a package, of a function or method that has one of these names."""
    trees = [ast.parse(f.read_text("utf-8")) for f in Path(package.__path__[0]).glob("*.py")]
    found = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [c for c in found if getattr(c.func, "id", getattr(c.func, "attr", "")) in names]


def complete(said: dict[str, str]) -> bool:
    return set(said) == set(LANGUAGES) and all(said.values()) and said["en"] != said["fr"]


# The numbers that each test of the guard gives, as its code writes them.
NUMBERS: dict[str, list[dict[str, Any]]] = {
    "after_the_outcome": [{"occurrences": 200, "late": 199, "late_share": 0.995,
                           "leads": 50, "leads_late": 50}],
    "partly_after_the_outcome": [{"occurrences": 200, "late": 99, "late_share": 0.5,
                                  "leads": 50, "leads_late": 9}],
    "only_won": [{"rows": 120, "won": 119, "base_rate": 0.1}],
    "vanishes": [
        {"undecided_now": 1912, "filled_now": 0, "filled_expected": 185.1, "filled_of_won": 0.98,
         "rate_expected": 0.09, "rate_now": 0.003, "standard_error": 0.01, "drift": 0.0,
         "vanished_share": 1.0},
        {"undecided_now": 1912, "filled_now": 200, "filled_expected": 185.1, "filled_of_won": 0.98,
         "rate_expected": 0.09, "rate_now": 0.003, "standard_error": 0.01, "drift": 0.0,
         "vanished_share": 1.0},
    ],
    "follows_the_future": [{"counts": what, "whole": 0.97, "known": 0.6}
                           for what in ("all activities", "the days with activity", "'visit'")],
    "grows_with_time": [{"rank_correlation": 0.99}, {"rank_correlation": 0.99, "outside": 0.8}],
    "sorted_rows": [{"rank_correlation": 0.99}],
    "separates_perfectly": [{"auc": 0.999, "auc_of_missing": 0.5, "wins": 265}],
    "separates": [{"auc": 0.97, "auc_of_missing": 0.5, "wins": 265}],
    "missingness_separates": [{"auc": 0.97, "auc_of_missing": 0.96, "wins": 265}],
    "pure_values": [{"rows": 1736, "won": 4, "covered": 0.97, "chance": 1e-9},
                    {"rows": 120, "won": 119, "covered": 0.4, "chance": 1e-9},
                    {"rows": 120, "won": 119, "base_rate": 0.1}],
    "adds": [{"with": 0.85, "without": 0.77}],
    "in_excluded_table": [{}],
    "numbers": [{"auc": 0.6, "auc_of_missing": 0.5, "wins": 265}, {"leads": 40}],
}  # fmt: skip


def test_every_test_of_the_guard_has_sentences():
    written = {
        str(c.args[0].value) for c in calls(pipeline.guard, "Evidence") if isinstance(c.args[0], ast.Constant)
    }
    replaced = {
        str(k.value.value)
        for c in calls(pipeline.guard, "replace")
        for k in c.keywords
        if k.arg == "test" and isinstance(k.value, ast.Constant)
    }
    assert set(TESTS) == PROOFS | DOUBTS | {"numbers"}
    assert written | replaced <= set(TESTS)
    assert set(NUMBERS) == set(TESTS)


@pytest.mark.parametrize("subject", ["attribute", "kind", "table"])
@pytest.mark.parametrize("test", sorted(NUMBERS))
def test_evidence_is_told_in_both_languages(test, subject):
    for numbers in NUMBERS[test]:
        said = evidence_sentence({"test": test, "words": "", "numbers": numbers}, subject)
        assert complete(said), said


def test_evidence_says_its_numbers_as_each_language_writes_them():
    said = evidence_sentence({"test": "vanishes", "numbers": NUMBERS["vanishes"][0]}, "attribute")
    assert "is filled in for 98% of the leads that were won, and for 0 of 1,912" in said["en"]
    assert "pour 98\u00a0% des leads gagnés, et pour 0 des 1\u202f912 leads" in said["fr"]


def test_a_leap_before_the_outcome_is_told_with_what_moves_it():
    label = {"en": "contract", "fr": "contrat"}
    leap = {"finding": "Within the last hour ...", "concept": "attribute.contract"}
    assert "“contract”" in replay_sentence(leap, lambda _: label)["en"]
    assert "contrat" in replay_sentence(leap, lambda _: label)["fr"]
    assert "nothing leaps" in replay_sentence({"finding": "", "concept": None}, lambda _: label)["en"]
    assert replay_sentence(None, lambda _: label) is None


DETAILS = {
    "duplicates": {"came_back": 2, "shared_by_too_many": 1},
    "impossible": {"before_1990": 1, "before_the_mail_was_sent": 2, "recorded_twice": 3},
}


def test_every_measure_of_hygiene_has_sentences_for_every_state():
    assert set(words_hygiene.NAMES) == set(words_hygiene.FOUND) == set(MEASURES)
    for name in MEASURES:
        done = ["kept", "kept as a feature", "left out"]
        done = done if name in ("personal", "student", "disposable") else ["removed"]
        measures = [Measure(name, True, 9, how, 5, 4, details=DETAILS.get(name, {})) for how in done]
        measures += [switched_off(name, "so"), Measure(name, True), not_possible(name, "so")]
        told = [measure_sentence(m.to_dict()) for m in measures]
        assert all(complete(said) for said in told)
        assert len({said["en"] for said in told}) == len(told)
        assert [state(m.to_dict()) for m in measures[-3:]] == ["off", "nothing", "impossible"]


def test_every_reason_why_a_measure_is_not_possible_has_words():
    reasons = {
        str(c.args[2].value)
        for c in calls(pipeline.hygiene, "not_possible")
        if len(c.args) > 2 and isinstance(c.args[2], ast.Constant)
    }
    assert reasons | {account.NO_COLUMNS} == set(words_hygiene.NOT_POSSIBLE)


def test_every_count_of_impossible_activities_has_words():
    keys = {
        str(key.value)
        for file in Path(pipeline.hygiene.__path__[0]).glob("actions.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert keys == set(words_hygiene.IMPOSSIBLE)


def test_every_reason_for_an_open_lead_to_be_left_out_has_words():
    reasons = {
        score.HANDED_OVER,
        score.NOT_OPEN,
        account.DUPLICATE,
        account.CUSTOMER,
        *account.REASONS.values(),
    }
    assert set(words_trust.EXCLUDED) == reasons


def test_everything_that_reading_may_find_has_words():
    for call in calls(pipeline.source, "left_out", "note", "bad_rows"):
        message = call.args[1] if len(call.args) > 1 else None
        start = message.values[0] if isinstance(message, ast.JoinedStr) else message
        if isinstance(start, ast.Constant):
            assert any(str(start.value).startswith(known) for known in words_trust.FINDINGS), start.value
    said = finding_sentence(
        {
            "table": "leads",
            "column": "plan",
            "rows": 1200,
            "message": "times in the future",
            "example": "a secret",
        }
    )
    assert said == {
        "en": "leads, column “plan”: times in the future (1,200 rows)",
        "fr": "leads, colonne «\u00a0plan\u00a0»\u00a0: dates dans le futur (1\u202f200 lignes)",
    }


def test_every_doubt_has_words_in_both_languages():
    values = {
        "kept": {"names": ["contract"]}, "moved": {"words": "it moved"},
        "too_good": {"auc": 0.991, "suspects": ["contract"]},
        "logistic_ranks": {"gain": 0.03, "low": 0.01, "high": 0.05}, "logistic_calibrates": {"gain": 0.01},
    }  # fmt: skip
    assert set(values) == set(verdicts.DOUBTS) == set(words_trust.DOUBTS)
    for name, given in values.items():
        assert complete(doubt_sentence(verdicts.Doubt(name, given)))
        assert verdicts.DOUBTS[name](given)


@pytest.mark.parametrize("ordered", [True, False])
def test_every_comparison_of_drift_has_words(ordered):
    rows = 400
    keys = pd.DataFrame(
        {
            "group_id": range(rows), "label": [1, 0] * (rows // 2),
            "window": np.repeat(["train", "calibration", "decision", "decision"], rows // 4),
            "as_of": pd.date_range("2024-01-01", periods=rows),
        }
    )  # fmt: skip
    drift = find_drift(keys, pd.Series(0.5, index=keys.index), ordered=ordered).to_dict()
    assert drift["checks"]
    assert complete(drift_sentence(drift))
    assert complete(drift_sentence({"moved": False, "checks": []}))


def test_what_a_part_of_the_data_changes_is_told():
    gap = {"value": 0.02, "low": 0.01, "high": 0.03}
    effect = {"measured": True, "matters": True, "auc": {"with": 0.8, "without": 0.78, "difference": gap}}
    assert "80.0% of pairs" in effect_sentence(effect)["en"]
    assert effect_sentence(effect)["en"].endswith("it helps.")
    assert "au-delà du hasard" in effect_sentence({**effect, "matters": False})["fr"]
    assert complete(effect_sentence({"measured": False, "why": "no"}))
    assert effect_sentence(None) is None


def test_the_answer_of_a_backtest_says_more_or_fewer():
    more = {"value": 51, "low": 35.0, "high": 67.0}
    answer = {"against": "points", "calls": 295, "customers": 83, "customers_against": 32,
              "more_customers": more, "fewer_calls": {"value": 195.0, "low": 1.0, "high": 2.0}}  # fmt: skip
    said = answer_sentence({"answer": answer})
    assert "83 customers instead of 32 with your points: +51" in said["en"]
    assert "195 calls fewer" in said["en"] or "195 calls" in said["en"]
    worse = answer | {"more_customers": {"value": -4, "low": -9.0, "high": 1.0}}
    assert "−4" in answer_sentence({"answer": worse})["fr"]
    assert "hasard" in answer_sentence({"answer": worse})["fr"]
    assert "195" not in answer_sentence({"answer": worse})["en"]  # no calls saved where it may be chance
    assert complete(answer_sentence({"answer": None}))


def test_every_policy_of_a_backtest_has_a_name():
    from pipeline.backtest.words import NAMES

    assert set(POLICIES) == set(NAMES)


AGREES = {"announced": 0.1, "came": 0.1, "low": 0.08, "high": 0.12}


@pytest.mark.parametrize(
    ("overall", "outside", "expected"),
    [
        (AGREES, 1, "ok"),
        (AGREES, 4, "doubt"),
        (AGREES | {"announced": 0.13}, 1, "doubt"),
        (AGREES | {"announced": 0.3}, 9, "problem"),
    ],
)
def test_propensities_are_judged_by_what_came(overall, outside, expected):
    assert checklist.propensities(overall, outside, 10)["state"] == expected


@pytest.mark.parametrize(
    ("low", "better", "expected"),
    [
        (0.7, None, "ok"),
        (0.49, None, "problem"),
        (None, None, "problem"),
        (0.7, {"value": 5, "low": 3.0, "high": 9.0}, "ok"),
        (0.7, {"value": 4, "low": -1.0, "high": 9.0}, "doubt"),
        (0.7, {"value": -5, "low": -9.0, "high": -1.0}, "problem"),
    ],
)
def test_the_order_is_judged_against_chance_and_the_points(low, better, expected):
    words = Text("a", "b").to_dict()
    assert checklist.order({"low": low}, words, better)["state"] == expected


def test_a_doubt_about_the_order_says_why():
    words = Text("a", "b").to_dict()
    doubtful = checklist.order({"low": 0.7}, words, {"value": 7, "low": 0.0, "high": 15.0})["words"]
    assert doubtful["en"] == (
        "a That it finds more customers than your points is not sure: 7 more (90% interval 0 to 15: it may "
        "be chance)."
    )
    none = {"value": -2, "low": -9.0, "high": 5.0}
    assert "did not find more" in checklist.order({"low": 0.7}, words, none, "first_come")["words"]["en"]
    sure = checklist.order({"low": 0.7}, words, {"value": 7, "low": 1.0, "high": 15.0})["words"]
    assert sure == words


def test_shares_of_looks_are_told_from_those_of_leads():
    leads = {"leads": 531, "won": 53}
    said = checklist.propensities(AGREES | {"came": 0.058}, 1, 10, leads=leads, horizon="14d")["words"]
    assert "Of 1,000 looks at a lead 100 were announced to end in a conversion, 58 did" in said["en"]
    assert "asks about the next 14 days" in said["en"]
    assert "53 sur 531" in said["fr"]
    higher = checklist.propensities(AGREES, 1, 10, leads=leads, horizon="14d")["words"]
    assert "several days" not in higher["en"]  # 10% of the looks are not fewer than 53 of 531 leads
    flat = checklist.propensities(AGREES | {"came": 0.058}, 1, 10, leads=leads, horizon=None)["words"]
    assert "several days" not in flat["en"]


def test_a_rate_that_changed_beyond_chance_but_not_beyond_the_season_is_not_said_to_stand_still():
    between = "from the training to the calibration window"
    fewer = {"between": between, "ratio": 0.82, "low": 0.68, "high": 0.99, "moved": False}
    changed = {"moved": False, "checks": [fewer]}
    said = drift_sentence(changed)["en"]
    assert "No move" not in said
    assert "fewer leads converted than before, 0.82 times as often (99% interval 0.68 to 0.99)" in said
    assert "0.80 to 1.25 times" in said
    still = {"moved": False, "checks": [fewer | {"high": 1.2}]}
    assert drift_sentence(still)["en"].endswith("by as much as these intervals allow.")
    for drift in (changed, still, {"moved": True, "checks": [fewer | {"high": 0.7, "moved": True}]}):
        assert complete(drift_verdict(drift))
        assert drift_sentence(drift)["en"].startswith(drift_verdict(drift)["en"])
        assert "99%" not in drift_verdict(drift)["en"]


@pytest.mark.parametrize(
    ("level", "verdict", "expected"),
    [
        (0.2, "held", "ok"),
        (0.2, "undecided", "doubt"),
        (0.2, "violated", "problem"),
        (None, "held", "problem"),
    ],
)
def test_the_promise_is_judged_by_later_leads(level, verdict, expected):
    held = {"verdict": verdict, "share": 0.3, "units": 100}
    cutoff = {"level": level, "promise": {"what": "precision", "at_least": 0.2},
              "evidence": {"test": {"promise": held}}}  # fmt: skip
    found = checklist.promise({"cutoffs": [cutoff]})
    assert found["state"] == expected
    assert complete(found["words"])


def test_leaks_are_a_problem_where_the_guard_is_off_or_overruled():
    def guard(*verdicts_: tuple[str, bool], leaps: str = "", on: bool = True) -> dict:
        listed = [{"verdict": word, "kept": kept} for word, kept in verdicts_]
        return {"on": on, "verdicts": listed, "replay": {"finding": leaps}}

    assert checklist.leaks(guard(("clear", True), ("excluded", False)))["state"] == "ok"
    assert checklist.leaks(guard(("suspect", True)))["state"] == "doubt"
    assert checklist.leaks(guard(("excluded", True)))["state"] == "problem"
    assert checklist.leaks(guard(leaps="it leaps"))["state"] == "problem"
    assert checklist.leaks(guard(on=False))["state"] == "problem"


def test_old_data_is_a_doubt_and_without_times_there_is_nothing_to_say():
    assert checklist.fresh(datetime(2024, 1, 1), datetime(2024, 1, 3))["state"] == "ok"
    assert checklist.fresh(datetime(2024, 1, 1), datetime(2024, 1, 8))["state"] == "doubt"
    assert checklist.fresh(None, datetime(2024, 1, 8)) is None
    today = checklist.fresh(datetime(2024, 1, 8), datetime(2024, 1, 8, 9))["words"]
    assert today["en"] == "Outcomes are known up to the day of this report."
    assert complete(today)


def test_the_verdict_names_what_holds_and_what_does_not_problems_first():
    words = Text("a", "b")
    checks = [
        checklist.check(*one, words) for one in (("test", "ok"), ("leaks", "problem"), ("fresh", "doubt"))
    ]
    said = checklist.verdict(checks)
    assert said["en"] == (
        "Do not act on these numbers before this is settled: the search for leaks of the outcome. "
        "What can be relied on: how it was tested. What to keep in mind: how fresh the data is."
    )
    assert complete(said)


def test_numbers_are_cut_into_quarters_and_what_is_missing_is_a_segment():
    from features.tables import Attribute
    from features.vocabulary import KnownAttribute

    known = KnownAttribute(Attribute("visits", "number"), "visits", gaps=True)
    segment, names = by_attribute(known, pd.Series([1, 2, 3, 4, 5, 6, 7, 8, np.nan]))
    assert [names[code]["en"] for code in segment] == ["1 to 2"] * 2 + ["3 to 4"] * 2 + ["5 to 6"] * 2 + [
        "7 to 8"
    ] * 2 + ["not known"]
