"""Which columns become attributes, read as what, and which are left out and why."""

from __future__ import annotations

import pandas as pd
import pytest
from project import NOW, read, rows, told, write_project

from features.errors import BundleError
from pipeline.configuring import read_config
from pipeline.source.dataset import load

AT = "2024-01-01T00:00:00"
NO_OUTCOMES = "lead_id, outcome, closed_at\n1, open,"


def with_columns(tmp_path, columns: dict[str, list], *, parquet: bool = False, in_leads: str = "", **more):
    """A project whose leads have these columns."""
    path = write_project(tmp_path, activities=None, outcomes=NO_OUTCOMES, in_leads=in_leads, **more)
    count = len(next(iter(columns.values())))
    ids = [str(i) for i in range(1, count + 1)]
    table = pd.DataFrame({"lead_id": ids, "created_at": AT, **columns})
    if parquet:
        table.to_parquet(tmp_path / "leads.parquet")
        path.write_text(path.read_text().replace("leads.csv", "leads.parquet"))
    else:
        table.to_csv(tmp_path / "leads.csv", index=False)
    return path


def types(dataset) -> dict[str, str]:
    return {a.name: a.type for a in dataset.tables.attributes}


def test_types_follow_from_values_and_names(tmp_path):
    dataset = read(
        with_columns(
            tmp_path,
            {
                "Industry": ["steel", "food", "food"],
                "Visits": ["1", "2.5", ""],
                "Job Title": ["CEO", "clerk", "clerk"],
                "Company-Size": ["1000-5000", "5000-9999", "1000-5000"],  # looks like a telephone number
                "Zip": ["01000", "75000", "75001"],  # a code: the zero at its start says so
                "Opted in": ["yes", "", ""],  # filled or not tells leads apart
            },
        )
    )
    assert types(dataset) == {
        "Industry": "category", "Visits": "number", "Job Title": "seniority", "Company-Size": "size",
        "Zip": "category", "Opted in": "category",
    }  # fmt: skip
    assert rows(dataset.tables.leads, "Zip", "Visits") == [("01000", 1.0), ("75000", 2.5), ("75001", None)]
    assert not dataset.findings.errors


def test_types_may_be_said(tmp_path):
    columns = {"region": ["1", "2", "3"], "band": ["1-9", "10-49", "50-"]}
    path = with_columns(
        tmp_path,
        columns,
        in_leads='types = { region = "category", band = "size" }\nattributes = ["region", "band"]',
    )
    assert types(read(path)) == {"region": "category", "band": "size"}


def test_flags_of_a_parquet_file(tmp_path):
    dataset = read(with_columns(tmp_path, {"student": [True, False, None]}, parquet=True))
    assert types(dataset) == {"student": "flag"}
    assert rows(dataset.tables.leads, "student") == [(0.0,), (1.0,), (None,)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["x"] * 60, "constant or empty"),
        ([""] * 60, "constant or empty"),
        ([f"ann{i}@example.org" for i in range(60)], "e-mail addresses or telephone numbers"),
        ([f"+33 1 40 20 50 {i:02}" for i in range(60)], "e-mail addresses or telephone numbers"),
        ([f"2024-01-{i % 28 + 1:02}" for i in range(60)], "dates are no attribute"),
        ([f"word {i}" for i in range(60)], "differs in nearly every row: an id or free text"),
        ([str(1000 + i) for i in range(60)], "a different whole number in every row: an id"),
    ],
)
def test_columns_that_cannot_serve_are_left_out_and_shown(tmp_path, values, why):
    dataset = read(with_columns(tmp_path, {"thing": values}))
    assert types(dataset) == {}
    found = told(dataset, "left out")
    assert f"leads (leads.csv), column 'thing': {why}" in found or why in found
    # Nobody's address, number or words are shown.
    assert not any(v in found for v in values if v.startswith(("ann", "+33", "word")))


@pytest.mark.parametrize(
    "values",
    [[str(i % 30) for i in range(60)], [str(i + 0.5) for i in range(60)], [str(i) for i in range(49)]],
)
def test_numbers_that_are_quantities(tmp_path, values):
    assert types(read(with_columns(tmp_path, {"amount": values}))) == {"amount": "number"}


def test_text_where_a_number_should_be(tmp_path):
    values = [str(i % 7) for i in range(19)] + ["many"]
    dataset = read(with_columns(tmp_path, {"visits": values}))
    assert (
        "column 'visits': text where a number should be; correct it, name it in `missing`, or set its type "
        "to \"category\" in `types`, 1 rows, for example 'many'" in told(dataset, "error")
    )
    dataset = read(with_columns(tmp_path, {"visits": values}, in_leads='missing = ["many"]'))
    assert types(dataset) == {"visits": "number"}
    assert not dataset.findings.errors


