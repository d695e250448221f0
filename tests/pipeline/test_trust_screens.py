"""What people read of guard, hygiene and backtest, word by word."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from rich.console import Console

from pipeline.trust_screens import (
    MOST_SHOWN,
    show_backtested,
    show_guard,
    show_hygiene,
    with_and_without,
)


def shown(show: Callable[..., None], account: dict[str, Any]) -> str:
    """What is printed, its line breaks kept."""
    out = Console(file=io.StringIO(), width=100, highlight=False)
    show(out, account)
    return out.file.getvalue()  # type: ignore[attr-defined]


def judged(name: str, verdict: str = "clear", *words: str, **more: Any) -> dict[str, Any]:
    kept = {"kept": verdict != "excluded", "overruled": None}
    evidence = [{"test": "vanishes", "words": said, "numbers": {}} for said in words]
    return {"subject": "attribute", "name": name, "verdict": verdict, "evidence": evidence, **kept, **more}


def guard(*verdicts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"on": True, "verdicts": list(verdicts), "effects": {}, "replay": None, **more}


def effect(value: float, low: float, high: float, *, matters: bool) -> dict[str, Any]:
    """With it the AUC is 0.7 and `value` higher than without; log loss 0.25, without 0.26."""
    auc = {"with": 0.7, "without": 0.7 - value, "difference": {"value": value, "low": low, "high": high}}
    loss = {"with": 0.25, "without": 0.26, "difference": {"value": -0.01, "low": -0.02, "high": 0.01}}
    return {"measured": True, "matters": matters, "auc": auc, "log_loss": loss}


class TestGuard:
    def test_off(self) -> None:
        said = shown(show_guard, {"on": False, "verdicts": []})
        assert said == "Leak guard: off, as the configuration asks.\n"

    def test_nothing_found(self) -> None:
        said = shown(show_guard, guard(judged("industry"), judged("size")))
        assert said == "Leak guard: 2 attributes, kinds and tables judged, nothing found.\n"

    def test_a_check_has_no_effects_and_no_replay(self) -> None:
        said = shown(show_guard, {"on": True, "verdicts": [judged("industry")]})
        assert "nothing found" in said

    def test_what_was_left_out_and_what_is_suspect_with_all_evidence(self) -> None:
        said = shown(
            show_guard,
            guard(
                judged("contract", "excluded", "comes with the outcome", "has pure values"),
                judged("budget", "suspect", "tells won from others"),
                judged("industry"),
            ),
        )
        assert said.splitlines() == [
            "Leak guard: 3 attributes, kinds and tables judged.",
            "  left out: attribute 'contract' comes with the outcome; has pure values",
            "  suspect: attribute 'budget' tells won from others",
        ]

    @pytest.mark.parametrize(
        ("verdict", "kept", "said"),
        [
            ("excluded", True, "kept by you: attribute 'x' (known before). The guard: left out, it was"),
            ("clear", False, "left out by you: attribute 'x' (known before). The guard: clear, it was"),
            ("suspect", False, "left out by you: attribute 'x' (known before). The guard: suspect, it was"),
        ],
    )
    def test_what_the_user_overruled_stays_with_its_reason(self, verdict: str, kept: bool, said: str) -> None:
        rule = judged("x", verdict, "was filled later", kept=kept, overruled="known before")
        found = shown(show_guard, guard(rule))
        assert said in found
        assert "nothing found" not in found

    def test_a_suspects_effect_stands_below_it(self) -> None:
        effects = {"budget": effect(0.1, 0.05, 0.15, matters=True)}
        lines = shown(
            show_guard,
            guard(
                judged("budget", "suspect", "is strong"), judged("size", "suspect", "too"), effects=effects
            ),
        ).splitlines()
        assert lines[1] == "  suspect: attribute 'budget' is strong"
        assert lines[2].startswith("    With it AUC 0.700, without 0.600")
        assert lines[3] == "  suspect: attribute 'size' too"

    def test_a_leap_in_the_last_hour(self) -> None:
        said = shown(show_guard, guard(judged("size"), replay={"finding": "The margin leaps."}))
        assert "  by time: The margin leaps." in said
        assert "by time" not in shown(show_guard, guard(judged("size"), replay={"finding": ""}))

    def test_more_than_fits_is_counted(self) -> None:
        many = [judged(f"column {i}", "suspect", "is strong") for i in range(MOST_SHOWN + 3)]
        said = shown(show_guard, guard(*many))
        assert said.count("suspect:") == MOST_SHOWN
        assert "and 3 more; `propense check --json` has them all." in said

    def test_names_and_reasons_in_brackets_are_no_styles(self) -> None:
        rule = judged("[bold]", "excluded", "has [red] values", kept=True, overruled="see [note]")
        said = shown(show_guard, guard(rule))
        assert "attribute '[bold]' (see [note]). The guard: left out, it has [red] values" in said


class TestWithAndWithout:
    def test_beyond_chance(self) -> None:
        assert with_and_without(effect(0.05, 0.01, 0.09, matters=True)) == (
            "With it AUC 0.700, without 0.650 (difference +0.050, 90 % interval +0.010 to +0.090); "
            "log loss 0.2500 and 0.2600."
        )

    def test_within_chance(self) -> None:
        assert with_and_without(effect(-0.01, -0.04, 0.02, matters=False)) == (
            "With it AUC 0.700, without 0.710 (difference -0.010, 90 % interval -0.040 to +0.020); "
            "log loss 0.2500 and 0.2600: within chance."
        )

    def test_too_few_outcomes(self) -> None:
        found = {"measured": True, "matters": False, "snapshots": 4, "auc": None, "log_loss": None}
        assert with_and_without(found) == "Not measured: too few outcomes to compare."

    def test_not_measured_says_why(self) -> None:
        found = {"measured": False, "why": "Too few leads that won."}
        assert with_and_without(found) == "Not measured: Too few leads that won."


class TestHygiene:
    def test_each_measure_that_found_something_and_what_it_changes(self) -> None:
        effects = {"duplicates": effect(0.0, -0.01, 0.01, matters=False)}
        measures = [
            measure("duplicates", 3, "3 leads were merged."),
            measure("personal", 5, "5 leads with a personal address, kept."),
        ]
        lines = shown(show_hygiene, {"measures": measures, "effects": effects}).splitlines()
        assert lines[:2] == ["Hygiene:", "  3 leads were merged."]
        assert lines[2].startswith("    With it AUC 0.700")
        assert lines[2].endswith("within chance.")
        assert lines[3:] == ["  5 leads with a personal address, kept."]

    def test_no_measure_is_silent(self) -> None:
        measures = [
            measure("tests", 0, "No test lead was found."),
            measure("bots", 0, "Switched off: bots = false.", on=False, done="switched off"),
            measure("duplicates", 0, "No columns.", done="not possible: no such columns"),
            measure("impossible", 0, "Nothing impossible was found."),
        ]
        assert shown(show_hygiene, {"measures": measures}).splitlines() == [
            "Hygiene: nothing found.",
            "  Nothing found of: tests, impossible.",
            "  Switched off: bots.",
            "  Not possible with these tables: duplicates.",
        ]

    def test_a_check_shows_counts_alone(self) -> None:
        said = shown(show_hygiene, {"measures": [measure("tests", 3, "3 leads were left out.")]})
        assert said == "Hygiene:\n  3 leads were left out.\n"


def measure(name: str, found: int, words: str, *, on: bool = True, done: str = "done") -> dict[str, Any]:
    return {"name": name, "on": on, "found": found, "done": done, "words": words}


class TestBacktested:
    FOUND: ClassVar[dict[str, Any]] = {
        "sentence": "With the same number of calls, 3 more customers.",
        "words": ["Six origins.", "[n]"],
        "data": {"same": True, "observed_until": "2026-06-30T00:00:00Z"},
    }

    def test_none_yet(self) -> None:
        said = shown(show_backtested, backtested(None))
        assert said == "Backtest: none of this configuration yet; `propense backtest` makes one.\n"

    @pytest.mark.parametrize("split", ["random", "group"])
    def test_without_an_order_none_can_be_made(self, split: str) -> None:
        assert shown(show_backtested, backtested(None, split=split)) == ""

    def test_the_sentence_first_then_the_rest(self) -> None:
        assert shown(show_backtested, backtested(self.FOUND)).splitlines() == [
            "Backtest of the procedure: With the same number of calls, 3 more customers.",
            "  Six origins.",
            "  [n]",
        ]

    def test_one_of_other_data_says_so(self) -> None:
        other = self.FOUND | {"data": {"same": False, "observed_until": "2026-06-30T00:00:00Z"}}
        said = shown(show_backtested, backtested(other)).splitlines()
        assert said[-1] == "  It ran on other data (up to 2026-06-30): run it again from time to time."

    def test_shipped_says_whose_numbers_they_are(self) -> None:
        said = shown(show_backtested, backtested(self.FOUND, shipped=True))
        assert said.splitlines()[-1] == (
            "  This model has no test window of its own: these numbers are the procedure's."
        )


def backtested(found: dict[str, Any] | None, *, shipped: bool = False, split: str = "time") -> dict[str, Any]:
    return {"backtest": found, "shipped": shipped, "split": split}
