"""What hygiene and suspects change in the result: two trainings on the same windows, with and without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from project import read, write_config, write_project

from features.errors import UnsupportedData
from pipeline import effects
from pipeline.effects import SWITCHES, active, light_result, measured_effects
from pipeline.guard.judge import without
from pipeline.guard.verdicts import Evidence, Judgement, Verdict
from pipeline.hygiene.account import MEASURES, Cleaned, Measure
from pipeline.preparation import Prepared, prepare
from pipeline.source.dataset import Dataset

NOW = datetime(2024, 12, 31)
SECTIONS = """
    [snapshots]
    horizon = "14d"
    ages = ["1d"]
    scoring_every = "10d"

    [hygiene]
    effects = {effects}
"""
IN_OUTCOMES = (
    'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nobserved_until = 2023-12-25\n'
)
TESTS = 120


def written(folder: Path, *, hygiene_effects: bool = True) -> Path:
    """1,000 leads in a year and 120 test leads, all of them of the first month.

    Of the leads with budget "yes" 60 % win after 6 days, of the others 10 %; the colour means nothing.
    """
    random = np.random.default_rng(3)
    created = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(random.uniform(0, 340, 1000)), unit="D")
    budget = np.where(random.random(1000) < 0.3, "yes", "no")
    leads = pd.DataFrame({"lead_id": [f"l{i:04d}" for i in range(1000)], "created_at": created.floor("min")})
    leads = leads.assign(
        email=[f"person{i}@firm{i}.com" for i in range(1000)],
        budget=budget,
        colour=random.choice(["red", "blue"], 1000),
        size=random.choice(["small", "large"], 1000),
    )
    trials = leads.head(TESTS).assign(
        lead_id=[f"t{i:03d}" for i in range(TESTS)],
        created_at=pd.Timestamp("2022-12-01") + pd.to_timedelta(np.arange(TESTS) * 6, unit="h"),
        email=[f"test{i}@firm.com" for i in range(TESTS)],
    )
    won = random.random(1000) < np.where(budget == "yes", 0.6, 0.1)
    closed = leads["created_at"] + pd.Timedelta("6D")
    outcomes = pd.DataFrame({"lead_id": leads["lead_id"], "outcome": "won", "closed_at": closed})[won]
    outcomes = outcomes[outcomes["closed_at"] < pd.Timestamp("2023-12-25")]
    tables = [pd.concat([trials, leads]), outcomes]
    for frame, column in zip(tables, ("created_at", "closed_at"), strict=True):
        frame[column] = pd.to_datetime(frame[column]).map(pd.Timestamp.isoformat)
    return write_project(
        folder, leads=tables[0].to_csv(index=False), outcomes=tables[1].to_csv(index=False), activities=None,
        in_leads='email = "email"', in_outcomes=IN_OUTCOMES,
        sections=SECTIONS.replace("{effects}", str(hygiene_effects).lower()),
    )  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A small project as it comes out of the guard."""

    dataset: Dataset
    prepared: Prepared

    def measured(self, *verdicts: Verdict) -> dict[str, Any]:
        judgement = Judgement.of(list(verdicts))
        clean = without(self.dataset, judgement)
        return measured_effects(self.dataset, clean, self.prepared, judgement, NOW)


