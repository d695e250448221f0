"""The grid of fit and engagement, its edges, the declared ideal, and the words of the funnel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from small_report import content, small

from features.errors import ConfigurationError
from features.language import LANGUAGES
from pipeline.report import page
from pipeline.report.sections import grid


def cells(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cell["grade"]: cell for cell in found["cells"]}


def shown(text: str) -> str:
    """Return a page's section as plain text, each run of blanks as one."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body[body.index('<section id="grid"') :]))


def test_every_cell_counts_who_is_there_and_what_became_of_who_was(tmp_path: Path) -> None:
    found = cells(grid.found(small(tmp_path)))
    # Of the past: A1 the 15 of a webinar, all won; A4 i from 15 to 29, of which i < 20 won; D4 the rest.
    assert {name: (cell["leads"], cell["won"]) for name, cell in found.items() if cell["leads"]} == {
        "A1": (15, 15),
        "A4": (15, 5),
        "D4": (30, 0),
    }
    # Open are i >= 40, all in Retail: propensity a little over 1 / (1 + e), 0.27, below the nurture level.
    assert (found["D4"]["open"], found["D4"]["mqls"], found["D4"]["action"]) == (20, 0, "let_go")
    assert found["D4"]["of_past"] is False
    # Nobody is in A1 now: the past's propensity, 1 / (1 + e^-2), speaks for it.
    assert found["A1"]["of_past"] is True
    assert found["A1"]["propensity"] == pytest.approx(0.881, abs=0.001)
    assert found["A1"]["action"] == "call"
    assert found["B2"]["action"] is None


def test_small_cells_lean_on_all_and_say_so(tmp_path: Path) -> None:
    material = small(tmp_path)
    found = grid.found(material)
    assert cells(found)["A1"]["share"] < 1.0
    assert cells(found)["A1"]["few"]
    html = page.render(content(material, "grid", found), "en")
    assert "† Fewer than 30 leads" in shown(html)


def test_cells_whose_past_does_not_agree_with_what_is_expected_are_pointed_at(tmp_path: Path) -> None:
    material = small(tmp_path)
    found = grid.found(material)
    # D4: 20 are open with a propensity of 0.27, and of 30 in the past none was won.
    assert [cell["grade"] for cell in found["cells"] if cell["apart"]] == ["D4"]
    text = shown(page.render(content(material, "grid", found), "en"))
    assert "In D4, leads converted clearly more or less often than is expected" in text
    for cell in found["cells"]:
        cell["apart"] = False
    assert "clearly more or less often than" not in shown(page.render(content(material, "grid", found), "en"))


def test_what_makes_an_a_and_a_1_is_what_was_planted(tmp_path: Path) -> None:
    edges = grid.found(small(tmp_path))["edges"]
    (industry,) = edges["fit"]
    assert industry["concept"] == "attribute.industry"
    assert industry["weight"] == pytest.approx(1.0)
    assert industry["shares"]["best"] == 1.0
    assert industry["shares"]["worst"] == 0.0
    assert "Software" in industry["shares"]["what"]["en"]
    (webinar,) = edges["engagement"]
    assert webinar["concept"] == "activity.webinar"
    assert (webinar["shares"]["best"], webinar["shares"]["worst"]) == (1.0, 0.0)


PERSONA = """
[persona.industry]
is_one_of = ["Software"]
[persona.employees]
at_least = 50
[persona.email]
is_one_of = ["corporate"]
"""


def test_a_wish_is_compared_by_the_leads_that_meet_it(tmp_path: Path) -> None:
    persona = grid.found(small(tmp_path, sections=PERSONA))["persona"]
    industry, employees, email = persona["wishes"]
    # 30 in Software, of which 20 won, against none of 30; contributions 1 and -1.
    assert (industry["meets"], industry["others"], industry["difference"]) == (30, 30, 2.0)
    assert (industry["fit"], industry["converted"], industry["few"]) == ("higher", "higher", False)
    assert industry["share_meets"]["value"] == pytest.approx(20 / 30)
    # Employees make no difference: the even ones are as often won (10 of 30) as the odd ones.
    assert (employees["meets"], employees["fit"], employees["converted"]) == (30, "equal", "unclear")
    assert employees["wish"] == {"en": "at least 50", "fr": "au moins 50"}
    # A third has a private address.
    assert (email["meets"], email["others"]) == (40, 20)
    # All three: in Software, even, not a multiple of 3: i = 2, 4, 8, 10, 14, 16, 20, 22, 26, 28.
    assert persona["whole"]["leads"] == 10
    assert persona["whole"]["few"]
    assert persona["unnamed"] == []