def test_a_category_with_some_numbers_is_a_category(tmp_path):
    assert types(read(with_columns(tmp_path, {"plan": ["1", "2", "gold", "tin"]}))) == {"plan": "category"}


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("propense_score", "an output of this program"),
        ("Propensity Low", "an output of this program"),
        ("AI_Priority", "an output of this program"),  # named by a destination, in another case
        ("Lead Score", "looks like an old score"),
        ("points", "the old score, never a feature"),
        ("First Name", "personal data"),
        ("phone_number", "personal data"),
        ("Gender", "sensitive"),
        ("date_of_birth", "sensitive"),
    ],
)
def test_columns_refused_by_their_name(tmp_path, column, why):
    path = with_columns(
        tmp_path, {column: ["1", "2", "3"], "points": ["3", "4", "5"]}, in_leads='old_score = ["points"]',
        sections="""
            [destinations.crm]
            type = "sqlite"
            path = "crm.sqlite"
            table = "leads"
            key = "id"
            fields = { score = "ai_priority" }
        """,
    )  # fmt: skip
    dataset = read(path)
    assert types(dataset) == {}
    assert f"column '{column}': {why}" in told(dataset, "left out")


def test_listing_a_column_by_hand_brings_back_a_score_but_no_person(tmp_path):
    columns = {"score": ["1", "2", "3"], "surname": ["x", "y", "z"], "propense_band": ["a", "b", "c"]}
    path = with_columns(tmp_path, columns, in_leads='attributes = ["score", "surname", "propense_band"]')
    assert types(read(path)) == {"score": "number"}


def test_a_sensitive_attribute_is_used_when_it_is_named_with_a_reason(tmp_path):
    path = with_columns(tmp_path, {"age": ["30", "40", "50"]}, in_leads='sensitive = { age = "insurance" }')
    assert types(read(path)) == {"age": "number"}


def test_any_column_name_works(tmp_path):
    names = ['Größe, in "m" [2]: {x}', "a.b", "Été / hiver", "select", "  padded  ", "lead·x", "100%", "'"]
    dataset = read(with_columns(tmp_path, {name: ["x", "y", "y"] for name in names}))
    assert set(types(dataset)) == {name.strip() for name in names}
    for name in types(dataset):
        assert sorted(dataset.tables.leads[name].execute()) == ["x", "y", "y"]


def test_an_attribute_may_be_called_like_one_of_our_own_columns(tmp_path):
    # In another case too: DuckDB does not tell Account_ID from account_id.
    columns = {"Account_ID": ["x", "y", "y"], "email_domain": ["p", "q", "q"], "firm": ["1", "1", "2"]}
    path = with_columns(tmp_path, columns, in_leads='account = "firm"')
    dataset = read(path)
    assert set(types(dataset)) == {"Account_ID (attribute)", "email_domain (attribute)"}
    assert rows(dataset.tables.leads, "account_id", "Account_ID (attribute)") == [
        ("1", "x"), ("1", "y"), ("2", "y"),
    ]  # fmt: skip
    # And a model trained on it finds its columns again.
    again = load(read_config(path), NOW, known=dataset.tables.attributes)
    assert rows(again.tables.leads, "Account_ID (attribute)") == [("x",), ("y",), ("y",)]


def test_only_the_domain_of_an_address_is_kept(tmp_path):
    columns = {"contact": ["Ann@Example.org", "nonsense", ""]}
    dataset = read(with_columns(tmp_path, columns, in_leads='email = "contact"'))
    assert rows(dataset.tables.leads, "lead_id", "email_domain") == [
        ("1", "example.org"),
        ("2", None),
        ("3", None),
    ]
    assert types(dataset) == {}


def test_what_a_model_was_trained_on_must_be_there_and_of_its_type(tmp_path):
    path = with_columns(tmp_path, {"visits": ["1", "2", "3"], "plan": ["x", "y", "y"]})
    known = read(path).tables.attributes
    with_columns(tmp_path, {"visits": ["1", "two", "3"], "plan": ["x", "y", "y"]})
    with pytest.raises(BundleError, match=r"now hold text: 'visits' \(1 rows, for example 'two'\)"):
        load(read_config(path), NOW, known=known)
    with_columns(tmp_path, {"visits": ["1", "2", "3"]})
    with pytest.raises(BundleError, match="lacks columns that the model was trained on: 'plan'"):
        load(read_config(path), NOW, known=known)
    # An empty or constant column is enough at scoring, and one more column does no harm.
    with_columns(tmp_path, {"visits": ["", "", ""], "plan": ["x", "x", "x"], "new": ["1", "2", "3"]})
    assert types(load(read_config(path), NOW, known=known)) == {"visits": "number", "plan": "category"}


def test_a_decimal_comma_is_an_error_until_the_table_says_so(tmp_path):
    rows = "".join(f'l{i},"{i},5",{i % 2}\n' for i in range(60))
    (tmp_path / "flat.csv").write_text("id,turnover,y\n" + rows)
    path = tmp_path / "propense.toml"
    base = '[project]\nname = "p"\n[leads]\ntable = "flat.csv"\nid = "id"\nlabel = "y"\n'
    path.write_text(base)
    assert 'numbers with a decimal comma; set decimal = ","' in told(read(path), "error")
    path.write_text(base + 'decimal = ","\n')
    dataset = read(path)
    assert [(a.name, a.type) for a in dataset.tables.attributes] == [("turnover", "number")]
    assert dataset.tables.leads.turnover.max().execute() == 59.5
