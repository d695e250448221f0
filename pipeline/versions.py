"""What a result depends on beside the configuration: data files, libraries, and this code."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from pipeline.config import Config

VERSIONS = ("propense", "scikit-learn", "lightgbm", "pandas", "mlflow", "shap", "duckdb", "ibis-framework")
PACKAGES = ("features", "models", "pipeline")


def file_digests(config: Config) -> dict[str, str]:
    """Return the SHA-256 of every data file, by its path in the configuration."""
    tables = [config.leads, *config.activities, *config.entities, *config.history]
    paths = [t.table for t in tables]
    paths += [t.table for t in (config.outcomes, config.stages) if t is not None and t.table]
    digests = {}
    for path in dict.fromkeys(paths):
        whole = config.root / path
        for file in sorted(f for f in whole.rglob("*") if f.is_file()) if whole.is_dir() else [whole]:
            name = path if file == whole else f"{path}/{file.relative_to(whole)}"
            with file.open("rb") as stream:
                digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def versions() -> dict[str, str | None]:
    """Return the versions that a result depends on, and the commit of this code if it is known."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    found |= {name: metadata.version(name) for name in VERSIONS}
    return found | {"git_commit": _git_commit()}


def _git_commit() -> str | None:
    here = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


@cache
def code_digest() -> str:
    """Return the SHA-256 of this program's own source: a commit does not see what is not committed."""
    root = Path(__file__).resolve().parent.parent
    found = hashlib.sha256()
    for path in sorted(p for package in PACKAGES for p in (root / package).rglob("*.py")):
        found.update(str(path.relative_to(root)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()
