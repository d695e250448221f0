"""Which pages, offers, campaigns, sources and landing pages bring the best MQLs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.language import Said, Text
from features.wording import spaced
from models import lifts
from models.themes import masked_name
from pipeline.report import touches as seen
from pipeline.report import words_sources as words
from pipeline.report.kinds import label_of
from pipeline.report.material import Material

MOST_ROWS = 10
# Rarer values are not named: their numbers would be chance, and the value may be one person's.
LEAST_LEADS = 10
# With fewer conversions, seen and expected, a difference says nothing, not even by its sign.
FEW_CONVERSIONS = 10
# Volume now is that of so many days, against as many before.
RECENT_DAYS = 91


@dataclass(frozen=True)
class Dimension:
    """One way to part leads: by page, by campaign, by source, ... `touches` has the columns `TOUCH`."""

    name: str
    touches: pd.DataFrame
    what: Text
    without: str | None = None


def found(material: Material) -> dict[str, Any]:
    """Return the lifts of each dimension.

    Raises
    ------
    ConfigurationError
        [report] names a kind or an attribute that is not there.
    """
    seen.check_kinds(material)
    judge = seen.Judge(material)
    dimensions = [d for d in _dimensions(material) if len(d.touches)]
    if not dimensions or not judge.possible:
        return {"dimensions": [], "missing": _missing(material, judge)}
    last = _last_seen(material)
    parts = [_dimension(material, judge, dimension, last) for dimension in dimensions]
    told = [part for part in parts if part is not None]
    return {
        "dimensions": told,
        "missing": None if told else words.TOO_FEW.to_dict(),
        "level": lifts.LEVEL,
        "least_leads": LEAST_LEADS,
        "few_conversions": FEW_CONVERSIONS,
        "recent_days": None if material.config.flat else RECENT_DAYS,
        "absent": [words.ABSENT[n].to_dict() for n in _absent(material, dimensions)],
    }


def _missing(material: Material, judge: seen.Judge) -> Said:
    if not judge.possible:
        return words.NOBODY_CONVERTED.to_dict()
    return (words.NO_TIMES if material.config.flat else words.NO_ASSETS).to_dict()


def _dimensions(material: Material) -> Iterator[Dimension]:
    report, dataset, as_of = material.config.report, material.dataset, material.as_of
    first = seen.first_touches(dataset, as_of)
    kinds = {name: list(getattr(report, name)) for name in ("pages", "offers", "campaigns")}
    own = first[first["actor"] != "marketing"]
    for name in ("pages", "offers"):
        if kinds[name]:
            yield Dimension(name, _of_kinds(first, kinds[name]), words.WHAT[name])
    if not kinds["pages"] and not kinds["offers"]:
        others = own[~own["kind"].isin(kinds["campaigns"])]
        yield Dimension("content", others, words.WHAT["content"])
    sent = first[first["actor"] == "marketing"]
    campaigns = _of_kinds(first, kinds["campaigns"]) if kinds["campaigns"] else sent.assign(kind="")
    yield Dimension("campaigns", _earliest(campaigns), words.WHAT["campaigns"])
    # A source that the leak guard left out is not one to go by: then it is the first channel.
    known = {attribute.name for attribute in dataset.tables.attributes}
    source = report.source if report.source in known else None
    origin = seen.sources(dataset, as_of, source)
    what = words.WHAT["sources"] if source else words.WHAT["first channel"]
    yield Dimension("sources", origin, what, source)
    landing = seen.landings(dataset, as_of).dropna(subset=["value"]).assign(kind="")
    yield Dimension("landings", landing, words.WHAT["landings"])


def _of_kinds(first: pd.DataFrame, kinds: list[str]) -> pd.DataFrame:
    """Return the first touches of an asset, whichever of the kinds it was of."""
    return _earliest(first[first["kind"].isin(kinds)].assign(kind=""))


def _earliest(touches: pd.DataFrame) -> pd.DataFrame:
    ordered = touches.sort_values(["at", "lead_id"], kind="stable")
    return ordered.drop_duplicates(["lead_id", "kind", "value"], ignore_index=True)


def _absent(material: Material, dimensions: list[Dimension]) -> list[str]:
    there = {d.name for d in dimensions}
    names = ("activities",) if material.config.flat else ("campaigns", "sources", "landings")
    return [name for name in names if name not in there]


def _last_seen(material: Material) -> pd.DataFrame:
    """Return when the model last saw each lead: at all, as an MQL, and as one that then converted.

    Columns seen, mql, known (an MQL whose horizon has passed) and won, by lead_id; NaT where never.
    """
    level = material.bundle.bands.mql.level
    past = material.window("decision", "test").rows
    now = material.open.rows.assign(label=np.nan)
    columns = ["person", "as_of", "propensity", "label"]
    rows = pd.concat([past[columns], now[columns].astype({"label": float})], ignore_index=True)
    is_mql = rows["propensity"] >= (np.inf if level is None else level)
    at = rows["as_of"].fillna(pd.Timestamp.max.floor("us"))  # without times whoever touched was seen after
    return pd.DataFrame(
        {
            "seen": at.groupby(rows["person"]).max(),
            "mql": at[is_mql].groupby(rows["person"]).max(),
            "known": at[is_mql & rows["label"].notna()].groupby(rows["person"]).max(),
            "won": at[is_mql & (rows["label"] == 1)].groupby(rows["person"]).max(),
        }
    )


def _dimension(
    material: Material, judge: seen.Judge, dimension: Dimension, last: pd.DataFrame
) -> dict[str, Any] | None:
    kept = seen.most_touched(dimension.touches)
    units = judge.judge(kept, dimension.without)
    counted = _volumes(material, kept, last).join(_outcomes(units), how="inner")
    counted = counted[counted["leads"] >= LEAST_LEADS]
    if counted.empty:
        return None
    table = counted.join(lifts.shrunken(counted["won"], counted["expected"]).set_axis(counted.index, axis=0))
    table = table.join(lifts.trends(counted))
    rows = [_row(material, key, row) for key, row in _chosen(table).iterrows()]
    for row in rows:  # what a source is called is one of few words; a page's address is left as it is
        row["name"] = spaced(row["value"]) if dimension.name == "sources" else row["value"]
    everything = dimension.touches.groupby(["kind", "value"]).ngroups
    return {
        "id": dimension.name,
        "title": words.TITLES[dimension.name].to_dict(),
        "column": words.COLUMNS[dimension.name].to_dict(),
        "what": dimension.what.to_dict(),
        "rows": rows,
        "rest": {"values": everything - len(rows), "looked_at": len(table) - len(rows)},
        "touches": {
            "from": _stamp(units["as_of"].min()),
            "to": _stamp(units["as_of"].max()),
            "converted": int(counted["won"].sum()),
            "expected": float(counted["expected"].sum()),
        },
        "words": words.told(rows, len(table)),
    }


def _volumes(material: Material, touches: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Return by kind and value how many leads touched it, recently and before, and the MQLs among them."""
    rows = touches.join(last, on="lead_id")
    at = rows["at"].fillna(pd.Timestamp.min.ceil("us"))
    now, span = pd.Timestamp(material.as_of), pd.Timedelta(days=RECENT_DAYS)
    marks = pd.DataFrame(
        {
            "leads": True,
            "recent": at >= now - span,
            "before": at.between(now - 2 * span, now - span, inclusive="left"),
            "seen": rows["seen"] >= at,
            "mqls": rows["mql"] >= at,
            "mqls_known": rows["known"] >= at,
            "mqls_won": rows["won"] >= at,
        }
    )
    return _by_value(marks, rows).sum().astype(int)


