"""The queue of an older moxd, opened by this one as the server and the command line do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import mox_queue
import mox_store
from moxd.cli.queue import open_rows

NEW = ("DROP TABLE written_to", "DROP INDEX message_account", "DROP INDEX message_fromid", "PRAGMA user_version=1")


def test_a_queue_of_the_first_version(tmp_path: Path) -> None:
    path = tmp_path / "queue" / "queue.db"
    path.parent.mkdir()
    mox_store.Database(path, mox_queue.schema(), mox_queue.UPGRADES).close()
    with sqlite3.connect(path) as old:
        for statement in NEW:
            old.execute(statement)
        old.execute("INSERT INTO message VALUES(1,'you@here.example','you',5.0,0,0,'','','','',x'',x'78',1,x'')")
        old.execute(
            "INSERT INTO recipient(message,address,domain,base,notify,orcpt,next) "
            "VALUES(1,'A@x.example','x.example','a@x.example','','',5.0)"
        )
    old.close()
    rows = open_rows(tmp_path)
    assert rows is not None
    assert rows.spent("you", 0.0) == mox_queue.Spent(1, 1, 5.0)
    assert [due.address for due in rows.due(10.0)] == ["A@x.example"]
    rows.database.close()
    again = open_rows(tmp_path)
    assert again is not None
    assert again.strangers("you", ["a@x.example"]) == frozenset()
    again.database.close()
