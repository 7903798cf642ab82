from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mox_message import Content
from mox_store import (
    Account,
    Added,
    Mailbox,
    MailboxError,
    Mark,
    NewMessage,
    State,
    Store,
    Traits,
    people,
    testing,
)


def test_app_passwords(account: Account, clock: Any) -> None:
    with account.write() as tx:
        phone = tx.people.add_app_password("phone", "{verifier}", scopes=("imap", "submission"))
        old = tx.people.add_app_password("old", "{v}", expires=clock.now + 10)
        with pytest.raises(MailboxError, match="'phone' already"):
            tx.people.add_app_password("phone", "{x}")
    first, second = account.people.app_passwords()
    assert (first.id, first.name, first.verifier, first.scopes) == (
        phone,
        "phone",
        "{verifier}",
        ("imap", "submission"),
    )
    assert first.good(clock.now, "imap")
    assert not first.good(clock.now, "webmail")
    assert second.good(clock.now + 9, "webmail")
    assert not second.good(clock.now + 10, "imap")
    clock.now += 5
    with account.write() as tx:
        tx.people.app_password_used(phone)
        assert tx.people.remove_app_password(old)
        assert not tx.people.remove_app_password(old)
    assert [one.used for one in account.people.app_passwords()] == [clock.now]


def test_tls_keys(account: Account, clock: Any) -> None:
    with account.write() as tx:
        tx.people.add_tls_key("sha256:ab", "laptop", preauth=True)
        tx.people.add_tls_key("sha256:ab", "new laptop")
        tx.people.tls_key_used("sha256:ab")
    key = account.people.tls_key("sha256:ab")
    assert key is not None
    assert (key.name, key.preauth, key.used) == ("new laptop", False, clock.now)
    assert account.people.tls_key("sha256:cd") is None
    with account.write() as tx:
        assert tx.people.remove_tls_key("sha256:ab")
    assert account.people.tls_keys() == []


def test_web_sessions(account: Account, clock: Any) -> None:
    with account.write() as tx:
        tx.people.add_web_session("t1", "c1", "Firefox", clock.now + 10)
        tx.people.add_web_session("t2", "c2", "curl", clock.now + 100)
        tx.people.keep_web_session("t2", clock.now + 200)
    assert [one.token for one in account.people.web_sessions(clock.now)] == ["t1", "t2"]
    assert account.people.web_session("t1", clock.now + 10) is None
    found = account.people.web_session("t2", clock.now + 150)
    assert found is not None
    assert found.csrf == "c2"
    with account.write() as tx:
        assert tx.people.end_web_sessions("t1") == 1
        assert tx.people.end_web_sessions() == 1


