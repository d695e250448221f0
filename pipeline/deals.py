"""Won deals: when, how much, and what was known of their leads before; what amounts are learned from."""

from __future__ import annotations

import ibis
import pandas as pd
from ibis import _

from features.past import Past, attribute_column
from features.reading import EMAIL_CLASS, read_attributes
from models.amounts import Amounts
from pipeline.source.columns import local
from pipeline.source.dataset import Dataset


def won_deals(dataset: Dataset) -> pd.DataFrame | None:
    """Return lead_id, won_at and amount (NaN where unknown) of the wins, in time order.

    None where the configuration names no amounts.
    """
    config = dataset.config.outcomes
    if config is None or dataset.outcomes is None or (config.amount is None and not config.from_activities):
        return None
    wins = dataset.outcomes.filter(_.outcome == "won")
    found = wins.select("lead_id", won_at=_.closed_at, amount=_.amount.cast("float64")).to_pandas()
    return found.sort_values(["won_at", "lead_id"], kind="stable", ignore_index=True)


def segments_of(dataset: Dataset, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what was known of who each lead is, strictly before ``as_of``: a column an attribute.

    `rows` are ``lead_id, as_of`` (naive UTC); the index is kept. Numbers, flags, head counts and ranks are
    floats, categories texts; ``email_class`` says whose e-mail address it is.
    """
    fit = [a for a in dataset.tables.attributes if a.family == "fit"]
    times = pd.to_datetime(rows["as_of"]).astype("datetime64[us]").to_numpy()
    seen = pd.DataFrame({"snapshot": range(len(rows)), "lead_id": rows["lead_id"].to_numpy(), "as_of": times})
    table = ibis.memtable(seen.astype({"lead_id": "str"}))
    timed = table.mutate(as_of=_.as_of.cast("timestamp(6)"), snapshot=_.snapshot.cast("int64"))
    zone = dataset.config.project.timezone
    snapshots = dataset.engine.keep("deals seen", timed.mutate(as_of_local=local(timed.as_of, zone)))
    read = read_attributes(Past(dataset.tables, snapshots, session_gap_minutes=30), fit)
    columns = {a.name: attribute_column(a.name) for a in fit} | {EMAIL_CLASS: EMAIL_CLASS}
    found = read.select("snapshot", **columns).order_by("snapshot").to_pandas()
    return found.drop(columns="snapshot").set_axis(rows.index, axis=0)


def amounts_before(dataset: Dataset, moment: pd.Timestamp) -> Amounts | None:
    """Learn amounts from the deals won before a moment; None where none of them has one above 0.

    A negative amount (a credit note) says nothing of what a deal brings and is left out.
    """
    deals = won_deals(dataset)
    if deals is None:
        return None
    known = deals[(deals["won_at"] < moment) & (deals["amount"] >= 0)].reset_index(drop=True)
    if not (known["amount"] > 0).any():
        return None
    segments = segments_of(dataset, known.rename(columns={"won_at": "as_of"}))
    return Amounts.fit(known["amount"], segments)
