"""The main job's first half: from past leads to a registered model and an honest account of it."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from models.bundle import Bundle, bundle_digest
from models.learning import Choices, Examples, Learned, learn
from pipeline import featuring
from pipeline.config import Config, CutoffConfig
from pipeline.evaluating import cutoffs_account, evaluate_test, flat_metrics
from pipeline.figures import draw_all
from pipeline.files import write_parquet
from pipeline.preparation import Prepared, prepare
from pipeline.progress import Stages
from pipeline.registry import Registry
from pipeline.results import keep, new_results, recover
from pipeline.source.dataset import Dataset, load
from pipeline.windows import check_enough

PREDICTIONS = pa.schema(
    [
        ("lead_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("part", pa.string()),
        ("label", pa.int8()),
        *((name, pa.float64()) for name in ("margin", "propensity", "logistic", "base_rate", "rules")),
        ("age", pa.string()),
        ("points", pa.float64()),
        ("new_lead", pa.bool_()),
        ("propensity_low", pa.float64()),
        ("propensity_high", pa.float64()),
    ]
)
VERSIONS = ("propense", "scikit-learn", "lightgbm", "pandas", "mlflow", "shap", "duckdb", "ibis-framework")


@dataclass(frozen=True)
class Trained:
    """What a training left behind: the account in ``train.json``, the bundle and its version."""

    account: dict[str, Any]
    bundle: Bundle
    version: str
    run_id: str
    folder: Path


def train(config: Config, now: datetime, folder: Path, tell: Callable[[str], None] | None = None) -> Trained:
    """Train on the past, evaluate on the untouched test window, register, and write the account.

    Writes ``bundle/``, ``figures/``, ``test_predictions.parquet`` and, last, ``train.json`` into
    `folder`: all of them or, if it fails or is interrupted, none.

    Raises
    ------
    PropenseError
        The data is wrong (nothing is trained), or cannot support the job.
    """
    stages = Stages(tell)
    with stages.stage("source", "reading the tables"):
        dataset = load(config, now)
        dataset.findings.raise_errors()
    with stages.stage("snapshots", "taking snapshots"):
        prepared = prepare(dataset)
        check_enough(prepared.summary)
    registry = Registry(folder, config.project.name)
    recover(folder, registry)
    with new_results(folder) as staged:
        return _train(Work(config, dataset, prepared, stages, registry), staged, folder)


@dataclass(frozen=True)
class Work:
    """What a training starts from once the data is known to support it."""

    config: Config
    dataset: Dataset
    prepared: Prepared
    stages: Stages
    registry: Registry


def _train(work: Work, staged: Path, folder: Path) -> Trained:
    config, dataset, prepared, stages = work.config, work.dataset, work.prepared, work.stages
    with stages.stage("features", "computing features"):
        vocabulary = featuring.learn_vocabulary(dataset, prepared, featuring.settings(config))
        features = featuring.features_of(dataset, prepared.snapshots, vocabulary)
        points = featuring.points_of(dataset, prepared.snapshots, config)
    rows = len(prepared.rows("train", "stopping"))
    with stages.stage("model", f"training on {rows:,} snapshots, {features.shape[1]} features"):
        examples = examples_of(prepared, features, points)
        learned = learn(examples, vocabulary, featuring.about(config), choices(config))
    with stages.stage("evaluation", "evaluating on the test window"):
        found = evaluate_test(
            learned.predictions, learned.bundle, config.decision.rules_mql_at, config.model.seed
        )
    account = describe(work, learned, found)
    with stages.stage("registry", "drawing figures and registering the model"):
        _write(staged, learned, features, account["split"])
        version, run_id = _register(work.registry, staged, learned, features, account)
    account["stages"] = stages.records
    account["model"] |= {"version": version, "run_id": run_id}
    keep(staged, folder, work.registry, account)
    return Trained(account, learned.bundle, version, run_id, folder)


def examples_of(prepared: Prepared, features: pd.DataFrame, points: pd.Series | None) -> Examples:
    """Return what `models.learning.learn` learns from."""
    bounds = prepared.bounds
    window = (bounds.decision, bounds.build_until) if bounds else None
    return Examples(features, prepared.keys, points, prepared.decision_share, window)


def choices(config: Config) -> Choices:
    """Return what the configuration decides about the model."""
    return Choices(
        seed=config.model.seed,
        members=config.model.members,
        cutoffs=[_policy(cutoff) for cutoff in config.cutoffs],
        nurture=config.decision.nurture_from,
        sales_ready=config.decision.sales_ready_from,
    )


def _policy(cutoff: CutoffConfig) -> tuple[str, dict[str, Any]]:
    parameters = {
        "capacity": {"per_week": cutoff.per_week},
        "value": {"cost": cutoff.contact_cost, "value": cutoff.won_value},
        "precision": {"at_least": cutoff.at_least},
        "recall": {"at_least": cutoff.at_least},
        "manual": {"propensity": cutoff.level},
    }[cutoff.policy]
    return cutoff.policy, parameters


def describe(work: Work, learned: Learned, found: dict[str, Any]) -> dict[str, Any]:
    """Return the account of a training: what other programs may rely on in ``train.json``."""
    config, dataset, prepared = work.config, work.dataset, work.prepared
    bundle = learned.bundle
    return {
        **{key: bundle.about[key] for key in ("project", "target", "horizon", "split", "end_at_handover")},
        "windows": prepared.summary,
        **found,
        "calibration": {"method": learned.calibration.method, "evidence": learned.calibration.evidence},
        "cutoffs": cutoffs_account(learned.predictions, bundle),
        "bands": bundle.bands.to_dict(),
        # The address is taken as it is today too: a later form may have filled it in.
        "unchecked": [*dataset.unchecked, *(["e-mail domain"] if bundle.vocabulary.email else [])],
        "data": {
            "observed_until": f"{dataset.observed_until.isoformat()}Z" if dataset.observed_until else None,
            "observed_until_given": dataset.observed_given,
            "tables": {**dataset.counts},
            "digests": file_digests(config),
            "findings": dataset.findings.as_records(),
        },
        "model": {
            "name": config.project.name,
            "features": int(bundle.classifier.n_features_in_),
            "wins": int(bundle.classifier.wins_),
            "rounds": int(bundle.classifier.rounds_),
            "members": config.model.members,
            "seed": config.model.seed,
            "base_value": bundle.classifier.base_value_,
            "settings": bundle.classifier.settings_.to_dict(),
            "bundle_digest": bundle_digest(bundle.to_texts()),
        },
        "versions": versions(),
        "stages": work.stages.records,
    }


def _write(staged: Path, learned: Learned, features: pd.DataFrame, split: str) -> None:
    """Write bundle, figures and predictions to where they wait."""
    test = _test_rows(learned)
    (staged / "bundle").mkdir()
    for name, text in learned.bundle.to_texts().items():
        (staged / "bundle" / name).write_bytes(text.encode())
    (staged / "figures").mkdir()
    of_test = features.loc[test.index]
    contributions = learned.bundle.classifier.contributions(of_test)
    draw_all(test, contributions, of_test, split, staged / "figures")
    write_parquet(staged / "test_predictions.parquet", learned.predictions, PREDICTIONS)


def _register(
    registry: Registry, staged: Path, learned: Learned, features: pd.DataFrame, account: dict[str, Any]
) -> tuple[str, str]:
    """Record the run and register the model; return its version and the run's id."""
    bundle, model = learned.bundle, account["model"]
    example = features.loc[_test_rows(learned).index].head(5)
    parameters = {
        **model["settings"],
        **{name: account[name] for name in ("split", "horizon")},
        **{name: model[name] for name in ("rounds", "members", "seed")},
        "calibration": account["calibration"]["method"],
    }
    tags = {"git_commit": account["versions"]["git_commit"] or "unknown"}
    with registry.run("train") as run:
        registry.log(parameters, flat_metrics(account), tags, account["data"]["digests"])
        for name in ("figures", "bundle"):
            registry.log_files(staged / name, name)
        version = registry.register(bundle, bundle.to_texts(), staged / "bundle", example)
    return version, run.info.run_id


def _test_rows(learned: Learned) -> pd.DataFrame:
    return learned.predictions[learned.predictions["part"] == "test"]


def file_digests(config: Config) -> dict[str, str]:
    """Return the SHA-256 of every data file, by its path in the configuration."""
    tables = [config.leads, *config.activities, *config.entities, *config.history]
    paths = [t.table for t in tables]
    paths += [t.table for t in (config.outcomes, config.stages) if t is not None and t.table]
    digests = {}
    for path in dict.fromkeys(paths):
        whole = config.root / path
        for file in sorted(f for f in whole.rglob("*") if f.is_file()) if whole.is_dir() else [whole]:
            name = path if file == whole else f"{path}/{file.relative_to(whole)}"
            with file.open("rb") as stream:
                digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def versions() -> dict[str, str | None]:
    """Return the versions that a result depends on, and the commit of this code if it is known."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    found |= {name: metadata.version(name) for name in VERSIONS}
    return found | {"git_commit": _git_commit()}


def _git_commit() -> str | None:
    here = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
