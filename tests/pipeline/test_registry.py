"""The registry holds text only, checks every byte before it scores, and may be moved with its folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import features, learned

from features.errors import BundleError
from models.bundle import Bundle
from pipeline.registry import Registry
from pipeline.served import read_bundle


def registered(folder: Path, bundle: Bundle, project: str = "a b", *, promote: bool = True) -> Registry:
    """Register a bundle the way a training does."""
    registry, texts = Registry(folder, project), bundle.to_texts()
    source = folder / "bundle"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name, text in texts.items():
        (source / name).write_bytes(text.encode())
    with registry.run("train"):
        registry.log({"depth": 3}, {"test_auc": 0.7}, {"git_commit": "abc"}, {"lé[ads],*.csv": "00ff"})
        version = registry.register(bundle, texts, source, features(5))
    if promote:
        registry.promote(version)
    return registry


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return learned().bundle


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    folder = tmp_path_factory.mktemp("registry") / "out put, é"
    registered(folder, bundle)
    return folder


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """The same folder under another name, as after `mv` or a restored backup."""
    shutil.copytree(store, tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def model_folder(folder: Path) -> Path:
    return next((folder / "mlartifacts" / "models").iterdir()) / "artifacts"


class TestChampion:
    def test_it_is_the_bundle_that_was_registered(self, store: Path, bundle: Bundle) -> None:
        champion = Registry(store, "a b").champion()
        assert champion.bundle.to_texts() == bundle.to_texts()
        assert (champion.name, champion.version) == ("a b", "1")
        assert re.fullmatch("[0-9a-f]{32}", champion.run_id)

    def test_none_yet(self, tmp_path: Path, store: Path) -> None:
        for registry in (Registry(tmp_path, "a b"), Registry(store, "other")):
            assert registry.champion_version() is None
            with pytest.raises(BundleError, match="has been registered yet"):
                registry.champion()

    def test_looking_for_one_writes_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError):
            Registry(tmp_path, "a b").champion()
        assert list(tmp_path.iterdir()) == []

    def test_the_newest_that_was_promoted(self, copy: Path, bundle: Bundle) -> None:
        registry = registered(copy, bundle, promote=False)
        assert registry.champion().version == "1"
        registry.promote("2")
        assert Registry(copy, "a b").champion().version == "2"

    def test_a_training_that_failed_leaves_it_as_it_was(self, copy: Path) -> None:
        registry = Registry(copy, "a b")

        def fail() -> None:
            with registry.run("train"):
                raise RuntimeError("while drawing")

        with pytest.raises(RuntimeError, match="while drawing"):
            fail()
        assert registry.champion().version == "1"
        runs = registry._client.search_runs([registry._client.get_experiment_by_name("a b").experiment_id])
        assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]

    def test_two_projects_in_two_folders_do_not_mix(self, copy: Path, tmp_path: Path) -> None:
        other = learned(seed=1).bundle
        registered(tmp_path / "second", other, "second")
        assert Registry(tmp_path / "second", "second").champion().bundle.to_texts() == other.to_texts()
        assert Registry(copy, "a b").champion().bundle.to_texts() != other.to_texts()
        assert Registry(tmp_path / "second", "a b").champion_version() is None

    def test_a_database_that_cannot_be_read_is_one_message(self, tmp_path: Path) -> None:
        (tmp_path / "mlflow.db").write_text("this is no database" * 100)
        with pytest.raises(BundleError, match="MLflow's database cannot be used"):
            Registry(tmp_path, "a b").champion()


class TestMovedFolders:
    def test_a_copy_is_scored_with_when_the_original_is_gone(self, copy: Path, bundle: Bundle) -> None:
        moved = copy.rename(copy.with_name("moved, é & again"))
        model = model_folder(moved)
        assert Registry(moved, "a b").champion().bundle.to_texts() == bundle.to_texts()
        (model / "data" / "bundle" / "model.json").unlink()  # it is the copy's own file that is read
        with pytest.raises(BundleError, match=r"model\.json"):
            Registry(moved, "a b").champion()

    def test_the_next_training_writes_to_where_the_folder_is_now(self, copy: Path, bundle: Bundle) -> None:
        registry = registered(copy, bundle)
        assert len(list((copy / "mlartifacts" / "models").iterdir())) == 2
        assert registry.champion().version == "2"
        run = registry._client.get_run(registry.champion().run_id)
        assert run.info.artifact_uri.startswith((copy / "mlartifacts").as_uri())


class TestOlderRuns:
    def test_the_model_of_a_run_is_that_run_s_also_when_another_is_champion(
        self, copy: Path, bundle: Bundle
    ) -> None:
        first = Registry(copy, "a b").champion()
        registry = registered(copy, learned(seed=1).bundle)
        assert registry.champion().version == "2"
        assert registry.of_run(first.run_id).version == "1"
        assert registry.of_run(first.run_id).bundle.to_texts() == bundle.to_texts()

    def test_a_run_that_is_not_there_names_those_that_are(self, store: Path, tmp_path: Path) -> None:
        known = Registry(store, "a b").champion().run_id
        with pytest.raises(BundleError, match=known):
            Registry(store, "a b").of_run(known[:-1] + "x")
        with pytest.raises(BundleError, match="No run 'abc'"):
            Registry(tmp_path, "a b").of_run("abc")
        assert list(tmp_path.iterdir()) == []

    def test_files_are_attached_to_a_run_that_has_ended_and_found_where_the_folder_is_now(
        self, copy: Path, tmp_path: Path
    ) -> None:
        registry = Registry(copy, "a b")
        run_id = registry.champion().run_id
        assert registry.kept(run_id, "report/report.json") is None
        made = tmp_path / "made"
        made.mkdir()
        (made / "report.json").write_text("{}")
        registry.attach(run_id, made, "report")
        moved = Registry(copy.rename(copy.with_name("moved, é")), "a b")
        kept = moved.kept(run_id, "report/report.json")
        assert kept is not None
        assert kept.read_text() == "{}"
        assert kept.is_relative_to(moved.folder)


class TestWhatIsStored:
    def test_parameters_metrics_tags_digests_and_signature(self, store: Path) -> None:
        registry = Registry(store, "a b")
        run = registry._client.get_run(registry.champion().run_id)
        assert run.data.params == {"depth": "3"}
        assert run.data.metrics == {"test_auc": 0.7}
        assert run.data.tags["git_commit"] == "abc"
        assert re.fullmatch("[0-9a-f]{64}", run.data.tags["data_digest"])
        digests = registry._mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/data_digests.json")
        assert digests == {"lé[ads],*.csv": "00ff"}
        signature = registry._mlflow.models.get_model_info(str(model_folder(store))).signature
        assert signature.inputs.input_names() == list(features(1).columns)
        assert "propensity" in signature.outputs.input_names()

    def test_no_file_is_a_pickle(self, store: Path) -> None:
        files = [path for path in store.rglob("*") if path.is_file()]
        assert len(files) > 10
        for path in files:
            assert path.read_bytes()[:1] != b"\x80", path  # how every pickle since protocol 2 begins
            assert path.suffix not in {".pkl", ".pickle", ".joblib", ".cloudpickle"}

    def test_no_code_is_stored(self, store: Path) -> None:
        assert "loader_module: pipeline.served" in (model_folder(store) / "MLmodel").read_text()
        assert not list(store.rglob("*.py"))


class TestServing:
    @pytest.fixture
    def served(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The champion, loaded as any program that uses MLflow would."""
        monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        import mlflow

        uri = Registry(store, "a b").uri
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return mlflow.pyfunc.load_model("models:/a b@champion")

    @pytest.mark.parametrize("categories", ["category", "object", "str"])
    def test_mlflow_predicts_what_the_bundle_scores(
        self, served: Any, bundle: Bundle, categories: str
    ) -> None:
        table = features(50, seed=3)
        given = table.astype(dict.fromkeys(table.select_dtypes("category"), categories))
        found = served.predict(given)
        assert isinstance(found, pd.DataFrame)
        np.testing.assert_array_equal(found["propensity"], bundle.score(table)["propensity"])

    def test_a_value_never_seen_counts_as_the_pool_of_rare_ones(self, served: Any, bundle: Bundle) -> None:
        table = features(20, seed=3).assign(**{"attribute.industry": "fishing"})
        pooled = table.assign(**{"attribute.industry": "other"})
        np.testing.assert_array_equal(served.predict(table)["margin"], served.predict(pooled)["margin"])

    def test_a_missing_feature_is_named(self, served: Any) -> None:
        raw = served.get_raw_model()
        with pytest.raises(BundleError, match=r"attribute\.seats"):
            raw.predict(features(5).drop(columns="attribute.seats"))

    def test_text_where_a_number_should_be_is_named(self, served: Any) -> None:
        raw = served.get_raw_model()
        with pytest.raises(BundleError, match=r"attribute\.seats"):
            raw.predict(features(5).assign(**{"attribute.seats": "many"}))


