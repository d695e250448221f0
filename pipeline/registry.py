"""MLflow: one run a training, the registered model, and its champion.

Everything lives in the project's own output folder: ``mlflow.db`` (SQLite) and ``mlartifacts/``.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import BundleError
from models.bundle import Bundle, bundle_digest
from pipeline.served import ServedModel

# Both are read when MLflow is imported: no telemetry, and a store that can only hold text models.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

CHAMPION = "champion"


@dataclass(frozen=True)
class Registered:
    """A model in the registry."""

    bundle: Bundle
    name: str
    version: str
    run_id: str


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's hints on examples, integers and pip from people who can do nothing about them."""
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
        self.uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        self._mlflow = mlflow
        self._client = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def run(self, name: str) -> Iterator[Any]:
        """Open a run; an exception marks it as failed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mlflow = self._mlflow
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        experiment = self._client.get_experiment_by_name(self.project)
        if experiment is None:
            artifacts = (self.folder / "mlartifacts").as_uri()
            identity = self._client.create_experiment(self.project, artifact_location=artifacts)
        else:
            identity = experiment.experiment_id
        with mlflow.start_run(experiment_id=identity, run_name=name) as run:
            yield run

    def log(
        self, parameters: Mapping[str, Any], metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Record parameters, metrics and tags in the open run."""
        self._mlflow.log_params({key: str(value)[:500] for key, value in parameters.items()})
        self._mlflow.log_metrics(dict(metrics))
        self._mlflow.set_tags(dict(tags))

    def log_files(self, folder: Path, under: str | None = None) -> None:
        """Attach the files of a folder to the open run."""
        self._mlflow.log_artifacts(str(folder), under)

    def register(self, bundle: Bundle, texts: Mapping[str, str], folder: Path, example: pd.DataFrame) -> str:
        """Log the bundle in the open run, register it and return its version."""
        mlflow = self._mlflow
        digest = bundle_digest(texts)
        outputs = ServedModel(bundle, digest).predict(example).drop(columns="reasons")
        inputs = example.astype(dict.fromkeys(example.select_dtypes("category"), "str"))
        with _quiet():
            info = mlflow.pyfunc.log_model(
                name="bundle",
                loader_module="pipeline.served",
                data_path=str(folder),
                signature=mlflow.models.infer_signature(inputs, outputs),
                pip_requirements=["propense"],
                metadata={"bundle_digest": digest},
                registered_model_name=self.project,
            )
        return str(info.registered_model_version)

    def promote(self, version: str) -> None:
        """Make a version the champion: the one that scores from now on."""
        self._client.set_registered_model_alias(self.project, CHAMPION, version)

    def champion(self) -> Registered:
        """Load the champion through MLflow, with its digests checked.

        Raises
        ------
        BundleError
            None is registered, or its files were altered.
        """
        if not (self.folder / "mlflow.db").exists():
            raise self._nothing()
        try:
            version = self._client.get_model_version_by_alias(self.project, CHAMPION)
        except self._mlflow.exceptions.MlflowException:
            raise self._nothing() from None
        self._mlflow.set_tracking_uri(self.uri)
        self._mlflow.set_registry_uri(self.uri)
        model = self._mlflow.pyfunc.load_model(f"models:/{self.project}@{CHAMPION}")
        expected = (model.metadata.metadata or {}).get("bundle_digest")
        served: ServedModel = model.get_raw_model()
        if served.digest != expected:
            raise BundleError(
                "The registered bundle's digest is not the one that was registered.",
                where=f"model '{self.project}', version {version.version}",
                todo="train again, or point the champion at an earlier version",
            )
        return Registered(served.bundle, self.project, str(version.version), str(version.run_id))

    def _nothing(self) -> BundleError:
        return BundleError(
            f"No model of the project '{self.project}' has been registered yet.",
            where=str(self.folder / "mlflow.db"),
            todo="train one with `propense train`, with the same --config and --output",
        )
