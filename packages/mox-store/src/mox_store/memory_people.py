"""People and history of the account in memory: the plain model of people.py and history.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mox_store import people
from mox_store.history import Reputation, Untrained
from mox_store.mailbox import MailboxError
from mox_store.message import Mark
from mox_store.people import AppPassword, LoginAttempt, TlsKey, WebSession


@dataclass(slots=True)
class Known:
    """Who may log in and who tried; what is known of senders."""

    last_app_password: int = 0
    app_passwords: dict[int, AppPassword] = field(default_factory=dict)
    tls_keys: dict[str, TlsKey] = field(default_factory=dict)
    web_sessions: dict[str, WebSession] = field(default_factory=dict)
    attempts: dict[tuple[str, ...], LoginAttempt] = field(default_factory=dict)
    reputation: dict[tuple[str, str], Reputation] = field(default_factory=dict)
    correspondents: dict[str, tuple[int, float]] = field(default_factory=dict)
    origins: dict[int, tuple[float, tuple[tuple[str, str], ...]]] = field(default_factory=dict)  # of each message
    marks: dict[int, Mark] = field(default_factory=dict)
    trained: dict[int, Mark] = field(default_factory=dict)
    counted: dict[int, Mark] = field(default_factory=dict)

    def copy(self) -> Known:
        """A snapshot."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        copied: dict[str, Any] = {
            name: value.copy() if isinstance(value, dict) else value for name, value in values.items()
        }
        return Known(**copied)


class MemoryPeople:
    """mox_store.doors.PeopleDoor and PeopleChangesDoor"""

    def __init__(self, known: Known, now: float = 0.0) -> None:
        self._known = known
        self._now = now

    # -- asking

    def app_passwords(self) -> list[AppPassword]:
        return [one for _, one in sorted(self._known.app_passwords.items())]

    def tls_keys(self) -> list[TlsKey]:
        return sorted(self._known.tls_keys.values(), key=lambda key: (key.name.encode(), key.fingerprint.encode()))

    def tls_key(self, fingerprint: str) -> TlsKey | None:
        return self._known.tls_keys.get(fingerprint)

    def web_session(self, token: str, now: float) -> WebSession | None:
        found = self._known.web_sessions.get(token)
        return found if found is not None and found.expires > now else None

    def web_sessions(self, now: float) -> list[WebSession]:
        there = [one for one in self._known.web_sessions.values() if one.expires > now]
        return sorted(there, key=lambda one: (-one.created, one.token.encode()))

    def login_attempts(self, most: int = 100) -> list[LoginAttempt]:
        attempts = sorted(self._known.attempts.items(), key=lambda item: (-item[1].last, _encoded(item[0])))
        return [one for _, one in attempts[:most]]

    # -- changing

    def add_app_password(
        self, name: str, verifier: str, *, scopes: tuple[str, ...] = (), expires: float | None = None
    ) -> int:
        known = self._known
        if any(one.name == name for one in known.app_passwords.values()):
            raise MailboxError("ALREADYEXISTS", f"there is an app password {name!r} already")
        known.last_app_password += 1
        number = known.last_app_password
        known.app_passwords[number] = AppPassword(number, name, verifier, scopes, self._now, expires, None)
        return number

    def remove_app_password(self, id: int) -> bool:
        return self._known.app_passwords.pop(id, None) is not None

    def app_password_used(self, id: int) -> None:
        if id in self._known.app_passwords:
            self._known.app_passwords[id] = replace(self._known.app_passwords[id], used=self._now)

    def add_tls_key(self, fingerprint: str, name: str, *, preauth: bool = False) -> None:
        new = TlsKey(fingerprint, name, preauth, self._now, None)
        had = self._known.tls_keys.get(fingerprint)
        self._known.tls_keys[fingerprint] = replace(had, name=name, preauth=preauth) if had else new

    def remove_tls_key(self, fingerprint: str) -> bool:
        return self._known.tls_keys.pop(fingerprint, None) is not None

    def tls_key_used(self, fingerprint: str) -> None:
        if fingerprint in self._known.tls_keys:
            self._known.tls_keys[fingerprint] = replace(self._known.tls_keys[fingerprint], used=self._now)

    def add_web_session(self, token: str, csrf: str, agent: str, expires: float) -> None:
        sessions = self._known.web_sessions
        for one in [one for one in sessions.values() if one.expires <= self._now]:
            del sessions[one.token]
        sessions[token] = WebSession(token, csrf, agent[:500], self._now, expires)

    def keep_web_session(self, token: str, expires: float) -> None:
        if token in self._known.web_sessions:
            self._known.web_sessions[token] = replace(self._known.web_sessions[token], expires=expires)

    def end_web_sessions(self, token: str | None = None) -> int:
        sessions = self._known.web_sessions
        ended = [one for one in sessions if token is None or one == token]
        for one in ended:
            del sessions[one]
        return len(ended)

    def attempted(self, protocol: str, ip: str, mechanism: str, result: str, agent: str = "") -> None:
        attempts, key = self._known.attempts, (protocol, ip, mechanism, agent[:200], result)
        had = attempts.get(key)
        new = LoginAttempt(*key, 1, self._now, self._now)
        attempts[key] = replace(had, times=had.times + 1, last=self._now) if had else new
        if len(attempts) > people.MOST_ATTEMPTS:
            oldest = sorted((one.last for one in attempts.values()), reverse=True)[people.MOST_ATTEMPTS - 1]
            for gone in [one for one, attempt in attempts.items() if attempt.last < oldest]:
                del attempts[gone]


