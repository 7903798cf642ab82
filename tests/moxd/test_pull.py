"""Another server that does not do what it should: nothing is lost without a word."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from mox_imap.aio import Fetched
from moxd import pull as pull_room
from moxd.pull import Place, Pull, PullError, Remote


class Server:
    """Of mox_imap.aio.Client what a pull asks; uids with their messages."""

    def __init__(self, messages: dict[int, bytes]) -> None:
        self.messages = messages
        self.silent: dict[int, int] = {}  # uid -> how often its body is left out
        self.gone: set[int] = set()  # expunged when its body is asked for
        self.cut: dict[int, int] = {}  # uid -> octets of a piece-wise FETCH
        self.sizes: dict[int, int] = {}  # uid -> what is said of its size

    async def select(self, name: str, *, read_only: bool) -> Any:
        return SimpleNamespace(uidvalidity=7)

    async def search(self, criteria: str, *, uid: bool) -> list[int]:
        first, _, last = criteria.removeprefix("UID ").partition(":")
        high = 2**32 if last == "*" else int(last or first)
        return [one for one in self.messages if int(first) <= one <= high]

    async def fetch(self, of: Iterable[int], *items: str, uid: bool) -> list[Fetched]:
        found = []
        for number in list(of):  # type: ignore[arg-type]
            body = next((item for item in items if item.startswith("BODY")), None)
            if body is not None and number in self.gone:
                self.messages.pop(number, None)
            if number not in self.messages:
                continue
            said: dict[str, Any] = {"UID": number, "FLAGS": (), "RFC822.SIZE": self._size(number)}
            if body == "BODY.PEEK[]":
                if self.silent.get(number, 0) > 0:
                    self.silent[number] -= 1
                else:
                    said["BODY[]"] = self.messages[number]
            elif body is not None:
                start, _, length = body.partition("<")[2].rstrip(">").partition(".")
                whole = self.messages[number][: self.cut.get(number, 2**40)]
                said[f"BODY[]<{start}>"] = whole[int(start) : int(start) + int(length)]
            found.append(Fetched(number, said))
        return found

    def _size(self, number: int) -> int:
        return self.sizes.get(number, len(self.messages[number]))


def taken(server: Server, position: str = "") -> list[tuple[str, bytes]]:
    pull = Pull(Place("mail.test", 993, True, "kim"), "", ssl.create_default_context())
    pull._client = server  # type: ignore[assignment]
    try:
        source = pull.source(Remote("INBOX", "Inbox", "", True))
        return [(letter.position, letter.content.read()) for letter in source.read(position)]
    finally:
        pull._client = None
        pull._loop.close()


MESSAGES = {number: b"message %d\r\n" % number for number in range(1, 5)}


def test_a_message_without_a_body_is_asked_for_again() -> None:
    server = Server(dict(MESSAGES))
    server.silent = {2: 1, 3: 1}
    assert [body for _, body in taken(server)] == list(MESSAGES.values())


def test_one_that_never_comes_stops_the_import_before_it() -> None:
    server = Server(dict(MESSAGES))
    server.silent = {3: 99}
    pull = Pull(Place("mail.test", 993, True, "kim"), "", ssl.create_default_context())
    pull._client = server  # type: ignore[assignment]
    letters = iter(pull.source(Remote("INBOX", "Inbox", "", True)).read(""))
    assert [next(letters).position, next(letters).position] == ["7:1", "7:2"]
    with pytest.raises(PullError, match=r"message 3 .*does not give it"):
        next(letters)
    pull._client = None
    pull._loop.close()
    server.silent = {}
    assert [position for position, _ in taken(server, "7:2")] == ["7:3", "7:4"]


def test_one_that_was_expunged_meanwhile_is_passed_over() -> None:
    server = Server(dict(MESSAGES))
    server.gone = {2}
    assert [position for position, _ in taken(server)] == ["7:1", "7:3", "7:4"]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_room, "BATCH_BYTES", 1000)
    monkeypatch.setattr(pull_room, "PIECE", 400)


@pytest.mark.usefixtures("small_pieces")
def test_a_large_one_comes_in_pieces() -> None:
    large = b"x" * 1700
    assert taken(Server({1: b"a", 2: large}))[1] == ("7:2", large)


@pytest.mark.usefixtures("small_pieces")
def test_pieces_that_end_too_soon_are_not_the_message() -> None:
    server = Server({1: b"x" * 1700})
    server.cut = {1: 800}
    assert taken(server) == [("7:1", b"x" * 1700)], "it is asked for in one piece then"
    server.silent = {1: 99}
    with pytest.raises(PullError, match="800 of 1700 octets"):
        taken(server)


@pytest.mark.usefixtures("small_pieces")
def test_a_size_that_is_not_the_size() -> None:
    """Some servers only guess it: what they give in one piece is the message."""
    server = Server({1: b"x" * 1700})
    server.sizes = {1: 2000}
    assert taken(server) == [("7:1", b"x" * 1700)]


def test_other_numbers_begin_anew() -> None:
    assert [position for position, _ in taken(Server(dict(MESSAGES)), "6:4")] == ["7:1", "7:2", "7:3", "7:4"]
