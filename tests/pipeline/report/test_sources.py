"""Pages, offers, campaigns, sources: what was touched when, and what came of it against leads like them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from project import write_project
from tiny import material

from features.errors import ConfigurationError
from features.language import LANGUAGES, SPEAKERS
from pipeline.files import finite
from pipeline.report import page, touches
from pipeline.report import words_sources as words
from pipeline.report.charts.sources import figures
from pipeline.report.sections import sources

AS_OF = datetime(2024, 6, 30)
WITH_ASSETS = 'kind = "kind"\nactor = "actor"\nasset = "asset"\nchannel = "channel"'
HORIZON = '[snapshots]\nhorizon = "30d"\nages = ["1d"]\n'

LEADS = """
    lead_id, created_at
    a,       2024-01-01T00:00:00
    b,       2024-01-01T00:00:00
    c,       2024-01-01T00:00:00
    d,       2024-01-01T00:00:00
    e,       2024-01-01T00:00:00
    f,       2024-06-20T00:00:00
    g,       2024-01-01T00:00:00
"""
OUTCOMES = """
    lead_id, outcome, closed_at
    a,       won,     2024-01-20T00:00:00
    b,       won,     2024-03-20T00:00:00
    c,       won,     2024-01-05T00:00:00
    d,       lost,    2024-01-03T00:00:00
"""
ACTIVITIES = """
    lead_id, occurred_at,         kind,  actor,     asset,  channel
    a,       2024-01-10T00:00:00, visit, lead,      /price, search
    a,       2024-01-15T00:00:00, visit, lead,      /price, search
    b,       2024-01-10T00:00:00, visit, lead,      /price, ads
    c,       2024-01-10T00:00:00, visit, lead,      /price, ads
    d,       2024-01-10T00:00:00, visit, lead,      /price, ads
    e,       2024-01-10T00:00:00, call,  sales,     /price,
    e,       2024-01-11T00:00:00, visit, lead,      /price, ads
    f,       2024-06-21T00:00:00, visit, lead,      /price, ads
    g,       2023-12-01T00:00:00, visit, lead,      /price, ads
    g,       2024-01-09T00:00:00, mail,  marketing, news,   email
