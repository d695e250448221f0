"""``propense explain``: one lead's story."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
from ibis import _

from pipeline.config import Config
from pipeline.guard.replay import replay_lead
from pipeline.score import Scored, champion_of, one_lead, score_with
from pipeline.terminal import show_lead, show_replay

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
    person = scored.survivor_of.get(lead_id, lead_id)
    history = last_activities(scored, person, as_of)
    show_lead(lead, history, bundle.classifier.base_value_, bundle.about["split"])
    if not config.flat:
        show_replay(replay_lead(scored.dataset, bundle, person, scoring_dates(config, as_of)))


def scoring_dates(config: Config, as_of: datetime) -> list[datetime]:
    """Return the last dates of the scoring calendar that ends at `as_of`."""
    return [as_of - place * config.snapshots.scoring_every for place in reversed(range(LAST))]


def last_activities(scored: Scored, lead_id: str, as_of: datetime) -> pd.DataFrame:
    """Return the last activities of a lead that were known before `as_of`, newest first."""
    seen = scored.dataset.tables.activities.filter((_.lead_id == lead_id) & (_.known_at < as_of))
    return seen.order_by([_.occurred_at.desc(), _.kind, _.asset]).limit(LAST).to_pandas()
