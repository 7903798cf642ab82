"""An account of version 1, as it was written then, opens with everything in it; the tables are those of a new one."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from mox_message import Content
from mox_store import UNMADE, NewMessage, Store, StoreError, check, testing
from mox_store.upgrade import UPGRADES

OLD = Path(__file__).with_name("schema1.sql")
DATA = """
INSERT INTO fact VALUES('modseq',9),('uidvalidity',1700000001),('clean',1);
INSERT INTO mailbox(id,name,uidvalidity,uidnext,modseq,special,keywords,total,unseen,size)
    VALUES(1,'Inbox',1700000000,3,9,'','work',2,1,14),(2,'Sent',1700000001,1,2,'\\Sent','',0,0,0);
INSERT INTO subscription VALUES('Inbox'),('Sent');
INSERT INTO message(id,size,received,copies,format,prefix,envelope,bodystructure,header,subject,preview,message_id,length)
    VALUES(1,7,1.0,1,1,'','(e)','(b)','h','one','p','<1@x>',7),(2,7,2.0,1,1,'','(e)','(b)','h','two','p','<2@x>',7);
INSERT INTO blob VALUES(1,CAST('message' AS BLOB)),(2,CAST('message' AS BLOB));
INSERT INTO entry VALUES(1,1,1,7,8,1,1.0),(1,2,32,7,9,2,2.0);
INSERT INTO change VALUES(8,1,1,'1'),(9,1,1,'2');
INSERT INTO credential VALUES('password','secret');
PRAGMA user_version=1;
"""


def made_then(folder: Path) -> None:
    """What version 1 left behind."""
    folder.mkdir(parents=True)
    db = sqlite3.connect(folder / "account.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(OLD.read_text() + DATA)
    db.close()


def test_version_1_opens_whole(tmp_path: Path) -> None:
    made_then(tmp_path / "kim")
    store = Store(tmp_path, clock=lambda: 1_700_000_100.0, disk=testing.QuickDisk())
    account = store.open("kim")
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    assert (inbox.uidvalidity, inbox.uidnext, inbox.total, inbox.keywords) == (1_700_000_000, 3, 2, ("work",))
    rows = list(account.rows(inbox.id, [1, 2]))
    assert [(row.uid, row.subject, row.thread, row.createseq) for row in rows] == [(1, "one", 1, 8), (2, "two", 2, 9)]
    assert account.content(2).read() == b"message"
    assert account.credential("password") == "secret"
    assert check.check(account).clean
    with account.write() as tx:
        tx.annotate(inbox, "/private/comment", b"old friend")
    store.close()


def test_version_2_opens_whole(tmp_path: Path) -> None:
    """It lacked the notes of whose mailboxes an account may see, and counted copies in the message."""
    store = Store(tmp_path, clock=lambda: 1000.0, disk=testing.QuickDisk())
    content = Content.of(b"message")
    with store.open("kim").write() as tx:
        tx.set_rights(tx.mailbox("Inbox"), "ann", "lr")
        added = [tx.add(tx.mailbox("Inbox"), NewMessage(content, UNMADE, 1.0)) for _ in range(2)]
        tx.expunge(tx.mailbox("Inbox"), [1], only_deleted=False)
    store.close()
    db = sqlite3.connect(tmp_path / "kim" / "account.db")
    db.executescript(
        "DROP TABLE sharer; DROP INDEX entry_message; DROP INDEX bin_expunged; ALTER TABLE bin DROP COLUMN expunged;"
        "ALTER TABLE message ADD COLUMN copies INTEGER NOT NULL DEFAULT 1; ALTER TABLE message ADD COLUMN expunged REAL;"
        "CREATE INDEX message_swept ON message (expunged) WHERE copies = 0; UPDATE message SET copies=0,expunged=900.0 "
        "WHERE id IN (SELECT message FROM bin); PRAGMA user_version=2;"
    )
    db.close()
    store = Store(tmp_path, clock=lambda: 1000.0, disk=testing.QuickDisk())
    account = store.open("kim")
    assert account.sharers() == ()
    assert [(one.message, one.mailbox, one.expunged) for one in account.bin()] == [(added[0].message, "Inbox", 900.0)]
    with account.write() as tx:
        tx.set_sharer("ann", True)
    assert (account.sharers(), list(account.all_rights().values())) == (("ann",), [{"ann": "lr"}])
    assert check.check(account).clean
    store.close()


def shape(path: Path) -> dict[str, object]:
    """Tables with their columns, and indexes, whatever order they were made in."""
    db = sqlite3.connect(path)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    found: dict[str, object] = {
        name: sorted(row[1:] for row in db.execute(f"PRAGMA table_info({name})")) for name in tables
    }
    found["indexes"] = sorted(
        re.sub(r"\s+", " ", sql)
        for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type='index' AND sql<>''")
    )
    found["version"] = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return found


def test_old_and_new_have_the_same_tables(tmp_path: Path) -> None:
    made_then(tmp_path / "old")
    store = Store(tmp_path, clock=lambda: 1000.0, disk=testing.QuickDisk())
    for name in ("old", "new"):
        store.open(name)
    store.close()
    assert shape(tmp_path / "old" / "account.db") == shape(tmp_path / "new" / "account.db")


def test_a_newer_account_is_refused_with_a_sentence(tmp_path: Path) -> None:
    made_then(tmp_path / "kim")
    db = sqlite3.connect(tmp_path / "kim" / "account.db")
    db.execute(f"PRAGMA user_version={max(UPGRADES) + 2}")
    db.close()
    with pytest.raises(StoreError, match=r"newer version of this program .*: update this program"):
        Store(tmp_path, clock=lambda: 1000.0).open("kim")
