"""Why leads are lost: reasons and themes, what the model saw before, and who was misjudged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.language import Said, Text
from models.contrasts import contrasts, residuals
from models.reasons import reasons as reasons_of
from models.themes import masked_name, themes
from pipeline.report import endings as ends
from pipeline.report.fit import fit_features
from pipeline.report.material import Material, Seen

MOST_REASONS = 10
# A reason of fewer leads is not named: it may be about one of them.
LEAST_LEADS = 5
MOST_LISTED = 10
MOST_SEGMENTS = 6
# A reason is called frequent in a segment where chance would hardly make it so: many cells are compared.
STANDS_OUT = 3.5


def found(material: Material) -> dict[str, Any]:
    """Return reasons, segments, themes, work lists and the leads that sales never worked."""
    sights = ends.last_sights(material)
    if material.dataset.outcomes is None:
        return {
            "missing": _no_times(),
            "lists": _lists(material, sights, {}),
            "seen": _seen(material, sights),
        }
    endings = ends.Endings.of(material)
    if endings.lost.empty:
        missing = Text("No lead was lost or disqualified so far.", "Aucun lead n’a été perdu ni disqualifié.")
        return {
            "missing": missing.to_dict(),
            "lists": _lists(material, sights, {}),
            "seen": _seen(material, sights),
        }
    codes = _codes(endings)
    return {
        "missing": None,
        "lost": int((endings.lost["outcome"] == "lost").sum()),
        "disqualified": int((endings.lost["outcome"] == "disqualified").sum()),
        "set_aside": endings.set_aside,
        "won": len(endings.won),
        "seen": _seen(material, sights),
        "reasons": _reasons(material, endings, sights, codes),
        "segments": _segments(material, endings, sights, codes),
        "themes": _themes(material, endings, sights),
        "lists": _lists(material, sights, codes),
        "never_worked": _never_worked(material, endings),
    }


def _no_times() -> Said:
    return Text(
        "This table has no times: it says who was not won, but not when or why. Reasons need a section "
        "[outcomes] with a reason, and leads with times.",
        "Cette table n’a pas de dates : elle dit qui n’a pas été gagné, mais ni quand ni pourquoi. Les "
        "motifs demandent une section [outcomes] avec un motif, et des leads datés.",
    ).to_dict()


def _codes(endings: ends.Endings) -> dict[str, str | None]:
    """Return the code of each lost lead's reason as it may be shown; None: none, or too rare to show."""
    if not endings.coded:
        return {}
    given = endings.lost["reason"].map(lambda reason: masked_name(reason), na_action="ignore")
    counted = given.value_counts()
    frequent = set(counted[counted >= LEAST_LEADS].index[:MOST_REASONS])
    shown = [reason if reason in frequent else None for reason in given]
    return dict(zip(endings.lost["lead_id"], shown, strict=True))


def _bands(material: Material, propensity: pd.Series) -> dict[str, int]:
    counted = material.bundle.bands.decide(propensity)["band"].value_counts()
    return {band: int(counted.get(band, 0)) for band in ("mql", "nurture", "let_go")}


def _seen(material: Material, sights: Seen) -> dict[str, Any]:
    """Return how the model saw leads before they ended, and all leads, at their last sight.

    `for` and `against` are the concepts that spoke most for and against the lost, compared with the won.
    """
    rows = sights.rows

    def of(chosen: pd.Series) -> dict[str, Any]:
        return {"leads": int(chosen.sum()), "mean": float(rows.loc[chosen, "propensity"].mean())}

    ended = rows["outcome"].notna()
    more, less = contrasts(sights.concepts[ended], rows.loc[ended, "outcome"] == "lost")
    return {
        "all": of(pd.Series(True, index=rows.index)),
        "lost": of(rows["outcome"] == "lost"),
        "won": of(rows["outcome"] == "won"),
        "bands": _bands(material, rows.loc[rows["outcome"] == "lost", "propensity"]),
        "for": more and material.label(more.concept),
        "against": less and material.label(less.concept),
    }


