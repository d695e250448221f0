"""The answer: one paragraph that a marketer reads, true of its numbers, whatever the project lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.language import LANGUAGES, SPEAKERS
from models.amounts import Amounts
from models.forecast import Period
from pipeline.report import effort, page
from pipeline.report.charts import answer as charts
from pipeline.report.sections import answer

AS_OF = pd.Timestamp("2026-06-30")


def seen(rows: pd.DataFrame) -> Any:
    return SimpleNamespace(rows=rows)


def open_leads(mql: int = 2) -> pd.DataFrame:
    """Ten open leads, two of them MQLs with a propensity of a half, the others with a tenth."""
    return pd.DataFrame(
        {
            "lead_id": [f"L{n}" for n in range(10)], "person": [f"L{n}" for n in range(10)],
            "group_id": [f"L{n}" for n in range(10)], "as_of": AS_OF, "created_at": AS_OF,
            "propensity": [0.5] * mql + [0.1] * (10 - mql), "sales_ready": [n < 1 for n in range(10)],
            "band": ["mql"] * mql + ["nurture"] * (6 - mql) + ["let_go"] * 4,
        }
    )  # fmt: skip


def past(timed: bool = True, points: bool = True) -> pd.DataFrame:
    """Forty leads of one night; the twenty with the higher margin convert half the time, others never."""
    night = pd.Timestamp("2026-01-07")
    return pd.DataFrame(
        {
            "lead_id": [f"P{n}" for n in range(40)], "group_id": [f"P{n}" for n in range(40)],
            "as_of": night if timed else pd.NaT, "part": "test",
            "created_at": night - pd.to_timedelta(np.arange(40) % 7, "D"),
            "margin": [1.0] * 20 + [-1.0] * 20, "propensity": [0.5] * 20 + [0.05] * 20,
            "label": [1, 0] * 10 + [0] * 20, "points": [float(n) if points else np.nan for n in range(40)],
        }
    )  # fmt: skip


def material(
    *,
    rows: pd.DataFrame | None = None,
    history: pd.DataFrame | None = None,
    backtest: Any = None,
    **more: Any,
) -> Any:
    before = past() if history is None else history
    level, threshold = more.get("level", 0.3), more.get("rules_mql_at", 30.0)
    cutoff = {
        "policy": "precision", "level": level, "promise": None,
        "evidence": {"met": level is not None, "parameters": {"confidence": 0.9}, "tests": [], "best": None,
                     "first_crossings": {"unit": "lead", "units": 9, "converted": 3}},
    }  # fmt: skip
    passes = (lambda p: p >= level) if level is not None else (lambda p: np.zeros(len(p), bool))
    horizon = None if before["as_of"].isna().any() else "90d"
    return SimpleNamespace(
        account={"horizon": horizon, "cutoffs": [cutoff], "shipped": False}, backtest=backtest, dataset=None,
        as_of=AS_OF, open=seen(open_leads() if rows is None else rows), judged_on=seen(before),
        window=lambda *parts: seen(before[before["part"].isin(parts)]),
        bundle=SimpleNamespace(cutoffs=[SimpleNamespace(level=level, passes=passes)]),
        label=lambda concept: {"en": "company size", "fr": "taille"},
        config=SimpleNamespace(
            model=SimpleNamespace(seed=0), project=SimpleNamespace(currency="EUR"),
            decision=SimpleNamespace(rules_mql_at=threshold),
            snapshots=SimpleNamespace(horizon=pd.Timedelta(days=90)),
        ),
    )  # fmt: skip


BACKTEST = {
    "answer": {
        "against": "points", "calls": 295, "customers": 83, "customers_against": 32,
        "more_customers": {"value": 51, "low": 35.0, "high": 67.0},
        "fewer_calls": {"value": 195.0, "low": 144.02, "high": 231.4},
    },
    "comparison": {name: {"customers": n} for name, n in
                   {"propense": 83, "points": 32, "first_come": 16, "foresight": 200}.items()},
    "folds": [{"calibration": {"expected": 100.0, "high": 116.45, "observed": seen}} for seen in (80, 120)],
}  # fmt: skip


@pytest.fixture(autouse=True)
def amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deals of 1,000 each, whatever the lead."""
    monkeypatch.setattr(answer, "amounts_before", lambda *given: Amounts.fit([1000.0] * 30))
    monkeypatch.setattr(answer, "segments_of", lambda dataset, rows: pd.DataFrame(index=rows.index))


