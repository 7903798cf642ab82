"""Below which names do people register their own?  The public suffix list, and RFC 7489's organizational domain.

The list comes with the package publicsuffixlist and is read at the first question, which takes about 50 ms."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from mox_dns.domain import Domain


class SuffixList:
    """A public suffix list: the packaged one, or the lines of another."""

    def __init__(self, lines: Iterable[str] | None = None) -> None:
        from publicsuffixlist import PublicSuffixList

        self._list = PublicSuffixList(None if lines is None else list(lines))

    def suffix(self, domain: Domain) -> Domain:
        """The public suffix of a name: `co.uk` of `a.example.co.uk`; the top level where no rule says otherwise."""
        found = self._list.publicsuffix(domain.ascii)
        return Domain(found) if found else Domain(domain.labels[-1])

    def organizational(self, domain: Domain) -> Domain | None:
        """The public suffix and one label more (RFC 7489 3.2); None for a name that is itself a public suffix."""
        found = self._list.privatesuffix(domain.ascii)
        return Domain(found) if found else None


@lru_cache(maxsize=1)
def packaged() -> SuffixList:
    """The list that comes with publicsuffixlist, read once."""
    return SuffixList()


@lru_cache(maxsize=4096)
def organizational(domain: Domain) -> Domain | None:
    """As SuffixList.organizational, by the packaged list."""
    return packaged().organizational(domain)


@lru_cache(maxsize=4096)
def suffix(domain: Domain) -> Domain:
    """As SuffixList.suffix, by the packaged list."""
    return packaged().suffix(domain)