def _reasons(
    material: Material, endings: ends.Endings, sights: Seen, codes: dict[str, str | None]
) -> dict[str, Any]:
    lost, total = endings.lost, len(endings.lost)
    given = lost["reason"].notna()
    if not endings.coded or not given.any():
        return {"coded": endings.coded, "given": int(given.sum()), "rows": [], "rare": 0, "none": 0}
    code = lost["lead_id"].map(codes)
    mine = sights.rows["person"].map(codes).where(sights.rows["outcome"] == "lost")
    ended = sights.rows["outcome"] == "lost"
    others = sights.concepts[ended]  # what sets a reason apart is asked among the lost alone
    rows = []
    for reason, leads in code.value_counts().items():
        chosen = mine == reason
        speaks_for, against = contrasts(others, chosen[ended])
        propensity = sights.rows.loc[chosen, "propensity"]
        rows.append(
            {
                "reason": reason,
                "leads": int(leads),
                "share": leads / total,
                "disqualified": int((lost.loc[code == reason, "outcome"] == "disqualified").sum()),
                "seen": int(chosen.sum()),
                "mean": float(propensity.mean()),
                "bands": _bands(material, propensity),
                "for": speaks_for and material.label(speaks_for.concept),
                "against": against and material.label(against.concept),
            }
        )
    rare = int((given & code.isna()).sum())
    return {
        "coded": True,
        "given": int(given.sum()),
        "rows": rows,
        "rare": rare,
        "none": int((~given).sum()),
    }


def _segments(
    material: Material, endings: ends.Endings, sights: Seen, codes: dict[str, str | None]
) -> list[dict[str, Any]]:
    """Return, by the attributes that the model makes most of, which reasons are given where."""
    names = ends.telling_attributes(sights)
    lost = endings.lost[endings.lost["lead_id"].map(codes).notna()]
    if not names or lost.empty:
        return []
    moments = pd.DataFrame({"person": lost["lead_id"], "as_of": lost["closed_at"]})
    features = fit_features(material.dataset, moments, material.bundle.vocabulary)
    reason = lost["lead_id"].map(codes)
    return [_segment(material, concept, features, reason) for concept in names]


def _segment(material: Material, concept: str, features: pd.DataFrame, reason: pd.Series) -> dict[str, Any]:
    said = [{k: t.value(concept, v) for k, t in material.tellers.items()} for v in _values(features)]
    value = pd.Series([each["en"] for each in said], index=features.index)
    known = {each["en"]: each for each in said}
    counts = pd.crosstab(value[value != ""], reason)
    leads = counts.sum(axis=1).sort_values(ascending=False, kind="stable")
    leads = leads[leads >= LEAST_LEADS]
    counts = counts.loc[leads.index]
    apart = residuals(counts).to_dict("index")
    shares = counts.div(leads, axis=0).to_dict("index")
    rows = [
        {
            "value": known[str(name)],
            "leads": int(leads[name]),
            "shares": {str(c): float(share) for c, share in shares[name].items()},
            "more": [str(c) for c, far in apart[name].items() if far >= STANDS_OUT],
            "less": [str(c) for c, far in apart[name].items() if far <= -STANDS_OUT],
        }
        for name in leads.index[:MOST_SEGMENTS]
    ]
    overall = counts.sum().sort_values(ascending=False, kind="stable")
    return {
        "label": material.label(concept),
        "reasons": [str(name) for name in overall.index],
        "rows": rows,
        "not_shown": max(len(counts) - MOST_SEGMENTS, 0),
        "overall": {str(name): float(n / leads.sum()) for name, n in overall.items()},
    }


