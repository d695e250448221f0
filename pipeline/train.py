"""The main job's first half: from past leads to a registered model and an honest account of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from models.bundle import Bundle
from models.learning import Learned, learn
from pipeline import featuring
from pipeline.account import describe
from pipeline.backtest.latest import ACCOUNT as BACKTEST
from pipeline.backtest.latest import latest, no_backtest
from pipeline.config import Config
from pipeline.effects import measured_effects
from pipeline.evaluating import evaluated, flat_metrics
from pipeline.figures import draw_all
from pipeline.files import finite, write_parquet
from pipeline.guard.replay import replay
from pipeline.guarding import guarded
from pipeline.learning_inputs import choices, examples_of
from pipeline.preparation import prepare
from pipeline.progress import Stages
from pipeline.registry import Registry
from pipeline.results import ACCOUNT, KEPT, keep, new_results, recover
from pipeline.source.dataset import load
from pipeline.windows import check_enough
from pipeline.work import Work

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


@dataclass(frozen=True)
class Trained:
    """What a training left behind: the account in ``train.json``, the bundle and its version."""

    account: dict[str, Any]
    bundle: Bundle
    version: str
    run_id: str
    folder: Path


def train(
    config: Config,
    now: datetime,
    folder: Path,
    tell: Callable[[str], None] | None = None,
    *,
    ship: bool = False,
) -> Trained:
    """Train on the past, evaluate on the untouched test window, register, and write the account.

    Writes ``bundle/``, ``figures/``, ``test_predictions.parquet`` and, last, ``train.json`` into
    `folder`: all of them or, if it fails or is interrupted, none.

    To `ship`, the windows are moved up to now and none is left for the test: the numbers are then those
    of the procedure, from the backtest that ran before.

    Raises
    ------
    PropenseError
        The data is wrong (nothing is trained), or cannot support the job; to `ship`, there is no backtest
        of this configuration.
    """
    backtested = latest(folder, config)
    if ship and backtested is None:
        raise no_backtest(folder, config)
    stages = Stages(tell)
    with stages.stage("source", "reading the tables"):
        dataset = load(config, now)
        dataset.findings.raise_errors()
    with stages.stage("snapshots", "taking snapshots"):
        prepared = prepare(dataset, ship=ship)
        check_enough(prepared.summary, ship=ship)
    with stages.stage("guard", "looking for leaks"):
        clean, prepared, judgement = guarded(dataset, prepared, ship=ship)
        check_enough(prepared.summary, ship=ship)
    registry = Registry(folder, config.project.name)
    recover(folder, registry)
    work = Work(config, dataset, clean, prepared, judgement, backtested, stages, registry, now, ship)
    with new_results(folder) as staged:
        return _train(work, staged, folder)


def _train(work: Work, staged: Path, folder: Path) -> Trained:
    config, dataset, prepared, stages = work.config, work.clean, work.prepared, work.stages
    with stages.stage("features", "computing features"):
        vocabulary = featuring.learn_vocabulary(dataset, prepared, featuring.settings(config))
        features = featuring.features_of(dataset, prepared.snapshots, vocabulary)
        # The user's points are theirs: they may count what the guard leaves out.
        points = featuring.points_of(work.dataset, prepared.snapshots, config)
    rows = len(prepared.rows("train", "stopping"))
    with stages.stage("model", f"training on {rows:,} snapshots, {features.shape[1]} features"):
        learned = learn(
            examples_of(prepared, features, points, config), vocabulary, work.about, choices(config)
        )
    said = "evaluating" if work.ship else "evaluating on the test window"
    with stages.stage("evaluation", said):
        found = evaluated(learned, config, ship=work.ship)
    with stages.stage("doubts", "replaying leads, measuring what hygiene and suspects change"):
        doubts = measured_effects(work.dataset, dataset, prepared, work.judgement, work.now)
        replayed = replay(dataset, prepared, learned.bundle)
        doubts["replay"] = replayed.to_dict() if replayed else None
    account = describe(work, learned, found, doubts)
    with stages.stage("registry", "drawing figures and registering the model"):
        _write(staged, learned, features, account["split"])
        version, run_id = _register(work, staged, learned, features, account, folder)
    account["stages"] = stages.records
    account["model"] |= {"version": version, "run_id": run_id}
    keep(staged, folder, work.registry, account)
    return Trained(account, learned.bundle, version, run_id, folder)


def _write(staged: Path, learned: Learned, features: pd.DataFrame, split: str) -> None:
    """Write bundle, figures and predictions to where they wait."""
    shown = shown_rows(learned)
    (staged / "bundle").mkdir()
    for name, text in learned.bundle.to_texts().items():
        (staged / "bundle" / name).write_bytes(text.encode())
    (staged / "figures").mkdir()
    of_shown = features.loc[shown.index]
    contributions = learned.bundle.classifier.contributions(of_shown)
    said = "shipped" if learned.bundle.about["shipped"] else split
    draw_all(shown, contributions, of_shown, said, staged / "figures")
    write_parquet(staged / "test_predictions.parquet", learned.predictions, PREDICTIONS)


def _register(
    work: Work,
    staged: Path,
    learned: Learned,
    features: pd.DataFrame,
    account: dict[str, Any],
    folder: Path,
) -> tuple[str, str]:
    """Record the run and register the model; return its version and the run's id.

    The run keeps all that its report can be made of again: account, predictions and backtest.
    """
    registry, bundle, model = work.registry, learned.bundle, account["model"]
    example = features.loc[shown_rows(learned).index].head(5)
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
        registry.log_json(finite(account), f"{KEPT}/{ACCOUNT}")
        registry.log_files(staged / "test_predictions.parquet", KEPT)
        if work.backtested is not None:
            registry.log_files(folder / BACKTEST, KEPT)
        version = registry.register(bundle, bundle.to_texts(), staged / "bundle", example)
    return version, run.info.run_id


def shown_rows(learned: Learned) -> pd.DataFrame:
    """Return the predictions that figures show: the test window's, or the decision window's to ship."""
    part = "decision" if learned.bundle.about["shipped"] else "test"
    return learned.predictions[learned.predictions["part"] == part]
