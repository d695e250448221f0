"""MLflow: one run a training, the registered model, and its champion.

Everything lives in the project's own output folder: ``mlflow.db`` (SQLite) and ``mlartifacts/``. The
folder may be moved, renamed or copied: MLflow's absolute addresses then follow it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

import pandas as pd

from features.errors import BundleError, listed, nearest
from models.bundle import MANIFEST, Bundle, bundle_digest
from pipeline.served import ServedModel

# Both are read when MLflow is imported: no telemetry, and a store that can only hold text models.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

CHAMPION = "champion"
# Where MLflow 3 keeps absolute addresses of artifacts.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Registered:
    """A model in the registry."""

    bundle: Bundle
    name: str
    version: str
    run_id: str


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep hints on examples, integers and the environment from people who can do nothing about them."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class Registry:
    """The MLflow store of one project."""

    def __init__(self, folder: Path, project: str) -> None:
        import mlflow  # two seconds: only commands that use it pay

        # MLflow tells of migrations and registrations at INFO; what matters comes as an exception.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.folder = folder.resolve()
        self.project = project
        self.database = self.folder / "mlflow.db"
        self.uri = f"sqlite:///{quote(str(self.database))}"
        self._artifacts = (self.folder / "mlartifacts").as_uri()
        self._mlflow = mlflow

    @cached_property
    def _client(self) -> Any:
        """MLflow's client; the first use creates the database if it is not there."""
        return self._mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def run(self, name: str) -> Iterator[Any]:
        """Open a run; an exception marks it as failed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._reachable():
            self._open()
            experiment = self._client.get_experiment_by_name(self.project)
            if experiment is None:
                identity = self._client.create_experiment(self.project, artifact_location=self._artifacts)
            else:
                identity = experiment.experiment_id
            run = self._mlflow.start_run(experiment_id=identity, run_name=name)
        with run:
            yield run

    def log(
        self,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        digests: Mapping[str, str],
    ) -> None:
        """Record parameters, metrics, tags and the digests of the data files in the open run.

        Paths are no tags, because MLflow refuses most characters in the name of one: the file
        ``data_digests.json`` has them all, the tag ``data_digest`` is the digest of that.
        """
        self._mlflow.log_params({key: str(value)[:500] for key, value in parameters.items()})
        self._mlflow.log_metrics(dict(metrics))
        together = json.dumps(dict(sorted(digests.items())))
        self._mlflow.set_tags({**tags, "data_digest": hashlib.sha256(together.encode()).hexdigest()})
        self._mlflow.log_dict(dict(digests), "data_digests.json")

    def log_files(self, path: Path, under: str | None = None) -> None:
        """Attach a file, or the files of a folder, to the open run."""
        log = self._mlflow.log_artifacts if path.is_dir() else self._mlflow.log_artifact
        log(str(path), under)

    def log_json(self, value: Mapping[str, Any], name: str) -> None:
        """Attach plain values to the open run, as a JSON file."""
        self._mlflow.log_dict(dict(value), name)

    def attach(self, run_id: str, folder: Path, under: str) -> None:
        """Attach the files of a folder to a run that has ended."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # Not through the client: it remembers where a run's files were, also when the folder has moved.
        with self._reachable():
            get_artifact_repository(self._address(run_id)).log_artifacts(str(folder), under)

    def kept(self, run_id: str, name: str) -> Path | None:
        """Return the file that a run keeps under a name, or None if it keeps none of that name."""
        with self._reachable():
            path = Path(url2pathname(urlparse(self._address(run_id)).path)) / name
        return path if path.is_file() else None

    def _address(self, run_id: str) -> str:
        """Return where a run's files are now."""
        self._open()
        return str(self._client.get_run(run_id).info.artifact_uri)

    def register(self, bundle: Bundle, texts: Mapping[str, str], folder: Path, example: pd.DataFrame) -> str:
        """Log the bundle in the open run, register it and return its version."""
        mlflow = self._mlflow
        digest = bundle_digest(texts)
        with _quiet():
            info = mlflow.pyfunc.log_model(
                name="bundle",
                loader_module="pipeline.served",
                data_path=str(folder),
                signature=self._signature(example, ServedModel(bundle, digest).predict(example)),
                pip_requirements=["propense"],
                metadata={"bundle_digest": digest},
                registered_model_name=self.project,
            )
        version = str(info.registered_model_version)
        descriptor = _digest_of(self._files_of(version) / "MLmodel")
        for name, value in (("bundle_digest", digest), ("descriptor_digest", descriptor)):
            self._client.set_model_version_tag(self.project, version, name, value)
        return version

    def _signature(self, inputs: pd.DataFrame, outputs: pd.DataFrame) -> Any:
        """Return what MLflow checks: every feature must be there; categories may be text or categories.

        Inferred from examples it would take a feature as optional where an example lacks a value,
        and refuse categories.
        """
        types = self._mlflow.types
        columns = [
            types.ColSpec(types.schema.AnyType() if column.dtype == "category" else "double", str(name))
            for name, column in inputs.items()
        ]
        given = self._mlflow.models.infer_signature(model_output=outputs.drop(columns="reasons")).outputs
        return self._mlflow.models.ModelSignature(types.Schema(columns), given)

    def promote(self, version: str) -> None:
        """Make a version the champion: the one that scores from now on."""
        self._client.set_registered_model_alias(self.project, CHAMPION, version)

    def champion_version(self) -> str | None:
        """Return the champion's version, or None if there is no champion."""
        if not self.database.exists():
            return None
        with self._reachable():
            try:
                return str(self._client.get_model_version_by_alias(self.project, CHAMPION).version)
            except self._mlflow.exceptions.MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def champion(self) -> Registered:
        """Load the champion through MLflow, with its digests checked.

        Raises
        ------
        BundleError
            None is registered, or its files were altered.
        """
        number = self.champion_version()
        if number is None:
            raise BundleError(
                f"No model of the project '{self.project}' has been registered yet.",
                where=str(self.database),
                todo="train one with `propense train`, with the same --config and --output",
            )
        return self._load(number)

    def of_run(self, run_id: str) -> Registered:
        """Load the model that a run registered, with its digests checked.

        Raises
        ------
        BundleError
            There is no such run, it registered no model, or its files were altered.
        """
        found: list[Any] = []
        if self.database.exists():
            with self._reachable():
                found = self._client.search_model_versions(f"name = '{self.project}'")
        versions = {str(version.run_id): str(version.version) for version in found}
        if run_id not in versions:
            raise BundleError(
                f"No run '{run_id}' has registered a model of the project '{self.project}'.",
                where=str(self.database),
                allowed=f"one of {len(versions)} runs, the newest: {listed(list(versions)[:3])}"
                if versions
                else "",
                todo=nearest(run_id, versions) or "`mlflow ui` shows all runs",
            )
        return self._load(versions[run_id])

    def _load(self, number: str) -> Registered:
        """Load a version, with its digests checked."""
        with self._reachable():
            self._open()
            version = self._client.get_model_version(self.project, number)
            files = self._files_of(number)
        # MLflow imports what its descriptor names, so that is checked before MLflow reads it; the
        # manifest has the digests of all other files, which are checked as they are read.
        for file, tag in (("MLmodel", "descriptor_digest"), (f"data/bundle/{MANIFEST}", "bundle_digest")):
            if not (files / file).is_file() or _digest_of(files / file) != version.tags.get(tag):
                raise self._altered(files / file, number)
        with _quiet():
            served: ServedModel = self._mlflow.pyfunc.load_model(files.as_uri()).get_raw_model()
        return Registered(served.bundle, self.project, number, str(version.run_id))

    def _open(self) -> None:
        """Make this store MLflow's own, wherever the folder is now."""
        self._follow()
        self._mlflow.set_tracking_uri(self.uri)
        self._mlflow.set_registry_uri(self.uri)

    def _follow(self) -> None:
        """Correct MLflow's absolute addresses if the folder was moved, renamed or copied."""
        experiment = self._client.get_experiment_by_name(self.project) if self.database.exists() else None
        before = self._artifacts if experiment is None else experiment.artifact_location
        if before == self._artifacts or not before.startswith("file:"):
            return
        with closing(sqlite3.connect(self.database, timeout=30)) as store, store:
            for table, column in ADDRESSES:
                moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                length = len(before)
                values = (self._artifacts, length + 1, length, before)
                store.execute(f"{moved} WHERE substr({column}, 1, ?) = ?", values)

    def _files_of(self, version: str) -> Path:
        """Return the local folder of a registered version."""
        address = self._client.get_model_version_download_uri(self.project, version)
        return Path(url2pathname(urlparse(address).path))

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Turn what a database that cannot be used makes MLflow raise into a message for people."""
        from sqlalchemy.exc import SQLAlchemyError  # comes with MLflow

        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, self._mlflow.exceptions.MlflowException) as error:
            raise BundleError(
                f"MLflow's database cannot be used: {str(error).splitlines()[0]}",
                where=str(self.database),
                todo="restore it, or name another folder with --output and train again",
            ) from None

    def _altered(self, file: Path, version: str) -> BundleError:
        return BundleError(
            "The registered model is not what was trained.",
            where=f"{file}, model '{self.project}', version {version}",
            todo="restore it from a backup, or train again",
        )


def _digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
