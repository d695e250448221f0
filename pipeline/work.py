"""What a training works on, from the tables as they were read to where its result is registered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline import featuring
from pipeline.config import Config
from pipeline.guard.verdicts import Judgement
from pipeline.preparation import Prepared
from pipeline.progress import Stages
from pipeline.registry import Registry
from pipeline.source.dataset import Dataset


@dataclass(frozen=True)
class Work:
    """What a training starts from once the data is known to support it.

    `dataset` is as it was read (and cleaned), `clean` without what the leak guard left out.
    """

    config: Config
    dataset: Dataset
    clean: Dataset
    prepared: Prepared
    judgement: Judgement
    backtested: dict[str, Any] | None
    stages: Stages
    registry: Registry
    now: datetime
    ship: bool

    @property
    def about(self) -> dict[str, Any]:
        """What the bundle has to know of its making, to score leads seen in the same way."""
        left_out = {
            "attributes": sorted(self.judgement.attributes_left_out()),
            "kinds": sorted(self.judgement.kinds_left_out()),
        }
        return {**featuring.about(self.config), "left_out": left_out, "shipped": self.ship}
