"""The newest backtest of a procedure: what a training can say of itself beyond its own test window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from features.errors import ConfigurationError
from pipeline.backtest.store import procedure
from pipeline.config import Config

ACCOUNT = "backtest.json"
KEPT = ("run_id", "procedure", "sentence", "words", "answer", "overall", "comparison", "reference", "notes")
KEPT_OF_FOLD = ("origin", "until", "promised", "realised", "held", "as_operated", "equal_contacts")


def latest(folder: Path, config: Config) -> dict[str, Any] | None:
    """Return what the newest backtest of this procedure found, in short; None if there is none.

    Another configuration is another procedure: its numbers would be somebody else's.
    """
    path = folder / ACCOUNT
    if not path.is_file():
        return None
    account = json.loads(path.read_text("utf-8"))
    if account.get("procedure") != procedure(config):
        return None
    folds = [{name: fold.get(name) for name in KEPT_OF_FOLD} for fold in account["folds"]]
    return {**{name: account.get(name) for name in KEPT}, "folds": folds, "data": account["data"]}


def possible(config: Config) -> bool:
    """Return whether there is a time, or at least an order, to roll through."""
    return config.split in ("time", "row")


def no_backtest(folder: Path, config: Config) -> ConfigurationError:
    """Return the error of shipping what was never tested."""
    if not possible(config):
        return ConfigurationError(
            "A model to ship has no test window of its own, and without an order in time there is no "
            "backtest whose numbers could stand for it.",
            todo="train without --ship; or give times, or rows in the order in which the leads came",
        )
    stale = (folder / ACCOUNT).is_file()
    return ConfigurationError(
        "A model to ship has no test window of its own: its numbers are those of a backtest, and "
        + ("the one there is was of another configuration." if stale else "there is none."),
        where=str(folder / ACCOUNT),
        todo="run `propense backtest` with this configuration first",
    )
