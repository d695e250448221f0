"""Feature tables drawn from a known log-odds, to test models and registry without files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from features.catalogue import catalogue
from features.language import Text
from features.settings import FeatureSettings
from features.tables import Attribute
from features.vocabulary import Kind, KnownAttribute, Vocabulary
from models.learning import Choices, Examples, Learned, learn

START = pd.Timestamp("2025-01-01")
WINDOWS = {"train": 0, "stopping": 90, "calibration": 110, "decision": 150, "test": 220}
SHARES = [0.45, 0.1, 0.17, 0.14, 0.14]
ABOUT = {
    "project": "synthetic", "target": "won", "horizon": "30d", "split": "time", "timezone": "UTC",
    "end_at_handover": True,
}  # fmt: skip


def vocabulary() -> Vocabulary:
    """Two kinds of activity and two attributes, with names as users have them."""
    return Vocabulary(
        settings=FeatureSettings(windows_days=(7, 30), half_lives_days=(7.0,)),
        kinds=(
            Kind("pricing, page [é]", Text("pricing page", "page des tarifs")),
            Kind("webinar", Text.of("webinar")),
        ),
        pooled=False,
        overall=Kind("", Text.of("all activities")),
        channels=(),
        attributes=(
            KnownAttribute(
                Attribute("industry", "category"), Text.of("industry"), True, ("retail", "software", "other")
            ),
            KnownAttribute(Attribute("seats", "number"), Text.of("seats"), True),
        ),
        email=True,
    )


def features(rows: int, seed: int = 0) -> pd.DataFrame:
    """A table as `features.compute.frame` gives it: floats with gaps, and categories with their levels."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for feature in catalogue(vocabulary()):
        if feature.type == "category":
            codes = rng.integers(-1, len(feature.levels), rows)
            columns[feature.name] = pd.Categorical.from_codes(codes, categories=list(feature.levels))
        else:
            values = rng.gamma(1.0, 2.0, rows)
            columns[feature.name] = np.where(rng.random(rows) < 0.1, np.nan, values)
    return pd.DataFrame(columns, index=pd.RangeIndex(rows, name="snapshot"))


def log_odds(table: pd.DataFrame) -> np.ndarray:
    """The truth: a number and a category count, all else is noise."""
    numbers = table.select_dtypes("number")
    pricing = next(name for name in numbers if "pricing" in name)
    keen = table["attribute.industry"].eq("software").to_numpy(float)
    return -2.2 + 0.35 * numbers[pricing].fillna(0).clip(upper=6).to_numpy() + 1.2 * keen


def examples(rows: int = 1600, seed: int = 0, *, points: bool = True, timed: bool = True) -> Examples:
    """Snapshots in windows, two of each lead (one without times); labels drawn from `log_odds`."""
    rng = np.random.default_rng(seed)
    table = features(rows, seed)
    lead = np.repeat(np.arange(rows // 2), 2)
    window = np.repeat(rng.choice(list(WINDOWS), rows // 2, p=SHARES), 2)
    opened = START + pd.to_timedelta([WINDOWS[w] for w in window], unit="D")
    opened = opened + pd.to_timedelta(np.repeat(rng.uniform(0, 18, rows // 2), 2), unit="D").floor("s")
    as_of = pd.Series(opened + pd.to_timedelta(np.tile([1, 3], rows // 2), unit="D"), index=table.index)
    names = pd.Series([f"L{n:05d}" for n in (lead if timed else range(rows))], index=table.index)
    keys = pd.DataFrame(
        {
            "lead_id": names,
            "group_id": "lead " + names,
            "as_of": as_of if timed else pd.NaT,
            "age": np.tile(["1d", "3d"], rows // 2),
            "opened_at": opened if timed else pd.NaT,
            "label": (rng.random(rows) < expit(log_odds(table))).astype("int8"),
            "window": window,
        },
        index=table.index,
    )
    given = table.select_dtypes("number").iloc[:, -1].fillna(0).round() if points else None
    bounds = (START + pd.Timedelta(days=150), START + pd.Timedelta(days=180))
    return Examples(table, keys, given, 0.5, bounds if timed else None)


def learned(given: Examples | None = None, **choices: Any) -> Learned:
    """Learn with few members, so that it takes about a second."""
    wanted = replace(Choices(members=2, cutoffs=[("manual", {"propensity": 0.3})]), **choices)
    return learn(given or examples(), vocabulary(), ABOUT, wanted)
