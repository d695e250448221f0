"""What a part of the data contributes: a light model with it, and one without, on the same leads."""

from __future__ import annotations

from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from features.catalogue import catalogue
from features.vocabulary import Vocabulary
from models.calibration import choose
from models.estimator import LeadClassifier
from models.evaluation import evaluation
from models.learning import Examples

# Two members tell a difference that matters from one that does not, at a quarter of the time.
MEMBERS = 2
KEY = ["lead_id", "as_of"]


@threadpool_limits.wrap(limits=1, user_api="blas")
def light(examples: Examples, vocabulary: Vocabulary, seed: int, threads: int = 2) -> pd.DataFrame:
    """Train a light model, and return the test window (or the decision window, if there is no test).

    Returns
    -------
    pandas.DataFrame
        lead_id, as_of, group_id, label and propensity of each of its snapshots.
    """
    X, y, groups, _ = examples.within("train", "stopping")
    directions = {f.name: f.direction for f in catalogue(vocabulary) if f.direction and f.type != "category"}
    model = LeadClassifier(members=MEMBERS, directions=directions, seed=seed, threads=threads)
    model.fit(X, y, groups=groups.to_numpy())
    later, label, their_groups, index = examples.within("calibration")
    as_of = examples.keys.loc[index, "as_of"] if examples.timed else None
    margin = pd.Series(model.margin(later), index=index)
    calibrator = choose(margin, label, their_groups, as_of).calibrator
    window = "test" if (examples.keys["window"] == "test").any() else "decision"
    tested, _, _, rows = examples.within(window)
    keys = examples.keys.loc[rows, [*KEY, "group_id", "label"]]
    return keys.assign(propensity=calibrator.predict(model.margin(tested))).reset_index(drop=True)


def difference(kept: pd.DataFrame, without: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Compare two results of `light` on the snapshots that both have.

    Returns
    -------
    dict
        ``auc`` and ``log_loss``, each with ``with``, ``without`` and ``difference`` (with minus
        without, ``{value, low, high}``, paired, 90 %); ``snapshots``, how many were compared.
    """
    both = kept.merge(without[[*KEY, "propensity"]], on=KEY, suffixes=("", " without"))
    if both["label"].nunique() < 2:
        return {"snapshots": len(both), "auc": None, "log_loss": None}
    models = {"with": both["propensity"], "without": both["propensity without"]}
    found = evaluation(both["label"], models, both["group_id"], resamples=100, seed=seed)
    paired = found.difference("with", "without")
    measured = {
        metric: {**{name: float(found.values[metric][name]) for name in models}, "difference": paired[metric]}
        for metric in ("auc", "log_loss")
    }
    return {"snapshots": len(both), **measured}


def matters(found: dict[str, Any]) -> bool:
    """Return whether a difference in ranking is beyond chance."""
    if not found.get("auc"):
        return False
    gap = found["auc"]["difference"]
    return gap["low"] is not None and gap["low"] * gap["high"] > 0
