"""The origin rolled through a history: a fold knows its past and nothing else, and is done once."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from project import write_config, write_project

from features.errors import UnsupportedData
from pipeline.backtest import run as running
from pipeline.backtest.folds import Plan, plan
from pipeline.backtest.run import backtest, identity_of
from pipeline.backtest.store import Store
from pipeline.configuring import read_config
from pipeline.featuring import points_by_rule, points_of
from pipeline.preparation import prepare
from pipeline.source.dataset import load

NOW = datetime(2025, 6, 1)
OBSERVED = pd.Timestamp("2024-12-20")
HORIZON = pd.Timedelta(days=20)
SECTIONS = """
    [snapshots]
    horizon = "20d"
    ages = ["1d", "8d"]
    scoring_every = "10d"

    [model]
    members = 2

    [backtest]
    folds = 3

    [[cutoffs]]
    policy = "manual"
    level = 0.3

    [[rules]]
    name = "visit"
    points = 10
    activity = "visit"
    each = true

    [decision]
    rules_mql_at = 20
"""


def history(leads: int = 700) -> tuple[str, str, str]:
    """Leads over 350 days; each visit of the first week makes a win more likely. Amounts grow."""
    random = np.random.default_rng(1)
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(random.uniform(0, 350, leads)), unit="D")
    created = created.floor("min")
    visits = random.poisson(1.0, leads)
    tables = [
        ["lead_id,created_at,plan"],
        ["lead_id,occurred_at,kind,actor"],
        ["lead_id,outcome,closed_at,amount"],
    ]
    for i, (start, number) in enumerate(zip(created, visits, strict=True)):
        tables[0].append(f"l{i:04d},{start.isoformat()},{'gold' if i % 3 else 'tin'}")
        for hours in random.uniform(1, 150, number):
            tables[1].append(f"l{i:04d},{(start + pd.Timedelta(hours=hours)).isoformat()},visit,lead")
        after = pd.Timedelta(days=random.uniform(2, 25))
        won = random.random() < 0.1 + 0.2 * number
        if start + after < OBSERVED and (won or random.random() < 0.5):
            tables[2].append(f"l{i:04d},{'won' if won else 'lost'},{(start + after).isoformat()},{100 + i}")
    return tuple("\n".join(table) for table in tables)  # type: ignore[return-value]


def project(folder: Path, tables: tuple[str, str, str], sections: str = SECTIONS) -> Path:
    folder.mkdir(exist_ok=True)
    leads, activities, outcomes = tables
    return write_project(
        folder,
        leads=leads,
        activities=activities,
        outcomes=outcomes,
        in_outcomes='table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
        'amount = "amount"\n'
        f"observed_until = {OBSERVED.isoformat()}",
        sections=sections,
    )


def predictions(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "backtest_predictions.parquet")


class Unrecorded:
    """In place of MLflow, whose first touch takes seconds: one test looks at what it records."""

    def __init__(self, folder: Path, project: str) -> None:
        pass

    @contextmanager
    def run(self, name: str) -> Iterator[Any]:
        yield SimpleNamespace(info=SimpleNamespace(run_id="unrecorded"))

    def log(self, *what: Any) -> None:
        pass

    log_files = log


@pytest.fixture(autouse=True)
def _without_mlflow(usual: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "Registry", Unrecorded)


@pytest.fixture(scope="module")
def tables() -> tuple[str, str, str]:
    return history()


@pytest.fixture(scope="module")
def usual(tables: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A backtest with everything, in one process."""
    folder = tmp_path_factory.mktemp("usual")
    told: list[str] = []
    path = project(folder, tables)
    account = backtest(read_config(path), NOW, folder / "out", told.append, jobs=1)
    return {"account": account, "rows": predictions(folder / "out"), "told": told, "folder": folder}


