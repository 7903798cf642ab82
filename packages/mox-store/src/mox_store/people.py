"""Who may log in as the owner, and how: app passwords, TLS client keys, web sessions; and who tried.

Verifiers, fingerprints and hashes of tokens are opaque here: nothing in the store can be used to log in."""

from __future__ import annotations

from dataclasses import dataclass

from mox_store.ground import Asked
from mox_store.group import Connection
from mox_store.mailbox import MailboxError

# Different failed attempts are kept up to here, the youngest.
MOST_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A password for one program or device.  `scopes`: what it may be used for; none is everything."""

    id: int
    name: str
    verifier: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None
    used: float | None

    def good(self, now: float, scope: str) -> bool:
        """May it be used now, for this?"""
        return (self.expires is None or now < self.expires) and (not self.scopes or scope in self.scopes)


@dataclass(frozen=True, slots=True)
class TlsKey:
    """A client key that logs in by itself; `fingerprint` is of the public key."""

    fingerprint: str
    name: str
    preauth: bool
    created: float
    used: float | None


@dataclass(frozen=True, slots=True)
class WebSession:
    """A login of a browser; `token` is a hash of its cookie."""

    token: str
    csrf: str
    agent: str
    created: float
    expires: float


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """Equal attempts, counted."""

    protocol: str
    ip: str
    mechanism: str
    agent: str
    result: str
    times: int
    first: float
    last: float


class PeopleReading:
    """What can be asked.  Methods raise StoreError when the disk fails."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def app_passwords(self) -> list[AppPassword]:
        """All, oldest first."""
        rows = self._asked.rows("SELECT id,name,verifier,scopes,created,expires,used FROM app_password ORDER BY id")
        return [
            AppPassword(id, name, verifier, tuple(scopes.split()), *times)
            for id, name, verifier, scopes, *times in rows
        ]

    def tls_keys(self) -> list[TlsKey]:
        """All, by name."""
        rows = self._asked.rows("SELECT fingerprint,name,preauth,created,used FROM tls_key ORDER BY name,fingerprint")
        return [TlsKey(fingerprint, name, bool(preauth), *times) for fingerprint, name, preauth, *times in rows]

    def tls_key(self, fingerprint: str) -> TlsKey | None:
        """The key with that fingerprint."""
        return next((key for key in self.tls_keys() if key.fingerprint == fingerprint), None)

    def web_session(self, token: str, now: float) -> WebSession | None:
        """The session of a hashed token, if it has not expired."""
        rows = self._asked.rows("SELECT * FROM web_session WHERE token=? AND expires>?", (token, now))
        return WebSession(*rows[0]) if rows else None

    def web_sessions(self, now: float) -> list[WebSession]:
        """Those that have not expired, youngest first."""
        rows = self._asked.rows("SELECT * FROM web_session WHERE expires>? ORDER BY created DESC,token", (now,))
        return [WebSession(*row) for row in rows]

    def login_attempts(self, most: int = 100) -> list[LoginAttempt]:
        """The youngest first."""
        rows = self._asked.rows(
            "SELECT * FROM login_attempt ORDER BY last DESC,protocol,ip,mechanism,agent,result LIMIT ?", (most,)
        )
        return [LoginAttempt(*row) for row in rows]


class PeopleChanges:
    """What a transaction can change."""

    def __init__(self, db: Connection, now: float) -> None:
        self._db = db
        self._now = now

    def add_app_password(
        self, name: str, verifier: str, *, scopes: tuple[str, ...] = (), expires: float | None = None
    ) -> int:
        """A new one; its id.  Raises MailboxError when the name is taken."""
        if self._db.execute("SELECT 1 FROM app_password WHERE name=?", (name,)).fetchone():
            raise MailboxError("ALREADYEXISTS", f"there is an app password {name!r} already")
        number = self._db.execute(
            "INSERT INTO app_password(name,verifier,scopes,created,expires) VALUES(?,?,?,?,?)",
            (name, verifier, " ".join(scopes), self._now, expires),
        ).lastrowid
        assert number is not None
        return number

    def remove_app_password(self, id: int) -> bool:
        """Was it there?"""
        return bool(self._db.execute("DELETE FROM app_password WHERE id=?", (id,)).rowcount)

    def app_password_used(self, id: int) -> None:
        """It has just let somebody in."""
        self._db.execute("UPDATE app_password SET used=? WHERE id=?", (self._now, id))

    def add_tls_key(self, fingerprint: str, name: str, *, preauth: bool = False) -> None:
        """A new key, or new words for one that is there."""
        self._db.execute(
            "INSERT INTO tls_key(fingerprint,name,preauth,created) VALUES(?,?,?,?) "
            "ON CONFLICT(fingerprint) DO UPDATE SET name=excluded.name,preauth=excluded.preauth",
            (fingerprint, name, preauth, self._now),
        )

    def remove_tls_key(self, fingerprint: str) -> bool:
        """Was it there?"""
        return bool(self._db.execute("DELETE FROM tls_key WHERE fingerprint=?", (fingerprint,)).rowcount)

    def tls_key_used(self, fingerprint: str) -> None:
        """It has just let somebody in."""
        self._db.execute("UPDATE tls_key SET used=? WHERE fingerprint=?", (self._now, fingerprint))

    def add_web_session(self, token: str, csrf: str, agent: str, expires: float) -> None:
        """A browser has logged in; expired sessions go."""
        self._db.execute("DELETE FROM web_session WHERE expires<=?", (self._now,))
        self._db.execute("INSERT INTO web_session VALUES(?,?,?,?,?)", (token, csrf, agent[:500], self._now, expires))

    def keep_web_session(self, token: str, expires: float) -> None:
        """It is in use: it lasts longer."""
        self._db.execute("UPDATE web_session SET expires=? WHERE token=?", (expires, token))

    def end_web_sessions(self, token: str | None = None) -> int:
        """Ends one, or (None) all: after a change of the password; how many."""
        if token is None:
            return self._db.execute("DELETE FROM web_session").rowcount
        return self._db.execute("DELETE FROM web_session WHERE token=?", (token,)).rowcount

    def attempted(self, protocol: str, ip: str, mechanism: str, result: str, agent: str = "") -> None:
        """Somebody tried to log in; equal attempts are counted."""
        self._db.execute(
            "INSERT INTO login_attempt VALUES(?,?,?,?,?,1,?,?) "
            "ON CONFLICT DO UPDATE SET times=times+1,last=excluded.last",
            (protocol, ip, mechanism, agent[:200], result, self._now, self._now),
        )
        (count,) = self._db.execute("SELECT count(*) FROM login_attempt").fetchone()
        if count > MOST_ATTEMPTS:
            self._db.execute(
                "DELETE FROM login_attempt WHERE last<"
                "(SELECT last FROM login_attempt ORDER BY last DESC LIMIT 1 OFFSET ?)",
                (MOST_ATTEMPTS - 1,),
            )
