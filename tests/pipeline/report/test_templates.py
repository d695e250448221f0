"""Templates and scripts hold no words of their own: whatever a reader sees was said in both languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from jinja2 import Environment, nodes

from features.language import Text

TEMPLATES = {
    path.name: path.read_text("utf-8")
    for path in sorted((files("pipeline.report") / "templates").iterdir(), key=lambda path: path.name)
}
PAGES = sorted(name for name in TEMPLATES if name.endswith(".j2"))
SCRIPTS = sorted(name for name in TEMPLATES if name.endswith(".js"))
# What people read although it stands in a tag.
READ = ("alt", "aria-label", "aria-roledescription", "aria-valuetext", "placeholder", "title")
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


class Words(HTMLParser):
    """Collects what would be read of a template once everything that Jinja fills in is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in READ and value and lettered(value)]
        self.silent += tag in ("style", "script", "code")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("style", "script", "code")

    def handle_data(self, data: str) -> None:
        if not self.silent and lettered(data):
            self.found.append(data.strip())


def lettered(text: str) -> bool:
    return bool(re.search(r"[^\W\d_]", text))


def words_of(template: str) -> list[str]:
    reader = Words()
    reader.feed(JINJA.sub("", template))
    return reader.found


@pytest.mark.parametrize("name", PAGES)
def test_a_template_has_no_bare_words(name: str) -> None:
    assert words_of(TEMPLATES[name]) == []


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<p>Leads {{ 3 }}</p>", ["Leads"]),
        ('<img alt="A lead">', ["A lead"]),
        ('<p title="{{ t("a", "b") }}">{{ t("a", "b") }}: 3 %</p>', []),
        ("{# A lead #}<code>propense report</code>", []),
    ],
)
def test_bare_words_are_seen(template: str, words: list[str]) -> None:
    assert words_of(template) == words


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_words(name: str) -> None:
    """A text of two words or with an accent would be one to read; names of events and elements are single."""
    code = re.sub(r"(?m)^\s*//.*$|\s//\s.*$", "", TEMPLATES[name])
    assert re.findall(r"""["'`][A-Z][a-z]+ [^"'`]*["'`]|["'`][a-z]+ [a-z]+ [^"'`]*["'`]""", code) == []


@pytest.mark.parametrize("name", PAGES)
def test_whatever_is_said_is_said_in_both_languages_with_the_same_values(name: str) -> None:
    """Also where no report of the tests comes by."""
    tree = Environment(autoescape=True).parse(TEMPLATES[name])
    said = [call for call in tree.find_all(nodes.Call) if getattr(call.node, "name", "") == "t"]
    for call in said:
        text = Text(*(argument.as_const() for argument in call.args))  # raises where the values differ
        assert text.en.strip(), call.lineno
        assert text.fr.strip(), call.lineno
