"""The levels of the bands, kept with the scores: what hysteresis needs when they are written back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from models.decision import BANDS, Bands, settle

_KEY = b"levels"


@dataclass(frozen=True)
class Levels:
    """The levels by which scores were put into bands; they travel with the scores."""

    mql: float | None
    nurture: float
    hysteresis: float
    sales_ready: float | None = None

    @classmethod
    def of(cls, bands: Bands) -> Levels:
        """Return the levels of a bundle's bands."""
        return cls(bands.mql.level, bands.nurture, bands.hysteresis, bands.sales_ready)

    def settled(self, scores: pd.DataFrame, last: Mapping[str, str]) -> pd.DataFrame:
        """Return scores with the band, and whether it is ready for sales, that follow from the last band.

        `scores` has lead_id, propensity, and in ``asked`` whether the lead asked for sales.
        """
        had = scores["lead_id"].map(dict(last))
        band = settle(
            scores["propensity"],
            had.where(had.isin(BANDS), None),
            mql=self.mql,
            nurture=self.nurture,
            hysteresis=self.hysteresis,
        )
        strict = False if self.sales_ready is None else scores["propensity"] >= self.sales_ready
        return scores.assign(band=band, sales_ready=(band == "mql") & (scores["asked"] | strict))

    @classmethod
    def read(cls, metadata: Mapping[bytes, bytes]) -> Levels | None:
        """Return the levels from a file's metadata, None if it was written without."""
        text = metadata.get(_KEY)
        return cls(**json.loads(text)) if text else None

    def write(self) -> str:
        """Return them as text for a file's metadata."""
        return json.dumps(asdict(self))
