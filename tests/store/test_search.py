from __future__ import annotations

import random
from itertools import chain
from pathlib import Path

import pytest

from mox_message import Content, parse
from mox_store import BLOB_LIMIT, NewMessage, Store, Traits, search, testing


def matches(needle: str):  # type: ignore[no-untyped-def]
    """A plain protocol: decoded text parts, case-folded."""

    def run(content: Content) -> bool:
        whole = content.read().decode("latin-1").casefold()
        parts = [
            part.text(content).casefold() for part in parse(content).walk() if part.type == "text" and not part.children
        ]
        return needle in whole.replace("\r\n", "") or any(needle in text for text in parts)

    return run


BODIES = [
    b"Subject: plain\r\n\r\nThe Quick brown fox\r\n",
    b"Subject: a\r\nContent-Transfer-Encoding: base64\r\n\r\ndGhlIHF1aWNrIGZveA==\r\n",
    b"Subject: b\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nqu=\r\nick f=C3=B6x\r\n",
    b"Subject: nothing\r\n\r\nslow dog\r\n",
    b"Subject: eight\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nf\xc3\xb6x \xe2\x84\xaaing\r\n",
    b"Subject: long\r\n\r\n" + b"x" * (BLOB_LIMIT * 40) + b"needle-at-the-end\r\n",
]


@pytest.mark.parametrize(
    ("needle", "uids"),
    [
        ("quick", [1, 2, 3]),
        ("quick brown", [1]),
        ("föx", [3, 5]),
        ("king", [5]),
        ("needle-at-the-end", [6]),
        ("slow", [4]),
        ("absent", []),
    ],
)
def test_scan(tmp_path: Path, needle: str, uids: list[int]) -> None:
    store = Store(tmp_path, clock=lambda: 1000.0, disk=testing.QuickDisk())
    account = store.open("kim")
    with account.write() as tx:
        for body in BODIES:
            content = Content.of(body)
            staged = account.segments.stage(content) if content.size > BLOB_LIMIT else None
            tx.add(tx.mailbox("Inbox"), NewMessage(content, Traits(b"", b"", b""), 1.0, staged=staged))
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    slices = list(search.scan(account, inbox.id, range(1, 20), needle, matches(needle)))
    assert list(chain.from_iterable(slices)) == uids
    some = chain.from_iterable(search.scan(account, inbox.id, [2, 4], needle, matches(needle)))
    assert list(some) == [uid for uid in uids if uid in (2, 4)]
    store.close()


def test_slices_are_small_and_the_octets_decide_most(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 1000.0, disk=testing.QuickDisk())
    account = store.open("kim")
    rng = random.Random(1)
    with account.write() as tx:
        for number in range(800):
            body = (
                b"Subject: n\r\n\r\n" + rng.randbytes(3000).hex().encode() + (b" needle" if number % 100 == 7 else b"")
            )
            tx.add(tx.mailbox("Inbox"), NewMessage(Content.of(body), Traits(b"", b"", b""), 1.0))
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    asked: list[int] = []

    def decide(content: Content) -> bool:
        asked.append(content.size)
        return True

    slices = list(search.scan(account, inbox.id, range(1, 801), "needle", decide))
    assert len(slices) >= 800 * 6000 // search.SLICE
    assert list(chain.from_iterable(slices)) == [8 + 100 * n for n in range(8)]
    assert len(asked) == 8
    store.close()


def test_a_needle_across_two_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PIECE", 16)
    probe = search._Probe("crossing")
    assert probe.possible(Content.of(b"0123456789abCROSSING"))
    assert probe.possible(Content.of(b"0123456789quoted-printablexxxx"))
    assert not probe.possible(Content.of(b"0123456789abcdef" * 10))
