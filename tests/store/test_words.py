from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import Content
from mox_store import Account, Added, NewMessage, Store, StoreError, Traits, check, search, testing, words


def text_of(content: Content) -> str:
    return content.read().decode("utf-8", "replace")


def matching(needle: str) -> Callable[[Content], bool]:
    return lambda content: needle in text_of(content).casefold()


def test_only_candidates_are_looked_at(account: Account, deliver: Callable[..., Added]) -> None:
    assert words.candidates(account, "needle") is None
    with pytest.raises(StoreError, match="begin it"):
        words.fill_blocking(account, text_of)
    for number in range(120):
        deliver(f"Subject: {number}\r\n\r\n" + ("a NEEDLE here" if number % 40 == 3 else "hay"))
    words.begin(account)
    words.begin(account)
    assert [words.fill_blocking(account, text_of) for _ in range(4)] == [50, 50, 20, 0]
    deliver("fresh needle, not indexed yet")
    looked: list[int] = []

    def decide(content: Content) -> bool:
        looked.append(1)
        return matching("needle")(content)

    found = words.candidates(account, "needle")
    uids = list(chain.from_iterable(search.scan(account, 1, range(1, 122), "needle", decide, found)))
    assert uids == [4, 44, 84, 121]
    assert len(looked) == 4
    assert words.candidates(account, "ne") is None
    assert check.check(account).clean
    words.end(account)
    assert words.candidates(account, "needle") is None


def test_long_texts_are_always_candidates(
    account: Account, deliver: Callable[..., Added], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "TEXT_MOST", 100)
    one = deliver("x" * 200 + "needle")
    two = deliver("short")
    words.begin(account)
    words.fill_blocking(account, text_of)
    found = words.candidates(account, "needle")
    assert found is not None
    assert one.message in found
    assert two.message not in found


def test_on_a_loop(tmp_path: Path, clock: Any) -> None:
    async def run() -> None:
        store = Store(tmp_path, clock=clock, loop=asyncio.get_running_loop(), disk=testing.QuickDisk())
        account = store.open("kim")
        new = NewMessage(Content.of(b"some text"), Traits(b"", b"", b""), 1.0)
        await account.commit(lambda tx: tx.add(tx.mailbox("Inbox"), new))
        words.begin(account)
        # Two that read the same messages: the second finds that the first was quicker.
        assert list(await asyncio.gather(words.fill(account, text_of), words.fill(account, text_of))) == [1, 0]
        found = words.candidates(account, "text")
        assert found is not None
        assert 1 in found
        store.close()

    asyncio.run(run())


LETTERS = st.text(alphabet='aAbß"*İ \n日é', max_size=12)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(LETTERS, min_size=1, max_size=6), needle=LETTERS)
def test_nothing_that_matches_is_ruled_out(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], needle: str
) -> None:
    store = Store(tmp_path_factory.mktemp("words"), clock=lambda: 1000.0, disk=testing.QuickDisk())
    account = store.open("kim")
    with account.write() as tx:
        added = [
            tx.add(tx.mailbox("Inbox"), NewMessage(Content.of(text.encode()), Traits(b"", b"", b""), 1.0))
            for text in texts
        ]
    words.begin(account)
    words.fill_blocking(account, text_of)
    found = words.candidates(account, needle.casefold())
    for text, one in zip(texts, added, strict=True):
        if needle.casefold() in text.casefold():
            assert found is None or one.message in found
    store.close()
