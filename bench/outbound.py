"""Mail on its way out, beside Postfix: queued messages to smtp-sink, over the same number of connections.

    python3 noxfile.py bench outbound          (or: python bench/outbound.py [--messages N] [--connections N])

Both queues are filled first, then let go.  Printed: messages/s until the last has arrived, CPU milliseconds of the
sender's processes a message, and the growth of memory of our queue's process."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import mox_dns  # noqa: E402
import mox_store  # noqa: E402
from kit.postfix import postfix  # noqa: E402
from kit.processes import Running, answers, free_port, program  # noqa: E402
from mox_message import Content  # noqa: E402
from mox_queue import UPGRADES, Desk, Filter, Limits, NewMessage, Notices, Queue, Recipient, Rows, schema  # noqa: E402
from mox_queue.direct import Direct  # noqa: E402

BODY = (
    b"From: you@here.test\r\nTo: a@sink.test\r\nSubject: bench\r\nMessage-ID: <b@here.test>\r\n\r\n"
    + b"x" * 70
    + b"\r\n"
)
MESSAGE = BODY + (b"y" * 70 + b"\r\n") * 55


def sink(stack: ExitStack, folder: Path) -> tuple[Running, int]:
    """smtp-sink, which takes everything and keeps nothing."""
    port = free_port()
    running = Running([program("smtp-sink", "postfix"), "-u", "postfix", f"127.0.0.1:{port}", "1000"], folder, "sink")
    stack.callback(running.kill)
    running.wait_until(lambda: answers(port))
    return running, port


async def ours(folder: Path, port: int, messages: int, connections: int) -> tuple[float, float, int]:
    """(seconds, CPU seconds, growth of memory in KB) of our queue."""
    resolver = mox_dns.Zone({"sink.test MX": ["10 mx.sink.test."], "mx.sink.test A": ["127.0.0.1"]})
    database = mox_store.Database(folder / "queue.db", schema(), UPGRADES, loop=asyncio.get_running_loop())
    rows = Rows(database, folder / "messages")
    courier = Direct(
        hostname="mx.here.test",
        resolver=resolver,
        clock=time.monotonic,
        now=time.time,
        random=random.Random(1),
        port=port,
    )
    numbers = iter(range(10**9, 2 * 10**9))
    queue = Queue(
        rows, lambda due: courier, notices=Notices("mx.here.test", new_id=lambda: next(numbers), domain_of=lambda a: a),
        clock=time.time, drawn=random.random, limits=Limits(connections=connections),
    )  # fmt: skip
    content = Content.of(MESSAGE)
    for start in range(0, messages, 500):
        await asyncio.gather(*(
            queue.add(NewMessage(n, "you@here.test", (Recipient("a@sink.test", "sink.test"),), content, time.time()))
            for n in range(start, min(start + 500, messages))
        ))  # fmt: skip
    memory, began, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), time.process_time()
    task = asyncio.get_running_loop().create_task(queue.run())
    desk = Desk(database)
    while desk.listed(Filter(), 1):  # noqa: ASYNC110 another process would look like this too
        await asyncio.sleep(0.05)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    await queue.stop()
    await task
    courier.close()
    assert len(desk.listed(Filter(states=("delivered",)), messages + 1)) == messages
    database.close()
    return seconds, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory


def cpu_seconds(pids: list[int]) -> float:
    """user + system of these processes, and of children that they have waited for."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


SETTINGS = """
relayhost = [127.0.0.1]:{port}
smtpd_client_restrictions = static:HOLD
smtp_destination_concurrency_limit = {connections}
initial_destination_concurrency = {connections}
qmgr_message_active_limit = 20000
smtp_bind_address = 127.0.0.1
smtp_tls_security_level = none
"""


def theirs(stack: ExitStack, folder: Path, port: int, messages: int, connections: int) -> tuple[float, float]:
    """(seconds, CPU seconds) of Postfix, from the release of a held queue until all of it has left."""
    peer = stack.enter_context(
        postfix(
            folder / "postfix", address="127.0.0.26", host="mx.postfix.test", domain="postfix.test", nameserver=None,
            certificate=Path("/dev/null"), key=Path("/dev/null"), tls="none",
            extra=SETTINGS.format(port=port, connections=connections),
        )
    )  # fmt: skip
    etc = peer.folder / "etc"

    def waiting(*folders: str) -> int:
        return sum(len(names) for one in folders for _, _, names in os.walk(peer.folder / "queue" / one))

    subprocess.run(
        [program("smtp-source", "postfix"), "-s", "8", "-m", str(messages), "-l", "4096", "-f", "you@postfix.test",
         "-t", "a@sink.test", "127.0.0.26:25"], check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    time.sleep(2.0)
    if (held := waiting("hold")) < messages:
        raise SystemExit(f"Postfix holds {held} of {messages} messages:\n{peer.log[-3000:]}")
    before, began = cpu_seconds(peer.pids()), time.perf_counter()
    subprocess.run([program("postsuper", "postfix"), "-c", str(etc), "-H", "ALL"], check=True, capture_output=True)
    subprocess.run([program("postqueue", "postfix"), "-c", str(etc), "-f"], check=True)
    while waiting("hold", "active", "deferred", "incoming"):
        time.sleep(0.05)
        if time.perf_counter() - began > 300:
            raise SystemExit(f"Postfix does not get its messages out:\n{peer.log[-3000:]}")
    return time.perf_counter() - began, cpu_seconds(peer.pids()) - before


def main() -> int:
    """Runs both, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=10)
    options = parser.parse_args()
    count = options.messages
    with tempfile.TemporaryDirectory(prefix="mox-bench-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        _, port = sink(stack, folder)
        seconds, cpu, grown = asyncio.run(ours(folder, port, count, options.connections))
        print(
            f"mox-queue  {count / seconds:>7.0f} msg/s  {cpu / count * 1000:>6.2f} ms CPU"
            f"  memory +{grown / 1024:.1f} MB",
            flush=True,
        )
        their_seconds, their_cpu = theirs(stack, folder, port, count, options.connections)
        print(f"Postfix    {count / their_seconds:>7.0f} msg/s  {their_cpu / count * 1000:>6.2f} ms CPU")
        print(f"mox-queue / Postfix: {their_seconds / seconds:.2f} x messages/s, {their_cpu / cpu:.2f} x less CPU")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
