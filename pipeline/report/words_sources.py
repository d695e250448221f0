"""What the report says of pages, offers, campaigns, sources and landing pages."""

from __future__ import annotations

from typing import Any

from features.language import Said, Speaker, Text, in_every_language

TITLES = {
    "pages": Text("Pages", "Pages"),
    "offers": Text("Offers and content", "Offres et contenus"),
    "content": Text("What leads looked at and took", "Ce que les leads ont consulté et pris"),
    "campaigns": Text("Campaigns", "Campagnes"),
    "sources": Text("Sources", "Sources"),
    "landings": Text("Landing pages", "Pages d’entrée"),
}
COLUMNS = {
    "pages": Text("Page", "Page"),
    "offers": Text("Offer", "Offre"),
    "content": Text("Page or offer", "Page ou offre"),
    "campaigns": Text("Campaign", "Campagne"),
    "sources": Text("Source", "Source"),
    "landings": Text("Landing page", "Page d’entrée"),
}
WHAT = {
    "pages": Text(
        "A lead counts for a page from its first view of it.",
        "Un lead compte pour une page dès sa première visite de celle-ci.",
    ),
    "offers": Text(
        "A lead counts for an offer from the first time it took it.",
        "Un lead compte pour une offre dès la première fois qu’il y a eu recours.",
    ),
    "content": Text(
        "The configuration does not say which kinds of activity are pages and which are offers, so "
        "each kind stands for itself. Name them under [report].",
        "La configuration ne dit pas quels types d’activité sont des pages et lesquels des offres : chaque "
        "type est donc présenté à part. Indiquez-les sous [report].",
    ),
    "campaigns": Text(
        "A lead counts for a campaign from the first time it was reached by it.",
        "Un lead compte pour une campagne dès la première fois qu’elle l’a touché.",
    ),
    "sources": Text(
        "Where a lead came from. What is usual for leads like these is computed here without the source.",
        "D’où vient le lead. Ce qui est habituel pour des leads semblables est calculé ici sans la source.",
    ),
    "first channel": Text(
        "The channel of the lead’s first own activity. If an attribute says where leads come from, name it "
        "as source under [report].",
        "Le canal de la première activité du lead. Si un attribut indique la source des leads, nommez-le "
        "comme source sous [report].",
    ),
    "landings": Text(
        "What the lead’s own first activity was on.", "Ce sur quoi portait la première activité du lead."
    ),
}
ABSENT = {
    "activities": Text(
        "Pages, offers and campaigns need activities with times, which this table does not have.",
        "Pages, offres et campagnes demandent des activités datées, que cette table n’a pas.",
    ),
    "campaigns": Text(
        "No campaign is known: none of marketing’s activities has an asset, and no kinds are named as "
        "campaigns under [report].",
        "Aucune campagne n’est connue : aucune activité du marketing n’a d’asset, et aucun type n’est "
        "indiqué comme campaigns sous [report].",
    ),
    "sources": Text(
        "No source is known: activities have no channel, and no attribute is named as source under [report].",
        "Aucune source n’est connue : les activités n’ont pas de canal, et aucun attribut n’est indiqué "
        "comme source sous [report].",
    ),
    "landings": Text(
        "No landing page is known: the leads’ own first activities have no asset.",
        "Aucune page d’entrée n’est connue : les premières activités des leads n’ont pas d’asset.",
    ),
}
NOBODY_CONVERTED = Text(
    "No lead whose outcome is known converted, so nothing can be compared.",
    "Aucun lead dont l’issue est connue ne s’est converti : rien ne peut être comparé.",
)
TOO_FEW = Text(
    "Too few leads touched any page, offer, campaign or source to say anything of it.",
    "Trop peu de leads ont touché une même page, offre, campagne ou source pour en dire quoi que ce soit.",
)
NO_TIMES = Text(
    "This table has no times and no activities. Name the attribute that says where leads come from "
    "as source under [report]; pages, offers and campaigns need a table of activities with assets.",
    "Cette table n’a ni dates ni activités. Nommez sous [report] comme source l’attribut qui dit "
    "d’où viennent les leads ; le reste demande une table d’activités avec asset.",
)
NO_ASSETS = Text(
    "No activity has an asset (a page, an offer, a campaign) or a channel. Name these columns in "
    "[[activities]], or an attribute as source under [report].",
    "Aucune activité n’a d’asset (page, offre, campagne) ni de canal. Indiquez ces colonnes dans "
    "[[activities]], ou un attribut comme source sous [report].",
)


def told(rows: list[dict[str, Any]], values: int) -> Said:
    """Say in a sentence what stands out, surest first."""
    more = [r for r in sorted(rows, key=lambda r: -r["low"]) if r["verdict"] == "more"][:3]
    less = [r for r in sorted(rows, key=lambda r: r["high"]) if r["verdict"] == "less"][:3]

    def tell(speaker: Speaker) -> str:
        parts = []
        if more:
            text = Text(
                "Leads that had {values} converted more often than similar leads.",
                "Après {values}, les leads se sont convertis plus souvent que des leads semblables.",
            )
            parts.append(speaker.say(text, values=speaker.listed(_named(r, speaker) for r in more)))
        if less:
            text = (
                Text("Leads that had {values} converted less often.", "Moins souvent : {values}.")
                if more
                else Text(
                    "Leads that had {values} converted less often than similar leads.",
                    "Après {values}, les leads se sont convertis moins souvent que des leads semblables.",
                )
            )
            parts.append(speaker.say(text, values=speaker.listed(_named(r, speaker) for r in less)))
        if not parts:
            text = Text(
                "None stands out ({n} compared): as far as these numbers can tell, their leads convert as "
                "leads like them do.",
                "Rien ne se détache ({n} valeurs comparées) : pour autant que ces chiffres permettent d’en "
                "juger, leurs leads se convertissent comme des leads semblables.",
            )
            parts.append(speaker.say(text, n=speaker.number(values)))
        return " ".join(parts)

    return in_every_language(tell)


def _named(row: dict[str, Any], speaker: Speaker) -> str:
    more = change(row["lift"] - 1, speaker)
    inside = more if row["kind"] is None else f"{speaker.pick(row['kind'])}, {more}"
    return f"{row['name']} ({inside})"


def name_of(row: dict[str, Any], speaker: Speaker) -> str:
    """Name a value with its kind, if it has one of its own."""
    return str(row["name"]) if row["kind"] is None else f"{row['name']} ({speaker.pick(row['kind'])})"


def change(share: float, speaker: Speaker) -> str:
    """Write a share with its sign: ``+9%``."""
    written = speaker.percent(abs(share))
    return written if round(share, 2) == 0 else f"{'+' if share > 0 else '−'}{written}"
