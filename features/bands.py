"""Company size and seniority, read from the texts that forms and CRMs hold them in."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from features.language import Text

# Head counts of size words: midpoints of the European Commission's classes (micro under 10, small
# under 50, medium under 250, all three together SME) and the lower bound of the open one. ETI is the
# French class from 250 to 4,999.
SIZE_WORDS = (
    (r"self[- ]?employed|freelanc\w*|solo|sole|independant|selbst+andig\w*|einzelunternehme\w*", 1.0),
    (r"micro\w*|kleinst\w*|tpe", 5.0),
    (r"smes?|smb|pme|kmu|mittelstand", 125.0),
    (r"small|petite?s?|klein\w*|start-?up", 30.0),
    (r"medium|mid|moyennes?|mittel\w*", 150.0),
    (r"eti", 2625.0),
    (r"large|enterprise|corporate|grand\w*|gross\w*|konzern\w*", 250.0),
)
_NUMBER = r"(\d{1,3}(?:[ ,.'](?=\d{3}(?!\d))\d{3})+|\d+(?:[.,]\d+)?)\s?(k|m)?(?![a-z])"
_MORE = re.compile(r"\+|>|≥|more|over|above|at least|from|plus d|au moins|mehr|uber|mindestens|\bab\b")
_LESS = re.compile(r"<|≤|less|under|below|fewer|up to|(?<!au )moins|jusqu|weniger|unter|\bbis\b|max")

# The lower bound of each band of company sizes, and what people read for it.
SIZE_BANDS = (
    (1, Text("1–9 employees", "1 à 9 salariés")),
    (10, Text("10–49 employees", "10 à 49 salariés")),
    (50, Text("50–199 employees", "50 à 199 salariés")),
    (200, Text("200–999 employees", "200 à 999 salariés")),
    (1000, Text("1,000 or more employees", "1\u202f000 salariés ou plus")),
)
_NOBODY = Text("no employees", "zéro salarié")

SENIORITY_LEVELS = (
    Text("trainee or student", "stage ou études"),
    Text("assistant or junior", "assistanat ou junior"),
    Text("professional", "employé ou spécialiste"),
    Text("senior or lead", "senior ou référent"),
    Text("manager", "encadrement"),
    Text("director", "direction"),
    Text("executive or owner", "direction générale ou propriétaire"),
)


@cache
def headcount(text: str) -> float | None:
    """Return the number of employees that a text about company size stands for.

    A range is its midpoint, "1,000+" and "over 1000" are their lower bound, "under 10" is the
    midpoint from 1, a word (SME, Konzern, micro ...) is the European Commission's class in
    `SIZE_WORDS`. None for anything else. English, French and German.

    >>> headcount("50-199"), headcount("1,000+"), headcount("11 to 50"), headcount("SME")
    (124.5, 1000.0, 30.5, 125.0)
    """
    plain = _plain(text)
    numbers = [_value(*found) for found in re.findall(_NUMBER, plain)]
    if len(numbers) == 2:
        low, high = numbers
        return (low + high) / 2 if low <= high else None
    if len(numbers) == 1:
        if _MORE.search(plain):
            return numbers[0]
        return (1 + numbers[0]) / 2 if _LESS.search(plain) and numbers[0] >= 1 else numbers[0]
    if numbers:
        return None
    return next((size for words, size in SIZE_WORDS if re.search(rf"\b(?:{words})\b", plain)), None)


def size_band(employees: float) -> Text:
    """Return the band that people read for a head count.

    >>> size_band(124.5).en
    '50–199 employees'
    """
    return next((band for low, band in reversed(SIZE_BANDS) if employees >= low), _NOBODY)


def _value(digits: str, suffix: str) -> float:
    if re.fullmatch(r"\d{1,3}(?:[ ,.']\d{3})+", digits):
        plain = re.sub(r"[ ,.']", "", digits)
    else:
        plain = digits.replace(",", ".")
    return float(plain) * {"k": 1e3, "m": 1e6, "": 1.0}[suffix]


# Read from top to bottom, first match wins: "assistant of the managing director" is an assistant, a
# "senior account manager" manages accounts and nobody. Accents are gone by then, "ß" is "ss".
_TITLES: tuple[tuple[int, str], ...] = (
    (
        1,
        r"intern\b|internship|trainee|apprenti|alternan|stagiaire|student|etudiant|praktik|werkstud|azubi|auszubild|lehrling",
    ),
    (
        2,
        r"^assist|assist[ae]n(t|te|tin|z)( to| of| d| der| des)|executive assistant|personal assistant|"
        r"secreta|sekreta",
    ),
    (
        7,
        r"\bc[efotmir]o\b|\bc(hr|is|p|d)o\b|\bpdg\b|\bdg\b|chief .*officer|(?<!vice )(?<!vice-)president|"
        r"managing director|director general|directeur general|directrice generale|"
        r"geschaftsfuhr|geschaeftsfuehr|vorstand|managing partner|"
        r"\bfound|fondat|grunder|inhaber|gerant|proprietaire|(?<!product )(?<!process )\bowner",
    ),
    (
        6,
        r"director|directeur|directrice|direktor|\bs?vp\b|vice.?president|\bhead\b|bereichsleit|"
        r"hauptabteilung|abteilungsleit|\bleiter|vertriebsleit|marketingleit|"
        r"prokurist|\bdsi\b|\bdaf\b|\bdrh\b|chief of staff",
    ),
    (
        4,
        r"(account|product|project|community|key account|customer success|case|brand)[ -]?manager|"
        r"projektleit|projektmanag|produktmanag|chef(fe)? de (projet|produit)|"
        r"chargee? d|referent|consultant senior|scrum master",
    ),
    (5, r"manager|managerin|responsable|team ?leit|gruppenleit|leitung|chef|supervisor|superintendent"),
    (4, r"senior|\bsr\b|lead\b|leader|principal|expert|architect|architekt|chief"),
    (2, r"junior|\bjr\b|assistant|assistent|aide\b|hilfs|entry.level|debutant"),
)
_SENIORITY = tuple((level, re.compile(pattern)) for level, pattern in _TITLES)


@cache
def seniority(title: str) -> float | None:
    """Return how senior a job title is, from 1 to 7 as in `SENIORITY_LEVELS`; None for no title.

    English, French and German; a title that says nothing of rank is a professional's, 3.

    >>> seniority("Geschäftsführerin"), seniority("Directeur commercial"), seniority("Engineer")
    (7.0, 6.0, 3.0)
    """
    plain = _plain(title)
    if not re.search(r"[a-z]", plain):
        return None
    return float(next((level for level, pattern in _SENIORITY if pattern.search(plain)), 3))


def _plain(text: str) -> str:
    """Lower case, without accents, dashes and blanks of one sort, "ß" as "ss"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return re.sub(r"\s+", " ", re.sub("[\u2010-\u2015\u2212]", "-", letters.replace("\u2019", "'"))).strip()
