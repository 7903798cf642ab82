"""IMAP conversations written as they are spoken, by several clients at once if need be.

    play({"": session}, '''
        C: a SELECT Inbox
        S: * 3 EXISTS
        S: a OK [READ-WRITE]
    ''')
    play({"1": one, "2": two}, '''
        1 C: a NOOP
        1 S: a OK
    ''')

Pure: session cores on one side, the script on the other, no socket anywhere.

- `C: text` is sent with a line end; lines that follow each other go out in one piece.  `C> literal` sends exactly the
  bytes of a Python string or bytes literal.
- `S: text` is a response that begins so, in any case of letters.  Untagged responses may come in any order and others
  may come between them; tagged ones and `+` must come next among their kind, and what came before them is then gone.
- `S= text` is a response that is exactly so.  `S! text`: none that was said since begins so.
- `S: closed` is the end.  A literal in a response is written as a quoted string with Python's escapes: "a\\r\\n".
- Lines that begin with `#` are remarks."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Protocol

_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")
_LINE = re.compile(r"(?:(\w+) )?([CS][:>=!])(?: (.*))?\Z")


class Session(Protocol):
    """The core of a server's session."""

    ended: bool
    waiting: Any

    @property
    def busy(self) -> bool: ...
    def receive(self, data: bytes, now: float) -> None: ...
    def run(self) -> None: ...
    def resume(self) -> None: ...
    def outgoing(self) -> bytes: ...


class Client:
    """A session and what it said."""

    def __init__(self, session: Session, settle: Callable[[], None] = lambda: None) -> None:
        self.session = session
        self.settle = settle
        self.now = 0.0
        self._out = b""
        self.said: list[str] = []  # responses not looked at yet
        self.raw: list[bytes] = []  # all of them, as they were
        self.pump()

    def hear(self, data: bytes) -> None:
        """Bytes from the client."""
        self.session.receive(data, self.now)
        self.pump()

    def pump(self) -> None:
        """Runs the session until it has nothing to do."""
        session = self.session
        while True:
            session.run()
            self._out += session.outgoing()
            if session.waiting is not None:
                if not session.waiting.done():
                    self.settle()
                if not session.waiting.done():
                    break
                session.resume()
            elif not session.busy:
                break
        self.look()

    def look(self) -> None:
        """Takes whole responses from what was said."""
        self._out += self.session.outgoing()
        found, self._out = responses(self._out)
        self.raw += found
        self.said += [shown(one) for one in found]

    def ask(self, text: str) -> list[str]:
        """Sends a line and returns all that is said to it."""
        self.hear(text.encode() + b"\r\n")
        said, self.said = self.said, []
        return said


def responses(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole responses with their literals, without the last line end, and what is left."""
    found: list[bytes] = []
    start = at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        literal = re.search(rb"~?\{(\d+)\}\Z", data[at:end])
        at = end + 2
        if literal is None:
            found.append(data[start:end])
            start = at
        else:
            at += int(literal[1])
            if at > len(data):
                break
    return found, data[start:]


def shown(response: bytes) -> str:
    """A response on one line, literals as quoted strings with Python's escapes."""
    out: list[str] = []
    at = 0
    while (match := _LITERAL.search(response, at)) is not None:
        out.append(response[at : match.start()].decode("utf-8", "backslashreplace"))
        at = match.end() + int(match[1])
        text = response[match.end() : at].decode("utf-8", "backslashreplace")
        out.append('"' + text.replace("\r", "\\r").replace("\n", "\\n").replace("\0", "\\x00") + '"')
    out.append(response[at:].decode("utf-8", "backslashreplace"))
    return "".join(out)


def play(
    clients: Mapping[str, Session | Client], script: str, settle: Callable[[], None] = lambda: None
) -> dict[str, Client]:
    """Plays `script`.  AssertionError where it goes another way."""
    room = {name: one if isinstance(one, Client) else Client(one, settle) for name, one in clients.items()}
    pending: dict[str, bytes] = dict.fromkeys(room, b"")
    for number, line in enumerate(textwrap.dedent(script).strip().splitlines(), 1):
        if not line.strip() or line.lstrip()[0] == "#":
            continue
        match = _LINE.match(line.strip())
        assert match is not None, f"line {number} is neither C nor S: {line!r}"
        who, kind, text = match[1] or "", match[2], match[3] or ""
        client, where = room[who], f"line {number}: {line.strip()}"
        if kind == "C:":
            pending[who] += text.encode() + b"\r\n"
            continue
        if kind == "C>":
            said = ast.literal_eval(text)
            pending[who] += said if isinstance(said, bytes) else said.encode()
            continue
        for name, data in pending.items():
            if data:
                room[name].hear(data)
        pending = dict.fromkeys(room, b"")
        _expect(client, kind, text, where)
    for name, data in pending.items():
        if data:
            room[name].hear(data)
    return room


def _expect(client: Client, kind: str, text: str, where: str) -> None:
    client.look()
    if text == "closed":
        assert client.session.ended, f"{where}: the session goes on"
        return

    def fits(response: str) -> bool:
        if kind == "S=":
            return response == text
        return response.lower().startswith(text.lower())

    if kind == "S!":
        assert not any(map(fits, client.said)), f"{where}: but it said {client.said}"
        return
    if text.startswith("*"):
        at = next((at for at, one in enumerate(client.said) if fits(one)), None)
        assert at is not None, f"{where}: it said {client.said}"
        del client.said[at]
        return
    at = next((at for at, one in enumerate(client.said) if not one.startswith("* ")), None)
    assert at is not None, f"{where}: it said {client.said}"
    assert fits(client.said[at]), f"{where}: it said {client.said[at]!r} after {client.said[:at]}"
    del client.said[: at + 1]
