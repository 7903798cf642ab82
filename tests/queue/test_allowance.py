from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kit.queue_world import DAY, OK, START, World, always, message
from kit.virtual_time import run_virtual
from mox_queue import Allowance, OverLimit, Spent, open_rows, over, schema
from mox_queue.rows import SMALL, UPGRADES

AT = START - 3600

# (allowance, spent, recipients, first-time ones) -> what is too much, and may it come later?
CASES = {
    "no limit": ((Allowance(), Spent(10**6, 10**6, AT), 1000, 1000), None),
    "room": ((Allowance(10, 5), Spent(8, 4, AT), 2, 1), None),
    "too many": ((Allowance(10, 5), Spent(8, 4, AT), 3, 1), ("recipients", True)),
    "too many new ones": ((Allowance(10, 5), Spent(8, 4, AT), 2, 2), ("first-time recipients", True)),
    "known ones still go": ((Allowance(10, 5), Spent(5, 5, AT), 5, 0), None),
    "alone too many": ((Allowance(10, 5), Spent(8, 4, AT), 11, 1), ("recipients", False)),
    "alone too many, nothing sent": ((Allowance(10, 5), Spent(), 11, 1), ("recipients", False)),
    "only new ones are limited": ((Allowance(0, 5), Spent(10**6, 4, AT), 1000, 1), None),
}


@pytest.mark.parametrize("asked, want", CASES.values(), ids=CASES)
def test_over(asked: tuple[Allowance, Spent, int, int], want: tuple[str, bool] | None) -> None:
    found = over(*asked)
    assert (found and (found.what, found.again is not None)) == want
    if found is not None and found.again is not None:
        assert found.again == AT + DAY
        assert str(found.most) in str(found)


def test_a_day_is_any_day(tmp_path: Path) -> None:
    """What is too much is not queued at all, not even in part; a day later there is room again."""
    world, allowance = World(tmp_path, always(OK)), Allowance(3, 2)

    async def life() -> None:
        add = world.queue.add
        await add(message(1, "a@x.example", "b@x.example"), allowance=allowance)
        with pytest.raises(OverLimit, match="first-time recipients") as caught:
            await add(message(2, "C@x.example", arrived=START + 60), allowance=allowance)
        assert caught.value.over.again == START + DAY
        await add(message(3, "A@X.example", arrived=START + 60), allowance=allowance)
        with pytest.raises(OverLimit, match="you wrote to 3 recipients within 24 hours and may to 3; 1 more must wait"):
            await add(message(4, "a@x.example", arrived=START + DAY - 1), allowance=allowance)
        await add(message(5, "c@x.example", account="other"), allowance=allowance)
        await add(message(6, "c@x.example", arrived=START + DAY + 1), allowance=allowance)

    run_virtual(life())
    assert [address for address, _ in world.states()] == [
        "a@x.example", "b@x.example", "A@X.example", "c@x.example", "c@x.example",
    ]  # fmt: skip
    assert world.rows.spent("you", START + DAY) == Spent(1, 1, START + DAY + 1)
    world.close()


def test_a_large_message_that_is_too_much_leaves_no_file(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))

    async def life() -> None:
        with pytest.raises(OverLimit):
            await world.queue.add(
                message(1, "a@x.example", "b@x.example", content=b"x" * (SMALL + 1)), allowance=Allowance(1)
            )

    run_virtual(life())
    assert not list((tmp_path / "messages").iterdir())
    assert world.states() == []
    world.close()


def test_large_content_is_shared_by_messages_added_together(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))
    one = message(1, "a@x.example", content=b"x" * (SMALL + 1))
    two = type(one)(**{**{name: getattr(one, name) for name in one.__slots__}, "id": 2, "fromid": "two"})

    async def life() -> None:
        await world.queue.add(one, two)
        await world.run(10)

    run_virtual(life())
    assert sorted(batch.content.size for _, batch in world.carrier.took) == [SMALL + 1, SMALL + 1]
    assert len({path.stat().st_ino for path in (tmp_path / "messages").iterdir()}) == 1
    world.rows.drop_file(1)
    assert world.rows.content(2).read() == b"x" * (SMALL + 1)  # type: ignore[union-attr]
    world.close()


OLD = """
CREATE TABLE message (id INTEGER PRIMARY KEY, sender TEXT NOT NULL, account TEXT NOT NULL, arrived REAL NOT NULL,
    smtputf8 INTEGER NOT NULL, eightbit INTEGER NOT NULL, tls TEXT NOT NULL, ret TEXT NOT NULL, envid TEXT NOT NULL,
    fromid TEXT NOT NULL, prefix BLOB NOT NULL, data BLOB, size INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE recipient (id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL, address TEXT NOT NULL);
INSERT INTO message VALUES(1,'you@here.example','you',5.0,0,0,'','','','',x'',x'',0,x'');
INSERT INTO recipient(message,address) VALUES(1,'A@x.example'),(1,'b@x.example');
PRAGMA user_version=1;
"""


def test_a_queue_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "queue.db") as old:
        old.executescript(OLD)
    old.close()
    rows = open_rows(tmp_path)
    assert rows.strangers("you", ["a@X.example", "c@x.example"]) == {"c@x.example"}
    assert rows.spent("you", 4.0) == Spent(2, 2, 5.0)
    (version,) = rows.database.connection.execute("PRAGMA user_version").fetchone()
    assert version == max(UPGRADES) + 1
    rows.database.close()


def test_both_ways_lead_to_the_same_tables() -> None:
    made, upgraded = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    made.executescript(schema())
    upgraded.executescript(OLD)
    for upgrade in UPGRADES.values():
        upgrade(upgraded)

    def columns(db: sqlite3.Connection, table: str) -> object:
        return db.execute(f"PRAGMA table_info({table})").fetchall(), db.execute(
            f"PRAGMA index_list({table})"
        ).fetchall()

    assert columns(made, "written_to") == columns(upgraded, "written_to")
    names = "SELECT name FROM sqlite_master WHERE type='index' AND tbl_name='message' ORDER BY 1"
    assert made.execute(names).fetchall() == upgraded.execute(names).fetchall()
    made.close()
    upgraded.close()
