"""Company size, seniority and e-mail domains from what people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.bands import headcount, seniority, size_band
from features.domains import EMAIL_CLASSES, domain_class


@pytest.mark.parametrize(
    ("text", "employees"),
    [
        ("50-199", 124.5),  # (50 + 199) / 2
        ("50 – 199 Mitarbeiter", 124.5),
        ("11 to 50", 30.5),
        ("de 11 à 50 salariés", 30.5),
        ("11 bis 50", 30.5),
        ("1,001-5,000 employees", 3000.5),
        ("1 000 - 5 000", 3000),
        ("1.000–5.000", 3000),
        ("1,000+", 1000),
        ("> 500", 500),
        ("more than 10k", 10_000),
        ("plus de 250", 250),
        ("über 250", 250),
        ("au moins 20", 20),
        ("10K+", 10_000),
        ("1.5k", 1500),
        ("<10", 5.5),  # (1 + 10) / 2
        ("unter 10", 5.5),
        ("moins de 10", 5.5),
        ("250", 250),
        ("250.0", 250),
        ("SME", 125),
        ("PME", 125),
        ("Konzern", 250),
        ("Großunternehmen", 250),
        ("self-employed", 1),
        ("200-50", None),  # the wrong way round: no guess
        ("2024-01-05", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_size(text: str, employees: float | None) -> None:
    assert headcount(text) == employees


@pytest.mark.parametrize(
    ("title", "rank"),
    [
        ("CEO", 7),
        ("Co-Founder & CTO", 7),
        ("Managing Director", 7),
        ("Geschäftsführerin", 7),
        ("PDG", 7),
        ("Gérante", 7),
        ("Inhaber", 7),
        ("Chief Financial Officer", 7),
        ("Vice President Sales", 6),
        ("VP Marketing", 6),
        ("Head of IT", 6),
        ("Directrice commerciale", 6),
        ("Vertriebsleiter", 6),
        ("DSI", 6),
        ("Marketing Manager", 5),
        ("Responsable achats", 5),
        ("Teamleiterin", 5),
        ("Senior Software Engineer", 4),
        ("Key Account Manager", 4),
        ("Chef de projet", 4),
        ("Product Owner", 3),
        ("Engineer", 3),
        ("Sachbearbeiter", 3),
        ("Executive Assistant to the CEO", 2),
        ("Assistante de direction", 2),
        ("Assistentin der Geschäftsführung", 2),
        ("Junior Consultant", 2),
        ("Stagiaire marketing", 1),
        ("Werkstudentin", 1),
        ("Intern", 1),
        ("International Sales Representative", 3),
        ("", None),
        ("-", None),
    ],
)
def test_seniority(title: str, rank: float | None) -> None:
    assert seniority(title) == rank


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("gmail.com", "personal"),
        ("GMX.de", "personal"),
        ("wanadoo.fr", "personal"),
        ("stanford.edu", "student"),
        ("etu.univ-lyon1.fr", "student"),
        ("mailinator.com", "disposable"),
        ("sub.mailinator.com", "disposable"),
        ("siemens.com", "corporate"),
        ("someone@siemens.com", "corporate"),
        ("localhost", None),
        ("", None),
    ],
)
def test_email_domain(domain: str, expected: str | None) -> None:
    assert domain_class(domain) == expected


@given(st.text())
def test_any_text_is_read_or_left_alone(text: str) -> None:
    assert headcount(text) is None or headcount(text) >= 0
    assert seniority(text) in (None, 1, 2, 3, 4, 5, 6, 7)
    assert domain_class(text) in (None, *EMAIL_CLASSES)


def test_bands_follow_the_edges() -> None:
    assert [size_band(n).en for n in (0, 1, 9, 10, 49.5, 50, 199, 200, 1000)] == [
        "no employees",
        "1–9 employees",
        "1–9 employees",
        "10–49 employees",
        "10–49 employees",
        "50–199 employees",
        "50–199 employees",
        "200–999 employees",
        "1,000 or more employees",
    ]
