"""The ideal customer that the user declared, wish by wish, beside what the model learned."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from features.domains import EMAIL_CLASSES
from features.errors import ConfigurationError, listed, nearest
from features.language import Said, Speaker, Text, in_every_language
from features.past import attribute_column
from features.tables import Attribute
from features.vocabulary import OTHER
from features.wording import spaced
from models.crossings import proportion
from models.personas import LEAST_LEADS, Compared, Flags, compare, higher_share
from pipeline import featuring
from pipeline.config import RuleConfig
from pipeline.config_report import Wish
from pipeline.report.material import Material, Seen, canonical

EMAIL = "email"


def ideal(material: Material, leads: Seen, learned: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return how each wish, and all of them together, compare with the learned fit; None without wishes.

    Parameters
    ----------
    leads
        One row a lead of the past, with its grade and label.
    learned
        What sets the best fit apart (`edges`), for what the wishes do not name.

    Raises
    ------
    ConfigurationError
        A wish names an attribute that the leads do not have, or asks of it what it cannot say.
    """
    wishes = material.config.persona
    if not wishes:
        return None
    attributes = _attributes(material)
    left_out = material.bundle.about["left_out"]["attributes"]
    for name, wish in wishes.items():
        _check(name, wish, attributes, left_out)
    judged = {name: wish for name, wish in wishes.items() if name in attributes}
    meets = _meets(material, leads, judged)
    won = leads.rows["label"].to_numpy() == 1
    named = {_concept(name) for name in wishes}
    return {
        "wishes": [_judged(material, leads, name, wish, meets[name], won) for name, wish in judged.items()],
        "left_out": [name for name in wishes if name not in judged],
        "whole": _whole(leads, meets, won) if judged else None,
        "unnamed": [edge for edge in learned if edge["concept"] not in named],
    }


def _attributes(material: Material) -> dict[str, Attribute]:
    """Return what a wish can be about: the attributes that the model sees, and the e-mail address."""
    email = {EMAIL: Attribute(EMAIL, "category")} if material.bundle.vocabulary.email else {}
    return email | {attribute.name: attribute for attribute in material.dataset.tables.attributes}


def _check(name: str, wish: Wish, attributes: dict[str, Attribute], left_out: list[str]) -> None:
    if name in left_out:
        return
    if name not in attributes:
        raise ConfigurationError(
            f"[persona] wishes for '{name}', which the leads do not have.",
            allowed=listed(attributes, 40),
            todo=nearest(name, attributes),
        )
    text = attributes[name].type == "category"
    ranged = wish.at_least is not None or wish.at_most is not None
    if (text and ranged) or (not text and wish.is_one_of is not None):
        raise ConfigurationError(
            f"[persona] asks of '{name}', which is {'text' if text else 'a number'}, what it cannot say.",
            allowed="is_one_of" if text else "at_least, at_most",
        )
    unknown = [c for c in wish.is_one_of or () if name == EMAIL and c not in EMAIL_CLASSES]
    if unknown:
        raise ConfigurationError(
            f"[persona] wishes for the e-mail class '{unknown[0]}'.",
            allowed=listed(EMAIL_CLASSES),
            todo=nearest(unknown[0], EMAIL_CLASSES),
        )


def _concept(name: str) -> str:
    return EMAIL if name == EMAIL else attribute_column(name)


def _meets(material: Material, leads: Seen, wishes: dict[str, Wish]) -> pd.DataFrame:
    """Return (n, wishes) whether each lead meets each wish, by the values themselves, as rules read them."""
    rules, owners = [], []
    for name, wish in wishes.items():
        made = _rules(name, wish)
        rules += made
        owners += [name] * len(made)
    config = material.config.model_copy(update={"rules": rules})
    points = featuring.points_by_rule(material.dataset, canonical(material.dataset, leads.rows), config)
    met = np.empty((len(leads), 0), dtype=bool) if points is None else points.to_numpy() > 0
    columns = {name: met[:, [owner == name for owner in owners]].any(axis=1) for name in wishes}
    return pd.DataFrame(columns, index=leads.rows.index)