class TestResult:
    def test_the_account_on_disk_is_the_account(self, usual: dict[str, Any]) -> None:
        text = (usual["folder"] / "out" / "backtest.json").read_text()
        assert json.loads(text)["sentence"] == usual["account"]["sentence"]
        assert "NaN" not in text
        assert len(usual["account"]["folds"]) == 3

    def test_progress_tells_of_each_fold(self, usual: dict[str, Any]) -> None:
        folds = [line for line in usual["told"] if line.startswith("fold")]
        assert len(folds) == 3
        assert folds[0].startswith("fold 1 of 3, 2024-")
        assert "AUC" in folds[0]
        assert folds[0].endswith("promised")

    def test_the_folds_follow_each_other_and_end_where_outcomes_have_matured(
        self, usual: dict[str, Any]
    ) -> None:
        rows = usual["rows"]
        spans = rows.groupby("fold")["as_of"].agg(["min", "max"]).sort_index()
        assert (spans["max"].to_numpy()[:-1] < spans["min"].to_numpy()[1:]).all()
        assert list(spans.index) == [f"{origin:%Y-%m-%d}" for origin in spans["min"]]
        last = rows["as_of"].max().tz_localize(None)
        assert OBSERVED - HORIZON - pd.Timedelta(days=1) <= last <= OBSERVED - HORIZON

    def test_unmatured_leads_are_never_counted(self, usual: dict[str, Any]) -> None:
        assert (usual["rows"]["as_of"].dt.tz_localize(None) + HORIZON <= OBSERVED).all()
        for fold in usual["account"]["folds"]:
            built_until = pd.Timestamp(fold["windows"]["decision"]["to"]).tz_localize(None)
            assert built_until + HORIZON <= pd.Timestamp(fold["origin"])

    def test_no_lead_is_contacted_twice_and_all_policies_contact_as_many_each_night(
        self, usual: dict[str, Any]
    ) -> None:
        rows = usual["rows"]
        named = [c for c in rows if c.startswith("contact_") and rows[c].notna().all()]
        assert {"contact_propense", "contact_points", "contact_points_refitted", "contact_first_come"} <= set(
            named
        )
        counts = rows.groupby("as_of")[named].sum()
        assert (counts.nunique(axis=1) == 1).all()
        assert counts.to_numpy().sum() > 0
        for name in [*named, "mql", "mql_by_points"]:
            assert not rows.loc[rows[name].astype(bool), "lead_id"].duplicated().any(), name

    def test_the_points_set_the_number_at_their_own_threshold(self, usual: dict[str, Any]) -> None:
        rows = usual["rows"].sort_values("as_of")
        assert usual["account"]["reference"] == "points"
        by_hand = rows[rows["points"] >= 20].drop_duplicates("lead_id")
        assert set(by_hand["lead_id"]) == set(rows.loc[rows["mql_by_points"].astype(bool), "lead_id"])
        assert usual["account"]["comparison"]["points"]["contacts"] == len(by_hand)

    def test_the_answer_is_the_difference_between_the_policies(self, usual: dict[str, Any]) -> None:
        rows, answer = usual["rows"], usual["account"]["answer"]
        found = {
            n: int(rows.loc[rows[f"contact_{n}"].astype(bool), "label"].sum()) for n in ("propense", "points")
        }
        assert answer["more_customers"]["value"] == found["propense"] - found["points"]
        assert answer["more_customers"]["low"] <= answer["more_customers"]["value"]
        assert f"({answer['calls']:,})" in usual["account"]["sentence"]

    def test_revenue_is_expected_from_the_mean_amount_of_deals_won_before(
        self, tables: tuple[str, str, str], usual: dict[str, Any]
    ) -> None:
        deals = pd.read_csv(io.StringIO(tables[2]), parse_dates=["closed_at"])
        deals = deals[deals["outcome"] == "won"].set_index("lead_id")
        rows = usual["rows"]
        for fold in usual["account"]["folds"]:
            found = fold["revenue"]
            open_then = rows[rows["as_of"] == pd.Timestamp(fold["origin"], tz="UTC")]
            mean = deals.loc[deals["closed_at"] < fold["origin"], "amount"].mean()
            assert found["mean_amount"] == pytest.approx(mean)
            assert found["expected"] == pytest.approx(open_then["propensity"].sum() * mean)
            won = open_then.loc[open_then["label"] == 1, "lead_id"]
            assert found["realised"] == deals.loc[won, "amount"].sum()

    def test_it_is_recorded_as_a_run_and_registers_no_model(self, usual: dict[str, Any]) -> None:
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{usual['folder']}/out/mlflow.db")
        run = client.get_run(usual["account"]["run_id"])
        assert run.info.run_name == "backtest"
        assert run.data.metrics["backtest_mqls"] == usual["account"]["overall"]["mqls"]
        assert not client.search_registered_models()


