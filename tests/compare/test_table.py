"""The table of explained disagreements, and the name server that peers ask."""

from __future__ import annotations

import random
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from compare import made_spf, table
from compare.cases import Case
from compare.nameserver import NameServer
from compare.ours import Said
from compare.peers import PEERS

TABLE = Path(__file__).with_name("explained.toml")
CASE = Case("spf", "spf-made/1", {"a.example TXT": ["v=spf1 -all"]}, {"ip": "192.0.2.1", "mail_from": "", "helo": "h"})


def test_every_rule_is_of_a_peer() -> None:
    rules = table.read(TABLE)
    assert {rule.peer for rule in rules} <= set(PEERS)


@pytest.mark.parametrize(
    "text, why",
    {
        "no RFC": ('peer = "pyspf"\nsaid = "x"\nwhy = "because"', "no RFC"),
        "explains everything": ('peer = "pyspf"\ncases = "spf-made/*"\nwhy = "RFC 7208 4"', "whatever"),
        "a key that is none": ('peer = "pyspf"\nsaid = "x"\nverdict = "y"\nwhy = "RFC 7208 4"', "unknown verdict"),
    }.values(),
    ids=["no RFC", "explains everything", "a key that is none"],
)
def test_rules_that_are_none(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "t.toml").write_text(f"[[explained]]\n{text}\n")
    with pytest.raises(ValueError, match=why):
        table.read(tmp_path / "t.toml")


RULE = table.Rule(
    0,
    "pyspf",
    "RFC 7208 4",
    cases="spf-made/*",
    ours="fail|none",
    theirs="pass",
    because="all",
    said="^no",
    records="-all",
)


@pytest.mark.parametrize(
    "peer, mine, theirs, holds",
    [
        ("pyspf", Said("fail", "-all"), Said("pass", "no idea"), True),
        ("pyspf", Said("none", "all"), Said("pass", "no idea"), True),
        ("dkimpy", Said("fail", "-all"), Said("pass", "no idea"), False),
        ("pyspf", Said("pass", "-all"), Said("pass", "no idea"), False),
        ("pyspf", Said("fail", "-all"), Said("fail", "no idea"), False),
        ("pyspf", Said("fail", "mx"), Said("pass", "no idea"), False),
        ("pyspf", Said("fail", "-all"), Said("pass", "an idea, no"), False),
    ],
)
def test_a_rule_holds_when_all_of_it_does(peer: str, mine: Said, theirs: Said, holds: bool) -> None:
    assert RULE.holds(peer, CASE, mine, theirs) is holds
    assert (table.explain([RULE], peer, CASE, mine, theirs) is RULE) is holds


def test_made_cases_are_the_same_in_every_run() -> None:
    first, second = (list(made_spf.cases(random.Random(7))) for _ in range(2))
    assert first == second
    assert len(first) == made_spf.COUNT


def test_the_name_server() -> None:
    server = NameServer()
    long = "x" * 700
    server.serve({"a.example TXT": ["v=spf1 -all"], "long.example TXT": [long], "f.example": "SERVFAIL"})

    def ask(name: str, kind: str = "TXT") -> dns.message.Message:
        query = dns.message.make_query(name, kind, use_edns=False)
        return dns.query.udp_with_fallback(query, "127.0.0.1", port=server.port, timeout=5)[0]

    assert ask("a.example").answer[0][0].strings == (b"v=spf1 -all",)
    assert b"".join(ask("long.example").answer[0][0].strings) == long.encode(), "by TCP"
    assert ask("a.example", "A").rcode() == dns.rcode.NOERROR
    assert ask("b.example").rcode() == dns.rcode.NXDOMAIN
    assert ask("f.example").rcode() == dns.rcode.SERVFAIL
    server.close()
