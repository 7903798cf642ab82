"""Who signed this message?  DKIM, RFC 6376, with RFC 8301, 8463 and 8616.

    signature.py   the DKIM-Signature field, both ways
    record.py      the key record in DNS, both ways
    key.py         private and public keys
    canonical.py   simple and relaxed: what is hashed
    sign.py        message and key -> field
    verify.py      message -> one Lookup a signature, the body hashed once
    policy.py      which signatures count
    arc.py         the chain of those who passed it on: verify and seal (RFC 8617)
    aio.py         verify with a resolver, waiting or blocking

Not here: what a signature is worth.  Whether its domain is the author's, DMARC says; whether it is welcome, history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox_dkim.aio import settle, settle_sync, verify, verify_chain, verify_chain_sync, verify_sync
from mox_dkim.canonical import Form
from mox_dkim.key import KeyType, PrivateKey, PublicKey, SigningKey, UnusableKey, generate, load_key
from mox_dkim.policy import BodyLength, Policy
from mox_dkim.record import KeyRecord, KeyRecordSyntaxError
from mox_dkim.sign import CannotSign, Signer, sign
from mox_dkim.signature import Algorithm, Signature, SignatureSyntaxError
from mox_dkim.verify import Result, Status, Verifier, plan_verify

if TYPE_CHECKING:
    from mox_dkim.arc import Chain, ChainStatus, Hop, Sealer, plan_verify_chain

# The chain is most messages' business not at all, so its room is entered when first asked for.
_CHAIN = ("Chain", "ChainStatus", "Hop", "Sealer", "plan_verify_chain")


def __getattr__(name: str) -> object:
    if name not in _CHAIN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mox_dkim import arc

    return getattr(arc, name)


__all__ = [
    "Algorithm",
    "BodyLength",
    "CannotSign",
    "Chain",
    "ChainStatus",
    "Form",
    "Hop",
    "KeyRecord",
    "KeyRecordSyntaxError",
    "KeyType",
    "Policy",
    "PrivateKey",
    "PublicKey",
    "Result",
    "Sealer",
    "Signature",
    "SignatureSyntaxError",
    "Signer",
    "SigningKey",
    "Status",
    "UnusableKey",
    "Verifier",
    "generate",
    "load_key",
    "plan_verify",
    "plan_verify_chain",
    "settle",
    "settle_sync",
    "sign",
    "verify",
    "verify_chain",
    "verify_chain_sync",
    "verify_sync",
]