def _outcomes(units: pd.DataFrame) -> pd.DataFrame:
    """Return by kind and value what became of the touches, whole and by halves of the time."""
    middle = units["as_of"].min() + (units["as_of"].max() - units["as_of"].min()) / 2
    recent = (units["as_of"] > middle).astype(float)
    won, expected = units["label"].astype(float), units["expected"]
    parts = pd.DataFrame(
        {
            "units": 1.0,
            "won": won,
            "expected": expected,
            "observed_before": won * (1 - recent),
            "expected_before": expected * (1 - recent),
            "observed_recent": won * recent,
            "expected_recent": expected * recent,
        },
        index=units.index,
    )
    return _by_value(parts, units).sum()


def _by_value(parts: pd.DataFrame, rows: pd.DataFrame) -> Any:
    return parts.groupby([rows["kind"], rows["value"]])


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the surest best and the surest worst values, best first: all, where they are few."""
    if len(table) > MOST_ROWS:
        best = table.sort_values("low", ascending=False, kind="stable").head(MOST_ROWS // 2)
        others = table.drop(best.index)
        worst = others.sort_values("high", kind="stable").head(MOST_ROWS // 2)
        table = pd.concat([best, worst])
    return table.sort_values("lift", ascending=False, kind="stable")


def _row(material: Material, key: Any, row: pd.Series) -> dict[str, Any]:
    kind, value = key
    verdict = "more" if row["low"] > 1 else "less" if row["high"] < 1 else "unclear"
    names = ("leads", "recent", "before", "seen", "mqls", "mqls_known", "mqls_won", "units", "won")
    return {
        "value": masked_name(value),
        "kind": label_of(material, kind) if kind else None,
        **{name: int(row[name]) for name in names},
        "rate": row["won"] / row["units"],
        "expected_rate": row["expected"] / row["units"],
        **{name: float(row[name]) for name in ("raw", "lift", "low", "high", "change", "chance")},
        "trend": row["trend"],
        "verdict": verdict,
        "few": bool(verdict == "unclear" and max(row["won"], row["expected"]) < FEW_CONVERSIONS),
    }


def _stamp(moment: pd.Timestamp) -> str | None:
    return None if pd.isna(moment) else f"{moment.isoformat()}Z"