def shown(found: dict[str, Any], language: str) -> str:
    about = {
        "project": "demo", "target": "won", "horizon": "90d", "split": "time", "shipped": False,
        "as_of": "2026-06-30T00:00:00Z", "currency": "EUR", "model_version": "1", "run_id": "r",
        "observed_until": "2026-06-30T00:00:00Z", "versions": {},
    }  # fmt: skip
    return page.render({"about": about, "answer": found}, language)


class TestParagraph:
    def test_it_says_who_is_an_mql_and_what_will_come(self) -> None:
        found = answer.found(material(backtest=BACKTEST))
        said = found["text"]["en"]
        assert said.startswith("On 30 June 2026, 10 leads are open, and 2 of them are MQLs.")
        assert "within 90 days" in said
        assert "€" in said
        assert "10 leads sont ouverts, dont 2 MQL" in found["text"]["fr"]

    def test_revenue_is_customers_times_what_a_deal_brings(self) -> None:
        found = answer.found(material())["forecast"]["open"]
        assert found["revenue"]["value"] == pytest.approx(1000 * found["customers"]["value"])
        assert found["revenue"]["rounded"]["value"] == float(f"{found['revenue']['value']:.2g}")

    def test_bands_are_all_open_leads(self) -> None:
        found = answer.found(material())
        assert [band["leads"] for band in found["bands"]] == [2, 4, 4]
        customers = sum(band["customers"] for band in found["bands"])
        assert customers == pytest.approx(found["forecast"]["open"]["customers"]["value"])

    def test_customers_as_shown_add_up_to_all_that_are_expected(self) -> None:
        rows = open_leads().assign(propensity=[0.55, 0.5] + [0.1375] * 4 + [0.0375] * 4)
        shown = [band["shown"] for band in answer._bands(rows)]
        # 1.05, 0.55 and 0.15 rounded one by one would be 1.1, 0.6 and 0.2, or 1.0, 0.5 and 0.1.
        assert sum(shown) == pytest.approx(round(rows["propensity"].sum(), 1))
        assert answer.people(8.6, SPEAKERS["fr"]) == "8,6"
        assert answer.people(35.8, SPEAKERS["en"]) == "36"

    def test_without_amounts_there_is_no_revenue_and_it_is_said_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answer, "amounts_before", lambda *given: None)
        found = answer.found(material(backtest=BACKTEST))
        assert found["forecast"]["open"]["revenue"] is None
        assert "amount = " in found["no_amounts"]["fr"]
        assert "revenue" not in found["text"]["en"]
        assert "what deals may bring" not in found["doubt"]["words"]["en"]
        assert "[outcomes]" in shown(found, "en")

    def test_nobody_an_mql(self) -> None:
        found = answer.found(material(rows=open_leads(0), level=None, rules_mql_at=None))
        assert "none of them are MQLs" in found["text"]["en"]
        assert found["share"]["value"] is None
        assert "too few" in found["nobody"]["en"]
        assert found["effort"] is None
        assert "Choose a cutoff" in found["no_effort"]["en"]
        assert shown(found, "fr")

    def test_nobody_open(self) -> None:
        found = answer.found(material(rows=open_leads().head(0)))
        assert found["open"] == 0
        assert found["forecast"]["open"]["customers"]["value"] == 0
        assert shown(found, "en")

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_page_has_it(self, language: str) -> None:
        found = answer.found(material(backtest=BACKTEST))
        assert found["text"][language].split(",")[0] in shown(found, language)


class TestPast:
    def test_leads_that_convert_less_often_than_announced_are_expected_to_again(self) -> None:
        many = pd.concat([past().assign(label=0)] * 30, ignore_index=True)
        many["lead_id"] = many.index.astype(str)
        found = answer.found(material(history=many))
        assert found["doubt"]["announced"] == pytest.approx(1.8)
        assert found["forecast"]["open"]["customers"]["value"] < 1.3
        assert "less often" in found["doubt"]["words"]["en"]

    def test_folds_of_a_backtest_tell_how_far_the_model_was_off(self) -> None:
        found = answer.found(material(backtest=BACKTEST))["doubt"]
        assert found["periods"] == pytest.approx([0.8, 1.2])
        assert "in 2 past periods, conversions were 80% to 120%" in found["words"]["en"]
        assert "chance, what deals may bring, and how far" in found["words"]["en"]

    def test_a_folds_range_gives_back_its_variance(self) -> None:
        period = answer._of_fold({"expected": 100.0, "high": 116.45, "observed": 80})
        assert period == Period(100.0, pytest.approx(100.0), 80)

    def test_without_times_nothing_is_said_of_age(self) -> None:
        given = material(history=past(timed=False))
        assert (answer.ages(given, given.open) == 0).all()


