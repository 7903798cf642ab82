"""ESEARCH, the command: several mailboxes (RFC 7377)."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message
from kit.play_imap import play


def room() -> Room:
    made = Room(message("one"), message("two"))
    for name in ("Work", "Work/Old", "Work/Old/Older", "Play"):
        made.account.create(name, "")
        made.account.deliver(name, message(f"in {name}"))
    return made


def test_conversation() -> None:
    play(
        {"": room().logged_in()},
        """
        C: a ESEARCH IN (PERSONAL) RETURN (COUNT) SUBJECT in
        S= * ESEARCH (TAG "a" MAILBOX Play UIDVALIDITY 5) UID COUNT 1
        S= * ESEARCH (TAG "a" MAILBOX Work UIDVALIDITY 2) UID COUNT 1
        S= * ESEARCH (TAG "a" MAILBOX Work/Old UIDVALIDITY 3) UID COUNT 1
        S= * ESEARCH (TAG "a" MAILBOX Work/Old/Older UIDVALIDITY 4) UID COUNT 1
        S! * ESEARCH (TAG "a" MAILBOX INBOX
        S: a OK
        C: b ESEARCH IN (INBOXES MAILBOXES (Play Nowhere)) ALL
        S= * ESEARCH (TAG "b" MAILBOX INBOX UIDVALIDITY 1) UID ALL 1:2
        S= * ESEARCH (TAG "b" MAILBOX Play UIDVALIDITY 5) UID ALL 1
        S: b OK
        C: c ESEARCH IN (SUBTREE-ONE Work) RETURN (MIN) ALL
        S= * ESEARCH (TAG "c" MAILBOX Work UIDVALIDITY 2) UID MIN 1
        S= * ESEARCH (TAG "c" MAILBOX Work/Old UIDVALIDITY 3) UID MIN 1
        S! * ESEARCH (TAG "c" MAILBOX Work/Old/Older
        S: c OK
        C: d ESEARCH ALL
        S: d BAD without IN
        C: e SELECT Inbox
        S: e OK
        C: f ESEARCH UNSEEN 2
        S= * ESEARCH (TAG "f" MAILBOX INBOX UIDVALIDITY 1) UID ALL 2
        S: f OK
        C: g ESEARCH IN (SELECTED SUBTREE Work/Old) CHARSET UTF-8 MODSEQ 1
        S: * ESEARCH (TAG "g" MAILBOX INBOX UIDVALIDITY 1) UID ALL 1:2 MODSEQ 4
        S: * ESEARCH (TAG "g" MAILBOX Work/Old
        S: g OK
    """,
    )


@pytest.mark.parametrize(
    "text", ["IN () ALL", "IN (NOWHERE) ALL", "IN (MAILBOXES) ALL", "IN (PERSONAL) RETURN (SAVE) ALL",
             "IN (PERSONAL) RETURN (UPDATE) ALL", "IN (MAILBOXES Nowhere) NONSENSE", "IN (PERSONAL)", "IN (PERSONAL) ALL x"]
)  # fmt: skip
def test_grammar(text: str) -> None:
    assert room().logged_in().ask(f"a ESEARCH {text}")[-1].startswith("a BAD")


def test_nothing_stays_open() -> None:
    made = room()
    made.logged_in().ask("a ESEARCH IN (PERSONAL) SUBJECT in")
    assert not any(box.open for box in made.account._boxes.values())
