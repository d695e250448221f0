"""Where the ledger of a project's deliveries is, and a scoring run's place in its sequence of runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from features.errors import ConfigurationError, DeliveryError
from pipeline.config import Config
from pipeline.destinations.base import Fatal, Secret, Settings

LEDGER = "ledger.sqlite"
_SQLITE = "sqlite:///"
# What a delivery to a file could replace by mistake, in the output folder.
_RESULTS = ("scores.parquet", "excluded.parquet", "test_predictions.parquet", "report/scorecard.csv")


def ledger_url(config: Config, folder: Path) -> str:
    """Return the URL of the ledger: ``ledger.sqlite`` in the output folder, or what [sync] says.

    The path of a SQLite file is relative to the configuration, as all paths in it are.

    Raises
    ------
    ConfigurationError
        The URL in the configuration holds a password.
    DeliveryError
        It is a secret that is not there.
    """
    given = config.sync.ledger
    if given is None:
        return f"{_SQLITE}{(folder / LEDGER).resolve()}"
    if isinstance(given, Secret):
        try:
            url = given.read(config.root)
        except Fatal as problem:
            raise DeliveryError(problem.text, where="[sync] ledger", todo=problem.todo) from None
    else:
        url = given
        _check_no_password(url)
    if url.startswith(_SQLITE):
        return f"{_SQLITE}{(config.root / Path(url.removeprefix(_SQLITE)).expanduser()).resolve()}"
    return url


def check_file(config: Config, folder: Path, name: str, settings: Settings) -> None:
    """Refuse a file to deliver to that is one of the user's own tables, or a result of this program.

    Raises
    ------
    ConfigurationError
        It is: the delivery would replace it.
    """
    if settings.type not in {"csv", "parquet"}:
        return
    file = (config.root / str(getattr(settings, "path", ""))).resolve()
    several = (*config.activities, *config.entities, *config.history, config.outcomes, config.stages)
    named = [config.leads.table, *(getattr(part, "table", None) for part in several)]
    tables = {(config.root / table).resolve() for table in named if table}
    results = {(folder / result).resolve() for result in _RESULTS}
    if file in tables | results or tables & set(file.parents):
        what = "a result of this program" if file in results else "a table it reads"
        raise ConfigurationError(
            f"The file to write to is {what}.",
            where=f"[destinations.{name}] path: {file}",
            allowed="a file of its own, which a delivery may replace as a whole",
            todo="name another file, or put it into another folder",
        )


def register(
    config: Config,
    folder: Path,
    run_id: str,
    as_of: datetime,
    model_version: str,
    tell: Callable[[str], None],
) -> None:
    """Give a run of scores its place in the sequence of runs, if scores are delivered anywhere.

    The place decides which of two runs is newer, whatever a clock says. Where the ledger of the output
    folder cannot be opened, that is told, and the run gets its place when it is delivered.

    Raises
    ------
    DeliveryError
        The ledger that [sync] names cannot be opened: a run that is numbered later than it was made might
        pass for a newer one.
    """
    if not config.destinations:
        return
    from pipeline.delivery.ledger import Ledger

    try:
        with closing(Ledger.open(ledger_url(config, folder))) as ledger:
            ledger.register(run_id, as_of, model_version)
    except DeliveryError as error:
        if config.sync.ledger is not None:
            raise
        tell(f"going on without the ledger, which `propense sync` will need: {error.given}")


def _check_no_password(url: str) -> None:
    parts = urlsplit(url)
    try:
        found = parts.password or parse_qs(parts.query).get("password")
    except ValueError:  # such as a port that is no number: the ledger says so
        return
    if found:
        raise ConfigurationError(
            "The ledger's URL holds a password, and the configuration is no place for one.",
            where="[sync] ledger",
            allowed='a URL without it, as "postgresql://user@host/database", with the password in PGPASSWORD '
            'or a pgpass file; or the whole URL as a secret: { env = "NAME" } or { file = "path" }',
            todo="take the password out, and change it: it may have been read",
        )
