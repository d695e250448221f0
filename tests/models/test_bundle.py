"""A bundle is text whose every byte is checked, and scores the same wherever it is read."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import ABOUT, features, learned

from features.errors import BundleError
from models.bundle import MANIFEST, Bundle, bundle_digest, digest

COLUMNS = [
    "margin", "propensity", "propensity_low", "propensity_high", "score", "band", "sales_ready", "grade",
    "fit", "engagement", "reasons",
]  # fmt: skip


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return learned().bundle


@pytest.fixture(scope="module")
def texts(bundle: Bundle) -> dict[str, str]:
    return bundle.to_texts()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return features(200, seed=5)


class TestText:
    def test_it_is_json_and_lightgbm_text_and_nothing_else(self, texts: dict[str, str]) -> None:
        members = {f"member_{n:02d}.txt" for n in range(2)}
        assert set(texts) == {"manifest.json", "decision.json", "vocabulary.json", "model.json"} | members
        for name, text in texts.items():
            assert text.startswith("tree\nversion=v4") if name in members else json.loads(text)

    def test_read_again_it_is_the_same_text(self, texts: dict[str, str]) -> None:
        assert Bundle.from_texts(texts).to_texts() == texts

    def test_read_again_it_scores_the_same_to_the_bit(
        self, bundle: Bundle, texts: dict[str, str], table: pd.DataFrame
    ) -> None:
        pd.testing.assert_frame_equal(Bundle.from_texts(texts).score(table), bundle.score(table), rtol=0)

    def test_other_programs_find_the_base_value(self, bundle: Bundle, texts: dict[str, str]) -> None:
        assert json.loads(texts["decision.json"])["base_value"] == bundle.classifier.base_value_

    def test_it_says_what_it_was_trained_for(self, texts: dict[str, str]) -> None:
        assert Bundle.from_texts(texts).about == ABOUT


class TestDigests:
    @given(st.data())
    def test_one_changed_byte_of_any_file_is_refused_and_the_file_named(
        self, texts: dict[str, str], data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(sorted(set(texts) - {MANIFEST})))
        raw = texts[name].encode()
        place = data.draw(st.integers(0, len(raw) - 1))
        other = bytes([(raw[place] + 1) % 128])
        altered = (raw[:place] + other + raw[place + 1 :]).decode("utf-8", "replace")
        with pytest.raises(BundleError, match=name):
            Bundle.from_texts({**texts, name: altered})

    def test_a_missing_file_is_named(self, texts: dict[str, str]) -> None:
        for name in texts:
            with pytest.raises(BundleError, match=name):
                Bundle.from_texts({n: text for n, text in texts.items() if n != name})

    def test_a_changed_manifest_changes_the_digest_of_the_whole(self, texts: dict[str, str]) -> None:
        manifest = texts[MANIFEST].replace('"won"', '"win"')
        assert manifest != texts[MANIFEST]
        assert bundle_digest({**texts, MANIFEST: manifest}) != bundle_digest(texts)

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"files": {}}', '{"format": 1}'])
    def test_a_manifest_that_cannot_be_read_is_named(self, texts: dict[str, str], text: str) -> None:
        with pytest.raises(BundleError, match=MANIFEST):
            Bundle.from_texts({**texts, MANIFEST: text})

    def test_a_bundle_of_another_format_is_refused(self, texts: dict[str, str]) -> None:
        manifest = {**json.loads(texts[MANIFEST]), "format": 2}
        with pytest.raises(BundleError, match="format 2"):
            Bundle.from_texts({**texts, MANIFEST: json.dumps(manifest)})

    def test_a_digest_is_that_of_the_bytes(self) -> None:
        # echo -n é | sha256sum
        assert digest("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


class TestScores:
    def test_columns(self, bundle: Bundle, table: pd.DataFrame) -> None:
        scores = bundle.score(table)
        assert list(scores.columns) == COLUMNS
        assert scores.index.equals(table.index)

    def test_base_fit_and_engagement_are_the_margin(self, bundle: Bundle, table: pd.DataFrame) -> None:
        scores = bundle.score(table)
        whole = bundle.classifier.base_value_ + scores["fit"] + scores["engagement"]
        np.testing.assert_allclose(whole, scores["margin"], atol=1e-9)

    def test_the_propensity_lies_within_its_interval(self, bundle: Bundle, table: pd.DataFrame) -> None:
        scores = bundle.score(table)
        assert (scores["propensity_low"] <= scores["propensity"]).all()
        assert (scores["propensity"] <= scores["propensity_high"]).all()
        assert scores[["propensity_low", "propensity_high"]].stack().between(0, 1).all()

    def test_reasons_are_told_in_words_and_no_stronger_than_what_moved_the_margin(
        self, bundle: Bundle, table: pd.DataFrame
    ) -> None:
        scores = bundle.score(table)
        moved = bundle.classifier.contributions(table).abs().sum(axis=1)
        for index, told in scores["reasons"].items():
            assert set().union(*(reason.keys() for reason in told)) == {
                "concept", "direction", "strength", "text", "value",
            }  # fmt: skip
            assert all(isinstance(reason["text"], str) and reason["text"] for reason in told)
            assert sum(reason["strength"] for reason in told) <= moved[index] + 1e-9

    def test_score_rises_with_the_propensity(self, bundle: Bundle, table: pd.DataFrame) -> None:
        scores = bundle.score(table).sort_values("margin")
        assert scores["score"].is_monotonic_increasing
        assert scores["propensity"].is_monotonic_increasing
        assert scores["score"].between(0, 100).all()

    def test_no_leads_no_scores(self, bundle: Bundle, table: pd.DataFrame) -> None:
        scores = bundle.score(table.iloc[:0])
        assert list(scores.columns) == COLUMNS
        assert scores.empty

    def test_one_lead_scores_as_it_does_among_others(self, bundle: Bundle, table: pd.DataFrame) -> None:
        together = bundle.score(table).loc[[17]]
        pd.testing.assert_frame_equal(bundle.score(table.loc[[17]]), together, rtol=0)

    def test_a_lead_that_asked_for_sales_and_is_an_mql_is_sales_ready(
        self, bundle: Bundle, table: pd.DataFrame
    ) -> None:
        scores = bundle.score(table, pd.Series(True, index=table.index))
        assert (scores["sales_ready"] == (scores["band"] == "mql")).all()
        assert scores["sales_ready"].any()
        assert not bundle.score(table)["sales_ready"].any()

    def test_reasons_are_told_in_the_language_that_is_asked_for(
        self, bundle: Bundle, table: pd.DataFrame
    ) -> None:
        english, french = bundle.score(table), bundle.score(table, language="fr")
        pd.testing.assert_frame_equal(english.drop(columns="reasons"), french.drop(columns="reasons"), rtol=0)
        for ours, theirs in zip(english["reasons"], french["reasons"], strict=True):
            for one, other in zip(ours, theirs, strict=True):
                moved = ("concept", "direction", "strength")
                assert [one[name] for name in moved] == [other[name] for name in moved]
                pricing = one["concept"] == "activity.pricing, page [é]"
                assert one["text"].startswith("pricing page") == pricing
                assert other["text"].startswith("page des tarifs\u00a0: ") == pricing


class TestFeaturesThatDoNotFit:
    def test_a_missing_column_is_named(self, bundle: Bundle, table: pd.DataFrame) -> None:
        with pytest.raises(BundleError, match=r"attribute\.seats"):
            bundle.score(table.drop(columns="attribute.seats"))

    def test_a_column_of_a_new_type_is_named(self, bundle: Bundle, table: pd.DataFrame) -> None:
        with pytest.raises(BundleError, match=r"attribute\.seats \(was number"):
            bundle.score(table.assign(**{"attribute.seats": table["attribute.seats"].astype(str)}))
        with pytest.raises(BundleError, match=r"attribute\.industry \(was category"):
            bundle.score(table.assign(**{"attribute.industry": 1.0}))

    def test_order_further_columns_and_further_levels_do_not_matter(
        self, bundle: Bundle, table: pd.DataFrame
    ) -> None:
        industry = table["attribute.industry"].cat.set_categories(["new", "software", "other", "retail"])
        other = table.assign(**{"attribute.industry": industry, "more": "text"})[
            ["more", *table.columns[::-1]]
        ]
        pd.testing.assert_frame_equal(bundle.score(other), bundle.score(table), rtol=0)
