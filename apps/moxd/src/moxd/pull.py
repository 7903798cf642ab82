"""Mail of another server, by IMAP, as a source for mox_store.importing: streamed, and resumed where it was stopped.

`imaps://user@mail.example.org/` is all mailboxes, `imaps://user@mail.example.org/Archive/*` those of a pattern;
`imap://` is STARTTLS."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from calendar import timegm
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_tz
from fnmatch import fnmatchcase
from types import TracebackType
from urllib.parse import unquote, urlsplit

import mox_message
import mox_sasl
from mox_imap import aio
from mox_imap.aio import Fetched, ImapError
from mox_store import importing

PORTS = {"imaps": 993, "imap": 143}
# So many messages, or octets, are asked for at once.
BATCH_MESSAGES = 100
BATCH_BYTES = 8 << 20
# Sizes are asked for so many uids at once.
RANGE = 2000
# A message that is larger comes in pieces, and waits in a file.
PIECE = 4 << 20
# Flags that are the session's, not the message's.
_NOT_OURS = frozenset({"\\recent"})
_UNWANTED = {ord("*"): "-", ord("%"): "-", 0: None}
_SPECIAL = {"\\all", "\\archive", "\\drafts", "\\flagged", "\\junk", "\\sent", "\\trash", "\\important"}


class PullError(Exception):
    """Mail cannot be fetched; the message says from where, why, and what to do.  What was taken stays."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to fetch from."""

    host: str
    port: int
    tls: bool  # from the first octet; else STARTTLS
    user: str
    pattern: str = "*"

    @classmethod
    def parse(cls, url: str) -> Place:
        """Raises PullError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise PullError(f"{url} is no URL: {error}") from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise PullError(f"{url} is not of the form imaps://user@mail.example.org/ or imap://… (STARTTLS)")
        if not parts.username:
            raise PullError(f"{url} names no user; write imaps://user@{parts.hostname}/ (an @ in the user is %40)")
        if parts.password:
            raise PullError("a password in a URL is seen by everybody on this machine; leave it out, it is asked for")
        pattern = unquote(parts.path).strip("/") or "*"
        return cls(
            parts.hostname, port or PORTS[parts.scheme], parts.scheme == "imaps", unquote(parts.username), pattern
        )

    def __str__(self) -> str:
        return f"imap{'s' if self.tls else ''}://{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Remote:
    """A mailbox there: its name there and here (hierarchy by slashes), its special use."""

    there: str
    here: str
    special: str
    subscribed: bool


class Pull:
    """A connection to another server, used by blocking code: `with Pull(place, password, context) as pull: …`"""

    def __init__(self, place: Place, password: str, context: ssl.SSLContext) -> None:
        self._place = place
        self._password = password
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._client: aio.Client | None = None

    def __enter__(self) -> Pull:
        try:
            self._connect()
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._loop.run_until_complete(self._client.close())
        self._loop.close()

    def _connect(self) -> None:
        place = self._place
        try:
            client = self._loop.run_until_complete(
                aio.connect(place.host, place.port, tls=self._context, starttls=not place.tls)
            )
        except ssl.SSLCertVerificationError as error:
            raise PullError(
                f"{place}: its certificate is not good: {error.verify_message}; with --ca FILE another CA is trusted"
            ) from error
        except (OSError, TimeoutError, ImapError) as error:
            raise PullError(f"{place} cannot be reached: {error or 'it does not answer'}") from error
        self._client = client
        try:
            self._loop.run_until_complete(client.login(place.user, self._password))
        except (ImapError, mox_sasl.ExchangeError) as error:
            raise PullError(f"{place} does not let us in: {error}") from error
        except (OSError, TimeoutError) as error:
            raise PullError(f"{place} hung up at the login: {error or 'it does not answer'}") from error

    def _do(self, work: object) -> object:
        try:
            return self._loop.run_until_complete(work)  # type: ignore[arg-type]
        except ImapError as error:
            raise PullError(f"{self._place}: {error}") from error
        except (OSError, TimeoutError, ValueError) as error:
            what = str(error) or "it does not answer"
            raise PullError(f"{self._place}: {what}; run the same command again to go on from here") from error

    # -- mailboxes

    def mailboxes(self) -> list[Remote]:
        """Those that fit the pattern and can be opened.  Raises PullError."""
        assert self._client is not None
        listed = self._do(self._client.mailboxes())
        try:
            subscribed = {one.name for one in self._do(_subscribed(self._client))}  # type: ignore[attr-defined]
        except PullError:  # a server without LSUB
            subscribed = {one.name for one in listed}  # type: ignore[attr-defined]
        found = []
        for one in listed:  # type: ignore[attr-defined]
            attributes = {word.lower() for word in one.attributes}
            here = "/".join(one.name.split(one.delimiter)) if one.delimiter not in ("", "/") else one.name
            if attributes & {"\\noselect", "\\nonexistent"} or not fnmatchcase(here, self._place.pattern):
                continue
            special = next((word for word in one.attributes if word.lower() in _SPECIAL), "")
            found.append(Remote(one.name, _clean(here), special, one.name in subscribed))
        if not found:
            raise PullError(f"{self._place} has no mailbox that fits {self._place.pattern!r}")
        return found

    def source(self, mailbox: Remote) -> importing.Source:
        """The messages of a mailbox, for mox_store.importing."""
        return importing.Source(
            f"{self._place}/{mailbox.there}", mailbox.here, lambda position: self._read(mailbox, position)
        )

    # -- messages

    def _read(self, mailbox: Remote, position: str) -> Iterator[importing.Letter]:
        client = self._client
        assert client is not None
        selected = self._do(client.select(mailbox.there, read_only=True))
        validity: int = selected.uidvalidity  # type: ignore[attr-defined]
        known, _, last = position.partition(":")
        # Other numbers: what is there already is found as duplicates.
        after = int(last) if known == str(validity) and last.isdigit() else 0
        for batch in self._batches(client, after):
            yield from self._letters(client, validity, batch)

    def _batches(self, client: aio.Client, after: int) -> Iterator[list[tuple[int, int]]]:
        """(uid, size) of what comes after `after`, ascending, in batches to fetch."""
        everything = self._do(client.search(f"UID {after + 1}:*", uid=True))
        uids = sorted({uid for uid in everything if uid > after})  # type: ignore[attr-defined]
        for at in range(0, len(uids), RANGE):
            some = uids[at : at + RANGE]
            sizes: dict[int, int] = {}
            for one in self._fetch(client, some, "RFC822.SIZE"):
                size = one.items.get("RFC822.SIZE")
                sizes[one.uid] = size if isinstance(size, int) else 0
            batch: list[tuple[int, int]] = []
            octets = 0
            for uid in some:
                size = sizes.get(uid)
                if size is None:  # it has gone meanwhile
                    continue
                if batch and (len(batch) >= BATCH_MESSAGES or octets + size > BATCH_BYTES):
                    yield batch
                    batch, octets = [], 0
                batch.append((uid, size))
                octets += size
            if batch:
                yield batch

    def _fetch(self, client: aio.Client, uids: Sequence[int], *items: str) -> list[Fetched]:
        found: list[Fetched] = self._do(client.fetch(uids, "UID", *items, uid=True))  # type: ignore[assignment]
        return found

    def _letters(self, client: aio.Client, validity: int, batch: list[tuple[int, int]]) -> Iterator[importing.Letter]:
        large = [uid for uid, size in batch if size > BATCH_BYTES]
        small = [uid for uid, size in batch if size <= BATCH_BYTES]
        found = (
            {one.uid: one for one in self._fetch(client, small, "FLAGS", "INTERNALDATE", "BODY.PEEK[]")}
            if small
            else {}
        )
        for uid, size in batch:
            one = found.get(uid)
            if uid in large:
                one = next(iter(self._fetch(client, [uid], "FLAGS", "INTERNALDATE")), None)
                content = self._in_pieces(client, uid, size) if one is not None else None
            else:
                content = _body(one)
            if one is None or content is None:
                one = self._again(client, uid)
                content = _body(one)
            if one is not None and content is not None:
                yield importing.Letter(content, f"{validity}:{uid}", _moment(one), _flags(one))

    def _again(self, client: aio.Client, uid: int) -> Fetched | None:
        """A message that was listed and did not come, asked for alone; None when it has gone.  Raises PullError: where
        it stands the next run goes on."""
        one = next(iter(self._fetch(client, [uid], "FLAGS", "INTERNALDATE", "BODY.PEEK[]")), None)
        if _body(one) is not None:
            return one
        if uid in self._do(client.search(f"UID {uid}", uid=True)):  # type: ignore[operator]
            raise PullError(f"{self._place} has message {uid} and does not give it; run the same command again later")
        return None

    def _in_pieces(self, client: aio.Client, uid: int, size: int) -> mox_message.Content:
        with tempfile.NamedTemporaryFile() as file:  # its name goes at once, the content keeps it open
            at = 0
            while True:
                got = self._fetch(client, [uid], f"BODY.PEEK[]<{at}.{PIECE}>")
                piece = next((v for one in got for k, v in one.items.items() if k.startswith("BODY[]")), b"")
                if not isinstance(piece, bytes) or not piece:
                    break
                file.write(piece)
                at += len(piece)
                if len(piece) < PIECE:
                    break
            if at != size:
                # The size is wrong (some servers guess it), or the pieces are: the whole of it tells.
                whole = _body(next(iter(self._fetch(client, [uid], "BODY.PEEK[]")), None))
                if whole is None:
                    raise PullError(
                        f"{self._place} gives {at} of {size} octets of message {uid}; run the same command again later"
                    )
                return whole
            file.flush()
            return mox_message.Content.file(file.name)


def _body(one: Fetched | None) -> mox_message.Content | None:
    body = one.items.get("BODY[]") if one is not None else None
    return mox_message.Content.of(bytes(body)) if isinstance(body, bytes) else None


async def _subscribed(client: aio.Client) -> list[aio.Listed]:
    said = await client.run(b"LSUB", b'""', b"*")
    found = []
    for one in said:
        if one.name == "LSUB" and len(one.data) >= 3:
            found.append(aio.Listed(client.core.mailbox_name(one.data[2]), (), ""))
    return found


def _clean(name: str) -> str:
    """What our mailboxes cannot be called is called nearly so."""
    parts = [part.translate(_UNWANTED).lstrip("#") or "-" for part in name.split("/") if part]
    return "/".join(parts) or "Inbox"


def _moment(one: Fetched) -> float | None:
    value = one.items.get("INTERNALDATE")
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    found = parsedate_tz(text.strip().replace("-", " ", 2))
    if found is None:
        return None
    try:
        return float(timegm((*found[:6], 0, 1, 0)) - (found[9] or 0))
    except (ValueError, OverflowError):
        return None


def _flags(one: Fetched) -> tuple[str, ...]:
    return tuple(flag for flag in one.flags if flag.lower() not in _NOT_OURS and flag != "\\*")
