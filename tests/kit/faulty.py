"""A disk that fails at the n-th call: SQLite's own calls through its VFS, the store's through mox_store.Disk.

SQLite has a seam for this: file methods behind a table of functions.  The table of files opened while `Faults` is
installed is replaced by one that counts, fails when it is time, and else does what the real one does."""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mox_store import Disk

FULL, IOERR = 13, 10
IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_SHMSIZE = (IOERR | n << 8 for n in (3, 4, 6, 19))

_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_CLOSE = ctypes.CFUNCTYPE(_I, _P)
_WRITE = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)
_SHM_MAP = ctypes.CFUNCTYPE(_I, _P, _I, _I, _I, ctypes.POINTER(_P))
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, ctypes.POINTER(_I))


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, as far as it is touched; the rest is copied."""

    _fields_ = (
        ("version", _I),
        ("close", _P),
        ("read", _P),
        ("write", _P),
        ("truncate", _P),
        ("sync", _P),
        ("size", _P),
        ("lock", _P),
        ("unlock", _P),
        ("reserved", _P),
        ("control", _P),
        ("sector", _P),
        ("traits", _P),
        ("shm_map", _P),
        ("shm_lock", _P),
        ("shm_barrier", _P),
        ("shm_unmap", _P),
        ("fetch", _P),
        ("unfetch", _P),
    )


class _Vfs(ctypes.Structure):
    """The beginning of sqlite3_vfs."""

    _fields_ = (
        ("version", _I),
        ("file_size", _I),
        ("path_size", _I),
        ("next", _P),
        ("name", ctypes.c_char_p),
        ("data", _P),
        ("open", _P),
    )


class Faults:
    """Counts the calls that change the disk.  The n-th fails (`at`, from 1), and all after it when `lasting`."""

    def __init__(self) -> None:
        self.count = 0
        self.at = 0
        self.lasting = False
        self.number = errno.EIO
        self.log: list[str] = []
        self.failed: list[str] = []

    def arm(self, at: int, number: int, *, lasting: bool) -> None:
        """From now on: count from 1, fail at `at` with errno `number`."""
        self.count, self.at, self.number, self.lasting = 0, at, number, lasting
        self.log, self.failed = [], []

    def rest(self) -> None:
        """All is well again."""
        self.at = 0

    def fails(self, what: str) -> bool:
        """Called for each call; must it fail?"""
        self.count += 1
        self.log.append(what)
        bad = bool(self.at) and (self.count == self.at or (self.lasting and self.count > self.at))
        if bad:
            self.failed.append(what)
        return bad


class FaultyDisk(Disk):
    """The store's own calls."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def _try(self, what: str) -> None:
        if self._faults.fails(what):
            raise OSError(self._faults.number, os.strerror(self._faults.number))

    def sync(self, descriptor: int) -> None:
        self._try("sync")
        super().sync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        self._try("sync folder")
        super().sync_folder(folder)

    def write(self, descriptor: int, data: bytes, at: int) -> None:
        if self._faults.fails("write"):
            super().write(descriptor, data[: len(data) // 2], at)  # a short write, then the error
            raise OSError(self._faults.number, os.strerror(self._faults.number))
        super().write(descriptor, data, at)

    def allocate(self, descriptor: int, start: int, length: int) -> None:
        self._try("allocate")
        super().allocate(descriptor, start, length)

    def open(self, path: Path, flags: int) -> int:
        if flags & os.O_CREAT:
            self._try("create")
        return super().open(path, flags)


@contextmanager
def sqlite_faults(faults: Faults) -> Iterator[None]:
    """Files that SQLite opens inside fail by `faults`.  Skips where SQLite's library cannot be reached."""
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        find = library.sqlite3_vfs_find
    except (OSError, AttributeError):
        pytest.skip(f"SQLite {sqlite3.sqlite_version} is built into this Python: its VFS cannot be reached")
    find.restype = ctypes.POINTER(_Vfs)
    vfs = find(None).contents
    real_open = _OPEN(vfs.open)
    keep: list[object] = []
    tables: dict[int, _Methods] = {}

    def opened(vfs_p: int, name: int, file: int, flags: int, out: object) -> int:
        code = real_open(vfs_p, name, file, flags, out)
        slot = ctypes.cast(file, ctypes.POINTER(_P))
        if code == 0 and slot[0]:
            table = slot[0]
            if table not in tables:
                tables[table] = _table(table, faults, keep)
            slot[0] = ctypes.addressof(tables[table])
        return int(code)

    hook = _OPEN(opened)
    original = vfs.open
    vfs.open = ctypes.cast(hook, _P).value
    try:
        yield
    finally:
        vfs.open = original


# Files that were opened inside may be closed later: their tables live as long as the process.
_FOREVER: list[object] = []


def _table(address: int, faults: Faults, keep: list[object]) -> _Methods:
    table = _Methods.from_buffer_copy(ctypes.string_at(address, ctypes.sizeof(_Methods)))
    write, truncate = _WRITE(table.write), _TRUNCATE(table.truncate)
    sync, shm_map = _SYNC(table.sync), _SHM_MAP(table.shm_map) if table.shm_map else None

    def code(otherwise: int) -> int:
        return FULL if faults.number == errno.ENOSPC else otherwise

    def on_write(file: int, data: int, length: int, at: int) -> int:
        if faults.fails("sqlite write"):
            write(file, data, length // 2, at)
            return code(IOERR_WRITE)
        return int(write(file, data, length, at))

    def on_truncate(file: int, size: int) -> int:
        return IOERR_TRUNCATE if faults.fails("sqlite truncate") else int(truncate(file, size))

    def on_sync(file: int, flags: int) -> int:
        return IOERR_FSYNC if faults.fails("sqlite sync") else int(sync(file, flags))

    def on_shm_map(file: int, region: int, size: int, extend: int, out: object) -> int:
        assert shm_map is not None
        return IOERR_SHMSIZE if extend and faults.fails("sqlite shm") else int(shm_map(file, region, size, extend, out))

    hooks = [_WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync), _SHM_MAP(on_shm_map)]
    for name, hook in zip(("write", "truncate", "sync", "shm_map"), hooks, strict=True):
        if getattr(table, name):
            setattr(table, name, ctypes.cast(hook, _P).value)
    _FOREVER.extend([*hooks, table])
    keep.append(table)
    return table
