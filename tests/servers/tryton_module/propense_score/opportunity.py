"""The score fields of a lead, and a server that can be made to refuse, to fail and to stop half-way."""

import os
import time
from pathlib import Path

from trytond.exceptions import UserWarning
from trytond.model import fields
from trytond.model.exceptions import ValidationError
from trytond.pool import PoolMeta

# While there is a file "pause" in it, a write stops before it is committed, and says so by a file "paused".
SWITCHES = Path(os.environ.get("PROPENSE_TEST_SWITCHES", "/nonexistent"))


class SaleOpportunity(metaclass=PoolMeta):
    __name__ = "sale.opportunity"

    active = fields.Boolean("Active")
    propensity = fields.Float("Propensity", digits=(1, 4))
    propensity_high = fields.Numeric("Propensity, at most", digits=(1, 6))
    score = fields.Integer("Score", domain=["OR", ("score", "=", None), ("score", "<=", 100)])
    band = fields.Selection(
        [(None, ""), ("mql", "MQL"), ("nurture", "Nurture"), ("let_go", "Let go")], "Band"
    )
    grade = fields.Char("Grade", size=4)
    sales_ready = fields.Boolean("Ready for sales")
    reasons = fields.Text("Reasons")
    scored_at = fields.DateTime("Scored at")
    scored_on = fields.Date("Scored on")
    run_id = fields.Char("Run, by its id")
    run_sequence = fields.Integer("Run")
    external = fields.Char("Id elsewhere")
    fixed = fields.Float("Nobody may change this", readonly=True)

    @classmethod
    def default_active(cls):
        return True

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        """Refuse in each of the ways that modules do, by what the lead's reference says."""
        super().check_modification(mode, records, values=values, external=external)
        if mode != "write" or not values or "run_sequence" not in values:
            return
        for record in records:
            if record.reference == "frozen":
                raise ValidationError(f"The lead of ann@example.com, {record.number}, is frozen.")
            if record.reference == "warned":
                raise UserWarning("propense_score.warned", "Are you sure?", "Somebody works on this lead.")
            if record.reference == "broken":
                raise KeyError("a mistake in a module")

    @classmethod
    def write(cls, records, values, *args):
        super().write(records, values, *args)
        pause = SWITCHES / "pause"
        if "run_sequence" in values and pause.exists():
            (SWITCHES / "paused").touch()
            while pause.exists():
                time.sleep(0.01)
