"""An index of texts, for those who search much: which messages may have these letters in them?  Off until it is begun.

Every three letters in a row are a word of SQLite's FTS5 (tokenizer trigram), so substrings are found exactly, not only
words.  It is a prefilter: `search.scan` skips what it rules out, and the protocol still decides what a match is.  It
costs about as much room as the texts; a background task fills it, newest messages are searched without it meanwhile."""

from __future__ import annotations

import sqlite3
from asyncio import Future
from collections.abc import Callable

from mox_message import Content
from mox_store.account import Account
from mox_store.disk import StoreError
from mox_store.ground import read_facts
from mox_store.transaction import Transaction

_MAKE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS trigram "
    "USING fts5(text, content='', detail=none, tokenize='trigram case_sensitive 1')"
)
_FACT = "indexed"
# Of a text so much is indexed; a longer message is always a candidate.
TEXT_MOST = 1024 * 1024
# So many three-letter words of a needle are asked for; more rule out little more.
ASKED_MOST = 12
LEAST = 3


def begin(account: Account) -> None:
    """Makes the index, empty.  Blocks.  Raises StoreError when this SQLite has no trigrams."""
    with account.write() as tx:
        try:
            tx.connection.execute(_MAKE)
        except sqlite3.OperationalError as error:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} cannot index texts: {error}") from error
        if _FACT not in read_facts(account.database):
            tx.set_fact(_FACT, 0)


def end(account: Account) -> None:
    """Forgets the index.  Blocks."""
    with account.write() as tx:
        tx.connection.execute("DROP TABLE IF EXISTS trigram")
        tx.connection.execute("DELETE FROM fact WHERE name=?", (_FACT,))


def fill(account: Account, text_of: Callable[[Content], str], most: int = 50) -> Future[int]:
    """Indexes the next messages, in one shared transaction; how many, 0 when all are indexed.

    `text_of` gives everything that the protocol may find in a message: decoded header and text parts."""
    made = read(account, text_of, most)

    def run(tx: Transaction) -> int:
        return _keep(tx, made)

    return account.commit(run)


def fill_blocking(account: Account, text_of: Callable[[Content], str], most: int = 50) -> int:
    """The same for command lines."""
    made = read(account, text_of, most)
    with account.write() as tx:
        return _keep(tx, made)


def read(account: Account, text_of: Callable[[Content], str], most: int) -> list[tuple[int, str]]:
    """(message, folded text) of the next messages that are not indexed."""
    done = read_facts(account.database).get(_FACT)
    if done is None:
        raise StoreError("there is no index; begin it")
    rows = account.database.rows("SELECT id FROM message WHERE id>? ORDER BY id LIMIT ?", (done, most))
    return [(number, text_of(account.content(number)).casefold()) for (number,) in rows]


def _keep(tx: Transaction, made: list[tuple[int, str]]) -> int:
    (done,) = tx.connection.execute("SELECT value FROM fact WHERE name=?", (_FACT,)).fetchone()
    fresh = [(number, text) for number, text in made if number > done]  # another process may have been quicker
    for number, text in fresh:
        # What is too long is left out here, and kept in mind below.
        if len(text) <= TEXT_MOST:
            tx.connection.execute("INSERT INTO trigram(rowid,text) VALUES(?,?)", (number, text))
        else:
            tx.connection.execute("INSERT INTO trigram(rowid,text) VALUES(?,?)", (number, _EVERYTHING))
    if fresh:
        tx.set_fact(_FACT, fresh[-1][0])
    return len(fresh)


# Stands for a text that is too long: a mark that every question asks for, too.
_EVERYTHING = "\ue000\ue001\ue002"


class Candidates:
    """Which messages may have a text in them."""

    def __init__(self, indexed: int, messages: frozenset[int]) -> None:
        self._indexed = indexed
        self._messages = messages

    def __contains__(self, message: object) -> bool:
        return isinstance(message, int) and (message > self._indexed or message in self._messages)


def candidates(account: Account, needle: str) -> Candidates | None:
    """What the index says of a case-folded needle; None when it has nothing to say.  Raises StoreError."""
    done = read_facts(account.database).get(_FACT)
    if done is None or len(needle) < LEAST:
        return None
    grams = list(dict.fromkeys(needle[at : at + LEAST] for at in range(len(needle) - LEAST + 1)))
    step = max(1, len(grams) // ASKED_MOST)
    asked = " AND ".join(_quoted(gram) for gram in grams[::step])
    rows = account.database.rows(
        "SELECT rowid FROM trigram WHERE trigram MATCH ?", (f"({asked}) OR {_quoted(_EVERYTHING)}",)
    )
    return Candidates(done, frozenset(number for (number,) in rows))


def _quoted(gram: str) -> str:
    return '"' + gram.replace('"', '""') + '"'
