"""What administrators do with the queue, from any process.  All of it blocks and is durable on return."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mox_queue.message import HoldRule, Listed, Suppression
from mox_queue.rows.database import Database
from mox_queue.suppress import base_of

ACTIVE = ("waiting", "held")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which recipients; what is not given matches all.  `ids` are recipients', `messages` messages' ids."""

    ids: tuple[int, ...] = ()
    messages: tuple[int, ...] = ()
    states: tuple[str, ...] = ACTIVE
    account: str = ""
    sender: str = ""
    address: str = ""
    domain: str = ""

    def where(self) -> tuple[str, list[object]]:
        """As SQL over recipient r and message m."""
        terms, values = ["r.state IN (SELECT value FROM json_each(?))"], [json.dumps(self.states)]
        for column, wanted in (("r.id", self.ids), ("r.message", self.messages)):
            if wanted:
                terms.append(f"{column} IN (SELECT value FROM json_each(?))")  # noqa: S608 our own columns
                values.append(json.dumps(wanted))
        for column, text in (
            ("m.account", self.account), ("m.sender", self.sender), ("r.address", self.address),
            ("r.domain", self.domain),
        ):  # fmt: skip
            if text:
                terms.append(f"{column}=? COLLATE NOCASE")
                values.append(text)
        return " AND ".join(terms), [*values]


_LISTED = (
    "SELECT r.id,r.message,m.account,m.sender,r.address,r.domain,r.transport,r.state,r.attempts,r.next,"
    "r.started IS NOT NULL,r.last,m.arrived,m.size FROM recipient r JOIN message m ON m.id=r.message WHERE "
)
# The whole text of each statement stands here; only its condition comes from Filter, which has no text of a user's.
_CHANGES = {
    "hold": "state='held',last='held by the administrator'",
    "release": "state='waiting',next=?,last='released by the administrator'",
    "schedule": "next=?",
    "transport": "transport=?",
    "fail": "asked='fail',state='waiting',next=?",
    "drop": "state='dropped',finished=?,last='dropped by the administrator'",
}


class Desk:
    """Lists and changes what is in the queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, which: Filter = Filter(), most: int = 10_000) -> list[Listed]:
        """Recipients, oldest message first."""
        where, values = which.where()
        rows = self._database.connection.execute(f"{_LISTED}{where} ORDER BY m.arrived,r.id LIMIT ?", (*values, most))
        return [_listed(*row) for row in rows.fetchall()]

    def _change(self, what: str, which: Filter, *values: object) -> int:
        where, known = which.where()
        with self._database.write() as db:
            return db.execute(
                f"UPDATE recipient SET {_CHANGES[what]} WHERE id IN "  # noqa: S608 of our own texts
                f"(SELECT r.id FROM recipient r JOIN message m ON m.id=r.message WHERE {where})",
                (*values, *known),
            ).rowcount

    def hold(self, which: Filter) -> int:
        """They wait until they are released; how many."""
        return self._change("hold", which)

    def release(self, which: Filter, now: float) -> int:
        """Held ones may go, now; how many."""
        return self._change("release", which, now)

    def schedule(self, which: Filter, at: float) -> int:
        """Their next attempt is at that time (seconds since 1970); how many."""
        return self._change("schedule", which, at)

    def transport(self, which: Filter, name: str) -> int:
        """They go this way, whatever the routes say; "" for the routes again; how many."""
        return self._change("transport", which, name)

    def fail(self, which: Filter, now: float) -> int:
        """The runner gives them up at once and tells the senders; how many."""
        return self._change("fail", which, now)

    def drop(self, which: Filter, now: float) -> int:
        """They are forgotten, nobody is told; how many.  One whose attempt is under way may still be delivered."""
        return self._change("drop", which, now)

    # -- hold rules

    def rules(self) -> list[HoldRule]:
        """All hold rules."""
        rows = self._database.connection.execute(
            "SELECT account,sender_domain,recipient_domain,id FROM hold_rule ORDER BY id"
        )
        return [HoldRule(*row) for row in rows.fetchall()]

    def add_rule(self, rule: HoldRule) -> int:
        """Holds new messages that match; the rule's id."""
        with self._database.write() as db:
            return int(
                db.execute(
                    "INSERT INTO hold_rule(account,sender_domain,recipient_domain) VALUES(?,?,?)",
                    (rule.account, rule.sender_domain.lower(), rule.recipient_domain.lower()),
                ).lastrowid
                or 0
            )

    def remove_rule(self, number: int) -> bool:
        """New messages are not held by it any more (those that it holds stay held)."""
        with self._database.write() as db:
            return db.execute("DELETE FROM hold_rule WHERE id=?", (number,)).rowcount > 0

    # -- suppressions

    def suppressions(self, account: str = "") -> list[Suppression]:
        """All, or an account's."""
        rows = self._database.connection.execute(
            "SELECT account,base,address,since,reason FROM suppression WHERE ?='' OR account=? ORDER BY account,base",
            (account, account),
        )
        return [Suppression(*row) for row in rows.fetchall()]

    def suppress(self, account: str, address: str, now: float, reason: str) -> None:
        """The account does not write to the address any more."""
        with self._database.write() as db:
            db.execute(
                "INSERT INTO suppression VALUES(?,?,?,?,?) "
                "ON CONFLICT DO UPDATE SET since=excluded.since,reason=excluded.reason",
                (account, base_of(address), address, now, reason),
            )

    def unsuppress(self, account: str, address: str) -> bool:
        """The account may write to the address again."""
        with self._database.write() as db:
            statement = "DELETE FROM suppression WHERE account=? AND base=?"
            return db.execute(statement, (account, base_of(address))).rowcount > 0


def _listed(*row: Any) -> Listed:
    recipient, message, account, sender, address, domain, transport, state, attempts, at, under_way, last, *rest = row
    return Listed(
        recipient, message, account, sender, address, domain, transport, state, attempts, at, bool(under_way), last,
        *rest,
    )  # fmt: skip
