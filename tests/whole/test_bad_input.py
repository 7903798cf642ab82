"""What no decent program sends: each gets a clear reply or a clean close; everybody else goes on, in little memory."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from kit.processes import peak_memory
from kit.server import PASSWORD, Moxd
from kit.world import mailbox, trusting

pytestmark = [pytest.mark.xdist_group("bad input"), pytest.mark.timeout(120)]

MB = 1024 * 1024
PEAK = 150 * MB
GREETED = b"EHLO mx.sender.test\r\n"
ENVELOPE = b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<you@mox.test>\r\n"


class Talk:
    """Bytes out, lines in."""

    def __init__(self, server: Moxd, service: str) -> None:
        self.sock = socket.create_connection((server.address, server.ports[service]), 30)
        if service in ("imaps", "submissions"):
            self.sock = trusting(server).wrap_socket(self.sock, server_hostname=server.address)
        self.file = self.sock.makefile("rb")
        self.line()

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def line(self) -> bytes:
        """A line, or b"" at the end of the connection."""
        try:
            return self.file.readline()
        except (ConnectionError, ssl.SSLEOFError):
            return b""

    def say(self, data: bytes) -> None:
        """Sends; a server that has hung up is no error here."""
        try:
            self.sock.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass

    def ask(self, data: bytes) -> bytes:
        """Sends, and reads one whole SMTP reply."""
        self.say(data)
        found = b""
        while line := self.line():
            found += line
            if line[3:4] == b" ":
                break
        return found

    def tagged(self, data: bytes, tag: bytes = b"a") -> bytes:
        """Sends, and reads up to the tagged IMAP response."""
        self.say(data)
        found = b""
        while line := self.line():
            found += line
            if line.startswith((tag + b" ", b"* BYE")):
                break
        return found

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        found = b""
        while line := self.line():
            found += line
        return found


@pytest.fixture(autouse=True)
def others_go_on(server: Moxd) -> Iterator[None]:
    """Beside each of these tests somebody sends and reads mail as if nothing happened."""
    before = set(server.pids())
    trouble: list[str] = []
    ended = threading.Event()
    sent: list[int] = []

    def work() -> None:
        try:
            with Talk(server, "smtp") as smtp, Talk(server, "imaps") as imap:
                smtp.ask(GREETED)
                assert b"a OK" in imap.tagged(f'a LOGIN other@mox.test "{PASSWORD}"\r\na SELECT INBOX\r\n'.encode())
                imap.tagged(b"")
                while not ended.is_set() or not sent:
                    for command in (b"MAIL FROM:<a@sender.test>\r\n", b"RCPT TO:<other@mox.test>\r\n"):
                        assert smtp.ask(command).startswith(b"250")
                    assert smtp.ask(b"DATA\r\n").startswith(b"354")
                    reply = smtp.ask(b"From: a@sender.test\r\nSubject: beside %d\r\n\r\nx\r\n.\r\n" % len(sent))
                    assert reply.startswith(b"250"), reply
                    sent.append(1)
                    assert b"a OK" in imap.tagged(b"a NOOP\r\n")
                    time.sleep(0.02)
        except AssertionError as error:
            trouble.append(repr(error))

    def count() -> int:
        client = mailbox(server, login="other@mox.test")
        try:
            return int(client.select("INBOX")[1][0])  # type: ignore[arg-type]
        finally:
            client.logout()

    had = count()
    thread = threading.Thread(target=work)
    thread.start()
    yield
    ended.set()
    thread.join(30)
    assert not trouble, trouble
    assert count() == had + len(sent), "nothing is lost"
    assert set(server.pids()) == before, "no worker was ended"
    for pid in before:
        assert peak_memory(pid) < PEAK, f"{peak_memory(pid) / MB:.0f} MB"
    assert "Traceback" not in server.log, server.log[server.log.index("Traceback") - 500 :][:3000]


# -- SMTP


def test_a_command_line_too_long(server: Moxd) -> None:
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        assert re.match(rb"5\d\d ", talk.ask(b"NOOP " + b"x" * 5000 + b"\r\n"))
        assert talk.ask(b"NOOP\r\n").startswith(b"250")


def test_a_command_line_that_never_ends(server: Moxd) -> None:
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        for _ in range(300):
            talk.say(b"x" * 65536)
        talk.say(b"\r\n")
        assert re.match(rb"[45]\d\d ", talk.line())
    with Talk(server, "smtp") as talk:
        assert talk.ask(GREETED).startswith(b"250")


@pytest.mark.parametrize(
    "line",
    [b"NOOP a\0b\r\n", b"\0\r\n", b"MAIL FROM:<a\0@sender.test>\r\n", b"NOOP\rNOOP\r\n", b"\xff\xfe\r\n", b"\r\n"],
)
def test_commands_with_octets_that_are_none(server: Moxd, line: bytes) -> None:
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        assert re.match(rb"5\d\d ", talk.ask(line))
        assert talk.ask(b"NOOP\r\n").startswith(b"250")


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n"])
def test_smuggling_is_refused(server: Moxd, end: bytes) -> None:
    """Nothing that other servers take for the end of a message is one, and a message with it is not taken."""
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        for line in ENVELOPE.splitlines(True):
            assert talk.ask(line).startswith(b"250")
        assert talk.ask(b"DATA\r\n").startswith(b"354")
        smuggled = b"MAIL FROM:<admin@sender.test>\r\nRCPT TO:<you@mox.test>\r\nDATA\r\nFrom: admin@sender.test\r\nSubject: smuggled\r\n\r\nx"
        talk.say(b"From: a@sender.test\r\nSubject: outer\r\n\r\nx" + end + smuggled + b"\r\n.\r\nQUIT\r\n")
        text = talk.rest()
    assert text.count(b"\r\n250 ") + text.startswith(b"250 ") <= 1, text
    if end not in (b"\r\n\0.\r\n",):
        assert re.search(rb"^5\d\d ", text, re.MULTILINE), text
    client = mailbox(server)
    assert client.search(None, "SUBJECT smuggled FROM admin")[1] == [b""]
    client.logout()


def test_what_comes_behind_starttls_is_not_believed(server: Moxd) -> None:
    """CVE-2011-0411: a command sent in the clear in the same packet as STARTTLS is never run under TLS."""
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        talk.say(b"STARTTLS\r\nMAIL FROM:<injected@sender.test>\r\n")
        text = talk.rest()
        assert b"250" not in text, text
    with Talk(server, "imap") as talk:
        text = talk.tagged(b"a STARTTLS\r\nb NOOP\r\n") + talk.rest()
        assert b"b OK" not in text, text


def test_10_000_recipients(server: Moxd) -> None:
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        assert talk.ask(b"MAIL FROM:<a@sender.test>\r\n").startswith(b"250")

        def say() -> None:
            for _ in range(100):
                talk.say(b"RCPT TO:<you@mox.test>\r\n" * 100)

        thread = threading.Thread(target=say)
        thread.start()
        codes = [talk.ask(b"")[:9] for _ in range(10_000)]
        thread.join(30)
        assert codes.count(b"250 2.1.5") == 1000
        assert codes.count(b"452 4.5.3") == 9000, set(codes)
        assert talk.ask(b"DATA\r\n").startswith(b"354")
        assert talk.ask(b"From: a@sender.test\r\nSubject: to many\r\n\r\nx\r\n.\r\n").startswith(b"250")


def test_a_line_too_long_in_a_message(server: Moxd) -> None:
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        talk.ask(ENVELOPE.splitlines(True)[0])
        talk.ask(ENVELOPE.splitlines(True)[1])
        assert talk.ask(b"DATA\r\n").startswith(b"354")
        talk.say(b"From: a@sender.test\r\nSubject: long line\r\n\r\n")
        for _ in range(20):
            talk.say(b"x" * MB)
        assert re.match(rb"[25]\d\d ", talk.ask(b"\r\n.\r\n"))


def nested(depth: int) -> bytes:
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level) for level in range(depth)
    )
    return b"From: a@sender.test\r\nSubject: nested\r\nMIME-Version: 1.0\r\n" + head + b"\r\nx\r\n"


def many_parts(count: int) -> bytes:
    head = b"From: a@sender.test\r\nSubject: nested\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return head + b"--b\r\n\r\n" * count + b"--b--\r\n"


BOMBS = {
    "10,000 levels": nested(10_000),
    "200,000 parts": many_parts(200_000),
    "messages in messages": b"From: a@sender.test\r\nSubject: nested\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 20_000 + b"x\r\n",
    "100,000 fields": b"From: a@sender.test\r\nSubject: nested\r\n" + b"X-F: y\r\n" * 100_000 + b"\r\nx\r\n",
    "20,000 parameters": b"From: a@sender.test\r\nSubject: nested\r\nContent-Type: text/plain" + b";\r\n a*0=b" * 20_000 + b"\r\n\r\nx\r\n",
    "10,000 addresses": b"From: a@sender.test\r\nSubject: nested\r\nTo: " + b",\r\n ".join([b"a@b.example"] * 10_000) + b"\r\n\r\nx\r\n",
    "comments in comments": b"From: a@sender.test " + b"(" * 50_000 + b"\r\nSubject: nested\r\n\r\nx\r\n",
    "500 signatures": b"From: a@sender.test\r\nSubject: nested\r\n"
    + b"DKIM-Signature: v=1; a=rsa-sha256; d=sender.test; s=x; h=from; bh=YQ==; b=YQ==\r\n" * 500 + b"\r\nx\r\n",
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_mime_bombs(server: Moxd, bomb: bytes) -> None:
    """Taken or refused, but answered; and if taken, every client can ask for everything about it."""
    with Talk(server, "smtp") as talk:
        talk.ask(GREETED)
        for line in ENVELOPE.splitlines(True):
            assert talk.ask(line).startswith(b"250")
        assert talk.ask(b"DATA\r\n").startswith(b"354")
        reply = talk.ask(bomb + b".\r\n")
        assert re.match(rb"(250|55\d) ", reply), reply
    with Talk(server, "imaps") as talk:
        assert b"a OK" in talk.tagged(f'a LOGIN you@mox.test "{PASSWORD}"\r\n'.encode())
        assert b"a OK" in talk.tagged(b"a APPEND INBOX {%d+}\r\n" % len(bomb) + bomb + b"\r\n")
        assert b"a OK" in talk.tagged(b"a SELECT INBOX\r\n")
        for items in (b"BODYSTRUCTURE", b"ENVELOPE", b"BODY", b"BODY.PEEK[1.1.1.1]", b"BODY.PEEK[TEXT]<0.10>"):
            assert b"a OK" in talk.tagged(b"a FETCH * (%s)\r\n" % items), items
        assert b"a OK" in talk.tagged(b"a SEARCH TEXT nothing-of-the-kind\r\n")


# -- IMAP


def test_a_literal_that_never_ends(server: Moxd) -> None:
    with Talk(server, "imaps") as talk:
        assert b"a OK" in talk.tagged(f'a LOGIN you@mox.test "{PASSWORD}"\r\n'.encode())
        refused = talk.tagged(b"a APPEND INBOX {999999999999}\r\n")
        assert re.search(rb"a (NO|BAD) ", refused), refused
        talk.say(b"a APPEND INBOX {90000000}\r\n")
        assert talk.line().startswith(b"+ ")
        talk.say(b"From: x\r\n")  # and then nothing for ever; the connection is dropped
    with Talk(server, "imaps") as talk:
        refused = talk.tagged(b"a LOGIN {999999999}\r\n")
        assert re.search(rb"a (NO|BAD) |\* BYE", refused), refused
    with Talk(server, "imaps") as talk:
        talk.say(b"a LOGIN {2000000+}\r\n" + b"x" * 2_000_000 + b"\r\n")
        assert re.search(rb"a (NO|BAD) |\* BYE", talk.tagged(b""))


def test_imap_lines_without_end_and_octets_that_are_none(server: Moxd) -> None:
    with Talk(server, "imaps") as talk:
        for _ in range(100):
            talk.say(b"x" * 65536)
        talk.say(b"\r\n")
        assert re.search(rb"\* (BAD|BYE)", talk.line())
    for line in (b"a NO\0OP\r\n", b"\0\0\0\r\n", b"a\r\n", b"a LOGIN (((((\r\n", b"(" * 4000 + b"\r\n"):
        with Talk(server, "imaps") as talk:
            talk.say(line)
            assert re.match(rb"(a|\*) (BAD|BYE) ", talk.line()), line
            assert b"b OK" in talk.tagged(b"b NOOP\r\n", b"b")


def test_plain_password_in_the_clear_is_refused(server: Moxd) -> None:
    with Talk(server, "imap") as talk:
        assert b"a NO" in talk.tagged(f'a LOGIN you@mox.test "{PASSWORD}"\r\n'.encode())
    with Talk(server, "submission") as talk:
        assert re.match(rb"5(03|30|38|04) ", talk.ask(GREETED) and talk.ask(b"AUTH PLAIN AHlvdUBtb3gudGVzdAB4\r\n"))
        assert re.match(rb"530 ", talk.ask(b"MAIL FROM:<you@mox.test>\r\n"))
