"""Kinds of activity as the report speaks of them."""

from __future__ import annotations

from ibis import _

from features.language import Said, Text
from features.vocabulary import OTHER
from features.wording import readable
from pipeline.report.material import Material

# A kind is the leads' own where they are the actor of most of its activities.
_MOST = 0.5


def label_of(material: Material, kind: str) -> Said:
    """Return what people call a kind of activity, also one without features of its own."""
    if kind in material.bundle.vocabulary.kept_kinds:
        return material.label(f"activity.{kind}")
    return Text.of(material.config.features.labels.get(kind, readable(kind))).to_dict()


def all_kinds(material: Material) -> list[str]:
    """Return every kind that the data has, also those that the model does not see, in order of name."""
    seen = material.dataset.activities_all.select("kind").distinct().kind.execute().dropna().tolist()
    return sorted({*seen, *material.bundle.about["left_out"]["kinds"]})


def of_leads(material: Material) -> list[str]:
    """Return the kinds with features of their own that leads do themselves, in order of name."""
    activities = material.dataset.tables.activities
    shares = activities.group_by("kind").agg(own=(_.actor == "lead").cast("float64").mean()).to_pandas()
    own = set(shares.loc[shares["own"] > _MOST, "kind"])
    return sorted(kind for kind in material.bundle.vocabulary.kept_kinds if kind in own and kind != OTHER)
