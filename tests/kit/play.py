"""Conversations written as they are spoken: `C:` what the client says, `S:` what the server must answer.

    play(session, policy, '''
        C: EHLO a.example
        S: 250
        C: RCPT TO:<b@c.example>
        S: 503 5.5.1
    ''')

Pure: a session core stands on one side, a policy (event -> answer) beside it, and no socket anywhere.  An `S:` line is
matched by its beginning, word by word, against a whole reply (`250` for all lines of EHLO; `220 2.0.0`).  `C:` lines
that follow each other are sent in one piece, as a pipelining client does.  `C> text` sends exactly the text of a Python
string literal, without a line end.  `S: closed` is the end of the connection; after the last line nothing may be left
unsaid.  Lines that begin with `#` are remarks."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol


class Session(Protocol):
    """The core of a server's session."""

    ended: bool

    def receive(self, data: bytes, now: float) -> None: ...
    def next_event(self) -> Any: ...
    def send(self, answer: Any) -> None: ...
    def outgoing(self) -> bytes: ...


Policy = Callable[[Any], Any]


class Stage:
    """A session, its policy, and all that was said."""

    def __init__(self, session: Session, policy: Policy) -> None:
        self.session = session
        self.policy = policy
        self.events: list[Any] = []
        self.said = b""
        self.now = 0.0
        self.pump()

    def pump(self) -> None:
        """Answers what there is to answer."""
        while (event := self.session.next_event()) is not None:
            self.events.append(event)
            self.session.send(self.policy(event))
        self.said += self.session.outgoing()

    def hear(self, data: bytes) -> None:
        """Bytes from the client."""
        self.session.receive(data, self.now)
        self.pump()

    def reply(self) -> str:
        """Takes the next whole reply from what was said; "" where there is none."""
        lines: list[bytes] = []
        rest = self.said
        while rest:
            line, end, rest = rest.partition(b"\r\n")
            assert end, f"a reply without its end: {line!r}"
            lines.append(line)
            if line[3:4] != b"-":
                self.said = rest
                return b"\n".join(lines).decode()
        assert not lines, f"a reply that does not end: {lines!r}"
        return ""


def play(session: Session, policy: Policy, conversation: str) -> list[Any]:
    """Plays `conversation` and returns the events that the policy saw.  AssertionError where it goes another way."""
    stage = Stage(session, policy)
    pending = b""
    script = [line for line in textwrap.dedent(conversation).splitlines() if line.strip() and line.lstrip()[0] != "#"]
    for number, line in enumerate(script, 1):
        kind, text = line.lstrip()[:2], line.lstrip()[3:]
        if kind == "C:":
            pending += text.encode() + b"\r\n"
        elif kind == "C>":
            said = ast.literal_eval(text)
            pending += said if isinstance(said, bytes) else said.encode()
        elif kind == "S:":
            if pending:
                stage.hear(pending)
                pending = b""
            _expect(stage, text.strip(), f"line {number}: {line.strip()}")
        else:
            raise AssertionError(f"line {number} is neither C: nor C> nor S: {line!r}")
    if pending:
        stage.hear(pending)
    assert not stage.said, f"said beyond the script: {stage.said!r}"
    return stage.events


def _expect(stage: Stage, wanted: str, where: str) -> None:
    if wanted == "closed":
        assert stage.session.ended, f"{where}: the session goes on"
        assert not stage.said, f"{where}: said before the end: {stage.said!r}"
        return
    reply = stage.reply()
    words = wanted.split()
    assert reply.replace("-", " ", 1).split()[: len(words)] == words, f"{where}: the server said {reply!r}"


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    """`data` in pieces, cut at each of `at` (taken modulo its length)."""
    marks = sorted({position % (len(data) + 1) for position in at} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(marks) if end > start]
