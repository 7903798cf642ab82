"""What people mark is learned, and what was learned decides: from a client's MOVE to the next delivery's record."""

from __future__ import annotations

import json
import shutil

import pytest

from kit.server import Moxd
from kit.world import mailbox, until
from whole.conftest import Start
from whole.test_serve import send

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(120)]

WANTED = "From: a@sender.test\r\nSubject: minutes of the meeting {}\r\n\r\nagenda budget kitchen garden\r\n"
JUNK = "From: a@sender.test\r\nSubject: cheap pills {}\r\n\r\nviagra casino winner lottery\r\n"


def learned(server: Moxd) -> dict[str, object]:
    shown = server.command("junk", "show", "you", "--json")
    assert shown.returncode == 0, shown.stderr
    found: dict[str, object] = json.loads(shown.stdout)
    return found


def test_marks_are_learned_and_words_decide(start: Start) -> None:
    server = start(workers=2)
    with mailbox(server) as imap:
        for number in range(52):
            assert imap.append("Inbox", "", None, WANTED.format(number).encode())[0] == "OK"
        for number in range(4):
            assert imap.append("Inbox", "", None, JUNK.format(number).encode())[0] == "OK"
        imap.select("Inbox")
        assert imap.uid("MOVE", "1:52", "Archive")[0] == "OK"
        assert imap.uid("MOVE", "53:56", "Junk")[0] == "OK"
        imap.select("Archive")
        assert b"$notjunk" in imap.uid("FETCH", "1", "(FLAGS)")[1][0].lower()
        imap.select("Junk")
        assert b"$junk" in imap.uid("FETCH", "1", "(FLAGS)")[1][0].lower()
    until(lambda: (learned(server)["wanted"], learned(server)["junk"]) == (52, 4), 20)

    code, reply = send(server, JUNK.format("again"))
    assert code == 250
    explained = server.command("message", "explain", reply.split()[-1], "--json")
    record = json.loads(explained.stdout)
    assert (record["kind"], record["outcome"]) == ("junk", "delivered to you, Junk")
    (step,) = (step for step in record["steps"] if step["what"] == "words")
    assert step["outcome"] == "junk"
    assert step["numbers"]["probability"] > 0.95
    assert {"viagra", "casino"} & {word for word, *_ in step["numbers"]["words"]}
    code, reply = send(server, WANTED.format("again"))
    assert "Inbox" in server.command("message", "explain", reply.split()[-1]).stdout

    # Its own verdict taught the filter nothing; the owner's change of mind does.
    assert learned(server)["junk"] == 4
    with mailbox(server) as imap:
        imap.select("Junk")
        assert imap.uid("STORE", "1", "-FLAGS", "($Junk)")[0] == "OK"
    until(lambda: (learned(server)["wanted"], learned(server)["junk"]) == (52, 3), 20)

    # A table that is lost is made again from the marks.
    shutil.rmtree(server.folder / "data" / "junk")
    retrained = server.command("junk", "retrain", "you", "--json")
    assert json.loads(retrained.stdout) == {"account": "you", "learned": 55}, retrained.stderr
    assert (learned(server)["wanted"], learned(server)["junk"]) == (52, 3)
    message = server.folder / "message.eml"
    message.write_text(JUNK.format("once more"))
    said = server.command("junk", "classify", "you", str(message))
    assert (said.returncode, said.stdout[:21]) == (1, "junk with probability")


def test_an_account_that_is_not_there(start: Start) -> None:
    server = start(workers=1)
    for command in (("show", "nobody"), ("classify", "nobody", "/dev/null"), ("retrain", "nobody")):
        found = server.command("junk", *command)
        assert found.returncode == 74
        assert found.stderr == "moxd: there is no account 'nobody'; there is: other, you\n"
