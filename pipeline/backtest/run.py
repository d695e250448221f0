"""`propense backtest`: the origin rolls through the history, folds in parallel, the account at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

from features.errors import listed
from pipeline import featuring
from pipeline.backtest.account import PREDICTIONS, account_of
from pipeline.backtest.folds import Fold, Plan, plan
from pipeline.backtest.one import run_fold
from pipeline.backtest.store import Store, procedure
from pipeline.config import SHOWN_ONLY, Config
from pipeline.files import finite, locked, publish, staging, sweep, uninterrupted, write_json, write_parquet
from pipeline.guarding import guarded
from pipeline.learning_inputs import choices, examples_of
from pipeline.preparation import prepare
from pipeline.registry import Registry
from pipeline.source.dataset import Dataset, load
from pipeline.versions import code_digest, file_digests, versions

ACCOUNT = "backtest.json"
ROWS = "backtest_predictions.parquet"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """What a backtest works on: the dataset as it was read, and without what the leak guard left out."""

    config: Config
    dataset: Dataset
    clean: Dataset
    plan: Plan
    store: Store
    tell: Tell

    def named(self, fold: Fold) -> str:
        """Return how a fold is told of."""
        place = self.plan.folds.index(fold) + 1
        return f"fold {place} of {len(self.plan.folds)}, {fold.name}"


def backtest(
    config: Config,
    now: datetime,
    folder: Path,
    tell: Tell | None = None,
    jobs: int = 2,
) -> dict[str, Any]:
    """Judge the procedure at many moments of the past, and write the account.

    Writes ``backtest_predictions.parquet`` and, last, ``backtest.json`` into `folder`: both, or, if it
    fails or is stopped, neither. Finished folds stay in ``backtest/`` and are not computed again as
    long as data, configuration and version are the same.

    Parameters
    ----------
    config, now
        The project, and the moment later than which data is a mistake (naive UTC).
    jobs
        Folds computed at a time, each in a process of its own if more than one. It changes no result.

    Raises
    ------
    UnsupportedData
        There is no time order, or no two origins with enough past to train on.
    """
    tell = tell or (lambda message: None)
    tell("reading the tables")
    dataset = load(config, now)
    dataset.findings.raise_errors()
    tell("choosing the origins")
    clean, planned = _planned(dataset, tell)
    digests, made_by = file_digests(config), versions()
    identity = identity_of(clean, planned) | {"data": digests, "versions": made_by, "code": code_digest()}
    store = Store(folder, identity)
    _run_folds(Work(config, dataset, clean, planned, store, tell), jobs)
    tell("comparing the policies")
    found = [store.get(fold.name) for fold in planned.folds]
    account, rows = account_of(dataset, planned, [a for a, _ in found], pd.concat([r for _, r in found]))
    account |= {
        "procedure": procedure(config),
        "data": {"digests": digests, "observed_until": _stamp(dataset.observed_until)},
        "versions": made_by,
    }
    return _keep(config, folder, account, rows)


def _planned(dataset: Dataset, tell: Tell) -> tuple[Dataset, Plan]:
    """Return the dataset without what the leak guard leaves out today, and the folds.

    The guard needs leads whose outcome is still open, which the past no longer has; its verdicts only ever
    remove columns.
    """
    if dataset.config.split == "random":
        return dataset, plan(dataset)  # which says why there is nothing to roll through
    tell("looking for leaks")
    clean, _, judgement = guarded(dataset, prepare(dataset))
    planned = plan(clean)
    gone = sorted(judgement.attributes_left_out() | judgement.kinds_left_out())
    if not gone:
        return clean, planned
    note = f"In every fold the leak guard's verdicts of today hold: {listed(map(repr, gone))} left out."
    return clean, replace(planned, notes=[*planned.notes, note])


def identity_of(dataset: Dataset, planned: Plan) -> dict[str, Any]:
    """Return what makes the folds of two backtests the same, apart from files and versions."""
    return {
        "config": dataset.config.model_dump(mode="json", exclude=SHOWN_ONLY),
        "attributes": [(a.name, a.type, a.checked) for a in dataset.tables.attributes],
        "observed_until": _stamp(dataset.observed_until),
        "folds": [(fold.name, len(fold.prepared.keys), len(fold.nights)) for fold in planned.folds],
    }


def _run_folds(work: Work, jobs: int) -> None:
    """Compute the folds that are not finished, and tell of each as it is done."""
    missing = [fold for fold in work.plan.folds if not work.store.has(fold.name)]
    finished = len(work.plan.folds) - len(missing)
    if finished:
        work.tell(f"{finished} of {len(work.plan.folds)} folds are finished from before")
    if not missing:
        return
    jobs = max(1, min(jobs, len(missing)))
    # Dispatched as they are needed, so that no more folds than jobs are in memory.
    parallel = Parallel(
        n_jobs=jobs, pre_dispatch=jobs, batch_size=1, max_nbytes=None, return_as="generator_unordered"
    )
    by_name = {fold.name: fold for fold in missing}
    for account, rows in parallel(delayed(run_fold)(task) for task in _tasks(work, missing, jobs)):
        work.store.put(account["origin"], account, rows)
        work.tell(_said(work.named(by_name[account["origin"]]), account))


def _tasks(work: Work, folds: list[Fold], jobs: int) -> Iterator[dict[str, Any]]:
    """Yield what each fold needs; features are computed once, with what the first fold's past knew."""
    config, dataset, planned = work.config, work.clean, work.plan
    work.tell(f"computing features of {len(planned.used):,} snapshots")
    vocabulary = featuring.learn_vocabulary(dataset, planned.folds[0].prepared, featuring.settings(config))
    snapshots = featuring.select(dataset, planned.snapshots, planned.used)
    features = featuring.features_of(dataset, snapshots, vocabulary)
    # The user's points are theirs: they may count what the guard leaves out.
    points = featuring.points_of(work.dataset, snapshots, config)
    by_rule = featuring.points_by_rule(work.dataset, snapshots, config)
    chosen = asdict(choices(config)) | {"threads": max(1, (os.cpu_count() or 1) // jobs)}
    for fold in folds:
        index = fold.prepared.keys.index
        of_fold = None if points is None else points.loc[index]
        examples = examples_of(fold.prepared, features.loc[index], of_fold, config)
        yield {
            "name": fold.name,
            "examples": {field.name: getattr(examples, field.name) for field in fields(examples)},
            "choices": chosen,
            "vocabulary": vocabulary.to_dict(),
            "about": featuring.about(config),
            "summary": fold.prepared.summary,
            "by_rule": None if by_rule is None else by_rule.loc[index],
            "order": planned.order.loc[index],
            "nights": fold.nights,
            "apart": jobs > 1,
        }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def _said(name: str, account: dict[str, Any]) -> str:
    # Who becomes an MQL is known once all folds are: who was one before is none again.
    auc, promise = account["ranking"]["auc"]["propense"]["value"], account["cutoff"]["promise"]
    told = f"{name}: " + ("" if auc is None else f"AUC {auc:.2f}, ")
    return told + (f"{promise['at_least']:.0%} promised" if promise else "nothing promised")


def _keep(config: Config, folder: Path, account: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """Record the run, and put both files in their places."""
    sweep(folder)
    registry = Registry(folder, config.project.name)
    with staging(folder, "backtest") as staged:
        write_parquet(staged / ROWS, rows, PREDICTIONS)
        record = staged / ".record"
        record.mkdir()
        with registry.run("backtest") as run:
            account["run_id"] = run.info.run_id
            parameters = {"folds": len(account["folds"]), "procedure": account["procedure"]}
            tags = {"git_commit": account["versions"]["git_commit"] or "unknown"}
            registry.log(parameters, _metrics(account), tags, account["data"]["digests"])
            write_json(record / ACCOUNT, account)
            registry.log_files(record)
        (record / ACCOUNT).replace(staged / ACCOUNT)
        with uninterrupted(), locked(folder):
            publish(staged, folder, ACCOUNT)
    found: dict[str, Any] = finite(account)
    return found


def _metrics(account: dict[str, Any]) -> dict[str, float]:
    """Return the overall numbers that MLflow keeps."""
    overall = account["overall"]
    found = {f"backtest_{name}": overall[name] for name in ("mqls", "customers", "violations")}
    for metric, models in overall["ranking"].items():
        found[f"backtest_{metric}"] = models["propense"]["value"]
    found["backtest_precision"] = overall["realised"]["value"]
    for name in ("more_customers", "fewer_calls"):
        found[f"backtest_{name}"] = account["answer"][name]["value"] if account["answer"] else None
    return {name: float(value) for name, value in found.items() if value is not None}
