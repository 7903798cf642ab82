"""Who is this, and how do they prove it?  SASL (RFC 4422) mechanisms without I/O.

    server.py    the server's half: client bytes -> Challenge, CheckPassword, CheckToken, Success, Failure
    client.py    the client's half, and which mechanism to choose
    scram.py     SCRAM-SHA-256 and SCRAM-SHA-1: stored verifiers and the messages of an exchange
    cram.py      CRAM-MD5; oauth.py: OAUTHBEARER and XOAUTH2
    binding.py   what ties SCRAM-…-PLUS to a TLS connection
    prep.py      names and passwords before hashing and comparing (PRECIS)
    outcome.py   what a step leads to
    secret.py    Secret: shows *** everywhere

Not here: whose password it is, hashing it, asking who made a token, whether a login may be tried now; base64 and the
lines of SMTP and IMAP."""

from mox_sasl.binding import ChannelBinding, offer
from mox_sasl.client import ClientMechanism, Credentials, ExchangeError, choose, client
from mox_sasl.outcome import Challenge, CheckPassword, CheckToken, Failure, Outcome, Success
from mox_sasl.prep import PreparationError, prepare_name, prepare_password
from mox_sasl.scram import ScramSyntaxError, ScramVerifier, derive
from mox_sasl.secret import Secret
from mox_sasl.server import MECHANISMS, Mechanism, Verifier, server

__all__ = [
    "MECHANISMS",
    "Challenge",
    "ChannelBinding",
    "CheckPassword",
    "CheckToken",
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
    "offer",
    "prepare_name",
    "prepare_password",
    "server",
]
