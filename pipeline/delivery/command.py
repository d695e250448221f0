"""``propense sync``, its ``setup`` and its ``failures``: what each does, whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from features.errors import ConfigurationError, DeliveryError, PropenseError, Undelivered, listed, nearest
from pipeline.config import Config
from pipeline.delivery.account import Account, Options, Watch
from pipeline.delivery.attempts import Attempts
from pipeline.delivery.engine import deliver
from pipeline.delivery.ledger import Failure, Ledger
from pipeline.delivery.payload import KINDS, Scores, check_fields, read_scores
from pipeline.delivery.place import check_file, ledger_url
from pipeline.delivery.records import record_keys
from pipeline.destinations import of_type
from pipeline.destinations.base import Destination, Fatal, Kind, Problem, Retriable, Settings


@dataclass(frozen=True)
class Prepared:
    """The newest scores on their way to a destination: what is sent, and by what each record is found."""

    name: str
    settings: Settings
    scores: Scores
    keys: Mapping[str, str]


@dataclass(frozen=True)
class SetUp:
    """What ``setup`` found: fields that were there, and fields that it created, with their kinds."""

    destination: str
    there: list[str]
    created: dict[str, Kind]


def sync(
    config: Config,
    folder: Path,
    name: str,
    options: Options = Options(),  # noqa: B008  (frozen)
    watch: Watch = lambda event: None,
) -> Account:
    """Write the newest scores to a destination: what changed, each with a single effect.

    Parameters
    ----------
    folder
        Where scores.parquet is, and the ledger if the configuration does not say otherwise.
    watch
        Called at each step of the delivery.

    Raises
    ------
    PropenseError
        Unknown destination, no scores yet, fields that are not there: nothing was written. Or another run
        is writing there.
    """
    return send(config, folder, prepare(config, folder, name), options, watch)


def prepare(config: Config, folder: Path, name: str) -> Prepared:
    """Read what is to be delivered, and check what can be checked without the destination.

    Raises
    ------
    PropenseError
        Unknown destination or fields, no scores yet, or no column that names the records.
    """
    settings = settings_of(config, name)
    check_fields(name, settings)
    check_file(config, folder, name, settings)
    scores = read_scores(folder)
    leads = scores.frame["lead_id"].tolist()
    keys = record_keys(config, name, settings, leads, _leads_file(folder))
    return Prepared(name, settings, scores, keys)


def send(
    config: Config, folder: Path, prepared: Prepared, options: Options, watch: Watch = lambda event: None
) -> Account:
    """Deliver what is prepared. Raises as `sync` does."""
    with (
        closing(Ledger.open(ledger_url(config, folder))) as ledger,
        _destination(prepared.name, prepared.settings, config.root) as destination,
    ):
        return deliver(destination, ledger, prepared.scores, prepared.keys, options, watch)


def setup(config: Config, name: str) -> SetUp:
    """Create the fields that a destination lacks. Once they are there, it changes nothing.

    Raises
    ------
    PropenseError
        They cannot be created by a program: the error says what to create by hand.
    """
    settings = settings_of(config, name)
    check_fields(name, settings)
    kinds = {field: KINDS[column] for column, field in settings.fields.items()}
    with _destination(name, settings, config.root) as destination:
        attempts = Attempts(destination, settings.patience.total_seconds())
        before = attempts.call(destination.missing)

        def create() -> list[str]:
            absent = attempts.once(destination.missing)  # again: an answer may have been lost
            if absent:
                attempts.once(destination.create_fields, {field: _kind(field, kinds) for field in absent})
            return attempts.once(destination.missing)

        left = attempts.repeat(create) if before else []
        if left:
            raise Fatal(
                f"The fields {listed(map(repr, left), 20)} were created and are not there.",
                todo="some destinations take a moment: run the same command again; or create them by hand",
            )
    there = [field for field in kinds if field not in {_plain(field, kinds) for field in before}]
    return SetUp(name, there, {field: _kind(field, kinds) for field in before})


def _plain(field: str, kinds: Mapping[str, Kind]) -> str:
    """Return a mapped field; one that only one of several objects lacks is named with it, as Lead.score."""
    return field if field in kinds else field.rpartition(".")[2]


def _kind(field: str, kinds: Mapping[str, Kind]) -> Kind:
    return kinds[_plain(field, kinds)]


def failures(
    config: Config, folder: Path, name: str | None = None, leads: Sequence[str] = ()
) -> list[Failure]:
    """Return what could not be delivered, to one destination or to all, of some leads or of all."""
    with closing(Ledger.open(ledger_url(config, folder))) as ledger:
        found = ledger.failures(name)
    if name is not None and not found:  # those of a destination that was removed may still be asked for
        settings_of(config, name)
    return [failure for failure in found if not leads or failure.lead_id in set(leads)]


def retry(config: Config, folder: Path, name: str, leads: Sequence[str] = ()) -> int:
    """Make failed deliveries due again, of some leads or of all; return how many.

    Raises
    ------
    ConfigurationError
        The destination is not configured, or one of the leads has no failure there.
    """
    settings_of(config, name)
    with closing(Ledger.open(ledger_url(config, folder))) as ledger:
        failed = {failure.lead_id for failure in ledger.failures(name)}
        strange = [lead for lead in leads if lead not in failed]
        if strange:
            raise ConfigurationError(
                f"Nothing failed of {listed(map(repr, strange))} on the way to '{name}'.",
                allowed=f"leads that `propense sync failures {name}` lists",
                todo=nearest(strange[0], failed),
            )
        return ledger.retry(name, list(leads) or None)


def settings_of(config: Config, name: str) -> Settings:
    """Return the settings of a configured destination.

    Raises
    ------
    ConfigurationError
        There is none of that name.
    """
    found = config.destinations.get(name)
    if found is None:
        raise ConfigurationError(
            f"There is no destination '{name}'.",
            allowed=listed(config.destinations) or "none is configured",
            todo=nearest(name, config.destinations) or "add a section [destinations.<name>]",
        )
    return found


def explained(problem: Problem, name: str) -> PropenseError:
    """Return a problem with a destination as an error for people."""
    kind = Undelivered if isinstance(problem, Retriable) else DeliveryError
    again = "run the same command again later" if isinstance(problem, Retriable) else ""
    return kind(problem.text, where=f"destination '{name}'", todo=getattr(problem, "todo", "") or again)


@contextmanager
def _destination(name: str, settings: Settings, root: Path) -> Iterator[Destination]:
    """Give a destination that is closed after use, and whose problems are errors for people."""
    try:
        with closing(of_type(settings.type)(name, settings, root)) as destination:
            yield destination
    except Problem as problem:
        raise explained(problem, name) from None


def _leads_file(folder: Path) -> Path | None:
    """Return the file of leads that the newest scores are of, None if they are of the configured table."""
    given = (pq.read_schema(folder / "scores.parquet").metadata or {}).get(b"leads_file")
    return Path(given.decode()) if given else None
