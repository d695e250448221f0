"""What is learnt from the training snapshots before any feature can be computed.

Which kinds are frequent enough for features of their own, which values a category has, which
columns say anything at all. It is fitted on the past of training snapshots only, stored as JSON with the
model, and unchanged ever after: scoring sees the same features in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from features.language import Text
from features.past import Past, attribute_column
from features.reading import EMAIL_CLASS, read_attributes
from features.settings import FeatureSettings
from features.tables import Attribute
from features.wording import ALL_ACTIVITIES, OTHER_ACTIVITY, readable

# The pool of rare kinds, and of rare and never seen categories. A kind or value that has this very
# name joins the pool.
OTHER = "other"


@dataclass(frozen=True)
class Kind:
    """A kind with features of its own (or the pool, or all together), and what varies within it."""

    name: str
    label: Text
    assets: bool = False
    channels: bool = False
    values: bool = False

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Kind:
        """Return the kind that `Vocabulary.to_dict` wrote, or wrote when labels had one language."""
        return cls(**{**plain, "label": Text.of(plain["label"])})


@dataclass(frozen=True)
class KnownAttribute:
    """An attribute as training saw it; `gaps` says whether it was sometimes missing, sometimes not."""

    declared: Attribute
    label: Text
    gaps: bool
    levels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The attribute's own name."""
        return self.declared.name

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> KnownAttribute:
        """Return the attribute that `Vocabulary.to_dict` wrote, or wrote when labels had one language."""
        given = plain["declared"]["label"]
        declared = Attribute(**{**plain["declared"], "label": Text.of(given) if given else None})
        return cls(declared, Text.of(plain["label"]), plain["gaps"], tuple(plain["levels"]))


