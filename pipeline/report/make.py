"""``propense report``: from a trained model and today's tables to files that people open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import BundleError
from features.language import Language
from pipeline.backtest.latest import ACCOUNT as BACKTEST
from pipeline.backtest.store import procedure
from pipeline.config import Config
from pipeline.files import publish, staging, uninterrupted, write_json, write_text
from pipeline.registry import Registered, Registry
from pipeline.report.content import FORMAT, content
from pipeline.report.material import Material, gather, read_account
from pipeline.report.names import names_of
from pipeline.report.page import render
from pipeline.report.pictures import pictures
from pipeline.results import ACCOUNT, KEPT, read_table, recover

FOLDER = "report"
CONTENT = "report.json"


@dataclass(frozen=True)
class Wanted:
    """What is asked of a report.

    `run` is the run of an older training, None for the champion; `as_of` (naive UTC) the moment, None for
    that of the newest scores, or of the older training; `leads` how many to call are listed; `names`
    whether they are listed by name.
    """

    language: Language
    as_of: datetime | None = None
    run: str | None = None
    leads: int | None = None
    names: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is the report that a run keeps: of its own moment, with its own number of leads."""
        return self.as_of is None and self.leads is None


@dataclass(frozen=True)
class Reported:
    """What was written: the page, its content, and whether it was kept from an earlier report."""

    page: Path
    content: dict[str, Any]
    kept: bool


def report(
    config: Config, now: datetime, folder: Path, wanted: Wanted, tell: Callable[[str], None] | None = None
) -> Reported:
    """Write the report into ``report/`` of the output folder, and attach it to the training's run.

    The page is ``report-<language>.html``; ``report.json`` holds the same in both languages,
    ``scorecard.csv`` and ``scorecard.toml`` the scorecard. An older run's go to ``report/<run>/``. A page
    with names is written beside it and attached to nothing.

    Raises
    ------
    PropenseError
        There is no model, no such run, or the data no longer fit it.
    """
    tell = tell or (lambda message: None)
    registry = Registry(folder, config.project.name)
    recover(folder, registry)
    model = registry.champion() if wanted.run is None else registry.of_run(wanted.run)
    place = folder / FOLDER if wanted.run is None else folder / FOLDER / model.run_id
    said = _kept(registry, model, wanted)
    found = said or content(material_of(config, now, folder, wanted, tell))
    tell("writing the page")
    names = names_of(config, [lead["lead_id"] for lead in found["today"]["leads"]]) if wanted.names else {}
    page = f"report-{wanted.language}{'-with-names' if wanted.names else ''}.html"
    place.mkdir(parents=True, exist_ok=True)
    with staging(place, FOLDER) as staged:
        write_text(staged / page, render(found, wanted.language, names))
        if not wanted.names:
            _write(staged, found, wanted.language)
            if wanted.plain:
                registry.attach(model.run_id, staged, FOLDER)
            _remove_pictures(staged)
        with uninterrupted():
            _remove_outdated(place, found)
            publish(staged, place, page)
    return Reported(place / page, found, kept=said is not None)


def _kept(registry: Registry, model: Registered, wanted: Wanted) -> dict[str, Any] | None:
    """Return what an older run's report said, None if it must be computed."""
    if wanted.run is None or not wanted.plain:
        return None
    path = registry.kept(model.run_id, f"{FOLDER}/{CONTENT}")
    found = read_account(path) if path else None
    return found if found and found["about"]["format"] == FORMAT else None


def material_of(
    config: Config, now: datetime, folder: Path, wanted: Wanted, tell: Callable[[str], None] | None = None
) -> Material:
    """Return what a report is made of, computed from the tables as they are.

    Raises
    ------
    PropenseError
        There is no model, no such run, or the data no longer fit it.
    """
    registry = Registry(folder, config.project.name)
    model = registry.champion() if wanted.run is None else registry.of_run(wanted.run)
    files = {
        name: registry.kept(model.run_id, f"{KEPT}/{name}")
        for name in (ACCOUNT, "test_predictions.parquet", BACKTEST)
    }
    kept, predictions = files[ACCOUNT], files["test_predictions.parquet"]
    if kept is None or predictions is None:
        raise BundleError(
            "This training did not keep what its report is made of.",
            where=f"run {model.run_id} in {registry.database}",
            todo="train again with this version of propense",
        )
    account = read_account(kept)
    if wanted.leads is not None:
        config = config.model_copy(
            update={"report": config.report.model_copy(update={"leads": wanted.leads})}
        )
    as_of = wanted.as_of or _moment(folder, model, account, now, older=wanted.run is not None)
    backtest = _backtest(config, folder, files[BACKTEST], older=wanted.run is not None)
    return gather(config, model, account, backtest, predictions, as_of, now, tell or (lambda message: None))


def _moment(
    folder: Path, model: Registered, account: dict[str, Any], now: datetime, *, older: bool
) -> datetime:
    """Return the moment of an older training, or of the champion's newest scores, or now."""
    if older:
        return datetime.fromisoformat(account["made_at"]).astimezone(UTC).replace(tzinfo=None)
    path = folder / "scores.parquet"
    scores = read_table(path) if path.is_file() else pd.DataFrame()
    if len(scores) and scores["model_version"].iloc[0] == model.version:
        return min(pd.Timestamp(scores["as_of"].iloc[0]).to_pydatetime(), now)
    return now


def _backtest(config: Config, folder: Path, kept: Path | None, *, older: bool) -> dict[str, Any] | None:
    """Return the newest backtest of this procedure; an older run has the one that it was trained after."""
    newest = folder / BACKTEST
    if not older and newest.is_file():
        found = read_account(newest)
        if found.get("procedure") == procedure(config):
            return found
    return read_account(kept) if kept else None


def _write(staged: Path, found: dict[str, Any], language: Language) -> None:
    """Write what stands beside the page."""
    write_json(staged / CONTENT, found)
    write_text(staged / "scorecard.csv", found["scorecard"].get("csv") or "")
    write_text(staged / "scorecard.toml", found["scorecard"].get("toml") or "")
    (staged / "figures").mkdir()
    pictures(found, language, staged / "figures")


def _remove_outdated(place: Path, found: dict[str, Any]) -> None:
    """Remove pages in the other language, or with names, that say something else than is said now."""
    before = place / CONTENT
    if before.is_file() and read_account(before) != found:
        for page in place.glob("report-*.html"):
            page.unlink()


def _remove_pictures(staged: Path) -> None:
    """The figures are on the page; as pictures they are only kept with the run."""
    for picture in (staged / "figures").iterdir():
        picture.unlink()
    (staged / "figures").rmdir()
