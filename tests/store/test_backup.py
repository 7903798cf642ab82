from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mox_message import Content
from mox_store import BLOB_LIMIT, Account, Added, NewMessage, Store, StoreError, Traits, check, testing
from mox_store.backup import Backup
from mox_store.wal import Presence


def contents(account: Account) -> list[tuple[str, int, bytes]]:
    """Every message."""
    return [
        (mailbox.name, row.uid, account.content(row.message).read())
        for mailbox in account.mailboxes()
        for row in account.rows(mailbox.id, range(1, mailbox.uidnext))
    ]


@pytest.fixture
def filled(store: Store, deliver: Callable[..., Added]) -> Store:
    """Two accounts; one has large and small mail."""
    for number in range(30):
        deliver(f"Subject: {number}\r\n\r\n" + "small " * 100)
    deliver(b"Subject: large\r\n\r\n" + b"x" * 700_000)
    store.open("lee")
    return store


def test_there_and_back(filled: Store, tmp_path: Path, clock: Any) -> None:
    account = filled.open("kim")
    backup = Backup(tmp_path / "backup")
    taken = backup.take(filled.folder, clock())
    assert taken.accounts == ["kim", "lee"]
    assert backup.verify(deep=True).problems == []
    before = contents(account)
    clock.now += 50
    back = backup.restore(tmp_path / "restored", clock())
    assert back.problems == []
    other = Store(tmp_path / "restored", clock=clock, disk=testing.QuickDisk())
    restored = other.open("kim")
    assert contents(restored) == before
    assert check.check(restored).clean
    mine, theirs = account.mailbox("Inbox"), restored.mailbox("Inbox")
    assert mine is not None
    assert theirs is not None
    assert theirs.uidvalidity > max(box.uidvalidity for box in account.mailboxes())  # clients read it anew
    assert theirs.uidnext > mine.uidnext
    other.close()


def test_uidvalidity_may_be_kept(filled: Store, tmp_path: Path, clock: Any) -> None:
    backup = Backup(tmp_path / "backup")
    backup.take(filled.folder, clock())
    backup.restore(tmp_path / "restored", clock(), accounts=("kim",), keep_uidvalidity=True)
    other = Store(tmp_path / "restored", clock=clock, disk=testing.QuickDisk())
    assert other.names() == ["kim"]
    mine, theirs = filled.open("kim").mailbox("Inbox"), other.open("kim").mailbox("Inbox")
    assert mine is not None
    assert theirs is not None
    assert theirs.uidvalidity == mine.uidvalidity
    other.close()


def test_only_what_is_new_is_written(filled: Store, deliver: Callable[..., Added], tmp_path: Path, clock: Any) -> None:
    backup = Backup(tmp_path / "backup")
    first = backup.take(filled.folder, clock())
    clock.now += 1
    same = backup.take(filled.folder, clock())
    assert same.written < first.written / 5
    deliver("one more")
    clock.now += 1
    third = backup.take(filled.folder, clock())
    assert third.written < first.written
    assert backup.generations() == [first.generation, same.generation, third.generation]
    one, three = (contents_of(backup, name, tmp_path, clock) for name in (first.generation, third.generation))
    assert len(three) == len(one) + 1
    assert backup.prune(1) > 0
    assert backup.generations() == [third.generation]
    assert backup.verify(deep=True).problems == []


def contents_of(backup: Backup, generation: str, tmp_path: Path, clock: Any) -> list[tuple[str, int, bytes]]:
    """What a generation holds."""
    backup.restore(tmp_path / generation, clock(), generation)
    store = Store(tmp_path / generation, clock=clock, disk=testing.QuickDisk())
    found = contents(store.open("kim"))
    store.close()
    return found


