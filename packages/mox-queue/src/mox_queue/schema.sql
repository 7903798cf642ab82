-- The queue: a message once, a row for each of its recipients, a row for each attempt.

CREATE TABLE message (
    id          INTEGER PRIMARY KEY,         -- time-ordered, given by the application
    sender      TEXT NOT NULL,               -- reverse-path, "" for notices
    account     TEXT NOT NULL,               -- whose message it is; "" for the server's own
    arrived     REAL NOT NULL,
    smtputf8    INTEGER NOT NULL,
    eightbit    INTEGER NOT NULL,
    tls         TEXT NOT NULL,               -- "", "require" (REQUIRETLS), "optional" (TLS-Required: No)
    ret         TEXT NOT NULL,               -- "", "FULL", "HDRS" (RFC 3461 4.3)
    envid       TEXT NOT NULL,               -- decoded (RFC 3461 4.4)
    fromid      TEXT NOT NULL,               -- what tells this message's bounces apart, "" for nothing
    prefix      BLOB NOT NULL,
    data        BLOB,                        -- small content; larger content is the file <id>.eml
    size        INTEGER NOT NULL,
    record      BLOB NOT NULL                -- the application's decision record
);

-- What an account has sent lately; which message a bounce is about.
CREATE INDEX message_account ON message (account, arrived);
CREATE INDEX message_fromid ON message (account, fromid) WHERE fromid <> '';

CREATE TABLE recipient (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    message     INTEGER NOT NULL,
    address     TEXT NOT NULL,
    domain      TEXT NOT NULL,               -- A-form, or a literal
    base        TEXT NOT NULL,               -- the address as suppressions see it
    notify      TEXT NOT NULL,               -- "", "NEVER", or some of SUCCESS,FAILURE,DELAY (RFC 3461 4.1)
    orcpt       TEXT NOT NULL,               -- type;address, decoded (RFC 3461 4.2)
    transport   TEXT NOT NULL DEFAULT '',    -- chosen by an administrator; "" lets the routes choose
    asked       TEXT NOT NULL DEFAULT '',    -- "fail": the runner gives up at once, with a notice
    state       TEXT NOT NULL DEFAULT 'waiting',  -- waiting, held, delivered, failed, dropped
    attempts    INTEGER NOT NULL DEFAULT 0,
    next        REAL NOT NULL,
    started     REAL,                        -- an attempt is under way since then
    warned      INTEGER NOT NULL DEFAULT 0,
    finished    REAL,
    last        TEXT NOT NULL DEFAULT ''     -- what came of the last attempt, or why it is held
);
CREATE INDEX recipient_due ON recipient (next) WHERE state = 'waiting' AND started IS NULL;
CREATE INDEX recipient_message ON recipient (message);
CREATE INDEX recipient_base ON recipient (base, finished);
CREATE INDEX recipient_finished ON recipient (finished) WHERE finished IS NOT NULL;

CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient   INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started     REAL NOT NULL,
    finished    REAL,
    outcome     TEXT NOT NULL,               -- delivered, later, failed, interrupted
    record      TEXT NOT NULL DEFAULT ''     -- JSON: steps, replies
);
CREATE INDEX attempt_recipient ON attempt (recipient);

-- New messages that match every given column wait until somebody releases them.
CREATE TABLE hold_rule (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    account          TEXT NOT NULL,
    sender_domain    TEXT NOT NULL,
    recipient_domain TEXT NOT NULL
);

-- Whom an account has written to, and since when.
CREATE TABLE written_to (
    account     TEXT NOT NULL,
    address     TEXT NOT NULL,               -- in lower case
    first       REAL NOT NULL,
    PRIMARY KEY (account, address)
) WITHOUT ROWID;
CREATE INDEX written_to_first ON written_to (account, first);

-- Addresses that an account no longer writes to.
CREATE TABLE suppression (
    account     TEXT NOT NULL,
    base        TEXT NOT NULL,
    address     TEXT NOT NULL,               -- as it was when it was added
    since       REAL NOT NULL,
    reason      TEXT NOT NULL,
    PRIMARY KEY (account, base)
) WITHOUT ROWID;
