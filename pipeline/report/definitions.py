"""What a lead, an MQL, a sales-qualified lead and so on are in this project, and how many there are."""

from __future__ import annotations

from typing import Any

import ibis
from ibis import _

from pipeline.report import policies
from pipeline.report.endings import Endings
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
        "customer": {"ever": _won(material)},
        "disqualified": _disqualified(material),
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


def _won(material: Material) -> int | None:
    """Return how many leads were won so far."""
    outcomes, labels = material.dataset.outcomes, material.dataset.labels
    if outcomes is not None:
        before = _.closed_at < ibis.literal(material.as_of, "timestamp(6)")
        return int(outcomes.filter((_.outcome == "won") & before).lead_id.nunique().execute())
    return None if labels is None else int((labels.label == 1).sum().execute() or 0)


def _disqualified(material: Material) -> dict[str, int | None]:
    """Return how many leads are disqualified so far, and how many of these as a test, spam or a duplicate.

    They are counted as in the section on lost leads; a flat table does not say who they are.
    """
    if material.dataset.outcomes is None:
        return {"ever": None, "set_aside": None}
    ends = Endings.of(material)
    others = int((ends.lost["outcome"] == "disqualified").sum())
    return {"ever": others + ends.set_aside, "set_aside": ends.set_aside}
