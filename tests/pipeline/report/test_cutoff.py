"""The section on the cutoff: what a reader is told follows from the numbers, in both languages."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from features.language import LANGUAGES, SPEAKERS
from models.crossings import proportion
from models.promises import promise, realised
from pipeline.files import finite
from pipeline.report import policies
from pipeline.report.charts import cutoff as charts
from pipeline.report.sections import cutoff

ABOUT = {"currency": "EUR"}


def evidence(mqls: int, caught: int, *, weeks: float | None = 10.0) -> dict[str, Any]:
    """What a window of 100 leads with 20 conversions showed at a level."""
    return {
        "estimate": proportion(caught, mqls), "mqls": mqls, "backlog": 0,
        "mqls_per_week": None if weeks is None else mqls / weeks, "conversions_caught": caught,
        "conversions": 20, "share_caught": caught / 20, "leads": 100, "weeks": weeks,
    }  # fmt: skip


def promised(at_least: float, level: float, unit: str = "account") -> dict[str, Any]:
    trial = SimpleNamespace(candidate=SimpleNamespace(margin=-1.0, level=level), units=50, successes=12)
    return promise("precision", at_least, 0.9, trial, unit=unit, horizon="90d")


def rung(level: float, mqls: int, caught: int, promise: Any, **more: Any) -> dict[str, Any]:
    return {
        "level": level, "margin": -1.0,
        "decision": evidence(mqls, caught), "test": evidence(mqls * 2, caught),
        "promise": promise, "realised": None, **more,
    }  # fmt: skip


def chosen(policy: str, level: float | None, **evidence: Any) -> dict[str, Any]:
    found = {"met": level is not None, "parameters": {"confidence": 0.9}} | evidence
    return {"policy": policy, "level": level, "margin": None, "promise": None, "evidence": found}


def material(**changes: Any) -> Any:
    """A project with three levels, of which the middle one is in force."""
    middle = promised(0.15, 0.2)
    checked = realised(middle, 40, 14)
    account = {
        "shipped": False,
        "horizon": "90d",
        "windows": {
            "decision": {"from": "2025-07-04T00:00:00Z", "to": "2025-09-19T00:00:00Z"},
            "test": {"from": "2025-12-19T00:00:00Z", "to": "2026-03-27T00:00:00Z"},
        },
        "cutoffs": [
            chosen("capacity", 0.2, parameters={"per_week": 3.0, "confidence": 0.9}) | {"promise": middle}
        ],
        "ladder": {
            "confidence": 0.9,
            "unit": "account",
            "share": 0.5,
            "withdrawn": None,
            "rungs": [
                rung(0.05, 90, 20, promised(0.1, 0.05)),
                rung(0.2, 30, 12, middle, realised=checked),
                rung(0.5, 4, 0, None),
            ],
        },
    } | changes.pop("account", {})
    # Two leads reach 50 points in the test window, one of them converts.
    rows = pd.DataFrame(
        {
            "lead_id": list("abcd"), "as_of": pd.Timestamp("2026-01-01"), "label": [1, 0, 0, 1],
            "created_at": pd.Timestamp("2026-01-01"), "points": [60.0, 50.0, 49.0, 0.0],
        }
    )  # fmt: skip
    config = SimpleNamespace(
        decision=SimpleNamespace(rules_mql_at=changes.pop("rules_mql_at", 50.0)),
        project=SimpleNamespace(currency="EUR"),
        cutoffs=[SimpleNamespace(contact_cost=300.0, won_value=2400.0)],
    )
    return SimpleNamespace(
        account=account, config=config, dataset=SimpleNamespace(config=SimpleNamespace(outcomes=None)),
        judged_on=SimpleNamespace(rows=rows), as_of=pd.Timestamp("2026-06-30"),
        open=SimpleNamespace(rows=pd.DataFrame({"propensity": [0.04, 0.05, 0.3, 0.6]})),
    )  # fmt: skip


class TestRungs:
    def test_each_has_its_counts_in_both_windows(self) -> None:
        found = cutoff.found(material())["rungs"][1]
        assert found["decision"] == {
            "mqls": 30, "per_week": 3.0, "converted": 12, "missed": 8, "conversions": 20, "caught": 0.6,
            "share": proportion(12, 30), "contacts_per_customer": 2.5,
        }  # fmt: skip
        assert found["test"]["mqls"] == 60

    def test_nobody_converting_has_no_contacts_per_customer(self) -> None:
        assert cutoff.found(material())["rungs"][2]["decision"]["contacts_per_customer"] is None

    def test_each_says_how_many_open_leads_would_be_mqls(self) -> None:
        assert [rung["open"] for rung in cutoff.found(material())["rungs"]] == [3, 2, 1]

    def test_the_promise_is_said_and_whether_it_held(self) -> None:
        found = cutoff.found(material())["rungs"][1]
        assert found["promise"]["words"] == {
            "en": "At least 15% of the MQLs (counting the first of each account) convert within 90 days.",
            "fr": "Au moins 15\xa0% des MQL (le premier de chaque compte faisant foi) se convertissent sous "
            "90\xa0jours.",
        }
        assert found["held"]["verdict"] == "held"
        assert "14 of 40 accounts (35%)" in found["held"]["words"]["en"]
        assert "14 comptes sur 40 (35\xa0%)" in found["held"]["words"]["fr"]

    def test_none_is_said_where_there_is_none(self) -> None:
        found = cutoff.found(material())["rungs"][2]
        assert found["promise"] is None
        assert "Nothing is promised" in found["no_promise"]["en"]
        ladder = material().account["ladder"] | {"withdrawn": "it moved"}
        moved = cutoff.found(material(account={"ladder": ladder}))
        assert "moved" in moved["rungs"][2]["no_promise"]["en"]


class TestMarks:
    def test_the_policy_in_force_sits_on_its_rung(self) -> None:
        found = cutoff.found(material())
        mark = found["marks"][0]
        assert (mark["rung"], mark["in_force"], mark["met"]) == (1, True, True)
        assert mark["asked"]["fr"] == "Au plus 3 nouveaux MQL par semaine."
        assert found["in_force"] == {"mark": 0, "rung": 1, "level": 0.2, "words": mark["outcome"]}

    def test_the_old_points_are_counted_in_the_same_window_and_sit_where_the_volume_is(self) -> None:
        mark = cutoff.found(material())["marks"][-1]
        assert (mark["kind"], mark["counts"]["mqls"], mark["counts"]["converted"]) == ("points", 2, 1)
        assert mark["rung"] == 2  # 8 MQLs are nearer to 2 than 60 or 180 are
        assert "2 leads reached it and 1 of them converted (50%)" in mark["outcome"]["en"]

    def test_without_a_threshold_the_reader_learns_how_to_get_them(self) -> None:
        found = cutoff.found(material(rules_mql_at=None))
        assert [mark["kind"] for mark in found["marks"]] == ["policy"]
        assert "rules_mql_at" in found["points_missing"]["fr"]

    def test_a_refusal_is_translated_from_its_numbers(self) -> None:
        test = {"level": 0.2145, "units": 44, "successes": 9}
        refused = chosen(
            "precision", None, parameters={"at_least": 0.15, "confidence": 0.9}, tests=[test], why="English.",
            best_promise=promised(0.12, 0.2145), leads_needed={"times": 5.32, "leads": 3027, "words": ""},
        )  # fmt: skip
        said = policies.outcome(refused)
        assert said["en"] == (
            "15% cannot be promised with 90% confidence: where the most was to be expected, at a propensity "
            "of 21.4%, 9 of 44 accounts converted. 12% could be promised there. It would take about 5.3 "
            "times as many leads (3,027)."
        )
        for piece in ("9 comptes sur 44", "21,4\xa0%", "5,3 fois", "3\u202f027"):
            assert piece in said["fr"]

    @pytest.mark.parametrize(
        ("cutoff", "english"),
        [
            (chosen("value", None, best=None), "no level pays"),
            (chosen("recall", None, best=None, tests=[]), "Fewer than 10 conversions"),
            (chosen("precision", None, best=None, tests=[]), "fewer than 10 leads"),
            (chosen("capacity", None, best={"mqls_per_week": 31.5}, tests=[]), "31.5 new MQLs a week"),
            (
                chosen(
                    "recall", None, parameters={"at_least": 0.9, "confidence": 0.8}, best_promise=None,
                    tests=[{"level": 0.01, "units": 30, "successes": 20}], leads_needed={"leads": None},
                ),
                "20 of 30 conversions had been MQLs before. More leads would not help.",
            ),
            (
                chosen("manual", 0.2, first_crossings={"unit": "lead", "units": 8, "converted": 2}),
                "2 of 8 leads converted",
            ),
            (chosen("manual", 0.2, withdrawn={"words": "x"}), "moved while the model was built"),
        ],
    )  # fmt: skip
    def test_every_refusal_is_said_in_both_languages(self, cutoff: dict[str, Any], english: str) -> None:
        said = policies.outcome(cutoff)
        assert english in said["en"]
        assert set(said) == set(LANGUAGES)
        assert said["fr"] != said["en"]

    @pytest.mark.parametrize(
        ("policy", "parameters"),
        [
            ("precision", {"at_least": 0.15}), ("recall", {"at_least": 0.4}), ("capacity", {"per_week": 10}),
            ("capacity", {"per_week": 10, "at_least": 0.075}), ("value", {"cost": 300, "value": 2400}),
            ("manual", {"propensity": 0.3}),
        ],
    )  # fmt: skip
    def test_what_was_asked_is_said_with_its_numbers(self, policy: str, parameters: dict[str, Any]) -> None:
        asked = policies.asked(chosen(policy, 0.2, parameters=parameters), "EUR")
        short = policies.in_short(chosen(policy, 0.2, parameters=parameters))
        number = {0.15: "15", 0.4: "40", 10: "10", 300: "300", 0.3: "30"}[next(iter(parameters.values()))]
        assert all(number in said for said in asked.values())
        assert asked["fr"] != asked["en"]
        assert all(len(said) < 25 for said in short.values())


class TestWhole:
    def test_it_can_be_written_as_json(self) -> None:
        json.dumps(finite(cutoff.found(material())), allow_nan=False)

    def test_a_model_from_before_says_what_to_do(self) -> None:
        found = cutoff.found(SimpleNamespace(account={}))
        assert found["available"] is False
        assert "Train again" in found["missing"]["en"]
        assert charts.figures(found, ABOUT, SPEAKERS["en"]) == []

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_figures_show_the_rungs(self, language: str) -> None:
        share, volume = charts.figures(cutoff.found(material()), ABOUT, SPEAKERS[language])
        assert [len(figure.rows) for figure in (share, volume)] == [3, 3]
        assert all(len(row) == len(share.columns) for row in share.rows)
        assert share.chart.to_dict()
        assert volume.chart.to_dict()
        assert share.rows[1][1] == "60"

    def test_rows_that_read_alike_are_told_once(self) -> None:
        ladder = material().account["ladder"]
        first = ladder["rungs"][0]
        rungs = [first, {**first, "level": 0.0501}, *ladder["rungs"][1:]]
        found = cutoff.found(material(account={"ladder": ladder | {"rungs": rungs}}))
        share, volume = charts.figures(found, ABOUT, SPEAKERS["en"])
        assert len(found["rungs"]) == 4
        assert [row[0] for row in share.rows] == [row[0] for row in volume.rows] == ["5.0%", "20.0%", "50.0%"]

    def test_without_times_volume_is_counted_not_by_the_week(self) -> None:
        ladder = material().account["ladder"]
        rungs = [
            {**r, "decision": evidence(30, 12, weeks=None), "test": evidence(30, 12, weeks=None)}
            for r in ladder["rungs"]
        ]
        found = cutoff.found(material(account={"ladder": ladder | {"rungs": rungs}}))
        assert found["timed"] is False
        assert charts.figures(found, ABOUT, SPEAKERS["en"])[1].columns[1] == "MQLs"

    def test_a_shipped_model_is_shown_on_the_decision_window(self) -> None:
        ladder = material().account["ladder"]
        rungs = [{**r, "test": None, "realised": None} for r in ladder["rungs"]]
        found = cutoff.found(material(account={"shipped": True, "ladder": ladder | {"rungs": rungs}}))
        assert found["judged_on"] == "decision"
        assert found["windows"]["test"] is None
        assert found["rungs"][1]["held"] is None
