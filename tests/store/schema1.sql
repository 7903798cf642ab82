-- One account.  Narrow, hot `entry`; wide, immutable `message`, shared by copies; one `change` row for many messages.

CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE mailbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    uidvalidity INTEGER NOT NULL,
    uidnext     INTEGER NOT NULL DEFAULT 1,
    modseq      INTEGER NOT NULL,
    special     TEXT NOT NULL DEFAULT '',
    subscribed  INTEGER NOT NULL DEFAULT 1,
    keywords    TEXT NOT NULL DEFAULT '',    -- space separated; the n-th has bit n + 5
    total       INTEGER NOT NULL DEFAULT 0,
    unseen      INTEGER NOT NULL DEFAULT 0,
    deleted     INTEGER NOT NULL DEFAULT 0,
    size        INTEGER NOT NULL DEFAULT 0
);

-- Subscriptions outlive their mailbox (RFC 9051 6.3.7).
CREATE TABLE subscription (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE entry (
    mailbox INTEGER NOT NULL,
    uid     INTEGER NOT NULL,
    flags   INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    modseq  INTEGER NOT NULL,
    message INTEGER NOT NULL,
    saved   REAL NOT NULL,
    PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;

CREATE TABLE message (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    size          INTEGER NOT NULL,          -- prefix and content together
    received      REAL NOT NULL,
    sent          REAL,
    copies        INTEGER NOT NULL,          -- entries that show it; 0: waiting to be swept
    expunged      REAL,                      -- when copies became 0
    format        INTEGER NOT NULL,          -- of the four columns that IMAP gets as they are
    prefix        BLOB NOT NULL,
    envelope      BLOB NOT NULL,
    bodystructure BLOB NOT NULL,
    header        BLOB NOT NULL,
    subject       TEXT NOT NULL,
    preview       TEXT NOT NULL,
    message_id    TEXT NOT NULL,
    decision      INTEGER,
    segment       INTEGER,                   -- where large content is; small content is in `blob`
    at            INTEGER,
    length        INTEGER NOT NULL
);
CREATE INDEX message_swept ON message (expunged) WHERE copies = 0;

CREATE TABLE blob (
    message INTEGER PRIMARY KEY,
    data    BLOB NOT NULL
);

CREATE TABLE change (
    modseq  INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    kind    INTEGER NOT NULL,                -- 1 added, 2 flags, 3 expunged, 4 mailboxes
    uids    TEXT NOT NULL,                   -- an IMAP sequence set
    PRIMARY KEY (modseq, mailbox, kind)
) WITHOUT ROWID;

CREATE TABLE decision (
    id     INTEGER PRIMARY KEY,
    record BLOB NOT NULL
);

CREATE TABLE credential (
    kind  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