class MemoryHistory:
    """mox_store.doors.HistoryDoor and HistoryChangesDoor"""

    def __init__(self, known: Known, now: float = 0.0) -> None:
        self._known = known
        self._now = now

    # -- asking

    def reputation(self, traits: Sequence[tuple[str, str]]) -> list[Reputation]:
        return [self._known.reputation[one] for one in traits if one in self._known.reputation]

    def wrote_to(self, address: str) -> float | None:
        found = self._known.correspondents.get(address.lower())
        return found[1] if found else None

    def wrote_to_domain(self, domain: str) -> float | None:
        there = [
            last for one, (_, last) in self._known.correspondents.items() if one.rpartition("@")[2] == domain.lower()
        ]
        return max(there, default=None)

    def correspondents(self, most: int = 100) -> list[tuple[str, int, float]]:
        found = sorted(self._known.correspondents.items(), key=lambda item: (-item[1][1], item[0].encode()))
        return [(address, times, last) for address, (times, last) in found[:most]]

    def untrained(self, most: int = 100) -> list[Untrained]:
        marks, trained = self._known.marks, self._known.trained
        there = [(id, self.mark_of(id), trained.get(id, Mark.NONE)) for id in sorted({*marks, *trained})]
        return [Untrained(*one) for one in there if one[1] != one[2]][:most]

    def mark_of(self, message: int) -> Mark:
        return self._known.marks.get(message, Mark.NONE)

    # -- changing

    def mark(self, message: int, mark: Mark) -> None:
        known = self._known
        if message not in known.origins:
            return
        counted = known.counted.get(message, Mark.NONE)
        known.marks[message] = known.counted[message] = mark
        if counted == mark:
            return
        received, origin = known.origins[message]
        junk, wanted = ((mark == one) - (counted == one) for one in (Mark.JUNK, Mark.WANTED))
        for trait in origin:
            had = known.reputation.get(trait, Reputation(*trait, 0, 0, received, received))
            now = Reputation(
                *trait, max(0, had.junk + junk), max(0, had.wanted + wanted), min(had.first, received),
                max(had.last, received),
            )  # fmt: skip
            known.reputation[trait] = now
            if not now.junk and not now.wanted:
                del known.reputation[trait]

    def trained(self, message: int, mark: Mark) -> None:
        if message in self._known.origins:
            self._known.trained[message] = mark

    def forget_training(self) -> None:
        self._known.trained.clear()

    def wrote(self, addresses: Iterable[str]) -> None:
        for one in (address.lower() for address in addresses):
            times, _ = self._known.correspondents.get(one, (0, 0.0))
            self._known.correspondents[one] = (times + 1, self._now)


def _encoded(words: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)
