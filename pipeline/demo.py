"""``propense demo``: the whole way of a lead, once, on a simulated CRM."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pipeline.backtest.run import backtest
from pipeline.configuring import read_config
from pipeline.delivery.account import Account
from pipeline.delivery.command import sync
from pipeline.delivery.place import LEDGER
from pipeline.demo_screen import Made, show_demo
from pipeline.report.make import Reported, Wanted, report
from pipeline.score import Scored, score
from pipeline.simulation import simulate
from pipeline.template import write_simulated
from pipeline.train import Trained, train


def demo(directory: Path, leads: int, seed: int, folder: Path, tell: Callable[[str], None]) -> None:
    """Simulate, backtest, train, score, report and write back; end with what was found and where it is.

    Raises
    ------
    ConfigurationError
        `directory` holds something that was not simulated.
    """
    tell(f"simulating a CRM of {leads:,} leads")
    summary = simulate(leads, seed, directory / "crm")
    write_simulated(directory / "crm")
    _forget_deliveries(folder)
    given = read_config(directory / "crm" / "propense.toml")
    config = given.model_copy(update={"root": (directory / "crm").resolve()})  # even with PROPENSE_DATA set
    end: datetime = summary.ended.replace(tzinfo=None)
    backtest(config, end, folder, tell)
    trained: Trained = train(config, end, folder, tell)
    scored: Scored = score(config, end, end, folder, tell=tell)
    reported: Reported = report(config, end, folder, Wanted("en"), tell)
    tell("writing the scores back into the CRM")
    delivered: Account = sync(config, folder, "crm")
    made = Made(delivered, reported.page, directory, folder)
    show_demo(trained.account, scored.scores, scored.excluded, made)


def _forget_deliveries(folder: Path) -> None:
    """Remove the ledger of an earlier demo: the CRM that it speaks of has just been replaced."""
    for path in folder.glob(f"{LEDGER}*"):
        path.unlink()
