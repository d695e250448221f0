"""What salespeople note when they close a lead that was not won: short, uneven, and at times personal.

The notes say nothing that the coded reason does not, and are drawn from a stream of their own: with or
without them every other number of the simulation is the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Texts = npt.NDArray[np.object_]

SHARE: Final = 0.5
FRENCH: Final = 0.25
# Of the notes: some have an address, a number to call or a first name in them, as real ones do.
WITH_ADDRESS: Final = 0.03
WITH_NUMBER: Final = 0.03
WITH_NAME: Final = 0.06
# Not every salesperson picks the right code.
OTHER_CODE: Final = 0.08

ENGLISH_NOTES: Final[dict[str, tuple[str, ...]]] = {
    "no budget": (
        "No budget left this year, budget is frozen until {quarter}",
        "Likes the product but the price is above their budget",
        "Too expensive for a team of this size",
        "Management did not approve the budget",
        "Price too high compared with what they pay today",
        "Spending freeze, procurement said no to the price",
    ),
    "no need": (
        "Only looking for general information, no project",
        "They built their own tool in house and keep it",
        "No project behind the download, was just curious",
        "Their spreadsheet is good enough for now, no project",
        "Built in house by their own developers",
    ),
    "no answer": (
        "Left {n} voicemails, never called back",
        "No reply to {n} emails and two voicemails",
        "Never picks up the phone, no reply",
        "Went silent after the first email, no reply since",
        "Number does not exist, emails bounce",
    ),
    "competitor": (
        "Signed with a competitor before our demo",
        "Went with a competitor, they already had the integration",
        "Missing integration with their ERP, chose a competitor",
        "Competitor offered a discount and a longer contract",
        "Renewed the contract with their current supplier",
    ),
    "bad timing": (
        "Reorganisation under way, wants to talk again in {quarter}",
        "Project postponed to next year",
        "Still bound by a contract until {quarter}, postponed",
        "Decision postponed, new director starts in {quarter}",
        "Come back after the merger, project postponed",
    ),
    "wrong target": (
        "Student writing a thesis, not a buyer",
        "Wants to sell us their services",
        "Freelancer, too small for us",
        "Job applicant, not a buyer",
        "Student, needs material for a class",
    ),
}
FRENCH_NOTES: Final[dict[str, tuple[str, ...]]] = {
    "no budget": (
        "Pas de budget cette année, budget gelé jusqu'au {quarter}",
        "Intéressé mais tarif trop élevé pour leur budget",
        "La direction n'a pas validé le budget",
    ),
    "no need": (
        "Pas de projet, simple recherche d'information",
        "Outil développé en interne, pas de projet",
    ),
    "no answer": (
        "Injoignable, {n} messages laissés sans réponse",
        "Aucune réponse aux relances, injoignable",
    ),
    "competitor": (
        "A signé avec un concurrent",
        "Parti chez un concurrent, intégration manquante chez nous",
    ),
    "bad timing": (
        "Projet reporté à l'année prochaine",
        "Réorganisation en cours, projet reporté au {quarter}",
    ),
    "wrong target": ("Étudiante, prépare un mémoire", "Veut nous vendre ses services"),
}
_QUARTERS: Final = ("Q1", "Q2", "Q3", "Q4", "September", "January")


def with_comments(
    outcomes: pa.Table, first_name: Texts, address: Texts, rng: np.random.Generator
) -> pa.Table:
    """Return outcomes with a column ``comment``: a note for about half of those that are not won.

    Parameters
    ----------
    outcomes
        (n,) with ``reason``, null for the won; one without notes of its own (a duplicate, a test) gets none.
    first_name, address
        (n,) the lead's own, for the few notes that have them; None for no address.
    """
    # Every row draws as many numbers, so that no note depends on which others there are.
    drawn = rng.random((outcomes.num_rows, 8))
    rows = zip(outcomes["reason"].to_pylist(), first_name, address, drawn, strict=True)
    found = [
        _note(reason, name, mail, u) if reason in ENGLISH_NOTES else None for reason, name, mail, u in rows
    ]
    return outcomes.append_column("comment", pa.array(found, type=pa.string()))


def _note(reason: str, name: str, address: str | None, u: npt.NDArray[np.float64]) -> str | None:
    """Return what one row's numbers `u` (8,), each from 0 to 1, make of it."""
    if u[0] >= SHARE:
        return None
    codes = list(ENGLISH_NOTES)
    code = codes[int(u[1] / OTHER_CODE * len(codes))] if u[1] < OTHER_CODE else reason
    notes = (FRENCH_NOTES if u[2] < FRENCH else ENGLISH_NOTES)[code]
    quarter = _QUARTERS[int(u[4] * len(_QUARTERS))]
    text = notes[int(u[3] * len(notes))].format(quarter=quarter, n=2 + int(u[5] * 5))
    return text + _personal(u[6], u[7], name, address)


def _personal(which: float, digits: float, name: str, address: str | None) -> str:
    """Return what some notes have at their end. The numbers are of a French range kept for fiction."""
    if which < WITH_ADDRESS:
        return f". Write to {address} instead" if address else ""
    if which < WITH_ADDRESS + WITH_NUMBER:
        tail = f"{int(digits * 10_000):04d}"
        return f", call +33 1 99 00 {tail[:2]} {tail[2:]}"
    return f" ({name} told me)" if which < WITH_ADDRESS + WITH_NUMBER + WITH_NAME else ""
