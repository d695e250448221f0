"""What a user is told to believe, and why: guard, hygiene, backtest and promise on a simulated CRM."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from worlds import Once, World, read_json

from features.catalogue import catalogue
from features.errors import ConfigurationError
from pipeline.backtest.latest import latest, no_backtest
from pipeline.backtest.store import procedure
from pipeline.cli import main_group
from pipeline.config import Config, Guard, Overrule
from pipeline.explain import explain
from pipeline.featuring import about
from pipeline.registry import Registry
from pipeline.results import read_table
from pipeline.score import score
from pipeline.served import read_bundle
from pipeline.terminal import show_training
from pipeline.train import train

NOW = datetime(2026, 6, 30)
HORIZON = timedelta(days=90)
MEASURES = ["duplicates", "tests", "employees", "bots", "impossible", "personal", "student", "disposable"]
REASON = "sales offers the contract at the first call"


def one_line(text: str) -> str:
    """A screen without its line breaks and frames."""
    return " ".join(text.replace("│", " ").split())


def verdict(guard: dict[str, Any], name: str) -> dict[str, Any]:
    return next(v for v in guard["verdicts"] if v["name"] == name)


def lighter(config: Config, **changes: Any) -> Config:
    """The same, trained faster: two members, and no measure of hygiene tried without."""
    parts = {
        "model": config.model.model_copy(update={"members": 2}),
        "hygiene": config.hygiene.model_copy(update={"effects": False}),
    }
    return config.model_copy(update=parts | changes)


def shown(show: Callable[[], None]) -> str:
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        show()
    return one_line(screen.getvalue())


class TestAccountOfTheDemo:
    def test_the_guard_found_the_field_that_is_filled_after_winning(self, world: World) -> None:
        guard = world.account["guard"]
        found = verdict(guard, "contract_type")
        assert (found["subject"], found["verdict"], found["kept"]) == ("attribute", "excluded", False)
        assert found["overruled"] is None
        proof = next(e for e in found["evidence"] if e["test"] == "vanishes")
        assert "it comes with the outcome" in proof["words"]
        assert proof["numbers"]
        assert guard["judged"] == len(guard["verdicts"])
        assert {v["subject"] for v in guard["verdicts"]} == {"attribute", "kind", "table"}
        # Nobody is accused who did nothing: all else in this CRM is honest.
        assert [v["name"] for v in guard["verdicts"] if v["verdict"] == "excluded"] == ["contract_type"]

    def test_so_no_feature_knows_that_field(self, world: World) -> None:
        bundle, _ = read_bundle(world.output / "bundle")
        assert bundle.about["left_out"] == {"attributes": ["contract_type"], "kinds": []}
        known = {attribute.declared.name for attribute in bundle.vocabulary.attributes}
        assert known == {"industry", "company_size", "source", "job_title", "country"}
        concepts = {feature.concept for feature in catalogue(bundle.vocabulary)}
        assert "attribute.industry" in concepts
        assert "attribute.contract_type" not in concepts
        assert bundle.classifier.n_features_in_ == len(catalogue(bundle.vocabulary))

    def test_leads_are_replayed_up_to_their_outcome(self, world: World) -> None:
        replay = world.account["guard"]["replay"]
        assert [m["before"] for m in replay["moments"]][-2:] == ["1h", "5m"]
        assert replay["finding"] == ""  # what would leap was left out

    def test_every_measure_of_hygiene_is_counted_and_said(self, world: World) -> None:
        measures = world.account["hygiene"]["measures"]
        assert [m["name"] for m in measures] == MEASURES
        for measure in measures:
            assert measure["found"] >= max(0, measure["leads"] if measure["name"] != "bots" else 0)
            assert measure["done"]
            assert measure["words"].endswith(".")
        truth = pd.read_parquet(world.crm / "truth" / "hygiene.parquet")
        planted = int(truth["survivor_id"].notna().sum())
        duplicates = next(m for m in measures if m["name"] == "duplicates")
        assert planted / 2 < duplicates["leads"] <= duplicates["found"]
        assert f"{duplicates['leads']:,} were merged" in duplicates["words"]

    def test_those_that_changed_something_were_tried_without(self, world: World) -> None:
        hygiene = world.account["hygiene"]
        changed = [m["name"] for m in hygiene["measures"] if m["leads"] or m["activities"]]
        assert {"duplicates", "tests", "bots"} <= set(changed)
        assert list(hygiene["effects"]) == changed
        test = world.account["windows"]["test"]["snapshots"]
        for effect in hygiene["effects"].values():
            assert effect["measured"]
            assert effect["snapshots"] > 0.9 * test  # on the same leads, in the same window
            for metric in ("auc", "log_loss"):
                found = effect[metric]
                gap = found["difference"]
                assert gap["value"] == pytest.approx(found["with"] - found["without"])
                assert gap["low"] <= gap["high"]
        merged = hygiene["effects"]["duplicates"]["leads"]
        assert merged["with"] < merged["without"]

    def test_the_backtest_is_that_of_this_procedure(self, world: World) -> None:
        backtest, found = read_json(world.output / "backtest.json"), world.account["backtest"]
        assert found["procedure"] == backtest["procedure"] == procedure(world.config)
        for part in ("sentence", "words", "answer", "overall", "run_id"):
            assert found[part] == backtest[part]
        assert [fold["origin"] for fold in found["folds"]] == [fold["origin"] for fold in backtest["folds"]]
        assert found["sentence"].startswith("With the same number of calls")

    def test_each_cutoff_promises_or_says_why_not(self, world: World) -> None:
        cutoffs = world.account["cutoffs"]
        assert any(cutoff["promise"] for cutoff in cutoffs)
        for cutoff in cutoffs:
            promise = cutoff["promise"]
            if promise is None:
                assert cutoff["evidence"]["why"]
                continue
            assert promise["at_least"] > 0
            assert promise["confidence"] == 0.9
            assert promise["tested_on"]["units"] > 0
            assert promise["words"].endswith("with 90 % confidence.")
            assert promise["level"] == cutoff["level"]
            assert cutoff["evidence"]["test"]["promise"]["verdict"] in ("held", "undecided", "violated")

    def test_the_base_rate_was_watched(self, world: World) -> None:
        drift = world.account["drift"]
        assert drift["moved"] is any(check["moved"] for check in drift["checks"])
        assert [check["between"] for check in drift["checks"]] == [
            "from the training to the calibration window", "from the calibration to the decision window",
        ]  # fmt: skip
        assert drift["words"]


class TestScreens:
    def test_the_closing_screen_says_all_four(self, world: World) -> None:
        screen, account = one_line((world.folder / "screen.txt").read_text("utf-8")), world.account
        assert "left out: attribute 'contract_type'" in screen
        assert one_line(verdict(account["guard"], "contract_type")["evidence"][0]["words"]) in screen
        for measure in account["hygiene"]["measures"]:
            assert (one_line(measure["words"]) if measure["found"] else measure["name"]) in screen
        assert screen.count("With it AUC") == len(account["hygiene"]["effects"])
        # Beside the numbers, and in the closing panel.
        assert screen.count(one_line(account["backtest"]["sentence"])) == 2
        for words in account["backtest"]["words"]:
            assert one_line(words) in screen
        for cutoff in account["cutoffs"]:
            promise = cutoff["promise"]
            said = f"Promise: {promise['words'].rstrip('.')}" if promise else cutoff["evidence"]["why"]
            assert one_line(said) in screen

    def test_check_has_guard_and_hygiene_for_programs(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PROPENSE_DATA", raising=False)
        done = CliRunner().invoke(
            main_group, ["check", "--json", "--config", str(world.crm / "propense.toml")]
        )
        assert done.exit_code == 0, done.output
        found, account = json.loads(done.stdout), world.account
        # A check judges as the training did, and trains nothing to say what it would change.
        assert found["guard"]["verdicts"] == account["guard"]["verdicts"]
        assert found["hygiene"] == {"measures": account["hygiene"]["measures"]}
        assert found["windows"] == account["windows"]

    def test_a_leads_story_is_replayed_and_ends_with_its_score(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        scores = world.table("scores.parquet").set_index("lead_id")
        created = pd.read_csv(world.crm / "leads.csv", index_col="lead_id")["created_at"]
        age = pd.Timestamp(NOW, tz="UTC") - pd.to_datetime(created, utc=True, format="ISO8601")
        lead = scores.index[scores.index.map(age) > timedelta(days=14)][0]
        explain(world.config, NOW, NOW, world.output, lead)
        told = one_line(capsys.readouterr().out).partition("Its history, replayed")[2]
        assert "2026-06-23 00:00" in told  # the scoring date before
        assert f"2026-06-30 00:00 {scores.loc[lead, 'propensity']:.1%}" in told


@pytest.fixture
def output(world: World, tmp_path: Path) -> Path:
    """A copy of the output folder that a test may change."""
    return Path(shutil.copytree(world.output, tmp_path / "copy"))


class TestShipRefused:
    def test_without_a_backtest(self, world: World, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="and there is none") as refused:
            train(world.config, NOW, tmp_path / "new", ship=True)
        assert "propense backtest" in refused.value.todo
        assert not (tmp_path / "new").exists()

    def test_with_one_of_another_configuration(self, world: World, output: Path) -> None:
        before = (output / "train.json").read_bytes()
        changed = lighter(world.config)
        assert latest(output, world.config) is not None
        assert latest(output, changed) is None
        with pytest.raises(ConfigurationError, match="was of another configuration") as refused:
            train(changed, NOW, output, ship=True)
        assert "propense backtest" in refused.value.todo
        assert (output / "train.json").read_bytes() == before
        assert Registry(output, "simulated").champion().version == "1"

    def test_where_no_backtest_can_be_made_none_is_asked_for(self, world: World, output: Path) -> None:
        windows = world.config.windows.model_copy(update={"split": "group"})
        refused = no_backtest(output, world.config.model_copy(update={"windows": windows}))
        assert "train without --ship" in refused.todo
        assert "propense backtest" not in refused.todo

    @pytest.mark.parametrize("section", ["snapshots", "cutoffs", "hygiene", "guard", "rules", "features"])
    def test_all_that_decides_about_a_training_makes_another_procedure(
        self, world: World, section: str
    ) -> None:
        changes: dict[str, Any] = {
            "snapshots": world.config.snapshots.model_copy(update={"horizon": timedelta(days=30)}),
            "cutoffs": world.config.cutoffs[:1],
            "hygiene": world.config.hygiene.model_copy(update={"duplicates": False}),
            "guard": Guard(on=False),
            "rules": [],
            "features": world.config.features.model_copy(update={"windows": [7]}),
        }
        changed = world.config.model_copy(update={section: changes[section]})
        assert latest(world.output, changed) is None

    def test_where_scores_are_written_and_where_data_lies_do_not(self, world: World, tmp_path: Path) -> None:
        moved = world.config.model_copy(update={"destinations": {}, "root": tmp_path})
        assert latest(world.output, moved) is not None


@pytest.fixture(scope="module")
def shipped(world: World, once: Once) -> Path:
    """The demo's output after `train --ship` and a scoring; the screen is in ``screen.txt``."""

    def make(folder: Path) -> None:
        shutil.copytree(world.output, folder)
        config = lighter(world.config)
        # As if the backtest had been made of this faster procedure: its numbers are only carried along.
        backtest = read_json(folder / "backtest.json") | {"procedure": procedure(config)}
        (folder / "backtest.json").write_text(json.dumps(backtest), "utf-8")
        trained = train(config, NOW, folder, ship=True)
        (folder / "screen.txt").write_text(shown(lambda: show_training(trained.account, folder)), "utf-8")
        score(config, NOW, NOW, folder)

    return once("shipped world", make)


