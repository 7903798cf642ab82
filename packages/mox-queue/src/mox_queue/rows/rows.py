"""Adding messages, and what the runner does with them."""

from __future__ import annotations

import json
import os
from asyncio import Future
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mox_message import Content
from mox_queue.allowance import Allowance, Over, Spent, over
from mox_queue.bounces import Bounce, Sent
from mox_queue.events import Kind
from mox_queue.message import Due, NewMessage, TlsWish
from mox_queue.outcome import Attempt, Settled
from mox_queue.rows.database import Connection, Database, PlainDatabase
from mox_queue.suppress import FAILURES, base_of

# Up to here content is in the row; above it is a file that is synced before the row is.
SMALL = 32 * 1024
# A file without a row may be one whose row is about to come.
STRAY_SECONDS = 3600.0

_DUE = (
    "SELECT r.id,r.message,r.address,r.domain,r.base,r.notify,r.orcpt,r.transport,r.asked,r.attempts,r.warned,"
    "m.sender,m.account,m.arrived,m.smtputf8,m.eightbit,m.tls,m.ret,m.envid,m.fromid "
    "FROM recipient r JOIN message m ON m.id=r.message WHERE r.state='waiting' AND r.started IS NULL AND r.next<=? "
    "AND r.domain NOT IN (SELECT value FROM json_each(?)) ORDER BY r.next,r.id LIMIT ?"
)


