"""The report of a finished project: files, privacy, the run that keeps it, and an older one made again."""

from __future__ import annotations

import re
import shutil
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from worlds import World, read_json

from features.errors import BundleError, PropenseError
from features.language import LANGUAGES, SPEAKERS
from pipeline.config import Config
from pipeline.registry import Registry
from pipeline.report.content import SECTIONS
from pipeline.report.make import Wanted, report
from pipeline.report.page import figures_of

FILES = {"report-en.html", "report.json", "scorecard.csv", "scorecard.toml"}


@pytest.fixture(scope="module")
def content(world: World) -> dict[str, Any]:
    return read_json(world.output / "report" / "report.json")


@pytest.fixture
def moved(world: World, tmp_path: Path) -> Path:
    """The results alone, somewhere else: without the tables that they were made from."""
    return Path(shutil.copytree(world.output, tmp_path / "results"))


def without_tables(config: Config) -> Config:
    return config.model_copy(update={"root": Path("/nowhere")})


class TestFiles:
    def test_the_demo_leaves_a_report_and_nothing_half_written(self, world: World) -> None:
        assert {path.name for path in (world.output / "report").iterdir()} == FILES
        assert (world.output / "report" / "report-en.html").stat().st_size < 3_000_000

    def test_the_content_has_every_section_and_its_moment(self, content: dict[str, Any]) -> None:
        assert set(content) == {"about", *SECTIONS}
        assert content["about"]["as_of"] == "2026-06-30T00:00:00Z"

    def test_its_numbers_are_those_of_the_scores(self, world: World, content: dict[str, Any]) -> None:
        scores = world.table("scores.parquet")
        assert content["answer"]["open"] == len(scores)
        assert content["answer"]["mqls"] == (scores["band"] == "mql").sum()
        listed = [lead["lead_id"] for lead in content["today"]["leads"]]
        assert set(listed) <= set(scores.loc[scores["band"] == "mql", "lead_id"])

    def test_whatever_is_said_is_said_in_every_language(self, content: dict[str, Any]) -> None:
        said = list(walk(content))
        assert len(said) > 200
        for texts in said:
            assert set(texts) == set(LANGUAGES)
            assert all(texts.values()), texts

    def test_the_scorecard_is_a_point_table_that_the_configuration_takes(self, world: World) -> None:
        table = tomllib.loads((world.output / "report" / "scorecard.toml").read_text("utf-8"))
        assert 1 <= len(table["rules"]) <= 20
        Config.model_validate(
            world.config.model_dump(by_alias=True, exclude={"root"}) | {"rules": table["rules"]}
        )


class TestPrivacy:
    def test_no_name_no_address_no_telephone_number_is_anywhere(self, world: World) -> None:
        leads = pd.read_csv(world.crm / "leads.csv")
        names = {name for name in leads.get("name", pd.Series(dtype=str)).dropna() if " " in str(name)}
        for file in sorted(FILES):
            text = (world.output / "report" / file).read_text("utf-8")
            content = re.sub(r"(?s)<script(?! type=\"application/json\").*?</script>", "", text)
            assert not re.search(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", content), file
            assert not [name for name in names if name in content], file
            assert not re.search(r"\+\d{2}[ \d]{8,}", content), file


class TestRuns:
    def test_the_run_keeps_page_content_scorecard_and_every_figure(
        self, world: World, content: dict[str, Any]
    ) -> None:
        run = world.account["model"]["run_id"]
        registry = Registry(world.output, world.config.project.name)
        for name in FILES:
            kept = registry.kept(run, f"report/{name}")
            assert kept is not None
            assert kept.read_bytes() == (world.output / "report" / name).read_bytes()
        ids = {i for name in SECTIONS for i in figures_of(name, content, SPEAKERS["en"])}
        assert ids
        for figure in ids:
            assert registry.kept(run, f"report/figures/{figure}.png") is not None, figure

    def test_an_older_run_s_report_is_made_again_without_its_tables_in_the_other_language(
        self, world: World, moved: Path, content: dict[str, Any]
    ) -> None:
        run = world.account["model"]["run_id"]
        made = report(without_tables(world.config), world.now, moved, Wanted("fr", run=run))
        assert made.kept
        assert made.content == content
        assert made.page == moved / "report" / run / "report-fr.html"
        assert '<html lang="fr"' in made.page.read_text("utf-8")
        assert {path.name for path in (moved / "report").iterdir()} == {*FILES, run}

    def test_asked_for_another_moment_and_names_it_is_computed_and_no_run_keeps_the_names(
        self, world: World, moved: Path
    ) -> None:
        run = world.account["model"]["run_id"]
        wanted = Wanted("en", as_of=datetime(2026, 6, 1), run=run, leads=3, names=True)
        made = report(world.config, world.now, moved, wanted)
        assert not made.kept
        assert made.content["about"]["as_of"] == "2026-06-01T00:00:00Z"
        listed = [lead["lead_id"] for lead in made.content["today"]["leads"]]
        assert len(listed) == 3
        leads = pd.read_csv(world.crm / "leads.csv", dtype=str).set_index("lead_id")
        page = made.page.read_text("utf-8")
        for lead in leads.loc[listed].itertuples():
            assert f"{lead.first_name} {lead.last_name}" in page
        assert made.page == moved / "report" / run / "report-en-with-names.html"
        assert [path.name for path in made.page.parent.iterdir()] == [made.page.name]
        assert not list(moved.rglob("mlartifacts/**/*with-names*"))

    def test_a_run_that_is_not_there(self, world: World, moved: Path) -> None:
        with pytest.raises(BundleError, match="No run 'nothing'"):
            report(world.config, world.now, moved, Wanted("en", run="nothing"))

    def test_a_report_that_fails_leaves_the_last_one_as_it_was(self, world: World, moved: Path) -> None:
        before = {path: path.read_bytes() for path in (moved / "report").iterdir()}
        with pytest.raises(PropenseError):
            report(without_tables(world.config), world.now, moved, Wanted("en"))
        assert {path: path.read_bytes() for path in (moved / "report").iterdir()} == before


def walk(value: Any) -> Any:
    """Yield everything in a content that is said in languages."""
    if isinstance(value, dict):
        if "en" in value or "fr" in value:
            yield value
        else:
            for inner in value.values():
                yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)
