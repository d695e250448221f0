"""How faithful a point table is to the model, and what is lost by using it in the model's place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from models.evaluation import evaluation
from models.operation import Nights, equal_contacts, more_customers

# Without a cutoff the comparison is on the leads that each ranks highest: this share of them.
TOP_SHARE = 0.1
# Times are replayed night by night; without times there is one night.
ONE_NIGHT = pd.Timestamp(0)


def judged(
    rows: pd.DataFrame, card: pd.Series, doubles: float, level: float | None, seed: int = 0
) -> dict[str, Any]:
    """Compare a point table with the model, and with the user's own points, on leads of known outcome.

    Parameters
    ----------
    rows
        ``lead_id, group_id, as_of, label, margin, propensity, points, rules`` of snapshots (n,);
        `points` and `rules`, the user's own and their propensity, may be missing throughout.
    card
        (n,) the points of the table; so many that `doubles` of them double the odds.
    level
        The propensity of the cutoff, None where there is none.

    Returns
    -------
    dict
        ``spearman``, the rank correlation with the margin, None where either does not vary; ``same``, the
        share of the model's MQLs that the table names too when it names as many each night; ``auc`` by
        model and ``difference`` (table less the other), each ``{value, low, high}``; ``contacts``, how many
        leads each may name, ``customers`` found by each, and ``more_customers`` of the table than
        of the other. The latter are None where nobody is named.
    """
    timed = rows.assign(as_of=rows["as_of"].fillna(ONE_NIGHT))
    nights = Nights(timed)
    models = {"propense": rows["propensity"], "scorecard": pd.Series(expit(_log_odds(card, doubles)))}
    scores = {"propense": rows["margin"], "scorecard": card}
    if rows["points"].notna().all() and rows["rules"].notna().all():
        models["points"], scores["points"] = rows["rules"], rows["points"]
    others = [name for name in models if name != "scorecard"]
    measured = evaluation(
        rows["label"], {n: p.to_numpy() for n, p in models.items()}, rows["group_id"], seed=seed
    )
    least = rows["propensity"].quantile(1 - TOP_SHARE) if level is None else level
    contacts = equal_contacts(nights, scores, "propense", rows["propensity"] >= least)
    named = contacts["propense"].sum()
    return {
        "leads": int(rows["lead_id"].nunique()),
        "won": int(rows.loc[rows["label"] == 1, "lead_id"].nunique()),
        "spearman": _spearman(rows["margin"], card),
        "auc": measured.intervals()["auc"],
        "difference": {name: measured.difference("scorecard", name)["auc"] for name in others},
        "contacts": int(named),
        "same": _same(nights, contacts) if named else None,
        "customers": {name: nights.count(flags)["customers"] for name, flags in contacts.items()},
        "more_customers": {
            name: more_customers(nights, contacts["scorecard"], contacts[name], seed=seed).to_dict()
            for name in others
        }
        if named
        else None,
    }


def _log_odds(card: pd.Series, doubles: float) -> np.ndarray:
    return (card.to_numpy(float) - float(card.mean())) * np.log(2) / doubles


def _spearman(margin: pd.Series, card: pd.Series) -> float | None:
    if margin.nunique() < 2 or card.nunique() < 2:
        return None
    return float(margin.corr(card, method="spearman"))


def _same(nights: Nights, contacts: dict[str, np.ndarray]) -> float:
    """Return the share of the leads named by the model that the table names too, on whichever night."""
    ours, theirs = (set(nights.lead[contacts[name]]) for name in ("propense", "scorecard"))
    return len(ours & theirs) / len(ours)
