"""Runs the scripts of ImapTest (their format is in the suite's FORMAT.md) against session cores.

`connect()` gives a new session as a kit.play_imap.Client; `run` raises Failed with what went another way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.play_imap import Client, responses

MAILBOX = "imaptest"
WORD = re.compile(rb'"(?:[^"\\]|\\.)*"|~?\{(\d+)\}\r\n|[()]|[^ ()"\r\n]+')


class Atom(bytes):
    """Not a string: NIL is one, "NIL" is none."""


class Failed(AssertionError):
    """A script went another way."""


@dataclass(slots=True)
class Script:
    """A script's header and lines."""

    name: str
    header: dict[str, str]
    lines: list[bytes]
    messages: list[bytes] = field(default_factory=list)
    dates: list[bytes] = field(default_factory=list)  # internal dates, from the lines between messages

    @property
    def capabilities(self) -> set[str]:
        """What the server must announce."""
        return set(self.header.get("capabilities", "").upper().split())

    @classmethod
    def read(cls, folder: Path, name: str) -> Script:
        """Reads a script and its messages."""
        head, empty, rest = (folder / name).read_bytes().partition(b"\n\n")
        if b":" not in head.split(b"\n")[0]:
            head, rest = b"", head + empty + rest
        header = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        box = folder / f"{name}.mbox"
        messages = box if box.exists() else folder / "default.mbox"
        return cls(name, header, _lines(rest), mbox(messages), dates(messages))


def mbox(path: Path) -> list[bytes]:
    """Messages with CRLF; the empty line before "From " belongs to the message before it, as in ImapTest."""
    pieces = re.split(rb"(?m)^From .*\n", path.read_bytes())
    return [piece.replace(b"\n", b"\r\n") for piece in pieces[1:]]


def dates(path: Path) -> list[bytes]:
    """When the messages came, as their "From " lines say: date-times."""
    found = []
    for day, number, time, year in re.findall(
        rb"(?m)^From \S+ +\w+ (\w+) +(\d+) (\d+:\d+:\d+) (\d{4})", path.read_bytes()
    ):
        found.append(b'"%2d-%s-%s %s +0000"' % (int(number), day, year, time))
    return found


def _lines(data: bytes) -> list[bytes]:
    """Lines; `{{{ … }}}` is turned into a literal, with CRLF unless it was `~{{{`."""
    lines: list[bytes] = []
    line = b""
    while data:
        head, _, data = data.partition(b"\n")
        if head.endswith(b"{{{"):
            raw, _, data = data.partition(b"\n}}}") if not data.startswith(b"}}}") else (b"", b"", data[3:])
            exact = head.endswith(b"~{{{")
            text = raw if exact else raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            line += head[: -4 if exact else -3] + b"%s{%d}\r\n%s" % (b"~" if exact else b"", len(text), text)
            continue
        lines.append(line + head)
        line = b""
    return [line for line in lines if line.strip() and not line.startswith(b"#")]


def parse(data: bytes) -> list[Any]:
    """IMAP data as nested lists."""
    stack: list[list[Any]] = [[]]
    at = 0
    while (match := WORD.search(data, at)) is not None:
        at = match.end()
        token = match[0]
        if token == b"(":
            stack.append([])
        elif token == b")":
            if len(stack) == 1:
                continue
            inner = stack.pop()
            stack[-1].append(inner)
        elif match[1] is not None:
            stack[-1].append(data[at : at + int(match[1])])
            at += int(match[1])
        elif token.startswith(b'"'):
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", token[1:-1]))
        else:
            stack[-1].append(Atom(token))
    while len(stack) > 1:
        inner = stack.pop()
        stack[-1].append(inner)
    return stack[0]


