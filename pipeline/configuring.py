"""Read ``propense.toml`` into a `Config`, with errors that say what to write instead."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from features.errors import ConfigurationError, listed, nearest
from pipeline.config import Config
from pipeline.destinations import ALL, of_type
from pipeline.destinations.base import Secret

TYPES = tuple(str(d.settings_class.model_fields["type"].default) for d in ALL)
SECRET = '{ env = "NAME" } or { file = "path" }'
# How pydantic names the branch of a secret, where there may be a text instead.
_OR_SECRET = re.compile(r"function-after\[.*Secret\]")


def read_config(path: Path) -> Config:
    """Read, validate and anchor a configuration.

    Data paths are relative to the file's folder; the environment variable ``PROPENSE_DATA``
    overrides that root.

    Raises
    ------
    ConfigurationError
        The file is missing, is not TOML, or says something that is not understood.
    """
    raw = _read_toml(path)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(
            "The configuration is not understood:\n" + "\n".join(f"  - {p}" for p in _problems(error)),
            where=str(path),
            todo="correct these lines; `propense init` writes a commented example",
        ) from None
    root = os.environ.get("PROPENSE_DATA")
    return config.model_copy(update={"root": Path(root) if root else path.resolve().parent})


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration file '{path}'.",
            todo="write one with `propense init`, or name yours with --config FILE",
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"'{path}' is a folder.", allowed="a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The configuration is not valid TOML: {error}.",
            where=str(path),
            todo="texts need quotes, lists need brackets; see https://toml.io",
        ) from None


def _problems(error: ValidationError) -> Iterator[str]:
    problems = error.errors()
    for problem in problems:
        if _told_otherwise(problem, problems):
            continue
        location = _as_written(problem["loc"])
        place = _place(location)
        if problem["type"] == "extra_forbidden":
            known = _known_keys(problem["loc"][:-1])
            hint = nearest(str(location[-1]), known) or f"Known here: {listed(known, 30)}."
            yield f"{place} is not a known key. {hint}"
        elif problem["type"] == "missing":
            yield f"{place} is required."
        elif problem["type"].startswith("union_tag"):
            yield _wrong_type(_place((*location, "type")), problem)
        elif problem["type"] == "model_attributes_type":
            yield f"{place} is no section: a destination has a name, as in [destinations.crm]"
        elif problem.get("ctx", {}).get("class_name") == Secret.__name__:
            text = "text, or a secret: " if _OR_SECRET.fullmatch(str(problem["loc"][-1])) else "a secret: "
            yield f"{place}: write it as {text}{SECRET}"  # what was given may be the secret itself
        else:
            yield f"{place}: {problem['msg'].removeprefix('Value error, ')}{_given(problem)}"


def _wrong_type(place: str, problem: Any) -> str:
    """Say that a destination's type is missing, or none that there is."""
    allowed = f"Allowed: {listed(TYPES, 20)}."
    tag = problem.get("ctx", {}).get("tag")
    if tag is None:
        return f"{place} is required. {allowed}"
    return " ".join(f"{place}: there is no type '{tag}'. {nearest(tag, TYPES)} {allowed}".split())


def _given(problem: Any) -> str:
    """Return what was given, unless it may hold a password."""
    given = problem.get("input")
    text = str(given)
    address = "://" in text and ("@" in text or "?" in text)
    told = isinstance(given, str | int | float | bool) and not address
    return f" (given: {given!r})" if told else ""


def _told_otherwise(problem: Any, problems: Sequence[Any]) -> bool:
    """Whether this is about a text that is none, where a secret may be instead, which is told too."""
    if problem["type"] != "string_type" or problem["loc"][-1] != "str":
        return False
    place = [*problem["loc"][:-1]]
    others = [p["loc"][: len(place) + 1] for p in problems if len(p["loc"]) > len(place)]
    return any([*other[:-1]] == place and _OR_SECRET.fullmatch(str(other[-1])) for other in others)


def _as_written(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a place as it is in the file: pydantic adds a destination's type, and that a secret is one."""
    if location[:1] == ("destinations",):
        location = (*location[:2], *location[3:])
    return tuple(part for part in location if not _OR_SECRET.fullmatch(str(part)))


def _place(location: Sequence[int | str]) -> str:
    """Write ``("activities", 0, "kind")`` as ``[activities] (1st) kind``, the way TOML shows it."""
    if not location:
        return "the file"
    parts = [f"no. {p + 1}" if isinstance(p, int) else p for p in location]
    if len(parts) == 1:
        return f"[{parts[0]}]"
    return f"[{' '.join(parts[:-1])}] {parts[-1]}"


def _known_keys(location: Sequence[int | str]) -> list[str]:
    """Field names of the section at `location`."""
    section: type[BaseModel] = Config
    if location[:1] == ("destinations",) and len(location) > 2:
        section, location = of_type(str(location[2])).settings_class, location[3:]
    for part in location:
        if isinstance(part, int) or part not in section.model_fields:
            continue
        inner = _section_type(section.model_fields[part].annotation)
        if inner is not None:
            section = inner
    return [name for name in section.model_fields if name != "root"]


def _section_type(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _section_type(argument)
        if found is not None:
            return found
    return None
