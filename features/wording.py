"""How names, numbers and times are written for people. English; the one place to translate."""

from __future__ import annotations

import re

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def readable(name: str) -> str:
    """Turn ``pricing_page`` or ``pricingPage`` into ``pricing page``; a name with blanks is left alone."""
    if " " in name.strip():
        return name.strip()
    words = re.sub(r"[_\s]+", " ", name).strip()
    parted = re.sub(r"(?<=[a-zà-ÿ])[A-ZÀ-Þ](?=[a-zà-ÿ])", lambda start: f" {start[0].lower()}", words)
    return parted if parted.isupper() else parted[:1].lower() + parted[1:]


def times(count: float) -> str:
    """Write 1 as ``once`` and 3 as ``3 times``."""
    return "once" if round(count) == 1 else f"{round(count):,} times"


def counted(count: float, one: str, many: str = "") -> str:
    """Write ``1 day`` or ``3 days``."""
    return f"{round(count):,} {one if round(count) == 1 else many or one + 's'}"


def plain(number: float) -> str:
    """Write a number without needless digits: 1,250, 12.5, 0.04."""
    if number == round(number):
        return f"{round(number):,}"
    return f"{number:,.1f}" if abs(number) >= 10 else f"{number:.2g}"


def ago(days: float) -> str:
    """Write an age in days as people say it: ``2 hours ago``, ``3 days ago``."""
    return f"{lasting(days)} ago"


def lasting(days: float) -> str:
    """Write a length of time in its largest fitting unit, rounded down."""
    minutes = int(days * 24 * 60 + 1e-9)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return counted(minutes, "minute")
    if minutes < 48 * 60:
        return counted(minutes // 60, "hour")
    return counted(minutes // (24 * 60), "day")


def window(days: float) -> str:
    """Write the last 1, 7 or 30 days."""
    return "the last 24 hours" if days == 1 else f"the last {days:g} days"


# The concepts that are about no one kind: what they are called, what their clauses start with, and what
# is said of a lead for whom there is nothing to tell.
OVERALL = {
    "overall.frequency": ("how often active", "active", "no activity yet"),
    "overall.recency": ("how recently active", "active", "no activity yet"),
    "overall.rhythm": ("pauses between activities", "pause", "fewer than two activities"),
    "overall.variety": ("variety of activities", "active on", "no activity yet"),
    "overall.value": ("value of activities", "activities", "no activity with a value"),
    "overall.initiative": ("own initiative", "active", "no activity yet"),
    "overall.channel": ("channel", "channel", "channel not known"),
    "overall.time_of_day": ("time of activity", "active", "no activity yet"),
    "overall.age": ("age of the lead", "known", "age not known"),
    "profile": ("fields filled in", "fields", "no field filled in"),
}

NOTHING_OF_KIND = "no {label}"
NOT_KNOWN = "{label} not known"
RARE = "a rarer one"
YES, NO = "yes", "no"
