"""What times alone tell: kinds that come with the outcome, numbers that know the future, hidden dates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from numpy.typing import NDArray
from scipy.stats import spearmanr

from features.past import attribute_column
from pipeline import featuring
from pipeline.guard.material import Material
from pipeline.guard.verdicts import Evidence

# A kind so near before the outcome is part of recording it.
NEAR_SECONDS = 300
# Leads decided sooner are left out: with them everything lies near the outcome, creation too.
SLOW_SECONDS = 3600
# The share of a kind's occurrences, and of its leads' first ones, at which it comes with the outcome.
WITH_OUTCOME = 0.95
# From here on it is worth a word: features see none of these, but people may think that they do.
PARTLY_WITH_OUTCOME = 1 / 3
LEAST_OCCURRENCES = 20
LEAST_LEADS = 10
# Rank correlation with a count over the whole history that no forecast reaches, and how much of it must
# come from beyond what was known at the snapshot.
FOLLOWS = 0.9
BEYOND_KNOWN = 0.05
GIVEN_KNOWN = 0.5
# Rank correlation with time at which a column is the date under another name.
GROWS = 0.98
LEAST_ROWS = 100
LEAST_DISTINCT = 20
MOST_KINDS = 30


def kinds_with_the_outcome(material: Material) -> dict[str, Evidence]:
    """Return the evidence on each kind that lies at, after or minutes before the outcome of its leads."""
    counted = _placed(material)
    found = {}
    for row in counted.to_dict("records"):
        occurrences, leads = int(row["occurrences"]), int(row["leads"])
        enough = occurrences >= LEAST_OCCURRENCES and leads >= LEAST_LEADS
        late, leads_late = int(row["late"]) / occurrences, int(row["leads_late"]) / leads
        if not enough or late < PARTLY_WITH_OUTCOME:
            continue
        proven = late >= WITH_OUTCOME and leads_late >= WITH_OUTCOME
        words = (
            f"lies at, after or within {NEAR_SECONDS // 60} minutes before the outcome in {late:.0%} of its "
            f"{occurrences:,} occurrences on {leads:,} leads that were open for an hour or more"
        )
        words += ": it comes with the outcome" if proven else "; only those before it can be features"
        numbers = {
            "occurrences": occurrences, "late": int(row["late"]), "late_share": late,
            "leads": leads, "leads_late": int(row["leads_late"]),
        }  # fmt: skip
        test = "after_the_outcome" if proven else "partly_after_the_outcome"
        found[str(row["kind"])] = Evidence(test, words, numbers)
    return found


def _placed(material: Material) -> pd.DataFrame:
    """Count, by kind, occurrences and leads, and those that came with the outcome.

    Only leads with one outcome count: after a first one, a further episode may begin.
    """
    leads = material.leads
    slow = (leads["closed_at"] - leads["created_at"]).dt.total_seconds() > SLOW_SECONDS
    once = leads[slow & (leads["outcomes"] == 1)]
    near = once["closed_from"] - pd.Timedelta(seconds=NEAR_SECONDS)
    ends = ibis.memtable(
        pd.DataFrame({"lead_id": once["lead_id"], "ends": near}),
        schema={"lead_id": "string", "ends": "timestamp(6)"},
    )
    joined = material.dataset.tables.activities.inner_join(ends, "lead_id")
    late = (joined.occurred_at >= joined.ends).cast("int64")
    by_lead = joined.group_by(["kind", "lead_id"]).agg(n=joined.count(), late=late.sum())
    return (
        by_lead.group_by("kind")
        .agg(
            occurrences=by_lead.n.sum(),
            late=by_lead.late.sum(),
            leads=by_lead.count(),
            leads_late=(by_lead.n == by_lead.late).sum(),
        )
        .to_pandas()
    )


def follow_the_future(material: Material) -> dict[str, Evidence]:
    """Return the evidence on each number that counts activities which came after its snapshots."""
    names = [a.name for a in material.attributes if a.type == "number" and not a.checked]
    if not names or not material.timed:
        return {}
    totals, known = _counts(material)
    first = material.training.once
    values = material.training.attributes[first]
    found = {}
    for name in names:
        evidence = _best_count(values[attribute_column(name)], totals, known)
        if evidence is not None:
            found[name] = evidence
    return found


def _counts(material: Material) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return, for each lead's first training snapshot, counts over the whole history and those known then.

    Columns: each of the most frequent kinds, "" for all kinds, "days" for days with any activity.
    """
    dataset, training = material.dataset, material.training
    keys = training.keys[training.once]
    owners = ibis.memtable(pd.DataFrame({"snapshot": keys.index.to_numpy(), "lead_id": keys["lead_id"]}))
    whole = dataset.activities_all.inner_join(owners, "lead_id")
    totals = _by_snapshot(whole, whole.occurred_local.date(), keys.index)
    chosen = featuring.select(dataset, material.prepared.snapshots, keys.index.to_list())
    seen = featuring.past_of(dataset, chosen, featuring.settings(dataset.config)).activities
    known = _by_snapshot(seen, seen.day, keys.index)
    frequent = (totals > 0).sum().sort_values(ascending=False).index[: MOST_KINDS + 2]
    return totals[frequent], known.reindex(columns=frequent, fill_value=0.0)


