"""What a part of the data contributes: a light model with it, and one without, on the same leads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import t
from threadpoolctl import threadpool_limits

from features.catalogue import catalogue
from features.vocabulary import Vocabulary
from models.calibration import choose
from models.estimator import LeadClassifier
from models.evaluation import auc, evaluation, log_loss
from models.learning import Examples

# Each of several trainings has two members: together they rank well, and apart they show how much of a
# difference is the training's own chance.
MEMBERS, TRAININGS = 2, 3
KEY = ["lead_id", "as_of"]


@threadpool_limits.wrap(limits=1, user_api="blas")
def light(examples: Examples, vocabulary: Vocabulary, seed: int, threads: int = 2) -> pd.DataFrame:
    """Train light models, and return the test window (or the decision window, if there is no test).

    Returns
    -------
    pandas.DataFrame
        lead_id, as_of, group_id, label and propensity of each of its snapshots, and in the columns
        0, 1, ... the margin of each of the `TRAININGS`, whose mean was calibrated.
    """
    X, y, groups, _ = examples.within("train", "stopping")
    directions = {f.name: f.direction for f in catalogue(vocabulary) if f.direction and f.type != "category"}
    window = "test" if (examples.keys["window"] == "test").any() else "decision"
    later, label, their_groups, index = examples.within("calibration")
    tested, _, _, rows = examples.within(window)
    margins: dict[str, list[Any]] = {"calibration": [], "tested": []}
    for place in range(TRAININGS):
        model = LeadClassifier(
            members=MEMBERS, directions=directions, seed=seed + 1000 * place, threads=threads
        ).fit(X, y, groups=groups.to_numpy())
        margins["calibration"].append(model.margin(later))
        margins["tested"].append(model.margin(tested))
    as_of = examples.keys.loc[index, "as_of"] if examples.timed else None
    calibration = pd.Series(np.mean(margins["calibration"], axis=0), index=index)
    calibrator = choose(calibration, label, their_groups, as_of).calibrator
    keys = examples.keys.loc[rows, [*KEY, "group_id", "label"]]
    each = {str(place): margin for place, margin in enumerate(margins["tested"])}
    propensity = calibrator.predict(np.mean(margins["tested"], axis=0))
    return keys.assign(propensity=propensity, **each).reset_index(drop=True)


def difference(kept: pd.DataFrame, without: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Compare two results of `light` on the snapshots that both have.

    Returns
    -------
    dict
        ``auc`` and ``log_loss``, each with ``with``, ``without`` and ``difference`` (with minus
        without, ``{value, low, high}``, 90 %: paired over leads, and as wide again as the trainings
        differ among themselves); ``snapshots``, how many were compared.
    """
    both = kept.merge(without.drop(columns=["group_id", "label"]), on=KEY, suffixes=("", " without"))
    if both["label"].nunique() < 2:
        return {"snapshots": len(both), "auc": None, "log_loss": None}
    models = {"with": both["propensity"], "without": both["propensity without"]}
    found = evaluation(both["label"], models, both["group_id"], resamples=100, seed=seed)
    paired = found.difference("with", "without")
    spread = _spread(both)
    measured = {
        metric: {
            **{name: float(found.values[metric][name]) for name in models},
            "difference": _widened(paired[metric], spread.get(metric, 0.0)),
        }
        for metric in ("auc", "log_loss")
    }
    return {"snapshots": len(both), **measured}


def _spread(both: pd.DataFrame) -> dict[str, float]:
    """Return how far the mean difference of the trainings may lie from that of many more (90 %)."""
    places = [c for c in both.columns if c.isdigit()]
    if len(places) < 2:
        return {}
    reach = t.ppf(0.95, len(places) - 1) / np.sqrt(len(places))
    label = both["label"]
    found = {}
    for name, metric in (("auc", auc), ("log_loss", log_loss)):
        each = [metric(label, expit(both[p])) - metric(label, expit(both[f"{p} without"])) for p in places]
        found[name] = float(reach * np.std(each, ddof=1))
    return found


def _widened(interval: dict[str, float | None], spread: float) -> dict[str, float | None]:
    value, low, high = interval["value"], interval["low"], interval["high"]
    if value is None or low is None or high is None:
        return interval
    down, up = (float(np.hypot(value - end, spread)) for end in (low, high))
    return {"value": value, "low": value - down, "high": value + up}


def matters(found: dict[str, Any]) -> bool:
    """Return whether a difference in ranking is beyond chance."""
    if not found.get("auc"):
        return False
    gap = found["auc"]["difference"]
    return gap["low"] is not None and gap["low"] * gap["high"] > 0
