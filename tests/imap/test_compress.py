"""COMPRESS=DEFLATE (RFC 4978), UNAUTHENTICATE (RFC 8437), INPROGRESS (RFC 9585), PREAUTH."""

from __future__ import annotations

import zlib

from kit.imap_rooms import CLOCK, Room, message, numbered
from kit.play_imap import Client
from mox_imap import ImapServer


class Squeezed:
    """A client that has said COMPRESS."""

    def __init__(self, room: Room) -> None:
        self.client = room.logged_in()
        assert self.client.ask("a COMPRESS DEFLATE")[-1].startswith("a OK")
        self.deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)

    def ask(self, data: bytes, cut: int = 10**9) -> bytes:
        packed = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return self.raw(packed, cut)

    def raw(self, packed: bytes, cut: int = 10**9) -> bytes:
        session, out = self.client.session, b""
        for at in range(0, len(packed), cut):
            session.receive(packed[at : at + cut], 0.0)
            while True:
                session.run()
                out += session.outgoing()
                if not session.busy:
                    break
        return self.inflate.decompress(out)


def test_both_ways() -> None:
    room = Room(message("m", "x" * 300_000))
    squeezed = Squeezed(room)
    assert squeezed.ask(b"b SELECT Inbox\r\n").endswith(b"b OK [READ-WRITE] opened\r\n")
    assert b"x" * 300_000 in squeezed.ask(b"c FETCH 1 BODY[]\r\n")
    assert squeezed.ask(b"d COMPRESS DEFLATE\r\n").startswith(b"d NO [COMPRESSIONACTIVE]")
    assert squeezed.ask(b"e APPEND Inbox {200000+}\r\n" + b"y" * 200_000 + b"\r\nf NOOP\r\n", cut=7).count(b" OK ") == 2
    assert b"COMPRESS" not in squeezed.ask(b"g CAPABILITY\r\n")


def test_what_came_with_the_command_is_compressed_already() -> None:
    client = numbered(1).logged_in()
    client.session.receive(b"a COMPRESS DEFLATE\r\n" + zlib.compress(b"b NOOP\r\n", wbits=-15)[:-2] + b"", 0.0)
    deflate = zlib.compressobj(wbits=-15)
    client = numbered(1).logged_in()
    packed = deflate.compress(b"b NOOP\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH)
    client.session.receive(b"a COMPRESS DEFLATE\r\n" + packed, 0.0)
    client.session.run()
    said = client.session.outgoing()
    plain, _, rest = said.partition(b"\r\n")
    assert plain.startswith(b"a OK")
    assert zlib.decompressobj(-15).decompress(rest).startswith(b"b OK")


def test_a_bomb_is_a_long_line() -> None:
    squeezed = Squeezed(numbered(1))
    said = squeezed.ask(b"x" * 100_000_000)
    assert b"BYE" in said
    assert squeezed.client.session.ended


def test_nonsense() -> None:
    squeezed = Squeezed(numbered(1))
    assert b"* BYE that is not DEFLATE" in squeezed.raw(b"\xff" * 100)
    client = Room(compress=False).logged_in()
    assert "COMPRESS" not in client.ask("a CAPABILITY")[0]
    assert client.ask("a COMPRESS DEFLATE")[-1].startswith("a BAD")
    assert Room().logged_in().ask("a COMPRESS LZ4")[-1].startswith("a BAD")


def test_unauthenticate() -> None:
    room = numbered(1)
    room.backend.add("bob", "secret")
    client = room.selected("ENABLE QRESYNC IMAP4rev2 UIDONLY")
    assert client.ask("a UNAUTHENTICATE")[-1].startswith("a OK [CAPABILITY IMAP4rev2")
    assert not room.account._boxes["Inbox"].open
    assert client.ask("b SELECT Inbox")[-1].startswith("b BAD")
    assert client.ask("c LOGIN bob secret")[-1].startswith("c OK")
    said = client.ask("d SELECT Inbox")
    assert "* 0 RECENT" in said
    assert client.ask("e SEARCH ALL")[0] == "* SEARCH"


def test_progress_is_told() -> None:
    client = numbered(3000).selected()
    session = client.session
    assert isinstance(session, ImapServer)
    session.receive(b"a SEARCH TEXT nothing\r\n", 0.0)
    said, now = b"", 0.0
    while not said.endswith(b"a OK SEARCH done\r\n"):
        session.run(now)
        said += session.outgoing()
        now += 3.0
    lines = [line for line in said.split(b"\r\n") if b"INPROGRESS" in line]
    assert lines[0].startswith(b'* OK [INPROGRESS ("a" ')
    assert lines[0].endswith(b" 3000)] still at it")
    assert len(lines) <= now / 10
    quick = numbered(3000).selected().ask("a SEARCH TEXT nothing")
    assert not any("INPROGRESS" in line for line in quick)


def test_who_is_known_already_is_greeted() -> None:
    room = numbered(1)
    session = ImapServer(room.config, room.backend, now=0.0, clock=lambda: CLOCK, account=room.account)
    client = Client(session)
    assert client.said[0].startswith("* PREAUTH [CAPABILITY ")
    assert " AUTH=" not in client.said[0]
    client.said.clear()
    assert client.ask("a SELECT Inbox")[-1].startswith("a OK")


def test_a_login_cannot_be_put_off_for_ever() -> None:
    session = Room().session().session
    assert isinstance(session, ImapServer)
    for second in range(0, 170, 10):
        session.receive(b"x", float(second))
        session.run()
    assert session.deadline() == 180.0