class TestTampering:
    def test_any_changed_byte_of_any_file_is_refused_and_the_file_named(self, copy: Path) -> None:
        rng = np.random.default_rng(0)
        files = sorted((model_folder(copy) / "data" / "bundle").iterdir())
        files.append(model_folder(copy) / "MLmodel")
        assert len(files) == 7
        for path in files:
            raw = path.read_bytes()
            for place in {0, len(raw) - 1, *rng.integers(0, len(raw), 4)}:
                # Of a digit, a letter or a bracket: to something else that may be as good to a parser.
                path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
                with pytest.raises(BundleError, match=re.escape(path.name)):
                    Registry(copy, "a b").champion()
            path.write_bytes(raw)
        Registry(copy, "a b").champion()

    def test_bytes_that_are_no_text_are_refused(self, copy: Path) -> None:
        path = model_folder(copy) / "data" / "bundle" / "member_01.txt"
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
        with pytest.raises(BundleError, match=r"member_01\.txt"):
            Registry(copy, "a b").champion()

    def test_a_deleted_file_is_named(self, copy: Path) -> None:
        for path in [
            *sorted((model_folder(copy) / "data" / "bundle").iterdir()),
            model_folder(copy) / "MLmodel",
        ]:
            raw = path.read_bytes()
            path.unlink()
            with pytest.raises(BundleError, match=re.escape(path.name)):
                Registry(copy, "a b").champion()
            path.write_bytes(raw)

    def test_a_whole_other_bundle_in_its_place_is_refused(self, copy: Path) -> None:
        for name, text in learned(seed=1).bundle.to_texts().items():
            (model_folder(copy) / "data" / "bundle" / name).write_bytes(text.encode())
        with pytest.raises(BundleError, match=r"manifest\.json"):
            Registry(copy, "a b").champion()

    def test_what_the_descriptor_names_is_not_imported_before_it_is_checked(
        self, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "evil_loader.py").write_text("raise SystemExit('ran')")
        monkeypatch.syspath_prepend(tmp_path)
        path = model_folder(copy) / "MLmodel"
        path.write_text(path.read_text().replace("pipeline.served", "evil_loader"))
        with pytest.raises(BundleError, match="MLmodel"):
            Registry(copy, "a b").champion()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="no trained model"):
            read_bundle(tmp_path / "no")
