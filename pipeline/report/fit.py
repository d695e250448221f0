"""Who leads were at any moment, without what they did: cheap enough for every moment there was."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from features.catalogue import catalogue
from features.vocabulary import Vocabulary
from pipeline import featuring
from pipeline.report.material import canonical
from pipeline.source.dataset import Dataset


def fit_features(
    dataset: Dataset, rows: pd.DataFrame, vocabulary: Vocabulary, without: str | None = None
) -> pd.DataFrame:
    """Return the features of the family fit, as known strictly before each row's moment.

    Parameters
    ----------
    rows
        (n,) with ``person`` (a lead_id) and ``as_of`` (naive UTC, NaT without times).
    without
        An attribute to leave out: what it says is what a lift of its values is measured in.

    Returns
    -------
    (n, p) with the index of `rows`.
    """
    idle = dataset.engine.keep("no activities", dataset.tables.activities.limit(0))
    still = replace(dataset, tables=replace(dataset.tables, activities=idle))
    kept = replace(vocabulary, kinds=(), pooled=False, channels=())
    found = featuring.features_of(still, canonical(still, rows), kept)
    concept = None if without is None else f"attribute.{without}"
    names = [f.name for f in catalogue(kept) if f.family == "fit" and f.concept != concept]
    return found[names].set_axis(rows.index, axis=0)