class Run:
    """One script on its way."""

    def __init__(
        self,
        script: Script,
        connect: Callable[[], Client],
        user: str,
        password: str,
        skip: Sequence[str] = (),
        second: str = "",
    ) -> None:
        self.script = script
        self.skip = frozenset(skip)  # commands that are sent, but whose replies are not judged
        self.skipped = 0
        self.values: dict[str, bytes] = {
            "mailbox": MAILBOX.encode(),
            "user": user.encode(),
            "password": password.encode(),
            # Where names have no domain, the host in URLs is the server's.
            "username": user.partition("@")[0].encode(),
            "domain": user.partition("@")[2].encode() or b"imap.example",
            "mailbox_url": MAILBOX.encode(),
            "user2": second.encode(),
        }
        self.clients = [connect() for _ in range(int(script.header.get("connections", "1")))]
        self.logins = [f"LOGIN {user} {password}"] * len(self.clients)
        for number in range(2, len(self.clients) + 1):
            if f"user {number}" in script.header:  # the other account has the same password
                self.logins[number - 1] = f"LOGIN {second} {password}"
        self.next_message = 0
        self.then: dict[int, list[int]] = {}
        self.numbers: list[int] = []
        self.count = 0

    def prepare(self) -> None:
        """Brings every connection into the state that the header names."""
        state = self.script.header.get("state", "selected")
        if state == "nonauth":
            return
        for client, login in zip(self.clients, self.logins, strict=True):
            self.must(client, login)
        first = self.clients[0]
        if state == "auth":
            return
        self.must(first, f"CREATE {MAILBOX}")
        if state == "created":
            return
        wanted = self.script.header.get("messages", "all")
        for _ in range(len(self.script.messages) if wanted == "all" else int(wanted)):
            self.append(first, MAILBOX.encode())
        if state == "selected":
            for client, login in zip(self.clients, self.logins, strict=True):
                if login != self.logins[0]:  # the other account's own
                    self.must(client, f"CREATE {MAILBOX}")
                self.must(client, f"SELECT {MAILBOX}")

    def must(self, client: Client, text: str) -> None:
        """A command of ours that has to work."""
        said = client.ask("x " + text)
        assert any(line.startswith("x OK") for line in said), (text, said)

    def append(self, client: Client, name: bytes) -> bytes:
        """The next message of the mbox; what the server said."""
        at = self.next_message % len(self.script.messages)
        message, date = self.script.messages[at], self.script.dates[at]
        self.next_message += 1
        return self.send(client, b"x append %s %s {%d+}\r\n%s" % (name, date, len(message), message))

    def send(self, client: Client, data: bytes) -> bytes:
        """Sends a command, literals without asking; all that was said."""
        client.said.clear()
        collected = b""
        outgoing = client.session.outgoing

        def tap() -> bytes:
            nonlocal collected
            data = outgoing()
            collected += data
            return data

        client.session.outgoing = tap  # type: ignore[method-assign]
        try:
            client.hear(re.sub(rb"\{(\d+)\}\r\n", rb"{\1+}\r\n", data) + b"\r\n")
        finally:
            del client.session.outgoing
        return collected

    # -- the script

    def play(self) -> int:
        """Plays all of it; how many commands there were."""
        self.prepare()
        lines = list(self.script.lines)
        while lines:
            group = [lines.pop(0)]
            while lines and lines[0][:2] in (b"* ", b"! "):
                group.append(lines.pop(0))
            many = len(self.clients) > 1
            words = group[0].split(b" ")
            client = self.clients[int(words.pop(0)) - 1] if many else self.clients[0]
            if re.fullmatch(rb"tag\d+", words[0]):
                self._pipelined(client, group[0], lines)
                continue
            status = words[0].decode().lower()
            if status in ("ok", "no", "bad", '""'):
                self._command(client, b" ".join(words[1:]), group[1:], status, [])
                continue
            ending = lines.pop(0).split(b" ")  # method 2: the status comes after the replies
            if many and ending[0].isdigit():
                ending.pop(0)
            self._command(client, b" ".join(words), group[1:], ending[0].decode().lower(), parse(b" ".join(ending[1:])))
        return self.count

    def _pipelined(self, client: Client, first: bytes, lines: list[bytes]) -> None:
        sent, replies, endings = [first], [], []
        while lines:
            line = lines[0]
            if re.match(rb"tag\d+ (ok|no|bad)\b", line, re.IGNORECASE):
                endings.append(lines.pop(0))
            elif endings:
                break
            elif line[:2] == b"* ":
                replies.append(lines.pop(0))
            else:
                sent.append(lines.pop(0))
        out = self.send(client, b"\r\n".join(self.fill(line) for line in sent))
        self.count += len(sent)
        found, _ = responses(out)
        for ending in endings:
            if not any(line.lower().startswith(ending.lower()) for line in found):
                raise Failed(f"{ending!r} is not among {found}")
        self._replies(found, replies, first)

    def fill(self, text: bytes) -> bytes:
        """Puts values into `$name` and `${name}`; `$$` is a dollar."""

        def one(match: re.Match[bytes]) -> bytes:
            if match[0] == b"$$":
                return b"$"
            name = (match[1] or match[2]).decode()
            return self.values.get(name, match[0])

        return re.sub(rb"\$\$|\$\{(\w+)\}|\$([a-z]\w*)", one, text)

    def _command(self, client: Client, command: bytes, replies: list[bytes], status: str, prefix: list[Any]) -> None:
        self.count += 1
        self.values["tag"] = b"x"
        if command.split(b" ")[0].lower() == b"append" and b"(url" not in command and not re.search(rb"\{\d", command):
            out = self.append(client, self.fill(command[7:]) or MAILBOX.encode())
        else:
            out = self.send(client, b"x " + self.fill(command))
        found, rest = responses(out)
        ending = next((line for line in found if line.startswith(b"x ")), None)
        if ending is None:
            raise Failed(f"{command!r} is not answered: {found} {rest!r}")
        if status != '""' and ending.split(b" ")[1].lower() != status.encode():
            raise Failed(f"{command!r}: {status} is wanted, the server said {ending!r}")
        if prefix and not self._fits(prefix, parse(ending)[2 : 2 + len(prefix)], {}):
            raise Failed(f"{command!r}: {prefix} is wanted, the server said {ending!r}")
        self._replies(found, replies, command)

    def _replies(self, found: list[bytes], wanted: list[bytes], command: bytes) -> None:
        if command.decode("latin-1") in self.skip:
            self.skipped += 1
            return
        numbered: list[tuple[list[Any], int]] = []
        then: dict[int, list[int]] = {}  # by response: which messages had which numbers when it came
        original = list(range(1, 200))
        for line in found:
            if not line.startswith(b"* "):
                continue
            data = parse(line[2:])
            number = 0
            then[id(data)] = original.copy()
            if data[0].isdigit() and len(data) > 1 and isinstance(data[1], Atom):
                at = int(data[0])
                number = original[at - 1] if 0 < at < len(original) else at
                if data[1].lower() == b"expunge":
                    del original[at - 1]
            numbered.append((data, number))
        self.then = then
        for line in wanted:
            data = parse(line[2:])
            if line.startswith(b"! "):
                if any(self._line_fits(data, actual, number, {}) for actual, number in numbered):
                    raise Failed(f"{command!r}: said {line!r}")
                continue
            for actual, number in numbered:
                bound: dict[str, bytes] = {}
                if self._line_fits(data, actual, number, bound):
                    self.values.update(bound)
                    break
            else:
                raise Failed(f"{command!r}: no {line!r} among {[actual for actual, _ in numbered]}")

    # -- matching

    def _line_fits(self, wanted: list[Any], actual: list[Any], number: int, bound: dict[str, bytes]) -> bool:
        self.numbers = self.then[id(actual)]
        wanted = [Atom(self.fill(one)) if isinstance(one, Atom) else one for one in wanted]
        if isinstance(wanted[0], Atom) and re.fullmatch(rb"\$\d+", wanted[0]):
            if int(wanted[0][1:]) != number:
                return False
            wanted[0] = actual[0]
        kind = (wanted[1] if wanted[0].isdigit() and len(wanted) > 1 else wanted[0]).lower()
        if kind in (b"ok", b"no", b"bad", b"bye", b"preauth"):
            return self._fits(wanted, actual[: len(wanted)], bound)
        if (
            kind == b"fetch"
            and len(wanted) == len(actual) == 3
            and isinstance(wanted[2], list)
            and isinstance(actual[2], list)
        ):
            return self._fits(wanted[:2], actual[:2], bound) and self._items_fit(wanted[2], actual[2], bound)
        if kind == b"status" and isinstance(wanted[-1], list) and isinstance(actual[-1], list):
            return self._fits(wanted[:2], actual[:2], bound) and self._items_fit(wanted[-1], actual[-1], bound)
        if kind in (b"list", b"lsub") and len(wanted) > 2 and len(actual) > 3:
            flags = {flag.lower() for flag in actual[1]}
            inside = {flag.lower() for flag in wanted[1]} <= flags if isinstance(wanted[1], list) else True
            return actual[0].lower() == kind and inside and self._fits(wanted[2:], actual[2:4], bound)
        return self._fits(wanted, actual, bound)

    def _items_fit(self, wanted: list[Any], actual: list[Any], bound: dict[str, bytes]) -> bool:
        """`name value` pairs in any order; sections have names of several tokens."""
        there = _pairs(actual)
        for name, value in _pairs(wanted).items():
            if name not in there:
                return False
            other = there[name]
            if name == b"flags" and isinstance(value, list) and isinstance(other, list):
                flags, told = {self.fill(flag).lower() for flag in value}, {flag.lower() for flag in other}
                if flags - told or told - flags - {b"\\recent"}:  # $!noextra $!ignore=\recent
                    return False
            elif not self._fits([value], [other], bound):
                return False
        return True

    def _fits(self, wanted: list[Any], actual: list[Any], bound: dict[str, bytes]) -> bool:
        if len(wanted) != len(actual):
            return False
        return all(self._one_fits(a, b, bound) for a, b in zip(wanted, actual, strict=True))

    def _one_fits(self, wanted: object, actual: object, bound: dict[str, bytes]) -> bool:
        if isinstance(wanted, Atom) and wanted == b"$":
            return True
        if isinstance(wanted, list) or isinstance(actual, list):
            return isinstance(wanted, list) and isinstance(actual, list) and self._fits(wanted, actual, bound)
        assert isinstance(wanted, bytes)
        assert isinstance(actual, bytes)
        if isinstance(wanted, Atom) and re.fullmatch(rb"\$\d+", wanted) and actual.isdigit():
            return 0 < int(actual) <= len(self.numbers) and self.numbers[int(actual) - 1] == int(wanted[1:])
        wanted = Atom(self.fill(wanted)) if isinstance(wanted, Atom) else self.fill(wanted)
        match = re.fullmatch(rb"(.*?)\$(?:\{(\w+)\}|([a-z]\w*))([\])]*)", wanted) if isinstance(wanted, Atom) else None
        if match is not None:
            before, after = match[1], match[4]
            if not (actual.lower().startswith(before.lower()) and actual.endswith(after)):
                return False
            value = actual[len(before) : len(actual) - len(after)]
            name = (match[2] or match[3]).decode()
            return bound.setdefault(name, bytes(value)).lower() == value.lower()
        if isinstance(wanted, Atom) and wanted.lower() == b"nil":
            return isinstance(actual, Atom) and actual.lower() == b"nil"
        return wanted.lower() == actual.lower()


def _pairs(items: list[Any]) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    at = 0
    while at < len(items):
        name = items[at].lower() if isinstance(items[at], bytes) else b""
        at += 1
        if b"[" in name and b"]" not in name:  # body[header.fields (from)]<0>
            while at < len(items) and not (isinstance(items[at], bytes) and b"]" in items[at]):
                name += b" " + repr([one.lower() for one in items[at]]).lower().encode()
                at += 1
            name += items[at].lower() if at < len(items) else b""
            at += 1
        found[name] = items[at] if at < len(items) else None
        at += 1
    return found
