"""The work list: who is on it and in which order, what is said of each, and no names but on request."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from project import write_project
from small_report import content, small

from features.errors import ConfigurationError
from features.language import LANGUAGES
from pipeline.configuring import read_config
from pipeline.report import page
from pipeline.report.material import Material
from pipeline.report.names import names_of
from pipeline.report.sections import today

# The open leads have propensities from 1 / (1 + e^0.96), 0.277 (l40), to 1 / (1 + e^0.941), 0.281 (l59).
TOP_THREE = 0.2802


def listed(material: Material) -> list[str]:
    return [lead["lead_id"] for lead in today.found(material)["leads"]]


def ready(material: Material, *leads: str) -> Material:
    """Return the same, where some leads asked for sales."""
    rows = material.open.rows.assign(sales_ready=material.open.rows["lead_id"].isin(leads))
    scored: Any = SimpleNamespace(scores=rows, asked=frozenset(leads))
    return replace(material, scored=scored, open=replace(material.open, rows=rows))


def test_who_asked_comes_first_then_the_most_likely(tmp_path: Path) -> None:
    material = small(tmp_path, level=TOP_THREE)
    assert listed(material) == ["l59", "l58", "l57"]
    assert listed(ready(material, "l57")) == ["l57", "l59", "l58"]
    found = today.found(ready(material, "l57"))
    assert [lead["asked"] for lead in found["leads"]] == [True, False, False]
    assert (found["mqls"], found["open"]) == (3, 20)


def test_as_many_as_asked_for(tmp_path: Path) -> None:
    assert listed(small(tmp_path, level=TOP_THREE, sections="[report]\nleads = 2")) == ["l59", "l58"]


def test_without_a_cutoff_the_most_likely_would_be_next(tmp_path: Path) -> None:
    material = small(tmp_path, level=None)
    found = today.found(material)
    assert (found["in_force"], len(found["leads"]), found["reference"]) == (False, 20, "customers")
    assert "they would be next" in page.render(content(material, "today", found), "en")


def test_without_an_mql_nobody_is_listed_and_the_nearest_is_told(tmp_path: Path) -> None:
    material = small(tmp_path, level=0.9)
    found = today.found(material)
    assert found["leads"] == []
    assert "the highest propensity is 28%, the cutoff 90%" in page.render(
        content(material, "today", found), "en"
    )


MORE = """l59, 2024-05-31T12:00:00, webinar, lead, tour
l59, 2024-06-01T00:00:00, visit, lead, /late
l59, 2024-05-31T23:00:00, mail_sent, marketing, summer
l58, 2024-05-30T00:00:00, webinar, lead, ask jane.doe@acme.example
l57, 2024-05-29T00:00:00, visit, lead, /pricing?user=jane
"""


def test_the_last_activity_is_the_leads_own_and_before_the_moment(tmp_path: Path) -> None:
    found = today.found(small(tmp_path, level=TOP_THREE, more=MORE))
    last = {lead["lead_id"]: lead["last"] for lead in found["leads"]}
    # Not the visit at the very moment, nor the mail that marketing sent an hour before.
    assert (last["l59"]["kind"]["en"], last["l59"]["asset"], last["l59"]["days"]) == ("webinar", "tour", 0.5)
    assert last["l59"]["ago"] == {"en": "12 hours ago", "fr": "il y a 12\u00a0heures"}
    assert last["l58"]["asset"] is None  # it may name a person
    assert last["l57"]["asset"] == "/pricing"
    assert last["l57"]["ago"]["en"] == "3 days ago"


def test_the_sentences_name_what_moved_it_and_are_true(tmp_path: Path) -> None:
    lead = today.found(small(tmp_path, level=TOP_THREE))["leads"][0]
    # Retail lowers it by all there is; nothing raises it.
    assert lead["raised"] is None
    assert "Retail" in lead["lowered"]["en"]
    assert lead["lowered"]["en"].startswith("Speaks against it:")
    assert lead["lowered"]["fr"].startswith("En sa défaveur\u00a0:")


def test_what_customers_like_it_had_done_is_told_where_it_is_beyond_chance(tmp_path: Path) -> None:
    # Of all of the past 20 were won and 15 of those had been at a webinar, against none of the others.
    # At a level of 0.5 it is Software, i < 30, that was an MQL: 15 of the nearest 20 or fewer.
    material = small(tmp_path, level=None)
    habits = today.found(material)["leads"][0]["habits"]
    assert [(habit["kind"]["en"], habit["done"], habit["reached"]) for habit in habits] == [
        ("webinar", 15, 20)
    ]
    assert (habits[0]["others_done"], habits[0]["others"]) == (0, 39)  # 40, but for the lead itself
    did = small(tmp_path, level=None, more=MORE)  # l59 was at one
    assert today.found(did)["leads"][0]["habits"] == []


def test_what_others_had_done_is_said_in_one_sentence(tmp_path: Path) -> None:
    material = small(tmp_path, level=None)
    made = content(material, "today", today.found(material))
    assert (
        "Of 20 similar leads that became customers, 15 had this: webinar, against 0 of 39 others; this one "
        "has not."
    ) in page.render(made, "en")
    assert (
        "Parmi 20 leads semblables devenus clients, 15 avaient ceci : webinar, contre 0 sur 39 des autres ; "
        "celui-ci non."
    ) in page.render(made, "fr").replace("\u00a0", " ")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("level", [TOP_THREE, None, 0.9])
def test_the_page_says_it_in_both_languages(tmp_path: Path, language: Any, level: float | None) -> None:
    material = ready(small(tmp_path, level=level, more=MORE), "l58")
    html = page.render(content(material, "today", today.found(material)), language)
    section = html[html.index('<section id="today"') :]
    if level != 0.9:
        assert "asked for sales" in section or "a demandé un contact" in section
        assert "--with-names" in section
    assert section.count('<li class="lead">') == {TOP_THREE: 3, None: 20, 0.9: 0}[level]


def test_names_are_on_the_page_for_who_asks_and_nowhere_else(tmp_path: Path) -> None:
    material = small(tmp_path, level=TOP_THREE, more=MORE)
    made = content(material, "today", today.found(material))
    stored = json.dumps(made)
    assert "Byron" not in stored
    assert "@" not in stored
    assert "Byron" not in page.render(made, "en")
    names = names_of(material.config, [lead["lead_id"] for lead in made["today"]["leads"]])
    assert names == {"l57": "Ada57 Byron57", "l58": "Ada58 Byron58", "l59": "Ada59 Byron59"}
    named = page.render(made, "en", names)
    assert "Ada59 Byron59" in named
    assert "--with-names" not in named[named.index('<section id="today"') :]


LEADS = """
    lead_id, created_at,          who,  wer
    a,       2024-01-01T00:00:00, Ada,  Byron
    b,       2024-01-01T00:00:00, ,     Curie
    c,       2024-01-01T00:00:00, ,
