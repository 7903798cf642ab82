from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mox_store import Database, Disk, StoreError, database, group

SCHEMA = "CREATE TABLE t (n INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);"


class Counting(Disk):
    """Counts the store's syncs."""

    def __init__(self) -> None:
        self.syncs = 0

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        super().sync(descriptor)


def insert(word: str) -> Callable[[sqlite3.Connection], int]:
    """An operation that adds a word."""

    def run(db: sqlite3.Connection) -> int:
        return db.execute("INSERT INTO t(word) VALUES(?)", (word,)).lastrowid or 0

    return run


def words(path: Path) -> list[str]:
    """What another connection sees."""
    with sqlite3.connect(path) as db:
        found = [word for (word,) in db.execute("SELECT word FROM t ORDER BY n")]
    db.close()
    return found


def opened(path: Path, **more: object) -> Database:
    """A database on the running loop."""
    return Database(path, SCHEMA, loop=asyncio.get_running_loop(), **more)  # type: ignore[arg-type]


# (requests at a time, flushes a request at most)
@pytest.mark.parametrize(("sessions", "most"), [(1, 1.0), (8, 0.3), (32, 0.1)])
def test_flushes_a_request(tmp_path: Path, sessions: int, most: float) -> None:
    """Requests that arrive while the disk syncs share the next sync."""
    each = 20

    async def run() -> tuple[int, int]:
        disk = Counting()
        db = opened(tmp_path / "a.db", disk=disk)
        before, flushes = disk.syncs, db.flushes

        async def session(number: int) -> None:
            for turn in range(each):
                await db.commit(insert(f"{number} {turn}"))

        await asyncio.gather(*(session(number) for number in range(sessions)))
        counted = disk.syncs - before, db.flushes - flushes
        db.close()
        return counted

    syncs, flushes = asyncio.run(run())
    assert syncs == flushes
    assert len(words(tmp_path / "a.db")) == sessions * each
    assert syncs <= most * sessions * each
    assert syncs >= each  # nobody is answered before a sync of his own group


def test_nobody_is_answered_before_the_sync(tmp_path: Path) -> None:
    """While the disk is slow, futures are not done; `durable` is called before them."""

    async def run() -> None:
        going, order = asyncio.Event(), list[str]()
        loop = asyncio.get_running_loop()

        class Slow(Disk):
            armed = False

            def sync(self, descriptor: int) -> None:
                if self.armed:
                    asyncio.run_coroutine_threadsafe(going.wait(), loop).result()
                super().sync(descriptor)

        disk = Slow()
        db = opened(tmp_path / "a.db", disk=disk)
        disk.armed = True
        first = db.commit(insert("one"), durable=lambda result: order.append(f"durable {result}"))
        first.add_done_callback(lambda _: order.append("done"))
        await asyncio.sleep(0.05)
        assert not first.done()
        assert db.busy
        assert words(tmp_path / "a.db") == ["one"]  # applied, and not yet promised
        second = db.commit(insert("two"))
        await asyncio.sleep(0.02)
        assert words(tmp_path / "a.db") == ["one"]  # the next group waits
        going.set()
        assert list(await asyncio.gather(first, second)) == [1, 2]
        assert order == ["durable 1", "done"]
        db.close()

    asyncio.run(run())


def test_only_the_guilty_are_undone(tmp_path: Path) -> None:
    async def run() -> list[object]:
        db = opened(tmp_path / "a.db")

        def wrong(connection: sqlite3.Connection) -> None:
            insert("half")(connection)
            raise ValueError("no")

        found = await asyncio.gather(
            db.commit(insert("a")), db.commit(wrong), db.commit(insert("a")), db.commit(insert("b")),
            return_exceptions=True,
        )  # fmt: skip
        db.close()
        return list(found)

    first, error, twice, last = asyncio.run(run())
    assert (first, last) == (1, 2)
    assert isinstance(error, ValueError)
    assert isinstance(twice, sqlite3.IntegrityError)
    assert words(tmp_path / "a.db") == ["a", "b"]


