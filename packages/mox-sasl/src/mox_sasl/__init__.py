"""Who is this, and how do they prove it?  SASL (RFC 4422) mechanisms without I/O.

    server.py    the server's half: client bytes -> Challenge, CheckPassword, Success, Failure
    client.py    the client's half, and which mechanism to choose
    scram.py     SCRAM-SHA-256 and SCRAM-SHA-1: stored verifiers and the messages of an exchange
    prep.py      passwords before hashing (PRECIS)
    outcome.py   what a step leads to
    secret.py    Secret: shows *** everywhere

Not here: whose password it is, hashing it, whether a login may be tried now; base64 and lines of SMTP and IMAP."""

from mox_sasl.client import ClientMechanism, Credentials, ExchangeError, choose, client
from mox_sasl.outcome import Challenge, CheckPassword, Failure, Outcome, Success
from mox_sasl.prep import PreparationError, prepare_password
from mox_sasl.scram import ScramSyntaxError, ScramVerifier, derive
from mox_sasl.secret import Secret
from mox_sasl.server import MECHANISMS, Mechanism, Verifier, server

__all__ = [
    "MECHANISMS",
    "Challenge",
    "CheckPassword",
    "ClientMechanism",
    "Credentials",
    "ExchangeError",
    "Failure",
    "Mechanism",
    "Outcome",
    "PreparationError",
    "ScramSyntaxError",
    "ScramVerifier",
    "Secret",
    "Success",
    "Verifier",
    "choose",
    "client",
    "derive",
    "prepare_password",
    "server",
]
