"""What a lead, an MQL, a sales-qualified lead and so on are in this project, and how many there are."""

from __future__ import annotations

from typing import Any

import ibis
from ibis import _

from pipeline.report import policies
from pipeline.report.material import Material


def definitions(material: Material) -> dict[str, Any]:
    """Return for each word the numbers behind it, all as known at the moment of the report.

    A number is None where the data does not say. ``ever`` counts leads, each once, ``now`` open ones.
    """
    bundle, about = material.bundle, material.bundle.about
    cutoff, scores = bundle.bands.mql.to_dict(), material.scored.scores
    promise = cutoff["promise"]
    return {
        "target": about["target"],
        "stages": material.dataset.stages is not None,
        "lead": {"ever": _leads(material), "now": len(scores)},
        "mql": {
            "now": int((scores["band"] == "mql").sum()),
            "level": cutoff["level"],
            "asked": policies.asked(cutoff, material.config.project.currency),
            "outcome": policies.outcome(cutoff),
            "promise": None if promise is None else policies.promised(promise, about["horizon"]),
            "ever": _at_stage(material, "mql"),
        },
        "sql": {"ever": _at_stage(material, "sql")},
        "opportunity": {"ever": _at_stage(material, "opportunity")},
        "customer": {"ever": _ended(material, "won")},
        "disqualified": {"ever": _ended(material, "disqualified")},
    }


def _leads(material: Material) -> int:
    leads = material.dataset.tables.leads
    if material.config.flat:
        return int(leads.count().execute())
    return int(leads.filter(_.created_at < ibis.literal(material.as_of, "timestamp(6)")).count().execute())


def _at_stage(material: Material, stage: str) -> int | None:
    """Return how many leads were at a stage of the CRM at any time so far."""
    stages = material.dataset.stages
    if stages is None:
        return None
    before = _.at < ibis.literal(material.as_of, "timestamp(6)")
    return int(stages.filter((_.stage == stage) & before).lead_id.nunique().execute())


def _ended(material: Material, outcome: str) -> int | None:
    """Return how many leads ended this way so far; a flat table only says who was won."""
    outcomes, labels = material.dataset.outcomes, material.dataset.labels
    if outcomes is not None:
        before = _.closed_at < ibis.literal(material.as_of, "timestamp(6)")
        return int(outcomes.filter((_.outcome == outcome) & before).lead_id.nunique().execute())
    if labels is not None and outcome == "won":
        return int((labels.label == 1).sum().execute() or 0)
    return None