def test_login_attempts_are_counted_and_bounded(account: Account, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST_ATTEMPTS", 3)
    for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3", "192.0.2.4"):
        clock.now += 1
        with account.write() as tx:
            tx.people.attempted("imap", ip, "PLAIN", "bad password")
    attempts = account.people.login_attempts()
    assert [(one.ip, one.times) for one in attempts] == [("192.0.2.4", 1), ("192.0.2.3", 1), ("192.0.2.1", 2)]
    assert attempts[2].first < attempts[2].last


def test_marks_and_reputation(account: Account, deliver: Callable[..., Added]) -> None:
    origin = (("from", "kim@example.org"), ("domain", "example.org"))
    first = deliver(origin=origin)
    second = deliver(origin=origin[1:], flags=("$NotJunk",))
    known = account.history
    assert [(one.kind, one.junk, one.wanted) for one in known.reputation(origin)] == [("domain", 0, 1)]
    with account.write() as tx:
        tx.flag(tx.mailbox("Inbox"), [first.uid], "add", ["$Junk"])
    assert [(one.kind, one.junk, one.wanted) for one in known.reputation(origin)] == [("from", 1, 0), ("domain", 1, 1)]
    assert known.mark_of(first.message) is Mark.JUNK
    assert [(one.message, one.mark, one.trained) for one in known.untrained()] == [
        (first.message, Mark.JUNK, Mark.NONE), (second.message, Mark.WANTED, Mark.NONE),
    ]  # fmt: skip
    with account.write() as tx:
        tx.history.trained(first.message, Mark.JUNK)
        tx.history.trained(second.message, Mark.WANTED)
    assert known.untrained() == []
    with account.write() as tx:  # the owner changes his mind: junk, and not junk, is nothing
        tx.flag(tx.mailbox("Inbox"), [first.uid], "add", ["$NotJunk"])
    assert [(one.kind, one.junk, one.wanted) for one in known.reputation(origin)] == [("domain", 0, 1)]
    assert [(one.mark, one.trained) for one in known.untrained()] == [(Mark.NONE, Mark.JUNK)]


def test_correspondents(account: Account, clock: Any) -> None:
    with account.write() as tx:
        tx.history.wrote(["Lee@Example.org", "kim@example.net"])
    clock.now += 9
    with account.write() as tx:
        tx.history.wrote(["lee@example.org"])
    assert account.history.wrote_to("LEE@example.org") == clock.now
    assert account.history.wrote_to_domain("Example.NET") == clock.now - 9
    assert account.history.wrote_to("nobody@example.org") is None
    assert account.history.wrote_to_domain("example.com") is None
    assert account.history.correspondents()[0] == ("lee@example.org", 2, clock.now)


def test_state(tmp_path: Path, clock: Any) -> None:
    async def run() -> None:
        state = State(tmp_path / "server.db", clock=clock, loop=asyncio.get_running_loop(), disk=testing.QuickDisk())
        await state.put("mtasts", "example.org", b"policy", clock.now + 10)
        await state.put("mtasts", "example.net", b"other")
        await state.put("tls", "example.org", b"elsewhere")
        assert state.get("mtasts", "example.org") == b"policy"
        assert state.items("mtasts") == [("example.net", b"other"), ("example.org", b"policy")]
        assert state.items("mtasts", after="example.net", most=1) == [("example.org", b"policy")]
        await asyncio.gather(
            *(state.update("count", "x", lambda had: b"%d" % (int(had or b"0") + 1)) for _ in range(20))
        )
        assert state.get("count", "x") == b"20"
        await state.update("count", "x", lambda had: None)
        assert state.get("count", "x") is None
        clock.now += 10
        assert state.get("mtasts", "example.org") is None
        assert await state.sweep() == 1
        await state.remove("mtasts", "example.net", "nothing")
        assert state.items("mtasts") == []
        state.close()

    asyncio.run(run())


def _rule(mailbox: Mailbox) -> Mark | None:
    return {"Junk": Mark.JUNK, "Inbox": Mark.NONE, "Archive": Mark.WANTED}.get(mailbox.name)


@pytest.mark.parametrize(
    "origin, flags, target, expected, mark",
    [
        ("Inbox", (), "Junk", ["$Junk"], Mark.JUNK),
        ("Inbox", ("$NotJunk", "NonJunk"), "Junk", ["$Junk"], Mark.JUNK),
        ("Junk", ("$Junk", "Junk"), "Archive", ["$NotJunk"], Mark.WANTED),
        ("Junk", ("$Junk",), "Inbox", [], Mark.NONE),
        # A client says "not junk" and moves the message back: that stays.
        ("Junk", ("$NotJunk",), "Inbox", ["$NotJunk"], Mark.WANTED),
        ("Archive", (), "Archive", [], Mark.NONE),  # nothing new was said
        ("Inbox", (), "Elsewhere", [], Mark.NONE),  # no rule
    ],
)
@pytest.mark.parametrize("move", [True, False])
def test_a_mailbox_says_what_its_messages_are(
    tmp_path: Path, clock: Any, origin: str, flags: tuple[str, ...], target: str, expected: list[str], mark: Mark,
    move: bool,
) -> None:  # fmt: skip
    store = Store(
        tmp_path / "accounts", clock=clock, disk=testing.QuickDisk(), mark_rule=lambda name, mailbox: _rule(mailbox)
    )
    account = store.open("kim")
    with account.write() as tx:
        source, there = tx.mailbox_or_new(origin), tx.mailbox_or_new(target)
        added = tx.add(source, NewMessage(Content.of(b"hi"), Traits(b"e", b"b", b"h"), 1.0, flags=flags))
    with account.write() as tx:
        source, there = tx.mailbox(origin), tx.mailbox(target)
        pairs = tx.move(source, [added.uid], there) if move else tx.copy(source, [added.uid], there)
    view = account.open_view(there.id)
    fresh = account.mailbox(target)
    assert fresh is not None
    assert fresh.names(view.flags[view.index(pairs[0][1])]) == expected
    assert account.history.mark_of(added.message) is mark
    store.close()


def test_with_all_keywords_taken_a_message_moves_all_the_same(tmp_path: Path, clock: Any) -> None:
    store = Store(
        tmp_path / "accounts", clock=clock, disk=testing.QuickDisk(), mark_rule=lambda name, mailbox: _rule(mailbox)
    )
    account = store.open("kim")
    with account.write() as tx:
        inbox, junk = tx.mailbox("Inbox"), tx.mailbox("Junk")
        tx.learn(junk, [f"k{number}" for number in range(57)])
        added = tx.add(inbox, NewMessage(Content.of(b"hi"), Traits(b"e", b"b", b"h"), 1.0))
    with account.write() as tx:
        assert len(tx.move(inbox, [added.uid], junk)) == 1
    store.close()
