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
    size        INTEGER NOT NULL DEFAULT 0,
    createseq   INTEGER NOT NULL DEFAULT 0,  -- modseq at which it was made
    owner       TEXT NOT NULL DEFAULT ''     -- '' is the account itself
);

-- Who else may do what (RFC 4314).
CREATE TABLE acl (
    mailbox INTEGER NOT NULL,
    who     TEXT NOT NULL,
    rights  TEXT NOT NULL,
    PRIMARY KEY (mailbox, who)
) WITHOUT ROWID;

-- Other accounts that let this one see something of theirs; what it is, their `acl` says.
CREATE TABLE sharer (account TEXT PRIMARY KEY) WITHOUT ROWID;

-- RFC 5464; mailbox 0 is the account.
CREATE TABLE annotation (
    mailbox INTEGER NOT NULL,
    name    TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (mailbox, name)
) WITHOUT ROWID;

-- Subscriptions outlive their mailbox (RFC 9051 6.3.7).
CREATE TABLE subscription (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE entry (
    mailbox   INTEGER NOT NULL,
    uid       INTEGER NOT NULL,
    flags     INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    modseq    INTEGER NOT NULL,
    message   INTEGER NOT NULL,
    saved     REAL NOT NULL,
    createseq INTEGER NOT NULL DEFAULT 0,    -- modseq at which it came into the mailbox
    PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;
-- A message is not touched when it is copied or expunged: this says what still shows it.
CREATE INDEX entry_message ON entry (message);

CREATE TABLE message (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    size          INTEGER NOT NULL,          -- prefix and content together
    received      REAL NOT NULL,
    sent          REAL,
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
    length        INTEGER NOT NULL,
    thread        INTEGER NOT NULL DEFAULT 0, -- the message that began the thread
    mark          INTEGER NOT NULL DEFAULT 0, -- 1 junk, -1 not junk, 0 nobody said
    trained       INTEGER NOT NULL DEFAULT 0, -- the mark that the junk filter has learned
    counted       INTEGER NOT NULL DEFAULT 0, -- the mark that `reputation` has counted
    origin        TEXT NOT NULL DEFAULT ''    -- where it came from: kind, space, value on each line
);
CREATE INDEX message_segment ON message (segment) WHERE segment IS NOT NULL;
CREATE INDEX message_untrained ON message (id) WHERE mark <> trained;

-- Which thread a message-id belongs to: of messages that are here, and of those they follow.
CREATE TABLE thread (
    id     INTEGER PRIMARY KEY,              -- hash of the message-id
    thread INTEGER NOT NULL
);

CREATE TABLE blob (
    message INTEGER PRIMARY KEY,
    data    BLOB NOT NULL
);

CREATE TABLE change (
    modseq  INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    kind    INTEGER NOT NULL,                -- 1 added, 2 flags, 3 expunged, 4 mailboxes, 5 annotations
    uids    TEXT NOT NULL,                   -- an IMAP sequence set
    PRIMARY KEY (modseq, mailbox, kind)
) WITHOUT ROWID;

-- Who was away for long asks for expunges only (RFC 7162 3.2.5.2).
CREATE INDEX change_expunged ON change (mailbox, modseq) WHERE kind = 3;

CREATE TABLE decision (
    id     INTEGER PRIMARY KEY,
    record BLOB NOT NULL
);

CREATE TABLE credential (
    kind  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Messages that no entry shows any more, while they can still be brought back; then they are swept.
CREATE TABLE bin (
    message  INTEGER PRIMARY KEY,
    mailbox  TEXT NOT NULL,                  -- the name of the mailbox that had it last
    flags    TEXT NOT NULL,
    expunged REAL NOT NULL DEFAULT 0
);
CREATE INDEX bin_expunged ON bin (expunged);

-- What the owner's marks say about senders.
CREATE TABLE reputation (
    kind  TEXT NOT NULL,
    value TEXT NOT NULL,
    junk  INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    first REAL NOT NULL,
    last  REAL NOT NULL,
    PRIMARY KEY (kind, value)
) WITHOUT ROWID;

-- To whom the owner has written.
CREATE TABLE correspondent (
    address TEXT PRIMARY KEY,
    domain  TEXT NOT NULL,
    times   INTEGER NOT NULL,
    last    REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX correspondent_domain ON correspondent (domain);

CREATE TABLE app_password (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE,
    verifier TEXT NOT NULL,                  -- opaque
    scopes   TEXT NOT NULL,                  -- space separated; '' is everything
    created  REAL NOT NULL,
    expires  REAL,
    used     REAL
);

CREATE TABLE tls_key (
    fingerprint TEXT PRIMARY KEY,            -- of the public key
    name        TEXT NOT NULL,
    preauth     INTEGER NOT NULL,            -- IMAP greets with PREAUTH
    created     REAL NOT NULL,
    used        REAL
) WITHOUT ROWID;

CREATE TABLE web_session (
    token   TEXT PRIMARY KEY,                -- a hash of it
    csrf    TEXT NOT NULL,
    agent   TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE login_attempt (
    protocol  TEXT NOT NULL,
    ip        TEXT NOT NULL,
    mechanism TEXT NOT NULL,
    agent     TEXT NOT NULL,
    result    TEXT NOT NULL,
    times     INTEGER NOT NULL,
    first     REAL NOT NULL,
    last      REAL NOT NULL,
    PRIMARY KEY (protocol, ip, mechanism, agent, result)
) WITHOUT ROWID;

-- How far an import has come, so that it goes on where it was stopped.
CREATE TABLE import (
    source   TEXT PRIMARY KEY,
    position TEXT NOT NULL,
    taken    INTEGER NOT NULL,
    skipped  INTEGER NOT NULL
) WITHOUT ROWID;
