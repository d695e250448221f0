"""Where the ledger of a project's deliveries is, and a scoring run's place in its sequence of runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from features.errors import ConfigurationError, DeliveryError
from pipeline.config import Config
from pipeline.destinations.base import Fatal, Secret

LEDGER = "ledger.sqlite"
_SQLITE = "sqlite:///"


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


def register(
    config: Config,
    folder: Path,
    run_id: str,
    as_of: datetime,
    model_version: str,
    tell: Callable[[str], None],
) -> None:
    """Give a run of scores its place in the sequence of runs, if scores are delivered anywhere.

    The place decides which of two runs is newer, whatever a clock says. Where the ledger cannot be reached,
    that is told, and the run gets its place when it is delivered.
    """
    if not config.destinations:
        return
    from pipeline.delivery.ledger import Ledger

    try:
        with closing(Ledger.open(ledger_url(config, folder))) as ledger:
            ledger.register(run_id, as_of, model_version)
    except DeliveryError as error:
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
