"""The levels of the bands, kept with the scores: what hysteresis needs when they are written back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from models.decision import Bands

_KEY = b"levels"


@dataclass(frozen=True)
class Levels:
    """The levels by which scores were put into bands; they travel with the scores."""

    mql: float | None
    nurture: float
    hysteresis: float

    @classmethod
    def of(cls, bands: Bands) -> Levels:
        """Return the levels of a bundle's bands."""
        return cls(bands.mql.level, bands.nurture, bands.hysteresis)

    @classmethod
    def read(cls, metadata: Mapping[bytes, bytes]) -> Levels | None:
        """Return the levels from a file's metadata, None if it was written without."""
        text = metadata.get(_KEY)
        return cls(**json.loads(text)) if text else None

    def write(self) -> str:
        """Return them as text for a file's metadata."""
        return json.dumps(asdict(self))