def _values(features: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each row's features by name, None where one is missing."""
    rows = features.astype(object).where(features.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _themes(material: Material, endings: ends.Endings, sights: Seen) -> dict[str, Any]:
    texts = endings.texts
    written = texts.notna()
    if not written.any():
        return {"missing": _no_comments(), "rows": [], "written": 0}
    found = themes(texts[written].tolist(), ends.words_of_names(material))
    leads = endings.lost.loc[written, "lead_id"].to_numpy()
    by_stages = ends.had_been_mql(material)
    if by_stages is None:  # what the model would have made of them, where it saw them
        propensity = sights.rows.set_index("person")["propensity"]
        is_mql = material.bundle.bands.decide(propensity)["band"] == "mql"
        known = {lead: bool(is_mql[lead]) for lead in leads if lead in is_mql.index}
    else:
        known = {lead: lead in by_stages for lead in leads}
    rows = []
    for nth, words in enumerate(found.words):
        mine = leads[found.theme == nth]
        judged = [known[lead] for lead in mine if lead in known]
        rows.append(
            {
                "words": list(words),
                "leads": len(mine),
                "share": len(mine) / len(leads),
                "mqls": sum(judged),
                "judged": len(judged),
            }
        )
    missing = None if rows else _too_few_comments()
    return {
        "missing": missing,
        "rows": rows,
        "written": len(leads),
        "rest": int((found.theme < 0).sum()),
        "stability": found.stability,
        "mql_by": "model" if by_stages is None else "stages",
        "from": "comment" if endings.coded else "reason",
    }


def _no_comments() -> Said:
    return Text(
        "No comments were read. If the CRM has a field for what salespeople write of a lost lead, name its "
        "column as comment under [outcomes].",
        "Aucun commentaire n’a été lu. Si le CRM a un champ où les commerciaux écrivent au sujet d’un lead "
        "perdu, indiquez sa colonne comme comment sous [outcomes].",
    ).to_dict()


def _too_few_comments() -> Said:
    return Text(
        "The comments have too few words in common to form themes: a word counts from five leads on.",
        "Les commentaires ont trop peu de mots en commun pour former des thèmes : un mot compte à partir de "
        "cinq leads.",
    ).to_dict()


def _lists(material: Material, sights: Seen, codes: dict[str, str | None]) -> dict[str, Any]:
    """Return the lost leads that looked won, and the won leads that looked lost."""
    rows = sights.rows
    lost = rows[rows["outcome"] == "lost"].sort_values("propensity", ascending=False, kind="stable")
    won = rows[rows["outcome"] == "won"].sort_values("propensity", kind="stable")
    everyone = rows["propensity"].median() if len(rows) else np.nan
    # A lead is only listed on the side that its propensity contradicts.
    looked_won = lost[lost["propensity"] > everyone].head(MOST_LISTED).index
    looked_lost = won[won["propensity"] < everyone].head(MOST_LISTED).index
    return {
        "looked_won": _listed(material, sights, looked_won, "up", codes),
        "looked_lost": _listed(material, sights, looked_lost, "down", codes),
        "reasons": any(reason is not None for reason in codes.values()),
    }


def _listed(
    material: Material, sights: Seen, index: pd.Index, direction: str, codes: dict[str, str | None]
) -> list[dict[str, Any]]:
    chosen = sights.of(pd.Series(sights.rows.index.isin(index), index=sights.rows.index))
    told = reasons_of(chosen.contributions, material.bundle.concept_of)
    values = _values(chosen.features)
    place = {row: nth for nth, row in enumerate(chosen.rows.index)}
    listed = []
    for row in index:
        lead = chosen.rows.loc[row]
        strongest = [r.concept for r in told[place[row]] if r.direction == direction][:3]
        listed.append(
            {
                "lead_id": str(lead["lead_id"]),
                "as_of": None if pd.isna(lead["as_of"]) else f"{lead['as_of'].isoformat()}Z",
                "propensity": float(lead["propensity"]),
                "reason": codes.get(lead["person"]),
                "why": [material.sentence(concept, values[place[row]]) for concept in strongest],
            }
        )
    return listed


def _never_worked(material: Material, endings: ends.Endings) -> dict[str, Any]:
    """Count the leads that sales never worked, and what the model makes of them."""
    worked = ends.worked(material)
    if worked is None:
        return {"known": False}
    table = material.dataset.tables.leads.select("lead_id", "created_at").to_pandas()
    leads = frozenset(table.loc[table["created_at"] < pd.Timestamp(material.as_of), "lead_id"])
    never = leads - worked - endings.won
    now, before = _propensities(material.open), _propensities(material.past)
    is_open, is_lost = set(now.index), set(endings.lost["lead_id"])
    groups = {
        "open": (never & is_open, now),
        "lost": ((never & is_lost) - is_open, before),
        "quiet": (never - is_open - is_lost, before),
    }
    return {
        "known": True,
        "leads": len(never),
        "of": len(leads),
        "groups": {name: _group(material, ids, seen) for name, (ids, seen) in groups.items()},
        "won_unworked": len(endings.won - worked),
        "won": len(endings.won),
    }


def _propensities(seen: Seen) -> pd.Series:
    """Return the latest propensity by person."""
    last = seen.rows.sort_values("as_of", kind="stable").drop_duplicates("person", keep="last")
    return pd.Series(last["propensity"].to_numpy(), index=last["person"])


def _group(material: Material, leads: frozenset[str], propensity: pd.Series) -> dict[str, Any]:
    seen = propensity[propensity.index.isin(leads)]
    return {
        "leads": len(leads),
        "seen": len(seen),
        "mean": float(seen.mean()),
        "mqls": _bands(material, seen)["mql"],
    }
