"""Rows for a ledger, as the engine plans them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from pipeline.delivery.ledger import Delivery

AS_OF = datetime(2026, 6, 30, 10, tzinfo=UTC)


def planned(*leads: str, sequence: int = 1, **columns: Any) -> pd.DataFrame:
    """Rows of a plan, one a lead; `columns` differ from what is usual."""
    rows = pd.DataFrame({"lead_id": pd.Series(list(leads), dtype=object)}, index=range(len(leads)))
    usual = {
        "key": [f"key of {lead}" for lead in leads], "sequence": sequence, "digest": "d",
        "payload": '{"score": 50}', "band": "mql", "sales_ready": True, "grade": "A1", "score": 50,
        "propensity": 0.25, "concepts": "+quote", "mapping": "m", "cleared": False, "why": "new",
    }  # fmt: skip
    return rows.assign(**{**usual, **columns})


def leads_of(rows: Iterable[Delivery]) -> list[str]:
    return [delivery.lead_id for delivery in rows]
