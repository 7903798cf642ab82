"""Which signatures count: key sizes, algorithms, the l= tag, what must be signed, how many are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mox_dns import Domain


class BodyLength(StrEnum):
    """What to make of an l= tag, which signs the beginning of a body only (RFC 6376 3.4.5, 8.2)."""

    REFUSE = "refuse"  # a signature that carries l= does not count
    WHOLE = "whole"  # it counts if the whole body was signed all the same
    ACCEPT = "accept"  # it counts, with a warning; anything may have been added behind the signed part


@dataclass(frozen=True, slots=True)
class Policy:
    """A verifier's demands.  The defaults are the RFCs', and no text added behind an l=.

    A signature that is sound but does not meet them ends as `policy` or, where an RFC says that verifiers must not
    accept it, as `permerror`; never silently."""

    min_rsa_bits: int = 1024  # RFC 8301 3.2: less MUST NOT be considered valid
    allow_sha1: bool = False  # RFC 8301 3.1: rsa-sha1 has permanently failed
    body_length: BodyLength = BodyLength.WHOLE
    required: tuple[str, ...] = ("from",)  # lower-case names that h= must list; RFC 6376 5.4: From always
    refused_domain: Callable[[Domain], bool] | None = None  # such as "is it a public suffix?"
    max_signatures: int = 10  # from the top; more cost a DNS question and a key each
    max_key_records: int = 3  # RFC 6376 6.1.2 lets a verifier cycle through several records of one selector
    max_signed_fields: int = 500  # entries of one h=
    clock_skew: int = 300  # seconds by which a signer's clock may be ahead of ours before a t= draws a warning

    def __post_init__(self) -> None:
        if self.max_signatures < 1 or self.max_key_records < 1:
            raise ValueError("at least one signature and one key record must be looked at")
        if any(name != name.lower() for name in self.required):
            raise ValueError("required: header field names in lower case")

    @classmethod
    def strict(cls) -> Policy:
        """What a cautious receiver asks: no l= at all, and a signed Subject."""
        return cls(body_length=BodyLength.REFUSE, required=("from", "subject"))


DEFAULT = Policy()
