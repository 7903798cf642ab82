"""Maildir folders, both ways: flags in file names, keywords of Dovecot, Maildir++ subfolders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from mox_message import Content
from mox_store.letters import Letter, spooled

_FLAGS = {"S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "T": "\\Deleted", "D": "\\Draft"}
_LETTERS = {flag: letter for letter, flag in _FLAGS.items()}
LINE_MOST = 1024 * 1024


def is_maildir(folder: Path) -> bool:
    """Has it the three folders, or at least those with mail?"""
    return (folder / "cur").is_dir()


def folders(root: Path) -> Iterator[tuple[str, Path]]:
    """(mailbox name, folder) of a maildir and its Maildir++ subfolders, or of maildirs in plain folders."""
    if is_maildir(root):
        yield "Inbox", root
    for folder in sorted(path for path in root.rglob("*") if path.is_dir() and is_maildir(path)):
        parts = [part for word in folder.relative_to(root).parts for part in word.split(".") if part]
        if parts:
            yield "/".join(parts), folder


def read(folder: Path, position: str = "") -> Iterator[Letter]:
    """The messages of one folder in the order of their names, those behind `position`.  Raises OSError."""
    keywords = _keywords(folder / "dovecot-keywords")
    for key, path in sorted(_files(folder)):
        if key > position:
            with path.open("rb") as file:
                received = os.fstat(file.fileno()).st_mtime
                flags = flags_of(path.name, keywords)
                yield spooled(iter(lambda file=file: file.readline(LINE_MOST), b""), key, received, flags)  # type: ignore[misc]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for kind in ("cur", "new"):
        if (folder / kind).is_dir():
            for path in (folder / kind).iterdir():
                if not path.name.startswith("."):
                    yield path.name.partition(":")[0], path


def flags_of(name: str, keywords: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """The flags in a file name: `…:2,FS`; small letters are keywords."""
    letters = name.rpartition(":2,")[2] if ":2," in name else ""
    return tuple(found for letter in letters if (found := _FLAGS.get(letter) or keywords.get(letter)))


def _keywords(path: Path) -> dict[str, str]:
    """Dovecot's: `0 $Forwarded` is the letter a."""
    found: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text("utf-8", "replace").splitlines():
            number, _, word = line.partition(" ")
            if number.isdigit() and int(number) < 26 and word.isprintable() and " " not in word:
                found[chr(ord("a") + int(number))] = word
    return found


def name_of(uid: int, uidvalidity: int, received: float, flags: tuple[str, ...]) -> str:
    """A file name that is the same whenever the same message is written."""
    letters = "".join(sorted(_LETTERS[flag] for flag in flags if flag in _LETTERS))
    return f"{int(received)}.M{uidvalidity}U{uid}.mox:2,{letters}"


def make(folder: Path) -> None:
    """An empty maildir.  Raises OSError."""
    for kind in ("cur", "new", "tmp"):
        (folder / kind).mkdir(parents=True, exist_ok=True, mode=0o700)


def write(folder: Path, name: str, content: Content, received: float) -> None:
    """One message, whole or not at all.  Raises OSError."""
    temporary = folder / "tmp" / name
    with temporary.open("wb") as file:
        _copy(content, file)
    os.utime(temporary, (received, received))
    temporary.rename(folder / "cur" / name)


def _copy(content: Content, file: BinaryIO) -> None:
    for chunk in content.chunks():
        file.write(chunk)
