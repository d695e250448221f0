"""The account of a training, ``train.json``: what other programs may rely on."""

from __future__ import annotations

from typing import Any

from models.bundle import Bundle, bundle_digest
from models.learning import Learned
from pipeline.config import Config
from pipeline.evaluating import cutoffs_account, ladder_account
from pipeline.versions import file_digests, versions
from pipeline.work import Work


def describe(work: Work, learned: Learned, found: dict[str, Any], doubts: dict[str, Any]) -> dict[str, Any]:
    """Return the account of a training.

    `found` is what the test window showed; `doubts` what hygiene and suspects change in the result, and
    what happens to margins as leads are replayed.
    """
    config, dataset, prepared = work.config, work.clean, work.prepared
    bundle, digests = learned.bundle, file_digests(config)
    return {
        **{key: bundle.about[key] for key in ("project", "target", "horizon", "split", "end_at_handover")},
        "made_at": f"{work.now.isoformat()}Z",
        "shipped": work.ship,
        "windows": prepared.summary,
        **found,
        "guard": {
            **work.judgement.to_dict(),
            "effects": doubts["suspects"],
            "replay": doubts["replay"],
        },
        "hygiene": {"measures": work.dataset.hygiene.to_dict(), "effects": doubts["hygiene"]},
        "backtest": _backtest(work.backtested, digests),
        "calibration": {"method": learned.calibration.method, "evidence": learned.calibration.evidence},
        "cutoffs": cutoffs_account(learned.predictions, bundle, prepared.test_wins),
        "ladder": ladder_account(learned),
        "bands": bundle.bands.to_dict(),
        "drift": learned.drift.to_dict(),
        # The address is taken as it is today too: a later form may have filled it in.
        "unchecked": [*dataset.unchecked, *(["e-mail domain"] if bundle.vocabulary.email else [])],
        "data": {
            "observed_until": f"{dataset.observed_until.isoformat()}Z" if dataset.observed_until else None,
            "observed_until_given": dataset.observed_given,
            "tables": {**dataset.counts},
            "digests": digests,
            "findings": dataset.findings.as_records(),
        },
        "model": _model(bundle, config),
        "versions": versions(),
        "stages": work.stages.records,
    }


def _backtest(found: dict[str, Any] | None, digests: dict[str, str]) -> dict[str, Any] | None:
    """Return the backtest in short, and whether it ran on the same data."""
    if found is None:
        return None
    same = found["data"]["digests"] == digests
    return {**found, "data": {"observed_until": found["data"]["observed_until"], "same": same}}


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
