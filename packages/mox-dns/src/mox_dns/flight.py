"""A question on its way to its answer: what to do with each thing a server says.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mox_dns import wire
from mox_dns.cache import Key
from mox_dns.lookup import Answer, Question, Status


class Flight:
    """A question on its way: to which server, how often tried, who waits for it, what was learned."""

    __slots__ = (
        "asked", "attempt", "authentic", "chased", "deadline", "edns", "failed", "failure",
        "id", "key", "port", "question", "sent", "server", "ttl", "waiters",
    )  # fmt: skip

    def __init__(self, question: Question, key: Key, asked: wire.Asked, server: int) -> None:
        self.question, self.key, self.asked, self.server = question, key, asked, server
        self.waiters: list[Any] = []
        self.attempt, self.id, self.sent, self.edns, self.deadline = 0, 0, b"", True, 0.0
        self.port: Any = None
        self.failed: set[int] = set()
        self.failure: Answer | None = None
        self.chased, self.ttl, self.authentic = 0, wire.MAX_TTL, True

    def learn(self, outcome: wire.Outcome, servers: int) -> Answer | None:
        """The final answer, or None: ask on, of `self.server`."""
        if isinstance(outcome, wire.Chase):
            if self._chase(outcome):
                return None
            outcome = Answer(self.question, Status.MALFORMED, detail="aliases that lead nowhere")
        if isinstance(outcome, wire.Trouble):
            if outcome is wire.Trouble.NO_EDNS and self.edns:
                self.edns = False
                self.attempt -= 1  # the server is there, only old
                return None
            outcome = Answer(self.question, Status.SERVFAIL, detail=f"the server made no sense: {outcome.value}")
        if outcome.status in (Status.SERVFAIL, Status.MALFORMED):
            self.failure = outcome
            self.failed.add(self.server)
            return self.move_on(servers)
        return self._complete(outcome)

    def move_on(self, servers: int) -> Answer | None:
        """To the next server that has not failed; the failure if there is none."""
        for step in range(1, servers + 1):
            if (server := (self.server + step) % servers) not in self.failed:
                self.server = server
                return None
        return self.given_up()

    def given_up(self) -> Answer:
        """What to say after the last attempt."""
        detail = f"no answer after {self.attempt} attempts"
        return self._complete(self.failure or Answer(self.question, Status.TIMEOUT, detail=detail))

    def _chase(self, chase: wire.Chase) -> bool:
        """Asks for the alias's target from now on; False if that leads nowhere."""
        self.chased += 1
        self.attempt = 0
        self.ttl, self.authentic = min(self.ttl, chase.ttl), self.authentic and chase.authentic
        asked = wire.asked(Question(chase.target, self.question.type))
        # A backslash: the target has octets that no text of ours can ask for.
        if self.chased > wire.MAX_CNAMES or asked is None or "\\" in chase.target:
            return False
        self.asked = asked
        return True

    def _complete(self, answer: Answer) -> Answer:
        if not self.chased:
            return answer
        authentic, ttl = self.authentic and answer.authentic, min(self.ttl, answer.ttl)
        return replace(answer, question=self.question, authentic=authentic, ttl=ttl)


@dataclass(slots=True)
class Counts:
    """What a resolver has done since it was made."""

    asked: int = 0
    from_cache: int = 0
    joined: int = 0  # asked while the same question was open
    sent: int = 0
    timeouts: int = 0
    strays: int = 0
    tcp: int = 0
