"""An Airflow DAG that scores every night and writes the scores to the CRM.

For Airflow 3.2 or later; before, `AirflowFailException` is in ``airflow.exceptions``. Copy it into the folder
of DAGs and set the two paths. Secrets come from the worker's environment or from files; scoring needs that of
the ledger, too. `export.sh` is yours: it writes the CRM's tables to the files that `propense.toml` names.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

PROJECT = "/srv/propense"
PROPENSE = "/srv/propense/.venv/bin/propense"
# 2: a setting is wrong. 3: the data cannot support it. 6: written, but some leads were refused, and
# `propense sync failures crm` says why. To run it again helps in none of these.
A_PERSON_IS_NEEDED = {2, 3, 6}


def propense(*arguments: str) -> None:
    """Run a command of propense in the project's folder; its output goes to the task's log."""
    status = subprocess.run([PROPENSE, *arguments], cwd=PROJECT, check=False).returncode
    if status in A_PERSON_IS_NEEDED:
        raise AirflowFailException(f"propense ended with status {status}")
    if status:  # 5: not all is written yet, or another run is at it; the next try goes on
        raise RuntimeError(f"propense ended with status {status}")


@dag(
    schedule="30 5 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 24, "retry_delay": timedelta(minutes=10)},
)
def propense_nightly() -> None:
    """Export, score, then deliver; after a failure each may be run again."""

    @task
    def export() -> None:
        subprocess.run([f"{PROJECT}/export.sh"], cwd=PROJECT, check=True)

    @task
    def score() -> None:
        propense("score")

    @task
    def sync() -> None:
        propense("sync", "crm")

    export() >> score() >> sync()


propense_nightly()
