"""What IMAP's extensions ask of an account, on the real store: sessions of mox_imap over moxd's backend."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import mox_store
from kit.imap_accounts import MESSAGE, Client, fill, play
from moxd import imap_mailbox


def test_what_is_announced(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        words = set((await ann.ask("a CAPABILITY"))[0].split())
        assert {
            "CONDSTORE",
            "QRESYNC",
            "NOTIFY",
            "REPLACE",
            "OBJECTID",
            "METADATA",
            "FILTERS",
            "QUOTA",
            "URLAUTH",
            "ACL",
            "RIGHTS=texk",
            "LIST-MYRIGHTS",
        } <= words
        assert "QUOTASET" not in words

    play(tmp_path, script)


def test_ids_and_annotations(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await fill(ann, 2)
        await ann.ask("b SELECT Inbox")
        said = await ann.ask("c FETCH 1:2 (EMAILID THREADID PREVIEW)")
        assert said[:2] == [
            '* 1 FETCH (EMAILID (M1) THREADID (T1) PREVIEW "hello")', '* 2 FETCH (EMAILID (M2) THREADID (T1) PREVIEW "hello")',
        ]  # fmt: skip
        await ann.ask('d SETMETADATA Inbox (/private/comment "x" /shared/y "z")')
        assert (await ann.ask("e GETMETADATA Inbox (/private/comment /shared/y)"))[0] == (
            '* METADATA INBOX (/private/comment "x" /shared/y "z")'
        )
        await ann.ask('f SETMETADATA "" (/private/filters/values/f "SUBJECT one")')
        assert (await ann.ask("g SEARCH FILTER f 2"))[0] == "* SEARCH 2"
        assert (await ann.ask('h SETMETADATA Nowhere (/private/comment "x")'))[-1].startswith("h NO [NONEXISTENT]")

    play(tmp_path, script)


def test_quota(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await fill(ann, 2)
        await account.commit(lambda tx: tx.set_quota(messages=3))
        assert (await ann.ask("a GETQUOTAROOT Inbox"))[:2] == ['* QUOTAROOT INBOX ""', '* QUOTA "" (MESSAGE 2 3)']
        await fill(ann, 1)
        assert (await ann.ask(b"b APPEND Inbox {1+}\r\nx"))[-1].startswith("b NO [OVERQUOTA]")
        await ann.ask("c SELECT Inbox")
        await ann.ask("d STORE 1,2 +FLAGS.SILENT (\\Deleted)")
        size = 2 * len(MESSAGE % 1)
        assert (await ann.ask("e STATUS Inbox (DELETED DELETED-STORAGE)"))[0] == (
            f"* STATUS INBOX (DELETED 2 DELETED-STORAGE {size})"
        )
        assert (await ann.ask('f SETQUOTA "" (STORAGE 1)'))[-1].startswith("f NO [NOPERM]")

    play(tmp_path, script)


def test_urls(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await fill(ann, 1)
        said = await ann.ask('a GENURLAUTH "imap://ann@h/INBOX/;uid=1/;section=TEXT;urlauth=user+bob" INTERNAL')
        url = said[0].split('"')[1]
        assert (await bob.ask(f'b URLFETCH "{url}"'))[:2] == [f"* URLFETCH {url} {{7}}", "hello"]
        assert (await ann.ask(f'c URLFETCH "{url}"'))[0].endswith(" NIL")
        again = (await ann.ask('d GENURLAUTH "imap://ann@h/INBOX/;uid=1/;section=TEXT;urlauth=user+bob" INTERNAL'))[0]
        assert url in again  # the key is kept
        await ann.ask("e RESETKEY INBOX")
        assert (await bob.ask(f'f URLFETCH "{url}"'))[0].endswith(" NIL")

    play(tmp_path, script)


def test_replace_and_catching_up(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await fill(ann, 3)
        await ann.ask("a ENABLE QRESYNC")
        said = await ann.ask("b SELECT Inbox")
        uidvalidity = next(line.split()[3][:-1] for line in said if "UIDVALIDITY" in line)
        modseq = next(line.split()[3][:-1] for line in said if "HIGHESTMODSEQ" in line)
        said = await ann.ask(b"c UID REPLACE 2 Inbox {1+}\r\nx")
        assert "* VANISHED 2" in said
        assert said[-1].startswith("c OK")
        await ann.ask("d UNSELECT")
        said = await ann.ask(f"e SELECT Inbox (QRESYNC ({uidvalidity} {modseq}))")
        assert "* VANISHED (EARLIER) 2" in said
        assert next(line for line in said if " FETCH " in line).startswith("* 3 FETCH (UID 4 FLAGS ()")
        assert (await ann.ask(b"f UID REPLACE 2 Inbox {1+}\r\nx"))[-1].startswith("f NO [NONEXISTENT]")

    play(tmp_path, script)


def test_notices(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await ann.ask("a NOTIFY SET (PERSONAL (MessageNew MessageExpunge MailboxName))")
        await account.commit(lambda tx: tx.create("New"))
        await asyncio.sleep(0)
        ann.session.news()
        assert ann.session.outgoing().startswith(b'* LIST (\\Subscribed) "/" New\r\n')

    play(tmp_path, script)


def test_many_messages_are_changed_in_slices_between_which_others_come(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(imap_mailbox, "SLICE", 10)

    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        for _ in range(35):
            await ann.ask("a APPEND Inbox {4+}\r\nhi\r\n")
        await ann.ask("a SELECT Inbox")
        groups: list[int] = []
        ran = account.database.commit

        def counted(*arguments: Any, **more: Any) -> Any:
            groups.append(1)
            return ran(*arguments, **more)

        monkeypatch.setattr(account.database, "commit", counted)
        said = await ann.ask("b STORE 1:* +FLAGS (\\Flagged)")
        assert (len([line for line in said if "\\Flagged" in line]), len(groups)) == (35, 4)
        assert said[-1].startswith("b OK")
        said = await ann.ask("c UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (\\Seen)")
        assert said[-1].startswith("c OK [MODIFIED 1:35]"), said
        await ann.ask("d STORE 1:15 +FLAGS.SILENT (\\Deleted)")
        groups.clear()
        said = await ann.ask("e EXPUNGE")
        assert (len([line for line in said if line.endswith("EXPUNGE")]), len(groups)) == (15, 2)
        groups.clear()
        said = await ann.ask("f MOVE 1:* Archive")
        assert len([line for line in said if line.endswith("EXPUNGE")]) == 20
        assert any("COPYUID" in line and "16:35 1:20" in line for line in said), said
        assert len(groups) == 2
        await ann.ask("g SELECT Archive")
        groups.clear()
        said = await ann.ask("h COPY 1:* Inbox")
        assert (said[-1].startswith("h OK"), len(groups)) == (True, 1)  # all or none

    play(tmp_path, script)
