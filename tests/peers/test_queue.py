"""What cannot go at once: tried again, delivered late, or told to the sender."""

from __future__ import annotations

import json
import re
import time

import pytest

from kit.processes import Running, answers, program
from kit.world import World, mailbox, submit, until

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("world"), pytest.mark.timeout(120)]


def slow(world: World) -> str:
    """The address that slow.test's MX leads to; nobody listens there but in these tests."""
    return ".".join([*world.server.address.split(".")[:3], "250"])


def waiting(world: World) -> list[dict[str, object]]:
    return json.loads(world.server.command("queue", "list", "--json").stdout)  # type: ignore[no-any-return]


def sink(world: World, name: str, *arguments: str) -> Running:
    """Postfix's smtp-sink at the address of slow.test; it writes what it takes."""
    folder = world.folder / name
    folder.mkdir()
    folder.chmod(0o777)
    running = Running(
        [
            program("smtp-sink", "postfix"),
            "-u",
            "nobody",
            *arguments,
            "-D",
            f"{folder}/%M.",
            f"{slow(world)}:25",
            "100",
        ],
        world.folder,
        name,
    )
    running.wait_until(lambda: answers(25, slow(world)))
    return running


def message(subject: str) -> bytes:
    return f"From: you@mox.test\r\nTo: a@slow.test\r\nSubject: {subject}\r\n\r\nx\r\n".encode()


def test_tried_again_until_somebody_is_there(world: World) -> None:
    code, reply = submit(world.server, message("late"), "a@slow.test")
    assert code == 250
    number = reply.decode().split()[-1]
    row = until(lambda: [row for row in waiting(world) if row["message"] == number and row["attempts"]])[0]
    assert row["address"] == "a@slow.test"
    assert "refused" in str(row["last"]).lower()
    running = sink(world, "late")
    try:
        until(lambda: [path for path in (world.folder / "late").iterdir() if b"Subject: late" in path.read_bytes()], 20)
    finally:
        running.kill()
    explained = until(
        lambda: (text := world.server.command("message", "explain", number).stdout) and "-> delivered" in text and text
    )
    assert re.search(r"attempt 1 to a@slow\.test -> (later|deferred)", explained), explained
    assert not [row for row in waiting(world) if row["message"] == number]


def test_given_up_and_told(world: World) -> None:
    code, _ = submit(world.server, message("never"), "a@slow.test")
    assert code == 250
    notice = until(lambda: notice_of(world, "never"), 40)
    assert "Action: failed" in notice
    assert re.search(r"^Status: [45]\.\d+\.\d+\r$", notice, re.MULTILINE)
    assert "Subject: never" in notice, "the header of the message is in it"
    assert "multipart/report" in notice
    assert "Auto-Submitted: auto-replied" in notice
    assert "DKIM-Signature" in notice


def notice_of(world: World, subject: str) -> str:
    """The notice about the message with that subject, or ""."""
    client = mailbox(world.server)
    try:
        for number in client.search(None, 'SUBJECT "Your message could not be delivered"')[1][0].split():
            text = client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1].decode()  # type: ignore[index, union-attr]
            if f"Subject: {subject}\r\n" in text:
                return text
        return ""
    finally:
        client.logout()


@pytest.mark.parametrize(
    "arguments, wanted", [(("-f", "RCPT"), "5."), (("-f", "."), "5.")], ids=["at RCPT", "at the end"]
)
def test_refused_for_good_is_told_at_once(world: World, arguments: tuple[str, ...], wanted: str) -> None:
    running = sink(world, f"refuse-{arguments[1].strip('.') or 'end'}", *arguments)
    try:
        began = time.monotonic()
        code, _ = submit(world.server, message(f"refused {arguments[1]} end"), "a@slow.test")
        assert code == 250
        notice = until(lambda: notice_of(world, f"refused {arguments[1]} end"))
        assert "Final-Recipient: rfc822;a@slow.test" in notice
        assert re.search(rf"^Status: {re.escape(wanted)}", notice, re.MULTILINE)
        assert re.search(r"^Diagnostic-Code: smtp; *5\d\d", notice, re.MULTILINE), notice
        assert time.monotonic() - began < 10.0, "before the time to give up"
    finally:
        running.kill()


def test_held_released_and_dropped(world: World) -> None:
    code, reply = submit(world.server, message("held"), "a@slow.test")
    assert code == 250
    number = reply.decode().split()[-1]
    row = until(lambda: [row for row in waiting(world) if row["message"] == number])[0]
    # Not in the moment in which it is being tried.
    until(lambda: world.server.command("queue", "hold", str(row["recipient"])).returncode == 0)
    assert until(lambda: [r for r in waiting(world) if r["message"] == number])[0]["state"] == "held"
    done = world.server.command("queue", "drop", str(row["recipient"]))
    assert done.returncode == 0
    assert not [r for r in waiting(world) if r["message"] == number]
