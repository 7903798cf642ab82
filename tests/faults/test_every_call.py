"""Every single call to the disk fails once, for every call there is, and then for good: what was acknowledged is there
afterwards, `check` is clean, and the store works again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import mox_store
from faults.audit import audit
from faults.load import new_message
from kit.disks import small_disk, still_open
from kit.faulty import Faults, FaultyDisk, sqlite_faults
from mox_store import check, database

SMALL, LARGE = "small", "large"
ERRORS = [errno.ENOSPC, errno.EIO]


def test_the_tokens_are_what_they_say() -> None:
    assert new_message(SMALL).content.size < mox_store.BLOB_LIMIT < new_message(LARGE).content.size


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is some: hundreds of accounts are made, and their syncs prove nothing here."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="mox-faults-", dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.fixture
def faults() -> Iterator[Faults]:
    found = Faults()
    with sqlite_faults(found):
        yield found


def clock() -> float:
    """Any time does."""
    return 1_700_000_000.0


async def some_work(folder: Path, faults: Faults, said: list[str]) -> list[str]:
    """Opens, delivers, flags, moves, expunges, makes a mailbox, closes; the errors on the way."""
    errors: list[str] = []
    try:
        store = mox_store.Store(folder, clock=clock, loop=asyncio.get_running_loop(), disk=FaultyDisk(faults))
    except mox_store.StoreError as error:
        return [str(error)]
    try:
        account = store.open("kim")
        for token in (SMALL, LARGE, "small-2"):
            await attempt(errors, deliver(account, token, said))
        both = account.commit(lambda tx: tx.create("Letters")), account.commit(lambda tx: tx.create("Bills/2024"))
        for one in both:
            await attempt(errors, one)
        await attempt(errors, change(account, said))
        account.database.checkpoint()
    except mox_store.StoreError as error:
        errors.append(str(error))
    finally:
        store.close()
    return errors


async def attempt(errors: list[str], work: object) -> None:
    """Awaits; only StoreError may come."""
    try:
        await work  # type: ignore[misc]
    except mox_store.StoreError as error:
        errors.append(str(error))


async def deliver(account: mox_store.Account, token: str, said: list[str]) -> None:
    """load.deliver, with its lines kept."""
    new = new_message(token)
    said.append(f"try add {token}")
    staged = await account.stage(new.content) if new.content.size > mox_store.BLOB_LIMIT else None
    new = mox_store.NewMessage(new.content, new.traits, new.received, new.prefix, staged=staged)
    added = await account.commit(lambda tx: tx.add(tx.mailbox("Inbox"), new))
    said.append(f"did add {token} {added.uid}")


async def change(account: mox_store.Account, said: list[str]) -> None:
    """Flags and moves whatever is there."""
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    rows = list(account.rows(inbox.id, range(1, inbox.uidnext)))
    for row in rows:
        said.append(f"try flag {row.subject}")
        await account.commit(partial(flagged, uid=row.uid))
        said.append(f"did flag {row.subject} {row.uid}")
    for row in rows[:1]:
        said.append(f"try move {row.subject}")
        uid = await account.commit(partial(moved, uid=row.uid))
        said.append(f"did move {row.subject} {uid}")
    for row in rows[1:2]:
        said.append(f"try expunge {row.subject}")
        await account.commit(partial(expunged, uid=row.uid))
        said.append(f"did expunge {row.subject} {row.uid}")


def flagged(tx: mox_store.Transaction, uid: int) -> None:
    """An operation."""
    tx.flag(tx.mailbox("Inbox"), [uid], "add", ["\\Flagged"])


def moved(tx: mox_store.Transaction, uid: int) -> int:
    """An operation; the new uid."""
    return tx.move(tx.mailbox("Inbox"), [uid], tx.mailbox("Archive"))[0][1]


def expunged(tx: mox_store.Transaction, uid: int) -> None:
    """An operation."""
    tx.expunge(tx.mailbox("Inbox"), [uid], only_deleted=False)


def calls_of_some_work(folder: Path, faults: Faults) -> int:
    """How many calls there are to fail."""
    faults.arm(0, 0, lasting=False)
    assert asyncio.run(some_work(folder, faults, [])) == []
    return faults.count


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
def test_every_call(scratch: Path, faults: Faults, number: int, lasting: bool) -> None:
    total = calls_of_some_work(scratch / "good", faults)
    assert total > 80, faults.log
    silent = 0
    for at in range(1, total + 1):
        folder, said = scratch / f"n{at}", list[str]()
        faults.arm(at, number, lasting=lasting)
        errors = asyncio.run(some_work(folder, faults, said))
        what = f"call {at} of {total}, {faults.failed[:1]}: {errors}"
        faults.rest()
        silent += not errors
        assert not audit(folder, said, disk=mox_store.Disk()), what
        # And the store works again.
        after: list[str] = []
        assert asyncio.run(more_work(folder, after)) == [], what
        assert not audit(folder, said + after, disk=mox_store.Disk()), what
    # Checkpoints may fail without anybody noticing; deliveries may not.
    print(f"{total} calls, {silent} failures that needed no word")
    assert silent < total / 3, f"{silent} of {total} failures were not told"


async def more_work(folder: Path, said: list[str]) -> list[str]:
    """A delivery after the trouble."""
    store = mox_store.Store(folder, clock=clock, loop=asyncio.get_running_loop())
    try:
        await deliver(store.open("kim"), "after", said)
    finally:
        store.close()
    return []


def test_room_again(tmp_path: Path, faults: Faults) -> None:
    """A full disk refuses; when there is room, the same process goes on."""

    async def run() -> list[str]:
        said: list[str] = []
        store = mox_store.Store(tmp_path, clock=clock, loop=asyncio.get_running_loop(), disk=FaultyDisk(faults))
        account = store.open("kim")
        await deliver(account, SMALL, said)
        faults.arm(1, errno.ENOSPC, lasting=True)
        for token in ("small-1", LARGE):
            with pytest.raises(mox_store.StoreError, match="disk is full"):
                await deliver(account, token, said)
        faults.rest()
        for token in ("small-2", "large-8"):
            await deliver(account, token, said)
        assert check.check(account).clean
        store.close()
        return said

    said = asyncio.run(run())
    assert sum(line.startswith("did") for line in said) == 3
    assert audit(tmp_path, said, disk=mox_store.Disk()) == []


def test_after_a_failed_sync_nothing_is_taken_until_a_restart(tmp_path: Path, faults: Faults) -> None:
    async def run() -> None:
        said: list[str] = []
        store = mox_store.Store(tmp_path, clock=clock, loop=asyncio.get_running_loop(), disk=FaultyDisk(faults))
        account = store.open("kim")
        await deliver(account, SMALL, said)
        faults.arm(1, errno.EIO, lasting=False)
        real = faults.fails
        faults.fails = lambda what: what == "sync" and real(what)  # type: ignore[method-assign]
        with pytest.raises(mox_store.StoreError, match="sync failed"):
            await deliver(account, "small-1", said)
        with pytest.raises(mox_store.StoreError, match="until the program is restarted"):
            await deliver(account, "small-2", said)
        with pytest.raises(mox_store.StoreError, match="stop all that use it"):  # another process, while we are there
            mox_store.Store(tmp_path, clock=clock).open("kim")
        store.close()

    asyncio.run(run())
    assert audit(tmp_path, [f"did add {SMALL} 1", "try add small-1"], disk=mox_store.Disk()) == []
    assert not (tmp_path / "kim" / "account.db-broken").exists()


def test_disk_full_at_start(tmp_path: Path, faults: Faults) -> None:
    faults.arm(1, errno.ENOSPC, lasting=True)
    with pytest.raises(mox_store.StoreError, match="disk is full; make room"):
        mox_store.Store(tmp_path / "accounts", clock=clock, disk=FaultyDisk(faults)).open("kim")
    assert still_open(tmp_path, "self") == []
    faults.rest()
    mox_store.Store(tmp_path / "accounts", clock=clock).open("kim").close()


def test_really_full_disk_at_start(tmp_path: Path) -> None:
    """A file system of 64 KB: needs the right to mount one."""
    with small_disk(tmp_path / "room", "64k") as room:
        (room / "ballast").write_bytes(bytes(60 * 1024))
        with pytest.raises(mox_store.StoreError, match="disk is full"):
            mox_store.Store(room, clock=clock).open("kim")
        assert still_open(room, "self") == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: (folder / "kim").write_text("a file"), "kim: "),
        (lambda folder: (folder / "kim" / "account.db").mkdir(parents=True), "unable to open|cannot be opened"),
        (lambda folder: garbage(folder), "not a database"),
    ],
    ids=["a file in the way", "a folder in the way", "garbage"],
)
def test_what_is_in_the_way_is_named(tmp_path: Path, make: object, said: str) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(mox_store.StoreError, match=said):
        mox_store.Store(tmp_path, clock=clock).open("kim")
    assert still_open(tmp_path, "self") == []


def garbage(folder: Path) -> None:
    """Something else under the name of the database."""
    (folder / "kim").mkdir()
    (folder / "kim" / "account.db").write_bytes(b"not a database at all" * 500)


def salts(log: Path) -> bytes:
    """What SQLite draws anew when it begins the log anew (SQLite's file format, section 4.1)."""
    return log.read_bytes()[16:24]


def test_a_checkpoint_that_fails_is_tried_again(
    tmp_path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 50_000)

    said: list[str] = []

    async def run() -> None:
        store = mox_store.Store(tmp_path, clock=clock, loop=asyncio.get_running_loop(), disk=FaultyDisk(faults))
        account = store.open("kim")
        real, bad = faults.fails, True
        faults.fails = lambda what: (bad and what == "sqlite sync") or real(what)  # type: ignore[method-assign]
        for number in range(40):
            with contextlib.suppress(mox_store.StoreError):  # a writer that begins the log anew syncs too
                await deliver(account, f"small-{number}", said)
        log = tmp_path / "kim" / "account.db-wal"
        assert log.stat().st_size > 100_000
        began = salts(log)
        bad = False
        # How far the writer runs ahead of one checkpoint is up to the disk: what counts is that the log begins anew.
        for number in range(40, 2_000):
            await deliver(account, f"small-{number}", said)
            if number >= 160 and salts(log) != began:
                break
        else:
            raise AssertionError("the log never began anew")
        store.close()

    asyncio.run(run())
    with sqlite3.connect(tmp_path / "kim" / "account.db") as db:
        added = sum(line.startswith("did add") for line in said)
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (added,)
    db.close()
