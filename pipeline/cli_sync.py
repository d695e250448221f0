"""``propense sync``: deliver, set up, and see what failed, as one command with options in any order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.cli_shared import folder_of, print_json, read, shared

SETUP, FAILURES = "setup", "failures"
# Which of the three takes which option; --json, --config and --output go with all.
_TAKEN_BY = {
    "dry_run": "", "everything": "", "adopt": "", "allow_clearing": "",
    "again": FAILURES, "leads": FAILURES,
}  # fmt: skip
_WRITTEN = {"everything": "--all", "again": "--retry", "leads": "--lead"}

HELP = """Write the newest scores to a destination of the configuration, and only what changed.

\b
  propense sync DESTINATION            write; run it at any time, and again
  propense sync setup DESTINATION      create the fields that scores go into
  propense sync failures [DESTINATION] what could not be written, and why

Each lead's record is updated, none is ever created. A run that was interrupted or stopped goes on where
it was when the same command runs again. With --dry-run nothing is written, and shown what would be.

Exit status: 0 all is written or unchanged; 2 something in the settings is wrong and nothing was written;
5 not all is written, run it again; 6 some leads were refused, see failures; 130 interrupted."""


@dataclass(frozen=True)
class _Asked:
    """What the words of the command mean."""

    what: str
    destination: str


@click.command("sync", short_help="write scores to a destination", help=HELP)
@shared
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be written, lead by lead.")
@click.option(
    "--all", "everything", is_flag=True,
    help="Write every lead, changed or not: after the CRM was restored from a backup.",
)  # fmt: skip
@click.option(
    "--adopt", is_flag=True,
    help="Go on after runs that another ledger counted: when the ledger was lost.",
)  # fmt: skip
@click.option(
    "--allow-clearing", is_flag=True, help="Clear scores even of most leads at once, if that is right."
)
@click.option("--retry", "again", is_flag=True, help="With failures: make them due again for the next sync.")
@click.option(
    "--lead", "leads", multiple=True, metavar="ID", help="With failures: of this lead only; may be repeated."
)
@click.argument("words", nargs=-1, metavar="[setup|failures] DESTINATION")
@click.pass_context
def sync(
    context: click.Context, config_file: Path, output: Path | None, as_json: bool, words: tuple[str, ...],
    **given: bool | tuple[str, ...],
) -> None:  # fmt: skip
    """Write, set up, or show what failed; the help is in `HELP`."""
    asked = _asked(words)
    for name, value in given.items():
        if value and asked.what != _TAKEN_BY[name]:
            option = _WRITTEN.get(name, f"--{name.replace('_', '-')}")
            right = " ".join(["propense sync", *filter(None, [_TAKEN_BY[name]]), "DESTINATION"])
            raise click.UsageError(f"{option} belongs to `{right}`.", context)
    runs: dict[str, Callable[..., None]] = {"": _deliver, SETUP: _set_up, FAILURES: _failures}
    runs[asked.what](asked.destination, config_file, output, as_json, **given)


def _asked(words: Sequence[str]) -> _Asked:
    what = words[0] if words and words[0] in (SETUP, FAILURES) else ""
    rest = words[1:] if what else words
    if len(rest) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({rest[1]})")
    if not rest and what != FAILURES:
        raise click.UsageError("Missing argument 'DESTINATION': a NAME of [destinations.NAME].")
    return _Asked(what, rest[0] if rest else "")


def _deliver(
    destination: str, config_file: Path, output: Path | None, as_json: bool, *, dry_run: bool,
    everything: bool, adopt: bool, allow_clearing: bool, **others: object,
) -> None:  # fmt: skip
    from pipeline.delivery.account import Options
    from pipeline.delivery.command import prepare, send
    from pipeline.delivery.screen import account_json, show_account, watching

    config = read(config_file)
    folder = folder_of(config, output)
    prepared = prepare(config, folder, destination)
    options = Options(dry_run, everything, adopt, allow_clearing)
    with watching(destination, prepared.scores.run_id) as watch:
        account = send(config, folder, prepared, options, watch)
    try:
        if as_json:
            print_json(account_json(account))
        else:
            show_account(account, _repeated(config_file, output))
        sys.stdout.flush()
    except OSError as error:  # a closed pipe, a full disk: what was delivered is delivered all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"The summary could not be printed: {error.strerror}.", err=True)
    sys.exit(account.exit_status)


def _set_up(
    destination: str, config_file: Path, output: Path | None, as_json: bool, **others: object
) -> None:
    from pipeline.delivery.command import setup
    from pipeline.delivery.screen import setup_json, show_setup

    done = setup(read(config_file), destination)
    if as_json:
        print_json(setup_json(done))
    else:
        show_setup(done, _repeated(config_file, output))


def _failures(
    destination: str, config_file: Path, output: Path | None, as_json: bool, *, again: bool,
    leads: tuple[str, ...], **others: object,
) -> None:  # fmt: skip
    from pipeline.delivery import command
    from pipeline.delivery.screen import failures_json, show_failures, show_retry

    if again and not destination:
        raise click.UsageError("--retry needs to know where: `propense sync failures DESTINATION --retry`.")
    config = read(config_file)
    folder = folder_of(config, output)
    if again:
        due = command.retry(config, folder, destination, leads)
        if as_json:
            print_json({"destination": destination, "due_again": due})
        else:
            show_retry(destination, due, _repeated(config_file, output))
        return
    found = command.failures(config, folder, destination or None, leads)
    if as_json:
        print_json(failures_json(found))
    else:
        show_failures(found, _repeated(config_file, output))


def _repeated(config_file: Path, output: Path | None) -> list[str]:
    """Return the options that a next command needs to speak of the same project."""
    config = [] if config_file == Path("propense.toml") else ["--config", str(config_file)]
    return config if output is None else [*config, "--output", str(output)]
