"""A material made of tiny tables, without a training: what sections are given, and nothing else."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from features.catalogue import catalogue
from features.language import SPEAKERS
from features.story import Storyteller
from features.vocabulary import learn
from models.decision import Bands
from pipeline import featuring
from pipeline.configuring import read_config
from pipeline.report.material import Seen, canonical
from pipeline.source.dataset import load

# Propensities from which leads are MQLs, and nurtured.
MQL, NURTURE = 0.5, 0.2
ROWS = ["lead_id", "person", "as_of", "propensity", "label", "part", "age"]


def material(path: Path, as_of: datetime, past: pd.DataFrame | None = None, **also: Any) -> Any:
    """Read a project, and give it the past rows (lead_id, as_of, propensity, label) and contributions."""
    config = read_config(path)
    dataset = load(config, as_of)
    leads = dataset.tables.leads.select("lead_id").to_pandas()
    everyone = pd.DataFrame({"person": leads["lead_id"], "as_of": as_of})
    vocabulary = learn(
        featuring.past_of(dataset, canonical(dataset, everyone), featuring.settings(config)),
        featuring.settings(config),
    )
    bands = Bands(SimpleNamespace(level=MQL), NURTURE)  # type: ignore[arg-type]
    features = catalogue(vocabulary)
    concepts = {feature.name: feature.concept for feature in features}
    about = {"left_out": {"attributes": [], "kinds": []}}
    bundle = SimpleNamespace(
        vocabulary=vocabulary, bands=bands, catalogue=features, concept_of=concepts, about=about
    )
    found = SimpleNamespace(
        config=config,
        dataset=dataset,
        as_of=as_of,
        bundle=bundle,
        open=SimpleNamespace(rows=also.get("open", _no_rows())),
        past=_seen(dataset, past, bundle),
        tellers={language: Storyteller(vocabulary, language) for language in SPEAKERS},
    )
    found.window = lambda *parts: found.past.of(found.past.rows["part"].isin(parts))
    found.label = lambda concept: {k: teller.label(concept) for k, teller in found.tellers.items()}
    found.sentence = lambda concept, values: {
        k: teller.sentence(concept, values) for k, teller in found.tellers.items()
    }
    return found


def _seen(dataset: Any, past: pd.DataFrame | None, bundle: Any) -> Seen:
    if past is None:
        return Seen(_no_rows(), pd.DataFrame(), pd.DataFrame(), bundle)
    rows = past.assign(person=past["lead_id"], part=past.get("part", "test"), age="calendar")
    rows = rows.reset_index(drop=True)
    features = featuring.features_of(dataset, canonical(dataset, rows), bundle.vocabulary)
    features = features.set_axis(rows.index, axis=0)
    given = pd.DataFrame(0.0, index=rows.index, columns=features.columns)
    for name in [column for column in past if column in features]:  # a contribution of that name
        given[name] = rows[name].to_numpy()
    return Seen(rows, features, given, bundle)


def _no_rows() -> pd.DataFrame:
    types = {"as_of": "datetime64[us]", "propensity": float, "label": float}
    return pd.DataFrame(columns=ROWS).astype(types)
