"""A mailbox of one account in the hands of another: two workers, imaplib, the command line."""

from __future__ import annotations

import json

import pytest

from kit.server import Moxd
from kit.world import mailbox, until
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(120)]

TEAM = '"Other Users/you/Team"'
MESSAGE = b"From: a@sender.test\r\nSubject: plan\r\n\r\nwhat we do next\r\n"


def other(server: Moxd) -> str:
    return f"other@{server.domain}"


def test_what_is_shared_on_the_command_line(start: Start) -> None:
    server = start(workers=2)
    with mailbox(server) as imap:
        imap.create("Team")
        imap.append("Team", "", None, MESSAGE)
    said = server.command("account", "share", "you", "Team", other(server), "write")
    assert (said.returncode, said.stdout) == (0, "other may do lrswite there, and sees it as Other Users/you/Team\n")

    # Several sessions of both, so that they are on both workers: each sees what the others do.
    yours = [mailbox(server, "Team") for _ in range(4)]
    theirs = [mailbox(server, "Other Users/you/Team", other(server)) for _ in range(4)]
    assert any(b"Team" in line for line in theirs[0].list()[1] if isinstance(line, bytes))
    assert theirs[0].uid("FETCH", "1", "(BODY.PEEK[TEXT])")[1][0][1] == b"what we do next\r\n"  # type: ignore[index]
    for number, imap in enumerate(theirs, 2):
        assert imap.append(TEAM, "(\\Flagged)", None, MESSAGE)[0] == "OK"
        for one in [*yours, *theirs]:
            until(lambda one=one, number=number: one.noop() and one.select(one_name(one, yours))[1] == [b"%d" % number])
    assert theirs[1].store("1:*", "+FLAGS", "\\Deleted")[0] == "OK"
    assert theirs[2].expunge()[0] == "OK"
    for one in [*yours, *theirs]:
        until(lambda one=one: one.noop() and one.select(one_name(one, yours))[1] == [b"0"])

    rows = server.command("account", "shares", "other", "--json").stdout.splitlines()
    assert list(map(json.loads, rows)) == [{"mailbox": "Other Users/you/Team", "who": "other", "rights": "lrswite"}]
    assert server.command("account", "shares", "you").stdout == "Team\tother\tlrswite\n"
    assert server.command("account", "unshare", "you", "Team", "other").returncode == 0
    until(lambda: theirs[3].select(TEAM)[0] == "NO")
    assert server.command("account", "shares", "other").stdout == ""
    for one in [*yours, *theirs]:
        one.logout()


def one_name(imap: object, yours: list[object]) -> str:
    return "Team" if imap in yours else TEAM


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("you", "Nothing", "other", "read"), "has no mailbox 'Nothing'; there is: "),
        (("you", "Inbox", "who", "read"), "'who' is nobody to share with; there is: other, or anyone"),
        (("you", "Inbox", "you", "read"), "'you' is nobody to share with"),
        (("you", "Inbox", "other", "nonsense"), "'nonsense' are no rights: read, write, all, or letters of lrs"),
        (("who", "Inbox", "other", "read"), "there is no account 'who' in domains.toml; there is: you, other"),
    ],
)
def test_what_is_wrong_is_said(server: Moxd, arguments: tuple[str, ...], said: str) -> None:
    done = server.command("account", "share", *arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
