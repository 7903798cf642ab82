"""Holds status.toml to the sources: what it claims of an RFC's section has code and a test that name that section.

    python docs/rfcs/crosslink.py                     checks; a line for each broken claim, exit code 1 if there is one
    python docs/rfcs/crosslink.py --map [7208 …]      where each claimed section stands in code and tests
    python docs/rfcs/crosslink.py --unclaimed         sections that code names and status.toml does not
    python docs/rfcs/crosslink.py --package mox-spf   only its rows
    … --json                                          the same for scripts

A mention is a comment or a text of the house form: "RFC 7208 4.6.4", "RFC 7208 5.2 to 5.7", "RFC 7208 4.5, 6 and 7.3".
A claim of 4.6 is met by a mention of 4.6 or of a section below it.  Code is packages/NAME/src, or apps/NAME/src; tests
are all of tests/ and fuzz/.  Needs Python 3.11 and nothing else."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
STATUS = Path(__file__).with_name("status.toml")
WORDS = ("yes", "partly", "planned", "no")
# These must have code and a test.
DONE = ("yes", "partly")

_SECTION = r"(?:[A-Z]|\d{1,3})(?:\.\d{1,3})*\b(?!\.?\d)"
_MENTION = re.compile(rf"\bRFC (?P<number>\d{{3,5}})(?: (?P<sections>{_SECTION}(?:(?:,? and|,| to|;) {_SECTION})*))?")
_LISTED = re.compile(rf"(?P<joint> to)? ?(?P<section>{_SECTION})")
_KEY = re.compile(r"rfc(\d{3,5})\Z")
_SECTION_KEY = re.compile(rf"{_SECTION}\Z")


class Mention(NamedTuple):
    """A place that names a section ("" for the RFC alone)."""

    rfc: int
    section: str
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of status.toml: what `package` makes of a section, or with "" of the RFC as a whole."""

    package: str
    rfc: int
    section: str
    status: str
    what: str

    def __str__(self) -> str:
        return f"{self.package}: RFC {self.rfc}{f' {self.section}' if self.section else ''}"

    def met_by(self, mention: Mention) -> bool:
        """Does the mention name this section, or one below it?"""
        return mention.rfc == self.rfc and (
            not self.section or mention.section == self.section or mention.section.startswith(self.section + ".")
        )


class StatusError(ValueError):
    """status.toml is not as it should be; the text names the place."""


def read_status(text: str) -> list[Claim]:
    """The rows.  Raises StatusError."""
    claims: list[Claim] = []
    for package, rfcs in tomllib.loads(text).items():
        for key, row in rfcs.items():
            found = _KEY.match(key)
            if found is None or not isinstance(row, dict):
                raise StatusError(f"{package}.{key}: write [{package}.rfc1234]")
            rfc = int(found[1])
            claims.append(_claim(package, rfc, "", f"{row.get('status', '')} {row.get('title', '')}"))
            for section, said in row.get("sections", {}).items():
                if not _SECTION_KEY.match(section):
                    raise StatusError(f"{package}.{key}: {section!r} is no section")
                claims.append(_claim(package, rfc, section, said))
    return claims


def _claim(package: str, rfc: int, section: str, said: str) -> Claim:
    status, _, what = said.partition(" ")
    if status not in WORDS or not what.strip():
        raise StatusError(f"{package}: RFC {rfc} {section}: write one of {', '.join(WORDS)}, then what it is about")
    return Claim(package, rfc, section, status, what.strip())


def mentions(path: Path, root: Path) -> Iterator[Mention]:
    """Every mention in a file.  Of Python only comments and texts are looked at."""
    text = path.read_text(encoding="utf-8", errors="replace")
    shown = str(path.relative_to(root))
    pieces = _python(text) if path.suffix == ".py" else [(1, text)]
    for line, piece in pieces:
        # A text may be folded anywhere in its list of sections.
        flat = re.sub(r"[ \t]*\n[ \t]*(?:#|//)?[ \t]*", lambda found: " " + "\0" * found[0].count("\n"), piece)
        for found in _MENTION.finditer(flat.replace("\0", "")):
            before = _lines_before(flat, found.start())
            for section in _sections(found["sections"] or ""):
                yield Mention(int(found["number"]), section, shown, line + before)


def _lines_before(flat: str, at: int) -> int:
    """Line ends before the character `at`, of those that are no marks."""
    seen = lines = 0
    for char in flat:
        if seen >= at and char != "\0":
            break
        if char == "\0":
            lines += 1
        else:
            seen += 1
    return lines


def _python(text: str) -> list[tuple[int, str]]:
    pieces: list[tuple[int, str]] = []
    last = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in (tokenize.COMMENT, tokenize.STRING):
                continue
            # Comments that follow each other are one text.
            if token.type == tokenize.COMMENT and pieces and last == token.start[0] - 1:
                pieces[-1] = (pieces[-1][0], f"{pieces[-1][1]}\n{token.string}")
            else:
                pieces.append((token.start[0], token.string))
            last = token.end[0] if token.type == tokenize.COMMENT else 0
    except (tokenize.TokenError, SyntaxError):
        return [(1, text)]
    return pieces


