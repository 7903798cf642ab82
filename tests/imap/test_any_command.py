"""Commands put together from the words of the grammar, right and wrong: each is answered once, and nothing breaks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.imap_rooms import Room, message
from kit.play_imap import Client
from mox_imap.commands import COMMANDS

WORDS = ["1", "2:3", "*", "1:*", "$", "4294967295", "0", "-1:-2", "Inbox", "INBOX", "Work", "Nowhere", '""', '"a', 'b"', "{3+}|abc", "{0+}|", "()", "(FLAGS)", "NIL", "ALL", "FAST", "SEEN", "UNSEEN", "NOT", "OR", "(", ")", "((", "))", "UID", "BODY[]", "BODY.PEEK[1.2.HEADER]<0.10>", "BODY[HEADER.FIELDS|(FROM|TO)]", "BINARY[1]", "BINARY.SIZE[1]", "ENVELOPE", "BODYSTRUCTURE", "RETURN", "(MIN|MAX)", "(ALL|UPDATE)", "(SAVE)", "(PARTIAL|-1:-3)", "(COUNT|CONTEXT)", "UTF-8", "US-ASCII", "(REVERSE|SUBJECT)", "(DISPLAYFROM)", "(DATE|CC)", "REFERENCES", "REFS", "ORDEREDSUBJECT", "SUBJECT", "FROM", "TEXT", "BODY", "HEADER", "SUBJECT", '"hello"', "BEFORE", "1-Jan-2020", "SAVEDSINCE", "OLDER", "YOUNGER", "10", "MODSEQ", "5", "EMAILID", "M1", "THREADID", "T1", "FILTER", "mine", "LARGER", "SMALLER", "KEYWORD", "$x", "(CHANGEDSINCE|1)", "(CHANGEDSINCE|1|VANISHED)", "(UNCHANGEDSINCE|1)", "FLAGS", "+FLAGS", "-FLAGS.SILENT", "(\\Seen)", "(\\Deleted|$x)", "\\Recent", "(CONDSTORE)", "(QRESYNC|(1|1))", "(QRESYNC|(1|1|1:3))", "SET", "NONE", "STATUS", "(PERSONAL|(MessageNew|MessageExpunge))", "(SELECTED|(MessageNew|(FLAGS)|MessageExpunge|FlagChange))", "(MAILBOXES|(a|b)|NONE)", "/private/comment", '(/private/comment|"x")', "(/shared/a|NIL)", "(DEPTH|1)", "(MAXSIZE|5)", "(STORAGE|10)", "(MESSAGES|UNSEEN|SIZE|HIGHESTMODSEQ)", "(MAILBOXID|DELETED-STORAGE|APPENDLIMIT)", "(SUBSCRIBED)", "(SPECIAL-USE|RECURSIVEMATCH|SUBSCRIBED)", "(STATUS|(MESSAGES))", '"*"', "%", "(INBOX|W%)", '"imap://ann@h/INBOX/;uid=1;urlauth=authuser"', '"/INBOX/;UID=1/;SECTION=TEXT"', "INTERNAL", "CATENATE", "(TEXT|{2+}|ab)", '(URL|"/INBOX/;UID=1")', "IN", "(PERSONAL)", "(MAILBOXES|Inbox|SUBTREE|Work)", "bob", "lrs", "+w", "DEFLATE", "IMAP4rev2", "CONDSTORE", "QRESYNC", "UIDONLY", '"c1"', "(USE|(\\Sent))", "CHARSET", "PREVIEW", "(LAZY)", "EMAILID", "RFC822.SIZE", "INTERNALDATE", "SAVEDATE", "(name|x)", "&AOk-", "é", '"é"']  # fmt: skip
# What would end the session, or wait for a line of its own.
LEFT_OUT = {"LOGOUT", "IDLE", "STARTTLS", "AUTHENTICATE", "UNAUTHENTICATE", "COMPRESS"}
NAMES = sorted({f"UID {name}" if uid else name for name, uid in COMMANDS if name not in LEFT_OUT} | {"UID", "UID NOOP"})
OPENINGS = (
    (), ("ENABLE QRESYNC",), ("ENABLE IMAP4rev2",), ("ENABLE UIDONLY CONDSTORE",), ("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))",),
)  # fmt: skip


def room() -> Room:
    multipart = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\r\n--b--"
    made = Room(message("one"), multipart, message("three"))
    made.account.create("Work", "")
    return made


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(NAMES))
    words = draw(st.lists(st.sampled_from(WORDS), max_size=7))
    return " ".join([name, *words]).encode().replace(b"+}|", b"+}\r\n").replace(b"|", b" ")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OPENINGS), st.lists(commands(), min_size=1, max_size=4))
def test_every_command_is_answered_once(opening: tuple[str, ...], said: list[bytes]) -> None:
    client = room().selected(*opening)
    for number, command in enumerate(said):
        tag = f"t{number}"
        client.said.clear()
        client.hear(tag.encode() + b" " + command + b"\r\n")
        client.session.news()  # type: ignore[attr-defined]
        client.look()
        if client.session.ended:
            assert b"{" in command
            return
        endings = [line for line in client.said if re.match(r"(t\d+) ", line)]
        # A literal that a command does not want leaves its rest to be read as a command of its own.
        assert endings, (command, client.said)
        assert endings[0].startswith(tag), (command, client.said)
    assert client.ask("z NOOP")[-1].startswith(("z OK", "z BAD")) or client.session.ended


@pytest.mark.parametrize("name", NAMES)
def test_every_command_alone(name: str) -> None:
    client: Client = room().selected()
    for arguments in ("", " ", " (", " )", ' "', " {0+}", " \\", " (((((", " é", " *", " " + "(" * 5000):
        client.said.clear()
        client.hear(f"a {name}{arguments}\r\n".encode())
        if arguments == " {0+}":
            client.hear(b"\r\n")
        assert client.said, (name, arguments)
        assert not client.session.ended
        if client.session.view is None:  # type: ignore[attr-defined]
            client.ask("b SELECT Inbox")
