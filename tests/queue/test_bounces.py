from __future__ import annotations

from pathlib import Path

import pytest

from kit.queue_world import NO, OK, START, World, always, message
from kit.virtual_time import run_virtual
from mox_message import Content, dsn, parse
from mox_message.dsn import RecipientStatus, Report
from mox_queue import Bounce, Kind, Sent, meaning

SENT = Sent(1, 1, "you", "you+id1@here.example", "a.b+tag@x.example", "ab@x.example", 1, "id1")


def status(
    action: str, code: str, diagnostic: str = "", to: str = "a.b+tag@x.example", orcpt: str = ""
) -> RecipientStatus:
    return RecipientStatus(to, action, code, orcpt, "mx.x.example", diagnostic)  # type: ignore[arg-type]


CASES = {
    "failed for good": ([status("failed", "5.1.1", "550 5.1.1 nobody")], Bounce(Kind.FAILED, "550 5.1.1 nobody", True)),
    "failed, perhaps not for good": ([status("failed", "5.2.2", "552 5.2.2 full")], Bounce(Kind.FAILED, "552 5.2.2 full")),
    "only delayed": ([status("delayed", "4.4.1", "550 later")], Bounce(Kind.DELAYED, "550 later")),
    "delivered": ([status("delivered", "2.0.0")], Bounce(Kind.DELIVERED, "2.0.0")),
    "relayed": ([status("relayed", "2.0.0")], Bounce(Kind.RELAYED, "2.0.0")),
    "to a list": ([status("expanded", "2.0.0")], Bounce(Kind.EXPANDED, "2.0.0")),
    "among others": (
        [status("delivered", "2.0.0", to="z@x.example"), status("failed", "5.0.0", to="AB@X.example")],
        Bounce(Kind.FAILED, "5.0.0"),
    ),
    "by the original recipient": (
        [status("delivered", "2.0.0", to="z@x.example"), status("failed", "5.0.0", to="y@y.example", orcpt="rfc822;ab@x.example")],
        Bounce(Kind.FAILED, "5.0.0"),
    ),
    "rewritten there": ([status("failed", "5.0.0", to="root@inner")], Bounce(Kind.FAILED, "5.0.0")),
    "about nobody": ([], Bounce(Kind.UNRECOGNIZED, "it names no recipient")),
    "not over lines": ([status("failed", "5.0.0", "550 a\r\n b")], Bounce(Kind.FAILED, "550 a b", True)),
}  # fmt: skip


@pytest.mark.parametrize("statuses, want", CASES.values(), ids=CASES)
def test_meaning(statuses: list[RecipientStatus], want: Bounce) -> None:
    """RFC 3464 2.3.3"""
    assert meaning(Report(tuple(statuses)), SENT) == want


def test_no_report() -> None:
    assert meaning(None, SENT).kind is Kind.UNRECOGNIZED


def notice(text: str) -> dsn.Report | None:
    data = (
        "From: mailer@x.example\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.x.example\r\n\r\n"
        f"{text}\r\n--b--\r\n"
    ).encode()
    content = Content.of(data)
    return dsn.parse(parse(content), content)


NOBODY = "Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 nobody\r\n"


@pytest.mark.parametrize("suppress", [False, True])
def test_a_bounce_is_matched_told_and_counts(tmp_path: Path, suppress: bool) -> None:
    world = World(tmp_path, always(OK), suppress=suppress)

    async def life() -> None:
        await world.queue.add(message(1, "a@x.example", sender="you+id1@here.example", fromid="id1"))
        await world.run(5)
        world.events.clear()
        assert await world.queue.bounced("you", "id2", notice(NOBODY)) is None
        assert await world.queue.bounced("other", "id1", notice(NOBODY)) is None
        found = await world.queue.bounced("you", "id1", notice(NOBODY))
        assert found == Bounce(Kind.FAILED, "550 5.1.1 nobody", True)

    run_virtual(life())
    (event,) = world.events
    assert (event.kind, event.recipient, event.fromid, event.text) == (
        Kind.FAILED,
        "a@x.example",
        "id1",
        "550 5.1.1 nobody",
    )
    assert world.states() == [("a@x.example", "failed")]
    assert [row["outcome"] for row in world.rows.attempts(1)] == ["delivered", "notice: failed"]
    assert (world.rows.suppression("you", "a@x.example") is not None) == suppress
    world.close()


def test_a_forged_success_undoes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, always(NO), suppress=True)

    async def life() -> None:
        await world.queue.add(message(1, "a@x.example", sender="", fromid="id1", arrived=START))
        await world.run(5)
        await world.queue.bounced("you", "id1", notice(NOBODY.replace("failed", "delivered")))

    run_virtual(life())
    assert world.states() == [("a@x.example", "failed")]
    assert world.rows.suppression("you", "a@x.example") is not None
    world.close()
