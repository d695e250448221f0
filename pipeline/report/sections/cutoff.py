"""The cutoff, to move: what each level would have done, what it promises, and what was asked for.

What `found` returns (a `Said` is ``{"en": ..., "fr": ...}``)::

    available      bool; false for a model trained before its evidence was kept: the rest is then missing
    missing        Said or None: what to do about that
    judged_on      "test" (leads the model never saw) or "decision": the window to show
    windows        {"decision": window, "test": window or None}; window: name (Said), from, to (ISO or
                   None), leads, conversions, weeks (None without times)
    timed          bool: false where MQLs a week cannot be counted
    confidence     that all promises of `rungs` hold at once, 0.9
    withdrawn      Said or None: why nothing is promised
    rungs          the levels, loosest first (the slider's stops):
      level        propensity; `label` Said, such as "19.9 %"
      open         open leads that would be MQLs today
      decision, test   counts or None: mqls, per_week (None without times), converted, missed,
                   conversions, caught (share or None), share {value or None, low, high, confidence},
                   contacts_per_customer (None without a customer)
      promise      {what, at_least, confidence, words (Said)} or None; `no_promise` Said where None
      held         {verdict: held | undecided | violated, share, units, successes, words (Said)} or None
    marks          to be set on the slider, in the order of the configuration, the points last:
      kind         "policy" or "points"
      policy       "capacity", "precision", "recall", "value", "manual", or None for points
      in_force     bool
      level, rung  propensity and place in `rungs`, or None where the policy could not be met. For points
                   (which have no level) the rung that makes as many MQLs
      label        Said, short: what stands beside the mark
      asked        Said: what was asked for
      met          bool; `outcome` Said: what came of it, or why not and what would help
      promise      Said or None: the policy's own, made before anybody saw the window
      counts       for points: as above, in the window `judged_on`; else None
    in_force       {mark, rung, level, words (Said)}; rung and level None where nobody is an MQL
    points_missing Said or None: why there is no mark of the old points
    money          contact_cost, won_value (None: the reader types them), mean_amount (of won deals, or None)
    choosing       Said: why the promise of a rung may be lower than that of a policy at the same level
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.language import Speaker, Text, in_every_language
from models.crossings import Crossings
from pipeline.deals import won_deals
from pipeline.report.material import Material
from pipeline.report.policies import WITHDRAWN, asked, held, in_short, outcome, promised

WINDOW_NAMES = {
    "test": Text("leads that the model never saw", "des leads que le modèle n’a jamais vus"),
    "decision": Text("the leads that cutoffs are chosen on", "les leads sur lesquels le seuil est choisi"),
}
UNKNOWN = Text(
    "This model was trained before the evidence for every level was kept. Train again, and the cutoff can be "
    "moved here.",
    "Ce modèle a été entraîné avant que les chiffres de chaque niveau ne soient conservés. Relancez "
    "l’entraînement et le seuil pourra être déplacé ici.",
)
NO_PROMISE = Text(
    "Nothing is promised at this level: too few leads reach it to be sure of more than calling everyone "
    "brings.",
    "Rien n’est promis à ce niveau : trop peu de leads l’atteignent pour être sûr de faire mieux qu’en "
    "appelant tout le monde.",
)
NO_POINTS = Text(
    "To see your points on this scale, give them as [[rules]] with rules_mql_at under [decision].",
    "Pour voir vos points sur cette échelle, décrivez-les sous [[rules]] avec rules_mql_at sous [decision].",
)
CHOOSING = Text(
    "A level chosen after seeing all of them tends to look better than it is. The promises shown here allow "
    "for that: all of them hold at once. That is why they are lower than the promise of a policy whose level "
    "was fixed beforehand.",
    "Un niveau choisi après les avoir tous vus paraît souvent meilleur qu’il n’est. Les promesses affichées "
    "ici en tiennent compte : elles valent toutes à la fois. C’est pourquoi elles sont plus basses que celle "
    "d’une règle dont le niveau était fixé d’avance.",
)


def found(material: Material) -> dict[str, Any]:
    """Return what the page needs to move the cutoff."""
    ladder = material.account.get("ladder")
    if ladder is None:
        return {"available": False, "missing": UNKNOWN.to_dict()}
    judged_on = "decision" if material.account["shipped"] else "test"
    rungs = [_rung(rung, ladder, material) for rung in ladder["rungs"]]
    marks = [
        _mark(place, cutoff, ladder, material) for place, cutoff in enumerate(material.account["cutoffs"])
    ]
    points = _points(material, judged_on, ladder["share"], rungs)
    return {
        "available": True,
        "missing": None,
        "judged_on": judged_on,
        "windows": {name: _window(name, ladder, material) for name in WINDOW_NAMES},
        "timed": ladder["rungs"][0]["decision"]["weeks"] is not None,
        "confidence": ladder["confidence"],
        "withdrawn": WITHDRAWN.to_dict() if ladder["withdrawn"] else None,
        "rungs": rungs,
        "marks": [*marks, *([points] if points else [])],
        "in_force": _in_force(marks[0]),
        "points_missing": None if points else NO_POINTS.to_dict(),
        "money": _money(material),
        "choosing": CHOOSING.to_dict(),
    }


def _rung(rung: dict[str, Any], ladder: dict[str, Any], material: Material) -> dict[str, Any]:
    level, promise, realised = rung["level"], rung["promise"], rung["realised"]
    nothing = None
    if promise is None:
        nothing = (WITHDRAWN if ladder["withdrawn"] else NO_PROMISE).to_dict()
    return {
        "level": level,
        "label": in_every_language(lambda speaker: speaker.percent(level, 1)),
        "open": int((material.open.rows["propensity"] >= level).sum()),
        "decision": _counts(rung["decision"]),
        "test": _counts(rung["test"]),
        "promise": _promise(promise, material) if promise else None,
        "no_promise": nothing,
        "held": {
            **{name: realised[name] for name in ("verdict", "share", "units", "successes")},
            "words": held(realised, ladder["unit"]),
        }
        if realised
        else None,
    }


def _promise(promise: dict[str, Any], material: Material) -> dict[str, Any]:
    return {
        **{name: promise[name] for name in ("what", "at_least", "confidence")},
        "words": promised(promise, material.account["horizon"]),
    }


def _counts(seen: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a window's evidence at a level, under the names of the page."""
    if seen is None:
        return None
    caught = seen["conversions_caught"]
    return {
        "mqls": seen["mqls"],
        "per_week": seen["mqls_per_week"],
        "converted": caught,
        "missed": seen["conversions"] - caught,
        "conversions": seen["conversions"],
        "caught": seen["share_caught"],
        "share": seen["estimate"],
        "contacts_per_customer": seen["mqls"] / caught if caught else None,
    }


