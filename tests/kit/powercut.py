"""What is on the disk after a power cut: a real program is recorded, then its disk is rebuilt as of every moment.

`Recorder` runs a program under strace, with all the data it writes.  `Recording.read` makes events of that, and
`Recording.disk(moment, survival, folder)` makes the files as a disk may have them when the power goes at that moment:
what was synced is there for sure; of what was written since, `survival` says which part made it (nothing, everything,
any subset, sectors torn, the length without the bytes).  That is what POSIX promises and no more: a name counts only
once its folder was synced, a sync covers the writes that were over when it began.

kill -9 proves nothing of this, because the kernel keeps unsynced writes."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECTOR = 512
# Everything that changes files or folders.  What is not understood below fails the test instead of being overlooked.
CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,renameat,renameat2,"
    "unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,mkdir,mkdirat,fsync,fdatasync,sync,syncfs,sync_file_range,"
    "msync,copy_file_range,sendfile,splice"
)


@dataclass(slots=True)
class Event:
    """One call that matters.  `began`: the number of events that were over when it began."""

    kind: str  # create write truncate grow rename link unlink mkdir sync ack
    path: str
    began: int
    at: int = 0
    data: bytes = b""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Survival:
    """The fate of what was not synced: does event `number` reach the disk, and how many of its bytes."""

    name: str
    keep: Callable[[int], bool]
    torn: Callable[[int, int], int] = lambda number, length: length
    lengths: bool = False  # a lost write may have made the file longer all the same: zeros


def survivals(rng: random.Random, subsets: int) -> Iterator[Survival]:
    """Nothing, everything, lengths without bytes, and random subsets with torn sectors."""
    yield Survival("nothing unsynced", lambda number: False)
    yield Survival("everything", lambda number: True)
    yield Survival("lengths without bytes", lambda number: False, lengths=True)
    for _ in range(subsets):
        yield _subset(rng.getrandbits(63))


def _subset(salt: int) -> Survival:
    return Survival(
        f"subset {salt:x}",
        lambda number: random.Random(salt ^ number * 0x9E3779B97F4A7C15).random() < 0.5,
        lambda number, length: _torn(random.Random(salt + number), length),
        lengths=bool(salt & 1),
    )


def _torn(chooser: random.Random, length: int) -> int:
    whole = chooser.random() < 0.5 or length <= SECTOR
    return length if whole else chooser.randrange(1, length // SECTOR + 1) * SECTOR


def strace_or_skip() -> str:
    """The strace program; skips with the reason where it cannot be used."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed (Debian package strace): no power cut can be recorded")
    probe = subprocess.run([program, "-o", "/dev/null", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()[:200]}")
    return program


class Recorder:
    """A program that runs under strace; acknowledgements are lines on its standard output."""

    def __init__(self, arguments: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        options = ["-f", "-y", "-xx", "-s", "100000000", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)]
        self.log = log
        self.process = subprocess.Popen(
            [strace_or_skip(), *options, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env
        )

    def wait(self, timeout: float) -> str:
        """Waits for the end; what it printed.  AssertionError when it failed."""
        output, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, output.decode(errors="replace")[-4000:]
        return output.decode(errors="replace")

    def kill(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=30)


_LINE = re.compile(r"^(\d+)\s+(.*)$", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (.*)$", re.DOTALL)
_FD = re.compile(r"^(-?\d+|AT_FDCWD)(?:<([^>]*)>)?(\(deleted\))?")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> str:
    """Paths behind descriptors are as they are, or in hex."""
    return os.fsdecode(_bytes(text)) if text.startswith("\\x") else text


@dataclass
class Recording:
    """The calls of a recorded run below `root`, in the order in which they were over."""

    root: str
    events: list[Event] = field(default_factory=list)
    _cursors: dict[str, int] = field(default_factory=dict)  # for plain writes: files written from their beginning

    @classmethod
    def read(cls, log: Path, root: Path) -> Recording:
        """Reads a strace log.  A line written to standard output is an acknowledgement."""
        recording = cls(str(root))
        begun: dict[str, tuple[str, int]] = {}
        with log.open(errors="surrogateescape") as lines:
            for line in lines:
                match = _LINE.match(line.rstrip("\n"))
                if match is None:
                    continue
                pid, text = match[1], match[2]
                began = len(recording.events)
                if text.endswith("<unfinished ...>"):
                    begun[pid] = (text.removesuffix("<unfinished ...>"), began)
                    continue
                if text.startswith("<... "):
                    head, began = begun.pop(pid, ("", began))
                    text = head.rstrip() + text.partition("resumed>")[2]
                recording._take(text, began)
        return recording

    def inside(self, path: str) -> bool:
        """Is it one of the files of the program under test?"""
        return path.startswith(self.root + "/") or path == self.root

    def _take(self, text: str, began: int) -> None:
        if text.startswith(("+++", "---")):  # an end, a signal
            return
        match = _CALL.match(text)
        assert match is not None, f"not understood: {text[:300]}"
        call, body, result = match.groups()
        if result.startswith(("-1", "?")):
            return
        handler = getattr(self, f"_call_{call}", None)
        if handler is not None:
            handler(body, result, began)
        elif self.root.encode().hex() in body.replace("\\x", "") or self.root in body:
            raise AssertionError(f"the recording does not know what {call} does: {text[:300]}")

    def _add(self, kind: str, path: str, began: int, at: int = 0, data: bytes = b"", target: str = "") -> None:
        self.events.append(Event(kind, path, began, at, data, target))

    def _fd(self, body: str) -> tuple[str, str, str]:
        """(descriptor, path behind it, the arguments after it); no path for files that have no name any more."""
        match = _FD.match(body)
        if match is None:
            return "", "", body
        path = _path(match[2] or "")
        gone = bool(match[3]) or path.endswith(" (deleted)")
        return match[1], ("" if gone else path), body[match.end() :].lstrip(", ")

    # -- writes

    def _call_pwrite64(self, body: str, result: str, began: int) -> None:
        _, path, rest = self._fd(body)
        if self.inside(path):
            found = _HEX.search(rest)
            assert found is not None, rest[:200]
            self._add("write", path, began, int(rest.rsplit(", ", 1)[1]), _bytes(found[1])[: int(result)])

    def _call_write(self, body: str, result: str, began: int) -> None:
        number, path, rest = self._fd(body)
        found = _HEX.search(rest)
        data = _bytes(found[1])[: int(result)] if found else b""
        if self.inside(path):
            at = self._cursors.get(path, 0)
            self._cursors[path] = at + len(data)
            self._add("write", path, began, at, data)
        elif number == "1":
            for line in data.decode().splitlines():
                self._add("ack", line, began)

    # -- files

    def _call_ftruncate(self, body: str, result: str, began: int) -> None:
        _, path, rest = self._fd(body)
        if self.inside(path):
            self._add("truncate", path, began, int(rest))

    def _call_fallocate(self, body: str, result: str, began: int) -> None:
        _, path, rest = self._fd(body)
        if self.inside(path):
            mode, start, length = rest.split(", ")
            assert mode == "0", f"fallocate with mode {mode} is not understood"
            self._add("grow", path, began, int(start) + int(length))

    def _call_openat(self, body: str, result: str, began: int) -> None:
        _, path, _ = self._fd(result)
        if not self.inside(path) or "O_CREAT" not in body:
            return
        self._cursors[path] = 0
        if "O_TRUNC" in body:
            self._add("truncate", path, began, 0)
        self._add("create", path, began)

    _call_open = _call_openat

    def _names(self, body: str) -> list[str]:
        folders = re.findall(r"(?:AT_FDCWD|\d+)<([^>]*)>", body)
        base = _path(folders[0]) if folders else ""
        return [os.path.join(base, os.fsdecode(_bytes(text))) for text in _HEX.findall(body)]

    def _call_rename(self, body: str, result: str, began: int) -> None:
        old, new = self._names(body)[:2]
        if self.inside(old) or self.inside(new):
            self._add("rename", old, began, target=new)

    _call_renameat = _call_renameat2 = _call_rename

    def _call_link(self, body: str, result: str, began: int) -> None:
        old, new = self._names(body)[:2]
        if self.inside(old) or self.inside(new):
            self._add("link", old, began, target=new)

    _call_linkat = _call_link

    def _call_unlink(self, body: str, result: str, began: int) -> None:
        name = self._names(body)[0]
        if self.inside(name):
            self._add("unlink", name, began)

    _call_unlinkat = _call_unlink

    def _call_mkdir(self, body: str, result: str, began: int) -> None:
        name = self._names(body)[0]
        if self.inside(name):
            self._add("mkdir", name, began)

    _call_mkdirat = _call_mkdir

    def _call_fsync(self, body: str, result: str, began: int) -> None:
        _, path, _ = self._fd(body)
        if self.inside(path):
            self._add("sync", path, began)

    _call_fdatasync = _call_fsync

    # -- moments

    def acknowledged(self, moment: int) -> list[str]:
        """What had been acknowledged before event number `moment`."""
        return [event.path for event in self.events[:moment] if event.kind == "ack"]

    def cuts(self) -> list[int]:
        """Every moment at which a disk may look different: after each event."""
        return list(range(len(self.events) + 1))

    def sharp_cuts(self) -> list[int]:
        """Those where mistakes show: right after each acknowledgement, and on both sides of each sync."""
        sharp = {number + 1 for number, event in enumerate(self.events) if event.kind in ("ack", "sync")}
        sharp |= {number for number, event in enumerate(self.events) if event.kind == "sync"}
        return sorted({*sharp, len(self.events)})

    # -- the disk

    def disk(self, moment: int, survival: Survival, folder: Path) -> None:
        """Makes the files as of event number `moment` below `folder`, which stands for `root`."""
        events = self.events[:moment]
        synced: dict[str, int] = {}  # path -> events before this number are on disk
        for event in events:
            if event.kind == "sync":
                synced[event.path] = max(synced.get(event.path, 0), event.began)
        files = _Files({}, set())
        for number, event in enumerate(events):
            files.apply(number, event, synced, survival)
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(files.names):
            target = folder / os.path.relpath(path, self.root)
            if path not in files.data:
                target.mkdir(parents=True, exist_ok=True, mode=0o700)
                continue
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with target.open("wb") as file:
                file.write(files.data[path])


@dataclass
class _Files:
    """Bytes by path, and which names the folders have."""

    data: dict[str, bytearray]
    names: set[str]

    def apply(self, number: int, event: Event, synced: dict[str, int], survival: Survival) -> None:
        """One event, as far as the disk saw it."""
        if event.kind in ("create", "mkdir", "rename", "link", "unlink"):
            durable = synced.get(os.path.dirname(event.target or event.path), 0) > number
            if durable or survival.keep(number):
                self._name(event)
        elif event.kind in ("write", "truncate", "grow"):
            self._bytes(number, event, synced.get(event.path, 0) > number, survival)

    def _name(self, event: Event) -> None:
        if event.kind == "rename":
            self.data[event.target] = self.data.pop(event.path, bytearray())
            self.names.discard(event.path)
            self.names.add(event.target)
        elif event.kind == "link":  # two names for the same bytes
            self.data[event.target] = self.data.setdefault(event.path, bytearray())
            self.names.add(event.target)
        elif event.kind == "unlink":
            self.data.pop(event.path, None)
            self.names.discard(event.path)
        else:
            self.names.add(event.path)
            if event.kind == "create":
                self.data.setdefault(event.path, bytearray())

    def _bytes(self, number: int, event: Event, durable: bool, survival: Survival) -> None:
        content = self.data.setdefault(event.path, bytearray())
        kept = durable or survival.keep(number)
        if event.kind != "write":
            if kept:
                if event.kind == "truncate":
                    del content[event.at :]
                content.extend(bytes(max(0, event.at - len(content))))
            return
        data = event.data
        if not durable:
            data = data[: survival.torn(number, len(data))] if kept else b""
        end = event.at + (len(event.data) if survival.lengths else len(data))
        if data or survival.lengths:
            content.extend(bytes(max(0, end - len(content))))
        content[event.at : event.at + len(data)] = data
