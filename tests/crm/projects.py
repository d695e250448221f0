"""A project of a test: a configuration with one destination, the leads' table, and the scores of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.configuring import read_config
from pipeline.delivery.account import Account, Options
from pipeline.delivery.command import sync
from pipeline.destinations import of_type
from pipeline.destinations.base import Destination, Value
from pipeline.files import write_parquet
from pipeline.score import EXCLUDED, SCORES

NAME = "crm"
AS_OF = datetime(2026, 6, 30, 10)
# Reasons as people read them: signs that are no ASCII, quotes, and what a spreadsheet takes for its own.
REASONS = [
    {"concept": "quote", "direction": "up", "strength": 0.5, "text": 'asked for a "quote", 2×', "value": "1"},
    {"concept": "size", "direction": "down", "strength": 0.2, "text": "1000+ employees; Köln’s", "value": ""},
]
TOLD = '+ asked for a "quote", 2×; − 1000+ employees; Köln’s'


class Project:
    """A folder to work in, and a destination called ``crm``.

    Leads are named ``lead-<key>``; the leads' table says by which key each is found in the destination.
    """

    def __init__(self, folder: Path, fields: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.fields = dict(fields)
        self.settings = dict(settings)
        self.name = NAME
        self.ledger: str | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.output.mkdir(exist_ok=True)

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def config(self) -> Path:
        return self.folder / "propense.toml"

    def configure(self, **changes: Any) -> None:
        """Write the configuration, with settings of the destination changed."""
        self.settings |= changes
        sync = f"[sync]\nledger = {_toml(self.ledger)}\n" if self.ledger else ""
        lines = [f"{name} = {_toml(value)}" for name, value in self.settings.items()]
        fields = [f"{name} = {_toml(field)}" for name, field in self.fields.items()]
        text = [
            '[project]\nname = "p"',
            '[leads]\ntable = "leads.csv"\nid = "id"\ncreated_at = "at"',
            f'[outcomes]\noutcome = "outcome"\n{sync}[destinations.{self.name}]', *lines,
            f"[destinations.{self.name}.fields]", *fields,
        ]  # fmt: skip
        self.config.write_text("\n".join(text), "utf-8")

    def score(
        self,
        leads: Mapping[str, float],
        run: str = "run-1",
        *,
        as_of: datetime = AS_OF,
        complete: bool = True,
        records: Mapping[str, str] | None = None,
    ) -> None:
        """Write scores by key of the lead's record, as `propense score` does; without reasons if 0."""
        keys = list(leads)
        frame = pd.DataFrame({"id": [lead_of(key) for key in keys], "at": "2026-01-01", "record": keys})
        if records:
            frame["record"] = frame["record"].replace(dict(records))
        frame.to_csv(self.folder / "leads.csv", index=False)
        chances = list(leads.values())
        scores = pd.DataFrame(
            {
                "lead_id": frame["id"], "target": "won", "as_of": pd.Timestamp(as_of), "propensity": chances,
                "propensity_low": 0.0, "propensity_high": 1.0, "score": [round(100 * p) for p in chances],
                "band": [band_of(p) for p in chances], "grade": [grade_of(p) for p in chances],
                "sales_ready": [p >= 0.9 for p in chances], "fit": 0.25, "engagement": -1.5,
                "reasons": [REASONS if p else [] for p in chances], "model_version": "3", "run_id": run,
            }
        )  # fmt: skip
        nobody = pd.DataFrame(columns=EXCLUDED.names)
        write_parquet(self.output / "excluded.parquet", nobody, EXCLUDED.with_metadata({"run_id": run}))
        metadata = {"run_id": run, "complete": "true" if complete else "false"}
        write_parquet(self.output / "scores.parquet", scores, SCORES.with_metadata(metadata))
        nobody = pd.DataFrame(columns=EXCLUDED.names)
        write_parquet(self.output / "excluded.parquet", nobody, EXCLUDED.with_metadata({"run_id": run}))

    def sync(self, **options: bool) -> Account:
        """Deliver in this process."""
        self.configure()
        return sync(read_config(self.config), self.output, self.name, Options(**options))

    def destination(self) -> Destination:
        """Return the destination itself, as it is configured; to be closed."""
        self.configure()
        settings = read_config(self.config).destinations[self.name]
        return of_type(settings.type)(self.name, settings, self.folder)

    def values(
        self, chance: float, run: str = "run-1", sequence: int = 1, *, as_of: datetime = AS_OF
    ) -> dict[str, Value]:
        """Return what a record holds after a delivery, by the destination's field."""
        every: dict[str, Value] = {
            "propensity": round(chance, 6), "score": round(100 * chance), "band": band_of(chance),
            "grade": grade_of(chance), "sales_ready": chance >= 0.9, "reasons": TOLD if chance else "",
            "as_of": as_of.isoformat() + "+00:00", "run_id": run, "run_sequence": sequence,
        }  # fmt: skip
        return {field: every[column] for column, field in self.fields.items()}


def lead_of(key: str) -> str:
    return f"lead-{key}"


def band_of(chance: float) -> str:
    return "mql" if chance >= 0.5 else "nurture" if chance >= 0.1 else "let_go"


def grade_of(chance: float) -> str:
    return "ABCD"[min(3, int(4 * (1 - chance)))] + "1"


def spread(keys: Sequence[str], low: float = 0.02, high: float = 0.98) -> dict[str, float]:
    """Return a propensity for each key, all different for up to some ten thousand of them."""
    step = (high - low) / max(1, len(keys) - 1)
    return {key: round(low + step * place, 6) for place, key in enumerate(keys)}


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + " }"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