"""


@pytest.fixture
def tiny(tmp_path):
    path = write_project(
        tmp_path, leads=LEADS, activities=ACTIVITIES, outcomes=OUTCOMES, in_activities=WITH_ASSETS,
        in_outcomes='table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
        "observed_until = 2024-06-30T00:00:00Z",
        sections=HORIZON,
    )  # fmt: skip
    return material(path, AS_OF)


def units(found, touched: pd.DataFrame) -> dict[str, tuple[str, int]]:
    judged = touches.Judge(found).judge(touched)
    moments = judged["as_of"].dt.strftime("%m-%d")
    return dict(zip(judged["lead_id"], zip(moments, judged["label"], strict=True), strict=True))


def test_a_touch_is_the_first_and_counts_while_the_lead_is_open_and_the_horizon_has_passed(tiny):
    first = touches.first_touches(tiny.dataset, AS_OF)
    pages = first[first["kind"] == "visit"]
    assert sorted(pages["lead_id"]) == ["a", "b", "c", "d", "e", "f", "g"]
    # a won in time; b 70 days later, so not within 30; c and d had ended before; e was with sales; f is
    # too young to tell; g's page was seen before it was a lead, and is known from its creation on.
    assert units(tiny, pages) == {"a": ("01-10", 1), "b": ("01-10", 0), "g": ("01-01", 0)}


def test_nothing_after_the_report_is_known_to_it(tiny):
    tiny.as_of = datetime(2024, 1, 12)
    first = touches.first_touches(tiny.dataset, tiny.as_of)
    assert "f" not in set(first["lead_id"])
    assert first["at"].max() < tiny.as_of
    assert units(tiny, first) == {}  # no horizon has passed by then


def test_a_landing_page_is_the_first_own_activity_and_a_source_the_first_channel(tiny):
    landing = touches.landings(tiny.dataset, AS_OF).set_index("lead_id")["at"]
    assert landing["g"] == datetime(2023, 12, 1)
    channel = touches.sources(tiny.dataset, AS_OF, None).set_index("lead_id")["value"]
    assert channel["a"] == "search"
    assert channel["g"] == "ads"


def company(folder, report: str = "", leads: int = 1200):
    """Gold leads win in 40 %, tin ones in 10 %, within 20 days.

    Gold leads look at /gold, tin ones at /tin; a third of both at /demo, which doubles what becomes of
    them. Half of all come from ads. Every tenth gets a mail, sent by marketing; its name is an address.
    """
    rng = np.random.default_rng(3)
    lines = {
        "leads": ["lead_id, created_at, plan, came_from"],
        "outcomes": ["lead_id, outcome, closed_at"],
        "activities": ["lead_id, occurred_at, kind, actor, asset, channel"],
    }
    for i in range(leads):
        created = datetime(2023, 1, 1) + timedelta(hours=9 * i)
        gold, demo = rng.random() < 0.5, rng.random() < 1 / 3
        plan = "gold" if gold else "tin"
        lines["leads"].append(f"{i}, {created.isoformat()}, {plan}, {'ads' if i % 2 else 'fair'}")
        seen = [("visit", "lead", f"/{plan}", 1)] + [("visit", "lead", "/demo", 2)] * demo
        seen += [("mail", "marketing", "mail-to-jo@acme.example", 3)] * (i % 10 == 0)
        for kind, actor, asset, day in seen:
            at = created + timedelta(days=day)
            lines["activities"].append(f"{i}, {at.isoformat()}, {kind}, {actor}, {asset}, web")
        wins = rng.random() < (0.4 if gold else 0.1) * (2 if demo else 1)
        ended = created + timedelta(days=4 + 16 * rng.random())
        lines["outcomes"].append(f"{i}, {'won' if wins else 'lost'}, {ended.isoformat()}")
    path = write_project(
        folder, **{name: "\n".join(rows) for name, rows in lines.items()}, in_activities=WITH_ASSETS,
        in_leads='attributes = ["plan", "came_from"]', sections=HORIZON + report,
    )  # fmt: skip
    return material(path, datetime(2024, 6, 30))


@pytest.fixture(scope="module")
def section(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    return sources.found(company(folder, '[report]\npages = ["visit"]\nsource = "came_from"\n'))


def rows_of(section, dimension: str) -> dict[str, dict]:
    part = next(d for d in section["dimensions"] if d["id"] == dimension)
    return {row["value"]: row for row in part["rows"]}


def test_a_page_that_good_leads_prefer_anyway_gets_no_credit_and_one_that_matters_does(section):
    pages = rows_of(section, "pages")
    assert pages["/gold"]["rate"] > 3 * pages["/tin"]["rate"]
    for name in ("/gold", "/tin"):  # two thirds of them did not see the demo either
        assert pages[name]["lift"] == pytest.approx(1.0, abs=0.15)
        assert pages[name]["verdict"] == "unclear"
    # The demo doubles; leads like these, a third of whom saw it, get 4/3: so half as many more.
    assert pages["/demo"]["lift"] == pytest.approx(1.5, abs=0.2)
    assert pages["/demo"]["verdict"] == "more"


def test_conversions_and_volumes_are_counted(section):
    pages = rows_of(section, "pages")
    assert pages["/gold"]["leads"] + pages["/tin"]["leads"] == 1200
    for row in pages.values():  # the last 30 days' touches are too young to judge by
        assert row["leads"] * 0.9 < row["units"] < row["leads"]
        assert row["won"] == round(row["rate"] * row["units"])
    # A lead each nine hours: the last of them came 450 days after the first, 96 days before the report.
    assert [pages["/gold"][n] for n in ("recent", "before")] == [0, pytest.approx(240 / 2, abs=30)]


def test_sources_are_the_named_attribute_which_expectations_do_not_know(section):
    found = rows_of(section, "sources")
    assert set(found) == {"ads", "fair"}
    assert found["ads"]["lift"] == pytest.approx(1.0, abs=0.15)


def test_an_address_in_a_campaigns_name_is_masked(section):
    assert set(rows_of(section, "campaigns")) == {"…"}


def test_every_dimension_has_a_figure_with_its_table_in_both_languages(section):
    for language in LANGUAGES:
        drawn = figures(section, {}, SPEAKERS[language])
        several = [d for d in section["dimensions"] if len(d["rows"]) > 1]
        assert {d["id"] for d in section["dimensions"]} - {d["id"] for d in several} == {"campaigns"}
        assert [f.id for f in drawn] == [f"lifts-{d['id']}" for d in several]
        for figure, dimension in zip(drawn, several, strict=True):
            assert len(figure.rows) == len(dimension["rows"])
            assert {len(row) for row in figure.rows} == {len(figure.columns)}
            figure.chart.to_dict()


def render(section, language):
    made = {"about": {"shipped": False}, "sources": finite(section)}
    return page._section(page._environment(SPEAKERS[language], None), "sources", made, SPEAKERS[language])


def test_a_value_with_none_beside_it_is_told_and_not_tabled(section):
    [row] = next(d for d in section["dimensions"] if d["id"] == "campaigns")["rows"]
    html = render(section, "en")
    assert f"Only one value has leads enough: …, with {row['leads']} leads." in html
    assert html.count("Difference (90% interval)") == len(section["dimensions"]) - 1


@pytest.mark.parametrize("few", [True, False])
def test_the_sign_of_a_difference_of_few_conversions_is_not_shown(section, few):
    odd = json.loads(json.dumps(section))
    rows = next(d for d in odd["dimensions"] if d["id"] == "pages")["rows"]
    place = next(n for n, row in enumerate(rows) if row["value"] == "/tin")
    assert not any(row["few"] for row in rows)  # hundreds converted
    rows[place] |= {"few": few, "lift": 0.77}
    figure = next(f for f in figures(odd, {}, SPEAKERS["en"]) if f.id == "lifts-pages")
    assert figure.rows[place][1] == ("–" if few else "−23%")
    html = render(odd, "en")
    assert ("−23%" in html) is not few
    assert "<td>– (" in html or not few


def test_few_conversions_are_those_seen_and_expected_unless_the_interval_is_clear(tiny):
    row = {
        **dict.fromkeys(("leads", "recent", "before", "seen", "mqls", "mqls_known", "mqls_won"), 20),
        "units": 20, "raw": 1.0, "lift": 0.9, "low": 0.5, "high": 1.5, "change": 1.0, "chance": 1.0,
        "trend": "unknown",
    }  # fmt: skip

    def few(won, expected, low=0.5):
        return sources._row(
            tiny, ("", "x"), pd.Series({**row, "won": won, "expected": expected, "low": low})
        )["few"]

    assert few(9, 9.9)
    assert not few(10, 1.0)
    assert not few(1, 10.0)
    assert not few(9, 3.0, low=1.1)


def test_what_stands_out_is_a_sentence_in_both_languages():
    def row(value, verdict, lift):
        return {
            "value": value,
            "name": value,
            "kind": None,
            "verdict": verdict,
            "lift": lift,
            "low": lift,
            "high": lift,
        }

    more, less = row("/price", "more", 1.5), row("/jobs", "less", 0.5)
    both = words.told([more, less], 2)
    assert both["en"] == (
        "Leads that had /price (+50%) converted more often than similar leads. "
        "Leads that had /jobs (−50%) converted less often."
    )
    assert both["fr"].replace("\u00a0", " ") == (
        "Après /price (+50 %), les leads se sont convertis plus souvent que des leads semblables. "
        "Moins souvent : /jobs (−50 %)."
    )
    assert words.told([less], 1)["en"].endswith("converted less often than similar leads.")
    assert words.told([less], 1)["fr"].endswith("moins souvent que des leads semblables.")


def test_a_source_is_written_with_spaces_and_a_page_as_it_is(section, tmp_path):
    found = sources.found(flat(tmp_path, '[report]\nsource = "source"\n', "trade_fair"))
    assert rows_of(found, "sources")["trade_fair"]["name"] == "trade fair"
    html = render(found, "fr")
    assert "trade fair" in html
    assert "trade_fair" not in html
    assert {row["name"] for row in rows_of(section, "pages").values()} == {"/gold", "/tin", "/demo"}


def test_without_named_kinds_each_kind_stands_for_itself(tmp_path):
    found = sources.found(company(tmp_path, leads=300))
    content = next(d for d in found["dimensions"] if d["id"] == "content")
    assert {row["kind"]["en"] for row in content["rows"]} == {"visit"}
    assert rows_of(found, "sources").keys() == {"web"}


def test_mqls_are_leads_that_were_one_after_the_touch(tiny):
    moments = pd.to_datetime(["2024-01-09", "2024-01-12", "2024-01-12"])
    past = pd.DataFrame(
        {"person": ["a", "a", "b"], "as_of": moments, "propensity": [0.9, 0.4, 0.6], "label": [1, 1, 0]}
    )
    tiny.window = lambda *parts: type("Seen", (), {"rows": past})
    first = touches.first_touches(tiny.dataset, AS_OF).query("kind == 'visit'").assign(kind="")
    counted = sources._volumes(tiny, first, sources._last_seen(tiny)).loc[("", "/price")]
    # a was an MQL before it saw the page on the 10th, and none when it was seen again; b is one.
    assert counted[["leads", "seen", "mqls", "mqls_known", "mqls_won"]].tolist() == [7, 2, 1, 1, 0]


def test_a_rare_value_is_not_named(tiny):
    found = sources.found(tiny)
    assert found["dimensions"] == []
    assert "Too few leads" in found["missing"]["en"]


@pytest.mark.parametrize(
    ("report", "hint"),
    [('pages = ["visits"]', "Did you mean 'visit'?"), ('source = "came_form"', "Did you mean 'came_from'?")],
)
def test_a_name_that_is_not_there_is_the_users_mistake(tmp_path, report, hint):
    with pytest.raises(ConfigurationError) as caught:
        sources.found(company(tmp_path, f"[report]\n{report}\n", leads=60))
    assert hint in caught.value.message


def test_activities_without_assets_and_channels_say_what_is_missing(tmp_path):
    found = sources.found(material(write_project(tmp_path, sections=HORIZON), AS_OF))
    assert found["dimensions"] == []
    assert "[[activities]]" in found["missing"]["en"]
    assert figures(found, {}, SPEAKERS["en"]) == []


def flat(folder, report: str, fair: str = "fair"):
    rng = np.random.default_rng(0)
    lines = ["id,source,won,seats"]
    for i in range(600):
        wins = rng.random() < (0.5 if i % 2 else 0.1)
        lines.append(f"{i},{fair if i % 2 else 'ads'},{int(wins)},{rng.integers(20, 60)}")
    (folder / "leads.csv").write_text("\n".join(lines) + "\n")
    path = folder / "propense.toml"
    path.write_text(
        '[project]\nname = "flat"\n[leads]\ntable = "leads.csv"\nid = "id"\nlabel = "won"\n' + report
    )
    return material(path, AS_OF)


def test_a_table_without_times_has_sources_but_no_trend(tmp_path):
    found = sources.found(flat(tmp_path, '[report]\nsource = "source"\n'))
    assert [d["id"] for d in found["dimensions"]] == ["sources"]
    assert rows_of(found, "sources")["fair"]["verdict"] == "more"
    assert rows_of(found, "sources")["fair"]["trend"] == "unknown"
    assert found["recent_days"] is None


def test_a_table_without_times_and_without_a_source_says_so(tmp_path):
    assert "[report]" in sources.found(flat(tmp_path, ""))["missing"]["en"]
