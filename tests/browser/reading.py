"""How a person's numbers are read from and written on the page, apart from the code that writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from playwright.sync_api import Page

# Spaces that French sets inside numbers and before signs: narrow and plain, neither lets a line break.
NARROW, FIXED = "\u202f", "\u00a0"


@dataclass
class Opened:
    """A report in a browser, with what it said and asked for while it was open."""

    page: Page
    language: str
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """The text of one element, as it stands on the page."""
        return self.page.locator(selector).inner_text().strip()

    def shown(self, name: str) -> str:
        return self.text(f'[data-show="{name}"]')

    def cell(self, column: str, row: str) -> str:
        return self.text(f'[data-cell="{column}.{row}"]')

    def move(self, rung: int) -> None:
        self.page.locator("#cutoff-slider").fill(str(rung))


# Opens the report in a language (English where none is given), with options of the browser's.
Open = Callable[..., Opened]


def written(value: float | None, language: str, digits: int = 0) -> str:
    """1234.5 as ``1,234`` or ``1 234``: halves go to the even neighbour."""
    if value is None:
        return "–"
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    text = f"{rounded:,.{digits}f}"
    return text if language == "en" else text.replace(",", NARROW).replace(".", ",")


def percent(share: float | None, language: str) -> str:
    if share is None:
        return "–"
    hundredths = Decimal(repr(float(share))) * 100
    return written(float(hundredths), language) + ("%" if language == "en" else f"{FIXED}%")


def money(amount: float | None, language: str, currency: str | None) -> str:
    if amount is None:
        return "–"
    plain = written(abs(amount), language)
    sign = "\u2212" if amount < 0 else ""
    if currency is None:
        return sign + plain
    symbol = {"EUR": "€", "GBP": "£", "USD": "$" if language == "fr" else "US$"}[currency]
    return f"{sign}{symbol}{plain}" if language == "en" else f"{sign}{plain}{FIXED}{symbol}"


def expected(counts: dict[str, Any], language: str) -> dict[str, str]:
    """What the page shows of a level's counts, by name."""
    share = counts["share"]
    return {
        "mqls": written(counts["mqls"], language),
        "per_week": written(counts["per_week"], language, 1),
        "share": percent(share["value"], language),
        "converted": written(counts["converted"], language),
        "missed": written(counts["missed"], language),
        "contacts_per_customer": written(counts["contacts_per_customer"], language, 1),
    }
