"""What is said of a line of the hand-made point table beside the model."""

from __future__ import annotations

from features.language import Said, Speaker, Text, in_every_language
from models.contradictions import Line

_GIVES = Text("Your table gives “{name}” {points}", "Votre barème donne {points} à « {name} »")
_SAYS = {
    "opposite": Text(
        "{gives}; here it goes the other way: about {worth}.",
        "{gives} ; ici, c’est l’inverse : environ {worth}.",
    ),
    "nothing": Text(
        "{gives}; here it changes nothing that is more than chance.",
        "{gives} ; ici, cela ne change rien de plus que le hasard.",
    ),
    "less": Text(
        "{gives}; here it is worth less: about {worth}.",
        "{gives} ; ici, cela vaut moins : environ {worth}.",
    ),
    "more": Text(
        "{gives}; here it is worth more: about {worth}.",
        "{gives} ; ici, cela vaut plus : environ {worth}.",
    ),
    "same": Text(
        "{gives}, and the model agrees: about {worth}.",
        "{gives}, et le modèle est d’accord : environ {worth}.",
    ),
    "unclear": Text(
        "{gives}; the model leans to {worth}, but rules out neither zero nor your points.",
        "{gives} ; le modèle penche pour {worth}, sans exclure ni zéro ni vos points.",
    ),
    "few": Text(
        "{gives}; too few leads to tell ({leads}).",
        "{gives} ; trop peu de leads pour le dire ({leads}).",
    ),
    "unseen": Text(
        "{gives}; the model does not look at it: too rare, left out as a leak, or not in the data.",
        "{gives} ; le modèle n’en tient pas compte : trop rare, écarté comme fuite, ou absent des données.",
    ),
}


def line_said(name: str, points: float, line: Line, worth: float) -> Said:
    """Say what the table gives for a line, and what it is worth, in points of the same table."""
    return in_every_language(lambda speaker: _said(speaker, name, points, line, worth))


def _said(speaker: Speaker, name: str, points: float, line: Line, worth: float) -> str:
    gives = speaker.say(_GIVES, name=name, points=signed(speaker, points))
    return speaker.say(
        _SAYS[line.verdict],
        gives=gives,
        worth=signed(speaker, worth) if worth == worth else "",
        leads=speaker.number(line.leads),
    )


def signed(speaker: Speaker, points: float) -> str:
    """Write points with their sign: +5, −6, +0.4, 0."""
    size = abs(points)
    text = speaker.number(size) if size >= 9.5 or size == round(size) else speaker.number(size, 1)
    if float(f"{size:.1f}") == 0:
        return speaker.number(0)
    return ("+" if points > 0 else "\u2212") + text
