"""The five public data sets run the whole way, and reach what README says."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from sklearn import metrics
from worlds import Once, read_json

from features.errors import ConfigurationError, PropenseError
from pipeline.config import Config
from pipeline.configuring import read_config
from pipeline.results import read_table
from pipeline.score import score
from pipeline.terminal import show_training
from pipeline.train import train

pytestmark = pytest.mark.real_data

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"
NOW = datetime(2026, 1, 1)


@dataclass(frozen=True)
class Example:
    """One trained example: its configuration, where its results are, and what was shown."""

    config: Config
    folder: Path

    def copied(self, folder: Path) -> Path:
        """A copy of the results, to score into: the original is shared with others."""
        return Path(shutil.copytree(self.folder, folder / "copy"))

    @property
    def account(self) -> dict[str, Any]:
        return read_json(self.folder / "train.json")

    @property
    def screen(self) -> str:
        return " ".join((self.folder / "screen.txt").read_text("utf-8").split())

    def gains(self, metric: str) -> dict[str, float]:
        """Propense minus the logistic regression, on the same resampled leads."""
        return self.account["difference"][metric]


Trained = Callable[[str], Example]


@pytest.fixture(scope="session")
def example(once: Once, real_data: Path) -> Trained:
    """Train an example, once."""

    def trained(name: str) -> Example:
        given = read_config(EXAMPLES / f"{name}.toml")
        config = given.model_copy(update={"root": real_data})

        def make(folder: Path) -> None:
            screen = io.StringIO()
            result = train(config, NOW, folder)
            with contextlib.redirect_stdout(screen):
                show_training(result.account, folder)
            (folder / "screen.txt").write_text(screen.getvalue(), "utf-8")

        return Example(config, once(name, make))

    return trained


class TestBpic2012:
    """Loan applications with a full activity log, in time order: the real thing."""

    @pytest.fixture
    def bpic(self, example: Trained) -> Example:
        return example("bpic2012")

    def test_propense_ranks_better_than_the_logistic_regression(self, bpic: Example) -> None:
        assert bpic.gains("auc")["low"] > 0.01
        assert bpic.account["test"]["auc"]["propense"]["value"] > 0.75

    def test_its_propensities_are_better_too(self, bpic: Example) -> None:
        assert bpic.gains("log_loss")["high"] < -0.01
        assert bpic.gains("brier")["high"] < 0
        assert bpic.account["test"]["log_loss"]["propense"]["value"] < 0.54

    def test_they_are_calibrated(self, bpic: Example) -> None:
        assert bpic.account["test"]["calibration_error"]["propense"]["value"] < 0.06

    def test_the_windows_are_the_pinned_ones(self, bpic: Example) -> None:
        windows = bpic.account["windows"]
        # Local midnights in Amsterdam, an hour before those of UTC in winter.
        assert windows["calibration"]["from"] >= "2011-11-18T23:00:00"
        assert windows["decision"]["from"] >= "2011-12-04T23:00:00"
        assert windows["decision"]["to"] <= "2011-12-19T23:00:00"  # one horizon before the test
        assert windows["test"]["from"] == "2012-01-18T23:00:00Z"
        for window, least in {"train": 600, "calibration": 150, "decision": 150, "test": 500}.items():
            assert windows[window]["won"] >= least

    def test_open_leads_and_labels_of_the_test_are_those_of_the_raw_files(
        self, bpic: Example, real_data: Path
    ) -> None:
        # Second implementation, in SQL: registered before and not ended before as_of; won within 30 days.
        test = read_table(bpic.folder / "test_predictions.parquet").query("part == 'test'")
        source = real_data / "bpic2012"
        con = duckdb.connect()
        con.execute("SET TimeZone = 'UTC'; SET threads = 1; SET enable_progress_bar = false")
        con.register("moments", pd.DataFrame({"as_of": test["as_of"].unique()}))
        expected = con.execute(f"""
            SELECT a.case_id::VARCHAR AS lead_id, as_of,
                   coalesce(outcome = 'won' AND ended >= as_of
                            AND ended < as_of + INTERVAL 30 DAY, false) AS label
            FROM read_csv('{source / "applications.csv"}') a
            LEFT JOIN (SELECT case_id, outcome, outcome_ts::TIMESTAMPTZ::TIMESTAMP AS ended
                       FROM read_csv('{source / "outcomes.csv"}')) o ON o.case_id = a.case_id
            CROSS JOIN moments
            WHERE a.reg_date::TIMESTAMPTZ::TIMESTAMP < as_of AND (ended IS NULL OR ended >= as_of)
            ORDER BY lead_id, as_of""").fetchall()
        found = test.sort_values(["lead_id", "as_of"])
        assert len(found) == len(expected)
        assert found["lead_id"].tolist() == [row[0] for row in expected]
        assert found["label"].tolist() == [int(row[2]) for row in expected]

    def test_its_numbers_can_be_computed_again(self, bpic: Example) -> None:
        test = read_table(bpic.folder / "test_predictions.parquet").query("part == 'test'")
        stated = bpic.account["test"]
        for model, column in {"propense": "propensity", "logistic": "logistic"}.items():
            auc = metrics.roc_auc_score(test["label"], test[column])
            assert stated["auc"][model]["value"] == pytest.approx(auc)
            loss = metrics.log_loss(test["label"], test[column])
            assert stated["log_loss"][model]["value"] == pytest.approx(loss)
        assert "rules" not in stated["auc"]

    def test_it_says_that_sales_work_is_seen(self, bpic: Example) -> None:
        assert bpic.account["end_at_handover"] is False
        assert "Sales' own work is seen by the features, as the configuration asks" in bpic.screen

    def test_outcomes_are_no_features(self, bpic: Example) -> None:
        vocabulary = read_json(bpic.folder / "bundle" / "vocabulary.json")
        kinds = {kind["name"] for kind in vocabulary["kinds"]}
        assert "A_PREACCEPTED" in kinds
        assert not kinds & set(bpic.config.outcomes.activity_kinds)  # type: ignore[union-attr]

    def test_it_scores_the_applications_still_open(
        self, bpic: Example, real_data: Path, tmp_path: Path
    ) -> None:
        output = bpic.copied(tmp_path)
        score(bpic.config, datetime(2012, 3, 14, 12), NOW, output)
        found = read_table(output / "scores.parquet")
        applications = pd.read_csv(real_data / "bpic2012" / "applications.csv", dtype=str)
        ended = pd.read_csv(real_data / "bpic2012" / "outcomes.csv", dtype=str)
        moment = pd.Timestamp("2012-03-14T12:00Z")
        at = pd.to_datetime(ended["outcome_ts"], utc=True, format="ISO8601")
        registered = pd.to_datetime(applications["reg_date"], utc=True, format="ISO8601") < moment
        expected = set(applications.loc[registered, "case_id"]) - set(ended.loc[at < moment, "case_id"])
        assert set(found["lead_id"]) == expected
        assert len(expected) > 300


class TestOlist:
    @pytest.fixture
    def olist(self, example: Trained) -> Example:
        return example("olist")

    def test_it_is_not_worse_than_the_logistic_regression(self, olist: Example) -> None:
        assert olist.gains("log_loss")["low"] < 0.002
        assert olist.account["split"] == "time"
        assert "in time order" in olist.screen

    def test_it_scores(self, olist: Example, tmp_path: Path) -> None:
        output = olist.copied(tmp_path)
        score(olist.config, datetime(2018, 6, 1), NOW, output)
        found = read_table(output / "scores.parquet")
        assert len(found) > 500
        assert found["propensity"].between(0, 1).all()
        assert read_table(output / "excluded.parquet").empty


FLAT = {
    "xeducation": ("row", "in row order, without times"),
    "bank": ("row", "in row order, without times"),
    "shoppers": ("random", "at random by row, without times: this is NOT a test against the future"),
}
LABELS = {"xeducation": "Converted", "bank": "y", "shoppers": "Revenue"}


@pytest.mark.parametrize("name", FLAT)
class TestFlatTables:
    def test_it_is_not_worse_than_the_logistic_regression(self, example: Trained, name: str) -> None:
        found = example(name)
        assert found.gains("log_loss")["low"] < 0.002
        assert found.gains("auc")["high"] > -0.002

    def test_how_it_was_split_is_said(self, example: Trained, name: str) -> None:
        found, (split, said) = example(name), FLAT[name]
        assert found.account["split"] == split
        assert found.account["horizon"] is None
        assert said in found.screen
        assert found.account["windows"]["test"]["from"] is None

    def test_the_whole_table_is_not_scored(self, example: Trained, name: str) -> None:
        found = example(name)
        with pytest.raises(ConfigurationError, match="--leads FILE"):
            score(found.config, NOW, NOW, found.folder)
        assert not (found.folder / "scores.parquet").exists()

    def test_a_file_of_leads_without_the_label_is(
        self, example: Trained, name: str, real_data: Path, tmp_path: Path
    ) -> None:
        found = example(name)
        leads = found.config.leads
        table = pd.read_csv(real_data / leads.table, sep=leads.separator or ",", dtype=str).head(200)
        table.drop(columns=LABELS[name]).to_csv(tmp_path / "new.csv", sep=leads.separator or ",", index=False)
        scored = score(found.config, NOW, NOW, found.copied(tmp_path), leads_file=tmp_path / "new.csv").scores
        assert len(scored) == 200
        assert scored["propensity"].nunique() > 20
        if leads.id:
            assert set(scored["lead_id"]) == set(table[leads.id])

    def test_a_file_that_lacks_a_training_column_is_refused(
        self, example: Trained, name: str, real_data: Path, tmp_path: Path
    ) -> None:
        found = example(name)
        leads = found.config.leads
        table = pd.read_csv(real_data / leads.table, sep=leads.separator or ",", dtype=str).head(20)
        column = {"xeducation": "TotalVisits", "bank": "balance", "shoppers": "BounceRates"}[name]
        table.drop(columns=column).to_csv(tmp_path / "new.csv", sep=leads.separator or ",", index=False)
        with pytest.raises(PropenseError, match=column):
            score(found.config, NOW, NOW, found.folder, leads_file=tmp_path / "new.csv")

    def test_a_file_with_a_column_of_a_new_type_is_refused(
        self, example: Trained, name: str, real_data: Path, tmp_path: Path
    ) -> None:
        found = example(name)
        leads = found.config.leads
        table = pd.read_csv(real_data / leads.table, sep=leads.separator or ",", dtype=str).head(20)
        column = {"xeducation": "TotalVisits", "bank": "balance", "shoppers": "BounceRates"}[name]
        table.assign(**{column: "a lot"}).to_csv(
            tmp_path / "new.csv", sep=leads.separator or ",", index=False
        )
        with pytest.raises(PropenseError, match=column):
            score(found.config, NOW, NOW, found.folder, leads_file=tmp_path / "new.csv")
