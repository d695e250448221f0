"""Entities, histories and stages: what is joined to the leads, and how it is checked."""

from __future__ import annotations

import pytest
from project import NOW, read, rows, told, write_project

from features.errors import BundleError, DataError
from pipeline.configuring import read_config
from pipeline.source.dataset import load

LEADS = """
    lead_id, created_at,          account, country
    a,       2024-01-01T00:00:00, 1,       FR
    b,       2024-01-01T00:00:00, 2,       DE
    c,       2024-01-01T00:00:00, ,        DE
"""
ACCOUNTS = """
    id, country, sector
    1,  ES,      steel
    2,  IT,      food
    3,  PT,      food
"""
ENTITIES = """
    [[entities]]
    table = "accounts.csv"
    key = "id"
    lead_key = "account"
"""


def with_accounts(tmp_path, accounts: str = ACCOUNTS, sections: str = ENTITIES, **more):
    return write_project(
        tmp_path, leads=LEADS, in_leads='account = "account"', sections=sections,
        files={"accounts.csv": accounts, **more.pop("files", {})}, **more,
    )  # fmt: skip


def test_attributes_of_an_account_are_joined_and_named_after_its_table(tmp_path):
    dataset = read(with_accounts(tmp_path))
    # The same name in both tables stays apart; a lead without an account has none.
    assert rows(dataset.tables.leads, "lead_id", "country", "accounts·country", "accounts·sector") == [
        ("a", "FR", "ES", "steel"),
        ("b", "DE", "IT", "food"),
        ("c", "DE", None, None),
    ]
    assert dataset.unchecked == ["country", "accounts·country", "accounts·sector"]


@pytest.mark.parametrize(
    ("row", "said"),
    [("1, FR, steel", "repeated in 1"), (", FR, steel", "missing in 1 rows")],
)
def test_keys_of_an_entity_must_be_there_once(tmp_path, row, said):
    with pytest.raises(DataError) as error:
        read(with_accounts(tmp_path, ACCOUNTS + f"    {row}\n"))
    assert said in error.value.message
    assert "accounts.csv, column 'id'" in error.value.message
    assert "[[history]]" in error.value.message


def test_two_entity_tables_of_the_same_file_name(tmp_path):
    other = ENTITIES.replace("accounts.csv", "old/accounts.csv")
    (tmp_path / "old").mkdir()
    path = with_accounts(
        tmp_path, sections=ENTITIES + other, files={"old/accounts.csv": ACCOUNTS.replace("food", "wine")}
    )
    dataset = read(path)
    assert rows(dataset.tables.leads, "lead_id", "accounts·sector", "accounts no. 2·sector") == [
        ("a", "steel", "steel"), ("b", "food", "wine"), ("c", None, None),
    ]  # fmt: skip
    again = load(read_config(path), NOW, known=dataset.tables.attributes)
    assert rows(again.tables.leads, "accounts no. 2·sector") == [(None,), ("steel",), ("wine",)]


def test_own_outputs_and_old_scores_of_an_account_are_no_features(tmp_path):
    accounts = "id, propense_score, points, sector\n1, 3, 5, x\n2, 4, 6, y"
    leads = LEADS.replace("country", "points").replace("FR", "1").replace("DE", "2")
    path = with_accounts(tmp_path, accounts)
    path.write_text(
        path.read_text().replace('account = "account"\n', 'account = "account"\nold_score = ["points"]\n')
    )
    (tmp_path / "leads.csv").write_text(
        "\n".join(line.replace(" ", "") for line in leads.strip().splitlines())
    )
    assert [a.name for a in read(path).tables.attributes] == ["accounts·sector"]


HISTORY = """
    [[history]]
    table = "history.csv"
    lead_id = "who"
    known_at = "at"
    attributes = ["country"]
"""
VERSIONS = """
    who, at,                  country, other
    a,   2024-01-01T00:00:00, BE,      x
    a,   2024-02-01T00:00:00, FR,      y
    x,   2024-02-01T00:00:00, NL,      y
"""


def test_a_history_takes_the_place_of_the_leads_own_column(tmp_path):
    dataset = read(with_accounts(tmp_path, sections=HISTORY, files={"history.csv": VERSIONS}))
    (country,) = dataset.tables.attributes
    assert (country.name, country.origin, country.checked) == ("country", "history", True)
    assert "country" not in dataset.tables.leads.columns
    assert rows(dataset.tables.versions[0], "lead_id", "known_at", "country") == [
        ("a", "2024-01-01", "BE"),
        ("a", "2024-02-01", "FR"),
    ]
    assert "history no. 1 (history.csv), column 'lead_id': of leads that the leads table" in told(
        dataset, "left out"
    )
    assert dataset.unchecked == []


def test_a_model_finds_the_attributes_of_two_histories_again(tmp_path):
    # Both files have the column country; only the first section reads it.
    second = HISTORY.replace("history.csv", "other.csv").replace('"country"', '"other"')
    files = {"history.csv": VERSIONS, "other.csv": VERSIONS}
    path = with_accounts(tmp_path, sections=HISTORY + second, files=files)
    known = read(path).tables.attributes
    again = load(read_config(path), NOW, known=known)
    assert [table.columns[2:] for table in again.tables.versions] == [("country",), ("other",)]
    assert again.tables.attributes == known


def test_a_model_whose_table_is_no_longer_configured(tmp_path):
    known = read(with_accounts(tmp_path)).tables.attributes
    path = with_accounts(tmp_path, sections="")
    with pytest.raises(BundleError, match="no longer reads: accounts·country, accounts·sector"):
        load(read_config(path), NOW, known=known)


STAGES = """
    [stages]
    table = "stages.csv"
    lead_id = "lead_id"
    stage = "stage"
    at = "at"
    by = "who"
    values = { sql = ["Accepted"] }
"""


def test_stages_are_read_and_validated(tmp_path):
    files = {
        "stages.csv": "lead_id, stage, at, who\na, MQL, 2024-01-02T00:00, bot\na, accepted, 2024-01-03T00:00,"
    }
    dataset = read(write_project(tmp_path, sections=STAGES, files=files))
    assert rows(dataset.stages, "lead_id", "stage", "at", "by", "reason") == [
        ("a", "mql", "2024-01-02", "bot", None),
        ("a", "sql", "2024-01-03", None, None),
    ]
    assert not dataset.findings.errors


def test_stages_that_are_none(tmp_path):
    files = {"stages.csv": "lead_id, stage, at, who\na, thinking, soon, bot\nx, mql, 2024-01-03T00:00,"}
    dataset = read(write_project(tmp_path, sections=STAGES, files=files))
    found = told(dataset, "error")
    assert "column 'stage': stages other than lead, mql, sql, opportunity, customer; map them" in found
    assert "1 rows, for example 'thinking'" in found
    assert "column 'at': times that cannot be read" in found
    assert "for example 'x'" in told(dataset, "left out")


def test_without_stages_there_are_none(tmp_path):
    assert read(write_project(tmp_path)).stages is None
