"""SCRAM to the letter: the RFCs' own examples, stored verifiers, messages both ways.

RFC 5802 3, 5, 6 and 7; RFC 5803; RFC 7677 3 and 4."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mox_sasl
from mox_sasl import Challenge, Credentials, ScramSyntaxError, ScramVerifier, Secret, Success
from mox_sasl.scram import ClientFinal, ClientFirst, ServerFinal, ServerFirst, _decode

# RFC 5802 5 and RFC 7677 3.
EXAMPLES = {
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}  # fmt: skip


class One:
    """mox_sasl.Verifier"""

    def __init__(self, verifier: ScramVerifier, nonce: str) -> None:
        self._verifier, self._nonce = verifier, nonce

    def scram(self, name: str) -> ScramVerifier | None:
        return self._verifier if name == "user" else None

    def nonce(self) -> str:
        return self._nonce

    def secret(self) -> bytes:
        return b"s" * 32


@pytest.mark.parametrize("mechanism, example", EXAMPLES.items())
def test_the_examples_of_the_rfcs(mechanism: str, example: tuple[str, str, str, str, str]) -> None:
    mine, theirs, salt, proof, signature = example
    client = mox_sasl.client(mechanism, Credentials("user", Secret("pencil")), mine)
    server = mox_sasl.server(mechanism, One(mox_sasl.derive(mechanism, "pencil", _decode(salt)), theirs))
    first = client.start()
    assert first == f"n,,n=user,r={mine}".encode()
    answer = server.start(first)
    assert answer == Challenge(f"r={mine}{theirs},s={salt},i=4096".encode())
    final = client.step(f"r={mine}{theirs},s={salt},i=4096".encode())
    assert final == proof.encode()
    assert server.step(final) == Challenge(signature.encode())
    assert client.step(signature.encode()) == b""
    assert server.step(b"") == Success("user")


def test_verifiers_are_written_and_read() -> None:
    for mechanism in EXAMPLES:
        verifier = mox_sasl.derive(mechanism, "pencil", b"salt", 5000)
        assert ScramVerifier.from_text(verifier.to_text()) == verifier
        assert verifier.to_text().startswith(f"{mechanism}$5000:c2FsdA==$")


@pytest.mark.parametrize(
    "text",
    ["", "x", "SCRAM-SHA-256$4096$x:y", "SCRAM-MD5$1:c2FsdA==$eA==:eA==", "SCRAM-SHA-1$0:c2FsdA==$eA==:eA==",
     "SCRAM-SHA-1$4096:c2FsdA==$eA==:eA==", "SCRAM-SHA-1$4096:!$eA==:eA==", "SCRAM-SHA-1$4096:$eA==:eA=="],
)  # fmt: skip
def test_texts_that_are_no_verifier(text: str) -> None:
    with pytest.raises(ScramSyntaxError) as error:
        ScramVerifier.from_text(text)
    assert not error.value.text  # it is a credential


BAD: dict[str, tuple[Any, list[str]]] = {
    "client first": (ClientFirst, [
        "", "n", "n,", "n,,", "n,,n=a", "x,,n=a,r=b", "p=,,n=a,r=b", "n,b=x,n=a,r=b", "n,,m=x,n=a,r=b", "n,,n=a=b,r=c",
        "n,,n=,r=c", "n,,n=a,r=", "n,,n=a,r=b\x7f", "n,,n=a,r=b,", "n,,n=a,r=b,xy", "n,a=,n=a,r=b",
    ]),
    "server first": (ServerFirst, ["", "r=a", "r=a,s=b,i=c", "r=a,s=!,i=1", "r=a,s=eA==,i=0", "m=x,r=a,s=eA==,i=1", "r=a,s=eB==,i=1"]),
    "client final": (ClientFinal, ["", "c=biws", "c=biws,r=a", "c=biws,r=a,p=!", "c=,r=a,p=eA==", "c=biws,r=a,p=", "c=biws,r=a,x,p=eA=="]),
    "server final": (ServerFinal, ["", "v=", "v=!", "e=", "x=y"]),
}  # fmt: skip


@pytest.mark.parametrize("kind, text", [(kind, text) for kind, texts in BAD.values() for text in texts])
def test_messages_that_are_none(kind: Any, text: str) -> None:
    with pytest.raises(ScramSyntaxError):
        kind.parse(text.encode())


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
NONCES = st.text(st.sampled_from("abcXYZ019+/!\"#$%&'()*-.:;<=>?@[]^_`{|}~"), min_size=1, max_size=30)
OCTETS = st.binary(min_size=1, max_size=40)


@given(NAMES, NONCES, st.one_of(st.just(""), NAMES), st.sampled_from(["n", "y", "p=tls-exporter"]))
def test_client_first_is_written_and_read(name: str, nonce: str, authzid: str, binding: str) -> None:
    message = ClientFirst(name, nonce, authzid, binding)
    assert ClientFirst.parse(str(message).encode()) == message


@given(NONCES, OCTETS, st.integers(1, 10**9))
def test_server_first_is_written_and_read(nonce: str, salt: bytes, iterations: int) -> None:
    message = ServerFirst(nonce, salt, iterations)
    assert ServerFirst.parse(str(message).encode()) == message


@given(OCTETS, NONCES, OCTETS)
def test_finals_are_written_and_read(binding: bytes, nonce: str, proof: bytes) -> None:
    message = ClientFinal(binding, nonce, proof)
    assert ClientFinal.parse(str(message).encode()) == message
    assert ServerFinal.parse(str(ServerFinal(proof)).encode()) == ServerFinal(proof)


@given(st.binary(max_size=100))
def test_any_octets(data: bytes) -> None:
    for kind in (ClientFirst, ServerFirst, ClientFinal, ServerFinal):
        try:
            kind.parse(data)
        except ScramSyntaxError:
            continue
