"""Other people's mailboxes: rights (RFC 4314), names (RFC 2342), and what each command may do (RFC 4314 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import mox_store
from kit.imap_accounts import NAMES, Client, fill, play
from moxd import shared
from moxd.shared import Others

TEAM = '"Other Users/ann/Team"'
OK, NOPERM, NONE = "OK", "NO [NOPERM]", "NO [NONEXISTENT]"
Script = Callable[[Client, Client, mox_store.Account], Awaitable[None]]


async def lend(ann: Client, rights: str, who: str = "bob") -> None:
    if (await ann.ask("l STATUS Team (MESSAGES)"))[-1].startswith("l NO"):
        await ann.ask("l CREATE Team")
        await fill(ann, 3, "Team")
    said = await ann.ask(f"l SETACL Team {who} {rights or chr(34) * 2}")
    assert said[-1].startswith("l OK"), said


async def outcome(client: Client, command: str | bytes) -> str:
    last = (await client.ask(command))[-1]
    return last.split(" ", 1)[1]


def test_what_is_lent_is_seen_and_nothing_else(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        assert '* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL' in await bob.ask("a NAMESPACE")
        before = await bob.ask('a LIST "" *')
        assert not any("Other" in line for line in before)
        await lend(ann, "lr")
        await ann.ask("a CREATE Team/Old")  # has the rights of what it is below
        await ann.ask("a CREATE Secret")
        said = await bob.ask('b LIST "" *')
        assert [line for line in said if line not in before][:-1] == [
            f'* LIST (\\HasChildren) "/" {TEAM}', '* LIST (\\HasNoChildren) "/" "Other Users/ann/Team/Old"',
        ]  # fmt: skip
        assert '* LIST (\\Noselect \\HasChildren) "/" "Other Users"' in await bob.ask('c LIST "" %')
        assert '* LIST (\\Noselect \\HasChildren) "/" "Other Users/ann"' in await bob.ask('d LIST "Other Users/" %')
        assert (await bob.ask('e LIST "" Other*Team RETURN (STATUS (MESSAGES) MYRIGHTS)'))[:3] == [
            f'* LIST (\\HasChildren) "/" {TEAM}', f"* STATUS {TEAM} (MESSAGES 3)", f"* MYRIGHTS {TEAM} lr",
        ]  # fmt: skip
        assert await outcome(bob, 'f SELECT "Other Users/ann/Secret"') == "NO [NONEXISTENT] no such mailbox"
        assert await outcome(bob, 'f SELECT "Other Users/ann/Nowhere"') == "NO [NONEXISTENT] no such mailbox"
        assert await outcome(bob, 'f SELECT "Other Users/kim/Inbox"') == "NO [NONEXISTENT] no such mailbox"
        assert await outcome(bob, 'f SELECT "Other Users/who/Inbox"') == "NO [NONEXISTENT] no such mailbox"
        assert await outcome(bob, 'f SELECT "Other Users/bob/Inbox"') == "NO [NONEXISTENT] no such mailbox"
        # Ann takes it back: it is gone, and so is the note of it.
        assert (await outcome(ann, "g DELETEACL Team bob")).startswith(OK)
        await ann.ask("g DELETEACL Team/Old bob")
        assert await bob.ask('h LIST "" *') == [*before[:-1], before[-1].replace("a OK", "h OK")]

    play(tmp_path, script)


def test_rights_are_told(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lrs")
        assert (await ann.ask("a GETACL Team"))[0] == "* ACL Team ann lrswipkxteacd bob lrs"
        await ann.ask("b SETACL Team bob@example.org +wa")
        assert (await bob.ask(f"c MYRIGHTS {TEAM}"))[0] == f"* MYRIGHTS {TEAM} lrswa"
        assert (await bob.ask(f"d GETACL {TEAM}"))[0] == f"* ACL {TEAM} ann lrswipkxteacd bob lrswa"
        await ann.ask("e SETACL Team bob -a")
        assert await outcome(bob, f"f GETACL {TEAM}") == "NO [NOPERM] that takes the right to administer"
        assert (await outcome(bob, f"f SETACL {TEAM} bob +a")).startswith(NOPERM)
        assert (await outcome(bob, f"f LISTRIGHTS {TEAM} kim")).startswith(NOPERM)
        assert (await ann.ask("g LISTRIGHTS Team bob"))[0] == '* LISTRIGHTS Team bob "" l r s w i p k x t e a'
        assert (await ann.ask("h LISTRIGHTS Team ann"))[0] == "* LISTRIGHTS Team ann lrswipkxtea"
        assert (await outcome(ann, "i SETACL Team ann lr")).startswith(NOPERM)
        assert (await outcome(ann, "i SETACL Team who lr")).startswith("NO [CANNOT] nobody here")
        assert (await outcome(ann, "i SETACL Team -bob lr")).startswith("NO [CANNOT] there are no negative")
        assert (await outcome(ann, "i SETACL Nowhere bob lr")).startswith(NONE)

    play(tmp_path, script)


# Rights, a command of Bob's with the mailbox selected as it may be, what it comes to.
COMMANDS = [
    ("l", f"SELECT {TEAM}", NOPERM), ("r", f"SELECT {TEAM}", OK), ("lr", f"EXAMINE {TEAM}", OK),
    ("l", f"STATUS {TEAM} (MESSAGES)", NOPERM), ("r", f"STATUS {TEAM} (MESSAGES)", OK),
    ("lr", f"APPEND {TEAM} {{4+}}\r\nhi\r\n", NOPERM), ("i", f"APPEND {TEAM} {{4+}}\r\nhi\r\n", OK),
    ("lr", f"COPY 1 {TEAM}", NOPERM), ("i", f"COPY 1 {TEAM}", OK), ("p", f"COPY 1 {TEAM}", NONE),
    ("lrk", f"COPY 1 {TEAM[:-1]}/New\"", "NO [TRYCREATE]"), ("lri", f"COPY 1 {TEAM[:-1]}/New\"", NOPERM),
    ("lr", f"CREATE {TEAM[:-1]}/New\"", NOPERM), ("lk", f"CREATE {TEAM[:-1]}/New/er\"", OK),
    ("lk", f"CREATE {TEAM[:-1]}/New\" (USE (\\Sent))", "NO [USEATTR]"),
    ("lk", 'CREATE "Other Users/ann/Elsewhere"', NOPERM), ("lk", 'CREATE "Other Users/who/X"', NONE),
    ("lrswipktea", f"DELETE {TEAM}", NOPERM), ("x", f"DELETE {TEAM}", OK),
    ("lrswipktea", f"RENAME {TEAM} {TEAM[:-1]}s\"", NOPERM), ("lx", f"RENAME {TEAM} {TEAM[:-1]}s\"", NOPERM),
    ("lx", f"RENAME {TEAM} Mine", "NO [CANNOT]"), ("l", f"RENAME Archive {TEAM[:-1]}/Mine\"", "NO [CANNOT]"),
    ("l", f"SUBSCRIBE {TEAM}", OK), ("r", f"SUBSCRIBE {TEAM}", NONE), ("", f"SUBSCRIBE {TEAM}", NONE),
    ("", f"UNSUBSCRIBE {TEAM}", OK), ("", f"MYRIGHTS {TEAM}", NONE), ("p", f"MYRIGHTS {TEAM}", NONE),
    ("lr", f'SETMETADATA {TEAM} (/shared/comment "x")', NOPERM), ("lw", f'SETMETADATA {TEAM} (/shared/comment "x")', OK),
    ("lw", f'SETMETADATA {TEAM} (/private/comment "x")', "NO [METADATA NOPRIVATE]"),
    ("lr", f"GETMETADATA {TEAM} /shared/comment", OK), ("l", f"GETMETADATA {TEAM} /shared/comment", NOPERM),
    ("lr", f"GETQUOTAROOT {TEAM}", OK), ("", f"GETQUOTAROOT {TEAM}", NONE),
    ("lr", 'GENURLAUTH "imap://bob@h/Other%20Users/ann/Team/;uid=1;urlauth=user+ann" INTERNAL', "NO"),
]  # fmt: skip


@pytest.mark.parametrize(("rights", "command", "expected"), COMMANDS)
def test_commands_need_their_rights(tmp_path: Path, rights: str, command: str, expected: str) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, rights)
        if command.startswith("COPY"):
            await fill(bob, 1)
            await bob.ask("b SELECT Inbox")
        assert (await outcome(bob, f"c {command}")).startswith(expected)

    play(tmp_path, script)


# Rights, a command in the selected mailbox, what it comes to, and the flags of messages 1 and 2 after it.
BEFORE = "\\Answered \\Seen|\\Deleted"
INSIDE = [
    ("lr", "STORE 1 +FLAGS (\\Flagged)", "NO [READ-ONLY]", BEFORE),
    ("lrs", "STORE 1 +FLAGS (\\Flagged)", NOPERM, BEFORE),
    ("lrs", "STORE 1:2 +FLAGS (\\Flagged \\Seen)", OK, "\\Answered \\Seen|\\Deleted \\Seen"),
    ("lrs", "STORE 1:2 FLAGS (\\Flagged)", NOPERM, BEFORE),
    ("lrs", "STORE 1:2 FLAGS (\\Seen)", OK, "\\Answered \\Seen|\\Deleted \\Seen"),
    ("lrs", "STORE 1:2 FLAGS ()", OK, "\\Answered|\\Deleted"),
    ("lrw", "STORE 1:2 FLAGS (work \\Flagged)", OK, "\\Flagged \\Seen work|\\Deleted \\Flagged work"),
    ("lrt", "STORE 1:2 FLAGS.SILENT (\\Deleted \\Seen)", OK, "\\Answered \\Deleted \\Seen|\\Deleted"),
    ("lrt", "STORE 1:2 (UNCHANGEDSINCE 1) -FLAGS (\\Deleted)", "OK [MODIFIED 1:2]", BEFORE),
    ("lrt", "EXPUNGE", NOPERM, BEFORE),
    ("lrt", "CLOSE", OK, BEFORE),
    ("lre", "EXPUNGE", OK, "\\Answered \\Seen|"),
    ("lre", "CLOSE", OK, "\\Answered \\Seen|"),
    ("lr", "FETCH 2 BODY[]", OK, BEFORE),
    ("lrw", "FETCH 2 BODY[]", OK, BEFORE),
    ("lrs", "FETCH 2 BODY[]", OK, "\\Answered \\Seen|\\Deleted \\Seen"),
    ("lrt", "MOVE 1 Inbox", NOPERM, BEFORE),
    ("lre", "MOVE 1 Inbox", NOPERM, BEFORE),
    ("lrte", "MOVE 1 Inbox", OK, "\\Deleted|"),
    ("lrte", "UID REPLACE 1 Inbox {4+}\r\nhi\r\n", "NO [CANNOT]", BEFORE),
    ("lrit", f"UID REPLACE 1 {TEAM} {{4+}}\r\nhi\r\n", NOPERM, BEFORE),
    ("lrite", f"UID REPLACE 1 {TEAM} {{4+}}\r\nhi\r\n", OK, "\\Deleted|"),
    ("lri", f"COPY 1 {TEAM}", OK, BEFORE),
]  # fmt: skip


@pytest.mark.parametrize(("rights", "command", "expected", "after"), INSIDE)
def test_inside_a_mailbox(tmp_path: Path, rights: str, command: str, expected: str, after: str) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, rights)
        await ann.ask("a SELECT Team")
        await ann.ask("b STORE 1 FLAGS (\\Answered \\Seen)")
        await ann.ask("b STORE 2 FLAGS (\\Deleted)")
        said = await bob.ask(f"a SELECT {TEAM}")
        only = "ONLY" if set(rights) <= set("lrkxap") else "WRITE"
        assert said[-1].startswith(f"a OK [READ-{only}]")
        assert (await outcome(bob, f"c {command}")).startswith(expected)
        there = account.mailbox("Team")
        assert there is not None
        view = account.open_view(there.id)
        flags = [" ".join(sorted(there.names(bits))) for bits in view.flags]
        count = len(flags)
        account.close_view(view)
        assert "|".join([*flags, "", ""][:2]) == after
        # What Bob was told is what there is.
        if "CLOSE" not in command:
            told = await bob.ask("d FETCH 1:* FLAGS")
            assert len([line for line in told if line.startswith("* ")]) == count
            words = [line.split("(")[2].split(")")[0].split() for line in told if "FLAGS (" in line]
            assert [" ".join(sorted({*each} - {"\\Recent"})) for each in words][: len(flags)] == flags

    play(tmp_path, script)


def test_flags_that_may_be_kept(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lrws")
        said = await bob.ask(f"a SELECT {TEAM}")
        assert "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Seen \\Draft \\*)] limited" in said
        await ann.ask("b SETACL Team bob lri")
        said = await bob.ask(f"a SELECT {TEAM}")
        assert "* OK [PERMANENTFLAGS ()] limited" in said

    play(tmp_path, script)


def test_copies_between_accounts(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lrsi")
        await fill(bob, 2)
        await bob.ask("a SELECT Inbox")
        await bob.ask("b STORE 1:2 FLAGS (\\Seen \\Flagged work)")
        said = await bob.ask(f"c COPY 1:2 {TEAM}")
        assert " 1:2 4:5]" in said[-1], said
        there = account.mailbox("Team")
        assert there is not None
        view = account.open_view(there.id)
        assert [there.names(bits) for bits in view.flags[3:]] == [["\\Seen"], ["\\Seen"]]
        account.close_view(view)
        texts = [account.content(row.message).read() for row in account.rows(there.id, [1, 4])]
        assert texts[0] == texts[1]
        # With the right to delete it can be moved too, and threads and dates come along.
        said = await bob.ask(f"d MOVE 1 {TEAM}")
        assert "* 1 EXPUNGE" in said
        assert (await bob.ask("d STATUS Inbox (MESSAGES)"))[0] == "* STATUS INBOX (MESSAGES 1)"
        # And from there to here.
        await bob.ask(f"e SELECT {TEAM}")
        said = await bob.ask("f FETCH 1:2 (EMAILID THREADID INTERNALDATE)")
        assert said[0].split("EMAILID (")[1].startswith("M1-"), said
        assert (await bob.ask("g COPY 1:* Archive"))[-1].startswith("g OK [COPYUID")
        assert (await bob.ask("h STATUS Archive (MESSAGES)"))[0] == "* STATUS Archive (MESSAGES 6)"

    play(tmp_path, script)


def test_too_much_at_once_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moxd.imap_backend.MAX_CARRIED", 100)

    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lrsi")
        await fill(bob, 2)
        await bob.ask("a SELECT Inbox")
        assert (await outcome(bob, f"b COPY 1:2 {TEAM}")).startswith("NO [LIMIT]")
        assert (await ann.ask("c STATUS Team (MESSAGES)"))[0] == "* STATUS Team (MESSAGES 3)"

    play(tmp_path, script)


def test_both_hear_of_changes_until_the_right_is_taken(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lrs")
        await bob.ask(f"a SELECT {TEAM}")
        await fill(ann, 1, "Team")
        assert "* 4 EXISTS" in await bob.ask("b NOOP")
        await bob.ask("c STORE 4 +FLAGS (\\Seen)")
        await ann.ask("d SELECT Team")
        assert "\\Seen" in (await ann.ask("e FETCH 4 FLAGS"))[0]
        await ann.ask("f SETACL Team bob l")
        # What a session knows that does not let itself be told (RFC 9051 7.5.1) is no use to it.
        for command in ("FETCH 1 BODY.PEEK[]", "FETCH 1:* ENVELOPE", "FETCH 1 (PREVIEW)"):
            assert (await outcome(bob, f"f {command}")).startswith(NOPERM), command
        said = await bob.ask("g COPY 1 Inbox")
        assert said[-1].startswith("g NO [NOPERM]")
        assert said[:4] == ["* 4 EXPUNGE", "* 3 EXPUNGE", "* 2 EXPUNGE", "* 1 EXPUNGE"]
        await fill(ann, 1, "Team")
        assert (await bob.ask("h NOOP"))[0].startswith("h OK")
        assert (await outcome(bob, f"i SELECT {TEAM}")).startswith(NOPERM)

    play(tmp_path, script)


def test_notices_and_searches_keep_to_what_is_mine(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lr")
        await bob.ask("a NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")
        await fill(ann, 1, "Team")
        await asyncio.sleep(0)
        bob.session.news()
        assert bob.session.outgoing() == b""
        await bob.ask(f"a NOTIFY SET (MAILBOXES {TEAM} (MessageNew MessageExpunge))")
        await fill(ann, 1, "Team")
        await asyncio.sleep(0)
        bob.session.news()
        assert bob.session.outgoing().startswith(b"* STATUS " + TEAM.encode() + b" (MESSAGES 5 ")
        assert (await bob.ask("b ESEARCH IN (PERSONAL) ALL"))[0].startswith("b OK")
        assert (await bob.ask(f"c ESEARCH IN (MAILBOXES {TEAM}) ALL"))[0].endswith("UID ALL 1:5")

    play(tmp_path, script)


def test_everybody(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await lend(ann, "lr", "anyone")
        assert (await bob.ask(f"a MYRIGHTS {TEAM}"))[0] == f"* MYRIGHTS {TEAM} lr"
        await lend(ann, "s", "bob")
        assert (await bob.ask(f"b MYRIGHTS {TEAM}"))[0] == f"* MYRIGHTS {TEAM} lrs"
        assert any(TEAM in line for line in await bob.ask('c LIST "" *'))
        await ann.ask("d DELETEACL Team anyone")
        assert not any(TEAM in line for line in await bob.ask('c LIST "" *'))

    play(tmp_path, script)


def test_own_mailboxes_below_that_name_stay_reachable(tmp_path: Path) -> None:
    async def script(ann: Client, bob: Client, account: mox_store.Account) -> None:
        await account.commit(lambda tx: tx.create("Other Users/bob/X"))  # by an import, say
        assert await outcome(ann, 'a SELECT "Other Users/bob/X"') == "OK [READ-WRITE] opened"
        await bob.ask("a CREATE X")
        await bob.ask("a SETACL X ann lr")
        said = await ann.ask('a LIST "" Other*X RETURN (STATUS (UIDVALIDITY))')
        mine = account.mailbox("Other Users/bob/X")
        assert mine is not None
        assert said[1:-1] == [f'* STATUS "Other Users/bob/X" (UIDVALIDITY {mine.uidvalidity})']
        assert (await outcome(ann, 'b CREATE "Other Users"')).startswith("NO [CANNOT]")
        assert (await outcome(ann, 'c RENAME "Other Users/bob/X" Mine')).startswith(OK)

    play(tmp_path, script)


def test_notes_are_put_right(tmp_path: Path) -> None:
    """What a crash between two accounts may leave, and accounts that came later."""

    async def run() -> None:
        store = mox_store.Store(tmp_path, clock=lambda: 1000.0, loop=asyncio.get_running_loop())
        ann, bob, kim = map(store.open, NAMES)
        others = Others(lambda name: store.open(name) if name in NAMES else None, lambda name: name, lambda: NAMES)
        await ann.commit(lambda tx: tx.set_rights(tx.mailbox("Inbox"), "anyone", "lr"))
        await bob.commit(lambda tx: tx.set_sharer("kim", True))
        await shared.put_right(others, NAMES, [ann, bob, kim])
        assert [one.sharers() for one in (ann, bob, kim)] == [(), ("ann",), ("ann",)]
        store.close()

    asyncio.run(run())
