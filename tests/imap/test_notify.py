"""NOTIFY: what happens elsewhere is told without asking."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import Client, play


def told(client: Client) -> list[str]:
    client.session.news()  # type: ignore[attr-defined]
    client.look()
    said, client.said = client.said, []
    return said


def test_other_mailboxes() -> None:
    room = numbered(1)
    room.account.create("Work", "")
    client = room.logged_in()
    assert client.ask("a NOTIFY SET (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName))")[-1].startswith(
        "a OK"
    )
    assert told(client) == []
    room.account.deliver("Work", message())
    [line] = told(client)
    assert line.startswith("* STATUS Work (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 2 UNSEEN 1 HIGHESTMODSEQ ")
    other = room.selected(name="Work")
    other.ask("x STORE 1 +FLAGS (\\Seen)")
    [line] = told(client)
    assert line.startswith("* STATUS Work (UIDVALIDITY 2 UNSEEN 0 HIGHESTMODSEQ ")
    other.ask("x STORE 1 +FLAGS (\\Deleted)")
    other.ask("x EXPUNGE")
    assert told(client)[0].startswith("* STATUS Work (MESSAGES 0 UIDNEXT 2 UIDVALIDITY 2 UNSEEN 0")
    other.ask("x CLOSE")
    other.ask("x RENAME Work Play")
    assert told(client) == ['* LIST (\\Subscribed) "/" Play ("OLDNAME" (Work))']
    other.ask("x CREATE New")
    other.ask("x DELETE Play")
    assert told(client) == ['* LIST (\\Subscribed) "/" New', '* LIST (\\NonExistent) "/" Play']
    client.ask("b NOTIFY NONE")
    room.account.deliver("New", message())
    assert told(client) == []


def test_much_that_happens_is_one_line() -> None:
    room = numbered(1)
    client = room.logged_in()
    client.ask("a NOTIFY SET (INBOXES (MessageNew MessageExpunge))")
    for _ in range(500):
        room.account.deliver("Inbox", message())
    assert len(told(client)) == 1


def test_the_open_mailbox() -> None:
    room = numbered(2)
    one, two = room.selected(), room.selected()
    one.ask("a NOTIFY SET (SELECTED (MessageNew (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange))")
    room.account.deliver("Inbox", message("news"), ("\\Flagged",))
    said = told(one)
    assert said[0] == "* 3 EXISTS"
    assert said[1].startswith("* 3 FETCH (UID 3 FLAGS (\\Flagged \\Recent) BODY[HEADER.FIELDS (SUBJECT)] ")
    two.ask("x STORE 1 +FLAGS (\\Deleted)")
    assert told(one)[0].startswith("* 1 FETCH (UID 1 FLAGS (\\Deleted)")
    two.ask("x EXPUNGE")
    assert told(one) == ["* 1 EXPUNGE"]
    one.ask("b NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge))")
    two.ask("x STORE 1 +FLAGS (\\Deleted)")
    two.ask("x EXPUNGE")
    assert "* 1 EXPUNGE" not in told(one)
    assert "* 1 EXPUNGE" in one.ask("c NOOP")


def test_annotations_and_subscriptions() -> None:
    room = numbered(1)
    client, other = room.logged_in(), room.logged_in()
    client.ask("a NOTIFY SET (PERSONAL (MailboxMetadataChange ServerMetadataChange SubscriptionChange))")
    other.ask('x SETMETADATA Inbox (/private/comment "c")')
    assert told(client) == ["* METADATA INBOX /private/comment"]
    other.ask('x SETMETADATA "" (/private/comment "c")')
    assert told(client) == ['* METADATA "" /private/comment']
    other.ask("x UNSUBSCRIBE Inbox")
    other.ask("x SUBSCRIBE Nowhere")
    assert told(client) == ['* LIST () "/" INBOX', '* LIST (\\Subscribed \\NonExistent) "/" Nowhere']


@pytest.mark.parametrize(
    "text, want",
    [
        ("SET (PERSONAL (MessageNew))", "BAD MessageNew and MessageExpunge go together"),
        ("SET (PERSONAL (FlagChange))", "BAD FlagChange needs"),
        ("SET (PERSONAL (AnnotationChange))", "NO [BADEVENT (FlagChange MailboxMetadataChange MailboxName "),
        ("SET (SELECTED (MailboxName))", "BAD of the selected mailbox"),
        ("SET (PERSONAL (MessageNew (FLAGS) MessageExpunge))", "BAD only what is selected"),
        ("SET (SELECTED NONE) (SELECTED-DELAYED NONE)", "BAD too many"),
        ("SET (EVERYWHERE NONE)", "BAD no such mailboxes"),
        ("SET", "BAD"),
        ("SET (MAILBOXES (Inbox a) NONE) (SUBTREE a (MailboxName))", "OK"),
        ("SET STATUS (SUBSCRIBED NONE)", "OK"),
    ],
)
def test_grammar(text: str, want: str) -> None:
    assert Room().logged_in().ask(f"a NOTIFY {text}")[-1].startswith(f"a {want}")


def test_it_ends_with_the_session() -> None:
    room = Room()
    client = room.logged_in()
    client.ask("a NOTIFY SET (PERSONAL (MailboxName))")
    assert len(room.account._watchers) == 1
    client.session.close()  # type: ignore[attr-defined]
    assert not room.account._watchers


def test_while_idling() -> None:
    room = numbered(1)
    room.account.create("Work", "")
    one = room.selected()
    play(
        {"": one},
        """
        C: a NOTIFY SET (PERSONAL (MessageNew MessageExpunge))
        S: a OK
        C: b IDLE
        S: +
    """,
    )
    room.account.deliver("Work", message())
    assert told(one)[0].startswith("* STATUS Work (MESSAGES 1")
