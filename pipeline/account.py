"""The account of a training, ``train.json``: what other programs may rely on."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle import Bundle, bundle_digest
from models.learning import Learned
from pipeline.config import Config
from pipeline.evaluating import cutoffs_account

if TYPE_CHECKING:
    from pipeline.train import Work

VERSIONS = ("propense", "scikit-learn", "lightgbm", "pandas", "mlflow", "shap", "duckdb", "ibis-framework")


def describe(work: Work, learned: Learned, found: dict[str, Any], doubts: dict[str, Any]) -> dict[str, Any]:
    """Return the account of a training.

    `found` is what the test window showed; `doubts` what hygiene and suspects change in the result, and
    what happens to margins as leads are replayed.
    """
    config, dataset, prepared = work.config, work.clean, work.prepared
    bundle = learned.bundle
    return {
        **{key: bundle.about[key] for key in ("project", "target", "horizon", "split", "end_at_handover")},
        "shipped": work.ship,
        "windows": prepared.summary,
        **found,
        "guard": {
            **work.judgement.to_dict(),
            "effects": doubts["suspects"],
            "replay": doubts["replay"],
        },
        "hygiene": {"measures": work.dataset.hygiene.to_dict(), "effects": doubts["hygiene"]},
        "backtest": work.backtested,
        "calibration": {"method": learned.calibration.method, "evidence": learned.calibration.evidence},
        "cutoffs": cutoffs_account(learned.predictions, bundle),
        "bands": bundle.bands.to_dict(),
        "drift": learned.drift.to_dict(),
        # The address is taken as it is today too: a later form may have filled it in.
        "unchecked": [*dataset.unchecked, *(["e-mail domain"] if bundle.vocabulary.email else [])],
        "data": {
            "observed_until": f"{dataset.observed_until.isoformat()}Z" if dataset.observed_until else None,
            "observed_until_given": dataset.observed_given,
            "tables": {**dataset.counts},
            "digests": file_digests(config),
            "findings": dataset.findings.as_records(),
        },
        "model": _model(bundle, config),
        "versions": versions(),
        "stages": work.stages.records,
    }


def _model(bundle: Bundle, config: Config) -> dict[str, Any]:
    return {
        "name": config.project.name,
        "features": int(bundle.classifier.n_features_in_),
        "wins": int(bundle.classifier.wins_),
        "rounds": int(bundle.classifier.rounds_),
        "members": config.model.members,
        "seed": config.model.seed,
        "base_value": bundle.classifier.base_value_,
        "settings": bundle.classifier.settings_.to_dict(),
        "bundle_digest": bundle_digest(bundle.to_texts()),
    }


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
