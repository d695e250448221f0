"""The command line. Everything heavy is imported inside the command that needs it: help is instant."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from features.errors import ConfigurationError, PropenseError
from pipeline.cli_shared import folder_of, print_json, read, shared
from pipeline.cli_sync import sync

# As in `features.language`, which is not imported before it is needed.
LANGUAGES = ("en", "fr")

if TYPE_CHECKING:
    from features.language import Language

INTERRUPTED = 130
_signals: list[int] = []


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read a moment as naive UTC; without an offset it is UTC, and a date is its first instant."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter('write it as "2026-06-30" or "2026-06-30T18:00:00+02:00"') from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


_leads = click.option(
    "--leads", "leads_file", type=click.Path(path_type=Path), default=None, metavar="FILE",
    help="The leads of this file instead of those of the configured table.",
)  # fmt: skip
_as_of = click.option(
    "--as-of", callback=_moment, default=None, metavar="TIME",
    help="The moment the leads are seen at, in UTC unless it has an offset.  [default: now]",
)  # fmt: skip

_as_of_scores = click.option(
    "--as-of", callback=_moment, default=None, metavar="TIME",
    help="The moment of the report, in UTC unless it has an offset.  [default: that of the newest scores]",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="propense")
def main_group() -> None:
    """How likely each open lead is to convert, learned from your own won and lost leads.

    Start with `propense init`, then `check`, `train`, `score`, `report` and `sync`.
    """


@main_group.command(short_help="write a commented propense.toml")
@shared
def init(config_file: Path, output: Path | None) -> None:
    """Write a commented propense.toml to fill in."""
    from pipeline.template import write_template

    write_template(config_file)
    click.echo(f"Wrote {config_file}. Name your tables and columns in it, then run `propense check`.")


@main_group.command(short_help="is the data fit to train on?")
@shared
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(config_file: Path, output: Path | None, as_json: bool) -> None:
    """Say what is in the data, what is wrong with it, and whether it supports a training."""
    from pipeline import check as checking

    config = read(config_file)
    checked = checking.check(config, _now())
    if as_json:
        print_json(checking.as_json(checked))
    else:
        from pipeline.check_screen import show_check

        show_check(checked)
    sys.exit(checking.exit_status(checked))


@main_group.command(short_help="learn, evaluate, register as champion")
@shared
@click.option(
    "--ship", is_flag=True,
    help="Train on everything up to now, with no test window left; the numbers are those of the backtest.",
)  # fmt: skip
def train(config_file: Path, output: Path | None, ship: bool) -> None:
    """Train on past leads, evaluate on the untouched test window, register as champion."""
    from pipeline.terminal import show_training
    from pipeline.train import train as run

    config = read(config_file)
    folder = folder_of(config, output)
    trained = run(config, _now(), folder, _teller(), ship=ship)
    show_training(trained.account, folder)


@main_group.command(short_help="what the procedure would have done, fold by fold")
@shared
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(min=1), help="Folds at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
def backtest(config_file: Path, output: Path | None, jobs: int, as_json: bool) -> None:
    """Roll through the history: at each date train on what was known, and see what then happened."""
    from pipeline.backtest.run import backtest as run
    from pipeline.backtest.screen import show_backtest

    config = read(config_file)
    folder = folder_of(config, output)
    account = run(config, _now(), folder, _teller(), jobs)
    if as_json:
        print_json(account)
    else:
        show_backtest(account, folder)


@main_group.command(short_help="score every open lead")
@shared
@_as_of
@_leads
def score(config_file: Path, output: Path | None, as_of: datetime | None, leads_file: Path | None) -> None:
    """Score every lead open at a moment, into scores.parquet and excluded.parquet."""
    from pipeline.score import score as run
    from pipeline.terminal import show_scores
    from pipeline.verdicts import nobody_passes, stale

    config, now = read(config_file), _now()
    folder = folder_of(config, output)
    scored = run(config, as_of or now, now, folder, leads_file=leads_file, tell=_teller())
    warnings = [
        stale(scored.dataset.observed_until, as_of or now),
        nobody_passes(scored.bundle.bands.to_dict()),
    ]
    show_scores(scored.scores, scored.excluded, scored.bundle.about, warnings)
    click.echo(f"Wrote {folder / 'scores.parquet'} and {folder / 'excluded.parquet'}.")


@main_group.command(short_help="one lead's story")
@shared
@_as_of
@_leads
@click.argument("lead_id")
def explain(
    config_file: Path, output: Path | None, as_of: datetime | None, leads_file: Path | None, lead_id: str
) -> None:
    """Tell one lead's story: its propensity, what raises and lowers it, what it did last."""
    from pipeline.explain import explain as run

    config, now = read(config_file), _now()
    run(config, as_of or now, now, folder_of(config, output), lead_id, leads_file=leads_file)