@dataclass(frozen=True)
class Vocabulary:
    """Fitted state: everything that features depend on beside the past itself.

    `kinds` ends with the pool when `pooled`; `overall` is all kinds together; `channels` are levels
    for the first and last channel, empty if there is nothing to tell apart.
    """

    settings: FeatureSettings
    kinds: tuple[Kind, ...]
    pooled: bool
    overall: Kind
    channels: tuple[str, ...]
    attributes: tuple[KnownAttribute, ...]
    email: bool

    @property
    def kept_kinds(self) -> tuple[str, ...]:
        """Names of the kinds with features of their own, without the pool."""
        return tuple(kind.name for kind in self.kinds if kind.name != OTHER)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Attributes that are taken as they are today, because no time says when they were known."""
        return tuple(known.name for known in self.attributes if not known.declared.checked)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON can hold it."""
        return {
            "settings": self.settings.to_dict(),
            "kinds": [asdict(kind) for kind in self.kinds],
            "pooled": self.pooled,
            "overall": asdict(self.overall),
            "channels": list(self.channels),
            "attributes": [{**asdict(known), "levels": list(known.levels)} for known in self.attributes],
            "email": self.email,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Vocabulary:
        """Return the state that `to_dict` wrote."""
        return cls(
            settings=FeatureSettings.from_dict(plain["settings"]),
            kinds=tuple(map(Kind.from_dict, plain["kinds"])),
            pooled=plain["pooled"],
            overall=Kind.from_dict(plain["overall"]),
            channels=tuple(plain["channels"]),
            attributes=tuple(map(KnownAttribute.from_dict, plain["attributes"])),
            email=plain["email"],
        )


def learn(past: Past, settings: FeatureSettings) -> Vocabulary:
    """Learn the vocabulary from the past of the training snapshots.

    Frequencies count leads, not snapshots or activities, so that a lead seen at six ages counts once.
    """
    kept, pooled = _kept_kinds(past, settings)
    channels = _levels(_leads_by(past, past.activities, "channel"), settings)
    read = read_attributes(past, past.declared)
    return Vocabulary(
        settings=settings,
        kinds=_described(past, kept, pooled, settings),
        pooled=pooled,
        overall=_overall(past),
        channels=channels if len(channels) > 1 else (),
        attributes=_known_attributes(past, read, settings),
        email=_filled_shares(read, [EMAIL_CLASS])[EMAIL_CLASS] > 0,
    )


def _kept_kinds(past: Past, settings: FeatureSettings) -> tuple[tuple[str, ...], bool]:
    leads = _leads_by(past, past.activities, "kind")
    frequent = [name for name, count in leads if count >= settings.min_kind_leads and name != OTHER][
        : settings.max_kinds
    ]
    return tuple(frequent), len(frequent) < len(leads)


def _described(
    past: Past, kept: tuple[str, ...], pooled: bool, settings: FeatureSettings
) -> tuple[Kind, ...]:
    """Say for each kind which columns vary within it, so that constant features are never made."""
    rows = past.pooled(kept)
    each = rows.group_by("snapshot", "kind").agg(
        assets=rows.kind_new_asset.sum(),
        channels=rows.kind_new_channel.sum(),
        values=rows.value.notnull().sum(),
    )
    by_kind = each.group_by("kind").agg(
        assets=each.assets.max() > 1, channels=each.channels.max() > 1, values=each["values"].max() > 0
    )
    varies = {row.pop("kind"): row for row in by_kind.to_pyarrow().to_pylist()}
    kinds = [
        Kind(name, settings.labels.get(name) or Text.of(readable(name)), **varies[position])
        for position, name in enumerate(kept)
    ]
    if pooled:
        kinds.append(Kind(OTHER, settings.labels.get(OTHER, OTHER_ACTIVITY), **varies[len(kept)]))
    return tuple(kinds)


def _overall(past: Past) -> Kind:
    rows = past.activities
    each = rows.group_by("snapshot").agg(
        assets=rows.new_asset.sum(), channels=rows.new_channel.sum(), values=rows.value.notnull().sum()
    )
    most = each.agg(assets=each.assets.max(), channels=each.channels.max(), values=each["values"].max())
    found = most.to_pyarrow().to_pylist()[0]
    return Kind(
        "",
        ALL_ACTIVITIES,
        assets=(found["assets"] or 0) > 1,
        channels=(found["channels"] or 0) > 1,
        values=(found["values"] or 0) > 0,
    )


def _known_attributes(past: Past, read: ir.Table, settings: FeatureSettings) -> tuple[KnownAttribute, ...]:
    columns = [attribute_column(attribute.name) for attribute in past.declared]
    filled = _filled_shares(read, columns)
    found = []
    for attribute, column in zip(past.declared, columns, strict=True):
        category = attribute.type == "category"
        levels = _levels(_leads_by(past, read, column), settings) if category else ()
        label = attribute.label or Text.of(readable(attribute.name))
        found.append(KnownAttribute(attribute, label, gaps=0 < filled[column] < 1, levels=levels))
    return tuple(found)


def _filled_shares(read: ir.Table, columns: list[str]) -> dict[str, float]:
    """Return which share of the snapshots has a value, 0 for all columns of an empty table."""
    counts = {f"c{place}": read[column].count() for place, column in enumerate(columns)}
    row = read.agg(rows=read.count(), **counts).to_pyarrow().to_pylist()[0]
    return {column: row[f"c{place}"] / max(row["rows"], 1) for place, column in enumerate(columns)}


def _leads_by(past: Past, rows: ir.Table, column: str) -> list[tuple[str, int]]:
    """Return each value of a column with the number of its leads, most frequent first, then by name."""
    values = rows.select(snapshot=rows.snapshot, met=rows[column]).filter(rows[column].notnull()).distinct()
    owned = values.join(past.owners, "snapshot")
    counted = owned.group_by("met").agg(leads=owned.lead_id.nunique()).to_pyarrow().to_pylist()
    return sorted(((row["met"], row["leads"]) for row in counted), key=lambda pair: (-pair[1], pair[0]))


def _levels(leads: list[tuple[str, int]], settings: FeatureSettings) -> tuple[str, ...]:
    """Return the kept values in alphabetical order and the pool; nothing if none is kept."""
    frequent = [value for value, count in leads if count >= settings.min_category_leads and value != OTHER][
        : settings.max_categories
    ]
    return (*sorted(frequent), OTHER) if frequent else ()


def coded(value: ir.StringValue, levels: tuple[str, ...]) -> ir.IntegerValue:
    """Return the position of a text in `levels`: the pool's for an unknown one, missing for a missing."""
    pairs = [(level, ibis.literal(code, type="int64")) for code, level in enumerate(levels)]
    unknown = ibis.literal(levels.index(OTHER), type="int64") if OTHER in levels else ibis.null("int64")
    return ibis.ifelse(value.isnull(), ibis.null("int64"), value.cases(*pairs, else_=unknown))
