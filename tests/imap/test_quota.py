"""QUOTA (RFC 9208)."""

from __future__ import annotations

from kit.imap_rooms import message, numbered
from kit.play_imap import play


def test_conversation() -> None:
    room = numbered(2)
    size = len(message("message 1", "body 1"))
    assert 100 < size < 512
    play({"": room.logged_in()}, """
        C: a GETQUOTAROOT INBOX
        S= * QUOTAROOT INBOX ""
        S= * QUOTA "" ()
        S: a OK
        C: b SETQUOTA "" (STORAGE 1 MESSAGE 3)
        S= * QUOTA "" (STORAGE 1 1 MESSAGE 2 3)
        S: b OK
        C: c GETQUOTA ""
        S= * QUOTA "" (STORAGE 1 1 MESSAGE 2 3)
        S: c OK
        C: d GETQUOTA other
        S: d NO [NONEXISTENT]
        C: e SETQUOTA "" (NONSENSE 1)
        S: e BAD
        C: f GETQUOTAROOT Nowhere
        S: f NO [NONEXISTENT]
        C: g APPEND Inbox {5+}
        C: hello
        S: g OK
        C: h APPEND Inbox {5+}
        C: hello
        S: h NO [OVERQUOTA]
        C: i SETQUOTA "" (STORAGE 1)
        S: i OK
        C: j APPEND Inbox {900+}
        C> BIG
        S: j NO [OVERQUOTA]
        C: k SELECT Inbox
        S: k OK
        C: l COPY 1:3 Inbox
        S: l OK
        C: m COPY 1:6 Inbox
        S: m OK
        C: mm COPY 1:6 Inbox
        S: mm NO [OVERQUOTA]
        C: n STORE 1 +FLAGS.SILENT (\\Deleted)
        S: n OK
        C: o STATUS Inbox (DELETED DELETED-STORAGE)
    """.replace("BIG", repr("x" * 900 + "\r\n")))  # fmt: skip
    assert room.logged_in().ask("p STATUS Inbox (DELETED DELETED-STORAGE)")[0] == (
        f"* STATUS INBOX (DELETED 1 DELETED-STORAGE {size})"
    )
