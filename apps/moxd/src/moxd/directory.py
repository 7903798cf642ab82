"""Address -> whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mox_dns
from moxd.config import Domains
from moxd.config.check import canonical

INBOX = "Inbox"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where mail to an address goes.  `detail` is what stood behind the separator."""

    account: str
    mailbox: str = INBOX
    detail: str = ""


class Directory:
    """The addresses of a configuration, looked up in constant time.  Immutable: a reload makes a new one."""

    def __init__(self, domains: Domains, postmaster: str | None, hostname: str) -> None:
        self._domains = domains
        self._postmaster = postmaster
        self._hostname = hostname
        self._exact: dict[str, str] = {}
        for name, account in domains.accounts.items():
            for address in account.addresses:
                self._exact[canonical(address, domains)] = name

    def serves(self, domain: str) -> bool:
        """Do we take mail for this domain (A-form)?"""
        return domain in self._domains.domains

    def find(self, localpart: str, domain: str) -> Recipient | None:
        """Who gets mail to localpart@domain (domain in A-form); None: nobody."""
        # RFC 5321 4.5.1: postmaster must be reachable at every domain, in any case of letters.
        if localpart.lower() == "postmaster" and (domain in ("", self._hostname) or domain in self._domains.domains):
            owner = self._exact.get(f"postmaster@{domain}") or self._postmaster
            return Recipient(owner) if owner else None
        settings = self._domains.domains.get(domain)
        if settings is None:
            return None
        if not settings.case_sensitive:
            localpart = localpart.lower()
        if owner := self._exact.get(f"{localpart}@{domain}"):
            return Recipient(owner)
        if settings.separator and settings.separator in localpart:
            base, _, detail = localpart.partition(settings.separator)
            if owner := self._exact.get(f"{base}@{domain}"):
                return Recipient(owner, detail=detail)
        owner = self._exact.get(f"@{domain}")
        return Recipient(owner) if owner else None

    def login(self, name: str) -> str | None:
        """The account behind a login name: any of its addresses, or the account's own name."""
        localpart, at, domain = name.rpartition("@")
        if not at:
            return name if name in self._domains.accounts else None
        try:
            found = self.find(localpart, mox_dns.Domain.parse(domain).ascii)
        except mox_dns.DomainSyntaxError:
            return None
        return found.account if found else None

    def may_send_as(self, account: str, localpart: str, domain: str) -> bool:
        """What an account may receive it may send."""
        found = self.find(localpart, domain)
        return found is not None and found.account == account

    @property
    def accounts(self) -> Mapping[str, object]:
        """The accounts by name."""
        return self._domains.accounts
