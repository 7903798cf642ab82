"""Real programs as plain processes on loopback: started, waited for, ended, their output kept for when a test fails."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def program(name: str, package: str) -> str:
    """The path of a program; without it the test fails where CI=true, and is skipped with the reason elsewhere."""
    found = shutil.which(name, path=PATH)
    if found is None:
        message = f"{name} is not installed (Debian package {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


# Below those that the kernel gives to whoever connects somewhere: until a server binds its port, nobody else gets it.
_PORTS = range(10_000, 32_000)
_next_port = random.SystemRandom().choice(_PORTS)  # processes side by side begin elsewhere


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has now, neither for TCP nor for UDP, and that this process is not given again soon."""
    global _next_port
    for _ in range(1000):
        port = _next_port
        _next_port = port + 1 if port + 1 in _PORTS else _PORTS[0]
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((address, port))
                udp.bind((address, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free for both")


def loopback(count: int) -> list[str]:
    """Addresses of the loopback network that nobody listens on: runs side by side do not meet on port 25."""
    chosen = random.SystemRandom()
    while True:
        net = f"127.{chosen.randrange(1, 255)}.{chosen.randrange(1, 255)}"
        found = [f"{net}.{number}" for number in range(1, count + 1)]
        if not any(answers(port, address) for address in found for port in (25, 143, 993)):
            return found


def tree(pid: int) -> list[int]:
    """A process and everything below it, itself first."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        try:
            waiting += [int(word) for word in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append(one)
    return found


def peak_memory(pid: int) -> int:
    """The highest resident set of a process so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM of {pid}")


def ends_with_us(arguments: Sequence[str]) -> list[str]:
    """The command, killed by the kernel when this process ends in whatever way."""
    found = shutil.which("setpriv", path=PATH)
    return [found, "--pdeathsig", "KILL", "--", *arguments] if found else list(arguments)


class Running:
    """A program that runs."""

    def __init__(self, arguments: Sequence[str], folder: Path, name: str, env: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"
        self._file = self.log.open("ab")
        self.process = subprocess.Popen(
            ends_with_us(arguments),
            stdout=self._file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], bool], seconds: float = 20.0) -> None:
        """Polls until ready() is true.  Fails with the program's output."""
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                code = self.process.poll()
                self.kill()
                raise AssertionError(f"{self.process.args} is not ready (status {code}):\n{self.output[-4000:]}")
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Ends it and waits; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._file.close()
        return status

    def kill(self) -> None:
        """kill -9 for it and everything it started, also what has made a session of its own."""
        for pid in tree(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        self._file.close()


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Does somebody take TCP connections there?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def serving(local: tuple[str, int], pids: Sequence[int]) -> int:
    """Which of `pids` has the other end of our connection from `local`."""
    port = f":{local[1]:04X}"
    inode = ""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[2].endswith(port) and words[9] != "0":  # not one that has ended and is remembered for a while
            inode = words[9]
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(descriptor) == f"socket:[{inode}]":
                    return pid
            except FileNotFoundError:
                continue
    raise AssertionError(f"nobody has socket {inode}")