@pytest.mark.parametrize(
    ("shared", "english", "french"),
    [
        (3, "The learned fit shares all 3 wishes.", "Le profil appris rejoint vos 3 souhaits."),
        (2, "The learned fit shares 2 of your 3 wishes.", "Le profil appris rejoint 2 de vos 3 souhaits."),
        (0, "shares none of your 3 wishes.", "Le profil appris ne rejoint aucun de vos 3 souhaits."),
    ],
)
def test_how_many_wishes_are_shared_is_said_as_people_do(
    tmp_path: Path, shared: int, english: str, french: str
) -> None:
    material = small(tmp_path, sections=PERSONA)
    found = grid.found(material)
    for place, wish in enumerate(found["persona"]["wishes"]):
        wish |= {"few": False, "fit": "higher" if place < shared else "equal", "effect": 0.006 + place}
    made = content(material, "grid", found)
    assert english in shown(page.render(made, "en"))
    text = shown(page.render(made, "fr"))
    assert french in text
    assert ("vaut 0,6 point de pourcentage" in text) is (shared > 0)
    assert ("vaut 100,6 points de pourcentage" in text) is (shared > 1)


def test_what_the_persona_does_not_name_is_named(tmp_path: Path) -> None:
    persona = grid.found(small(tmp_path, sections="[persona.employees]\nat_most = 50"))["persona"]
    assert [edge["concept"] for edge in persona["unnamed"]] == ["attribute.industry"]


def test_a_value_that_nobody_has_is_pointed_at(tmp_path: Path) -> None:
    persona = grid.found(small(tmp_path, sections='[persona.industry]\nis_one_of = ["Sofware"]'))["persona"]
    assert persona["wishes"][0]["unheard"] == [{"value": "Sofware", "nearest": "Software"}]
    assert persona["wishes"][0]["few"]


def test_an_attribute_that_the_guard_left_out_is_said_to_be(tmp_path: Path) -> None:
    persona = grid.found(small(tmp_path, sections='[persona.contract]\nis_one_of = ["x"]'))["persona"]
    assert persona["left_out"] == ["contract"]
    assert persona["wishes"] == []


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('[persona.industri]\nis_one_of = ["Software"]', "Did you mean 'industry'?"),
        ("[persona.industry]\nat_least = 3", "is_one_of"),
        ('[persona.employees]\nis_one_of = ["50"]', "at_least, at_most"),
        ('[persona.email]\nis_one_of = ["corporat"]', "Did you mean 'corporate'?"),
        ('[content]\ndecision = ["webinars"]', "Did you mean 'webinar'?"),
    ],
)
def test_what_the_data_does_not_have_is_a_mistake(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        grid.found(small(tmp_path, sections=section))
    assert words in error.value.message


def test_definitions_count_what_was_known_at_the_moment(tmp_path: Path) -> None:
    words = grid.found(small(tmp_path))["definitions"]
    assert words["lead"] == {"ever": 60, "now": 20}
    assert words["customer"]["ever"] == 1  # the other is won a month later
    assert words["disqualified"] == {"ever": 1, "set_aside": 0}
    assert words["sql"]["ever"] is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("level", [0.5, None])
def test_the_page_has_a_real_table_and_tells_the_rule(
    tmp_path: Path, language: Any, level: float | None
) -> None:
    material = small(
        tmp_path, level=level, sections=PERSONA + '\n[content]\ndecision = ["webinar"]\nawareness = ["visit"]'
    )
    html = page.render(content(material, "grid", grid.found(material)), language)
    table = html[html.index('<table class="grid"') :]
    table = table[: table.index("</table>")]
    assert len(re.findall(r'<th scope="col"', table)) == 5
    assert len(re.findall(r'<th scope="row"', table)) == 4
    assert len(re.findall(r"<td", table)) == 16
    text = shown(html)
    assert "webinar" in text
    assert ("No cutoff is in force" in text or "Aucun seuil n’est en vigueur" in text) is (level is None)
    assert "{" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_past_and_a_persona_it_says_what_is_missing(tmp_path: Path, language: Any) -> None:
    material = small(tmp_path, past=False)
    made = content(material, "grid", grid.found(material))
    assert page.figures_of("grid", made, page.SPEAKERS[language]) == {}
    text = shown(page.render(made, language))
    assert "[persona]" in text
    assert "[stages]" in text


def test_nothing_personal_leaves(tmp_path: Path) -> None:
    found = json.dumps(grid.found(small(tmp_path, sections=PERSONA)))
    assert "@" not in found
    assert "Byron" not in found
    assert not re.search(r'"l\d\d"', found)