class TestShipped:
    def test_no_test_window_is_left(self, shipped: Path) -> None:
        account = read_json(shipped / "train.json")
        assert account["shipped"] is True
        assert account["test"] is account["difference"] is None
        assert account["windows"]["test"]["snapshots"] == 0
        assert all("test" not in cutoff["evidence"] for cutoff in account["cutoffs"])
        parts = set(read_table(shipped / "test_predictions.parquet")["part"])
        assert parts == {"calibration", "decision"}

    def test_the_windows_are_moved_up_to_what_has_matured_by_now(self, world: World, shipped: Path) -> None:
        before, after = world.account["windows"], read_json(shipped / "train.json")["windows"]
        last = NOW - HORIZON  # as_of + horizon <= observed_until
        ends = pd.Timestamp(after["decision"]["to"]).tz_localize(None)
        assert last - timedelta(days=7) < ends <= last
        for name in ("train", "calibration", "decision"):
            assert after[name]["to"] > before[name]["to"]
        assert after["train"]["leads"] > before["train"]["leads"]

    def test_every_snapshot_of_the_decision_window_has_matured(self, world: World, shipped: Path) -> None:
        predictions = read_table(shipped / "test_predictions.parquet")
        rows = predictions[predictions["part"] == "decision"]
        assert len(rows) > 100
        assert (rows["as_of"] + HORIZON <= NOW).all()
        # Second implementation of the label, straight from outcomes.csv.
        merged = pd.read_parquet(world.crm / "truth" / "hygiene.parquet")["survivor_id"].dropna()
        rows = rows[~rows["lead_id"].isin(merged)]
        outcomes = pd.read_csv(world.crm / "outcomes.csv")
        won = outcomes[outcomes["outcome"] == "won"].set_index("lead_id")["closed_at"]
        at = pd.to_datetime(rows["lead_id"].map(won), utc=True, format="ISO8601").dt.tz_localize(None)
        label = (at >= rows["as_of"]) & (at < rows["as_of"] + HORIZON)
        assert (label.astype(int) == rows["label"]).all()
        assert label.sum() > 10

    def test_calibration_cutoffs_and_guard_were_made_again(self, world: World, shipped: Path) -> None:
        before, after = world.account, read_json(shipped / "train.json")
        assert [c["policy"] for c in after["cutoffs"]] == [c["policy"] for c in before["cutoffs"]]
        assert [c["level"] for c in after["cutoffs"]] != [c["level"] for c in before["cutoffs"]]
        units = [c["promise"]["tested_on"] for c in after["cutoffs"] if c["promise"]]
        assert units
        assert units != [c["promise"]["tested_on"] for c in before["cutoffs"] if c["promise"]]
        assert verdict(after["guard"], "contract_type")["verdict"] == "excluded"
        assert len(after["drift"]["checks"]) == 2

    def test_its_numbers_are_the_procedures_and_said_to_be(self, world: World, shipped: Path) -> None:
        account = read_json(shipped / "train.json")
        assert account["backtest"]["sentence"] == world.account["backtest"]["sentence"]
        screen = (shipped / "screen.txt").read_text("utf-8")
        assert one_line(account["backtest"]["sentence"]) in screen
        assert "This model has no test window of its own: these numbers are the procedure's." in screen
        assert "all that has matured by now, no test window left" in screen
        assert "Test window, untouched until now" not in screen

    def test_it_is_the_champion_and_scores(self, world: World, shipped: Path) -> None:
        champion = Registry(shipped, "simulated").champion()
        assert champion.version == "2"
        assert champion.bundle.about["shipped"] is True
        assert read_bundle(shipped / "bundle")[0].about["shipped"] is True
        assert read_bundle(world.output / "bundle")[0].about["shipped"] is False
        scores, before = read_table(shipped / "scores.parquet"), world.table("scores.parquet")
        assert set(scores["model_version"]) == {"2"}
        assert set(scores["lead_id"]) == set(before["lead_id"])
        assert scores["propensity"].corr(before["propensity"], method="spearman") > 0.5


