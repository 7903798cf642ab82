"""Hosts that fail at any point, and crowds that do nothing: the record says what happened, nothing is lost or doubled."""

from __future__ import annotations

import imaplib
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.certificates import make
from kit.queue_wire import QUICK, TEXT, Outcome, send
from kit.script_host import Act, Script, script_host
from kit.server import PASSWORD, Moxd
from kit.world import trusting, until
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("trouble"), pytest.mark.timeout(120)]

STAGES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "text", "end")
# What a host does -> what the record of the attempt says.
TEMPORARY: dict[Act | bytes, str] = {
    Act.HANG: "no answer in time",
    Act.CLOSE: "closed the connection|Broken pipe|reset by peer",
    Act.RESET: "reset by peer|Broken pipe|closed the connection",
    Act.FLOOD: "a reply of over 65536 octets",
    b"421 4.3.2 going down": "421 4.3.2 going down",
    b"451 4.3.0 not now": "451 4.3.0 not now",
    b"4": "4",
}
NEVER = b"554 5.7.1 never"


def once(stage: str, act: Act | bytes) -> Script:
    """A host that does this the first time, and is well from then on."""
    done: list[int] = []

    def script(at: str, connection: int) -> Act | bytes | None:
        if at == stage and not done:
            done.append(connection)
            return act
        return None

    return script


def always(stage: str, act: Act | bytes) -> Script:
    """A host that always does this."""
    return lambda at, connection: act if at == stage else None


def shown(act: Act | bytes) -> str:
    return act.value if isinstance(act, Act) else act.decode()


def cases(acts: tuple[Act | bytes, ...]) -> list[Any]:
    return [
        pytest.param(stage, act, id=f"{stage}: {shown(act)}")
        for stage in STAGES
        for act in acts
        # A host that replies before it has the message speaks out of turn; what it then means nobody can know.
        if not (stage == "text" and isinstance(act, bytes))
    ]


@pytest.mark.parametrize("stage, act", cases(tuple(TEMPORARY)))
def test_trouble_delays_and_the_record_says_why(tmp_path: Path, stage: str, act: Act | bytes) -> None:
    with script_host(once(stage, act)) as host:
        found = send(tmp_path, host.port)
    assert found.states == {"a@a.test": "delivered"}
    assert host.taken == [TEXT], "not lost, not doubled, not changed"
    first, second = found.attempts
    assert (first["outcome"], second["outcome"]) == ("later", "delivered")
    assert re.search(TEMPORARY[act], first["text"]), first
    assert first["steps"], "the steps say at which host it was"
    assert found.notices == []


@pytest.mark.parametrize("stage, act", cases((NEVER,)))
def test_no_is_no_at_once_and_told(tmp_path: Path, stage: str, act: Act | bytes) -> None:
    with script_host(always(stage, act)) as host:
        found = send(tmp_path, host.port)
    assert found.states == {"a@a.test": "failed"}
    assert host.taken == []
    (attempt,) = found.attempts
    # RFC 5321 3.2: after a refused EHLO comes HELO, whose refusal counts.
    assert attempt["text"].startswith("5")
    assert stage == "EHLO" or "554 5.7.1 never" in attempt["text"]
    (notice,) = found.notices
    assert b"Action: failed" in notice
    assert b"Final-Recipient: rfc822;a@a.test" in notice


@pytest.mark.parametrize("act", [Act.TAKE_AND_CLOSE, Act.HANG], ids=shown)
def test_a_lost_last_reply_may_double_and_the_record_warns(tmp_path: Path, act: Act) -> None:
    """RFC 1047: the one case that SMTP cannot tell apart."""
    with script_host(once("end", act)) as host:
        found = send(tmp_path, host.port)
    assert found.states == {"a@a.test": "delivered"}
    assert host.taken == [TEXT] * (2 if act is Act.TAKE_AND_CLOSE else 1)
    first = found.attempts[0]
    assert any(step["outcome"] == "uncertain" and "the host may have it" in step["because"] for step in first["steps"])
    assert [one["outcome"] for one in found.attempts] == ["later", "delivered"]


@pytest.mark.parametrize("act", [Act.HANG, Act.CLOSE, Act.RESET, Act.FLOOD, NEVER], ids=shown)
def test_after_the_last_reply_nothing_matters(tmp_path: Path, act: Act | bytes) -> None:
    with script_host(always("QUIT", act)) as host:
        found = send(tmp_path, host.port)
    assert found.states == {"a@a.test": "delivered"}
    assert host.taken == [TEXT]
    assert len(found.attempts) == 1


def test_each_recipient_has_its_own_fate(tmp_path: Path) -> None:
    """One is taken, one refused, one told to come later, one goes down with the connection: each once."""
    replies = iter([None, b"550 5.1.1 nobody", b"451 4.2.1 greylisted"])

    def script(at: str, connection: int) -> Act | bytes | None:
        return next(replies, None) if at == "RCPT" else None

    with script_host(script) as host:
        found = send(tmp_path, host.port, "a@a.test", "b@a.test", "c@a.test")
        recipients = [line for _, line in host.heard if line.startswith("RCPT")]
    assert found.states == {"a@a.test": "delivered", "b@a.test": "failed", "c@a.test": "delivered"}
    assert len(host.taken) == 2
    assert [line[9:17] for line in recipients] == ["a@a.test", "b@a.test", "c@a.test", "c@a.test"]
    assert len(found.notices) == 1


