"""The counts of words: a hash table in a file that every process maps, so that looking up costs no copy.

One writer at a time (a lock file), any number of readers.  A reader may see half of what is being learned; counts are
statistics, so that does no harm.  A writer that dies leaves a table that is whole: what it was about to write is in a
journal first, checked by its digest, and written again by the next one.

    header   magic, version of the words, slots, slots used, wanted, junk, epoch, replaced      eight words of 64 bits
    slot     hash of the word, wanted in the low and junk in the high half of the second word    two words of 64 bits

`epoch` counts what has been learned.  Whoever keeps the marks of messages keeps it too, in the transaction that says
what has been learned: if the numbers differ the table is older or newer than the marks, and is to be made anew."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from mox_junk.words import VERSION

MAGIC = int.from_bytes(b"moxwords", "little")
FIRST_SLOTS = 1 << 13
MAX_SLOTS = 1 << 26  # 1 GB
# Beyond this share of used slots the table grows: probing stays short.
FULL = 0.6
HEADER = 8
_MOST = 0xFFFFFFFF
_SLOTS, _USED, _WANTED, _JUNK, _EPOCH, _REPLACED = 2, 3, 4, 5, 6, 7


class TableError(Exception):
    """The table cannot be read or written; the message says which file and why.  It can always be made anew."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A message to learn: its words, and how much to add to the counts of wanted and junk (negative to forget)."""

    words: Collection[str]
    wanted: int = 0
    junk: int = 0


def word_hash(word: str) -> int:
    """64 bits, never 0.  The same for ever: it is on disk."""
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1


