"""Names, literals, tag lists, zone files and resolv.conf from hostile octets: only declared errors, and what is taken
is the same after writing.

python fuzz/dns_names.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dns import Domain, DomainSyntaxError, IpLiteral, Question, TagList, TagListSyntaxError, Zone, ZoneSyntaxError
from mox_dns.publicsuffix import organizational, suffix
from mox_dns.servers import SystemServers


def fuzz(data: bytes) -> None:
    """One input."""
    text = data.decode("utf-8", "replace")
    names(text)
    literals(text)
    tags(text)
    zones(text)
    SystemServers.parse(text)


def names(text: str) -> None:
    """A domain is the same in both forms, and has a suffix."""
    try:
        name = Domain.parse(text)
    except DomainSyntaxError as error:
        place = error.at
    else:
        place = 0
        assert Domain.parse(name.ascii) == Domain.parse(name.unicode) == name
        assert name.within(suffix(name))
        above = organizational(name)
        assert above is None or name.within(above)
    assert 0 <= place <= len(text)


def literals(text: str) -> None:
    """A literal is the same when written."""
    try:
        literal = IpLiteral.parse(text)
    except DomainSyntaxError:
        return
    assert IpLiteral.parse(str(literal)) == literal


def tags(text: str) -> None:
    """Tags stand where they say."""
    listed = TagList.parse(text, strict=False)
    for tag in listed.tags:
        assert text[tag.at :].startswith(tag.name)
        assert text[tag.value_at :].startswith(tag.value)
    try:
        strict = TagList.parse(text)
    except TagListSyntaxError as error:
        place = error.at
    else:
        place = 0
        assert strict.tags == listed.tags
    assert 0 <= place <= len(text)


def zones(text: str) -> None:
    """A zone answers."""
    try:
        zone = Zone.parse(text)
    except ZoneSyntaxError as error:
        line = error.line
    else:
        line = 1
        for type in ("A", "TXT", "MX"):
            str(zone.ask(Question("a.example", type)))
    assert 1 <= line <= text.count("\n") + 1


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
