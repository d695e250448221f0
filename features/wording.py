"""The words about features that are no feature's own: how a name is read, and what is said of nothing."""

from __future__ import annotations

import re
from typing import NamedTuple

from features.language import Noun, Text

WEEKDAYS = (
    Text("Monday", "lundi"),
    Text("Tuesday", "mardi"),
    Text("Wednesday", "mercredi"),
    Text("Thursday", "jeudi"),
    Text("Friday", "vendredi"),
    Text("Saturday", "samedi"),
    Text("Sunday", "dimanche"),
)

# Adjectives of an e-mail address, by the class of its domain.
EMAIL_WORDS = {
    "corporate": Text("corporate", "professionnelle"),
    "personal": Text("personal", "personnelle"),
    "student": Text("academic", "universitaire"),
    "disposable": Text("disposable", "jetable"),
}

# What is counted, by the unit of the feature that counts it.
_ACTIVITIES = Noun(Text("activity", "activité"), Text("activities", "activités"))
NOUNS = {
    "activities": _ACTIVITIES,
    "own activities": _ACTIVITIES,
    "calendar days": Noun(Text("day", "jour"), Text("days", "jours")),
    "sessions": Noun(Text("session", "session"), Text("sessions", "sessions")),
    "assets": Noun(Text("asset", "contenu"), Text("different assets", "contenus différents")),
    "channels": Noun(Text("channel", "canal"), Text("different channels", "canaux différents")),
    "kinds of activity": Noun(
        Text("kind of activity", "type d’activité"), Text("kinds of activity", "types d’activité")
    ),
}


class Overall(NamedTuple):
    """A concept that is about no one kind or attribute: its name, and what is said where nothing is told."""

    label: Text
    nothing: Text


_NO_ACTIVITY = Text("no activity yet", "aucune activité pour l’instant")
OVERALL = {
    "overall.frequency": Overall(Text("number of activities", "nombre d’activités"), _NO_ACTIVITY),
    "overall.recency": Overall(Text("last activity", "dernière activité"), _NO_ACTIVITY),
    "overall.rhythm": Overall(
        Text("pauses between activities", "pauses entre les activités"),
        Text("fewer than two activities", "moins de deux activités"),
    ),
    "overall.variety": Overall(Text("variety of activities", "variété des activités"), _NO_ACTIVITY),
    "overall.value": Overall(
        Text("value of activities", "valeur des activités"),
        Text("value of activities not known", "valeur des activités inconnue"),
    ),
    "overall.initiative": Overall(
        Text("own initiative", "initiative du lead"),
        Text(
            "nothing by the lead or by marketing so far",
            "rien de la part du lead ni du marketing pour l’instant",
        ),
    ),
    "overall.channel": Overall(Text("channel", "canal"), Text("channel not known", "canal inconnu")),
    "overall.time_of_day": Overall(Text("time of activity", "moment des activités"), _NO_ACTIVITY),
    "overall.age": Overall(
        Text("age of the lead", "ancienneté du lead"), Text("age not known", "ancienneté inconnue")
    ),
    "profile": Overall(
        Text("fields filled in", "champs renseignés"),
        Text("fields filled in: not known", "champs renseignés : pas d’information"),
    ),
}

EMAIL_LABEL = Text("e-mail address", "adresse e-mail")
OTHER_ACTIVITY = Text("other activity", "autre activité")
ALL_ACTIVITIES = Text("all activities", "toutes les activités")

NOTHING_OF_KIND = Text("{label}: never", "{label} : jamais")
NOT_KNOWN = Text("{label} not known", "{label} : pas d’information")
IN_SHORT = Text("{label}: {value}", "{label} : {value}")
IN_WINDOW = Text("{value} {window}", "{value} {window}")
RARE = Text("a rarer one", "une valeur plus rare")
# Of what happened once it is enough to say when: "form submitted 33 hours ago".
ONCE = Text("{label} {value}", "{label} {value}")
AT_LEAST = Text("at least {value}", "au moins {value}")
YES, NO = Text("yes", "oui"), Text("no", "non")


def spaced(value: str) -> str:
    """Return a value of the user's data as people read it: ``paid_ads`` as ``paid ads``, ``FR`` as it is."""
    return re.sub(r"(?<=\w)_+(?=\w)", " ", value)


def readable(name: str) -> str:
    """Turn ``pricing_page`` or ``pricingPage`` into ``pricing page``; a name with blanks is left alone."""
    if " " in name.strip():
        return name.strip()
    words = re.sub(r"[_\s]+", " ", name).strip()
    parted = re.sub(r"(?<=[a-zà-ÿ])[A-ZÀ-Þ](?=[a-zà-ÿ])", lambda start: f" {start[0].lower()}", words)
    return parted if parted.isupper() else parted[:1].lower() + parted[1:]
