"""Large messages: streamed to disk, never whole in memory."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl

import pytest

from kit.processes import peak_memory
from kit.server import PASSWORD, Moxd
from kit.world import mailbox, trusting, until
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("big"), pytest.mark.timeout(120)]

MB = 1024 * 1024
PEAK = 150 * MB
SIZE = 99 * MB
LINE = b"QUJD" * 18 + b"\r\n"
BLOCK = LINE * 1000
HEAD = (
    b"From: a@sender.test\r\nTo: you@mox.test\r\nSubject: big\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee the file\r\n--b\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)
TAIL = b"\r\n--b--\r\n"


def body_blocks() -> int:
    return SIZE // len(BLOCK)


def replies(sock: socket.socket, until: bytes) -> bytes:
    """Reads until a line begins with `until`."""
    data = b""
    while not any(line.startswith(until) for line in data.split(b"\r\n")[:-1]):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def connect(server: Moxd, service: str) -> socket.socket:
    sock = socket.create_connection((server.address, server.ports[service]), 60)
    return trusting(server).wrap_socket(sock, server_hostname=server.address) if service.endswith("s") else sock


def read_whole(server: Moxd, number: int) -> tuple[str, int]:
    """SHA-256 and size of what FETCH gives, without the lines that were put in front."""
    with connect(server, "imaps") as sock:
        replies(sock, b"* OK")
        sock.sendall(f'a LOGIN you@mox.test "{PASSWORD}"\r\nb SELECT INBOX\r\n'.encode())
        replies(sock, b"b OK")
        sock.sendall(b"c FETCH %d BODY.PEEK[]\r\n" % number)
        file = sock.makefile("rb")
        size = int(file.readline().rpartition(b"{")[2].strip(b"}\r\n"))
        digest, seen, started = hashlib.sha256(), 0, False
        while seen < size:
            piece = file.read(min(65536, size - seen))
            seen += len(piece)
            if not started:
                piece, started = piece[piece.index(HEAD) :], True
            digest.update(piece)
        return digest.hexdigest(), size


def sent_digest() -> str:
    digest = hashlib.sha256(HEAD)
    for _ in range(body_blocks()):
        digest.update(BLOCK)
    digest.update(TAIL)
    return digest.hexdigest()


@pytest.fixture
def server(start: Start) -> Moxd:
    return start(workers=1)


def stayed_small(server: Moxd) -> None:
    for pid in server.pids():
        assert peak_memory(pid) < PEAK, f"{peak_memory(pid) / MB:.0f} MB"


def test_100_mb_in_by_smtp_and_out_by_fetch(server: Moxd) -> None:
    with connect(server, "smtp") as sock:
        replies(sock, b"220 ")
        sock.sendall(b"EHLO mx.sender.test\r\n")
        replies(sock, b"250 ")
        for command, code in (
            (b"MAIL FROM:<a@sender.test>", b"250 "),
            (b"RCPT TO:<you@mox.test>", b"250 "),
            (b"DATA", b"354 "),
        ):
            sock.sendall(command + b"\r\n")
            replies(sock, code)
        sock.sendall(HEAD)
        for _ in range(body_blocks()):
            sock.sendall(BLOCK)
        sock.sendall(TAIL + b".\r\n")
        replies(sock, b"250 ")
    stayed_small(server)
    digest, size = read_whole(server, 1)
    assert digest == sent_digest()
    assert size > SIZE - MB
    stayed_small(server)


def test_100_mb_by_append_copy_and_search(server: Moxd) -> None:
    size = len(HEAD) + body_blocks() * len(BLOCK) + len(TAIL)
    with connect(server, "imaps") as sock:
        assert isinstance(sock, ssl.SSLSocket)
        replies(sock, b"* OK")
        sock.sendall(f'a LOGIN you@mox.test "{PASSWORD}"\r\n'.encode())
        replies(sock, b"a OK")
        sock.sendall(b"b APPEND INBOX {%d}\r\n" % size)
        replies(sock, b"+ ")
        sock.sendall(HEAD)
        for _ in range(body_blocks()):
            sock.sendall(BLOCK)
        sock.sendall(TAIL + b"\r\n")
        replies(sock, b"b OK")
        sock.sendall(b"c SELECT INBOX\r\nd SEARCH TEXT nowhere-to-be-found\r\n")
        assert b"* SEARCH\r\n" in replies(sock, b"d OK")
        sock.sendall(b"e CREATE There\r\nf COPY 1 There\r\n")
        replies(sock, b"f OK")
    digest, _ = read_whole(server, 1)
    assert digest == sent_digest()
    stayed_small(server)


def test_100_mb_submitted_signed_queued_and_delivered(server: Moxd) -> None:
    with connect(server, "submissions") as sock:
        replies(sock, b"220 ")
        login = base64.b64encode(f"\0other@mox.test\0{PASSWORD}".encode())
        for command, code in (
            (b"EHLO client.mox.test", b"250 "), (b"AUTH PLAIN " + login, b"235 "), (b"MAIL FROM:<other@mox.test>", b"250 "),
            (b"RCPT TO:<you@mox.test>", b"250 "), (b"DATA", b"354 "),
        ):  # fmt: skip
            sock.sendall(command + b"\r\n")
            replies(sock, code)
        sock.sendall(HEAD.replace(b"From: a@sender.test", b"From: other@mox.test"))
        for _ in range(body_blocks()):
            sock.sendall(BLOCK)
        sock.sendall(TAIL + b".\r\n")
        replies(sock, b"250 ")
    client = mailbox(server)
    until(lambda: client.noop() and client.search(None, "LARGER", str(SIZE - MB))[1] == [b"1"], 60)
    head = client.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1]  # type: ignore[index]
    client.logout()
    assert b"DKIM-Signature: v=1;" in head  # type: ignore[operator]
    stayed_small(server)


def test_too_large_is_said_before_and_after(server: Moxd) -> None:
    with connect(server, "smtp") as sock:
        replies(sock, b"220 ")
        sock.sendall(b"EHLO mx.sender.test\r\n")
        assert b"SIZE 104857600" in replies(sock, b"250 ")
        sock.sendall(b"MAIL FROM:<a@sender.test> SIZE=104857601\r\n")
        assert b"552 5.3.4" in replies(sock, b"552")
        sock.sendall(b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<you@mox.test>\r\nDATA\r\n")
        replies(sock, b"354 ")
        for _ in range(101 * MB // len(BLOCK) + 1):
            sock.sendall(BLOCK)
        sock.sendall(b"\r\n.\r\n")
        assert b"552 5.3.4" in replies(sock, b"552")
        sock.sendall(b"NOOP\r\n")
        replies(sock, b"250 ")
    stayed_small(server)