def case(folder: Path, **how: Any) -> Case:
    dataset = read(written(folder, **how), NOW)
    dataset.findings.raise_errors()
    return Case(dataset, prepare(dataset))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """No measure of hygiene is tried: suspects alone."""
    return case(tmp_path_factory.mktemp("plain"), hygiene_effects=False)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Measures of hygiene are tried too; of these data one did something: tests."""
    return case(tmp_path_factory.mktemp("clean"))


def suspect(name: str) -> Verdict:
    return Verdict.of("attribute", name, [Evidence("separates", "is strong", {})])


class Recorded:
    """In place of the light training: what it is given, and an empty answer."""

    def __init__(self) -> None:
        self.datasets: list[Dataset] = []
        self.prepared: list[Prepared] = []

    def __call__(self, dataset: Dataset, prepared: Prepared) -> pd.DataFrame:
        self.datasets.append(dataset)
        self.prepared.append(prepared)
        return pd.DataFrame(columns=["lead_id", "as_of", "group_id", "label", "propensity"])

    def attributes(self) -> list[set[str]]:
        return [{attribute.name for attribute in dataset.tables.attributes} for dataset in self.datasets]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    made = Recorded()
    monkeypatch.setattr(effects, "light_result", made)
    return made


class TestSuspects:
    def test_with_and_without_each_and_all(self, plain: Case) -> None:
        found = plain.measured(suspect("budget"), suspect("colour"))
        assert found["hygiene"] == {}
        assert list(found["suspects"]) == ["budget", "colour", "all suspects"]
        strong, idle = found["suspects"]["budget"], found["suspects"]["colour"]
        # Of 30 % with a budget 60 % win, of the others 10 %: P(budget | won) = 18 / 25, P(budget | not) =
        # 12 / 75, and a ranking by it alone has an AUC of (1 + 0.72 - 0.16) / 2 = 0.78; without it, 0.5.
        assert strong["auc"]["with"] == pytest.approx(0.78, abs=0.1)
        assert strong["auc"]["without"] == pytest.approx(0.5, abs=0.1)
        assert strong["auc"]["difference"]["low"] > 0.05
        assert strong["matters"] is True
        assert strong["log_loss"]["difference"]["value"] < 0
        assert idle["matters"] is False
        assert idle["auc"]["difference"]["low"] <= 0 <= idle["auc"]["difference"]["high"]
        # The same model with everything is compared each time, on the same snapshots of the test window.
        assert idle["auc"]["with"] == strong["auc"]["with"]
        assert strong["snapshots"] == idle["snapshots"] == len(plain.prepared.rows("test"))
        assert strong["leads"]["with"] == strong["leads"]["without"]

    def test_one_alone_is_all_there_are(self, plain: Case, recorded: Recorded) -> None:
        assert list(plain.measured(suspect("budget"))["suspects"]) == ["budget"]
        assert recorded.attributes() == [{"budget", "colour", "size"}, {"colour", "size"}]

    def test_each_is_dropped_alone_and_then_together(self, plain: Case, recorded: Recorded) -> None:
        plain.measured(suspect("budget"), suspect("colour"))
        everything, *others = recorded.attributes()
        assert others == [everything - {"budget"}, everything - {"colour"}, {"size"}]

    def test_what_is_left_out_already_is_not_there_with_them_either(
        self, plain: Case, recorded: Recorded
    ) -> None:
        excluded = Verdict.of("attribute", "size", [Evidence("vanishes", "comes with the outcome", {})])
        assert list(plain.measured(suspect("budget"), excluded)["suspects"]) == ["budget"]
        assert recorded.attributes() == [{"budget", "colour"}, {"colour"}]

    def test_a_suspect_that_the_user_leaves_out_is_none(self, plain: Case, recorded: Recorded) -> None:
        found = plain.measured(suspect("budget").overrule(keep=False, reason="nobody trusts it"))
        assert found == {"hygiene": {}, "suspects": {}}
        assert recorded.datasets == []

    def test_what_the_user_keeps_against_the_guard_is_tried_too(
        self, plain: Case, recorded: Recorded
    ) -> None:
        excluded = Verdict.of("attribute", "size", [Evidence("vanishes", "comes with the outcome", {})])
        found = plain.measured(excluded.overrule(keep=True, reason="known at the fair"))
        assert list(found["suspects"]) == ["size"]
        assert recorded.attributes() == [{"budget", "colour", "size"}, {"budget", "colour"}]

    def test_only_the_strongest_are_tried_one_by_one(
        self, plain: Case, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(effects, "MOST_SUSPECTS", 1)
        found = plain.measured(suspect("budget"), suspect("colour"), suspect("size"))
        assert list(found["suspects"]) == ["budget", "all suspects"]
        assert recorded.attributes()[-1] == set()

    def test_nothing_to_doubt_trains_nothing(self, plain: Case, recorded: Recorded) -> None:
        assert plain.measured() == {"hygiene": {}, "suspects": {}}
        assert recorded.datasets == []

    def test_what_cannot_be_measured_says_why(self, plain: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(dataset: Dataset, prepared: Prepared) -> pd.DataFrame:
            if len(dataset.tables.attributes) < 3:
                raise UnsupportedData("Nothing is left to learn from.")
            return Recorded()(dataset, prepared)

        monkeypatch.setattr(effects, "light_result", refuse)
        found = plain.measured(suspect("budget"))["suspects"]["budget"]
        assert found == {"measured": False, "why": "Nothing is left to learn from."}


class TestHygiene:
    def test_only_measures_that_changed_something_are_tried(self, clean: Case, recorded: Recorded) -> None:
        assert active(clean.dataset.hygiene) == ["tests"]
        assert list(clean.measured()["hygiene"]) == ["tests"]
        found = Cleaned((
            Measure("duplicates", on=True, found=3),  # found, and left as they were
            Measure("bots", on=True, found=3, activities=3),
            Measure("personal", on=True, found=3, leads=3),
        ))  # fmt: skip
        assert active(found) == ["bots", "personal"]

    def test_every_measure_has_its_switch(self, clean: Case) -> None:
        assert set(SWITCHES) == set(MEASURES)
        assert set(SWITCHES.values()) <= set(type(clean.dataset.config.hygiene).model_fields)

    def test_without_it_the_windows_stay_and_the_leads_are_back(
        self, clean: Case, recorded: Recorded
    ) -> None:
        counted = clean.measured()["hygiene"]["tests"]
        base, other = recorded.prepared
        assert base is clean.prepared
        assert other.bounds == clean.prepared.bounds
        # The test leads came a month before all others. Alone, these data would have other windows ...
        assert prepare(recorded.datasets[1]).bounds != clean.prepared.bounds
        # ... and yet nobody else's window changed, while they themselves are in the way again.
        theirs = other.keys.set_index(["lead_id", "as_of"])["window"].sort_index()
        ours = clean.prepared.keys.set_index(["lead_id", "as_of"])["window"].sort_index()
        back = theirs.index.get_level_values("lead_id").str.startswith("t")
        pd.testing.assert_series_equal(theirs[~back], ours)
        assert counted["leads"]["without"] == counted["leads"]["with"] + TESTS
        assert counted["won"]["without"] == counted["won"]["with"]

    def test_it_is_off_by_a_line(self, plain: Case, recorded: Recorded) -> None:
        assert active(plain.dataset.hygiene) == ["tests"]
        assert plain.measured()["hygiene"] == {}

    def test_without_it_what_the_guard_left_out_stays_out(self, clean: Case, recorded: Recorded) -> None:
        excluded = Verdict.of("attribute", "size", [Evidence("vanishes", "comes with the outcome", {})])
        clean.measured(excluded)
        assert recorded.attributes() == [{"budget", "colour"}, {"budget", "colour"}]


class TestLightResult:
    def test_predictions_of_the_test_window_or_to_ship_of_the_decision_window(self, plain: Case) -> None:
        tested = light_result(plain.dataset, plain.prepared, threads=1)
        assert len(tested) == len(plain.prepared.rows("test"))
        assert tested["propensity"].between(0, 1).all()
        shipped = prepare(plain.dataset, ship=True)
        decided = light_result(plain.dataset, shipped, threads=1)
        assert len(decided) == len(shipped.rows("decision"))

    def test_of_large_data_whole_groups_are_drawn_always_the_same(
        self, plain: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        windows = ("train", "stopping", "calibration", "test")
        everything = plain.prepared.rows(*windows)
        # Each of two leads is one person.
        keys = plain.prepared.keys
        paired = replace(plain.prepared, keys=keys.assign(group_id=keys["lead_id"].str[:-1]))
        monkeypatch.setattr(effects, "MOST_SNAPSHOTS", len(everything) // 2)
        drawn = effects._sampled(plain.dataset, paired).keys
        assert 0.3 < len(drawn) / len(everything) < 0.7
        counted = paired.rows(*windows).groupby("group_id").size()
        assert (drawn.groupby("group_id").size() == counted[drawn["group_id"].unique()]).all()
        again = effects._sampled(plain.dataset, paired)
        pd.testing.assert_frame_equal(again.keys, drawn)
        assert set(again.snapshots.snapshot.execute()) == set(drawn.index)


def test_without_its_only_column_a_flat_table_tells_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    won = random.random(1000) < 0.3
    table = pd.DataFrame({"won": won.astype(int), "amount": np.round(won * 2 + random.normal(0, 1, 1000), 3)})
    table.to_csv(tmp_path / "flat.csv", index=False)
    path = write_config(tmp_path, '[project]\nname = "f"\n[leads]\ntable = "flat.csv"\nlabel = "won"\n')
    dataset = read(path, NOW)
    dataset.findings.raise_errors()
    found = Case(dataset, prepare(dataset)).measured(suspect("amount"))["suspects"]["amount"]
    assert found["auc"]["without"] == 0.5
    assert found["matters"] is True