def test_while_mail_comes_in(filled: Store, tmp_path: Path, clock: Any) -> None:
    """Another thread with its own store delivers all the while; each generation is whole and consistent."""
    stop = threading.Event()

    def deliveries() -> None:
        other = Store(filled.folder, clock=clock, disk=testing.QuickDisk())
        account, number = other.open("kim"), 0
        while not stop.is_set():
            data = Content.of(b"Subject: x\r\n\r\n" + b"%d " % number * (20_000 if number % 5 == 0 else 10))
            staged = account.segments.stage(data) if data.size > BLOB_LIMIT else None
            with account.write() as tx:
                tx.add(tx.mailbox("Inbox"), NewMessage(data, Traits(b"", b"", b""), 1.0, staged=staged))
            number += 1
            stop.wait(0.01)
        other.close()

    thread = threading.Thread(target=deliveries)
    thread.start()
    backup, sizes = Backup(tmp_path / "backup"), []
    try:
        for _ in range(3):
            clock.now += 1
            backup.take(filled.folder, clock())
            assert backup.verify(deep=True).problems == []
            sizes.append(len(contents_of(backup, backup.generations()[-1], tmp_path, clock)))
    finally:
        stop.set()
        thread.join()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_damage_is_found_and_named(filled: Store, tmp_path: Path, clock: Any) -> None:
    backup = Backup(tmp_path / "backup")
    backup.take(filled.folder, clock())
    pieces = sorted((tmp_path / "backup" / "chunks").glob("*/*"))
    pieces[0].write_bytes(pieces[0].read_bytes()[:-1] + b"?")
    pieces[1].unlink()
    problems = backup.verify().problems
    assert len(problems) == 2
    assert any("is damaged; used by " in one for one in problems)
    assert any("is missing" in one for one in problems)
    with pytest.raises(StoreError, match=r"damaged|missing"):
        backup.restore(tmp_path / "restored", clock())
    other = Store(tmp_path / "restored", clock=clock)
    assert other.names() == []  # nothing half restored shows
    other.close()


@pytest.mark.parametrize(
    "accounts",
    [
        {"../kim": {"account.db": []}},
        {"kim": {"../../etc/passwd": []}},
        {"kim": {"/etc/passwd": []}},
        {"kim": {"segments/../x.seg": []}},
        {"kim": {"account.db": ["../../secret"]}},
        {"kim": [1]},
        5,
    ],
)
def test_a_backup_from_strangers_leads_nowhere(tmp_path: Path, accounts: object, clock: Any) -> None:
    folder = tmp_path / "backup" / "generations"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text(json.dumps({"format": 1, "taken": 1.0, "accounts": accounts}))
    with pytest.raises(StoreError, match="cannot be read"):
        Backup(tmp_path / "backup").restore(tmp_path / "restored", clock())


def test_one_backup_at_a_time_and_leftovers_go(filled: Store, tmp_path: Path, clock: Any) -> None:
    backup = Backup(tmp_path / "backup")
    backup.take(filled.folder, clock())
    leftovers = [tmp_path / "backup" / name for name in ("taking-x", "chunks/00.part", "generations/7.json.part")]
    for path in leftovers:
        path.write_bytes(b"half")
    clock.now += 1
    running = Presence(tmp_path / "backup" / "backup")
    assert running.alone()
    with pytest.raises(StoreError, match="another backup is writing"):
        backup.take(filled.folder, clock())
    running.close()
    backup.take(filled.folder, clock())
    assert not any(path.exists() for path in leftovers)


def test_what_cannot_be_is_said(filled: Store, tmp_path: Path, clock: Any) -> None:
    backup = Backup(tmp_path / "backup")
    with pytest.raises(StoreError, match="holds no backup"):
        backup.verify()
    with pytest.raises(StoreError, match="holds no accounts"):
        backup.take(tmp_path / "nothing", clock())
    backup.take(filled.folder, clock())
    with pytest.raises(StoreError, match="one a second"):
        backup.take(filled.folder, clock())
    with pytest.raises(StoreError, match="has no generation 5"):
        backup.restore(tmp_path / "r", clock(), "5")
    with pytest.raises(StoreError, match="has no account 'eve'"):
        backup.restore(tmp_path / "r", clock(), accounts=("eve",))
    with pytest.raises(StoreError, match="is there already"):
        backup.restore(filled.folder, clock())
    (tmp_path / "backup" / "generations" / "9.json").write_text('{"format": 99}')
    with pytest.raises(StoreError, match="newer version"):
        backup.generation("9")
