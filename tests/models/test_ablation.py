"""With and without a part of the data: compared on the snapshots that both results have."""

from __future__ import annotations

import pandas as pd
import pytest

from models.ablation import difference, matters


def result(*rows: tuple[str, int, float]) -> pd.DataFrame:
    """Lead, label and propensity of snapshots at one moment; every lead is a group of its own."""
    table = pd.DataFrame(rows, columns=["lead_id", "label", "propensity"])
    return table.assign(as_of=pd.Timestamp("2024-01-01"), group_id=table["lead_id"])


def test_both_are_judged_on_the_snapshots_that_both_have():
    kept = result(("a", 1, 0.9), ("b", 0, 0.1), ("c", 1, 0.8), ("d", 0, 0.2), ("merged", 1, 0.01))
    # Without: of the four pairs of a winner and a loser, a > b and a > d, but not c > b nor c > d.
    without = result(("a", 1, 0.9), ("b", 0, 0.3), ("c", 1, 0.1), ("d", 0, 0.2), ("duplicate", 0, 0.99))
    found = difference(kept, without)
    assert found["snapshots"] == 4
    assert found["auc"]["with"] == 1.0
    assert found["auc"]["without"] == 0.5
    assert found["auc"]["difference"]["value"] == pytest.approx(0.5)
    # Nobody could tell from four leads.
    assert found["auc"]["difference"]["low"] <= 0.5 <= found["auc"]["difference"]["high"]


def test_one_class_only_cannot_be_compared():
    kept = result(("a", 0, 0.9), ("b", 0, 0.1))
    assert difference(kept, kept)["auc"] is None
    assert not matters(difference(kept, kept))


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.01, 0.05, True), (-0.05, -0.01, True), (-0.01, 0.05, False)]
)
def test_a_difference_matters_when_its_interval_lies_on_one_side(low, high, expected):
    assert matters({"auc": {"difference": {"value": 0.02, "low": low, "high": high}}}) is expected


def test_nothing_changed_does_not_matter():
    rows = [(f"lead {i}", i % 2, 0.1 + 0.8 * (i % 2 if i % 5 else 1 - i % 2)) for i in range(40)]
    found = difference(result(*rows), result(*rows))
    assert found["auc"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert not matters(found)
