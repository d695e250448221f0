"""The leads to call today: a work list, with ids only.

What `found` returns (a `Said` is ``{"en": ..., "fr": ...}``)::

    in_force   whether a cutoff is in force; without one the most likely leads are listed: "would be next"
    level      the cutoff, or None
    mqls       how many open leads are MQLs, of `open` in all
    highest    the highest propensity of any open lead, None without one
    reference  "mqls" or "customers": whom the leads like each one are set apart by
    timed      whether there are activities at all
    leads      the work list, those who asked for sales first, then by propensity:
      lead_id, propensity, low, high, score, grade, sales_ready, asked
      raised, lowered   one sentence each (Said), or None where nothing did so to speak of
      last              kind (Said), asset (or None), ago (Said), days; None: the lead did nothing yet
      habits            what leads like it had done and it has not: kind (Said), done, reached, others_done,
                        others; see `models.likeness`
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ibis
import pandas as pd
from ibis import _

from features.language import Said, Speaker, Text, in_every_language
from models.likeness import Likeness
from models.reasons import Reason, reasons
from models.themes import MASK, masked_name
from pipeline.report.kinds import label_of, of_leads
from pipeline.report.material import Material, Seen

AGE = "overall.lead_age_days"
# So many concepts make one sentence in each direction.
CONCEPTS = 3
LONGEST_ASSET = 80
DAY = timedelta(days=1)
_SPEAKS = {
    "up": Text("Speaks for it: {things}.", "En sa faveur : {things}."),
    "down": Text("Speaks against it: {things}.", "En sa défaveur : {things}."),
}


def found(material: Material) -> dict[str, Any]:
    """Return the section's content."""
    scores, level = material.open.rows, material.bundle.bands.mql.level
    mql = scores["band"] == "mql"
    chosen = _first(scores if level is None else scores[mql], material.config.report.leads)
    listed = material.open.of(scores.index.to_series().isin(chosen))
    habits = _habits(material, listed)
    last = _last_activity(material, listed.rows["person"])
    told = _told(material, listed)
    return {
        "in_force": level is not None,
        "level": level,
        "open": len(scores),
        "mqls": int(mql.sum()),
        "highest": float(scores["propensity"].max()) if len(scores) else None,
        "reference": "customers" if level is None else "mqls",
        "timed": not material.config.flat,
        "leads": [
            {
                **_numbers(listed.rows.loc[row], material.scored.asked),
                **told[row],
                "last": last.get(str(listed.rows.at[row, "person"])),
                "habits": habits[row],
            }
            for row in chosen
        ],
    }


def _first(scores: pd.DataFrame, most: int) -> list[Any]:
    """Return the rows to list: those who asked for sales first, the most likely before the others."""
    ordered = scores.sort_values(
        ["sales_ready", "propensity", "lead_id"], ascending=[False, False, True], kind="stable"
    )
    return ordered.index[:most].to_list()


def _numbers(row: pd.Series, asked: frozenset[str]) -> dict[str, Any]:
    return {
        "lead_id": str(row["lead_id"]),
        "propensity": float(row["propensity"]),
        "low": float(row["propensity_low"]),
        "high": float(row["propensity_high"]),
        "score": int(row["score"]),
        "grade": str(row["grade"]),
        "sales_ready": bool(row["sales_ready"]),
        "asked": row["lead_id"] in asked,
    }


def _told(material: Material, listed: Seen) -> dict[Any, dict[str, Said | None]]:
    """Say of each lead what raised and what lowered its propensity, one sentence each."""
    concept_of = material.bundle.concept_of
    every = len(set(concept_of.values()))
    found = reasons(listed.contributions, concept_of, top=max(every, 1))
    values = listed.features.astype(object).where(listed.features.notna(), None)
    rows = [{str(name): value for name, value in row.items()} for row in values.to_dict("records")]

    def sentence(of_lead: list[Reason], way: str, row: dict[str, Any]) -> Said | None:
        strongest = [reason for reason in of_lead if reason.direction == way][:CONCEPTS]
        clauses = [material.sentence(reason.concept, row) for reason in strongest]
        return in_every_language(_joined(_SPEAKS[way], clauses)) if clauses else None

    return {
        index: {"raised": sentence(of_lead, "up", row), "lowered": sentence(of_lead, "down", row)}
        for index, of_lead, row in zip(listed.rows.index, found, rows, strict=True)
    }


def _joined(text: Text, clauses: list[Said]) -> Callable[[Speaker], str]:
    """Return what joins clauses, which have commas of their own, into one sentence."""

    def tell(speaker: Speaker) -> str:
        between = speaker.say(Text("; ", " ; "))
        return speaker.say(text, things=between.join(speaker.pick(clause) for clause in clauses))

    return tell


def _last_activity(material: Material, persons: pd.Series) -> dict[str, dict[str, Any]]:
    """Return the last thing that each person did itself and that was known at the moment of the report."""
    if not len(persons):
        return {}
    wanted = ibis.memtable(pd.DataFrame({"lead_id": persons.astype(str).unique()}))
    now = ibis.literal(material.as_of, "timestamp(6)")
    own = material.dataset.tables.activities.filter(
        (_.known_at < now) & (_.occurred_at < now) & (_.actor == "lead")
    )
    latest = ibis.window(group_by="lead_id", order_by=[ibis.desc("occurred_at"), "kind", "asset"])
    theirs = own.semi_join(wanted, "lead_id").mutate(place=ibis.row_number().over(latest))
    rows = theirs.filter(_.place == 0).select("lead_id", "occurred_at", "kind", "asset").to_pandas()
    return {row["lead_id"]: _activity(material, row) for row in rows.to_dict("records")}


def _activity(material: Material, row: dict[str, Any]) -> dict[str, Any]:
    days = (pd.Timestamp(material.as_of) - row["occurred_at"]) / DAY
    return {
        "kind": label_of(material, row["kind"]),
        "asset": shown_asset(row["asset"]),
        "days": float(days),
        "ago": in_every_language(lambda speaker: speaker.ago(days)),
    }


def shown_asset(asset: Any) -> str | None:
    """Return the name of a page, offer or campaign; None where it may name a person, as an address does."""
    if not isinstance(asset, str):
        return None
    bare = masked_name(asset)
    if MASK in bare:
        return None
    return (bare if len(bare) <= LONGEST_ASSET else f"{bare[: LONGEST_ASSET - 1]}…") or None


def _habits(material: Material, listed: Seen) -> dict[Any, list[dict[str, Any]]]:
    """Return for each listed lead what leads otherwise like it, that were MQLs, had done and it has not.

    The past leads are those on the scoring calendar. Without a cutoff it is leads that became customers.
    """
    past, kinds = material.window("decision", "test"), of_leads(material)
    if not len(past) or not len(listed) or not kinds:
        return {row: [] for row in listed.rows.index}
    level = material.bundle.bands.mql.level
    reached = past.rows["label"] == 1 if level is None else past.rows["propensity"] >= level
    fit = sorted({feature.concept for feature in past.catalogue if feature.family == "fit"})

    def seen(of: Seen) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
        done = pd.DataFrame({kind: of.features[f"activity.{kind}.count"] > 0 for kind in kinds})
        return of.concepts[fit], of.features[AGE].astype(float), done

    likeness = Likeness(past.rows["person"], *seen(past), reached)
    found = likeness.habits(listed.rows["person"], *seen(listed))
    return {
        row: [{**vars(habit), "kind": label_of(material, habit.kind)} for habit in habits]
        for row, habits in zip(listed.rows.index, found, strict=True)
    }
