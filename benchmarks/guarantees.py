"""What a delivery guarantees, shown peer by peer: runs the tests that show it, and prints their table.

    PYTHONPATH=. python benchmarks/guarantees.py [--workers 2]     (`make guarantees`)

Each row is a promise, each column a peer: real servers of PostgreSQL and Tryton, and the emulator of
HubSpot's and Salesforce's interfaces, which was never compared with the real services. A cell says how many
tests of how many passed, how many requests they took together (for PostgreSQL: how many portions of its
protocol the client sent), and how many rows were sent more than once. What a crash, a lost answer or a
refusal lets be sent again has a single effect all the same: each test reads the peer's own audit, and no
field of any record was changed twice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("test_guarantees", "test_guarantees_of_errors", "test_storm", "test_everything_at_once")
PEERS = {
    "postgresql": "PostgreSQL", "tryton": "Tryton", "hubspot": "HubSpot (emulator)",
    "salesforce": "Salesforce (emulator)", "bulk": "Salesforce Bulk (emulator)",
}  # fmt: skip


@dataclass
class Cell:
    """What the tests of one promise on one peer came to; `again` is None where nobody counts it."""

    tests: int = 0
    passed: int = 0
    requests: int = 0
    again: int | None = None

    def __str__(self) -> str:
        again = "" if self.again is None else f", {self.again:,} again"
        return f"{self.passed} of {self.tests}; {self.requests:,} requests{again}"


def run(workers: int) -> Path:
    """Run the tests, and return their report; what fails is in the report, too."""
    report = Path(tempfile.mkdtemp()) / "report.xml"
    files = [str(ROOT / "tests" / "crm" / f"{name}.py") for name in FILES]
    command = [sys.executable, "-m", "pytest", "-m", "crm", "-q", "-n", str(workers), "--dist", "loadgroup"]
    subprocess.run([*command, f"--junitxml={report}", *files], cwd=ROOT, check=False, stdout=sys.stderr)
    return report


def read(report: Path) -> Iterator[tuple[str, str, Cell]]:
    """Return promise, peer and outcome of each test that says which it is of."""
    for case in ET.parse(report).iter("testcase"):
        told = {one.get("name"): one.get("value") for one in case.iter("property")}
        if "guarantee" not in told:
            print(f"not in the table: {case.get('classname')} {case.get('name')}", file=sys.stderr)
            continue
        failed = any(case.find(what) is not None for what in ("failure", "error", "skipped"))
        again = told.get("again")
        yield (
            str(told["guarantee"]),
            str(told["peer"]),
            Cell(
                1, int(not failed), int(told["requests"] or 0),
                int(again) if again not in (None, "None") else None,
            ),
        )  # fmt: skip


def table(report: Path) -> str:
    """Return the outcomes as a table in Markdown."""
    cells: dict[str, dict[str, Cell]] = {}
    for promise, peer, one in read(report):
        cell = cells.setdefault(promise, {}).setdefault(peer, Cell())
        cell.tests += one.tests
        cell.passed += one.passed
        cell.requests += one.requests
        if one.again is not None:
            cell.again = (cell.again or 0) + one.again
    lines = ["| what is promised | " + " | ".join(PEERS.values()) + " |", "|---" * (len(PEERS) + 1) + "|"]
    for promise, row in cells.items():
        lines.append(f"| {promise} | " + " | ".join(str(row.get(peer, "–")) for peer in PEERS) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", type=Path, help="print the table of a run that is over")
    given = parser.parse_args()
    report = given.report or run(given.workers)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    print(
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {commit or 'unknown'} with `make guarantees`.\n"
    )
    print(table(report))


if __name__ == "__main__":
    main()
