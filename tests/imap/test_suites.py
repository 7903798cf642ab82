"""ImapTest's scripts and James' transcripts, on the session core with the backend in memory."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from kit import imaptest_script, james_script
from kit.imap_rooms import Room
from kit.play_imap import Client
from kit.suites import SUITES, counted, deviates, suite
from mox_imap import ImapServer

IMAPTEST = sorted(path.name for path in (SUITES / "imap-imaptest").glob("*") if "." not in path.name)
# Commands whose replies are not judged, and why.
UNJUDGED = {
    # the script appends 7 octets, asks for a size of 7, and shows 6
    "append-binary": {"fetch 1 (binary.size[1] binary.peek[1])"},
}


@pytest.mark.parametrize("name", IMAPTEST)
def test_imaptest_suite(name: str) -> None:
    script = imaptest_script.Script.read(suite("imap-imaptest"), name)
    room = Room()
    announced = set(room.logged_in().ask("a CAPABILITY")[0].upper().split())
    missing = script.capabilities - announced
    if missing:
        pytest.skip(f"not announced: {' '.join(sorted(missing))}")
    room.backend.add("bob", "secret")
    run = imaptest_script.Run(script, room.session, "ann", "secret", sorted(UNJUDGED.get(name, ())), "bob")
    assert run.play() > 0
    assert (run.skipped > 0) == (name in UNJUDGED)


# Where we choose otherwise than James, by the first line that it says; "" is a whole script.
OTHERWISE: dict[str, dict[str, str]] = {
    "Metadata": {
        "g2 GETMETADATA": "RFC 9051 4.3: what has line ends is a literal",
        "g19 GETMETADATA": "RFC 5464 4.2.1: MAXSIZE is a number, and 0 is one",
        "m06 GETMETADATA": "RFC 5464 4.2: TRYCREATE is for COPY and APPEND; the code is NONEXISTENT",
        "m08 GETMETADATA": "RFC 5464 5: a METADATA response has entries; there are none",
    },
    "Replace": {
        "f1 UID FETCH": "RFC 9051 7.5.2: items come in our order, UID first",
        "f2 UID FETCH": "RFC 9051 7.5.2: items come in our order, UID first",
        "f3 UID FETCH": "RFC 9051 7.5.2: items come in our order, UID first",
    },
    "XList": {"": "XLIST is Gmail's; special uses are given at CREATE, not by name"},
    "Create": {
        '20 CREATE "one&AC4-two"': "RFC 3501 5.1.3: printable ASCII must not be shifted",
        '21 LIST "" one*': "it was not created",
        "a12 DELETE one.two": "it was not created",
        "a12 DELETE one": "it was not created",
    },
    "ListNamespace": {
        'e2 LIST "#private" ""': "there are no namespaces",
        'e3 LIST "#private.someone" ""': "there are no namespaces",
    },
    "Namespace": {"A001 NAMESPACE": "there are no namespaces of other users"},
    "ListSubscribed": {
        'A08 LIST "" "*" RETURN (SUBSCRIBED)': "a new mailbox is subscribed",
        'A24 LIST (RECURSIVEMATCH SUBSCRIBED) "" "*1"': "a new mailbox is subscribed",
    },
    "Subscribe": {'b01 LSUB "" "%"    ': "a new mailbox is subscribed"},
    "Status": {},
    "Delete": {"14 DELETE deletetest1": "what has children is not deleted"},
    "ConcurrentExistsResponse": {
        "3b STORE 1 +FLAGS.SILENT (\\Flagged)": "RFC 9051 2.3.1.2: a number that this client has not been told of is BAD",
        "4b CREATE another": "so the flag was not set",
    },
    "FetchSimpleBodyStructure": {"A7 FETCH 1:* ()": "RFC 9051 9: a list of items has one at least"},
    "FetchMultipartBodyStructure": {
        "A6 FETCH 1:* ()": "RFC 9051 9: a list of items has one at least",
        "A27 FETCH 1:* (BODY BODYSTRUCTURE)": "parameters stand in the sender's order; a location as it is written",
    },
    "FetchStructureComplex": {
        "A10 FETCH 1:* ()": "RFC 9051 9: a list of items has one at least",
        "A131 FETCH 1:* (BODY BODYSTRUCTURE)": "parameters stand in the sender's order",
    },
    "ListWithPercentWildcardInMailboxName": {"": "no names with wildcards"},
    "CreateErrorWithLongName": {"A1 CREATE 123456789x": "names of up to 1000 octets"},
    "MoveNoMSG": {"a4 UID MOVE 1 selected": "RFC 9051 6.4.9: a UID that is not there is no error"},
    "SearchAtoms": {"A48 SEARCH BODY the": "what stands before the first part is not shown, and not searched"},
    "SearchOptionSave": {"c SEARCH RETURN (SAVE) FLAGGED": "RFC 9051 6.4.4: with SAVE alone nothing is told"},
}


@cache
def plan() -> dict[str, dict[str, str]]:
    path = SUITES / "imap-james" / "plan.json"
    found: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    return found


@pytest.mark.parametrize("name", sorted(plan()))
def test_james_suite(name: str) -> None:
    folder: Path = suite("imap-james")
    entry, otherwise = plan()[name], OTHERWISE.get(name, {})
    if "" in otherwise:
        deviates("imap-james")
        return
    if otherwise:
        deviates("imap-james")
    else:
        counted("imap-james")
    room = Room(modseqs=name != "CondstoreDisable")
    room.backend.add("imapuser", "password")
    run = james_script.Run(room.session)
    if entry["state"].startswith("greeting"):
        run.clients[1] = fresh(room)
        login = None
    else:
        login = "login LOGIN imapuser password"
    if entry["state"].startswith("selected"):
        run.play(folder / "SelectedStateSetup.test", login)
    run.play(folder / entry["script"], login)
    unknown = [(said, why) for said, why in run.failures if not any(said.startswith(one) for one in otherwise)]
    assert not unknown, unknown
    failed = {said for said, _ in run.failures}
    assert all(any(said.startswith(one) for said in failed) for one in otherwise), "fewer deviations than are noted"


def fresh(room: Room) -> Client:
    """A connection whose greeting is still to be read."""
    return Client(ImapServer(room.config, room.backend, now=0.0))