def test_too_many_recipients_go_in_several_transactions(tmp_path: Path) -> None:
    """RFC 5321 4.5.3.1.10: a host that takes two at a time gets five in one attempt, each once."""
    taken = 0

    def script(at: str, connection: int) -> bytes | None:
        nonlocal taken
        taken = 0 if at == "MAIL" else taken + (at == "RCPT")
        return b"452 4.5.3 too many recipients" if at == "RCPT" and taken > 2 else None

    to = [f"{name}@a.test" for name in "abcde"]
    with script_host(script) as host:
        found = send(tmp_path, host.port, *to)
    assert set(found.states.values()) == {"delivered"}
    assert host.taken == [TEXT] * 3
    assert {one["number"] for one in found.attempts} == {1}
    assert host.connections == 1


# -- TLS


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return make("mx.a.test", names=["mx.a.test"]).server_context(tmp_path_factory.mktemp("tls"))


TLS_TROUBLE: dict[str, tuple[str, Act | bytes]] = {
    "STARTTLS hangs": ("STARTTLS", Act.HANG),
    "STARTTLS closes": ("STARTTLS", Act.CLOSE),
    "STARTTLS is refused for now": ("STARTTLS", b"454 4.7.0 not now"),
    "STARTTLS is refused": ("STARTTLS", b"502 5.5.1 what"),
    "STARTTLS says goodbye": ("STARTTLS", b"421 4.3.2 going down"),
    "STARTTLS floods": ("STARTTLS", Act.FLOOD),
    "the handshake hangs": ("handshake", Act.HANG),
    "the handshake closes": ("handshake", Act.CLOSE),
    "text in front of the handshake": ("handshake", b"250 fine"),
    "EHLO in TLS hangs": ("EHLO in TLS", Act.HANG),
    "EHLO in TLS closes": ("EHLO in TLS", Act.CLOSE),
    "EHLO in TLS: later": ("EHLO in TLS", b"451 4.3.0 not now"),
    "EHLO in TLS floods": ("EHLO in TLS", Act.FLOOD),
}


@pytest.mark.parametrize("stage, act", TLS_TROUBLE.values(), ids=TLS_TROUBLE)
def test_trouble_with_tls(tmp_path: Path, context: ssl.SSLContext, stage: str, act: Act | bytes) -> None:
    """Without a policy the message goes all the same (RFC 7435), in the clear or at the next attempt; once."""
    with script_host(once(stage, act), context=context) as host:
        found = send(tmp_path, host.port)
    assert found.states == {"a@a.test": "delivered"}
    assert host.taken == [TEXT]
    assert len(found.attempts) <= 2
    if len(found.attempts) == 1 and act not in (b"454 4.7.0 not now", b"502 5.5.1 what"):
        assert any("TLS with mx.a.test" in step["what"] for step in found.attempts[0]["steps"])


def test_what_is_offered_in_tls_counts_alone(tmp_path: Path, context: ssl.SSLContext) -> None:
    """RFC 3207 4.2: what was offered in the clear is forgotten; in both directions."""
    with script_host(
        context=context, offers=("SIZE 10",), offers_in_tls=("PIPELINING", "SMTPUTF8", "8BITMIME")
    ) as host:
        found = send(tmp_path, host.port, "ä@a.test", smtputf8=True, eightbit=True)
    assert found.states == {"ä@a.test": "delivered"}
    assert "SMTPUTF8" in next(line for _, line in host.heard if line.startswith("MAIL"))
    (tmp_path / "second").mkdir()
    with script_host(context=context, offers=("SMTPUTF8", "8BITMIME"), offers_in_tls=("SIZE 0",)) as host:
        found = send(tmp_path / "second", host.port, "ä@a.test", smtputf8=True, eightbit=True)
    assert found.states == {"ä@a.test": "failed"}
    assert "does not take internationalised mail (SMTPUTF8)" in found.attempts[0]["text"]
    assert host.taken == []
    assert not any(line.startswith("MAIL") for _, line in host.heard)


def test_a_large_message_that_is_cut_off_is_sent_anew(tmp_path: Path) -> None:
    """The connection ends in the middle of 5 MB; the second time all of it arrives."""
    text = TEXT + b"0123456789abcde\r\n" * 300_000
    with script_host(once("text", Act.CLOSE)) as host:
        # The host has megabytes to read after the last was written: with less patience it is sent a third time.
        found = send(
            tmp_path,
            host.port,
            content=text,
            seconds=60,
            timeouts=replace(QUICK, data_block=30, data_end=30, transaction=50),
        )
    assert found.states == {"a@a.test": "delivered"}
    assert host.taken == [text]