def signed(crm: Path, leads: pd.Series, at: pd.Series) -> None:
    """Write an activity 'contract_sent' of marketing's for each lead into a CRM."""
    table = pd.read_parquet(crm / "marketing.parquet")
    times = pd.DatetimeIndex(pd.to_datetime(at, utc=True, format="ISO8601")).as_unit("us")
    more = pd.DataFrame({"lead_id": leads.to_numpy(), "occurred_at": times})
    more = more.assign(kind="contract_sent", actor="marketing", asset=None, channel="email")
    pd.concat([table, more.astype({"lead_id": "str"})]).to_parquet(crm / "marketing.parquet")


def knowing_better(world: World, crm: Path) -> Config:
    keep = Overrule(name="contract_type", verdict="keep", reason=REASON)
    return lighter(world.config, root=crm, guard=Guard(overrule=[keep]))


@pytest.fixture(scope="module")
def leaking(world: World, once: Once) -> Path:
    """A training on a CRM in which a contract is sent two minutes before each win; its user keeps a field.

    ``crm`` and ``out`` in the folder; the screen is in ``screen.txt``.
    """

    def make(folder: Path) -> None:
        crm = folder / "crm"
        shutil.copytree(world.crm, crm)
        outcomes = pd.read_csv(crm / "outcomes.csv")
        won = outcomes[outcomes["outcome"] == "won"]
        at = pd.to_datetime(won["closed_at"], format="ISO8601") - pd.Timedelta(minutes=2)
        signed(crm, won["lead_id"], at)
        config = knowing_better(world, crm)
        trained = train(config, NOW, folder / "out")
        (folder / "screen.txt").write_text(shown(lambda: show_training(trained.account, folder)), "utf-8")
        score(config, NOW, NOW, folder / "out")

    return once("leaking world", make)