class TestEffort:
    def test_a_backtest_answers_first(self) -> None:
        found, _ = effort.effort_of(material(backtest=BACKTEST))
        assert found is not None
        assert found["since"] == "backtest"
        assert found["words"]["en"] == (
            "Of 295 leads to call, the model’s choice held 83 that became customers, against 32 by your "
            "points: 51 more (90% interval 35 to 67). As many customers would have taken 195 fewer calls "
            "(144 to 231)."
        )
        assert [of["policy"] for of in found["policies"]] == ["propense", "points", "first_come"]

    def test_without_one_the_window_is_replayed_at_equal_contacts(self) -> None:
        # At 30 points the table calls ten leads, none of whom converts; the model's ten are of its best.
        found, _ = effort.effort_of(material())
        assert found is not None
        assert (found["since"], found["against"], found["calls"]) == ("window", "points", 10)
        assert found["customers_against"] == 0
        assert found["customers"] == found["more"]["value"] > 0

    def test_without_rules_it_is_first_come_first_served(self) -> None:
        found, _ = effort.effort_of(material(history=past(points=False), rules_mql_at=None))
        assert found is not None
        assert (found["against"], found["calls"], found["customers"]) == ("first_come", 20, 10)
        assert "first come, first served" in found["words"]["en"]

    def test_without_times_it_is_chance(self) -> None:
        # 20 MQLs, 10 convert; of 20 at random 20 * 10 / 40 = 5 would.
        found, _ = effort.effort_of(material(history=past(timed=False)))
        assert found is not None
        assert (found["against"], found["customers"], found["customers_against"]) == ("chance", 10, 5.0)
        assert found["more"]["low"] <= 5 <= found["more"]["high"]

    @pytest.mark.parametrize(
        ("more", "english"),
        [
            ({"value": 5, "low": 1, "high": 9}, "5 more (90% interval 1 to 9)"),
            ({"value": 7, "low": 0.0, "high": 15}, "7 more (90% interval 0 to 15: it may be chance)"),
            (
                {"value": 2, "low": -3, "high": 6},
                "2 more (90% interval 3 fewer to 6 more: it may be chance)",
            ),
            ({"value": -4, "low": -7, "high": -1}, "4 fewer (90% interval 7 fewer to 1 fewer)"),
            ({"value": 3, "low": None, "high": None}, "3 more"),
        ],
    )
    def test_a_difference_is_said_with_its_doubt(self, more: dict[str, Any], english: str) -> None:
        assert effort.difference(more, SPEAKERS["en"]) == english

    @pytest.mark.parametrize(
        ("more", "fewer", "said"),
        [(0.0, 20.0, False), (1.0, 0.4, False), (1.0, 20.9, True), (None, 20.0, False)],
    )
    def test_saved_calls_are_told_only_where_more_customers_are_beyond_chance(
        self, more: float | None, fewer: float, said: bool
    ) -> None:
        saved = {"value": 60.0, "low": fewer, "high": 90.0}
        found = {"more": {"value": 7, "low": more, "high": 15}, "fewer_calls": saved}
        assert effort._fewer(found, SPEAKERS["en"]) == (
            "As many customers would have taken 60 fewer calls (20 to 90)." if said else ""
        )

    def test_the_figure_has_room_for_the_number_beside_the_longest_bar(self) -> None:
        (figure,) = charts.figures(answer.found(material(backtest=BACKTEST)), {}, SPEAKERS["en"])
        drawn = figure.chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]
        assert drawn["domain"] == [0, pytest.approx(1.12 * 83)]

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_the_figure_shows_all_policies(self, language: str) -> None:
        found = answer.found(material(backtest=BACKTEST))
        (figure,) = charts.figures(found, {}, SPEAKERS[language])
        assert [row[1] for row in figure.rows] == ["83", "32", "16"]
        assert "83" in figure.alt
        assert figure.chart.to_dict()
