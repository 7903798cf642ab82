"""Zone files, RFC 1035 5."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns import Mx, Question, Status, Zone, ZoneSyntaxError
from mox_dns.zonefile import MAX_TTL, entries

TEXT = """\
$ORIGIN example.org.
$TTL 1h30m
@       IN SOA  ns hostmaster ( 1       ; serial
                3600 600 86400 60 )
        IN NS   ns
        MX      10 mail
        MX      20 mail.example.net.
mail    300     A       192.0.2.1
                AAAA    2001:db8::1
$ORIGIN sub
@       TXT     "here"
deep.er IN 7 A  192.0.2.7
$ORIGIN example.org.
*.dyn   A       192.0.2.2
*.dyn   TXT     "any"
here.dyn TXT    "only this"
*.slow  TIMEOUT
bad.dyn TXT SERVFAIL
key     TXT     ( "v=DKIM1; "
                  "p=abc" )    ; joined
octets  TXT     "\\255\\000\\"("
alias   CNAME   mail
other.example.  A 192.0.2.9
slow    TIMEOUT
part    TXT SERVFAIL
part    A       192.0.2.3
"""

CASES: dict[str, tuple[str, str, Status, tuple[object, ...] | None, int]] = {
    "the origin": ("example.org", "MX", Status.OK, (Mx(10, "mail.example.org"), Mx(20, "mail.example.net")), 5400),
    "a name below it": ("mail.example.org", "A", Status.OK, None, 300),
    "without a name: as before": ("mail.example.org", "AAAA", Status.OK, None, 5400),
    "an origin below another": ("sub.example.org", "TXT", Status.OK, (b"here",), 5400),
    "a TTL behind the class": ("deep.er.sub.example.org", "A", Status.OK, None, 7),
    "a wildcard, RFC 4592 3.3.1": ("a.b.dyn.example.org", "TXT", Status.OK, (b"any",), 5400),
    "not for what is there": ("here.dyn.example.org", "A", Status.NODATA, (), 300),
    "nor below it": ("x.here.dyn.example.org", "TXT", Status.NXDOMAIN, (), 300),
    "nor for the name above": ("dyn.example.org", "TXT", Status.NODATA, (), 300),
    "nor another type": ("x.dyn.example.org", "MX", Status.NODATA, (), 300),
    "a wildcard that fails": ("x.slow.example.org", "A", Status.TIMEOUT, (), 0),
    "nor for what fails": ("bad.dyn.example.org", "TXT", Status.SERVFAIL, (), 0),
    "and has nothing else": ("bad.dyn.example.org", "A", Status.NXDOMAIN, (), 300),
    "brackets": ("key.example.org", "TXT", Status.OK, (b"v=DKIM1; p=abc",), 5400),
    "escapes": ("octets.example.org", "TXT", Status.OK, (b'\xff\0"(',), 5400),
    "an alias": ("alias.example.org", "A", Status.OK, None, 300),
    "a whole name": ("other.example", "A", Status.OK, None, 5400),
    "a failure": ("slow.example.org", "MX", Status.TIMEOUT, (), 0),
    "of one type": ("part.example.org", "TXT", Status.SERVFAIL, (), 0),
    "and not of another": ("part.example.org", "A", Status.OK, None, 5400),
}


@pytest.mark.parametrize("name, type, status, records, ttl", CASES.values(), ids=CASES)
def test_a_zone(name: str, type: str, status: Status, records: tuple[object, ...] | None, ttl: int) -> None:
    answer = Zone.parse(TEXT).ask(Question(name, type))
    assert (answer.status, answer.ttl) == (status, ttl), answer
    if records is not None:
        assert answer.records == records


def test_entries() -> None:
    soa, *_ = entries(TEXT)
    assert soa.value == "ns.example.org. hostmaster.example.org. 1 3600 600 86400 60"
    (entry,) = entries("a.example 9999999999w A 192.0.2.1\n")
    assert entry.ttl == MAX_TTL
    (entry,) = entries('. TXT "TIMEOUT"\n')
    assert (entry.name, entry.value, entry.failure) == (".", b"TIMEOUT", False)
    assert [e.name for e in entries("$ORIGIN .\na A 192.0.2.1\n@ NS a\n")] == ["a.", "."]


BAD = {
    "no name before": ("  A 192.0.2.1\n", 1),
    "an origin without a name": ("\n$ORIGIN\n", 2),
    "no TTL": ("$TTL soon\n", 1),
    "files of others": ("$INCLUDE /etc/passwd\n", 1),
    "a bracket open": ("a.example TXT ( x\ny\n", 1),
    "a bracket too many": ("a.example A 192.0.2.1 )\n", 1),
    "no octet": ('a.example TXT "\\256"\n', 1),
    "a backslash at the end": ("a.example TXT a\\\n", 1),
    "a bracket that goes on": ("a.example TXT (\n" + "x\n" * 2000 + ")\n", 1),
}


@pytest.mark.parametrize("text, line", BAD.values(), ids=BAD)
def test_mistakes(text: str, line: int) -> None:
    with pytest.raises(ZoneSyntaxError) as caught:
        Zone.parse(text)
    assert caught.value.line == line


@given(st.text(max_size=80) | st.text('a.1 TXMAP";\\\n()@$\t', max_size=80))
def test_any_text(text: str) -> None:
    for whole in (text, "$ORIGIN a.example.\nx TXT y\n" + text):
        try:
            made = list(entries(whole))
        except ZoneSyntaxError as error:
            place = error.line
        else:
            place = max([1, *[entry.line for entry in made]])
        assert 1 <= place <= whole.count("\n") + 1


@pytest.mark.parametrize(
    "text", ["a TXT " + '"x" ' * 50_000, 'a TXT "' + "\\0" * 99_000, "a " * 90_000, "a " + "1" * 99_000, "(" * 99_000]
)
def test_linear(text: str) -> None:
    start = time.process_time()
    try:
        list(entries(text))
    except ZoneSyntaxError as error:
        str(error)
    assert time.process_time() - start < 1
