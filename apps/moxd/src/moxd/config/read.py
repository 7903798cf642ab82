"""Two TOML files -> Config, or every problem at once, each with its place and what to do."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moxd.config import check
from moxd.config.check_transports import named_transport_problems
from moxd.config.places import KeyPath, line_of, lines, syntax_line
from moxd.config.transports import with_passwords
from moxd.config.values import Config, Domains, Static

STATIC_FILE = "moxd.toml"
DOMAINS_FILE = "domains.toml"

# What to do about a problem that pydantic names by its type.
_ADVICE = {
    "extra_forbidden": "there is no such setting; correct its name or remove the line",
    "missing": "this setting is needed; add it",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "int_type": "write a whole number without quotes",
    "int_parsing": "write a whole number without quotes",
    "float_type": "write a number without quotes",
    "string_type": "write a text in quotes",
    "tuple_type": 'write a list, such as ["one", "two"]',
    "dict_type": "write a table, such as [name] with settings below it",
    "model_type": "write a table, such as [name] with settings below it",
    "union_tag_not_found": 'add its kind, such as kind = "submissions" (or submission, smtp, socks, direct, fail)',
    "union_tag_invalid": "this kind is not known; write submissions, submission, smtp, socks, direct or fail",
}

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where it stands and what to do about it."""

    file: Path
    line: int | None
    setting: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {self.setting}: {self.text}" if self.setting else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used; `.problems` has all of it, the message a line for each."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, slots=True)
class _File:
    """A TOML file as text, as data and with the lines of its settings."""

    path: Path
    data: dict[str, Any]
    places: dict[KeyPath, int]

    @classmethod
    def read(cls, path: Path) -> _File:
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise ConfigError(
                [Problem(path, None, "", f"not UTF-8 text (byte {error.start}); save it as UTF-8")]
            ) from None
        except OSError as error:
            hint = (
                "create it or name another folder with --config"
                if isinstance(error, FileNotFoundError)
                else "make it readable"
            )
            raise ConfigError([Problem(path, None, "", f"cannot be read ({error.strerror}); {hint}")]) from None
        try:
            return cls(path, tomllib.loads(text), lines(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([Problem(path, syntax_line(error), "", f"not valid TOML: {error}")]) from None

    def problem(self, path: KeyPath, text: str) -> Problem:
        return Problem(self.path, line_of(self.places, path), ".".join(path), text)

    def validate(self, model: type[M]) -> M | list[Problem]:
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            return [self._told(problem) for problem in error.errors(include_url=False)]

    def _told(self, error: Any) -> Problem:
        path = tuple(self._written(part for part in error["loc"] if part != "[key]"))
        advice = _ADVICE.get(error["type"])
        text = advice or error["msg"].removeprefix("Value error, ")
        return self.problem(path, text[:1].lower() + text[1:])

    def _written(self, loc: Iterable[Any]) -> Iterator[str]:
        """Where it stands in the file: without the name of a kind, which pydantic puts between."""
        inner: Any = self.data
        for part in loc:
            known = part in inner if isinstance(inner, dict) else isinstance(part, int)
            if not known and isinstance(inner, dict) and part == inner.get("kind"):
                continue
            yield str(part)
            inner = inner[part] if known and isinstance(inner, dict | list) else None


def _read_one(path: Path, model: type[M]) -> tuple[_File, M | None, list[Problem]]:
    file = _File.read(path)
    value = file.validate(model)
    return (file, None, value) if isinstance(value, list) else (file, value, [])


def _collect(path: Path, model: type[M], problems: list[Problem]) -> tuple[_File | None, M | None]:
    try:
        file, value, found = _read_one(path, model)
    except ConfigError as error:
        problems += error.problems
        return None, None
    problems += found
    return file, value


def read_config(folder: Path) -> Config:
    """Reads `moxd.toml` and `domains.toml` in `folder`.

    Raises ConfigError with every problem of both files: syntax, values, and what does not fit together."""
    problems: list[Problem] = []
    static_file, static = _collect(folder / STATIC_FILE, Static, problems)
    domains_file, domains = _collect(folder / DOMAINS_FILE, Domains, problems)
    if static is not None and static_file is not None:
        problems += [static_file.problem(at, text) for at, text in check.static_problems(folder, static)]
    if domains is not None and domains_file is not None:
        problems += [domains_file.problem(at, text) for at, text in check.domains_problems(folder, domains)]
    if static is not None and domains is not None and static_file is not None and domains_file is not None:
        problems += [static_file.problem(at, text) for at, text in check.joint_problems(static, domains)]
        problems += [domains_file.problem(at, text) for at, text in named_transport_problems(static, domains)]
    if problems or static is None or domains is None:
        raise ConfigError(problems)
    static = static.model_copy(update={"transports": with_passwords(folder, static.transports)})
    return Config(folder.absolute(), static, domains)


def read_domains(config: Config) -> Config:
    """`config` with `domains.toml` read again.  Raises ConfigError; then the caller keeps the old one."""
    problems: list[Problem] = []
    file, domains = _collect(config.folder / DOMAINS_FILE, Domains, problems)
    if domains is not None and file is not None:
        problems += [file.problem(at, text) for at, text in check.domains_problems(config.folder, domains)]
        problems += [file.problem(at, text) for at, text in check.joint_problems(config.static, domains)]
        problems += [file.problem(at, text) for at, text in named_transport_problems(config.static, domains)]
    if problems or domains is None:
        raise ConfigError(problems)
    return Config(config.folder, config.static, domains)
