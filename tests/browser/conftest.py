"""A browser, and the report in both languages, opened as a person opens a file from a mail."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, sync_playwright
from reading import Open, Opened

from features.language import LANGUAGES
from pipeline.report.page import render

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium of the system, with an empty profile."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        message = f"no {', '.join(CHROMIUM)} on the path: the report is not tested in a browser"
        if os.environ.get("CI"):
            pytest.fail(f"in CI: {message}")
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="session")
def real_content(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the demo's report says; PROPENSE_REPORT names the ``report.json`` of another, to be looked at."""
    given = os.environ.get("PROPENSE_REPORT")
    path = Path(given) if given else request.getfixturevalue("world").output / "report" / "report.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def content(real_content: dict[str, Any]) -> dict[str, Any]:
    """What the report says that the tests of a module open."""
    return real_content


@pytest.fixture(scope="module")
def files(content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each language, as a file."""
    folder = tmp_path_factory.mktemp("report mailed")
    written = {language: folder / f"report-{language}.html" for language in LANGUAGES}
    for language, path in written.items():
        path.write_text(render(content, language), "utf-8")
    return written


@pytest.fixture
def opened(browser: Browser, files: dict[str, Path]) -> Iterator[Open]:
    """Open the report; at the end of the test it has complained of nothing and asked for nothing."""
    contexts, reports = [], []

    def open_report(language: str = "en", file: Path | None = None, **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        report = Opened(context.new_page(), language, (file or files[language]).as_uri())
        reports.append(report)
        context.on("request", lambda request: report.requests.append(request.url))

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                report.complaints.append(message.text)

        report.page.on("console", heard)
        report.page.on("pageerror", lambda error: report.complaints.append(str(error)))
        report.page.goto(report.address)
        return report

    yield open_report
    for context in contexts:
        context.close()
    for report in reports:
        assert report.complaints == []
        assert [url for url in report.requests if url.split("#")[0] != report.address] == []
