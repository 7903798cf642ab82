"""Several clients on one mailbox, who do what they like, and each of whom checks all that it hears.

    python tests/kit/imap_stress.py --host 127.0.0.1 --port 1143 --user u --password p [--clients 8 --seconds 10 --seed 1]

Now and then all stop at a checkpoint: everybody says CHECK, and then they compare what they have been told.  What one
was acknowledged by then all have to know, whichever process of the server they talk to.

What has to hold, whatever happens (RFC 9051 2.3.1, 7.4, 7.5): EXISTS never shrinks by itself; EXPUNGE and FETCH name
messages that are there; a number keeps its UID until it is told otherwise; UIDs ascend and are never used twice; a UID
is one and the same message; flags that were told are the flags that are there, once nothing happens any more; a search
finds what the flags say; no keyword is used that FLAGS has not named; the last MODSEQ that was told is the same to all
(RFC 7162 3.2); a message is \\Recent to one client, and to no other (RFC 3501 2.3.2); all clients end up with the same
picture."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import ssl
import time
from collections import Counter

from mox_imap.aio.client import Client, ImapError, connect, expanded
from mox_imap.client import Fetched, flag_list, numbers
from mox_imap.responses import Response

MAILBOX = "stress"
# For other processes to hear of the last changes.
SETTLE = 0.3
FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$work", "$play")


class Inconsistent(AssertionError):
    """A server said what cannot be."""


class Seen:
    """What all clients know together: the message behind each UID."""

    def __init__(self) -> None:
        self.messages: dict[int, bytes] = {}  # uid -> Message-ID
        self.counts: Counter[str] = Counter()


class Player:
    """One client."""

    def __init__(
        self, client: Client, seen: Seen, rng: random.Random, number: int, *, qresync: bool, reopens: bool = True
    ) -> None:
        self.client, self.seen, self.rng, self.number = client, seen, rng, number
        self.qresync = qresync
        self.reopens = reopens
        self.keywords: frozenset[str] = frozenset()  # as FLAGS names them
        self.modseqs: dict[int, int] = {}  # by uid, as last told
        self.uids: list[int] = []  # by number; 0: not known yet
        self.flags: dict[int, frozenset[str]] = {}  # by uid
        self.recent: set[int] = set()  # uids
        self.recents = 0  # as RECENT said
        self.sent = 0
        self.history: list[str] = []
        client.heard = self.hear

    def wrong(self, why: str) -> Inconsistent:
        return Inconsistent(f"client {self.number}: {why}\n" + "\n".join(self.history[-30:]))

    # -- hearing

    def hear(self, one: Response) -> None:
        """Any untagged response."""
        self.history.append(f"S: {one.tag} {one.number or ''} {one.name} {one.code} {str(one.data)[:200]}")
        if one.name == "EXISTS":
            assert one.number is not None
            if one.number < len(self.uids):
                raise self.wrong(f"EXISTS went from {len(self.uids)} to {one.number}")
            self.uids += [0] * (one.number - len(self.uids))
        elif one.name == "RECENT":
            assert one.number is not None
            self.recents = one.number
            if self.recents > len(self.uids):
                raise self.wrong(f"{self.recents} of {len(self.uids)} are recent")
        elif one.name == "EXPUNGE":
            assert one.number is not None
            if not 0 < one.number <= len(self.uids):
                raise self.wrong(f"EXPUNGE {one.number} of {len(self.uids)}")
            self.forget(self.uids.pop(one.number - 1))
        elif one.name == "FLAGS":
            named = one.data[0]
            assert isinstance(named, tuple)
            now = frozenset(str(flag).lower() for flag in named)
            if not now >= self.keywords:
                raise self.wrong(f"keywords were lost: {sorted(self.keywords - now)}")
            self.keywords = now
        elif one.name == "VANISHED":
            if isinstance(one.data[0], tuple):  # EARLIER
                return
            for uid in expanded(str(one.data[0])):
                self.vanished(uid)
                self.forget(uid)
        elif one.name == "FETCH":
            self.fetched(Fetched.of(one))

    def forget(self, uid: int) -> None:
        self.flags.pop(uid, None)
        self.modseqs.pop(uid, None)
        self.recent.discard(uid)

    def vanished(self, uid: int) -> None:
        if uid in self.uids:
            self.uids.remove(uid)
            return
        # One whose uid was not asked for yet, between those that are known.
        after = next((at for at, known in enumerate(self.uids) if known > uid), len(self.uids))
        if not after or self.uids[after - 1]:
            raise self.wrong(f"VANISHED {uid}, which was not there: {self.uids}")
        del self.uids[after - 1]

    def fetched(self, one: Fetched) -> None:
        if not 0 < one.number <= len(self.uids):
            raise self.wrong(f"FETCH {one.number} of {len(self.uids)}")
        uid = self.uids[one.number - 1]
        if one.uid:
            if uid and uid != one.uid:
                raise self.wrong(f"number {one.number} was uid {uid}, now {one.uid}")
            before = max(self.uids[: one.number - 1], default=0)
            if before >= one.uid:
                raise self.wrong(f"uid {one.uid} after {before}")
            uid = self.uids[one.number - 1] = one.uid
        if uid and "FLAGS" in one.items:
            flags = frozenset(flag.lower() for flag in one.flags)
            if not flags - {"\\recent"} <= self.keywords:
                raise self.wrong(f"{sorted(flags - self.keywords)} is not among FLAGS")
            self.flags[uid] = flags - {"\\recent"}
            if uid in self.recent and "\\recent" not in flags:
                raise self.wrong(f"uid {uid} is not recent any more")
            if "\\recent" in flags:
                self.recent.add(uid)
        modseq = one.items.get("MODSEQ")
        if uid and isinstance(modseq, tuple) and isinstance(modseq[0], int):
            if modseq[0] < self.modseqs.get(uid, 0):
                raise self.wrong(f"the modseq of uid {uid} went from {self.modseqs[uid]} to {modseq[0]}")
            self.modseqs[uid] = modseq[0]
        body = next((value for name, value in one.items.items() if name.startswith("BODY[")), None)
        if uid and isinstance(body, bytes):
            known = self.seen.messages.setdefault(uid, body)
            if known != body:
                raise self.wrong(f"uid {uid} was {known!r}, now {body!r}")

    # -- doing

    async def run(self, name: bytes, *arguments: bytes) -> list[Response]:
        self.history.append(f"C: {name.decode()} {b' '.join(arguments)[:200]!r}")
        self.seen.counts[name.decode()] += 1
        try:
            said = await self.client.run(name, *arguments)
        except ImapError as error:
            # Messages that somebody else has expunged a moment ago (RFC 2180).
            if error.name == "BAD":
                raise self.wrong(f"{name!r} was BAD: {error}") from error
            self.history.append(f"S: {error.name} {error.code} {error}")
            self.seen.counts["NO"] += 1
            return []
        self.history.append("S: OK")
        return said

    def some(self) -> bytes:
        """A set of numbers that are there."""
        count = len(self.uids)
        picked = self.rng.sample(range(1, count + 1), self.rng.randint(1, min(count, 5)))
        return numbers(picked) if self.rng.random() < 0.7 else b"%d:*" % min(picked)

    def some_uids(self) -> bytes:
        known = [uid for uid in self.uids if uid] or [1]
        return numbers(self.rng.sample(known, self.rng.randint(1, min(len(known), 5))))

    def some_flags(self) -> bytes:
        return flag_list(self.rng.sample(FLAGS, self.rng.randint(1, 3)))

    async def step(self) -> None:
        """Something or other."""
        await self.rng.choice(
            [self.fetch, self.fetch, self.fetch_uid, self.store, self.store, self.store_uid, self.append, self.append,
             self.expunge, self.copy, self.move, self.noop, self.search, self.reopen, self.idle]
        )()  # fmt: skip

    async def fetch(self) -> None:
        if self.uids:
            await self.run(b"FETCH", self.some(), b"(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")

    async def fetch_uid(self) -> None:
        await self.run(b"UID FETCH", self.some_uids(), b"(FLAGS ENVELOPE BODYSTRUCTURE)")

    async def store(self) -> None:
        if self.uids:
            action = self.rng.choice([b"+FLAGS", b"-FLAGS", b"FLAGS"])
            await self.run(b"STORE", self.some(), action, self.some_flags())

    async def store_uid(self) -> None:
        await self.run(b"UID STORE", self.some_uids(), self.rng.choice([b"+FLAGS", b"-FLAGS"]), self.some_flags())

    async def append(self) -> None:
        self.sent += 1
        text = b"Message-ID: <%d.%d@stress>\r\nSubject: %d\r\n\r\nhello\r\n" % (self.number, self.sent, self.sent)
        self.history.append("C: APPEND")
        self.seen.counts["APPEND"] += 1
        await self.client.append(MAILBOX, text, flags=self.rng.sample(FLAGS, self.rng.randint(0, 2)))

    async def expunge(self) -> None:
        await self.run(*((b"EXPUNGE",) if self.rng.random() < 0.5 else (b"UID EXPUNGE", self.some_uids())))

    async def copy(self) -> None:
        if self.uids and len(self.uids) < 300:
            await self.run(b"COPY", self.some(), MAILBOX.encode())

    async def move(self) -> None:
        await self.run(b"UID MOVE", self.some_uids(), MAILBOX.encode())

    async def noop(self) -> None:
        await self.run(b"NOOP")

    async def search(self) -> None:
        said = await self.run(
            b"SEARCH", self.rng.choice([b"SEEN", b"UNFLAGGED", b"KEYWORD $work", b"NOT DELETED", b"ALL"])
        )
        for one in said:
            if one.name == "SEARCH" and any(isinstance(n, int) and n > len(self.uids) for n in one.data):
                raise self.wrong("SEARCH found what is not there")

    async def reopen(self) -> None:
        if self.reopens and self.rng.random() < 0.3:
            known = self.client.selected
            if self.qresync and known is not None and known.highest_modseq:
                await self.check()  # so that all that is known is of one moment
            await self.open()

    async def open(self) -> None:
        self.uids, self.flags = [], {}
        self.keywords, self.modseqs, self.recent = frozenset(), {}, set()
        self.history.append("C: SELECT")
        selected = await self.client.select(MAILBOX)
        self.uids = self.uids or [0] * selected.exists
        if self.qresync:
            await self.run(b"UID FETCH", b"1:*", b"(FLAGS)")

    async def idle(self) -> None:
        self.history.append("C: IDLE")
        with contextlib.suppress(TimeoutError):
            async with self.client.idle() as events, asyncio.timeout(self.rng.random() * 0.02):
                async for event in events:
                    self.hear(event)

    async def leave(self) -> None:
        """Closes the mailbox, knowing all of it."""
        await self.open()
        await self.run(b"UNSELECT")
        self.recent = set()

    async def come_back(self) -> None:
        """Opens it again, hears what happened meanwhile (RFC 7162 3.2.5), and that is all that happened."""
        known = self.client.selected
        assert known is not None
        before = dict(self.flags)
        told: list[Response] = []
        self.client.heard = told.append
        now = await self.client.select(MAILBOX, qresync=(known.uidvalidity, known.highest_modseq))
        self.client.heard = self.hear
        for one in told:
            if one.name == "VANISHED":
                for uid in expanded(str(one.data[1])):
                    before.pop(uid, None)
            elif one.name == "FETCH":
                fetched = Fetched.of(one)
                before[fetched.uid] = frozenset(flag.lower() for flag in fetched.flags)
        self.uids, self.flags, self.modseqs = [0] * now.exists, {}, {}
        await self.run(b"UID FETCH", b"1:*", b"(FLAGS)")
        if before != self.flags:
            differ = {u for u in {*before, *self.flags} if before.get(u) != self.flags.get(u)}
            raise self.wrong(f"after QRESYNC from {known.highest_modseq}, these are not as told: {sorted(differ)}")
        self.seen.counts["QRESYNC"] += 1

    # -- in the end

    async def check(self) -> None:
        """What was told is what is there."""
        await self.run(b"NOOP")
        told = dict(self.flags)
        said = await self.run(b"UID FETCH", b"1:*", b"(FLAGS)")
        there = {one.uid: one for one in (Fetched.of(r) for r in said if r.name == "FETCH") if "FLAGS" in one.items}
        for uid, flags in told.items():
            if uid in there and uid in self.flags and flags != self.flags[uid]:
                # Only right when it changed between the two; looked at again when nothing happens any more.
                self.seen.counts["changed meanwhile"] += 1

    async def final(self) -> dict[int, frozenset[str]]:
        """The picture when nothing happens any more.  Raises Inconsistent."""
        await self.run(b"NOOP")
        told, known = dict(self.flags), list(self.uids)
        await self.run(b"FETCH", b"1:*", b"(UID FLAGS)") if self.uids else None
        if len(known) != len(self.uids):
            raise self.wrong("something came after the last NOOP")
        for uid, flags in told.items():
            if self.flags.get(uid) != flags:
                raise self.wrong(f"uid {uid} was told as {sorted(flags)}, and is {sorted(self.flags.get(uid, ()))}")
        for key, flag in ((b"SEEN", "\\seen"), (b"FLAGGED", "\\flagged"), (b"KEYWORD $work", "$work")):
            said = await self.run(b"UID SEARCH", key)
            found = {n for one in said if one.name == "SEARCH" for n in one.data}
            if found != {uid for uid, flags in self.flags.items() if flag in flags}:
                raise self.wrong(f"SEARCH {key!r} found {found}")
        return dict(self.flags)


def compared(players: list[Player]) -> None:
    """Do all know the same, each as far as it was told?  Raises Inconsistent."""
    first = players[0]
    uids: dict[int, int] = {}  # number -> uid
    flags: dict[int, tuple[frozenset[str], Player]] = {}
    modseqs: dict[int, tuple[int, Player]] = {}
    recent: dict[int, Player] = {}
    if (recents := sum(one.recents for one in players)) != len(first.uids):
        raise first.wrong(f"{recents} of {len(first.uids)} messages are recent: {[one.recents for one in players]}")
    for one in players:
        if len(one.uids) != len(first.uids):
            raise one.wrong(f"has {len(one.uids)} messages, client {first.number} has {len(first.uids)}")
        if one.keywords != first.keywords:
            raise one.wrong(f"knows of {sorted(one.keywords)}, client {first.number} of {sorted(first.keywords)}")
        for number, uid in enumerate(one.uids):
            if uid and uids.setdefault(number, uid) != uid:
                raise one.wrong(f"number {number + 1} is uid {uid}, others have {uids[number]}")
        for uid in one.recent:
            if (other := recent.setdefault(uid, one)) is not one:
                raise one.wrong(f"uid {uid} is recent, to client {other.number} too")
        for uid, had in one.flags.items():
            known, who = flags.setdefault(uid, (had, one))
            if known != had:
                raise one.wrong(f"uid {uid} has {sorted(had)}, client {who.number} was told {sorted(known)}")
        for uid, modseq in one.modseqs.items():
            newest, who = modseqs.setdefault(uid, (modseq, one))
            if newest != modseq:
                raise one.wrong(f"uid {uid} has modseq {modseq}, client {who.number} was told {newest}")


async def stress(
    host: str, port: int, user: str, password: str, *, clients: int = 6, seconds: float = 5.0, seed: int = 1,
    tls: ssl.SSLContext | None = None, checkpoint: float = 0.0, reopens: bool = True,
) -> Counter[str]:  # fmt: skip
    """How often what was done.  `checkpoint`: seconds from one to the next, 0 for none.  Raises Inconsistent."""
    seen = Seen()
    connections = [await connect(host, port, tls=tls) for _ in range(clients)]
    for one in connections:
        await one.login(user, password, in_the_clear=True)
    with contextlib.suppress(ImapError):
        await connections[0].delete(MAILBOX)
    await connections[0].create(MAILBOX)
    players = []
    for number, one in enumerate(connections):
        able = await one.capabilities()
        qresync = reopens and number % 3 == 2 and "QRESYNC" in able
        if qresync:
            await one.enable("QRESYNC")
        elif number % 3 == 1 and "CONDSTORE" in able:
            await one.enable("CONDSTORE")
        rng = random.Random(seed * 1000 + number)
        players.append(Player(one, seen, rng, number, qresync=qresync, reopens=reopens))
        await players[-1].open()
    end = time.monotonic() + seconds

    async def play(player: Player, until: float) -> None:
        while time.monotonic() < until:
            await player.step()

    while checkpoint and time.monotonic() + checkpoint < end - seconds / 3:
        until = time.monotonic() + checkpoint
        await asyncio.gather(*(play(player, until) for player in players))
        await asyncio.gather(*(player.run(b"CHECK") for player in players))
        compared(players)
        seen.counts["checkpoint"] += 1

    async def last(player: Player) -> None:
        await play(player, end - seconds / 3 if player.qresync else end)
        if player.qresync:
            await player.leave()

    await asyncio.gather(*map(last, players))
    for player in players:
        if player.qresync:
            await player.come_back()
    await asyncio.sleep(SETTLE)
    pictures = [await player.final() for player in players]
    for number, picture in enumerate(pictures):
        if picture != pictures[0]:
            differ = {u: (picture.get(u), pictures[0].get(u)) for u in {*picture, *pictures[0]}}
            differ = {uid: both for uid, both in differ.items() if both[0] != both[1]}
            raise players[number].wrong(f"client {number} and client 0 see otherwise: {differ}")
    for one in connections:
        await one.logout()
        await one.close()
    seen.counts["messages in the end"] = len(pictures[0])
    return seen.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1143)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkpoint", type=float, default=0.0, help="seconds from one to the next")
    parser.add_argument("--stay", action="store_true", help="nobody opens the mailbox again")
    parser.add_argument("--cafile", help="TLS, with this authority")
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.cafile) if options.cafile else None
    counts = asyncio.run(
        stress(options.host, options.port, options.user, options.password, clients=options.clients,
               seconds=options.seconds, seed=options.seed, tls=context, checkpoint=options.checkpoint,
               reopens=not options.stay)
    )  # fmt: skip
    print("  ".join(f"{name} {count}" for name, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
