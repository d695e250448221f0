"""A lead's scores go to the record that its own table names, or to none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from features.errors import ConfigurationError, DataError
from pipeline.config import Config
from pipeline.delivery.records import record_keys

LEADS = """
lead_id,created_at,salesforce_id,code,e-mail
a,2024-01-01,00Q1,1,ann@example.com
b,2024-01-01, 00Q2 ,2,ben@example.com
c,2024-01-01,,3,
d,2024-01-01,none,4,
"""


def keys(
    folder: Path,
    *leads: str,
    record: str | None = "salesforce_id",
    text: str = LEADS,
    leads_file: Path | None = None,
    **more: object,
) -> dict[str, str]:
    """The records of some leads, whose table is `text`; `more` are further settings of the leads."""
    (folder / "leads.csv").write_text(text.strip() + "\n")
    destination = {
        "type": "sqlite", "path": "crm.sqlite", "table": "t", "key": "k", "record": record,
        "fields": {"score": "points"},
    }  # fmt: skip
    section = {"table": "leads.csv", "id": "lead_id", "created_at": "created_at", "missing": ["none"], **more}
    config = Config.model_validate(
        {
            "project": {"name": "p"},
            "leads": section,
            "outcomes": {"outcome": "outcome"},
            "destinations": {"crm": destination},
        }
    ).model_copy(update={"root": folder})
    return record_keys(config, "crm", config.destinations["crm"], list(leads), leads_file)


def test_without_a_column_a_lead_is_its_own_record_and_no_table_is_read(tmp_path):
    assert keys(tmp_path, "a", "z", record=None, text="") == {"a": "a", "z": "z"}


def test_a_column_names_the_record(tmp_path):
    assert keys(tmp_path, "a", "b") == {"a": "00Q1", "b": "00Q2"}


def test_empty_missing_and_unknown_leads_have_none(tmp_path):
    assert keys(tmp_path, "a", "c", "d", "z") == {"a": "00Q1"}


def test_numbers_are_written_without_a_point_as_ids_are(tmp_path):
    frame = pd.DataFrame({"lead_id": [1.0, 2.0], "created_at": "2024-01-01", "number": [17.0, None]})
    frame.to_parquet(tmp_path / "leads.parquet")
    assert keys(tmp_path, "1", "2", record="number", table="leads.parquet") == {"1": "17"}


def test_ids_may_be_hashed_and_records_never_are(tmp_path):
    hashed = {lead: hashlib.sha256(lead.encode()).hexdigest()[:24] for lead in "ab"}
    found = keys(tmp_path, *hashed.values(), record="e-mail", hash_id=True)
    assert found == {hashed["a"]: "ann@example.com", hashed["b"]: "ben@example.com"}


def test_a_lead_that_names_two_records_is_written_to_neither(tmp_path):
    twice = LEADS + "a,2024-01-01,00Q9,1,\nb,2024-01-01,00Q2,2,\n"
    assert keys(tmp_path, "a", "b", text=twice) == {"b": "00Q2"}


def test_leads_that_were_scored_from_a_file_are_looked_up_in_it(tmp_path):
    (tmp_path / "new.csv").write_text("lead_id,created_at,salesforce_id\nn,2024-02-01,00Q7\n")
    assert keys(tmp_path, "n", "a", leads_file=tmp_path / "new.csv") == {"n": "00Q7"}


def test_an_unknown_column_names_the_nearest(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"(?s)'salesforce_i'.*\[destinations.crm\] record.*Did you"
    ) as e:
        keys(tmp_path, "a", record="salesforce_i")
    assert "'salesforce_id'" in e.value.todo


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"no file 'new\.csv'"):
        keys(tmp_path, "a", leads_file=tmp_path / "new.csv")
