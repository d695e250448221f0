"""First touches of the past: who touched which value when, and whether they converted within the horizon.

A touch is the first of its value by a lead, at the time it became known, while the lead was open
and sales had not begun. What became of it is only asked where the horizon has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from features.errors import ConfigurationError, listed, nearest
from features.past import TIE_BREAKERS
from models import lifts
from pipeline import snapshots as snap
from pipeline.report.fit import fit_features
from pipeline.report.material import Material
from pipeline.source.dataset import Dataset

# The most touched values of a dimension that are looked at; beyond, nobody reads on.
MOST_VALUES = 60
# Ages at which leads in general are seen, to learn what to expect of them. From the first moment on: where
# most are turned down within the hour, a lead of an hour is another thing than a new one.
AGES = (
    *(timedelta(minutes=m) for m in (0, 5, 60)),
    *(timedelta(days=d) for d in (1, 3, 7, 14, 30, 60, 120, 240, 480)),
)
# What a form tells is written down with it or soon after: a lead's fit at a moment is that of an hour later.
SOON = timedelta(hours=1)
# `kind` is empty where values are the same whatever the kind.
TOUCH = ("lead_id", "kind", "value", "at")


def check_kinds(material: Material) -> None:
    """Raise `ConfigurationError` if [report] names a kind that no activity has, or no such attribute.

    What the leak guard left out is there, only not for the model: that is no mistake of the user.
    """
    report, left_out = material.config.report, material.bundle.about["left_out"]
    kinds = material.dataset.activities_all.select("kind").distinct().kind.execute().dropna().tolist()
    kinds += left_out["kinds"]
    for key in ("pages", "offers", "campaigns"):
        for name in getattr(report, key):
            _check(f"[report] {key}", name, kinds, "kind of activity")
    if report.source is not None:
        names = [*(a.name for a in material.dataset.tables.attributes), *left_out["attributes"]]
        _check("[report] source", report.source, names, "attribute")


def _check(where: str, name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise ConfigurationError(
            f"{where} names the {what} {name!r}, which the model's data does not have.",
            allowed=listed(sorted(known), 30) or f"no {what}: there is none",
            todo=nearest(name, known) or "correct the name in the configuration, or take it out",
        )


def first_touches(dataset: Dataset, as_of: datetime) -> pd.DataFrame:
    """Return lead_id, kind, value (the asset), at and actor of each lead's first touch of each asset."""
    seen = _before(dataset, as_of).filter(_.asset.notnull() & (_.actor != "sales"))
    first = seen.group_by("lead_id", "kind", "actor", value="asset").agg(at=_.known_at.min())
    return first.select(*TOUCH, "actor").to_pandas()


def landings(dataset: Dataset, as_of: datetime) -> pd.DataFrame:
    """Return lead_id, kind, value and at of each lead's first own activity; the value may be missing."""
    return _first_own(_before(dataset, as_of), "asset")


def sources(dataset: Dataset, as_of: datetime, attribute: str | None) -> pd.DataFrame:
    """Return lead_id, kind (empty), value and at of where each lead came from.

    The value of `attribute` as first known, else the channel of the lead's first own activity with one.
    """
    if attribute is None:
        seen = _before(dataset, as_of)
        return _first_own(seen.filter(_.channel.notnull()), "channel").assign(kind="")
    leads = dataset.tables.leads.select("lead_id", at="created_at")
    versions = next((v for v in dataset.tables.versions if attribute in v.columns), None)
    if versions is None:
        values = dataset.tables.leads.select("lead_id", value=_[attribute].cast("string"))
    else:
        known = versions.filter(_[attribute].notnull()).mutate(value=_[attribute].cast("string"))
        order = ibis.window(group_by="lead_id", order_by=["known_at", "value"])
        values = known.mutate(rank=ibis.row_number().over(order)).filter(_["rank"] == 0)
        values = values.select("lead_id", "value")
    found = leads.inner_join(values, "lead_id").filter(_["value"].notnull()).to_pandas()
    early = found["at"].isna() | (found["at"] < pd.Timestamp(as_of))
    return found[early].assign(kind="")[list(TOUCH)]


def _before(dataset: Dataset, as_of: datetime) -> ir.Table:
    return dataset.tables.activities.filter(_.known_at < ibis.literal(as_of, "timestamp(6)"))


def _first_own(activities: ir.Table, column: str) -> pd.DataFrame:
    own = activities.filter(_.actor == "lead")
    ties = [ibis.asc(own[name], nulls_first=True) for name in ("occurred_at", *TIE_BREAKERS)]
    order = ibis.window(group_by="lead_id", order_by=[own.known_at, *ties])
    first = own.mutate(rank=ibis.row_number().over(order)).filter(_["rank"] == 0)
    return first.select("lead_id", "kind", value=_[column], at="known_at").to_pandas()


def most_touched(touches: pd.DataFrame) -> pd.DataFrame:
    """Keep the touches of the values that most leads touched."""
    of = ["kind", "value"]
    counted = touches.groupby(of)["lead_id"].nunique().rename("n").reset_index()
    kept = counted.sort_values(["n", *of], ascending=[False, True, True]).head(MOST_VALUES)
    return touches.merge(kept[of], on=of)