"""


def test_names_are_read_from_the_columns_that_are_configured(tmp_path: Path) -> None:
    path = write_project(tmp_path, leads=LEADS, sections='[hygiene]\nname = ["who", "wer"]')
    config = read_config(path).model_copy(update={"root": tmp_path})
    assert names_of(config, ["a", "b", "c", "nobody"]) == {"a": "Ada Byron", "b": "Curie"}
    assert names_of(config, []) == {}


def test_without_a_column_of_names_it_is_said_what_to_do(tmp_path: Path) -> None:
    config = read_config(write_project(tmp_path, leads=LEADS)).model_copy(update={"root": tmp_path})
    with pytest.raises(ConfigurationError, match="hygiene"):
        names_of(config, ["a"])


@pytest.mark.parametrize(
    ("asset", "shown"),
    [
        ("spring webinar", "spring webinar"),
        ("mailto:ada@acme.example", None),
        ("/unsubscribe?u=ada%40acme.example", "/unsubscribe"),
        ("/unsubscribe/0612345678", None),
        ("tel:+33 6 12 34 56 78", None),
        ("/p/bob%2540acme.example", None),
        ("bob\uff20acme.example", None),
        ("/a?utm=1", "/a"),
        (None, None),
        (np.nan, None),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_assets_that_may_name_a_person_are_not_shown(asset: Any, shown: str | None) -> None:
    assert today.shown_asset(asset) == shown
