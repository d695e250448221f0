"""The configurations that the program writes: a commented one to fill in, and that of the simulated CRM."""

from __future__ import annotations

from pathlib import Path

from features.errors import ConfigurationError
from pipeline.files import write_text
from pipeline.template_simulated import SIMULATED

TEMPLATE = """\
# propense: how likely each open lead is to convert, learned from your own won and lost leads.
# Fill in your tables and columns, then run `propense check`. Lines with a # are optional.
# Paths are relative to this file; the environment variable PROPENSE_DATA overrides where they start.
# Tables are CSV or Parquet files, or folders of them.

[project]
name = "my-company"            # names the registered model and the folder output/<name>/
timezone = "Europe/Paris"      # of times without an offset, and of local hours and days
# target = "won"               # what people call a conversion
# language = "fr"              # of reasons and of the report: "en" or "fr"
# currency = "EUR"             # of amounts

# Who may become a customer: one row a lead.
[leads]
table = "leads.csv"
id = "lead_id"                 # never an e-mail address (or set hash_id = true)
created_at = "created_at"
# account = "account_id"       # leads of one account are never split between training and test
# email = "email"              # only its domain is used
# attributes = ["industry", "company_size", "job_title"]   # every other column if not given
# ignore = ["contract_type"]   # filled in after the outcome: it would leak (the guard looks for such)
# old_score = ["lead_score"]   # your earlier score: never a feature
# separator = ";"
# time_format = "%d/%m/%Y %H:%M"   # if times are not ISO 8601; or "epoch_ms"
# missing = ["Select", "N/A"]
# [leads.sensitive]
# age = "why training on it is justified"

# What leads did, and what was done to them; as many of these sections as you have tables.
[[activities]]
table = "web.csv"
lead_id = "lead_id"
occurred_at = "occurred_at"
kind = "kind"                  # a column; or kind_is = "web_visit" for every row
# asset = "page"
# channel = "channel"
# value = "seconds"
# known_at = "imported_at"     # if it was known later than it happened
# actor_is = "lead"            # "lead", "marketing" or "sales"; or actor = "column"
# actors = { call = "sales", email_sent = "marketing" }   # what a kind (or actor value) means

# What became of them.
[outcomes]
table = "outcomes.csv"
lead_id = "lead_id"
outcome = "outcome"
closed_at = "closed_at"
# amount = "amount"
# reason = "reason"
# values = { won = ["Closed Won"], lost = ["Closed Lost"] }
# episodes = "first"           # "all" if a lost lead may come back and be won
# stale_after = "180d"         # silence after which a lead counts as closed
# activity_kinds = ["contract_signed"]   # kinds that are the outcome itself
# observed_until = 2026-06-30T00:00:00Z  # the latest time in the data if not given

# [[entities]]                 # more about the leads, joined by a key
# table = "accounts.csv"
# key = "account_id"
# lead_key = "account_id"

# [[history]]                  # versions of attributes: used as they were known at the time
# table = "history.csv"
# lead_id = "lead_id"
# known_at = "changed_at"
# attributes = ["job_title"]

# [stages]
# table = "stages.csv"
# lead_id = "lead_id"
# stage = "stage"
# at = "at"

[snapshots]
horizon = "30d"                # a conversion counts within so long; `propense check` suggests one
# ages = ["1h", "1d", "3d", "7d", "14d", "30d"]
# end_at_handover = true       # an MQL is decided before sales works it

# What people read for a kind or an attribute, if not its own name: one text, or one for each language.
# [features.labels]
# pricing_page = { en = "pricing page", fr = "page des tarifs" }
# erp = "ERP"

# [windows]                    # dates follow from the data if not pinned
# test_from = 2026-03-01
# split = "group"              # for a single cohort

# The first cutoff is in force; the others are shown beside it.
[[cutoffs]]
policy = "precision"           # at least this share of the MQLs converts, promised with this confidence
at_least = 0.3
confidence = 0.9
# [[cutoffs]]
# policy = "recall"            # at least this share of the wins were MQLs first
# at_least = 0.6
# [[cutoffs]]
# policy = "capacity"          # as many new MQLs as sales can work
# per_week = 40
# at_least = 0.2               # and, if you like, at least this share of them converts
# [[cutoffs]]
# policy = "value"
# contact_cost = 20
# won_value = 400

# Your own points, to be compared with.
# [[rules]]
# name = "newsletter"
# points = 5
# activity = "newsletter_subscribed"
# [[rules]]
# name = "case study"
# points = 20
# activity = "case_study"
# [[rules]]
# name = "personal address"
# points = -6
# email_class = "personal"

# [decision]
# rules_mql_at = 50            # your threshold on these points
# hysteresis = 0.2             # log-odds a lead may fall below its band's level before it loses the band
# sales_ready_kinds = ["demo_requested", "quote_requested", "contact_requested"]

# What is cleaned before anything is learned; every measure is on, counted and shown.
# [hygiene]
# duplicates = false           # leads of one person are merged into the earliest
# tests = false                # test leads are left out
# own_domains = ["my-company.com"]   # so are employees
# bots = false                 # clicks that a machine made are removed
# impossible = false           # and activities that cannot have happened
# leave_out = ["disposable"]   # leads with such addresses: personal, student or disposable

# The leak guard leaves out what was filled in after the outcome. If you know better, say why.
# [[guard.overrule]]
# name = "last_quote"
# verdict = "keep"             # or "leave_out"
# reason = "written by the web shop before anyone calls"

# [backtest]
# folds = 6

# Your ideal customer, attribute by attribute, to be compared with what was learned.
# [persona.industry]
# is_one_of = ["Software", "Finance"]
# [persona.company_size]
# at_least = 50
# [persona.email]
# is_one_of = ["corporate"]

# Which kinds of activity are content, and for which question of a buyer.
# [content]
# awareness = ["blog_post"]             # what is this about?
# consideration = ["buyers_guide"]      # which ways are there?
# decision = ["case_study"]             # why this one?

# [report]
# pages = ["web_visit"]                 # kinds whose assets are pages,
# offers = ["download"]                 # offers or content,
# campaigns = ["email_clicked"]         # campaigns
# source = "source"                     # attribute that says where a lead came from; else its first channel
# leads = 20                            # leads to call that are listed

# Where scores are written; try `propense sync crm --dry-run` first. Under fields, a column of scores.parquet
# and the field it goes to: whatever that held is overwritten, so name fields that `propense sync setup NAME`
# creates. run_sequence is how a later run is told from an earlier one. A secret is never written here, only
# its place: in the environment or in a file.
# [destinations.crm]
# type = "sqlite"              # or "duckdb"
# path = "crm.sqlite"
# table = "leads"
# key = "lead_id"
# closed = "clear"             # the score of a lead that is open no longer; or "freeze"
# tolerance = 2                # points that a score may move before it is written again
# [destinations.crm.fields]
# score = "propense_score"
# band = "propense_band"
# grade = "propense_grade"
# reasons = "propense_reasons"
# run_sequence = "propense_run"

# [destinations.warehouse]
# type = "postgresql"
# url = { env = "WAREHOUSE_URL" }   # or "postgresql://user@host/database": its password from PGPASSWORD
# table = "crm.leads"
# key = "lead_id"
# fields = { propensity = "propensity", score = "score", band = "band", run_sequence = "propense_run" }

# [destinations.hubspot]
# type = "hubspot"
# token = { env = "HUBSPOT_TOKEN" }   # a service key, or the token of an existing private app
# record = "hubspot_id"        # the column of the leads' table that holds the contact's id
# fields = { score = "propense_score", band = "propense_band", run_sequence = "propense_run" }

# [destinations.salesforce]
# type = "salesforce"
# url = "https://acme.my.salesforce.com"
# client_id = { env = "SALESFORCE_CLIENT_ID" }   # of an external client app
# client_secret = { env = "SALESFORCE_CLIENT_SECRET" }
# record = "salesforce_id"     # of the lead or, once converted, of the contact
# fields = { score = "Propense_Score__c", band = "Propense_Band__c", run_sequence = "Propense_Run__c" }

# [destinations.tryton]
# type = "tryton"
# url = "https://tryton.example.com"
# database = "crm"
# user = "propense"
# password = { file = "tryton.password" }
# record = "opportunity_id"
# fields = { score = "propense_score", band = "propense_band", run_sequence = "propense_run" }

# [destinations.file]
# type = "csv"                 # or "parquet": for another program to import, which updates existing records
# path = "scores.csv"          # only and takes an empty cell for a score that was cleared
# fields = { score = "score", band = "band", reasons = "reasons", run_sequence = "run" }

# [sync]                       # what was delivered; output/<name>/ledger.sqlite if not given
# ledger = { env = "LEDGER_URL" }   # two machines that write need one: "postgresql://user@host/database"
"""

HORIZON = "90d"


def write_template(path: Path) -> None:
    """Write the commented configuration.

    Raises
    ------
    ConfigurationError
        The file exists: it is never overwritten.
    """
    if path.exists():
        raise ConfigurationError(
            f"'{path}' exists and is left as it is.", todo="name another file with --config, or remove it"
        )
    write_text(path, TEMPLATE)


def write_simulated(directory: Path) -> None:
    """Write the configuration of a simulated CRM into its folder."""
    from pipeline.simulation.following import PERSONAL_POINTS
    from pipeline.simulation.world import World

    rules = [
        f'[[rules]]\nname = "{kind.replace("_", " ")}"\npoints = {points}\nactivity = "{kind}"\neach = true\n'
        'within = "30d"\n'
        for kind, points in World().points.items()
        if points
    ]
    rules.append(
        f'[[rules]]\nname = "personal address"\npoints = {PERSONAL_POINTS}\nemail_class = "personal"\n'
    )
    text = SIMULATED.replace("{horizon}", HORIZON) + "\n" + "\n".join(rules)
    write_text(directory / "propense.toml", text)
