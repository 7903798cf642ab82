"""IMAP over sockets beside Dovecot (sdbox): the same commands, one connection each, in turns.

    python bench/imap_peer.py [messages]        needs dovecot-imapd, and to be root

Ours keeps its messages in memory, Dovecot's are on disk with a warm cache: this compares the protocol's cost, not
storage.  Wall clock, and CPU of the server's processes; the best of several turns."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from imap import fill

COMMANDS = [
    b"FETCH 1:* FLAGS",
    b"FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)",
    b"FETCH 1:* ENVELOPE",
    b"FETCH 1:* BODYSTRUCTURE",
    b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)",
    b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]",
    b"FETCH 1:* BODY.PEEK[]",
    b"SEARCH UNSEEN",
    b"SEARCH SUBJECT something",
    b"SEARCH TEXT zzzz",
    b"SORT (SUBJECT) UTF-8 ALL",
    b"SORT (REVERSE DATE) UTF-8 ALL",
    b"THREAD REFERENCES UTF-8 ALL",
    b"UID STORE 1:* +FLAGS (\\Flagged)|UID STORE 1:* -FLAGS (\\Flagged)",
    b"SELECT INBOX",
    b"NOOP",
]
# Short commands are said so often in one turn.
TIMES = {b"SELECT INBOX": 20, b"NOOP": 500, b"SEARCH UNSEEN": 20}
DOVECOT = """
protocols = imap
listen = 127.0.0.1
base_dir = {run}
state_dir = {run}
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = sdbox:{folder}/mail
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class Connection:
    """A client that reads as little as it can into what it hears."""

    def __init__(self, port: int) -> None:
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.sock = socket.create_connection(("127.0.0.1", port))
                break
            time.sleep(0.05)
        self.sock.settimeout(20)
        self.sock.recv(65536)
        self.ask(b"LOGIN ann secret")

    def ask(self, command: bytes) -> int:
        """Octets of the answer."""
        self.sock.sendall(b"a1 " + command + b"\r\n")
        size, tail = 0, b""
        while True:
            data = self.sock.recv(1 << 20)
            size += len(data)
            tail = (tail + data)[-4000:]
            last = tail.rfind(b"\r\na1 ")
            if not data:
                raise ConnectionError(tail)
            if tail.endswith(b"\r\n") and (last >= 0 or tail.startswith(b"a1 ")):
                if b"a1 OK" not in tail:
                    raise RuntimeError(f"{command!r}: {tail!r}")
                return size

    def append(self, data: bytes, flags: bytes) -> None:
        self.ask(b"APPEND INBOX (%s) {%d+}\r\n%s" % (flags, len(data), data))


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and all below it, to the nanosecond."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    used, todo = 0, [pid]
    while todo:
        one = todo.pop()
        with contextlib.suppress(OSError):
            used += sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{one}/task").glob("*/schedstat"))
        todo += [child for child, parent in parents.items() if parent == one]
    return used / 1e9


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def ours(count: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "serve", str(port), str(count)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def dovecot() -> Iterator[tuple[int, int]]:
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="imapbench"))
    folder.chmod(0o755)
    for name in ("mail", "home"):
        (folder / name).mkdir()
        shutil.chown(folder / name, "mail", "mail")
    (folder / "conf").write_text(DOVECOT.format(run=folder / "run", folder=folder, port=port))
    process = subprocess.Popen(["dovecot", "-F", "-c", str(folder / "conf")])
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def serve(port: int, count: int) -> None:
    import mox_imap.aio
    from mox_imap import ImapConfig

    backend = fill(count)
    sock = socket.create_server(("127.0.0.1", port))
    print("ready", flush=True)
    mox_imap.aio.run(backend, sock, ImapConfig(plaintext_login=True, modseqs=True))


def messages(count: int) -> list[tuple[bytes, bytes]]:
    account = fill(count).accounts["ann"]
    mailbox = account.open("Inbox", lambda: None)
    return [(mailbox.content(number).read(), b"\\Seen" if bits & 1 else b"") for _, number, bits in mailbox.entries()]


def turn(connection: Connection, pid: int, command: bytes) -> tuple[float, float, int]:
    times = TIMES.get(command, 1)
    before, start = cpu(pid), time.perf_counter()
    for _ in range(times):
        for one in command.split(b"|"):
            size = connection.ask(one)
    return (time.perf_counter() - start) / times, (cpu(pid) - before) / times, size


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with ours(count) as (port, pid), dovecot() as (other_port, other_pid):
        us, them = Connection(port), Connection(other_port)
        for data, flags in messages(count):
            them.append(data, flags)
        for one in (us, them):
            one.ask(b"SELECT INBOX")
        print(f"{count} messages; ms of wall clock (CPU of the server), the best of 5 turns; > 1: Dovecot takes longer")
        print(f"{'':58} {'ours':>16} {'Dovecot':>16} {'ratio':>6}")
        for command in COMMANDS:
            found: list[list[tuple[float, float, int]]] = [[], []]
            for _ in range(5):
                found[0].append(turn(us, pid, command))
                found[1].append(turn(them, other_pid, command))
            (wall, used, size), (other, other_used, other_size) = (min(one) for one in found)
            del size, other_size
            print(
                f"{re.sub(rb'BODY.PEEK', b'BODY', command).decode():58} {wall * 1e3:8.2f} ({used * 1e3:5.1f})"
                f" {other * 1e3:8.2f} ({other_used * 1e3:5.1f}) {other / wall:6.2f}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
