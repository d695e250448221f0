"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_resolves_inside_the_repository(package: str) -> None:
    """`features` or `models` of another application on the path would be imported silently."""
    module = importlib.import_module(package)
    assert Path(str(module.__file__)).is_relative_to(ROOT)


def test_every_package_on_disk_is_listed_so_that_it_is_installed() -> None:
    on_disk = {
        str(init.parent.relative_to(ROOT)).replace("/", ".")
        for room in ("features", "models", "pipeline")
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert on_disk == set(PACKAGES)


def test_the_application_cannot_be_uploaded_by_accident() -> None:
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_every_dependency_is_pinned_with_a_hash() -> None:
    for name in ("requirements.lock", "requirements-uv.lock"):
        lock = (ROOT / name).read_text()
        entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n", "", lock).strip())
        assert entries, name
        for entry in entries:
            assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==", entry), entry[:60]
            assert "--hash=sha256:" in entry, entry[:60]


def test_no_file_names_an_index_and_no_other_lock_is_committed() -> None:
    # Put together here, so that this file does not name one itself.
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org"]
    for path in tracked():
        assert path.name not in {"uv.lock", "poetry.lock", "pylock.toml", "package-lock.json"}
        if path.suffix in {".lock", ".toml", ".cfg", ".txt", ".md", ".py", ""}:
            text = path.read_text("utf-8", "replace")
            assert not [host for host in hosts if host in text], path


def test_nothing_private_is_committed() -> None:
    """Data of users, outputs and environments stay out of git."""
    for path in tracked():
        inside = path.relative_to(ROOT).as_posix()
        assert not re.match(r"(output|demo|\.venv|data/private)/", inside), inside
        assert path.suffix not in {".db", ".sqlite", ".pkl", ".pickle", ".parquet"}, inside
        assert path.stat().st_size < 1_000_000, inside


def test_every_dependency_says_why_it_is_there() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    declared = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    for requirement in declared:
        name = re.split(r"[\[<>=~]", requirement)[0]
        assert re.search(rf"\b{re.escape(name)}\b", reasons), name


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_and_never_define(path: Path) -> None:
    """What is worth a function is worth a test, and has its place in a package."""
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    for cell in cells:
        tree = ast.parse("".join(cell["source"]))
        defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert not [node for node in ast.walk(tree) if isinstance(node, defined)], "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_as_they_ran_with_their_pictures(path: Path) -> None:
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1)), "run from top to bottom"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [
        output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"
    ]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_the_four_walks_are_there() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3", "4"]
