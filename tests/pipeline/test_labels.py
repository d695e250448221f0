"""What people read for a kind or an attribute: one text, or one for each language."""

from __future__ import annotations

import pytest
from project import read, write_project

from features.errors import ConfigurationError
from features.language import Text
from pipeline import featuring
from pipeline.configuring import read_config
from pipeline.simulation.world import KIND_NAMES
from pipeline.template import write_simulated

LABELS = """
    [features.labels]
    visit = { en = "website visit", fr = "visite du site" }
    erp = "ERP"
"""
LEADS = """
    lead_id, created_at,          erp, Company Size
    a,       2024-01-01T00:00:00, sap, 10-49
    b,       2024-01-01T00:00:00, sap, 50-199
    c,       2024-01-01T00:00:00, own, 50-199
"""


def test_they_reach_the_features(tmp_path) -> None:
    path = write_project(tmp_path, leads=LEADS, sections=LABELS)
    assert featuring.settings(read_config(path)).labels == {
        "visit": Text("website visit", "visite du site"), "erp": Text("ERP", "ERP"),
    }  # fmt: skip
    labels = {attribute.name: attribute.label for attribute in read(path).tables.attributes}
    assert labels == {"erp": Text("ERP", "ERP"), "Company Size": None}  # the latter is read by its name


def test_a_configuration_is_written_as_it_was_read(tmp_path) -> None:
    config = read_config(write_project(tmp_path, sections=LABELS))
    assert config.model_dump(mode="json")["features"]["labels"] == {
        "visit": {"en": "website visit", "fr": "visite du site"}, "erp": "ERP",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ('{ en = "visit" }', "a label is a text, or one for each language"),
        ('{ en = "visit", fr = "visite", de = "Besuch" }', "a label is a text, or one for each language"),
        ('{ en = "visit", fr = "" }', "a label is a text that is not empty"),
        ('""', "a label is a text that is not empty"),
        ("3", "a label is a text that is not empty"),
    ],
)
def test_what_is_no_label(tmp_path, label: str, why: str) -> None:
    path = write_project(tmp_path, sections=f"[features.labels]\nvisit = {label}")
    with pytest.raises(ConfigurationError) as error:
        read_config(path)
    assert f"[features labels] visit: {why}" in error.value.message


def test_the_simulated_crm_is_labelled_in_both_languages(tmp_path) -> None:
    write_simulated(tmp_path)
    config = read_config(tmp_path / "propense.toml")
    labels = config.features.labels
    attributes = {*(config.leads.attributes or ()), *config.history[0].attributes}
    assert set(labels) == {*KIND_NAMES, *attributes}
    named = {*config.report.pages, *config.report.offers, *config.report.campaigns}
    content = {*config.content.awareness, *config.content.consideration, *config.content.decision}
    assert named | content | set(config.decision.sales_ready_kinds) <= set(KIND_NAMES)
    assert set(config.persona) - {"email"} <= attributes
    same = {name for name, label in labels.items() if label.en == label.fr}
    assert same <= {"source"}
