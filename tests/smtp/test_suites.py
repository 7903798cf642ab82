"""The dialogues of chasquid and Apache James, and the ways to smuggle a second message, against the session core."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mox_sasl
from kit.play import Session, Stage, cut
from kit.smtp_scripts import play_cmy, play_james
from kit.suites import SUITES, counted, suite
from mox_smtp import (
    AuthResponse,
    AuthStart,
    Challenge,
    Chunk,
    Limits,
    MailFrom,
    MessageEnd,
    RcptTo,
    Refusal,
    Reply,
    ServerConfig,
    SmtpServer,
)
from mox_smtp.data import BareLineEnd, DataWriter

LIMITS = Limits(message=1024 * 1024)  # chasquid's test configuration
OPEN = ServerConfig("testserver", LIMITS, starttls=True, auth=("PLAIN", "LOGIN"))


class Accounts:
    """mox_sasl.Verifier"""

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        return None

    def nonce(self) -> str:
        return "n" * 18

    def secret(self) -> bytes:
        return b"s" * 32


class Policy:
    """testserver's one account, and the mail it was sent."""

    def __init__(self, passwords: dict[str, str]) -> None:
        self.passwords = passwords
        self.messages: list[bytes] = []
        self.senders: list[str] = []
        self._exchange: mox_sasl.Mechanism | None = None

    def __call__(self, event: Any) -> Any:
        match event:
            case AuthStart(name, initial):
                self._exchange = mox_sasl.server(name, Accounts(), for_others=True)
                return self._outcome(self._exchange.start(initial))
            case AuthResponse(data):
                assert self._exchange is not None
                return self._outcome(self._exchange.step(data))
            case MailFrom(path):
                self.senders.append(str(path))
                self.messages.append(b"")
            case RcptTo(path) if "forged" in str(path):
                return Refusal(550, "no such address", "5.1.1")
            case Chunk(data):
                self.messages[-1] += data
            case MessageEnd():
                return Reply(250, "taken", "2.0.0")
        return None

    def _outcome(self, outcome: mox_sasl.Outcome) -> Any:
        match outcome:
            case mox_sasl.Challenge(data):
                return Challenge(data)
            case mox_sasl.CheckPassword(name, password) if self.passwords.get(name) == password.reveal():
                return None
            case mox_sasl.Failure(malformed=True):
                return Refusal(501, "malformed", "5.5.2")
        return Refusal(535, "wrong name or password", "5.7.8")


def files(pattern: str) -> list[Path]:
    return sorted((SUITES / "smtp-dialogs").glob(pattern))


def test_the_suites_are_there() -> None:
    counted("smtp-dialogs", 0)  # the tests below stand for the cases
    counted("smtp-smuggling", 0)
    counted("smtp-dialogs", 0)
    counted("smtp-smuggling", 0)
    assert len(list(suite("smtp-dialogs").rglob("*.cmy"))) >= 9
    assert len(list(suite("smtp-dialogs").rglob("*.test"))) >= 4
    assert len(json.loads((suite("smtp-smuggling") / "end-of-data.json").read_text())["must_not_end_data"]) >= 6


@pytest.mark.parametrize("path", files("chasquid/*.cmy"), ids=lambda path: path.stem)
def test_chasquid(path: Path) -> None:
    suite("smtp-dialogs")
    policies: list[Policy] = []
    counted("smtp-dialogs")

    def connect(words: str) -> Session:
        tls = words.startswith("tls_connect")
        return SmtpServer(OPEN, now=0.0, tls=tls)

    def policy() -> Callable[[Any], Any]:
        policies.append(Policy({"user@testserver": "secretpassword"}))
        return policies[-1]

    play_cmy(path, connect, policy)
    wanted = path.with_suffix(".cmy.verify")
    if wanted.exists():
        assert policies[-1].messages[-1].replace(b"\r\n", b"\n").strip() == wanted.read_bytes().strip()


@pytest.mark.parametrize("path", files("james/*.test"), ids=lambda path: path.stem)
def test_james(path: Path) -> None:
    suite("smtp-dialogs")
    counted("smtp-dialogs")
    # James' configuration lets a user log in without TLS.
    config = ServerConfig("mydomain.tld", LIMITS, starttls=True, auth=("PLAIN", "LOGIN"), auth_in_clear=True)
    policy = Policy({"bob@mydomain.tld": "secret"})
    session = SmtpServer(config, now=0.0)
    play_james(path, session, policy)
    if "injection" in path.stem:
        assert session.ended
        assert not policy.senders


# -- smuggling


def smuggling() -> list[bytes]:
    path = SUITES / "smtp-smuggling" / "end-of-data.json"
    if not path.exists():
        return []
    return [text.encode() for text in json.loads(path.read_text())["must_not_end_data"]]


OPENING = b"EHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user@testserver>\r\nDATA\r\n"
HEADER = b"Subject: one\r\n\r\nfirst"
FORGED = b"MAIL FROM:<admin@b.example>\r\nRCPT TO:<user@testserver>\r\nDATA\r\nSubject: forged\r\n\r\nsmuggled"
END = b"\r\n.\r\n"


@pytest.mark.parametrize("sequence", smuggling(), ids=repr)
@pytest.mark.parametrize("cuts", [(), range(0, 400, 7), range(400)], ids=["whole", "pieces", "octets"])
def test_no_second_message_comes_in(sequence: bytes, cuts: Any) -> None:
    if not cuts:
        suite("smtp-smuggling")  # once for each sequence
    policy = Policy({})
    counted("smtp-smuggling")
    session = SmtpServer(OPEN, now=0.0)
    stage = Stage(session, policy)
    for piece in cut(OPENING + HEADER + sequence + FORGED + END, cuts):
        stage.hear(piece)
    assert policy.senders == ["a@b.example"]
    assert re.search(rb"\r\n5\d\d [^\r\n]*\r\n\Z", stage.said)
    assert stage.session.ended


@pytest.mark.parametrize("sequence", smuggling(), ids=repr)
def test_no_second_message_goes_out(sequence: bytes) -> None:
    counted("smtp-smuggling")
    writer = DataWriter()
    try:
        out = writer.feed(b"first") + writer.feed(sequence + FORGED) + writer.end()
    except BareLineEnd:
        return
    # What is not refused is written so that no reader, however lenient, finds an end in it.
    assert sequence not in out.removesuffix(END)