def test_nobody_there_at_all(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = outcome_of_a_short_life(tmp_path, port)
    assert found.states == {"a@a.test": "failed"}
    assert all("Connection refused" in one["text"] for one in found.attempts), found.attempts
    assert len(found.notices) == 1


def outcome_of_a_short_life(folder: Path, port: int) -> Outcome:
    from mox_queue import Schedule

    return send(folder, port, schedule=Schedule(waits=(0.05,), give_up_after=0.3, warn_after=10, jitter=0.0))


# -- crowds

IDLE, LORIS, ROUNDS, EACH = 1000, 200, 5, 10


MESSAGE = "From: {}\r\nSubject: x\r\n\r\nx\r\n"


def honest(server: Moxd, service: str) -> float:
    """The seconds of some conversations, one connection each."""
    began = time.monotonic()
    for _ in range(EACH):
        HONEST[service](server)
    return time.monotonic() - began


def _to_25(server: Moxd) -> None:
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as smtp:
        smtp.sendmail("a@sender.test", ["you@mox.test"], MESSAGE.format("a@sender.test"))


def _to_465(server: Moxd) -> None:
    context = trusting(server)
    with smtplib.SMTP_SSL(server.address, server.ports["submissions"], timeout=30, context=context) as smtp:
        smtp.login("you@mox.test", PASSWORD)
        smtp.sendmail("you@mox.test", ["other@mox.test"], MESSAGE.format("you@mox.test"))


def _to_587(server: Moxd) -> None:
    with smtplib.SMTP(server.address, server.ports["submission"], timeout=30) as smtp:
        smtp.starttls(context=trusting(server))
        smtp.login("you@mox.test", PASSWORD)
        smtp.sendmail("you@mox.test", ["other@mox.test"], MESSAGE.format("you@mox.test"))


def _to_143(server: Moxd) -> None:
    with imaplib.IMAP4(server.address, server.ports["imap"], timeout=30) as imap:
        imap.starttls(trusting(server))
        _look(imap)


def _to_993(server: Moxd) -> None:
    with imaplib.IMAP4_SSL(server.address, server.ports["imaps"], timeout=30, ssl_context=trusting(server)) as imap:
        _look(imap)


def _look(imap: imaplib.IMAP4) -> None:
    imap.login("you@mox.test", PASSWORD)
    imap.select()
    assert imap.append("Inbox", "", None, MESSAGE.format("a@b.test").encode())[0] == "OK"


HONEST = {"smtp": _to_25, "submissions": _to_465, "submission": _to_587, "imap": _to_143, "imaps": _to_993}


def measured(server: Moxd, service: str) -> tuple[float, float]:
    """(the best of some rounds in seconds, CPU seconds of the server for all of them)."""
    before = cpu(server)
    best = min(honest(server, service) for _ in range(ROUNDS))
    return best, cpu(server) - before


def cpu(server: Moxd) -> float:
    words = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in server.pids()]
    return sum(int(one[11]) + int(one[12]) for one in words) / 100


@contextmanager
def crowd(server: Moxd, service: str) -> Iterator[list[socket.socket]]:
    """Connections that say nothing after the greeting, and some that send an octet of a command now and then."""
    opened: list[socket.socket] = []
    context = trusting(server)
    ended = threading.Event()

    def drip() -> None:
        texts = b"EHLO x" * 40
        for at in range(len(texts)):
            for sock in opened[IDLE:]:
                try:
                    sock.send(texts[at : at + 1])
                except OSError:
                    return
            if ended.wait(0.2):
                return

    try:
        for _ in range(IDLE + LORIS):
            sock = socket.create_connection((server.address, server.ports[service]), 30)
            implicit = service in ("submissions", "imaps")
            opened.append(context.wrap_socket(sock, server_hostname="localhost") if implicit else sock)
        for sock in opened:
            assert sock.recv(3) in (b"220", b"* O")
        dripping = threading.Thread(target=drip, name="slow loris", daemon=True)
        dripping.start()
        yield opened
        ended.set()
        dripping.join(10)
    finally:
        ended.set()
        for sock in opened:
            sock.close()


@pytest.mark.parametrize("service", HONEST)
def test_a_crowd_that_does_nothing_slows_nobody(start: Start, service: str) -> None:
    server = start(workers=1)
    honest(server, service)  # what is loaded at first use, and the password that is remembered
    alone, alone_cpu = measured(server, service)
    with crowd(server, service) as opened:
        among, among_cpu = measured(server, service)
        assert all(is_open(sock) for sock in opened[:IDLE:50]), "they are still there"
    print(
        f"{service}, {EACH} conversations: {alone:.3f} s alone, {among:.3f} s among {IDLE} idle and {LORIS} slow connections"
    )
    assert among_cpu <= 2 * alone_cpu + 0.3, (alone_cpu, among_cpu)
    assert among <= 2 * alone + 0.2, (alone, among)
    until(lambda: answers_at_once(server))


def is_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return any(sock.recv(4096) for _ in range(2))
    except BlockingIOError:
        return True
    except OSError:
        return False


def answers_at_once(server: Moxd) -> bool:
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as smtp:
        return smtp.noop()[0] == 250