def _sections(listed: str) -> list[str]:
    found: list[str] = []
    for one in _LISTED.finditer(listed):
        section = one["section"]
        if one["joint"] and found:
            found += _between(found[-1], section)
        found.append(section)
    return found or [""]


def _between(first: str, last: str) -> list[str]:
    """5.3 … 5.6 for 5.2 and 5.7."""
    head, _, low = first.rpartition(".")
    other, _, high = last.rpartition(".")
    if head != other or not (low.isdigit() and high.isdigit()):
        return []
    dot = f"{head}." if head else ""
    return [f"{dot}{number}" for number in range(int(low) + 1, int(high))]


class Sources(NamedTuple):
    """Every mention: of code by package, and of tests."""

    code: dict[str, list[Mention]]
    tests: list[Mention]

    @classmethod
    def read(cls, root: Path) -> Sources:
        """Of a tree with packages, apps, tests and fuzz."""
        code: dict[str, list[Mention]] = {}
        for folder in sorted([*root.glob("packages/*/src"), *root.glob("apps/*/src")]):
            code[folder.parent.name] = [mention for path in _files(folder) for mention in mentions(path, root)]
        tests = [m for name in ("tests", "fuzz") for path in _files(root / name) for m in mentions(path, root)]
        return cls(code, tests)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".lark", ".sql"))


class Link(NamedTuple):
    """A claim and what meets it."""

    claim: Claim
    code: list[Mention]
    tests: list[Mention]

    @property
    def broken(self) -> str:
        """What is missing, or ""."""
        if self.claim.status not in DONE:
            return ""
        missing = [what for what, found in (("code", self.code), ("test", self.tests)) if not found]
        return f"{self.claim}: {self.claim.status}, but no {' and no '.join(missing)} names it" if missing else ""


def linked(claims: list[Claim], sources: Sources) -> list[Link]:
    """Every claim with the places that name it.  Raises StatusError for a package that is not there."""
    if unknown := sorted({claim.package for claim in claims} - set(sources.code)):
        raise StatusError(f"no such package: {', '.join(unknown)}")
    return [
        Link(
            claim,
            [mention for mention in sources.code[claim.package] if claim.met_by(mention)],
            [mention for mention in sources.tests if claim.met_by(mention)],
        )
        for claim in claims
    ]


def unclaimed(claims: list[Claim], sources: Sources) -> Iterator[tuple[str, Mention]]:
    """Sections that a package's code names and no row of it does."""
    for package, found in sources.code.items():
        rows = [claim for claim in claims if claim.package == package]
        seen: set[tuple[int, str]] = set()
        for mention in found:
            key = mention.rfc, mention.section
            known = any(row.rfc == mention.rfc and _covers(row.section, mention.section) for row in rows)
            if key not in seen and not known:
                seen.add(key)
                yield package, mention


def _covers(row: str, section: str) -> bool:
    return row == section or (row != "" and section.startswith(row + "."))


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description="Holds docs/rfcs/status.toml to the sources.")
    parser.add_argument("--package", action="append", help="only its rows; may be repeated")
    parser.add_argument("--map", nargs="*", type=int, metavar="RFC", help="show where sections stand")
    parser.add_argument("--unclaimed", action="store_true", help="show sections that have no row")
    parser.add_argument("--json", action="store_true", help="write JSON")
    options = parser.parse_args(arguments)
    try:
        claims, sources = read_status(STATUS.read_text(encoding="utf-8")), Sources.read(ROOT)
        links = linked(claims, sources)
    except (StatusError, tomllib.TOMLDecodeError) as error:
        print(f"{STATUS.name}: {error}", file=sys.stderr)
        return 2
    links = [link for link in links if not options.package or link.claim.package in options.package]
    if options.unclaimed:
        rows = [(p, m) for p, m in unclaimed(claims, sources) if not options.package or p in options.package]
        for package, mention in rows:
            print(f"{package}: RFC {mention.rfc} {mention.section}".rstrip() + f"   {mention}")
        return 0
    if options.map is not None:
        links = [link for link in links if not options.map or link.claim.rfc in options.map]
    if options.json:
        print(json.dumps([_facts(link) for link in links], indent=1))
    elif options.map is not None:
        for link in links:
            print(f"{link.claim}: {link.claim.status}, {link.claim.what}")
            print(f"    code   {', '.join(dict.fromkeys(map(str, link.code))) or '-'}")
            print(f"    tests  {', '.join(dict.fromkeys(map(str, link.tests))) or '-'}")
    return _check(links, quiet=options.json)


def _check(links: list[Link], *, quiet: bool) -> int:
    broken = [link.broken for link in links if link.broken]
    for line in broken:
        print(line, file=sys.stderr)
    if not quiet:
        done = sum(link.claim.status in DONE for link in links)
        print(f"{len(links)} rows, {done} of them done, {len(broken)} of these broken")
    return 1 if broken else 0


def _facts(link: Link) -> dict[str, object]:
    claim = link.claim
    return {
        "package": claim.package,
        "rfc": claim.rfc,
        "section": claim.section,
        "status": claim.status,
        "what": claim.what,
        "code": [str(mention) for mention in link.code],
        "tests": [str(mention) for mention in link.tests],
        "broken": link.broken,
    }


if __name__ == "__main__":
    sys.exit(main())
