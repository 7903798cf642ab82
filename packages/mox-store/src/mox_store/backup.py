"""Backups: consistent, taken while the server runs, and only what is new is written; restored, and proven to be whole.

A backup is a folder.  `chunks/` holds pieces of files under the SHA-256 of their bytes, each written once however many
generations have it; `generations/` says for each moment which accounts there were and which pieces their files are.

The database is copied with SQLite's own backup in one read transaction, then the segments, which only grow; a sweep
waits meanwhile.  Nothing but this folder is needed to restore."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mox_store import check
from mox_store.account import KEEP, Store, is_account_name
from mox_store.disk import Disk, StoreError, broken_mark, told
from mox_store.ground import leap
from mox_store.wal import Presence

PIECE = 256 * 1024
FORMAT = 1
DATABASE = "account.db"
SEGMENTS = "segments"
_SEGMENT = re.compile(r"segments/\d{8,}\.seg")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Generation:
    """One moment of all accounts: account -> file -> the hashes of its pieces."""

    name: str
    taken: float
    accounts: dict[str, dict[str, list[str]]]

    def hashes(self) -> set[str]:
        """Every piece it needs."""
        return {one for files in self.accounts.values() for pieces in files.values() for one in pieces}


@dataclass(slots=True)
class Outcome:
    """What a backup, a restore or a verification did."""

    generation: str
    accounts: list[str] = field(default_factory=list)
    pieces: int = 0
    written: int = 0  # bytes that were new
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "generation": self.generation, "accounts": self.accounts, "pieces": self.pieces, "bytes": self.written,
            "problems": self.problems,
        }  # fmt: skip


class Backup:
    """A backup folder.  Every method raises StoreError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._disk = Disk()

    # -- taking

    def take(self, store: Path, now: float, progress: Callable[[str], None] = lambda account: None) -> Outcome:
        """Backs up every account below `store`; blocks."""
        names = sorted(path.parent.name for path in store.glob(f"*/{DATABASE}") if is_account_name(path.parent.name))
        if not names:
            raise StoreError(f"{store} holds no accounts")
        name = f"{int(now)}"
        if (self.folder / "generations" / f"{name}.json").exists():
            raise StoreError(f"there is a generation {name} already; one a second is enough")
        outcome = Outcome(name)
        accounts: dict[str, dict[str, list[str]]] = {}
        try:
            for folder in ("chunks", "generations"):
                self._disk.make_folder(self.folder / folder)
            with self._alone():
                known = self._known()
                for account in names:
                    progress(account)
                    accounts[account] = self._account(store / account, known, outcome)
                    outcome.accounts.append(account)
                self._finish(Generation(name, now, accounts))
        except (OSError, sqlite3.Error) as error:
            raise told(error, f"backup to {self.folder}") from error
        return outcome

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes to the backup.  What a backup that was stopped left behind goes."""
        presence = Presence(self.folder / "backup")
        try:
            if not presence.alone():
                raise StoreError(f"another backup is writing to {self.folder}; wait until it is done")
            for pattern in ("taking-*", "*/*.part", "*/*/*.part"):
                for leftover in self.folder.glob(pattern):
                    leftover.unlink(missing_ok=True)
            yield
        finally:
            presence.close()

    def _known(self) -> set[str]:
        return {path.name for path in (self.folder / "chunks").glob("*/*") if not path.name.endswith(".part")}

    def _account(self, folder: Path, known: set[str], outcome: Outcome) -> dict[str, list[str]]:
        files: dict[str, list[str]] = {}
        keeping = Presence(folder / KEEP)
        try:
            keeping.share()
            if broken_mark(folder / DATABASE).exists():
                raise StoreError(f"{folder}: a sync failed there; restart the server, then back up")
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix="taking-") as copy:
                _copy_database(folder / DATABASE, Path(copy.name))
                with open(copy.name, "rb") as file:
                    files[DATABASE] = [self._keep(piece, known, outcome) for piece in _pieces(file)]
            for segment in sorted((folder / SEGMENTS).glob("*.seg")):
                with segment.open("rb") as file:
                    pieces = [self._keep(piece, known, outcome) for piece in _pieces(file)]
                files[f"{SEGMENTS}/{segment.name}"] = pieces
        finally:
            keeping.close()
        return files

    def _path(self, digest: str) -> Path:
        return self.folder / "chunks" / digest[:2] / digest

    def _keep(self, piece: bytes, known: set[str], outcome: Outcome) -> str:
        digest = hashlib.sha256(piece).hexdigest()
        outcome.pieces += 1
        if digest not in known:
            path = self._path(digest)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            temporary = path.with_name(path.name + ".part")
            _write(temporary, piece)
            temporary.rename(path)
            known.add(digest)
            outcome.written += len(piece)
        return digest

    def _finish(self, generation: Generation) -> None:
        """The generation counts once everything that it names is on disk."""
        for folder in (self.folder / "chunks").iterdir():
            self._disk.sync_folder(folder)
        self._disk.sync_folder(self.folder / "chunks")
        path = self.folder / "generations" / f"{generation.name}.json"
        told = {"format": FORMAT, "taken": generation.taken, "accounts": generation.accounts}
        temporary = path.with_name(path.name + ".part")
        _write(temporary, json.dumps(told).encode())
        temporary.rename(path)
        self._disk.sync_folder(path.parent)

    # -- looking

    def generations(self) -> list[str]:
        """Their names, oldest first."""
        found = [path.stem for path in (self.folder / "generations").glob("*.json")]
        return sorted(found, key=int)

    def generation(self, name: str | None = None) -> Generation:
        """The named one, or the newest."""
        names = self.generations()
        if not names:
            raise StoreError(f"{self.folder} holds no backup")
        if name is not None and name not in names:
            raise StoreError(f"{self.folder} has no generation {name}; it has {', '.join(names)}")
        name = name or names[-1]
        try:
            read = json.loads((self.folder / "generations" / f"{name}.json").read_bytes())
            if read["format"] > FORMAT:
                raise StoreError(f"generation {name} was written by a newer version of this program: update it")
            return _checked(Generation(name, read["taken"], read["accounts"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"generation {name} cannot be read: {error}; try an older one") from error

    def _piece(self, digest: str) -> bytes:
        try:
            piece = self._path(digest).read_bytes()
        except OSError as error:
            raise StoreError(f"piece {digest} is missing: {error.strerror}") from error
        if hashlib.sha256(piece).hexdigest() != digest:
            raise StoreError(f"piece {digest} is damaged")
        return piece

    def verify(self, name: str | None = None, *, deep: bool = False) -> Outcome:
        """Reads every piece of a generation and compares; `deep` also restores it to a temporary place and checks every
        invariant there."""
        generation = self.generation(name)
        outcome = Outcome(generation.name, sorted(generation.accounts))
        for digest in sorted(generation.hashes()):
            outcome.pieces += 1
            try:
                self._piece(digest)
            except StoreError as error:
                outcome.problems.append(f"{error}; used by {', '.join(_users(generation, digest))}")
        if deep and not outcome.problems:
            with tempfile.TemporaryDirectory(prefix="mox-verify-") as scratch:
                trial = self.restore(Path(scratch) / "accounts", generation.taken, generation.name)
                outcome.problems += trial.problems
        return outcome

    def prune(self, keep: int) -> int:
        """Forgets all but the newest `keep` generations, and the pieces that only they had; how many pieces went."""
        names = self.generations()
        try:
            with self._alone():
                for name in names[: max(0, len(names) - max(1, keep))]:
                    (self.folder / "generations" / f"{name}.json").unlink()
                needed = {one for name in self.generations() for one in self.generation(name).hashes()}
                gone = [path for path in (self.folder / "chunks").glob("*/*") if path.name not in needed]
                for path in gone:
                    path.unlink()
        except OSError as error:
            raise told(error, f"backup in {self.folder}") from error
        return len(gone)

    # -- back again

    def restore(
        self,
        store: Path,
        now: float,
        name: str | None = None,
        accounts: tuple[str, ...] = (),
        *,
        keep_uidvalidity: bool = False,
    ) -> Outcome:
        """Writes the accounts of a generation below `store`, where they must not be yet, and checks them.

        Mail that came after the backup had UIDs that will now be given to other mail; so every mailbox gets a new
        UIDVALIDITY and clients read it anew, unless `keep_uidvalidity` says that there was none."""
        generation = self.generation(name)
        outcome = Outcome(generation.name)
        chosen = accounts or tuple(sorted(generation.accounts))
        for account in chosen:
            if account not in generation.accounts:
                raise StoreError(f"generation {generation.name} has no account {account!r}")
            if (store / account).exists():
                raise StoreError(f"{store / account} is there already; move it away first")
        try:
            for account in chosen:
                self._restore(store / account, generation.accounts[account], outcome)
                outcome.accounts.append(account)
                outcome.problems += _settle(store, account, now, keep_uidvalidity)
        except (OSError, sqlite3.Error) as error:
            raise told(error, f"restore to {store}") from error
        return outcome

    def _restore(self, folder: Path, files: dict[str, list[str]], outcome: Outcome) -> None:
        """Under another name until it is whole."""
        temporary = folder.with_name(".restoring-" + folder.name)
        for path, pieces in files.items():
            target = temporary / path
            self._disk.make_folder(target.parent)
            with target.open("wb") as file:
                for digest in pieces:
                    outcome.pieces += 1
                    outcome.written += file.write(self._piece(digest))
                file.flush()
                os.fsync(file.fileno())
            self._disk.sync_folder(target.parent)
        temporary.rename(folder)
        self._disk.sync_folder(folder.parent)


def _checked(generation: Generation) -> Generation:
    """Names in a backup are names of ours and lead nowhere else.  Raises ValueError."""
    for account, files in generation.accounts.items():
        if not is_account_name(account):
            raise ValueError(f"{account!r} is no name of an account")
        for path in files:
            if path != DATABASE and not _SEGMENT.fullmatch(path):
                raise ValueError(f"{path!r} is no file of an account")
    for digest in generation.hashes():
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no hash")
    return generation


def _users(generation: Generation, digest: str) -> Iterator[str]:
    for account, files in generation.accounts.items():
        for path, pieces in files.items():
            if digest in pieces:
                yield f"{account}/{path}"


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _copy_database(source: Path, target: Path) -> None:
    """One consistent state: the copy is made inside one read transaction, writers go on."""
    with closing(sqlite3.connect(source, timeout=30)) as db, closing(sqlite3.connect(target)) as copy:
        db.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")


def _settle(store: Path, account: str, now: float, keep_uidvalidity: bool) -> list[str]:
    """Opens what was restored, gives it numbers that were never given, and checks it."""
    opened = Store(store, clock=lambda: now).open(account)
    try:
        with opened.write() as tx:
            leap(tx.connection)
            if not keep_uidvalidity:
                tx.renumber()
        report = check.check(opened)
    finally:
        opened.close()
    return [f"{account}: {problem}" for problem in report.problems if problem.cure is not check.Cure.NOTE]
