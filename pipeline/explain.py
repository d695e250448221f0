"""``propense explain``: one lead's story."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
from ibis import _

from pipeline.config import Config
from pipeline.score import Scored, champion_of, one_lead, score_with
from pipeline.terminal import show_lead

LAST = 10


def explain(
    config: Config,
    as_of: datetime,
    now: datetime,
    folder: Path,
    lead_id: str,
    *,
    leads_file: Path | None = None,
) -> None:
    """Score the leads open at `as_of` (or those of a file) and print one lead's story.

    Raises
    ------
    DataError
        The lead was not open then, or there is none of that id.
    """
    champion = champion_of(folder, config)
    scored = score_with(champion, config, as_of, now, leads_file=leads_file)
    lead = one_lead(scored, lead_id)
    bundle = champion.bundle
    history = last_activities(scored, lead_id, as_of)
    show_lead(lead, history, bundle.classifier.base_value_, bundle.about["split"])


def last_activities(scored: Scored, lead_id: str, as_of: datetime) -> pd.DataFrame:
    """Return the last activities of a lead that were known before `as_of`, newest first."""
    seen = scored.dataset.tables.activities.filter((_.lead_id == lead_id) & (_.known_at < as_of))
    return seen.order_by([_.occurred_at.desc(), _.kind, _.asset]).limit(LAST).to_pandas()