def _rules(name: str, wish: Wish) -> list[RuleConfig]:
    """Return rules of which one holds where the wish is met."""
    if name == EMAIL:
        return [
            RuleConfig.model_validate({"name": c, "points": 1, "email_class": c})
            for c in wish.is_one_of or ()
        ]
    return [RuleConfig(name=name, points=1, attribute=name, **wish.model_dump())]


def _judged(
    material: Material, leads: Seen, name: str, wish: Wish, meets: pd.Series, won: Flags
) -> dict[str, Any]:
    """Return one wish, compared: `models.personas.Compared`, and what it is worth in points of propensity."""
    concept = _concept(name)
    feature = "email.class" if name == EMAIL else concept
    seen = concept in leads.concepts
    known = leads.features[feature].notna().to_numpy() if feature in leads.features else meets.to_numpy(bool)
    contribution = leads.concepts[concept].to_numpy(float) if seen else None
    found = compare(meets.to_numpy(bool), known, contribution, won)
    return {
        "name": name,
        "label": material.label(concept) if seen else dict.fromkeys(material.tellers, name),
        "wish": wish_in_words(material, name, wish),
        **found.to_dict(),
        "effect": _effect(material, leads, found),
        "unheard": _unheard(material, name, wish),
    }


def _effect(material: Material, leads: Seen, found: Compared) -> float:
    """Return by how much meeting the wish lifts the propensity of a lead that is otherwise the middle one."""
    middle = float(leads.rows["margin"].median())
    share = found.meets / max(found.meets + found.others, 1)
    ends = np.array([middle - share * found.difference, middle + (1 - share) * found.difference])
    if not np.isfinite(ends).all():
        return float("nan")
    low, high = material.bundle.calibrator.predict(ends)
    return float(high - low)


def wish_in_words(material: Material, name: str, wish: Wish) -> Said:
    """Say what is wished for: ``Software, Banking``, ``at least 50``."""
    rank = any(a.name == name and a.type == "seniority" for a in material.dataset.tables.attributes)

    def written(speaker: Speaker, value: float) -> str:
        if not rank:
            return speaker.plain(value)
        concept = attribute_column(name)
        return material.tellers[speaker.language].value(concept, {concept: value})

    def tell(speaker: Speaker) -> str:
        if wish.is_one_of is not None:
            classes = material.tellers[speaker.language] if name == EMAIL else None
            names = [
                classes.value(EMAIL, {"email.class": c}) if classes else spaced(c) for c in wish.is_one_of
            ]
            return ", ".join(names)
        low, high = (None if v is None else written(speaker, v) for v in (wish.at_least, wish.at_most))
        if low is not None and high is not None:
            return speaker.between(low, high)
        if low is not None:
            return speaker.say(Text("at least {low}", "au moins {low}"), low=low)
        return speaker.say(Text("at most {high}", "au plus {high}"), high=high)

    return in_every_language(tell)


def _unheard(material: Material, name: str, wish: Wish) -> list[dict[str, str]]:
    """Return the wished-for values that few or no leads have, each with the nearest that many have."""
    if name == EMAIL:
        return []
    known = next((k.levels for k in material.bundle.vocabulary.attributes if k.name == name), ())
    names = [level for level in known if level != OTHER]
    return [
        {"value": value, "nearest": next(iter(get_close_matches(value, names, n=1)), "")}
        for value in wish.is_one_of or ()
        if names and value not in names
    ]


def _whole(leads: Seen, meets: pd.DataFrame, won: Flags) -> dict[str, Any]:
    """Return how the leads that meet all wishes compare with the others: good fit, and conversion."""
    all_met = meets.all(axis=1).to_numpy()
    good = leads.rows["grade"].str[0].isin(["A", "B"]).to_numpy()

    def shares(of: Flags) -> dict[str, Any]:
        met, others = (proportion(int(of[rows].sum()), int(rows.sum())) for rows in (all_met, ~all_met))
        return {"meets": met, "others": others, "compared": higher_share(of[all_met], of[~all_met])}

    return {
        "leads": int(all_met.sum()),
        "others": int((~all_met).sum()),
        "few": min(int(all_met.sum()), int((~all_met).sum())) < LEAST_LEADS,
        "fit": shares(good),
        "conversion": shares(won),
    }