def _window(name: str, ladder: dict[str, Any], material: Material) -> dict[str, Any] | None:
    seen, span = ladder["rungs"][0][name], material.account["windows"].get(name)
    if seen is None or span is None:
        return None
    return {
        "name": WINDOW_NAMES[name].to_dict(),
        "from": span["from"],
        "to": span["to"],
        **{key: seen[key] for key in ("leads", "conversions", "weeks")},
    }


def _mark(place: int, cutoff: dict[str, Any], ladder: dict[str, Any], material: Material) -> dict[str, Any]:
    levels = [rung["level"] for rung in ladder["rungs"]]
    level, promise = cutoff["level"], cutoff["promise"]
    return {
        "kind": "policy",
        "policy": cutoff["policy"],
        "in_force": place == 0,
        "level": level,
        "rung": None if level is None else int(np.argmin(np.abs(np.array(levels) - level))),
        "label": in_short(cutoff),
        "asked": asked(cutoff, material.config.project.currency),
        "met": cutoff["evidence"]["met"],
        "outcome": outcome(cutoff),
        "promise": promised(promise, material.account["horizon"]) if promise else None,
        "counts": None,
    }


def _points(
    material: Material, judged_on: str, share: float, rungs: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the mark of the old points at the user's threshold, or None where there are none."""
    threshold, rows = material.config.decision.rules_mql_at, material.judged_on.rows
    if threshold is None or rows.empty or rows["points"].isna().any():
        return None
    counts = _counts(_crossings(rows, share if judged_on == "decision" else 1.0).at(threshold))
    assert counts is not None
    volumes = np.array([rung[judged_on]["mqls"] for rung in rungs])
    at = int(np.argmin(np.abs(volumes - counts["mqls"])))
    return {
        "kind": "points",
        "policy": None,
        "in_force": False,
        "level": rungs[at]["level"],
        "rung": at,
        "label": in_every_language(
            lambda speaker: speaker.say(Text("{n} points", "{n} points"), n=speaker.plain(threshold))
        ),
        "asked": in_every_language(
            lambda speaker: speaker.say(
                Text(
                    "MQL from {n} of your points on.",
                    "MQL à partir de {n} de vos points.",
                ),
                n=speaker.plain(threshold),
            )
        ),
        "met": True,
        "outcome": in_every_language(lambda speaker: _beside(counts, rungs[at][judged_on], speaker)),
        "promise": None,
        "counts": counts,
    }


def _crossings(rows: pd.DataFrame, share: float) -> Crossings:
    """Count the leads that reach each number of points, as the cutoff counts those that reach a level."""
    table = rows[["lead_id", "label"]].assign(propensity=rows["points"])
    if rows["as_of"].notna().all():
        table = table.assign(as_of=rows["as_of"], created_at=rows["created_at"])
    return Crossings.of(table, share=share)


def _beside(points: dict[str, Any], model: dict[str, Any], speaker: Speaker) -> str:
    """Say what the old threshold brought beside a cutoff that makes as many MQLs."""
    return speaker.say(
        Text(
            "{n} leads reached it and {k} of them converted ({share}); the cutoff that makes about as many "
            "MQLs ({m}) found {ours} ({our_share}).",
            "{n} leads l’ont atteint, dont {k} convertis ({share}) ; le seuil qui donne à peu près autant de "
            "MQL ({m}) en a trouvé {ours} ({our_share}).",
        ),
        n=speaker.number(points["mqls"]),
        k=speaker.number(points["converted"]),
        share=_share(points, speaker),
        m=speaker.number(model["mqls"]),
        ours=speaker.number(model["converted"]),
        our_share=_share(model, speaker),
    )


def _share(counts: dict[str, Any], speaker: Speaker) -> str:
    value = counts["share"]["value"]
    return "–" if value is None else speaker.percent(value)


def _in_force(mark: dict[str, Any]) -> dict[str, Any]:
    return {"mark": 0, "rung": mark["rung"], "level": mark["level"], "words": mark["outcome"]}


def _money(material: Material) -> dict[str, Any]:
    """Return what a contact costs and a customer is worth, where the configuration or the deals say so."""
    given = next((c for c in material.config.cutoffs if c.contact_cost is not None), None)
    deals = won_deals(material.dataset)
    known = pd.Series(dtype=float) if deals is None else deals.loc[deals["won_at"] < material.as_of, "amount"]
    return {
        "contact_cost": given.contact_cost if given else None,
        "won_value": given.won_value if given else None,
        "mean_amount": float(known.mean()) if known.notna().any() else None,
    }
