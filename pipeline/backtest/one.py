"""One fold: trained on what had matured at its origin, predicted up to the next. Runs in any process.

What goes in and comes out is plain (tables, numbers, text), so that no class of ours travels.
"""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits

from features.vocabulary import Vocabulary
from models.baselines import RefittedPoints
from models.evaluation import evaluate
from models.learning import Choices, Examples, learn

# Models that are ranked side by side: name and column of the predictions.
RANKED = {
    "propense": "propensity",
    "logistic": "logistic",
    "points": "rules",
    "points_refitted": "refitted",
    "base_rate": "base_rate",
}
RESAMPLES = 100


# With one thread sums are the same to the last digit, whatever else runs.
@threadpool_limits.wrap(limits=1, user_api="blas")
def run_fold(task: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Train at an origin and predict; return the fold's account and its rows.

    Parameters
    ----------
    task
        name; examples, choices (fields of `Examples` and `Choices`); vocabulary (as a dictionary);
        about; by_rule (n, rules) or None; order (n,) what first come goes by; nights; apart, whether it
        runs in a process of its own.
    """
    if task["apart"]:  # Ctrl-C reaches every process of the terminal; the first one cleans up for all
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    examples = Examples(**task["examples"])
    choices = Choices(**task["choices"])
    learned = learn(examples, Vocabulary.from_dict(task["vocabulary"]), task["about"], choices)
    test = learned.predictions[learned.predictions["part"] == "test"]
    margin = refitted_margin(examples, task["by_rule"], test.index)
    rows = test.drop(columns=["part", "new_lead", "age"]).assign(
        fold=task["name"],
        night=test["as_of"] if examples.timed else task["nights"][0],
        waiting_since=task["order"].loc[test.index],
        points_refitted=margin,
        refitted=expit(margin),
        passes=learned.bundle.cutoffs[0].passes(test["propensity"]),
    )
    bundle = learned.bundle
    account = {
        "origin": task["name"],
        "windows": task["summary"],
        "features": int(bundle.classifier.n_features_in_),
        "rounds": int(bundle.classifier.rounds_),
        "cutoff": bundle.cutoffs[0].to_dict(),
        "calibration": {"method": learned.calibration.method},
        "drift": learned.drift.to_dict(),
        "ranking": ranking(rows, choices.seed),
    }
    return account, rows.reset_index(names="snapshot")


def refitted_margin(examples: Examples, by_rule: pd.DataFrame | None, wanted: pd.Index) -> pd.Series:
    """Return the log-odds of the points refitted on the training window; NaN without rules."""
    if by_rule is None:
        return pd.Series(np.nan, index=wanted)
    _, label, _, index = examples.within("train", "stopping")
    model = RefittedPoints().fit(by_rule.loc[index].to_numpy(), label)
    return pd.Series(model.margin(by_rule.loc[wanted].to_numpy()), index=wanted)


def ranking(rows: pd.DataFrame, seed: int, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return metric, then model, then ``{value, low, high}`` over rows of leads open on the calendar."""
    models = {name: rows[column] for name, column in RANKED.items() if rows[column].notna().all()}
    return evaluate(rows["label"], models, rows["group_id"], resamples=resamples, seed=seed)
