"""A report's material in small: sixty leads whose every number can be told by their own number.

Lead i is created on 2024-01-01; in Software if i < 30, else in Retail; of 100 employees if i is even, else
10; its address is private if i is a multiple of 3. It visited the site on 2 January, and if i < 15 a webinar
on 3 January. Of all of them the past knows 1 March; i < 20 were won. Open are i >= 40, on 1 June.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from project import NOW, write_project
from scipy.special import expit

from features.catalogue import catalogue
from features.settings import FeatureSettings
from features.vocabulary import Vocabulary, learn
from models.cutoffs import Cutoff
from models.decision import Bands
from pipeline import featuring
from pipeline.config import Config
from pipeline.configuring import read_config
from pipeline.files import finite
from pipeline.report.material import Material, Seen, canonical
from pipeline.source.dataset import Dataset, load

N = 60
OPEN = range(40, N)
THEN, TODAY = datetime(2024, 3, 1), datetime(2024, 6, 1)
SETTINGS = FeatureSettings(windows_days=(7,), half_lives_days=(7.0,), min_kind_leads=1, min_category_leads=1)
FIRST_CROSSINGS = {"converted": 3, "units": 9, "unit": "lead"}


def ids(numbers: range = range(N)) -> list[str]:
    return [f"l{i:02d}" for i in numbers]


def small(
    folder: Path, *, level: float | None = 0.5, sections: str = "", more: str = "", past: bool = True
) -> Material:
    """Return the material; `more` are further activities as ``lead_id, occurred_at, kind, actor, asset``."""
    config = _config(folder, sections, more)
    dataset, vocabulary, before, now = _seen(more)
    rows = _rows(range(N), THEN).assign(part="test", label=[int(i < 20) for i in range(N)])
    features = catalogue(vocabulary)
    bundle: Any = SimpleNamespace(
        vocabulary=vocabulary,
        catalogue=features,
        concept_of={feature.name: feature.concept for feature in features},
        about={
            "project": "tiny", "target": "won", "horizon": "90d", "split": "time",
            "left_out": {"attributes": ["contract"], "kinds": []},
        },
        bands=Bands(_cutoff(level), nurture=0.3),
        calibrator=SimpleNamespace(predict=expit),
    )  # fmt: skip
    scores = _rows(OPEN, TODAY)
    scores = scores.assign(
        band=np.where(scores["propensity"] >= (2 if level is None else level), "mql", "nurture"),
        sales_ready=False, score=50, propensity_low=0.01, propensity_high=0.99,
    )  # fmt: skip
    seen = Seen(rows, before, _contributions(before), bundle)
    return Material(
        config=config,
        account={"shipped": False},
        backtest=None,
        model=SimpleNamespace(bundle=bundle),  # type: ignore[arg-type]
        dataset=dataset,
        as_of=TODAY,
        scored=SimpleNamespace(scores=scores, asked=frozenset()),  # type: ignore[arg-type]
        open=Seen(scores, now, _contributions(now), bundle),
        evidence=seen if past else seen.of(rows["label"] > 1),
    )


def _config(folder: Path, sections: str, more: str) -> Config:
    leads = "lead_id, created_at, industry, employees, email, first_name, last_name\n" + "".join(
        f"{lead}, 2024-01-01T00:00:00, {'Software' if i < 30 else 'Retail'}, {10 if i % 2 else 100}, "
        f"{lead}@{'gmail.com' if i % 3 == 0 else 'acme.example'}, Ada{i}, Byron{i}\n"
        for i, lead in enumerate(ids())
    )
    activities = "lead_id, occurred_at, kind, actor, asset\n" + "".join(
        f"{lead}, 2024-01-02T00:00:00, visit, lead, /home\n"
        + f"{lead}, 2024-02-01T00:00:00, mail_sent, marketing, spring\n"
        + (f"{lead}, 2024-01-03T00:00:00, webinar, lead, tour\n" if i < 15 else "")
        for i, lead in enumerate(ids())
    )
    path = write_project(
        folder,
        leads=leads,
        activities=activities + more,
        outcomes="lead_id, outcome, closed_at\nl00, won, 2024-04-01T00:00:00\nl01, disqualified, "
        "2024-04-01T00:00:00\nl02, won, 2024-07-01T00:00:00\n",
        in_leads='email = "email"\nattributes = ["industry", "employees"]\ntypes = { employees = "number" }',
        in_activities='kind = "kind"\nactor = "actor"\nasset = "asset"',
        sections=sections,
    )
    return read_config(path).model_copy(update={"root": folder})


@cache
def _seen(more: str) -> tuple[Dataset, Vocabulary, pd.DataFrame, pd.DataFrame]:
    """Return the data, which is read once, and the features of the past and of the open leads."""
    with TemporaryDirectory() as folder:
        dataset = load(_config(Path(folder), "", more), NOW)
    then, now = (canonical(dataset, _rows(*when)) for when in ((range(N), THEN), (OPEN, TODAY)))
    vocabulary = learn(featuring.past_of(dataset, then, SETTINGS), SETTINGS)
    before, today = (featuring.features_of(dataset, rows, vocabulary) for rows in (then, now))
    return dataset, vocabulary, before.set_axis(100 + np.arange(N)), today.set_axis(100 + np.array(OPEN))


def _contributions(features: pd.DataFrame) -> pd.DataFrame:
    found = pd.DataFrame(0.0, index=features.index, columns=features.columns)
    found["attribute.industry"] = np.where(features.index < 130, 1.0, -1.0)
    found["activity.webinar.count"] = np.where(features.index < 115, 1.0, 0.0)
    return found


def _cutoff(level: float | None) -> Cutoff:
    if level is None:
        return Cutoff("value", None, evidence={"parameters": {"cost": 5, "value": 5}, "best": None})
    return Cutoff(
        "manual", level, evidence={"parameters": {"propensity": level}, "first_crossings": FIRST_CROSSINGS}
    )


def _rows(numbers: range, as_of: datetime) -> pd.DataFrame:
    """Return leads at a moment: the margin is +1 in Software, else -1, and 1 more after a webinar."""
    number = np.array(numbers)
    software, webinar = number < 30, number < 15
    margin = np.where(software, 1.0, -1.0) + webinar + number / 1000  # no two alike
    return pd.DataFrame(
        {
            "lead_id": ids(numbers),
            "person": ids(numbers),
            "as_of": as_of,
            "margin": margin,
            "propensity": expit(margin),
            "grade": np.char.add(np.where(software, "A", "D"), np.where(webinar, "1", "4")),
        },
        index=100 + number,
    )


def content(material: Material, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return a content of one section that a page can be made from."""
    return finite(
        {
            "about": {
                "format": 1, "project": "tiny", "target": "won", "horizon": "90d", "split": "time",
                "shipped": False, "as_of": f"{material.as_of.isoformat()}Z", "currency": None,
                "model_version": "1", "run_id": "r", "observed_until": None, "versions": {},
            },
            name: found,
        }
    )  # fmt: skip
