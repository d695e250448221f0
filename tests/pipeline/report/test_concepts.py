"""What sets converted leads apart: arranged, said in both languages, drawn, and beside the point table."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic

from features.catalogue import catalogue
from features.language import LANGUAGES, SPEAKERS
from features.story import Storyteller
from models.bins import Bin
from models.concepts import concept_of
from models.contradictions import Line
from models.curves import Step
from models.reasons import by_concept
from pipeline.config import RuleConfig
from pipeline.files import finite
from pipeline.report import page
from pipeline.report.charts import concepts as charts
from pipeline.report.sections import concepts
from pipeline.report.words_curves import CurveWords
from pipeline.report.words_rules import line_said

FEATURES = catalogue(synthetic.vocabulary())
PRICING, WEBINAR = (f"activity.{kind.name}" for kind in synthetic.vocabulary().kinds)
RULES = [
    RuleConfig(name="pricing", points=5, activity="pricing, page [é]", each=True),
    RuleConfig(name="software", points=-5, attribute="industry", is_one_of=["software"]),
    RuleConfig(name="personal", points=-6, email_class="personal"),
    RuleConfig(name="fair", points=20, activity="trade fair"),
]
ABOUT = {"currency": None, "shipped": False, "horizon": "90d"}


@pytest.fixture(scope="module")
def learned():
    return synthetic.learned(synthetic.examples(2000))


def material(learned, *, rules=(), told_as=None):
    """As the report has it, as far as the section asks."""
    given = synthetic.examples(2000)
    X, label, _, index = given.within("calibration", "decision", "test")
    keys, classifier = given.keys.loc[index], learned.bundle.classifier
    of = concept_of(synthetic.vocabulary(), told_as or {})
    margin = pd.Series(classifier.margin(X), index=index)
    bundle = SimpleNamespace(
        classifier=classifier, calibrator=learned.bundle.calibrator, vocabulary=synthetic.vocabulary(),
        told_as=told_as or {}, concept_of=of,
    )  # fmt: skip
    seen = SimpleNamespace(
        rows=keys.assign(
            margin=margin, label=label, propensity=learned.bundle.calibrator.predict(margin.to_numpy())
        ),
        features=X,
        concepts=by_concept(classifier.contributions(X), of),
        catalogue=FEATURES,
        bundle=bundle,
    )
    points = pd.DataFrame(
        {
            "pricing": 5 * X[f"{PRICING}.count"].fillna(0).round(),
            "software": -5.0 * (X["attribute.industry"] == "software"),
            "personal": -6.0 * (X["email.class"] == "personal"),
            "fair": 0.0,
        }
    )
    tellers = {language: Storyteller(synthetic.vocabulary(), language) for language in SPEAKERS}
    return SimpleNamespace(
        judged_on=seen, past=seen, evidence=seen, bundle=bundle, tellers=tellers,
        config=SimpleNamespace(rules=list(rules)),
        label=lambda concept: {language: teller.label(concept) for language, teller in tellers.items()},
        points_by_rule=lambda seen: points if rules else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(learned):
    return json.loads(json.dumps(finite(concepts.found(material(learned, rules=RULES)))))


def shown(found):
    return {c["concept"]: c for family in found["families"] for c in family["concepts"]}


def test_the_two_concepts_that_count_are_the_most_important(found):
    first = sorted(shown(found).values(), key=lambda concept: -concept["share"])[:2]

    assert {concept["concept"] for concept in first} == {PRICING, "attribute.industry"}
    assert sum(family["share"] for family in found["families"]) == pytest.approx(1)
    shares = [family["share"] for family in found["families"]]
    assert shares == sorted(shares, reverse=True)


def test_a_curve_has_every_lead_and_goes_where_the_truth_goes(found):
    industry = shown(found)["attribute.industry"]
    at = {step["values"]["en"]: step for step in industry["curve"]}

    assert max(at, key=lambda level: at[level]["propensity"]) == "software"
    assert "“industry: software”" in industry["sentence"]["en"]
    assert "«\u00a0industry\u00a0: software\u00a0»" in industry["sentence"]["fr"]
    assert sum(step["leads"] for step in industry["curve"]) >= found["leads"]
    assert industry["way"] == "depends"


def test_the_sentence_holds_the_numbers_of_the_curve(found):
    for concept in shown(found).values():
        ends = [step["propensity"] for step in concept["curve"] if not step["few"]]
        written = SPEAKERS["en"].percent(max(ends), 0 if max(ends) >= 0.095 else 1)
        assert written in concept["sentence"]["en"]


def test_lines_of_the_point_table_that_say_something_else_come_first(found):
    lines = {line["name"]: line for line in found["rules"]["lines"]}

    assert lines["software"]["verdict"] == "opposite"
    assert lines["software"]["worth"] > 0
    assert lines["fair"]["verdict"] == "unseen"
    assert lines["pricing"]["worth"] > 0
    assert found["rules"]["lines"][0]["name"] == "software"
    assert sum(found["rules"]["counts"].values()) == len(RULES)


def test_looks_leads_and_leads_that_converted_are_counted(learned):
    given = material(learned)
    rows = given.judged_on.rows
    given.judged_on.rows = rows.assign(lead_id=(["l1"] * 4 + ["l2"] * 3 + ["l3"] * len(rows))[: len(rows)])
    given.judged_on.rows["label"] = ([1, 1, 0, 0, 0, 0, 0] + [0] * len(rows))[: len(rows)]

    told = concepts.found(given)

    assert (told["looks"], told["leads"], told["won"]) == (len(rows), 3, 1)


@pytest.mark.parametrize(("looks", "won", "said"), [(20, 2, True), (10, 2, False), (20, 0, False)])
def test_the_mean_of_looks_is_told_apart_from_the_share_of_leads(found, looks, won, said):
    content = {**found, "looks": looks, "leads": 10, "won": won, "propensity": 0.1}
    html = render(content)
    assert ("A lead is looked at on several days" in html) is said
    assert ("(2 of 10)" in html) is said


def test_texts_do_not_run_into_each_other(learned):
    told = finite(concepts.found(material(learned, told_as={WEBINAR: PRICING})))
    assert "cannot be told. <small>An association" in render(told)


def render(content):
    return page._section(page._environment(SPEAKERS["en"], None), "concepts", _page(content), SPEAKERS["en"])


def test_concepts_told_as_one_are_shown_once(learned):
    told = concepts.found(material(learned, told_as={WEBINAR: PRICING}))

    assert WEBINAR not in shown(told)
    assert shown(told)[PRICING]["together"] == [{"en": "webinar", "fr": "webinar"}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_section_is_drawn_and_written_in_every_language(found, learned, language):
    found = deepcopy(found)
    without = finite(concepts.found(material(learned)))
    for content in (found, without):
        for family in content["families"]:  # drawing takes time, and the others are no different
            family["concepts"] = family["concepts"][:2]
    for content in (found, without):
        drawn = charts.figures(content, ABOUT, SPEAKERS[language])
        assert len({figure.id for figure in drawn}) == len(drawn) >= 2
        for figure in drawn:
            figure.chart.to_dict()
            assert figure.alt
            assert all(len(row) == len(figure.columns) for row in figure.rows)
        html = page._section(
            page._environment(SPEAKERS[language], None), "concepts", _page(content), SPEAKERS[language]
        )
        assert "<h2>" in html
        assert "nan" not in html.replace("finance", "")
    assert "[[rules]]" in html


def _page(content):
    return {"about": ABOUT, "concepts": content}


def test_a_model_that_tells_nobody_apart_says_so(learned):
    given = material(learned)
    given.judged_on.concepts.loc[:, :] = 0.0

    told = concepts.found(given)

    assert charts.figures(told, ABOUT, SPEAKERS["en"]) == []
    html = page._section(page._environment(SPEAKERS["en"], None), "concepts", _page(told), SPEAKERS["en"])
    assert "tells no leads apart" in html


def words(name):
    feature = next(feature for feature in FEATURES if feature.name == name)
    tellers = {language: Storyteller(synthetic.vocabulary(), language) for language in SPEAKERS}
    label = {language: teller.label(feature.concept) for language, teller in tellers.items()}
    return CurveWords(feature.concept, label, feature, synthetic.vocabulary(), tellers)


@pytest.mark.parametrize(
    ("name", "one", "english", "french"),
    [
        (f"{PRICING}.count", Bin(0, 1), "0", "0"),
        (f"{PRICING}.count", Bin(3, 5), "3 to 4", "3 à 4"),
        (f"{PRICING}.count", Bin(10, np.inf), "10 or more", "10 ou plus"),
        (f"{PRICING}.last_days", Bin(0, 1), "less than a day ago", "il y a moins d’un jour"),
        (f"{PRICING}.last_days", Bin(2, 7), "2 to 6 days ago", "il y a 2 à 6\u00a0jours"),
        (f"{PRICING}.last_days", Bin(), "never", "jamais"),
        (f"{PRICING}.last_days", Bin(0, np.inf), "at any time", "à un moment ou un autre"),
        ("overall.lead_age_days", Bin(0, np.inf), "any length of time", "une durée quelconque"),
        ("attribute.industry", Bin(levels=("real_estate",)), "real estate", "real estate"),
        ("attribute.industry", Bin(levels=("software",)), "software", "software"),
        ("attribute.industry", Bin(levels=("a", "b")), "rarer ones", "valeurs plus rares"),
        ("attribute.seats", Bin(1.5, 4), "1.5 to under 4", "1,5 à moins de 4"),
        ("attribute.seats", Bin(), "not known", "non renseigné"),
        ("overall.working_hours_share", Bin(0.25, 0.5), "25% to 50%", "25\u00a0% à 50\u00a0%"),
        ("overall.working_hours_share", Bin(0, 1e-9), "0%", "0\u00a0%"),
        ("overall.last_hour", Bin(9, 12), "9:00 to 12:00", "de 9 h à 12 h"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_say_them(name, one, english, french):
    assert words(name).step(one) == {"en": english, "fr": french}


def test_a_sentence_says_how_many_times_as_many():
    def ends(high, low):
        return (Step(Bin(2, np.inf), 99, 1.0, high, 0.0), Step(Bin(0, 1), 99, 0.0, low, 0.0))

    seen = words(f"{PRICING}.count_7d")
    assert seen.sentence(ends(0.12, 0.04))["en"] == (
        "Of otherwise average leads, about 12% convert with “pricing page: 2 times or more in the last week” "
        "and 4.0% with “pricing page: not in the last week”: 3.0 times as many."
    )
    assert "about twice as many" in seen.sentence(ends(0.08, 0.04))["en"]
    assert "about 50% more" in seen.sentence(ends(0.06, 0.04))["en"]
    assert "hardly a difference" in seen.sentence(ends(0.041, 0.04))["en"]
    assert "too few leads" in seen.sentence(None)["en"]


def test_a_time_is_said_to_be_the_last_where_it_needs_to_be():
    def clause(low, high):
        ends = (Step(Bin(low, high), 99, 1.0, 0.2, 0.0), Step(Bin(), 99, 0.0, 0.1, 0.0))
        return words(f"{PRICING}.last_days").sentence(ends)

    assert "“pricing page, less than a day ago”" in clause(0, 1)["en"]
    assert "« page des tarifs, il y a moins d’un jour »" in clause(0, 1)["fr"].replace("\u00a0", " ")
    assert "“pricing page, last 2 to 6 days ago”" in clause(2, 7)["en"]
    assert "page des tarifs, la dernière fois il y a 2 à 6" in clause(2, 7)["fr"]


def test_the_number_of_employees_is_written_as_people_say_it():
    feature = replace(next(f for f in FEATURES if f.name == "attribute.seats"), unit="employees")
    told = CurveWords(feature.concept, {}, feature, synthetic.vocabulary(), {})

    assert told.step(Bin(1000, np.inf)) == {
        "en": "1,000 or more employees",
        "fr": "1\u202f000 salariés ou plus",
    }
    assert told.step(Bin(50, 200)) == {"en": "50 to 199 employees", "fr": "50 à 199 salariés"}


def test_a_line_says_what_the_table_gives_and_what_it_is_worth():
    def said(verdict, worth):
        return line_said("newsletter", 5, Line(400, 5, worth, 0, 0, verdict), worth)

    assert said("nothing", 0.2)["en"] == (
        "Your table gives “newsletter” +5; here it changes nothing that is more than chance."
    )
    assert said("opposite", -3.26)["fr"] == (
        "Votre barème donne +5 à «\u00a0newsletter\u00a0»\u00a0; ici, c’est l’inverse\u00a0: environ −3,3."
    )