class TestWhatTheGuardLeavesOut:
    def test_a_kind_that_comes_with_the_win(self, leaking: Path) -> None:
        account = read_json(leaking / "out" / "train.json")
        found = verdict(account["guard"], "contract_sent")
        assert (found["subject"], found["verdict"], found["kept"]) == ("kind", "excluded", False)
        assert found["evidence"][0]["test"] == "after_the_outcome"
        assert "within 5 minutes before the outcome in 100%" in found["evidence"][0]["words"]
        bundle, _ = read_bundle(leaking / "out" / "bundle")
        assert bundle.about["left_out"]["kinds"] == ["contract_sent"]
        assert "contract_sent" not in {kind.name for kind in bundle.vocabulary.kinds}
        screen = (leaking / "screen.txt").read_text("utf-8")
        assert "left out: kind 'contract_sent' lies at, after or within 5 minutes" in screen

    def test_is_hidden_when_scoring_too(self, world: World, leaking: Path, tmp_path: Path) -> None:
        before = read_table(leaking / "out" / "scores.parquet").set_index("lead_id")
        crm, out = (Path(shutil.copytree(leaking / name, tmp_path / name)) for name in ("crm", "out"))
        # Overnight, before the outcome is known, every open lead gets one.
        open_leads = pd.Series(before.index)
        signed(crm, open_leads, pd.Series([NOW - timedelta(hours=3)] * len(open_leads)))
        score(knowing_better(world, crm), NOW, NOW, out)
        after = read_table(out / "scores.parquet").set_index("lead_id")
        assert len(after) > 100
        same = ["propensity", "propensity_low", "propensity_high", "band", "grade", "fit", "engagement"]
        pd.testing.assert_frame_equal(after[same], before[same])
        assert after["reasons"].to_list() == before["reasons"].to_list()