def _by_snapshot(rows: ir.Table, day: ir.Value, index: pd.Index) -> pd.DataFrame:
    by_kind = rows.group_by(["snapshot", "kind"]).agg(n=_.count()).to_pandas()
    table = by_kind.pivot(index="snapshot", columns="kind", values="n").reindex(index).fillna(0.0)
    days = rows.mutate(on=day).group_by("snapshot").agg(days=_.on.nunique()).to_pandas()
    table[""] = table.sum(axis=1)
    table["(days)"] = days.set_index("snapshot")["days"].reindex(index).fillna(0.0)
    return table


def _best_count(values: pd.Series, totals: pd.DataFrame, known: pd.DataFrame) -> Evidence | None:
    there = values.notna().to_numpy()
    number = values[there].to_numpy(float)
    if there.sum() < LEAST_ROWS or len(np.unique(number)) < 3:
        return None
    best: tuple[float, float, str] | None = None
    for count in totals.columns:
        total = totals[count].to_numpy()[there]
        if len(np.unique(total)) < 3:
            continue
        whole = _rank_correlation(number, total)
        if abs(whole) < FOLLOWS or (best is not None and abs(whole) <= abs(best[0])):
            continue
        before = _rank_correlation(number, known[count].to_numpy()[there])
        between = _rank_correlation(total, known[count].to_numpy()[there])
        if abs(whole) - abs(before) > BEYOND_KNOWN and _given(whole, before, between) > GIVEN_KNOWN:
            best = (whole, before, str(count))
    if best is None:
        return None
    whole, before, count = best
    what = {"": "all activities", "(days)": "the days with activity"}.get(count, f"'{count}'")
    words = (
        f"follows the count of {what} over the lead's whole history (rank correlation {whole:.2f}) and less "
        f"the count known at the snapshot ({before:.2f}): it was written later"
    )
    return Evidence("follows_the_future", words, {"counts": what, "whole": whole, "known": before})


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if len(np.unique(one)) < 2 or len(np.unique(other)) < 2:
        return 0.0
    return float(spearmanr(one, other).statistic)


def _given(whole: float, before: float, between: float) -> float:
    """Return the partial correlation of a value with the whole count, given the count known before."""
    rest = (1 - before**2) * (1 - between**2)
    return abs(whole - before * between) / float(np.sqrt(rest)) if rest > 1e-12 else 0.0


def grow_with_time(material: Material) -> dict[str, Evidence]:
    """Return the evidence on each column that is the date, or the row's place, under another name."""
    leads = material.leads
    order, _decided = material.born_and_decided
    ordered = material.timed or material.dataset.config.split == "row"
    what = "the time of creation" if material.timed else "the order of the rows"
    found = {}
    for name in (a.name for a in material.attributes if not a.checked):
        number = _numbers(leads[attribute_column(name)])
        evidence = _grows(number, order, leads["training"].to_numpy(bool), what)
        if evidence is not None:
            # A table without an order may simply have been sorted by this column.
            found[name] = evidence if ordered else replace(evidence, test="sorted_rows")
    return found


def _numbers(values: pd.Series) -> NDArray[np.float64]:
    """Return the values, or the last number in each text ("INV-00017" is 17)."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(float, na_value=np.nan)
    tail = values.astype(object).where(values.notna(), "").astype(str).str.extract(r"(\d{1,15})\D*$")[0]
    return pd.to_numeric(tail, errors="coerce").to_numpy(float)


def _grows(
    number: NDArray[np.float64], order: NDArray[np.float64], training: NDArray[np.bool_], what: str
) -> Evidence | None:
    there = np.isfinite(number) & np.isfinite(order)
    if there.sum() < LEAST_ROWS or len(np.unique(number[there])) < LEAST_DISTINCT:
        return None
    correlation = float(spearmanr(number[there], order[there]).statistic)
    if abs(correlation) < GROWS:
        return None
    numbers: dict[str, float | int | str | None] = {"rank_correlation": correlation}
    words = f"grows with {what} (rank correlation {correlation:.3f}): it is the date under another name"
    own = number[there & training]
    later = there & (order > order[there & training].max()) if len(own) else np.zeros_like(there)
    if later.any():
        outside = (number[later] > own.max()) | (number[later] < own.min())
        numbers["outside"] = float(outside.mean())
        words += (
            f", and {outside.mean():.0%} of {int(later.sum()):,} later leads lie beyond the training part's"
        )
    return Evidence("grows_with_time", words, numbers)


def judged_kinds(material: Material) -> list[str]:
    """Return the kinds that features may see, in order."""
    return sorted(map(str, _distinct(material.dataset.tables.activities)))


def _distinct(activities: ir.Table) -> Iterable[str]:
    return activities.select("kind").distinct().kind.execute().tolist()
