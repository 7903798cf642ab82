"""What is on the disk after a power cut: a real process is recorded, then its disk is rebuilt as of every moment.

`record` runs a program under strace with all its data.  `Recording.cuts()` names the moments worth cutting at, and
`Recording.disk(moment, keep, folder)` makes the files as a disk would have them then: what was synced is there for sure;
of what was written since, `keep` says which part survived (nothing, everything, or any subset, also torn sectors).
That is what POSIX promises and no more: a file's name counts only once its folder was synced.

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
CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,renameat,renameat2,"
    "unlink,unlinkat,link,linkat,mkdir,mkdirat,fsync,fdatasync,sync,syncfs,copy_file_range,sendfile,sendto,sendmsg"
)

Keep = Callable[[int], bool]  # number of a pending write -> did it reach the disk?


@dataclass(slots=True)
class Event:
    """One call that matters.  `began` is the number of events that were complete when it began."""

    kind: str  # write truncate create rename unlink sync ack
    path: str
    began: int
    at: int = 0
    data: bytes = b""
    target: str = ""


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
    """A program that runs under strace."""

    def __init__(self, arguments: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        strace = strace_or_skip()
        self.log = log
        options = ["-f", "-y", "-xx", "-s", "100000000", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)]
        self.process = subprocess.Popen(
            [strace, *options, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )

    def end(self, number: int = signal.SIGKILL, timeout: float = 30) -> str:
        """Sends a signal to the traced processes, waits; what the program printed."""
        for pid in _children(self.process.pid):
            os.kill(pid, number)
        output, _ = self.process.communicate(timeout=timeout)
        return output


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


_LINE = re.compile(r"^(\d+)\s+(.*)$", re.DOTALL)
_FD = re.compile(r"^(\d+|AT_FDCWD)<([^>]*)>(\(deleted\))?")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> str:
    """strace -y -xx may print paths behind descriptors as they are or in hex."""
    return os.fsdecode(_bytes(text)) if text.startswith("\\x") else text


@dataclass
class Recording:
    """The calls of a recorded run, in the order in which they were complete."""

    root: str
    events: list[Event] = field(default_factory=list)

    @classmethod
    def read(cls, log: Path, root: Path, ack: Callable[[str, bytes], str | None]) -> Recording:
        """Reads a strace log.  `root`: only files below it count.  `ack(path, data)` names what a write to anything
        else acknowledged, or None."""
        recording = cls(str(root))
        open_calls: dict[str, tuple[str, int]] = {}
        with log.open(errors="surrogateescape") as lines:
            for line in lines:
                match = _LINE.match(line.rstrip("\n"))
                if match is None:
                    continue
                pid, text = match[1], match[2]
                began = len(recording.events)
                if text.endswith("<unfinished ...>"):
                    open_calls[pid] = (text.removesuffix("<unfinished ...>"), began)
                    continue
                if text.startswith("<... "):
                    head, began = open_calls.pop(pid, ("", began))
                    text = head.rstrip() + text.partition("resumed>")[2]
                recording._take(text, began, ack)
        return recording

    def _inside(self, path: str) -> bool:
        return path.startswith(self.root + "/") or path == self.root

    def _take(self, text: str, began: int, ack: Callable[[str, bytes], str | None]) -> None:
        call, paren, rest = text.partition("(")
        body, equals, result = rest.rpartition(") = ")
        if not paren or not equals or result.startswith(("-1", "?")):
            return
        count = int(result.split()[0].split("<")[0]) if result.split()[0].split("<")[0].isdigit() else 0
        handler = getattr(self, f"_call_{call}", None)
        if handler is not None:
            handler(body, count, result, began, ack)

    def _add(self, kind: str, path: str, began: int, **more: object) -> None:
        self.events.append(Event(kind, path, began, **more))  # type: ignore[arg-type]

    def _fd(self, body: str) -> tuple[str, str]:
        """(path behind the first descriptor, the arguments after it); "" for files that have no name any more."""
        match = _FD.match(body)
        if match is None:
            return "", body
        path = _path(match[2])
        gone = bool(match[3]) or path.endswith(" (deleted)") or "/#" in path
        return ("" if gone else path), body[match.end() :].lstrip(", ")

    # -- writes

    def _call_pwrite64(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        path, rest = self._fd(body)
        if self._inside(path):
            data = _HEX.search(rest)
            assert data is not None, rest[:200]
            offset = int(rest.rsplit(", ", 1)[1])
            self._add("write", path, began, at=offset, data=_bytes(data[1])[:count])

    def _call_write(
        self, body: str, count: int, result: str, began: int, ack: Callable[[str, bytes], str | None]
    ) -> None:
        match = _FD.match(body)
        path, rest = self._fd(body)
        data = _HEX.search(rest)
        written = _bytes(data[1])[:count] if data else b""
        if self._inside(path):
            # Only whole small files are written without an offset (keys, markers): always from the start.
            before = sum(len(e.data) for e in self.events if e.kind == "write" and e.path == path)
            self._add("write", path, began, at=before, data=written)
        elif match is not None and (token := ack(_path(match[2]), written)) is not None:
            self._add("ack", token, began)

    def _call_writev(
        self, body: str, count: int, result: str, began: int, ack: Callable[[str, bytes], str | None]
    ) -> None:
        match = _FD.match(body)
        data = b"".join(_bytes(text) for text in _HEX.findall(body))[:count]
        if match is not None and not self._inside(self._fd(body)[0]):
            if (token := ack(_path(match[2]), data)) is not None:
                self._add("ack", token, began)

    _call_sendto = _call_write
    _call_sendmsg = _call_writev

    def _call_copy_file_range(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        raise AssertionError("copy_file_range hides its data from the recording; record with MOXD_COPY=plain")

    # -- files

    def _call_ftruncate(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        path, rest = self._fd(body)
        if self._inside(path):
            self._add("truncate", path, began, at=int(rest))

    def _call_openat(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        if "O_CREAT" not in body or "O_TMPFILE" in body:
            return
        path = result[result.index("<") + 1 : result.rindex(">")] if "<" in result else ""
        path = _path(path)
        if self._inside(path) and not any(e.kind == "create" and e.path == path for e in self.events):
            self._add("create", path, began)
        if self._inside(path) and "O_TRUNC" in body:
            self._add("truncate", path, began, at=0)

    _call_open = _call_openat

    def _names(self, body: str) -> list[str]:
        names = [os.fsdecode(_bytes(text)) for text in _HEX.findall(body)]
        folder = _FD.match(body)
        base = _path(folder[2]) if folder else ""
        return [name if name.startswith("/") else os.path.join(base, name) for name in names]

    def _call_rename(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        old, new = self._names(body)[:2]
        if self._inside(old) or self._inside(new):
            self._add("rename", old, began, target=new)

    _call_renameat = _call_rename
    _call_renameat2 = _call_rename

    def _call_unlink(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        names = self._names(body)
        if names and self._inside(names[0]):
            self._add("unlink", names[0], began)

    _call_unlinkat = _call_unlink

    def _call_mkdir(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        names = self._names(body)
        if names and self._inside(names[0]):
            self._add("mkdir", names[0], began)

    _call_mkdirat = _call_mkdir

    def _call_fsync(self, body: str, count: int, result: str, began: int, ack: object) -> None:
        path, _ = self._fd(body)
        if self._inside(path):
            self._add("sync", path, began)

    _call_fdatasync = _call_fsync

    # -- the disk

    def acknowledged(self, moment: int) -> list[str]:
        """What had been acknowledged before event number `moment`."""
        return [event.path for event in self.events[:moment] if event.kind == "ack"]

    def cuts(self, most: int, rng: random.Random) -> list[int]:
        """Moments to cut at: right after each acknowledgement and around each sync, and others at random."""
        near = {number + 1 for number, event in enumerate(self.events) if event.kind == "ack"}
        near |= {number for number, event in enumerate(self.events) if event.kind == "sync"}
        near |= {number + 1 for number, event in enumerate(self.events) if event.kind == "sync"}
        others = rng.sample(range(len(self.events) + 1), min(len(self.events) + 1, most // 4))
        chosen = sorted(near)
        if len(chosen) > most - len(others):
            chosen = sorted(rng.sample(chosen, most - len(others)))
        return sorted({*chosen, *others, len(self.events)})

    def disk(self, moment: int, keep: Keep, torn: Callable[[int, int], int], folder: Path) -> None:
        """Makes the files as of event number `moment` in `folder`."""
        events = self.events[:moment]
        synced: dict[str, int] = {}  # path -> number of events that its last sync covers
        for event in events:
            if event.kind == "sync":
                synced[event.path] = max(synced.get(event.path, 0), event.began)
        files: dict[str, bytearray] = {}
        names: dict[str, bool] = {}
        for number, event in enumerate(events):
            self._apply(number, event, synced, keep, torn, files, names)
        folder.mkdir(parents=True, exist_ok=True)
        for event in events:
            if event.kind == "mkdir":
                (folder / os.path.relpath(event.path, self.root)).mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, data in files.items():
            if names.get(path, False):
                target = folder / os.path.relpath(path, self.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)

    def _apply(
        self,
        number: int,
        event: Event,
        synced: dict[str, int],
        keep: Keep,
        torn: Callable[[int, int], int],
        files: dict[str, bytearray],
        names: dict[str, bool],
    ) -> None:
        path = event.path
        folder_synced = synced.get(os.path.dirname(path), 0) > number
        if event.kind == "create":
            files.setdefault(path, bytearray())
            names[path] = names.get(path, False) or folder_synced or keep(number)
        elif event.kind == "write":
            data = event.data
            if synced.get(path, 0) <= number:
                if not keep(number):
                    return
                data = data[: torn(number, len(data))]
            content = files.setdefault(path, bytearray())
            names.setdefault(path, True)
            if len(content) < event.at:
                content.extend(bytes(event.at - len(content)))
            content[event.at : event.at + len(data)] = data
        elif event.kind == "truncate":
            if synced.get(path, 0) <= number and not keep(number):
                return
            content = files.setdefault(path, bytearray())
            names.setdefault(path, True)
            if len(content) > event.at:
                del content[event.at :]
            else:
                content.extend(bytes(event.at - len(content)))
        elif event.kind == "rename":
            # POSIX: the new name is the old file or the new one, never a mixture.
            if folder_synced or keep(number):
                files[event.target] = files.pop(path, bytearray())
                names[event.target] = True
                names.pop(path, None)
        elif event.kind == "unlink" and (folder_synced or keep(number)):
            files.pop(path, None)
            names.pop(path, None)


def survivals(rng: random.Random, random_ones: int) -> Iterator[tuple[str, Keep, Callable[[int, int], int]]]:
    """Which unsynced writes survive: none, all, random subsets with torn sectors."""
    whole: Callable[[int, int], int] = lambda number, length: length  # noqa: E731
    yield "nothing unsynced", lambda number: False, whole
    yield "everything", lambda number: True, whole
    for _ in range(random_ones):
        salt = rng.getrandbits(64)

        def keep(number: int, salt: int = salt) -> bool:
            return random.Random(salt ^ number * 0x9E3779B97F4A7C15).random() < 0.5

        def torn(number: int, length: int, salt: int = salt) -> int:
            chooser = random.Random(salt + number)
            if chooser.random() < 0.5 or length <= SECTOR:
                return length
            return chooser.randrange(1, length // SECTOR + 1) * SECTOR

        yield f"random {salt:x}", keep, torn
