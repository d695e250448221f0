"""The configuration of the simulated CRM, without its points."""

from __future__ import annotations

SIMULATED = """\
# The simulated CRM (see data/README.md): every kind of table that propense reads.

[project]
name = "simulated"
timezone = "Europe/Paris"
currency = "EUR"

[leads]
table = "leads.csv"
id = "lead_id"
created_at = "created_at"
account = "account_id"
email = "email"
# contract_type is filled in by sales after winning: the leak guard finds that and leaves it out.
attributes = ["industry", "company_size", "source", "contract_type"]
old_score = ["lead_score"]

[[activities]]
table = "web.parquet"
lead_id = "lead_id"
occurred_at = "occurred_at"
kind = "kind"
asset = "asset"
channel = "channel"
value = "seconds"

[[activities]]
table = "marketing.parquet"
lead_id = "lead_id"
occurred_at = "occurred_at"
kind = "kind"
actor = "actor"
asset = "asset"
channel = "channel"

[[activities]]
table = "sales.csv"
lead_id = "lead_id"
occurred_at = "occurred_at"
kind = "kind"
actor = "actor"

[outcomes]
table = "outcomes.csv"
lead_id = "lead_id"
outcome = "outcome"
closed_at = "closed_at"
amount = "amount"
reason = "reason"
comment = "comment"
observed_until = 2026-06-30T00:00:00Z

# Job title and country change; this is how each was known at the time.
[[history]]
table = "history.csv"
lead_id = "lead_id"
known_at = "known_at"
attributes = ["job_title", "country"]

[stages]
table = "stages.csv"
lead_id = "lead_id"
stage = "stage"
at = "at"
by = "by"
reason = "reason"

[snapshots]
horizon = "{horizon}"
ages = ["1h", "1d", "3d", "7d", "14d", "30d", "60d"]

# The first is in force: sales can work ten new MQLs a week. The others are shown beside it.
[[cutoffs]]
policy = "capacity"
per_week = 10

[[cutoffs]]
policy = "precision"
at_least = 0.15

[[cutoffs]]
policy = "recall"
at_least = 0.4

[[cutoffs]]
policy = "value"
contact_cost = 300
won_value = 2400

[decision]
rules_mql_at = 50
sales_ready_kinds = ["demo_requested", "quote_requested", "contact_requested"]

# Whom marketing had in mind all along; the report says where the data agree.
[persona.company_size]
at_least = 50
[persona.industry]
is_one_of = ["Finance", "Manufacturing", "Software"]
[persona.job_title]
at_least = 5                   # from managers up
[persona.email]
is_one_of = ["corporate"]

[content]
awareness = ["awareness_content"]
consideration = ["consideration_content", "case_study"]
decision = ["decision_content"]

[report]
pages = ["visit", "repeated_visit", "long_visit", "page_viewed", "pricing_page"]
offers = [
  "awareness_content", "consideration_content", "case_study", "decision_content", "form_submitted",
  "webinar_registered", "webinar_attended", "trial_started", "wish_list_added", "cart_filled",
]
campaigns = ["email_sent", "email_opened", "email_clicked", "ad_clicked", "trade_fair_met"]
source = "source"

[features.labels]
visit = { en = "website visit", fr = "visite du site" }
repeated_visit = { en = "repeated visit", fr = "visite répétée" }
long_visit = { en = "long visit", fr = "visite longue" }
page_viewed = { en = "page viewed", fr = "page vue" }
pricing_page = { en = "pricing page", fr = "page des tarifs" }
form_submitted = { en = "form submitted", fr = "formulaire envoyé" }
awareness_content = { en = "introductory content", fr = "contenu de découverte" }
consideration_content = { en = "comparison content", fr = "contenu de comparaison" }
case_study = { en = "case study", fr = "étude de cas" }
decision_content = { en = "decision content", fr = "contenu d’aide à la décision" }
newsletter_subscribed = { en = "newsletter subscribed", fr = "inscription à la newsletter" }
unsubscribed = { en = "newsletter unsubscribed", fr = "désinscription de la newsletter" }
social_follow = { en = "social media follow", fr = "abonnement sur les réseaux sociaux" }
webinar_registered = { en = "webinar registered", fr = "inscription à un webinaire" }
webinar_attended = { en = "webinar attended", fr = "participation à un webinaire" }
ad_clicked = { en = "ad clicked", fr = "clic sur une annonce" }
trade_fair_met = { en = "meeting at a trade fair", fr = "rencontre sur un salon" }
wish_list_added = { en = "wish list added to", fr = "ajout à la liste de souhaits" }
cart_filled = { en = "cart filled", fr = "panier rempli" }
trial_started = { en = "trial started", fr = "essai démarré" }
demo_requested = { en = "demo requested", fr = "demande de démonstration" }
quote_requested = { en = "quote requested", fr = "demande de devis" }
contact_requested = { en = "contact requested", fr = "demande de contact" }
email_sent = { en = "e-mail sent", fr = "e-mail envoyé" }
email_opened = { en = "e-mail opened", fr = "e-mail ouvert" }
email_clicked = { en = "e-mail clicked", fr = "clic dans un e-mail" }
call = { en = "sales call", fr = "appel commercial" }
meeting = { en = "sales meeting", fr = "rendez-vous commercial" }
industry = { en = "industry", fr = "secteur" }
company_size = { en = "company size", fr = "taille de l’entreprise" }
source = { en = "source", fr = "source" }
contract_type = { en = "contract type", fr = "type de contrat" }
job_title = { en = "job title", fr = "fonction" }
country = { en = "country", fr = "pays" }

[destinations.crm]
type = "sqlite"
path = "crm.sqlite"
table = "leads"
key = "lead_id"

[destinations.crm.fields]
propensity = "propense_propensity"
score = "propense_score"
band = "propense_band"
grade = "propense_grade"
reasons = "propense_reasons"
model_version = "propense_model_version"
as_of = "propense_as_of"
run_id = "propense_run_id"
run_sequence = "propense_run_sequence"

# The hand-made point table that this company used so far; points lapse after 30 days.
"""
