"""Below which names do people register their own?"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kit.suites import counted, suite
from mox_dns import Domain, DomainSyntaxError
from mox_dns.publicsuffix import SuffixList, organizational, suffix


def test_the_packaged_list() -> None:
    """RFC 7489 3.2."""
    assert organizational(Domain("a.b.example.co.uk")) == Domain("example.co.uk")
    assert suffix(Domain("a.b.example.co.uk")) == Domain("co.uk")
    assert organizational(Domain("co.uk")) is None
    assert organizational(Domain("a.unheard-of")) == Domain("a.unheard-of")
    assert suffix(Domain("unheard-of")) == Domain("unheard-of")
    assert organizational(Domain.parse("www.食狮.公司.cn")) == Domain.parse("食狮.公司.cn")


def test_another_list() -> None:
    own = SuffixList(["example", "*.wild.example", "!not.wild.example"])
    assert own.organizational(Domain("a.b.wild.example")) == Domain("a.b.wild.example")
    assert own.organizational(Domain("a.not.wild.example")) == Domain("not.wild.example")
    assert own.suffix(Domain("a.b.wild.example")) == Domain("b.wild.example")


def test_read_only_when_asked() -> None:
    program = "import sys, mox_dns, mox_dns.publicsuffix; print([m for m in sys.modules if m[:4] in ('dns.', 'publ')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "neither the list nor dnspython"


CHECK = re.compile(r"^checkPublicSuffix\((?:'([^']*)'|null), (?:'([^']*)'|null)\);")


def psl_cases() -> Iterator[tuple[str, str | None]]:
    for line in (suite("psl") / "test_psl.part.txt").read_text(encoding="utf-8").splitlines():
        if match := CHECK.match(line):
            yield match[1] or "", match[2]


def found(list_: SuffixList, text: str) -> str | None:
    try:
        name = list_.organizational(Domain.parse(text))
    except DomainSyntaxError:
        return None
    return None if name is None else name.ascii


@pytest.mark.parametrize("which", ["packaged", "the suite's"])
def test_the_lists_own_cases(which: str) -> None:
    if which == "packaged":
        list_ = SuffixList()
    else:
        list_ = SuffixList((suite("psl") / "public_suffix_list.dat").read_text(encoding="utf-8").splitlines())
    cases = list(psl_cases())
    assert len(cases) > 30
    counted("psl", len(cases))
    for text, wanted in cases:
        assert found(list_, text) == (None if wanted is None else Domain.parse(wanted).ascii), text