class Rows:
    """The queue on disk.  `folder` is for large contents."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, message: int) -> Path:
        return self._folder / f"{message}.eml"

    # -- adding

    def place(self, message: int, content: Content) -> None:
        """Writes large content to its file, synced; blocks.  Call it in a thread before add().  Raises OSError."""
        path = self._path(message)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._folder)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def place_again(self, message: int, placed: int) -> None:
        """The same large content for another message, without a copy.  Raises OSError."""
        os.link(self._path(placed), self._path(message))
        sync_folder(self._folder)

    def add(self, *messages: NewMessage, allowance: Allowance | None = None) -> Future[Over | None]:
        """Queues messages of one account, all or none; done when they are on disk, or with what is too much."""
        small = [one.content.read() if one.content.size <= SMALL else None for one in messages]

        def run(db: Connection) -> Over | None:
            first = messages[0]
            if allowance is not None and allowance.limited:
                to = [one.address for message in messages for one in message.recipients]
                too_much = over(
                    allowance, spent(db, first.account, first.arrived - allowance.seconds), len(to),
                    len(strangers(db, first.account, to)),
                )  # fmt: skip
                if too_much is not None:
                    return too_much
            for message, data in zip(messages, small, strict=True):
                insert(db, message, data)
            return None

        return self.database.commit(run)

    def spent(self, account: str, after: float) -> Spent:
        """What an account has sent since then."""
        return spent(self.database.connection, account, after)

    def strangers(self, account: str, addresses: Collection[str]) -> frozenset[str]:
        """Those of the addresses that the account has never written to, in lower case."""
        return strangers(self.database.connection, account, addresses)

    def drop_file(self, message: int) -> None:
        """Removes the file of a message that was forgotten, or never queued."""
        self._path(message).unlink(missing_ok=True)

    # -- running

    def content(self, message: int) -> Content | None:
        """The message with its prefix; None when it is gone.  Raises OSError when its file is."""
        row = self.database.connection.execute("SELECT prefix,data FROM message WHERE id=?", (message,)).fetchone()
        if row is None:
            return None
        prefix, data = row
        return Content.joined(prefix, Content.of(data) if data is not None else Content.file(self._path(message)))

    def due(self, now: float, most: int = 500, without: Collection[str] = ()) -> list[Due]:
        """Recipients to be tried now and not under way, oldest first; none of the domains in `without`."""
        rows = self.database.connection.execute(_DUE, (now, json.dumps([*without]), most)).fetchall()
        return [_due(*row) for row in rows]

    def next_time(self, after: float = 0.0) -> float | None:
        """When the next recipient is due, of those after a time; None when nothing waits."""
        row = self.database.connection.execute(
            "SELECT min(next) FROM recipient WHERE state='waiting' AND started IS NULL AND next>?", (after,)
        ).fetchone()
        found: float | None = row[0]
        return found

    def claim(self, recipients: Sequence[Due], now: float, not_before: float) -> Future[frozenset[int]]:
        """Notes that attempts begin, BEFORE anybody is called: a crash then cannot make us hammer a host.  The
        recipients that are ours to try: the others were held or dropped since.  `not_before`: when they are tried
        again if we die."""

        def run(db: Connection) -> frozenset[int]:
            statement = (
                "UPDATE recipient SET started=?,next=? WHERE id=? AND state='waiting' AND started IS NULL RETURNING id"
            )
            ours = [db.execute(statement, (now, not_before, due.recipient)).fetchone() for due in recipients]
            return frozenset(row[0] for row in ours if row is not None)

        return self.database.commit(run)

    def unclaim(self, recipients: Sequence[Due], now: float) -> Future[None]:
        """They were not tried after all."""
        return self.database.commit(
            lambda db: _each(
                db, "UPDATE recipient SET started=NULL,next=? WHERE id=?", [(now, due.recipient) for due in recipients]
            )
        )

    def settle(
        self,
        outcomes: Iterable[tuple[Due, Attempt, Settled]],
        started: float,
        now: float,
        notices: Sequence[NewMessage] = (),
        suppressed: Mapping[int, str] | None = None,
    ) -> Future[None]:
        """Notes what became of attempts, the notices about them, and (`suppressed`: recipient's id -> reason) addresses
        that are not written to any more, in one transaction."""
        listed = list(outcomes)
        small = {notice.id: notice.content.read() for notice in notices}

        def run(db: Connection) -> None:
            for due, attempt, settled in listed:
                _settle(db, due, attempt, settled, started, now)
                if suppressed and due.recipient in suppressed:
                    db.execute(
                        "INSERT INTO suppression VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
                        (due.account, due.base, due.address, now, suppressed[due.recipient]),
                    )
            for notice in notices:
                insert(db, notice, small[notice.id])

        return self.database.commit(run)

    def suppression(self, account: str, base: str) -> tuple[float, str] | None:
        """(since when, why) the account does not write to an address; None: it does."""
        row = self.database.connection.execute(
            "SELECT since,reason FROM suppression WHERE account=? AND base=?", (account, base)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def failed_before(self, account: str, base: str) -> bool:
        """Did the messages of the account to this address that ended last all fail, so that one more is enough?"""
        rows = self.database.connection.execute(
            "SELECT r.state FROM recipient r JOIN message m ON m.id=r.message WHERE r.base=? AND m.account=? "
            "AND r.finished IS NOT NULL AND r.state IN ('delivered','failed') ORDER BY r.finished DESC LIMIT ?",
            (base, account, FAILURES - 1),
        ).fetchall()
        return len(rows) == FAILURES - 1 and all(state == "failed" for (state,) in rows)

    def sent_as(self, account: str, fromid: str) -> Sent | None:
        """The recipient whose message of the account has that id in its reverse-path."""
        row = self.database.connection.execute(
            "SELECT r.id,r.message,m.account,m.sender,r.address,r.base,r.attempts,m.fromid FROM message m "
            "JOIN recipient r ON r.message=m.id WHERE m.account=? AND m.fromid=? ORDER BY r.id LIMIT 1",
            (account, fromid),
        ).fetchone()
        return None if row is None else Sent(*row)

    def bounced(self, sent: Sent, bounce: Bounce, now: float, *, suppress: bool) -> Future[None]:
        """Writes down what came back; a failure counts like one that was told in the conversation."""

        def run(db: Connection) -> None:
            failed = bounce.kind is Kind.FAILED
            db.execute(
                "UPDATE recipient SET state=CASE WHEN ? AND state='delivered' THEN 'failed' ELSE state END,last=? "
                "WHERE id=?",
                (failed, f"{bounce.kind}: {bounce.text}", sent.recipient),
            )
            db.execute(
                "INSERT INTO attempt(recipient,number,started,finished,outcome,record) VALUES(?,?,?,?,?,?)",
                (sent.recipient, sent.attempts, now, now, f"notice: {bounce.kind}", json.dumps({"text": bounce.text})),
            )
            if suppress and failed:
                db.execute(
                    "INSERT INTO suppression VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
                    (sent.account, sent.base, sent.address, now, bounce.text),
                )

        return self.database.commit(run)

    # -- keeping house

    def recover(self, now: float) -> Future[int]:
        """After a start: attempts that a crash cut off are no longer under way; their next time was set before them."""

        def run(db: Connection) -> int:
            db.execute(
                "INSERT INTO attempt(recipient,number,started,finished,outcome) "
                "SELECT id,attempts+1,started,?,'interrupted' FROM recipient WHERE started IS NOT NULL",
                (now,),
            )
            return db.execute(
                "UPDATE recipient SET started=NULL,attempts=attempts+1,last='the attempt was interrupted' "
                "WHERE started IS NOT NULL"
            ).rowcount

        return self.database.commit(run)

    def forget(self, before: float, most: int = 500) -> Future[list[int]]:
        """Removes messages whose recipients were all finished before then; their ids, so that files can go."""

        def run(db: Connection) -> list[int]:
            done = [
                row[0]
                for row in db.execute(
                    "SELECT DISTINCT r.message FROM recipient r WHERE r.finished<? AND NOT EXISTS (SELECT 1 FROM "
                    "recipient o WHERE o.message=r.message AND (o.finished IS NULL OR o.finished>=?)) LIMIT ?",
                    (before, before, most),
                ).fetchall()
            ]
            for message in done:
                db.execute(
                    "DELETE FROM attempt WHERE recipient IN (SELECT id FROM recipient WHERE message=?)", (message,)
                )
                db.execute("DELETE FROM recipient WHERE message=?", (message,))
                db.execute("DELETE FROM message WHERE id=?", (message,))
            return done

        return self.database.commit(run)

    def large(self) -> frozenset[int]:
        """Messages that have a file."""
        rows = self.database.connection.execute("SELECT id FROM message WHERE data IS NULL").fetchall()
        return frozenset(row[0] for row in rows)

    def sweep_files(self, known: Collection[int], now: float) -> int:
        """Removes old files of messages that are not `known` (a crash between file and row); how many."""
        count = 0
        for path in self._folder.glob("*.eml"):
            if path.stem.isdigit() and int(path.stem) in known:
                continue
            if now - path.stat().st_mtime > STRAY_SECONDS:
                path.unlink(missing_ok=True)
                count += 1
        return count

    # -- records

    def record(self, message: int) -> bytes | None:
        """The application's record of a message."""
        row = self.database.connection.execute("SELECT record FROM message WHERE id=?", (message,)).fetchone()
        return row[0] if row else None

    def attempts(self, message: int) -> list[Mapping[str, Any]]:
        """Every attempt for a message, in order, as plain data."""
        rows = self.database.connection.execute(
            "SELECT r.address,a.number,a.started,a.finished,a.outcome,a.record,r.state FROM attempt a JOIN recipient r "
            "ON r.id=a.recipient WHERE r.message=? ORDER BY a.id",
            (message,),
        ).fetchall()
        return [
            {"recipient": address, "number": number, "started": started, "finished": finished, "outcome": outcome,
             "state": state, **(json.loads(record) if record else {})}
            for address, number, started, finished, outcome, record, state in rows
        ]  # fmt: skip


def sync_folder(path: Path) -> None:
    """The names in a folder are on disk.  Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def spent(db: Connection, account: str, after: float) -> Spent:
    """What an account has sent since then."""
    recipients, oldest = db.execute(
        "SELECT count(*),min(m.arrived) FROM message m JOIN recipient r ON r.message=m.id "
        "WHERE m.account=? AND m.arrived>?",
        (account, after),
    ).fetchone()
    (first_time,) = db.execute(
        "SELECT count(*) FROM written_to WHERE account=? AND first>?", (account, after)
    ).fetchone()
    return Spent(recipients, first_time, oldest)


def strangers(db: Connection, account: str, addresses: Collection[str]) -> frozenset[str]:
    """Those of the addresses that the account has never written to, in lower case."""
    asked = {address.lower() for address in addresses}
    known = db.execute(
        "SELECT address FROM written_to WHERE account=? AND address IN (SELECT value FROM json_each(?))",
        (account, json.dumps(sorted(asked))),
    )
    return frozenset(asked - {address for (address,) in known})


def _due(*row: Any) -> Due:
    *start, warned, sender, account, arrived, smtputf8, eightbit, tls, ret, envid, fromid = row
    recipient, message, address, domain, base, notify, orcpt, transport, asked, attempts = start
    return Due(
        recipient, message, address, domain, base, notify, orcpt, transport, asked, attempts, bool(warned), sender,
        account, arrived, bool(smtputf8), bool(eightbit), TlsWish(tls), ret, envid, fromid,
    )  # fmt: skip


def _each(db: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    db.executemany(statement, rows)


def _settle(db: Connection, due: Due, attempt: Attempt, settled: Settled, started: float, now: float) -> None:
    record = json.dumps(
        {"text": attempt.text, "status": attempt.status, "remote": attempt.remote, "steps": list(attempt.steps)},
        default=str, ensure_ascii=False,
    )  # fmt: skip
    db.execute(
        "INSERT INTO attempt(recipient,number,started,finished,outcome,record) VALUES(?,?,?,?,?,?)",
        (due.recipient, due.attempts + 1, started, now, str(attempt.result), record),
    )
    over = settled.state != "waiting"
    # What was held in the meantime stays held, unless it is over: then it must not be sent again.
    db.execute(
        "UPDATE recipient SET state=CASE WHEN ? OR state='waiting' THEN ? ELSE state END,started=NULL,asked='',"
        "attempts=?,next=coalesce(?,next),warned=max(warned,?),finished=?,last=? WHERE id=?",
        (
            over, settled.state, due.attempts + 1, settled.next, settled.notice == "delayed", now if over else None,
            attempt.text, due.recipient,
        ),
    )  # fmt: skip


def insert(db: Connection, message: NewMessage, small: bytes | None) -> bool:
    """The rows of a message; for applications that queue within a transaction of their own.  False: it is held."""
    db.execute(
        "INSERT INTO message VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            message.id, message.sender, message.account, message.arrived, message.smtputf8, message.eightbit,
            message.tls, message.ret, message.envid, message.fromid, message.prefix, small,
            len(message.prefix) + message.content.size, message.record,
        ),
    )  # fmt: skip
    free = False
    for one in message.recipients:
        rule = _hold(db, message, one.domain)
        free = free or rule is None
        db.execute(
            "INSERT INTO recipient(message,address,domain,base,notify,orcpt,next,state,last) VALUES(?,?,?,?,?,?,?,?,?)",
            (
                message.id, one.address, one.domain, base_of(one.address), one.notify, one.orcpt,
                max(message.arrived, message.not_before), "waiting" if rule is None else "held",
                "" if rule is None else f"held by rule {rule}",
            ),
        )  # fmt: skip
        if message.account:
            db.execute(
                "INSERT INTO written_to VALUES(?,?,?) ON CONFLICT DO NOTHING",
                (message.account, one.address.lower(), message.arrived),
            )
    return free


def _hold(db: Connection, message: NewMessage, recipient_domain: str) -> int | None:
    """The first rule that holds it."""
    row = db.execute(
        "SELECT id FROM hold_rule WHERE account IN ('',?) AND sender_domain IN ('',?) AND recipient_domain IN ('',?) "
        "ORDER BY id LIMIT 1",
        (message.account, message.sender.rpartition("@")[2].lower(), recipient_domain),
    ).fetchone()
    # The server's own notices are about mail that was already let go.
    return None if row is None or not message.sender else row[0]


def open_rows(folder: Path) -> Rows:
    """A queue of its own in a folder, for users of this package alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Rows(PlainDatabase(folder / "queue.db"), folder / "messages")