class Table:
    """mox_junk.Counts in a folder of its own.  `Table(folder)` opens or makes it."""

    def __init__(self, folder: Path) -> None:
        """Raises TableError."""
        self._folder = folder
        self._path = folder / "words"
        self._journal = folder / "journal"
        self._map: mmap.mmap | None = None
        self._cells = memoryview(b"").cast("B")
        with _told(self._path):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()

    # -- reading

    def totals(self) -> tuple[int, int]:
        """Messages learned: (wanted, junk)."""
        cells = self._current()
        return cells[_WANTED], cells[_JUNK]

    @property
    def epoch(self) -> int:
        """How often something was learned."""
        return self._current()[_EPOCH]

    def find(self, words: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """word -> (wanted, junk); words never seen are left out."""
        cells = self._current()
        mask = cells[_SLOTS] - 1
        found = {}
        for word in words:
            hash = word_hash(word)
            at = HEADER + 2 * (hash & mask)
            while (there := cells[at]) and there != hash:
                at = at + 2 if at < HEADER + 2 * mask else HEADER
            if there and (counts := cells[at + 1]):
                found[word] = (counts & _MOST, counts >> 32)
        return found

    def close(self) -> None:
        """Lets go of the file."""
        self._cells.release()
        if self._map is not None:
            self._map.close()
            self._map = None

    def _current(self) -> memoryview:
        """The cells, of the file that stands there now.  Raises TableError."""
        if self._cells[_REPLACED]:
            with _told(self._path):
                self._open()
        return self._cells

    def _open(self) -> None:
        if not self._path.exists():
            with self._locked():
                if not self._path.exists():
                    self._make(FIRST_SLOTS, 0)
        self._attach()

    def _attach(self) -> None:
        with self._path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 8 * HEADER:
                raise TableError(f"{self._path} is cut off; remove it and learn again")
            mapped = mmap.mmap(file.fileno(), size)
        cells = memoryview(mapped).cast("Q")
        slots = cells[_SLOTS]
        good = cells[0] == MAGIC and slots and not slots & (slots - 1) and len(cells) == HEADER + 2 * slots
        if not good or cells[_USED] >= slots:
            cells.release()
            mapped.close()
            raise TableError(f"{self._path} is no table of words, or is damaged; remove it and learn again")
        self.close()
        self._map, self._cells = mapped, cells

    # -- learning

    @contextmanager
    def learning(self) -> Iterator[Learning]:
        """The only writer, as long as it lasts.  Raises TableError."""
        with _told(self._path), self._locked():
            self._attach()
            yield Learning(self)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make(
        self, slots: int, epoch: int, rest: Iterable[tuple[int, int]] = (), totals: tuple[int, int] = (0, 0)
    ) -> None:
        """A new file under the name: `rest` is (hash, counts) of what it holds."""
        draft = self._folder / "words.new"
        with draft.open("w+b") as file:
            os.posix_fallocate(file.fileno(), 0, 8 * (HEADER + 2 * slots))
            with mmap.mmap(file.fileno(), 0) as mapped, memoryview(mapped).cast("Q") as cells:
                cells[:HEADER] = (
                    memoryview(struct.pack("<8Q", MAGIC, VERSION, slots, 0, *totals, epoch, 0)).cast("B").cast("Q")
                )
                for hash, counts in rest:
                    at = _slot(cells, hash)
                    cells[at], cells[at + 1] = hash, counts
                    cells[_USED] += 1
                mapped.flush()
            os.fsync(file.fileno())
        draft.rename(self._path)
        _sync_folder(self._folder)


class Learning:
    """What a writer can do.  The order keeps table and marks in step whatever dies in between: `prepare`, then the
    transaction that keeps the marks and the epoch, then `apply`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def agrees(self, epoch: int) -> bool:
        """Does the table stand where the marks stand?  A change that was prepared, and whose marks were kept, is made
        now; one whose marks were not is forgotten.  False: begin anew with `clear`."""
        table = self._table
        cells = table._cells
        if cells[1] != VERSION:
            return False
        if cells[_EPOCH] != epoch:
            prepared = self._prepared()
            if prepared is None or prepared[0] != epoch or cells[_EPOCH] not in (epoch - 1, epoch):
                return False
            self._write(*prepared)
        table._journal.unlink(missing_ok=True)
        return True

    def clear(self, epoch: int) -> None:
        """Forgets everything."""
        old = self._table._cells
        self._table._journal.unlink(missing_ok=True)
        self._table._make(FIRST_SLOTS, epoch)
        old[_REPLACED] = 1
        self._table._attach()

    def prepare(self, lessons: Iterable[Lesson]) -> int:
        """Works out what the lessons change and puts it on disk, beside the table; the epoch to keep with the marks."""
        table = self._table
        wanted, junk = table.totals()
        changes: dict[int, tuple[int, int]] = {}
        for lesson in lessons:
            wanted, junk = max(0, wanted + lesson.wanted), max(0, junk + lesson.junk)
            for word in lesson.words:
                hash = word_hash(word)
                had = changes.get(hash, (0, 0))
                changes[hash] = (had[0] + lesson.wanted, had[1] + lesson.junk)
        self._room_for(len(changes))
        cells = table._cells
        absolute = []
        for hash, (more_wanted, more_junk) in changes.items():
            counts = cells[_slot(cells, hash) + 1]
            now_wanted = min(max(0, (counts & _MOST) + more_wanted), _MOST)
            now_junk = min(max(0, (counts >> 32) + more_junk), _MOST)
            absolute += [hash, now_wanted | now_junk << 32]
        epoch = cells[_EPOCH] + 1
        body = struct.pack(f"<{3 + len(absolute)}Q", epoch, wanted, junk, *absolute)
        with table._journal.open("wb") as file:
            file.write(blake2b(body, digest_size=32).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(table._folder)
        return epoch

    def apply(self) -> None:
        """Makes what was prepared true.  Raises TableError when nothing was prepared."""
        prepared = self._prepared()
        if prepared is None:
            raise TableError(f"{self._table._journal} is not there, or damaged")
        self._write(*prepared)
        self._table._journal.unlink(missing_ok=True)

    def _prepared(self) -> tuple[int, tuple[int, ...]] | None:
        try:
            data = self._table._journal.read_bytes()
        except FileNotFoundError:
            return None
        digest, body = data[:32], data[32:]
        if len(body) < 24 or len(body) % 8 or blake2b(body, digest_size=32).digest() != digest:
            return None
        epoch, *rest = struct.unpack(f"<{len(body) // 8}Q", body)
        return epoch, tuple(rest)

    def _write(self, epoch: int, rest: tuple[int, ...]) -> None:
        """The numbers are absolute: to write them twice is to write them once."""
        self._room_for(len(rest) // 2)
        table = self._table
        cells = table._cells
        for hash, counts in zip(rest[2::2], rest[3::2], strict=True):
            at = _slot(cells, hash)
            if not cells[at]:
                if not counts:
                    continue
                cells[_USED] += 1
            # The counts first: a reader that sees the word sees them too.
            cells[at + 1] = counts
            cells[at] = hash
        cells[_WANTED], cells[_JUNK] = rest[0], rest[1]
        assert table._map is not None
        table._map.flush()
        cells[_EPOCH] = epoch
        table._map.flush()

    def _room_for(self, more: int) -> None:
        table = self._table
        cells = table._cells
        slots = cells[_SLOTS]
        if cells[_USED] + more <= slots * FULL:
            return
        rest = [(cells[at], cells[at + 1]) for at in range(HEADER, HEADER + 2 * slots, 2) if cells[at + 1]]
        while len(rest) + more > slots * FULL:
            slots *= 2
        if slots > MAX_SLOTS:
            # The rarest words say least.
            rest = [one for one in rest if (one[1] & _MOST) + (one[1] >> 32) > 1]
            slots = MAX_SLOTS
            if len(rest) + more > slots * FULL:
                raise TableError(f"{table._path} is full: {len(rest)} words")
        table._make(slots, cells[_EPOCH], rest, table.totals())
        cells[_REPLACED] = 1
        table._attach()


def _slot(cells: memoryview, hash: int) -> int:
    """Where the hash is, or where it would go."""
    mask = cells[_SLOTS] - 1
    at = HEADER + 2 * (hash & mask)
    while cells[at] and cells[at] != hash:
        at = at + 2 if at < HEADER + 2 * mask else HEADER
    return at


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from error
