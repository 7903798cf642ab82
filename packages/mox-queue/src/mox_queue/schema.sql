-- The queue: a message once, a row for each of its recipients.

CREATE TABLE message (
    id          INTEGER PRIMARY KEY,         -- time-ordered, given by the application
    sender      TEXT NOT NULL,               -- reverse-path, "" for notices
    account     TEXT NOT NULL,
    arrived     REAL NOT NULL,
    smtputf8    INTEGER NOT NULL,
    eightbit    INTEGER NOT NULL,
    prefix      BLOB NOT NULL,
    data        BLOB,                        -- small content; larger content is the file <id>.eml
    size        INTEGER NOT NULL,
    record      BLOB NOT NULL                -- the application's decision record
);

CREATE TABLE recipient (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    message     INTEGER NOT NULL,
    address     TEXT NOT NULL,
    domain      TEXT NOT NULL,               -- A-form, or a literal
    state       TEXT NOT NULL DEFAULT 'waiting',  -- waiting, held, delivered, failed, dropped
    attempts    INTEGER NOT NULL DEFAULT 0,
    next        REAL NOT NULL,
    started     REAL,                        -- an attempt is under way since then
    warned      INTEGER NOT NULL DEFAULT 0,
    finished    REAL,
    last        TEXT NOT NULL DEFAULT ''     -- what came of the last attempt
);
CREATE INDEX recipient_due ON recipient (next) WHERE state = 'waiting';
CREATE INDEX recipient_message ON recipient (message);

CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient   INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started     REAL NOT NULL,
    finished    REAL,
    outcome     TEXT NOT NULL DEFAULT '',    -- delivered, later, failed; "" while under way
    record      TEXT NOT NULL DEFAULT ''     -- JSON: steps, replies
);
CREATE INDEX attempt_recipient ON attempt (recipient);
