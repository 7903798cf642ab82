"""The order of commands, as a table (RFC 5321 4.1.4, RFC 3030, RFC 2033), and what is said to who breaks it."""

from __future__ import annotations

from enum import IntEnum, auto

from mox_smtp.reply import Reply


class Phase(IntEnum):
    """Where a session stands.  The numbers mean nothing; members of a plain Enum are slow to look up in a set."""

    CONNECTED = auto()
    GREETED = auto()
    MAIL = auto()
    RCPT = auto()
    CHUNKS = auto()  # after a BDAT that was not the last
    DATA = auto()  # octets of a message come, not commands
    AUTH = auto()  # responses come, not commands


BETWEEN = frozenset({Phase.CONNECTED, Phase.GREETED})
ANY = frozenset({Phase.CONNECTED, Phase.GREETED, Phase.MAIL, Phase.RCPT, Phase.CHUNKS})
TRANSACTION = frozenset({Phase.MAIL, Phase.RCPT, Phase.CHUNKS})

# Which command may come when.  Where a yes leads, settle.py says.
ORDER: dict[str, frozenset[Phase]] = {
    "EHLO": ANY,
    "HELO": ANY,
    "LHLO": ANY,
    "STARTTLS": BETWEEN,
    "AUTH": frozenset({Phase.GREETED}),
    "MAIL": frozenset({Phase.GREETED}),
    "RCPT": frozenset({Phase.MAIL, Phase.RCPT}),
    "DATA": frozenset({Phase.MAIL, Phase.RCPT}),
    "BDAT": ANY,  # out of order it is refused too, but its octets follow all the same (RFC 3030 2)
    "RSET": ANY,
    "NOOP": ANY,
    "VRFY": ANY,
    "EXPN": ANY,
    "HELP": ANY,
    "QUIT": ANY,
}
OUT_OF_ORDER: dict[str, Reply] = {
    "AUTH": Reply(503, "say EHLO first; not within a transaction", "5.5.1"),
    # RFC 3207 4: of the replies to STARTTLS this is the one that is no matter of time.
    "STARTTLS": Reply(501, "not within a transaction", "5.5.1"),
    "MAIL": Reply(503, "say EHLO first; RSET ends a transaction", "5.5.1"),
    "RCPT": Reply(503, "MAIL comes first; nobody is added after BDAT", "5.5.1"),
    "DATA": Reply(503, "MAIL and RCPT come first; after BDAT comes BDAT", "5.5.1"),
    "BDAT": Reply(503, "MAIL and RCPT come first", "5.5.1"),
}
LINE_ENDS = Reply(500, "a line ends with CRLF and has no other CR, LF or NUL", "5.5.2")
# Temporary, because not the client has done it, most likely, but somebody between us.
AFTER_STARTTLS = Reply(451, "nothing may follow STARTTLS before the handshake", "4.7.0")
UNKNOWN = Reply(500, "no such command", "5.5.1")
# A browser that was made to talk to us.
HTTP = Reply(502, "this is a mail server", "5.5.1")
HTTP_VERBS = frozenset(b"GET POST PUT HEAD OPTIONS CONNECT PATCH DELETE TRACE HOST:".split())
NOBODY = Reply(554, "no valid recipients", "5.5.1")
RCPT_FIRST = Reply(503, "RCPT comes first", "5.5.1")
