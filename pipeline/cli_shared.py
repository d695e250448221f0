"""What every command of the command line does alike. Light: nothing heavy is imported before it is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from features.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline.config import Config


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has."""
    config = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), default="propense.toml",
        show_default=True, metavar="FILE", help="The project's configuration.",
    )  # fmt: skip
    output = click.option(
        "--output", type=click.Path(path_type=Path), default=None, metavar="DIR",
        help="Where results and mlflow.db go.  [default: output/<project name>]",
    )  # fmt: skip
    return config(output(command))


def read(path: Path) -> Config:
    """Read the configuration."""
    from pipeline.configuring import read_config

    return read_config(path)


def folder_of(config: Config, output: Path | None) -> Path:
    """Return the folder of results."""
    folder = output or Path("output") / config.project.name
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"--output needs a folder; '{folder}' is a file.")
    return folder


def print_json(account: dict[str, Any]) -> None:
    """Print a result as JSON."""
    import json

    from pipeline.files import finite

    click.echo(json.dumps(finite(account), indent=2, ensure_ascii=False))
