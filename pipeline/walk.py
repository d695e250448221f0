"""The project that the notebooks walk through, brought once through the whole job and then kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.backtest.run import backtest
from pipeline.config import Backtest, Config
from pipeline.configuring import read_config
from pipeline.score import score
from pipeline.simulation import simulate
from pipeline.source.dataset import load
from pipeline.template import write_simulated
from pipeline.train import train

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = "bpic2012"
LEADS, SEED = 3000, 3
# A walk needs fewer origins than a decision does.
FOLDS = Backtest(folds=4)


@dataclass(frozen=True)
class Walk:
    """A project after backtest, training and scoring: its configuration, its moment, its results."""

    config: Config
    as_of: datetime
    folder: Path


def walk(tell: Callable[[str], None] = print) -> Walk:
    """Return bpic2012 if ``PROPENSE_DATA`` names a folder that has it, else a simulated CRM.

    What takes minutes is done in the first notebook that asks, and kept in ``output/notebooks/``.
    """
    public = Path(os.environ.get("PROPENSE_DATA", "")) / PUBLIC
    name = PUBLIC if public.is_dir() else "simulated"
    base = ROOT / "output" / "notebooks" / name
    config, as_of = (_public if name == PUBLIC else _simulated)(base)
    config = config.model_copy(update={"backtest": FOLDS})
    folder = base / "output"
    if not (folder / "scores.parquet").is_file():
        tell(f"The whole job runs once on {name}: backtest, training, scoring. This takes minutes.")
        now = datetime.now(UTC).replace(tzinfo=None)
        backtest(config, now, folder)
        train(config, now, folder)
        score(config, as_of, now, folder)
    return Walk(config, as_of, folder)


def _public(base: Path) -> tuple[Config, datetime]:
    """Return the configuration of bpic2012 and the end of its log."""
    config = read_config(ROOT / "data" / "examples" / f"{PUBLIC}.toml")
    until = load(config, datetime.now(UTC).replace(tzinfo=None)).observed_until
    assert until is not None, "a table with times has an end"
    return config, until


def _simulated(base: Path) -> tuple[Config, datetime]:
    crm = base / "crm"
    if not (crm / "propense.toml").is_file():
        simulate(LEADS, SEED, crm)
        write_simulated(crm)
    config = read_config(crm / "propense.toml").model_copy(update={"root": crm})
    assert config.outcomes is not None, "the simulated CRM has outcomes"
    until = config.outcomes.observed_until
    assert until is not None, "the simulated CRM says how far it goes"
    return config, until.astimezone(UTC).replace(tzinfo=None)
