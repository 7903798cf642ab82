"""Runs protocol transcripts of Apache James against session cores, relaxed as the suite's README says.

Judged are tags, status words (NO and BAD are both a refusal), response codes that every server has, and untagged data
in any order; not the texts, not what only James has.  Names are translated to "/" between levels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kit.play_imap import Client

MAILBOX_COMMAND = re.compile(
    r"(\S+ )(CREATE|DELETE|RENAME|LIST|X?LSUB|SUBSCRIBE|UNSUBSCRIBE|STATUS|SELECT|EXAMINE|APPEND) ", re.I
)
# What is James' own.
NOT_JUDGED = re.compile(r"\\\* OK \\\[(MAILBOXID|HIGHESTMODSEQ)")
CODES = ("READ-WRITE", "READ-ONLY", "TRYCREATE", "COPYUID")
FLAGS = re.compile(r"FLAGS \\?\(([^)]*?)\\?\)")


@dataclass(slots=True)
class Step:
    """What one session says, and what it wants to hear."""

    session: int
    said: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)


def steps(path: Path) -> Iterator[Step]:
    """The steps of a script."""
    step = Step(1)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("SESSION:"):
            if step.said or step.wanted:
                yield step
            step = Step(int(line.split(":")[1]))
        elif line.startswith("C:"):
            if step.wanted:
                yield step
                step = Step(step.session)
            step.said.append(line[3:] if line[2:3] == " " else line[2:])
        elif line.startswith("S:"):
            step.wanted.append(line[3:] if line[2:3] == " " else line[2:])
    yield step


class Run:
    """Scripts against sessions of one server."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self.connect = connect
        self.clients: dict[int, Client] = {}
        self.count = 0
        self.failures: list[tuple[str, str]] = []  # (what was said first, what went wrong)

    def client(self, number: int, login: str | None) -> Client:
        """A session by its number."""
        if number not in self.clients:
            client = self.clients[number] = self.connect()
            if login:
                client.said.clear()
                assert client.ask(login)[-1].startswith("login OK")
        return self.clients[number]

    def play(self, path: Path, login: str | None) -> int:
        """Plays a script; how many lines were wanted."""
        for step in steps(path):
            client = self.client(step.session, login)
            if step.said:
                client.raw.clear()
                client.hear("".join(_translated(line) + "\r\n" for line in step.said).encode())
            lines = b"\r\n".join(client.raw).decode("utf-8", "replace").split("\r\n")
            for wanted in step.wanted:
                if NOT_JUDGED.match(wanted) or wanted in ("", "\\)"):
                    continue
                self.count += 1
                self._judge(wanted, lines, step)
        return self.count

    def _judge(self, wanted: str, lines: list[str], step: Step) -> None:
        tagged = re.match(r"(\S+) (OK|NO|BAD)\b", wanted)
        if tagged and not wanted.startswith("\\*"):
            statuses = ("OK",) if tagged[2] == "OK" else ("NO", "BAD")
            line = next(
                (line for line in lines if line.startswith(tuple(f"{tagged[1]} {one}" for one in statuses))), None
            )
            code = next((code for code in CODES if f"[{code}" in wanted), "")
            if line is None or code not in line:
                self._failed(step, wanted, lines)
            return
        if re.match(r"\\\* BYE", wanted):
            # James hangs up early; RFC 9051 7.1.3 says BAD.
            if not any(re.match(r"\* BYE|\S+ BAD|a005 NO", line) for line in lines):
                self._failed(step, wanted, lines)
            return
        pattern = re.compile(_relaxed(wanted), re.IGNORECASE)
        if not any(pattern.fullmatch(_canonical(line)) for line in lines):
            self._failed(step, wanted, lines)

    def _failed(self, step: Step, wanted: str, lines: list[str]) -> None:
        self.failures.append((step.said[0] if step.said else "", f"{wanted!r} is wanted, the server said {lines}"))


def _translated(line: str) -> str:
    """Mailbox names of a command, with "/" between levels."""
    if not MAILBOX_COMMAND.match(line):
        return line
    tag, space, rest = line.partition(" ")
    return tag + space + re.sub(r'(?<=[\w%*])\.(?=[\w%*"\s]|$)', "/", rest)


def _sorted_pairs(text: str) -> str:
    words = text.split()
    return " ".join(sorted(f"{name} {value}" for name, value in zip(words[::2], words[1::2], strict=True)))


def _canonical(line: str) -> str:
    """Without quotes, flags and STATUS items in order."""
    if match := re.fullmatch(r"(\* STATUS \S+ )\((.*)\)", line):
        return f"{match[1]}({_sorted_pairs(match[2])})".replace('"', "")
    if match := re.fullmatch(r"(\* (?:LIST|LSUB) )\((.*?)\)( .*)", line):
        return f"{match[1]}({' '.join(sorted(match[2].split()))}){match[3]}".replace('"', "")
    return FLAGS.sub(lambda match: f"FLAGS ({' '.join(sorted(match[1].split()))})", line).replace('"', "")


def _relaxed(wanted: str) -> str:
    """A regular expression of James, for our own lines."""
    if re.match(r"\\\* (LIST|LSUB|STATUS|XLIST) ", wanted):
        wanted = re.sub(r"\\\.|\.(?![*+])", "/", wanted)
    if re.match(r"\\\* OK IMAP4rev1|\\\+ ", wanted):
        return wanted[:2] + " .*" if wanted[1] == "+" else r"\* OK .*"
    if re.match(r"\\\* \d+ EXPUNGE", wanted):
        return r"\* \d+ EXPUNGE"  # in which order the numbers are told is free
    if wanted.endswith(r"\{0\}"):
        wanted = wanted[:-5] + r"(\{0\}|NIL\))"  # what is not there is NIL (RFC 9051 7.5.2)
    wanted = wanted.replace('[^"]', "[^)]")
    wanted = re.sub(r'\\\\|\\"|"', lambda match: match[0] if match[0] == "\\\\" else "", wanted)
    if re.match(r"\\\* OK \\\[PERMANENTFLAGS", wanted):
        return r"\* OK \[PERMANENTFLAGS .*"
    if match := re.match(r"(\\\* OK \\\[.*?\\\])", wanted):
        return match[1] + ".*"

    if match := re.fullmatch(r"(\\\* (?:LIST|LSUB) )\\\((.*?)\\\)( .*)", wanted):
        return f"{match[1]}\\({' '.join(sorted(match[2].split()))}\\){match[3]}"
    if match := re.fullmatch(r"(\\\* STATUS \S+ )\\\((.*)\\\)", wanted):
        return f"{match[1]}\\({_sorted_pairs(match[2])}\\)"

    def flags(match: re.Match[str]) -> str:
        if ".*" in match[1]:
            return match[0]
        words = re.findall(r"\\*[\w$*-]+", match[1])
        names = sorted("\\" + word.lstrip("\\") if word.startswith("\\") else word for word in words)
        return f"FLAGS \\({re.escape(' '.join(names))}\\)".replace("\\ ", " ")

    return FLAGS.sub(flags, wanted)
