"""The lines of a point table: what people call them, and how files hold them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from features.bands import SENIORITY_LEVELS
from features.language import Said, Speaker, Text, in_every_language
from features.rules import ActivityRule, AttributeRule, EmailRule, Rule
from features.tables import Attribute
from features.wording import EMAIL_WORDS, YES
from pipeline.durations import format_duration

COLUMNS = (
    "name", "points", "activity", "within", "attribute", "is_one_of", "at_least", "at_most", "email_class",
)  # fmt: skip
ADDRESSES = {
    name: Text(f"{word.en} e-mail address", f"adresse e-mail {word.fr}") for name, word in EMAIL_WORDS.items()
}
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def line_name(rule: Rule, label: Callable[[str], Said], attributes: dict[str, Attribute]) -> Said:
    """Return what people call a line: ``pricing page in the last 7 days``, ``industry: Finance, Health``.

    `label` names a concept in every language; `attributes` are the declared ones by name.
    """
    if isinstance(rule, EmailRule):
        return ADDRESSES[rule.email_class].to_dict()
    if isinstance(rule, ActivityRule):
        kind, days = label(f"activity.{rule.kind}"), rule.within_days
        return in_every_language(lambda s: _activity(s, s.pick(kind), days))
    of = label(f"attribute.{rule.attribute}")
    return in_every_language(lambda s: _attribute(s, s.pick(of), rule, attributes[rule.attribute].type))


def _activity(speaker: Speaker, label: str, days: float | None) -> str:
    if days is None:
        return speaker.say(Text("{label}, at any time", "{label}, à tout moment"), label=label)
    form = Text("{label} in the last {n} days", "{label} dans les {n} derniers jours")
    return speaker.say(form, label=label, n=speaker.plain(days))


def _attribute(speaker: Speaker, label: str, rule: AttributeRule, kind: str) -> str:
    return speaker.say(
        Text("{label}: {what}", "{label} : {what}"), label=label, what=_what(speaker, rule, kind)
    )


def _what(speaker: Speaker, rule: AttributeRule, kind: str) -> str:
    if rule.one_of:
        return ", ".join(rule.one_of)
    if rule.filled is not None:
        return speaker.say(Text("known", "renseigné") if rule.filled else Text("not known", "non renseigné"))
    if kind == "flag":
        return speaker.say(YES)
    parts = [
        speaker.say(form, n=_amount(speaker, edge, kind))
        for form, edge in (
            (Text("at least {n}", "au moins {n}"), rule.at_least),
            (Text("at most {n}", "au plus {n}"), rule.at_most),
        )
        if edge is not None
    ]
    return speaker.listed(parts)


def _amount(speaker: Speaker, edge: float, kind: str) -> str:
    if kind == "seniority":
        return speaker.say(SENIORITY_LEVELS[min(max(round(edge), 1), len(SENIORITY_LEVELS)) - 1])
    if kind == "size":
        return speaker.say(Text("{n} employees", "{n} salariés"), n=speaker.plain(edge))
    return speaker.plain(edge)


def as_config(rule: Rule, name: str) -> dict[str, Any]:
    """Return a rule as an entry of ``[[rules]]`` in the configuration."""
    found: dict[str, Any] = {"name": name, "points": round(rule.points)}
    if isinstance(rule, ActivityRule):
        found["activity"] = rule.kind
        if rule.within_days is not None:
            found["within"] = format_duration(timedelta(days=rule.within_days))
    elif isinstance(rule, EmailRule):
        found["email_class"] = rule.email_class
    else:
        found["attribute"] = rule.attribute
        edges = {"at_least": rule.at_least, "at_most": rule.at_most}
        found |= {"is_one_of": list(rule.one_of)} if rule.one_of else {}
        found |= {key: _plain(edge) for key, edge in edges.items() if edge is not None}
    return found


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number


def as_toml(entries: Sequence[dict[str, Any]], comments: Sequence[str]) -> str:
    """Return entries of ``[[rules]]`` as text for the configuration, comments first."""
    blocks = ["".join(f"# {line}\n" for line in comments)]
    for entry in entries:
        blocks.append("[[rules]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in entry.items()))
    return "\n".join(blocks)


def _toml(value: Any) -> str:
    """Write a value; TOML's basic strings, numbers and lists are JSON's but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_csv(entries: Sequence[dict[str, Any]]) -> str:
    """Return entries of ``[[rules]]`` as a table for a spreadsheet, one row a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([_cell(entry.get(column, "")) for column in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> Any:
    text = " | ".join(value) if isinstance(value, list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text
