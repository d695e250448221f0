"""Leads that ended without a win, what was written of them, and what the model had made of them before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from ibis import _

from features.past import attribute_column
from pipeline.hygiene.identity import read_identities
from pipeline.report.material import Material, Seen
from pipeline.source.engine import open_table
from pipeline.source.findings import Findings
from pipeline.source.leads import Reading

# Reasons are codes while there are few of them, or few for the leads that have them: else they are
# somebody's own words.
CODES = 40
LEADS_A_CODE = 20
# Stages that only sales gives.
BEYOND_MQL = ("sql", "opportunity", "customer")


@dataclass(frozen=True)
class Endings:
    """What became of leads up to the report's moment.

    lost
        One row a lead whose last outcome is lost or disqualified: lead_id, outcome, closed_at, reason,
        comment. Tests, spam and duplicates are not among them; ``set_aside`` counts them.
    won
        lead_id of the customers.
    """

    lost: pd.DataFrame
    won: frozenset[str]
    set_aside: int

    @classmethod
    def of(cls, material: Material) -> Endings:
        """Read them from a dataset with times."""
        outcomes = material.dataset.outcomes
        assert outcomes is not None, "only a flat table has no outcomes"
        rows = outcomes.to_pandas()
        rows = rows[rows["closed_at"] < pd.Timestamp(material.as_of)]
        won = frozenset(rows.loc[rows["outcome"] == "won", "lead_id"])
        config = material.config.outcomes
        excluded = {r.lower() for r in config.exclude_reasons} if config else set()
        aside = (rows["outcome"] == "disqualified") & rows["reason"].str.lower().isin(excluded)
        last = rows[~rows["lead_id"].isin(won)].sort_values(["closed_at", "lead_id"], kind="stable")
        last = last.drop_duplicates("lead_id", keep="last")
        lost = last[~aside[last.index]]
        columns = ["lead_id", "outcome", "closed_at", "reason", "comment"]
        return cls(lost[columns].reset_index(drop=True), won, len(last) - len(lost))

    @cached_property
    def coded(self) -> bool:
        """Whether the reasons are codes, rather than somebody's own words."""
        given = self.lost["reason"].dropna()
        return bool(given.nunique() <= max(CODES, len(given) / LEADS_A_CODE))

    @property
    def texts(self) -> pd.Series:
        """What was written of each lost lead, in people's own words; missing where nothing was."""
        comment = self.lost["comment"]
        return comment if self.coded else comment.fillna(self.lost["reason"])


def last_sights(material: Material) -> Seen:
    """Return each lead as the model last saw it in the past windows, with `outcome` among the rows.

    It is "won" or "lost" if the lead ended within the horizon from there, else missing. In a table
    without times every lead of the windows has ended.
    """
    past = material.past
    order = past.rows.sort_values(["as_of", "age"], kind="stable").drop_duplicates("person", keep="last")
    rows = past.rows.loc[sorted(order.index)]
    won = rows["label"] == 1
    if material.dataset.outcomes is None:
        outcome = np.where(won, "won", "lost")
    else:
        closed = Endings.of(material).lost.set_index("lead_id")["closed_at"]
        at = pd.Series(closed.reindex(rows["person"]).to_numpy(), index=rows.index)
        inside = (at >= rows["as_of"]) & (at < rows["as_of"] + material.config.snapshots.horizon)
        outcome = np.select([won, inside], ["won", "lost"], "")
    outcomes = pd.Series(outcome, index=rows.index, dtype=object).replace("", None)
    chosen = pd.Series(past.rows.index.isin(rows.index), index=past.rows.index)
    seen = past.of(chosen)
    return Seen(seen.rows.assign(outcome=outcomes), seen.features, seen.contributions, seen.bundle)


def had_been_mql(material: Material) -> frozenset[str] | None:
    """Return the leads that the company's own stages call an MQL or more; None without stages."""
    stages = material.dataset.stages
    if stages is None:
        return None
    moment = pd.Timestamp(material.as_of)
    table = stages.filter(_.stage.isin(["mql", *BEYOND_MQL])).select("lead_id", "at").to_pandas()
    return frozenset(table.loc[table["at"] < moment, "lead_id"])


def worked(material: Material) -> frozenset[str] | None:
    """Return the leads that sales has worked: an activity of sales, or a stage that only sales gives.

    None where the data has neither, so that nobody can tell.
    """
    dataset, moment = material.dataset, pd.Timestamp(material.as_of)
    contacts = dataset.activities_all.filter(_.actor == "sales")
    found = contacts.group_by("lead_id").agg(at=_.known_at.min()).to_pandas()
    if dataset.stages is not None:
        stages = dataset.stages.filter(_.stage.isin(BEYOND_MQL)).select("lead_id", "at").to_pandas()
        found = pd.concat([found, stages], ignore_index=True)
    return frozenset(found.loc[found["at"] < moment, "lead_id"]) if len(found) else None


def words_of_names(material: Material) -> frozenset[str]:
    """Return the words of all leads' names, so that none of them is shown; of addresses if there are none."""
    config, engine = material.config, material.dataset.engine
    raw = open_table(engine, "leads", config.leads, config.root)
    who = read_identities(Reading(engine, config, material.as_of, Findings(1.0)), raw)
    if not who.has_name and not who.has_email:
        return frozenset()
    column = who.table.name if who.has_name else who.table.local
    words = who.table.select(word=column.split(" ").unnest()).distinct().to_pandas()["word"]
    return frozenset(words.dropna())


def telling_attributes(seen: Seen, most: int = 2) -> list[str]:
    """Return the attributes of few values that the model makes most of, strongest first."""
    types = {attribute_column(k.name): k.declared for k in seen.bundle.vocabulary.attributes}
    few = [
        concept
        for concept in seen.concepts.columns
        if concept in types and types[concept].family == "fit" and types[concept].type != "number"
    ]
    strength = seen.concepts[few].abs().mean().sort_values(ascending=False, kind="stable")
    return [str(concept) for concept in strength[strength > 0].index[:most]]
