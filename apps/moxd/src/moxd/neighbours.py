"""Telling the other processes: a datagram after each durable commit, to every process that has a door in `run/`.

Nothing depends on a datagram arriving at once: it says "look", and the looking finds everything since the last look."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

RETRY = 0.02  # seconds until a full neighbour is told again; what piles up meanwhile is merged
MAX_DATAGRAM = 4096


class Neighbours:
    """This process's door in `folder`, and the way to all the others.

    `heard(topic, number)` is called on the loop; topics are account names or "queue"."""

    def __init__(self, folder: Path, name: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        # Paths of Unix sockets are short (108 bytes); through a descriptor of the folder any depth works.
        self._directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._name = f"{name}.sock" if name else None
        if self._name:
            (folder / self._name).unlink(missing_ok=True)
            self._socket.bind(self._path(self._name))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[tuple[str, str], int] = {}

    def _path(self, name: str) -> str:
        return f"/proc/self/fd/{self._directory}/{name}"

    def listen(self, loop: asyncio.AbstractEventLoop, heard: Callable[[str, int], None]) -> None:
        """Calls `heard` for what the others say."""
        self._loop = loop
        loop.add_reader(self._socket.fileno(), self._receive, heard)

    def _receive(self, heard: Callable[[str, int], None]) -> None:
        while True:
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            topic, _, number = data.decode("utf-8", "replace").rpartition(" ")
            if number.isdigit():
                heard(topic, int(number))

    def tell(self, topic: str, number: int) -> None:
        """Every other process hears `topic number`, soon."""
        for name in self._others():
            self._send(name, topic, number)

    def _others(self) -> list[str]:
        return [entry for entry in os.listdir(self._folder) if entry.endswith(".sock") and entry != self._name]

    def _send(self, name: str, topic: str, number: int) -> None:
        try:
            self._socket.sendto(f"{topic} {number}".encode(), self._path(name))
        except BlockingIOError:
            if not self._waiting and self._loop is not None:
                self._loop.call_later(RETRY, self._again)
            key = (name, topic)
            self._waiting[key] = max(number, self._waiting.get(key, 0))
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # that process has gone; what it missed it will read when it starts

    def _again(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for (name, topic), number in waiting.items():
            self._send(name, topic, number)

    def close(self) -> None:
        """Takes the door away."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._name:
            (self._folder / self._name).unlink(missing_ok=True)
        os.close(self._directory)