class TestOverruled:
    def test_what_the_user_keeps_is_a_feature_again(self, leaking: Path) -> None:
        found = verdict(read_json(leaking / "out" / "train.json")["guard"], "contract_type")
        assert (found["verdict"], found["kept"], found["overruled"]) == ("excluded", True, REASON)
        bundle, _ = read_bundle(leaking / "out" / "bundle")
        assert bundle.about["left_out"]["attributes"] == []
        assert "contract_type" in {attribute.declared.name for attribute in bundle.vocabulary.attributes}
        concepts = {feature.concept for feature in catalogue(bundle.vocabulary)}
        assert "attribute.contract_type" in concepts
        scores = read_table(leaking / "out" / "scores.parquet")
        assert any(
            reason["concept"] == "attribute.contract_type" for found in scores["reasons"] for reason in found
        )

    def test_and_the_reason_stands_beside_the_verdict(self, leaking: Path) -> None:
        screen = (leaking / "screen.txt").read_text("utf-8")
        said = screen.partition(f"kept by you: attribute 'contract_type' ({REASON}). The guard: left out")[2]
        assert "it comes with the outcome" in said

    def test_with_what_it_changes(self, leaking: Path) -> None:
        effect = read_json(leaking / "out" / "train.json")["guard"]["effects"]["contract_type"]
        assert effect["matters"] is True
        assert effect["auc"]["with"] > 0.98 > 0.9 > effect["auc"]["without"]
        assert f"With it AUC {effect['auc']['with']:.3f}" in (leaking / "screen.txt").read_text("utf-8")

    def test_a_result_that_is_too_good_is_doubted(self, leaking: Path) -> None:
        # What was kept really is a leak: nothing but the test window can say so now.
        account = read_json(leaking / "out" / "train.json")
        assert account["test"]["auc"]["propense"]["value"] > 0.98
        screen = (leaking / "screen.txt").read_text("utf-8")
        assert "too good to be true" in screen
        assert "You keep what the leak guard would leave out: contract_type." in screen

    def test_without_a_backtest_the_screen_says_how_to_get_one(self, leaking: Path) -> None:
        assert read_json(leaking / "out" / "train.json")["backtest"] is None
        assert "`propense backtest` makes one" in (leaking / "screen.txt").read_text("utf-8")


class TestHygieneChangedSince:
    def test_a_model_of_other_hygiene_does_not_score(self, world: World, output: Path) -> None:
        before = (output / "scores.parquet").read_bytes()
        hygiene = world.config.hygiene.model_copy(update={"duplicates": False})
        with pytest.raises(ConfigurationError, match="hygiene: was") as refused:
            score(world.config.model_copy(update={"hygiene": hygiene}), NOW, NOW, output)
        assert "train again" in refused.value.todo
        assert (output / "scores.parquet").read_bytes() == before

    def test_whether_effects_were_measured_is_no_other_hygiene(self, world: World) -> None:
        hygiene = world.config.hygiene.model_copy(update={"effects": False})
        assert about(world.config.model_copy(update={"hygiene": hygiene})) == about(world.config)