def test_a_group_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long operations do not keep the loop: they are spread over several groups."""
    monkeypatch.setattr(group, "GROUP_SECONDS", 0.0)

    async def run() -> int:
        db = opened(tmp_path / "a.db")
        before = db.flushes
        await asyncio.gather(*(db.commit(insert(str(number))) for number in range(5)))
        counted = db.flushes - before
        db.close()
        return counted

    assert asyncio.run(run()) == 5


def test_the_loop_does_not_wait_for_another_process(tmp_path: Path) -> None:
    async def run() -> None:
        db = opened(tmp_path / "a.db")
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = db.commit(insert("later"))
        for _ in range(20):
            start = asyncio.get_running_loop().time()
            await asyncio.sleep(0.001)
            assert asyncio.get_running_loop().time() - start < 0.5
        assert not waiting.done()
        other.execute("COMMIT")
        other.close()
        assert await asyncio.wait_for(waiting, 5) == 1
        db.close()

    asyncio.run(run())


def test_a_lock_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "LOCK_SECONDS", 0.05)

    async def run() -> None:
        db = opened(tmp_path / "a.db")
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program holds the lock"):
            await db.commit(insert("never"))
        other.close()
        assert await db.commit(insert("now")) == 1
        db.close()

    asyncio.run(run())


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "WAITING_MOST", 3)

    async def run() -> None:
        db = opened(tmp_path / "a.db")
        made = [db.commit(insert(str(number))) for number in range(4)]
        with pytest.raises(StoreError, match="3 changes are waiting"):
            await made[3]
        assert await asyncio.gather(*made[:3]) == [1, 2, 3]
        db.close()

    asyncio.run(run())


def test_closing_fails_what_waits(tmp_path: Path) -> None:
    async def run() -> None:
        db = opened(tmp_path / "a.db")
        waiting = db.commit(insert("never"))
        db.close()
        with pytest.raises(StoreError, match="closing"):
            await waiting
        with pytest.raises(StoreError, match="closed"):
            await db.commit(insert("never"))
        db.close()

    asyncio.run(run())


def test_the_log_stays_bounded_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints find their moment although somebody always writes."""
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 200_000)
    turns = itertools.count()

    async def run() -> None:
        db = opened(tmp_path / "a.db")

        async def session(number: int) -> None:
            for _ in range(50):
                await db.commit(insert(f"{number} {next(turns)} " + "x" * 4000))

        sizes = [0]
        # How soon the moment comes is the machine's business; that it comes is ours.
        for _ in range(12):
            await asyncio.gather(*(session(number) for number in range(8)))
            sizes.append((tmp_path / "a.db-wal").stat().st_size)
            if sizes[-1] == sizes[-2]:
                break
        assert sizes[-1] == sizes[-2], f"the log grew all the time: {sizes}"
        db.close()

    asyncio.run(run())


def test_the_log_stays_bounded_without_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command lines write much, too."""
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 200_000)
    db = Database(tmp_path / "a.db", SCHEMA)
    for number in range(60):
        with db.write() as connection:
            for one in range(10):
                insert(f"{number} {one} " + "x" * 4000)(connection)
    assert (tmp_path / "a.db-wal").stat().st_size < 1_000_000
    db.close()


def test_full_durability_syncs_inside(tmp_path: Path) -> None:
    async def run() -> None:
        disk = Counting()
        db = opened(tmp_path / "a.db", disk=disk, durability="full")
        before = disk.syncs
        assert await db.commit(insert("a")) == 1
        assert disk.syncs == before
        assert db.rows("PRAGMA synchronous") == [(2,)]
        db.close()

    asyncio.run(run())


def test_upgrades_run_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Database(path, SCHEMA).close()
    done: list[int] = []

    def upgrade(version: int) -> Callable[[sqlite3.Connection], None]:
        def run(db: sqlite3.Connection) -> None:
            done.append(version)
            db.execute(f"ALTER TABLE t ADD COLUMN c{version} INTEGER")

        return run

    for _ in range(2):
        made = Database(path, SCHEMA, {1: upgrade(1), 2: upgrade(2)})
        assert made.rows("PRAGMA user_version") == [(3,)]
        made.close()
    assert done == [1, 2]


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Database(path, SCHEMA).close()

    def bad(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE t ADD COLUMN half INTEGER")
        raise StoreError("cannot")

    with pytest.raises(StoreError, match="cannot"):
        Database(path, SCHEMA, {1: bad})
    old = Database(path, SCHEMA)
    assert old.rows("PRAGMA user_version") == [(1,)]
    assert [row[1] for row in old.rows("PRAGMA table_info(t)")] == ["n", "word"]
    old.close()


def test_a_newer_format_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    Database(path, SCHEMA, {1: lambda db: None, 2: lambda db: None}).close()
    with pytest.raises(StoreError, match=r"a\.db was written by a newer version .* knows 1\): update this program"):
        Database(path, SCHEMA)


def test_blocking_write_and_reads(tmp_path: Path) -> None:
    db = Database(tmp_path / "a.db", SCHEMA)
    with db.write() as connection:
        insert("a")(connection)

    def half() -> None:
        with db.write() as connection:
            insert("b")(connection)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        half()
    assert db.rows("SELECT word FROM t") == [("a",)]
    assert db.row("SELECT word FROM t WHERE n=?", (2,)) is None
    with db.read() as one, sqlite3.connect(tmp_path / "a.db") as other:
        assert one.execute("SELECT count(*) FROM t").fetchone() == (1,)
        other.execute("INSERT INTO t(word) VALUES('c')")
        other.commit()
        assert one.execute("SELECT count(*) FROM t").fetchone() == (1,)
    other.close()
    assert db.row("SELECT count(*) FROM t") == (2,)
    db.close()
    with pytest.raises(StoreError, match="closed"), db.write():
        pass


def test_a_mistake_in_sql_is_no_store_error(tmp_path: Path) -> None:
    db = Database(tmp_path / "a.db", SCHEMA)
    with pytest.raises(sqlite3.ProgrammingError):
        db.rows("SELECT ?", ())
    db.close()
