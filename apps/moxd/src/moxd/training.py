"""What people mark, the word filter learns: a mark is compared with what was learned of the message, so that it does
not matter how often, in which order, or by which process marks were changed.

One process learns for all; every process reads the tables."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import mox_junk
import mox_message
import mox_store
from moxd.config.values import Junk

log = logging.getLogger("moxd.training")

# The fact of an account that says where its table stands.
EPOCH = "junk epoch"
# Marks come in bursts (a folder is dragged into Junk): they are learned together.
PAUSE_SECONDS = 1.0
BATCH = 100
MAX_BATCH_BYTES = 16 << 20


class Filters:
    """The tables of words, by account, opened when they are wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, mox_junk.Table] = {}

    def table(self, account: str) -> mox_junk.Table:
        """The table of an account, made if it is not there.  Raises TableError."""
        table = self._tables.get(account)
        if table is None:
            table = self._tables[account] = mox_junk.Table(self._folder / account)
        return table

    def classify(self, account: str, message: Words, settings: Junk) -> mox_junk.Classification | None:
        """What the words of a message say to this account; None when nothing was ever learned, or it is not wanted.

        A table that cannot be read is no reason to refuse mail: it is logged, and nothing is said."""
        if not settings.words:
            return None
        try:
            if account not in self._tables and not (self._folder / account / "words").exists():
                return None
            table = self.table(account)
            # Finding words costs more than all the rest of a delivery's judgement.
            words = message.words if mox_junk.significant(table, parameters(settings)) else frozenset[str]()
            return mox_junk.classify(words, table, parameters(settings))
        except mox_junk.TableError as error:
            log.error("words are not asked", extra={"account": account, "error": str(error)})
            return None

    def forget(self, account: str) -> None:
        """Closes an account's table: after trouble, it is opened anew."""
        table = self._tables.pop(account, None)
        if table is not None:
            table.close()

    def close(self) -> None:
        """Closes all."""
        for account in list(self._tables):
            self.forget(account)


def parameters(settings: Junk) -> mox_junk.Parameters:
    """The settings as mox-junk wants them."""
    return mox_junk.Parameters(threshold=settings.threshold)


class Words:
    """The words of a message, found once, when somebody asks."""

    def __init__(self, part: mox_message.Part, content: mox_message.Content) -> None:
        self._part = part
        self._content = content
        self._found: frozenset[str] | None = None

    @property
    def words(self) -> frozenset[str]:
        """mox_junk.words_of"""
        if self._found is None:
            self._found = mox_junk.words_of(self._part, self._content)
        return self._found


@dataclass(frozen=True, slots=True)
class _Marked:
    """A message whose mark is to be learned; without `content` its bytes are lost, and nothing can be learned."""

    what: mox_store.Untrained
    content: mox_message.Content | None


class Trainer:
    """Learns what was marked, soon after it was."""

    def __init__(self, store: mox_store.Store, filters: Filters) -> None:
        self._store = store
        self._filters = filters
        self._touched: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with everything that was marked while nobody was learning."""
        self._touched.update(self._store.names())
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends; what is being learned is learned again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def touched(self, account: str) -> None:
        """Something was changed in an account."""
        if self._task is not None:
            self._touched.add(account)
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._wake.clear()
            while self._touched:
                name = self._touched.pop()
                try:
                    await self.learn(name)
                except (mox_junk.TableError, mox_store.StoreError, OSError) as error:
                    self._filters.forget(name)
                    log.error("marks are not learned", extra={"account": name, "error": str(error)})

    async def learn(self, name: str) -> int:
        """Learns all marks of an account that are not learned; how many.  Raises TableError, StoreError."""
        account = self._store.open(name)
        learned = 0
        while account.history.untrained(1):
            learned += await self._batch(account)
        if learned:
            log.info("marks learned", extra={"account": name, "messages": learned})
        return learned

    async def relearn(self, name: str) -> int:
        """Forgets what was learned, and learns every mark anew; how many."""
        account = self._store.open(name)
        with ExitStack() as stack:
            learning = stack.enter_context(self._filters.table(name).learning())
            await self._begin_anew(account, learning)
        return await self.learn(name)

    async def _begin_anew(self, account: mox_store.Account, learning: mox_junk.Learning) -> None:
        epoch = account.fact(EPOCH) + 1

        def forget(tx: mox_store.Transaction) -> None:
            tx.history.forget_training()
            tx.set_fact(EPOCH, epoch)

        # If we die between the two the numbers differ, and the next one begins anew too.
        await account.commit(forget)
        learning.clear(epoch)

    async def _batch(self, account: mox_store.Account) -> int:
        with ExitStack() as stack:
            table = self._filters.table(account.name)
            learning = await asyncio.to_thread(stack.enter_context, table.learning())
            if not learning.agrees(account.fact(EPOCH)):
                log.warning("the table of words is made anew", extra={"account": account.name})
                await self._begin_anew(account, learning)
            marked = list(_marked(account))
            epoch = await asyncio.to_thread(lambda: learning.prepare(_lessons(marked)))

            def learned(tx: mox_store.Transaction) -> None:
                for one in marked:
                    tx.history.trained(one.what.message, one.what.mark)
                tx.set_fact(EPOCH, epoch)

            await account.commit(learned)
            await asyncio.to_thread(learning.apply)
            return len(marked)


def _marked(account: mox_store.Account) -> Iterator[_Marked]:
    size = 0
    for what in account.history.untrained(BATCH):
        content: mox_message.Content | None
        try:
            content = account.content(what.message)
        except mox_store.StoreError as error:
            log.error("cannot be learned", extra={"account": account.name, "error": str(error)})
            content = None
        yield _Marked(what, content)
        size += content.size if content is not None else 0
        if size > MAX_BATCH_BYTES:
            return


def _lessons(marked: Sequence[_Marked]) -> Iterator[mox_junk.Lesson]:
    for one in marked:
        if one.content is None:
            continue
        now, before = one.what.mark, one.what.trained
        wanted, junk = ((now is mark) - (before is mark) for mark in (mox_store.Mark.WANTED, mox_store.Mark.JUNK))
        yield mox_junk.Lesson(mox_junk.words_of(mox_message.parse(one.content), one.content), wanted, junk)