@main_group.command(short_help="what marketing reads: one page, English or French")
@shared
@click.option(
    "--language", type=click.Choice(LANGUAGES), default=None,
    help="Of the page.  [default: the project's]",
)  # fmt: skip
@_as_of_scores
@click.option("--run", metavar="ID", default=None, help="The last report of an older training, again.")
@click.option("--top", type=click.IntRange(1, 500), default=None, help="How many leads to call are listed.")
@click.option(
    "--with-names", is_flag=True,
    help="List leads by name, in a page of its own: personal data, at your own risk.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the content as JSON, in both languages.")
def report(
    config_file: Path, output: Path | None, language: Language | None, as_of: datetime | None,
    run: str | None, top: int | None, with_names: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write what the model learned, decides and is worth, as one page for people who do not train models."""
    from pipeline.report.make import Wanted
    from pipeline.report.make import report as make

    config = read(config_file)
    wanted = Wanted(language or config.project.language, as_of, run, top, with_names)
    made = make(config, _now(), folder_of(config, output), wanted, _teller())
    if as_json:
        print_json(made.content)
        return
    size = made.page.stat().st_size / 1e6
    click.echo(f"Wrote {made.page} ({size:.1f} MB; it opens in any browser, also from a mail).")
    if with_names:
        click.echo("It names people: handle it as personal data. It is attached to no run.")


main_group.add_command(sync)


@main_group.command(short_help="write a simulated CRM")
@shared
@click.option("--leads", default=6000, show_default=True, type=click.IntRange(min=50), help="How many leads.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.argument("directory", type=click.Path(path_type=Path))
def simulate(config_file: Path, output: Path | None, leads: int, seed: int, directory: Path) -> None:
    """Write a simulated CRM, whose true probabilities are known, into a directory."""
    from pipeline.simulation import simulate as run
    from pipeline.template import write_simulated

    summary = run(leads, seed, directory, _teller())
    write_simulated(directory)
    click.echo(
        f"Simulated {summary.leads:,} leads of {summary.accounts:,} accounts with {summary.activities:,} "
        f"activities: {summary.won:,} won, {summary.lost:,} lost, {summary.disqualified:,} disqualified, "
        f"{summary.open:,} open at the end, {summary.ended:%Y-%m-%d}."
    )
    click.echo(f"Next: {shlex.join(['propense', 'check', '--config', str(directory / 'propense.toml')])}")


@main_group.command(short_help="the whole way on a simulated CRM")
@shared
@click.option("--leads", default=8000, show_default=True, type=click.IntRange(min=50), help="How many leads.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same demo.")
@click.argument("directory", type=click.Path(path_type=Path), default="demo")
def demo(config_file: Path, output: Path | None, leads: int, seed: int, directory: Path) -> None:
    """Run the whole way once on a simulated CRM: simulate, train, score, write back."""
    from pipeline.demo import demo as run

    run(directory, leads, seed, output or directory / "output", _teller())


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _teller() -> Callable[[str], None]:
    """Return what tells progress, on standard error so that results can be piped."""
    return lambda message: click.echo(f"… {message}", err=True)


def _interrupt(number: int, frame: object) -> NoReturn:
    _signals.append(number)
    raise KeyboardInterrupt


def _not_lost(ignored: sys.UnraisableHookArgs) -> None:
    """Interrupt again, in a moment, where an object's clean-up swallowed the interruption."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(ignored)


def main() -> None:
    """Run the command line: a user's mistake is one message and a status, never a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):  # all are cleaned up after
        signal.signal(number, _interrupt)
    sys.unraisablehook = _not_lost
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no "−" is shown something else
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        _run()
    except Exception:
        # Libraries that were interrupted in their own code raise errors of their own.
        if _signals:
            _interrupted()
        raise


def _run() -> None:
    try:
        main_group.main(prog_name="propense", standalone_mode=False)
    except PropenseError as error:
        if _signals:
            raise
        _fail(error)
    except click.exceptions.Abort:
        _interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(ConfigurationError(f"{error.strerror or error}.", where=str(error.filename or "")))


def _fail(error: PropenseError) -> NoReturn:
    from pipeline.terminal import show_error

    show_error(error)
    sys.exit(error.exit_status)


def _interrupted() -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):  # pressed twice, it ends at once
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    click.echo(
        "Interrupted. Nothing half-written is left under its final name; run the same command again.",
        err=True,
    )
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
