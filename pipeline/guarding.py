"""The leak guard on the way of every training: judge, leave out, and prepare again where it matters."""

from __future__ import annotations

from pipeline.guard.judge import judge, without
from pipeline.guard.verdicts import Judgement
from pipeline.preparation import Prepared, prepare
from pipeline.source.dataset import Dataset


def guarded(
    dataset: Dataset, prepared: Prepared, *, ship: bool = False
) -> tuple[Dataset, Prepared, Judgement]:
    """Return the dataset without what the guard leaves out, its snapshots, and why."""
    judgement = judge(dataset, prepared)
    clean = without(dataset, judgement)
    if judgement.kinds_left_out():  # a lead's own activity opens its next episode
        prepared = prepare(clean, ship=ship)
    return clean, prepared, judgement