class TestOnlyThePast:
    """What is changed after a moment leaves alone what was known at it."""

    def changed(self, tables: tuple[str, str, str], since: pd.Timestamp) -> tuple[str, str, str]:
        """The same history, but from a moment on wins are losses and the reverse, and more is done."""
        leads, activities, outcomes = (table.splitlines() for table in tables)
        turned = {"won": "lost", "lost": "won"}
        for place, line in enumerate(outcomes[1:], 1):
            lead, outcome, at, amount = line.split(",")
            if pd.Timestamp(at) >= since:
                outcomes[place] = f"{lead},{turned[outcome]},{at},{amount}9"
        more = [line for line in activities[1:] if pd.Timestamp(line.split(",")[1]) >= since]
        new_kind = [line.replace("visit", "webinar") for line in more]
        return "\n".join(leads), "\n".join([*activities, *more, *new_kind]), "\n".join(outcomes)

    def again(
        self, tables: tuple[str, str, str], since: pd.Timestamp, folder: Path
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        path = project(folder, self.changed(tables, since))
        account = backtest(read_config(path), NOW, folder / "out", jobs=1)
        return account, predictions(folder / "out")

    def test_after_an_origin_nothing_changes_its_model(
        self, tables: tuple[str, str, str], usual: dict[str, Any], tmp_path: Path
    ) -> None:
        origins = [fold["origin"] for fold in usual["account"]["folds"]]
        account, after = self.again(tables, pd.Timestamp(origins[0]), tmp_path)
        known = ["lead_id", "margin", "propensity", "propensity_low", "logistic", "points", "points_refitted",
                 "rules", "base_rate"]  # fmt: skip
        at_origin = pd.Timestamp(origins[0], tz="UTC")
        was, now = (rows.loc[rows["as_of"] == at_origin, known] for rows in (usual["rows"], after))
        assert len(was)
        pd.testing.assert_frame_equal(
            was.reset_index(drop=True), now.reset_index(drop=True), check_exact=True
        )
        first, changed = usual["account"]["folds"][0], account["folds"][0]
        for part in ("cutoff", "features", "rounds", "drift"):
            assert first[part] == changed[part], part
        for window in ("train", "calibration", "decision"):
            assert first["windows"][window] == changed["windows"][window]
        # What the last origin looks back on has changed, and shows.
        last, changed = usual["account"]["folds"][-1], account["folds"][-1]
        assert last["windows"]["train"]["won"] != changed["windows"]["train"]["won"]

    def test_after_a_folds_last_horizon_nothing_changes_what_became_of_it(
        self, tables: tuple[str, str, str], usual: dict[str, Any], tmp_path: Path
    ) -> None:
        origins = [fold["origin"] for fold in usual["account"]["folds"]]
        first = usual["rows"][usual["rows"]["fold"] == origins[0]]
        over = first["as_of"].max().tz_localize(None) + HORIZON
        _, after = self.again(tables, over, tmp_path)
        pd.testing.assert_frame_equal(
            first.reset_index(drop=True),
            after[after["fold"] == origins[0]].reset_index(drop=True),
            check_exact=True,
        )


class Stopped(Exception):
    """Someone pulled the plug."""


class TestResuming:
    def counted(self, monkeypatch: pytest.MonkeyPatch, *, stop_after: int = 99) -> list[str]:
        """Count the folds that are computed, and stop after some."""
        real, computed = running.run_fold, []

        def run_fold(task: dict[str, Any]) -> Any:
            if len(computed) >= stop_after:
                raise Stopped
            computed.append(task["name"])
            return real(task)

        monkeypatch.setattr(running, "run_fold", run_fold)
        return computed

    def test_finished_folds_are_reused_and_the_result_is_the_same(
        self,
        tables: tuple[str, str, str],
        usual: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        config, out = read_config(project(tmp_path, tables)), tmp_path / "out"
        with monkeypatch.context() as patch:
            self.counted(patch, stop_after=2)
            with pytest.raises(Stopped):
                backtest(config, NOW, out, jobs=1)
        assert not (out / "backtest.json").exists()
        assert not (out / "backtest_predictions.parquet").exists()
        computed, told = self.counted(monkeypatch), []
        account = backtest(config, NOW, out, told.append, jobs=1)
        assert computed == [account["folds"][2]["origin"]]
        assert "2 of 3 folds are finished from before" in told
        pd.testing.assert_frame_equal(predictions(out), usual["rows"], check_exact=True)
        assert account["sentence"] == usual["account"]["sentence"]

    def test_the_folds_of_other_data_are_not_reused_and_go(
        self, usual: dict[str, Any], tmp_path: Path
    ) -> None:
        done = next((usual["folder"] / "out" / "backtest").iterdir())
        origin = usual["account"]["folds"][0]["origin"]
        shutil.copytree(done, tmp_path / "backtest" / done.name)
        other = Store(tmp_path, {"data": "other"})
        assert not other.has(origin)
        assert not (tmp_path / "backtest" / done.name).exists()

    @pytest.mark.parametrize("change", ["level = 0.2", "members = 3", "folds = 2", 'name = "call"'])
    def test_another_configuration_starts_afresh(
        self, tables: tuple[str, str, str], tmp_path: Path, change: str
    ) -> None:
        key = change.split(" = ")[0]
        other = re.sub(rf"{key} = .*", change, SECTIONS)
        assert other != SECTIONS
        usual, again, changed = (
            read_config(project(tmp_path, tables, sections)) for sections in (SECTIONS, SECTIONS, other)
        )
        dataset = load(usual, NOW)
        nothing = Plan([], dataset.tables.leads, pd.Series())
        identity = identity_of(dataset, nothing)
        assert identity_of(replace(dataset, config=again), nothing) == identity
        assert identity_of(replace(dataset, config=changed), nothing) != identity

    def test_a_killed_backtest_leaves_whole_folds_and_no_result(
        self,
        tables: tuple[str, str, str],
        usual: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path, out = project(tmp_path, tables), tmp_path / "out"
        code = (
            "import sys; from datetime import datetime; from pathlib import Path\n"
            "from pipeline.backtest.run import backtest; from pipeline.configuring import read_config\n"
            "backtest(read_config(Path(sys.argv[1])), datetime(2025, 6, 1), Path(sys.argv[2]), jobs=1)"
        )
        root = Path(running.__file__).parents[2]
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(out)],
            cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(out.glob("backtest/*/fold-*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished = len(list(out.glob("backtest/*/fold-*.json")))
        assert finished >= 1
        assert not (out / "backtest.json").exists()
        told: list[str] = []
        self.counted(monkeypatch, stop_after=0)
        with pytest.raises(Stopped):
            backtest(read_config(path), NOW, out, told.append, jobs=1)
        assert f"{finished} of 3 folds are finished from before" in told


def test_folds_in_parallel_give_the_same_result(
    tables: tuple[str, str, str], usual: dict[str, Any], tmp_path: Path
) -> None:
    account = backtest(read_config(project(tmp_path, tables)), NOW, tmp_path / "out", jobs=2)
    pd.testing.assert_frame_equal(predictions(tmp_path / "out"), usual["rows"], check_exact=True)
    assert account["folds"] == usual["account"]["folds"]
    assert account["answer"] == usual["account"]["answer"]


class TestOrigins:
    def planned(self, path: Path) -> Any:
        return plan(load(read_config(path), NOW))

    def test_origins_are_as_far_apart_as_asked_for(
        self, tables: tuple[str, str, str], tmp_path: Path
    ) -> None:
        sections = SECTIONS.replace("folds = 3", "folds = 4\nevery = 2")
        found = self.planned(project(tmp_path, tables, sections))
        origins = pd.to_datetime([fold.name for fold in found.folds])
        assert len(origins) == 4
        assert set(np.diff(origins)) == {pd.Timedelta(days=20)}
        assert [len(fold.nights) for fold in found.folds] == [2, 2, 2, 2]

    def test_dates_pinned_for_one_training_do_not_hold_the_origin_back(
        self, tables: tuple[str, str, str], tmp_path: Path
    ) -> None:
        pinned = SECTIONS + "\n    [windows]\n    test_from = 2024-11-01\n    calibration_from = 2024-06-01\n"
        usual, other = (
            self.planned(project(tmp_path / n, tables, s)) for n, s in (("a", SECTIONS), ("b", pinned))
        )
        assert [fold.name for fold in usual.folds] == [fold.name for fold in other.folds]

    def test_a_history_that_is_too_short_is_refused_with_what_to_do(
        self, tables: tuple[str, str, str], tmp_path: Path
    ) -> None:
        leads = "\n".join(tables[0].splitlines()[:120])
        path = project(tmp_path, (leads, tables[1], tables[2]))
        with pytest.raises(UnsupportedData, match="no two origins") as error:
            self.planned(path)
        assert "longer history" in error.value.message


def test_points_rule_by_rule_add_up_to_the_points(tables: tuple[str, str, str], tmp_path: Path) -> None:
    more = '\n[[rules]]\nname = "tin"\npoints = -4\nattribute = "plan"\nis_one_of = ["tin"]\n'
    dataset = load(read_config(project(tmp_path, tables, textwrap.dedent(SECTIONS) + more)), NOW)
    snapshots = prepare(dataset).snapshots
    by_rule = points_by_rule(dataset, snapshots, dataset.config)
    assert (by_rule % [10, 4] == 0).all(axis=None)
    assert set(by_rule["rule 1"]) == {0, -4}
    pd.testing.assert_series_equal(
        by_rule.sum(axis=1), points_of(dataset, snapshots, dataset.config), check_names=False
    )


class TestFlat:
    def write(self, folder: Path, order: str) -> Path:
        random = np.random.default_rng(2)
        size = random.normal(size=600)
        won = random.random(600) < 1 / (1 + np.exp(1 - 1.5 * size))
        lines = [f"{i},{s:.3f},{int(w)}" for i, (s, w) in enumerate(zip(size, won, strict=True))]
        (folder / "flat.csv").write_text("\n".join(["row_id,size,won", *lines]))
        label = 'label = "won"'
        return write_config(
            folder,
            '[project]\nname = "flat"\n[leads]\ntable = "flat.csv"\nid = "row_id"\n'
            f"{order}\n{label}\n[model]\nmembers = 2\n[backtest]\nfolds = 3\n"
            '[[cutoffs]]\npolicy = "manual"\nlevel = 0.4\n',
        )

    def test_rows_in_order_are_rolled_through_without_times(self, tmp_path: Path) -> None:
        config = read_config(self.write(tmp_path, 'order_by = "row_id"'))
        account = backtest(config, NOW, tmp_path / "out", jobs=1)
        rows = predictions(tmp_path / "out")
        # The last 60 % of 600 rows in three blocks of 120, each behind all that is trained on.
        assert [fold["scored"]["leads"] for fold in account["folds"]] == [120, 120, 120]
        assert [fold["origin"] for fold in account["folds"]] == ["row-0000241", "row-0000361", "row-0000481"]
        ids = rows["lead_id"].astype(int)
        assert ids.groupby(rows["fold"]).min().tolist() == [240, 360, 480]
        assert account["answer"]["against"] == "first_come"
        assert any("no embargo is possible" in note for note in account["notes"])

    def test_rows_without_order_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedData, match="no past to train on"):
            backtest(read_config(self.write(tmp_path, "")), NOW, tmp_path / "out", jobs=1)
