"""What an HTTP answer says beside its status: how long to wait, and what went wrong, fit to be shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_ADDRESS = re.compile(r"[^\s@\"'<>(){}\[\],;:=]+@[^\s@\"'<>(){}\[\],;:=]+")


def retry_after(response: httpx.Response) -> float | None:
    """Return how many seconds an answer asks to wait, None if it does not say.

    A date is counted from the answer's own date: this machine's clock may be wrong.
    """
    given = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", given):
        return float(given)
    until, now = _date(given), _date(response.headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)


def said(response: httpx.Response) -> str:
    """Return what an answer says to people, as it stands; empty if it says nothing."""
    try:
        answer = response.json()
    except ValueError:
        return ""
    first = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(first, dict):
        return ""
    return next((str(first[key]) for key in ("message", "error_description", "error") if first.get(key)), "")


def tidy(text: str, most: int = 300) -> str:
    """Return a text of a destination in one line, cut, with e-mail addresses hidden."""
    line = _ADDRESS.sub("…@…", " ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"
