"""The feature dictionary: every pattern of columns, generated from the declarations."""

from __future__ import annotations

from typing import get_args

from features.catalogue import FAMILIES
from features.declare import Feature
from features.language import Text
from features.settings import FeatureSettings
from features.tables import Attribute, AttributeType
from features.vocabulary import OTHER, Kind, KnownAttribute, Vocabulary
from features.wording import ALL_ACTIVITIES

_INTRODUCTION = """# Feature dictionary

Generated from the declarations in `features/` by `python -m features.dictionary`; a test fails when it is
stale. `<kind>` is every frequent kind of activity, and `other` for the rare ones together; `<number>`,
`<category>` and so on every attribute of that type. Windows and half-lives are the defaults. Columns that
cannot vary in the training data (assets where there are none, a field that is always filled in) are
left out of a model.

Every value is as known strictly before the snapshot; ages are counted back from there.
"""


_TYPES: dict[AttributeType, Text] = {
    "number": Text("(number)", "(nombre)"),
    "category": Text("(category)", "(catégorie)"),
    "flag": Text("(flag)", "(oui ou non)"),
    "size": Text("(size)", "(taille)"),
    "seniority": Text("(seniority)", "(rang)"),
}


def example_vocabulary() -> Vocabulary:
    """Return a vocabulary with one placeholder for all that data fill in, in which everything varies."""
    varies = {"assets": True, "channels": True, "values": True}
    attributes = tuple(
        KnownAttribute(
            Attribute(f"<{type_}>", type_),
            _TYPES[type_],
            gaps=True,
            levels=("<value>", OTHER) if type_ == "category" else (),
        )
        for type_ in get_args(AttributeType)
    )
    return Vocabulary(
        settings=FeatureSettings(),
        kinds=(Kind("<kind>", Text("(kind)", "(activité)"), **varies),),
        pooled=False,
        overall=Kind("", ALL_ACTIVITIES, **varies),
        channels=("<channel>", OTHER),
        attributes=attributes,
        email=True,
    )


def render() -> str:
    """Return the dictionary as Markdown, one table for fit and one for engagement."""
    vocabulary = example_vocabulary()
    features = [feature for family in FAMILIES for feature in family.features(vocabulary)]
    parts = [_INTRODUCTION]
    for title, family in (("Fit: who the lead is", "fit"), ("Engagement: what the lead did", "engagement")):
        rows = [_row(feature) for feature in features if feature.family == family]
        parts.append(
            "\n".join(
                [
                    f"## {title}\n",
                    "| column | label | in French | meaning | type | unit | concept |",
                    "|---|---|---|---|---|---|---|",
                    *rows,
                    "",
                ]
            )
        )
    return "\n".join(parts)


def _row(feature: Feature) -> str:
    levels = ", ".join(feature.levels)
    type_ = f"{feature.type}: {levels}" if levels else feature.type
    cells = (
        f"`{feature.name}`",
        feature.label.en,
        feature.label.fr,
        feature.description.en,
        type_,
        feature.unit,
        f"`{feature.concept}`",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(render(), end="")