class Judge:
    """Judges touches against what is expected of leads like these, learned once."""

    def __init__(self, material: Material) -> None:
        self._dataset, self._vocabulary = material.dataset, material.bundle.vocabulary
        self._learned: dict[str | None, lifts.Expectation] = {}
        self._until = pd.Timestamp(material.as_of) - material.config.snapshots.horizon
        if material.dataset.labels is None:
            self._spans = snap.episodes(material.dataset)
            general = snap.at_ages(material.dataset, self._spans, AGES)
            self._general = self._closed(general).drop_duplicates(["lead_id", "as_of"], ignore_index=True)
        else:
            self._general = _flat_leads(material.dataset)

    @property
    def possible(self) -> bool:
        """Whether any lead converted, and any did not."""
        return bool(self._general["label"].nunique() == 2)

    def judge(self, touches: pd.DataFrame, without: str | None = None) -> pd.DataFrame:
        """Return the touches to judge by, one an account (or lead) and value, the earliest.

        Parameters
        ----------
        touches
            Columns `TOUCH`.
        without
            An attribute that what is expected of a lead must not know.

        Returns
        -------
        Columns lead_id, group_id, kind, value, as_of, label (1: converted within the horizon) and expected.
        """
        units = self._units(touches)
        if not len(units):
            return units.assign(expected=pd.Series(dtype=float))
        mine = self._known(units, without)
        return units.assign(expected=self._expectation(without).predict(mine, units["group_id"]))

    def _expectation(self, without: str | None) -> lifts.Expectation:
        if without not in self._learned:
            rows = self._general
            known = self._known(rows, without)
            self._learned[without] = lifts.Expectation().fit(known, rows["label"], rows["group_id"])
        return self._learned[without]

    def _units(self, touches: pd.DataFrame) -> pd.DataFrame:
        if self._dataset.labels is not None:
            units = touches.drop(columns="at").merge(self._general, on="lead_id")
        else:
            units = self._closed(self._at_touches(touches))
        units = units.sort_values(["as_of", "lead_id"], kind="stable")
        return units.drop_duplicates(["group_id", "kind", "value"], ignore_index=True)

    def _at_touches(self, touches: pd.DataFrame) -> ir.Table:
        """Return every touch within an episode; one before the lead existed is known when it does."""
        plain = touches[list(TOUCH)].astype({"at": "datetime64[us]"})
        schema = {"lead_id": "string", "kind": "string", "value": "string", "at": "timestamp(6)"}
        given = self._dataset.engine.keep("touches", ibis.memtable(plain, schema=schema))
        inside = self._spans.inner_join(given, "lead_id").filter((_.episode == 1) | (_.at >= _.opened_at))
        return inside.mutate(as_of=ibis.greatest(_.at, _.opened_at))

    def _closed(self, seen: ir.Table) -> pd.DataFrame:
        """Return the matured snapshots of leads that were open, with what is asked of them here."""
        matured = snap.matured(self._dataset, snap.while_open(self._dataset, seen))
        names = ["lead_id", "group_id", "opened_at", "as_of", "label", "kind", "value"]
        found = matured.select(*(n for n in names if n in matured.columns)).to_pandas()
        return found[found["as_of"] <= self._until].reset_index(drop=True)

    def _known(self, rows: pd.DataFrame, without: str | None) -> pd.DataFrame:
        """Return what is known of leads at moments, apart from what they did: fit, age and date."""
        judged = pd.DataFrame({"person": rows["lead_id"], "as_of": rows["as_of"] + SOON})
        found = fit_features(self._dataset, judged, self._vocabulary, without)
        if self._dataset.labels is not None:
            return found
        hours = _hours(rows["as_of"] - rows["opened_at"])
        years = _hours(rows["as_of"] - self._general["as_of"].min()) / (365 * 24)
        knots = [age / timedelta(hours=1) for age in AGES]
        return found.assign(years=years, **_between(np.log1p(hours), np.log1p(knots)))


def _hours(lengths: pd.Series) -> pd.Series:
    return lengths.dt.total_seconds() / 3600


def _between(value: pd.Series, knots: Any) -> dict[str, Any]:
    """Return columns in which a straight line is one from knot to knot, level beyond the last.

    The chances of a lead fall fast at first and slowly later.
    """
    return {f"age {k}": np.interp(value, knots, row) for k, row in enumerate(np.eye(len(knots)))}


def _flat_leads(dataset: Dataset) -> pd.DataFrame:
    """Return the labelled leads of a table without times."""
    assert dataset.labels is not None, "only a flat table has no times"
    leads = dataset.tables.leads
    owners = leads.select("lead_id", group_id=snap.group_of(leads))
    labels = dataset.labels.filter(_.label.notnull()).select("lead_id", "label")
    found = labels.inner_join(owners, "lead_id").select("lead_id", "group_id", "label").to_pandas()
    return found.assign(as_of=pd.NaT, opened_at=pd.NaT).astype({"as_of": "datetime64[us]"})
