"""`propense score` gives a run its place in the sequence before it reads data, and says what it scored."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_crm import write_config

import pipeline.score
from features.errors import ConfigurationError
from pipeline.config import Config
from pipeline.delivery.ledger import Ledger
from pipeline.delivery.payload import read_scores
from pipeline.delivery.place import ledger_url
from pipeline.score import EXCLUDED, SCORES, Scored

NOW = datetime(2026, 6, 30)
BANDS = SimpleNamespace(mql=SimpleNamespace(level=0.5), nurture=0.2, hysteresis=0.2, sales_ready=None)


@pytest.fixture
def highest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Score nobody, with no model; list how many runs were registered whenever data would be read."""
    found: list[int] = []

    def score_with(champion: Any, config: Config, *moments: datetime, run_id: str, **more: Any) -> Scored:
        if config.destinations and (tmp_path / "ledger.sqlite").is_file():
            with closing(Ledger.open(ledger_url(config, tmp_path))) as ledger:
                found.append(ledger.highest())
        nobody = pd.DataFrame(columns=SCORES.names)
        bundle: Any = SimpleNamespace(bands=BANDS)
        dataset: Any = None
        return Scored(nobody, pd.DataFrame(columns=EXCLUDED.names), bundle, dataset, run_id)

    monkeypatch.setattr(pipeline.score, "champion_of", lambda folder, config: SimpleNamespace(version="4"))
    monkeypatch.setattr(pipeline.score, "score_with", score_with)
    return found


def score(config: Config, folder: Path, **more: Any) -> list[str]:
    """Score; return what was told."""
    told: list[str] = []
    pipeline.score.score(config, NOW, NOW, folder, tell=told.append, **more)
    return told


def test_a_run_is_registered_before_its_data_is_read(highest: list[int], tmp_path: Path) -> None:
    config = write_config(tmp_path)
    score(config, tmp_path)
    first = read_scores(tmp_path)
    score(config, tmp_path)
    assert highest == [1, 2]
    with closing(Ledger.open(ledger_url(config, tmp_path))) as ledger:
        assert ledger.register(first.run_id, first.as_of, first.model_version) == 1
        assert ledger.register(read_scores(tmp_path).run_id, NOW, "4") == 2


def test_without_a_destination_there_is_no_ledger(highest: list[int], tmp_path: Path) -> None:
    config = write_config(tmp_path).model_copy(update={"destinations": {}})
    score(config, tmp_path)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_ledger_that_cannot_be_reached_is_no_reason_not_to_score(
    highest: list[int], tmp_path: Path
) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    told = score(write_config(tmp_path), tmp_path)
    assert any("going on without the ledger" in message for message in told)
    (tmp_path / "ledger.sqlite").rmdir()
    assert read_scores(tmp_path).model_version == "4"


def test_a_password_in_the_configuration_is_a_mistake_at_once(highest: list[int], tmp_path: Path) -> None:
    config = write_config(tmp_path, '[sync]\nledger = "postgresql://me:verysecret@127.0.0.1/l"')
    with pytest.raises(ConfigurationError, match="holds a password"):
        score(config, tmp_path)
    assert not (tmp_path / "scores.parquet").exists()


def test_the_scores_say_of_which_run_they_are_even_if_there_are_none(
    highest: list[int], tmp_path: Path
) -> None:
    score(write_config(tmp_path), tmp_path)
    scores = read_scores(tmp_path)
    assert (scores.as_of, scores.model_version, scores.complete) == (NOW, "4", True)


def test_a_file_of_leads_is_not_all_leads_and_is_named(highest: list[int], tmp_path: Path) -> None:
    score(write_config(tmp_path), tmp_path, leads_file=tmp_path / "few.csv")
    assert not read_scores(tmp_path).complete
    metadata = pq.read_schema(tmp_path / "scores.parquet").metadata
    assert metadata[b"leads_file"].decode() == str(tmp_path / "few.csv")
    assert b"leads_file" not in pq.read_schema(tmp_path / "excluded.parquet").metadata
