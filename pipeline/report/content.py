"""The content of a report: every section's findings, independent of language and ready for JSON."""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import Any

from pipeline.files import finite
from pipeline.report.material import Material

# Of the content: a page is made from stored content of this format only.
FORMAT = 1
# In the order of the page.
SECTIONS = ("answer", "cutoff", "concepts", "sources", "grid", "lost", "today", "trust", "scorecard")


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def content(material: Material) -> dict[str, Any]:
    """Return what the report says; `page.render` puts it on a page, in one language."""
    account, about = material.account, material.bundle.about
    found = {
        name: importlib.import_module(f"pipeline.report.sections.{name}").found(material) for name in SECTIONS
    }
    return finite(
        {
            "about": {
                "format": FORMAT,
                "project": about["project"],
                "target": about["target"],
                "horizon": about["horizon"],
                "split": about["split"],
                "shipped": account["shipped"],
                "as_of": f"{material.as_of.isoformat()}Z",
                "currency": material.config.project.currency,
                "model_version": material.model.version,
                "run_id": material.model.run_id,
                "observed_until": _stamp(material.observed_until),
                "trained_until": account["data"]["observed_until"],
                "versions": account["versions"],
            },
            **found,
        }
    )
