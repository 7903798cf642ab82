"""Who is this, and how do they prove it?  SASL (RFC 4422) without I/O.

    mechanism.py   mechanisms by name
    plain.py       PLAIN, LOGIN, EXTERNAL
    scram.py       SCRAM-SHA-256 and SCRAM-SHA-1, both sides, and what a server keeps of a password
    prep.py        preparing passwords (PRECIS)
    outcome.py     what a step leads to
    secret.py      values that do not show themselves

Not here: where verifiers are kept, hashing of passwords that come in the clear, limits."""

from mox_sasl.mechanism import MECHANISMS, ServerMechanism, server
from mox_sasl.outcome import Challenge, CheckPassword, Failure, Outcome, Success
from mox_sasl.plain import External
from mox_sasl.prep import PreparationError, prepare_password
from mox_sasl.scram import ScramClient, ScramServer, ScramSyntaxError, ScramVerifier, Verifier, derive
from mox_sasl.secret import Secret

__all__ = [
    "MECHANISMS",
    "Challenge",
    "CheckPassword",
    "External",
    "Failure",
    "Outcome",
    "PreparationError",
    "ScramClient",
    "ScramServer",
    "ScramSyntaxError",
    "ScramVerifier",
    "Secret",
    "ServerMechanism",
    "Success",
    "Verifier",
    "derive",
    "prepare_password",
    "server",
]
