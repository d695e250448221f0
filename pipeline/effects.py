"""What hygiene and suspects change in the result: the same light training, with and without each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd

from features.errors import PropenseError
from models.ablation import difference, light, matters
from pipeline import featuring
from pipeline.guard.judge import dropped
from pipeline.guard.verdicts import Judgement, Verdict
from pipeline.hygiene.account import Cleaned
from pipeline.learning_inputs import examples_of
from pipeline.preparation import Prepared, prepare
from pipeline.source.dataset import Dataset, load
from pipeline.windows import draw

# Enough to see a difference that matters; of larger data a part is drawn.
MOST_SNAPSHOTS = 40_000
# Suspects that are each tried on their own, the strongest first.
MOST_SUSPECTS = 5
# The switch in [hygiene] that each measure belongs to.
SWITCHES = {
    "duplicates": "duplicates",
    "tests": "tests",
    "employees": "own_domains",
    "bots": "bots",
    "impossible": "impossible",
    "personal": "leave_out",
    "student": "leave_out",
    "disposable": "leave_out",
}

Other = Callable[[], tuple[Dataset, Prepared]]


def measured_effects(
    raw: Dataset, clean: Dataset, prepared: Prepared, judgement: Judgement, now: datetime
) -> dict[str, Any]:
    """Return what each measure of hygiene and each suspect changes in the result.

    Parameters
    ----------
    raw, clean
        The dataset as it was read, and without what the leak guard left out.

    Returns
    -------
    dict
        ``hygiene`` by measure and ``suspects`` by name, each as `models.ablation.difference` gives it,
        with ``measured``, ``matters`` and the ``leads`` and ``won`` leads with and without.
    """
    measures = active(raw.hygiene) if raw.config.hygiene.effects else []
    suspects = [v for v in judgement.verdicts if v.kept and v.verdict != "clear" and v.subject != "table"]
    if not measures and not suspects:
        return {"hygiene": {}, "suspects": {}}
    base = light_result(clean, prepared)
    left_out = judgement.attributes_left_out(), judgement.kinds_left_out()
    without_measure = {
        name: partial(_without_measure, raw, left_out, prepared, now, SWITCHES[name]) for name in measures
    }
    without_suspect = {
        name: partial(_without_suspects, clean, prepared, verdicts)
        for name, verdicts in _tried(suspects).items()
    }
    return {
        "hygiene": {name: _changed(prepared, base, other) for name, other in without_measure.items()},
        "suspects": {name: _changed(prepared, base, other) for name, other in without_suspect.items()},
    }


def active(hygiene: Cleaned) -> list[str]:
    """Return the measures that changed something."""
    return [m.name for m in hygiene.measures if m.leads or m.activities]


def light_result(dataset: Dataset, prepared: Prepared, threads: int = 2) -> pd.DataFrame:
    """Train a light model on a dataset as it is, and return its test window's predictions."""
    part = _sampled(dataset, prepared)
    vocabulary = featuring.learn_vocabulary(dataset, part, featuring.settings(dataset.config))
    features = featuring.features_of(dataset, part.snapshots, vocabulary)
    return light(
        examples_of(part, features, None, dataset.config), vocabulary, dataset.config.model.seed, threads
    )


def _sampled(dataset: Dataset, prepared: Prepared) -> Prepared:
    keys = prepared.rows("train", "stopping", "calibration", "test")
    if not len(prepared.rows("test")):
        keys = prepared.rows("train", "stopping", "calibration", "decision")
    if len(keys) > MOST_SNAPSHOTS:  # whole groups, always the same ones
        keys = keys[draw(keys["group_id"]) < MOST_SNAPSHOTS / len(keys)]
    chosen = featuring.select(dataset, prepared.snapshots, keys.index.to_list())
    return replace(prepared, snapshots=chosen, keys=keys)


def _without_measure(
    raw: Dataset,
    left_out: tuple[frozenset[str], frozenset[str]],
    prepared: Prepared,
    now: datetime,
    switch: str,
) -> tuple[Dataset, Prepared]:
    off: Any = [] if switch in ("own_domains", "leave_out") else False
    hygiene = raw.config.hygiene.model_copy(update={switch: off})
    other = dropped(load(raw.config.model_copy(update={"hygiene": hygiene}), now), *left_out)
    return other, prepare(other, ship=prepared.rows("test").empty, bounds=prepared.bounds)


def _tried(suspects: list[Verdict]) -> dict[str, list[Verdict]]:
    tried = {verdict.name: [verdict] for verdict in suspects[:MOST_SUSPECTS]}
    return {**tried, "all suspects": suspects} if len(suspects) > 1 else tried


def _without_suspects(
    clean: Dataset, prepared: Prepared, suspects: list[Verdict]
) -> tuple[Dataset, Prepared]:
    attributes, kinds = (
        frozenset(v.name for v in suspects if v.subject == subject) for subject in ("attribute", "kind")
    )
    return dropped(clean, attributes, kinds), prepared


def _changed(prepared: Prepared, base: pd.DataFrame, other: Other) -> dict[str, Any]:
    try:
        dataset, theirs = other()
        found = difference(base, light_result(dataset, theirs), dataset.config.model.seed)
    except PropenseError as error:  # without it there may be nothing left to train on
        return {"measured": False, "why": error.message}
    counts = {
        "leads": {"with": _leads(prepared.keys), "without": _leads(theirs.keys)},
        "won": {"with": _won(prepared.keys), "without": _won(theirs.keys)},
    }
    return {"measured": True, "matters": matters(found), **found, **counts}


def _leads(keys: pd.DataFrame) -> int:
    return int(keys["lead_id"].nunique())


def _won(keys: pd.DataFrame) -> int:
    return _leads(keys[keys["label"] == 1])
