"""Every mechanism, both halves talking to each other; and what neither half lets the other do.

RFC 5802 6 and RFC 9266 4, 4.2 (channel binding); RFC 4422 3.3 (initial responses)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mox_sasl
from mox_sasl import (
    Challenge,
    ChannelBinding,
    CheckPassword,
    CheckToken,
    Credentials,
    ExchangeError,
    Failure,
    ScramVerifier,
    Secret,
    Success,
)
from mox_sasl.binding import EXPORTER, UNIQUE

NAMES = ("ann", "jürgen@exämple.de", "a,b=c")
PASSWORD = "pencil and Bleistift"
SALT = b"0123456789abcdef"
BINDING = ChannelBinding(EXPORTER, b"x" * 32, "TLSv1.3")
OLD_BINDING = ChannelBinding(UNIQUE, b"y" * 12, "TLSv1.2")
NONCE = "fyko+d2lbbFgONRv9qkxdawL"


class Accounts:
    """mox_sasl.Verifier"""

    asked: list[str]

    def __init__(self, names: tuple[str, ...] = NAMES, password: str = PASSWORD, only: str = "") -> None:
        self.asked = []
        self._names = names
        self._password = password
        self._kept = tuple(
            mox_sasl.derive(one, password, SALT) for one in ("SCRAM-SHA-256", "SCRAM-SHA-1") if only in ("", one)
        )

    def scram(self, name: str) -> tuple[ScramVerifier, ...] | None:
        self.asked.append(name)
        return self._kept if name in self._names else None

    def nonce(self) -> str:
        return "3rfcNHYJY1ZVvWVs7j"

    def secret(self) -> bytes:
        return b"s" * 32

    def password(self, name: str) -> Secret | None:
        return Secret(self._password) if name in self._names else None


ACCOUNTS = Accounts()


def talk(
    mechanism: str,
    credentials: Credentials,
    accounts: Accounts = ACCOUNTS,
    *,
    ours: ChannelBinding | None = None,
    theirs: ChannelBinding | None = None,
    tokens: frozenset[str] = frozenset({"good"}),
    **options: Any,
) -> tuple[Any, mox_sasl.ClientMechanism]:
    """The server's last outcome, and the client's half."""
    client = mox_sasl.client(mechanism, credentials, NONCE, binding=theirs, host="mx.example", port=587)
    server = mox_sasl.server(mechanism, accounts, binding=ours, passwords=accounts.password, **options)
    outcome: Any = server.start(client.start())
    for _ in range(5):
        if isinstance(outcome, CheckToken) and outcome.token.reveal() not in tokens:
            outcome = server.refused(scope="mail")
        if not isinstance(outcome, Challenge):
            return outcome, client
        outcome = server.step(client.step(outcome.data))
    raise AssertionError("this exchange does not end")


def ok(outcome: Any) -> str:
    """Who has logged in, or "" for nobody."""
    if isinstance(outcome, CheckPassword):
        return outcome.name if outcome.name in NAMES and outcome.password.reveal() == PASSWORD else ""
    if isinstance(outcome, CheckToken):
        return outcome.name if outcome.token.reveal() == "good" else ""
    return outcome.name if isinstance(outcome, Success) else ""


PASSWORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_the_right_password(mechanism: str, name: str) -> None:
    outcome, client = talk(mechanism, Credentials(name, Secret(PASSWORD)))
    assert ok(outcome) == name
    assert client.finished


@pytest.mark.parametrize(
    "name, password", [("ann", "pencil"), ("nobody", PASSWORD), ("nobody", "x"), ("Ann", PASSWORD)]
)
@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_anything_else(mechanism: str, name: str, password: str) -> None:
    outcome, _ = talk(mechanism, Credentials(name, Secret(password)))
    assert not ok(outcome)
    assert isinstance(outcome, CheckPassword | Failure)


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_tokens(mechanism: str) -> None:
    outcome, client = talk(mechanism, Credentials("jürgen@exämple.de", token=Secret("good")))
    assert ok(outcome) == "jürgen@exämple.de"
    assert client.finished
    if mechanism == "OAUTHBEARER":
        assert (outcome.host, outcome.port) == ("mx.example", 587)
    outcome, client = talk(mechanism, Credentials("ann", token=Secret("stolen")))
    assert isinstance(outcome, Failure)
    assert outcome.name == "ann"
    assert not client.finished
    assert getattr(client, "error", "") == "invalid_token"


def test_external() -> None:
    outcome, _ = talk("EXTERNAL", Credentials(""), external="ann")
    assert outcome == Success("ann")
    assert isinstance(talk("EXTERNAL", Credentials(""))[0], Failure)
    assert isinstance(talk("EXTERNAL", Credentials("", authzid="bob"), external="ann")[0], Failure)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "EXTERNAL"])
def test_nobody_acts_for_another_unless_it_is_allowed(mechanism: str) -> None:
    credentials = Credentials("ann", Secret(PASSWORD), authzid="bob")
    outcome, _ = talk(mechanism, credentials, external="ann")
    assert isinstance(outcome, Failure)
    outcome, _ = talk(mechanism, credentials, external="ann", for_others=True)
    assert outcome.authzid == "bob"
    outcome, _ = talk(mechanism, replace(credentials, authzid="ann"), external="ann")
    assert outcome.authzid == ""


# -- channel binding


@pytest.mark.parametrize("binding", [BINDING, OLD_BINDING], ids=["exporter", "unique"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
def test_plus(mechanism: str, binding: ChannelBinding) -> None:
    outcome, client = talk(mechanism, Credentials("ann", Secret(PASSWORD)), ours=binding, theirs=binding)
    assert outcome == Success("ann")
    assert client.finished


def test_another_channel_is_noticed() -> None:
    other = ChannelBinding(EXPORTER, b"z" * 32, "TLSv1.3")
    outcome, _ = talk("SCRAM-SHA-256-PLUS", Credentials("ann", Secret(PASSWORD)), ours=BINDING, theirs=other)
    assert isinstance(outcome, Failure)
    outcome, _ = talk("SCRAM-SHA-256-PLUS", Credentials("ann", Secret(PASSWORD)), ours=BINDING, theirs=OLD_BINDING)
    assert isinstance(outcome, Failure)


def test_an_offer_that_was_taken_away_is_noticed() -> None:
    credentials = Credentials("ann", Secret(PASSWORD))
    # The client could bind, and saw no -PLUS: that is true, or somebody between has cut it out.
    outcome, _ = talk("SCRAM-SHA-256", credentials, theirs=BINDING)
    assert outcome == Success("ann")
    outcome, _ = talk("SCRAM-SHA-256", credentials, theirs=BINDING, plus_offered=True)
    assert isinstance(outcome, Failure)
    # One that cannot bind is let in all the same.
    outcome, _ = talk("SCRAM-SHA-256", credentials, plus_offered=True)
    assert outcome == Success("ann")


def test_binding_without_plus_and_plus_without_binding() -> None:
    server = mox_sasl.server("SCRAM-SHA-256", ACCOUNTS)
    assert isinstance(server.start(b"p=tls-exporter,,n=ann,r=" + NONCE.encode()), Failure)
    server = mox_sasl.server("SCRAM-SHA-256-PLUS", ACCOUNTS, binding=BINDING)
    assert isinstance(server.start(b"n,,n=ann,r=" + NONCE.encode()), Failure)
    with pytest.raises(KeyError):
        mox_sasl.server("SCRAM-SHA-256-PLUS", ACCOUNTS)


BINDINGS = {
    "unique over 1.3": (UNIQUE, b"x" * 12, "TLSv1.3"),
    "unique over nothing": (UNIQUE, b"x" * 12, ""),
    "no data": (UNIQUE, b"", "TLSv1.2"),
    "short": (EXPORTER, b"x" * 12, "TLSv1.3"),
    "exporter over nothing": (EXPORTER, b"x" * 32, ""),
    "unknown": ("tls-server-end-point", b"x" * 32, "TLSv1.3"),
}


@pytest.mark.parametrize("kind, data, tls", BINDINGS.values(), ids=BINDINGS.keys())
def test_bindings_that_there_are_not(kind: str, data: bytes, tls: str) -> None:
    with pytest.raises(ValueError):
        ChannelBinding(kind, data, tls)


def test_what_can_be_offered() -> None:
    names = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")
    assert mox_sasl.offer(names, None) == ("SCRAM-SHA-256", "PLAIN")
    assert mox_sasl.offer(names, BINDING) == names


# -- choosing

TOKEN = Credentials("ann", token=Secret("good"))
CHOICES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "best": ("PLAIN scram-sha-256 LOGIN SCRAM-SHA-1", {}, "SCRAM-SHA-256"),
    "plus": ("SCRAM-SHA-1-PLUS SCRAM-SHA-256", {"binding": BINDING}, "SCRAM-SHA-1-PLUS"),
    "plus without a binding": ("SCRAM-SHA-256-PLUS", {}, None),
    "over TLS": ("CRAM-MD5 PLAIN", {}, "PLAIN"),
    "in the clear": ("CRAM-MD5 PLAIN", {"encrypted": False}, "CRAM-MD5"),
    "nothing that hides": ("PLAIN LOGIN", {"encrypted": False}, None),
    "a token": ("PLAIN XOAUTH2 OAUTHBEARER", {"credentials": TOKEN}, "OAUTHBEARER"),
    "a token in the clear": ("OAUTHBEARER", {"credentials": TOKEN, "encrypted": False}, None),
    "no token": ("OAUTHBEARER XOAUTH2", {}, None),
    "unknown": ("GSSAPI", {}, None),
}


@pytest.mark.parametrize("offered, options, want", CHOICES.values(), ids=CHOICES.keys())
def test_choose(offered: str, options: dict[str, Any], want: str | None) -> None:
    assert mox_sasl.choose(offered.split(), **options) == want


# -- who exists is not told


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_a_name_that_nobody_has_looks_like_one_that_somebody_has(mechanism: str) -> None:
    def first(name: str) -> str:
        outcome = mox_sasl.server(mechanism, ACCOUNTS).start(f"n,,n={name},r={NONCE}".encode())
        assert isinstance(outcome, Challenge)
        return outcome.data.decode()

    known, unknown = first("ann"), first("nobody")
    assert unknown == first("nobody")
    assert unknown != first("somebody")
    assert [len(part) for part in known.split(",")] == [len(part) for part in unknown.split(",")]
    assert known.split(",")[2] == unknown.split(",")[2] == "i=4096"


def test_the_count_of_those_who_exist_can_be_said() -> None:
    server = mox_sasl.server("SCRAM-SHA-256", ACCOUNTS, iterations=10_000)
    outcome = server.start(f"n,,n=nobody,r={NONCE}".encode())
    assert isinstance(outcome, Challenge)
    assert outcome.data.endswith(b",i=10000")


def test_failures_do_not_differ_on_the_wire() -> None:
    """A Failure's reason is for our log; that the peer is told one thing for all is the protocol's."""
    known, _ = talk("SCRAM-SHA-256", Credentials("ann", Secret("x")))
    unknown, _ = talk("SCRAM-SHA-256", Credentials("nobody", Secret("x")))
    assert type(known) is type(unknown) is Failure
    assert (known.malformed, unknown.malformed) == (False, False)


def test_only_one_mechanism_is_kept() -> None:
    accounts = Accounts(only="SCRAM-SHA-256")
    assert isinstance(talk("SCRAM-SHA-1", Credentials("ann", Secret(PASSWORD)), accounts)[0], Failure)
    assert talk("SCRAM-SHA-256", Credentials("ann", Secret(PASSWORD)), accounts)[0] == Success("ann")


# -- the server must prove itself too


def test_a_server_that_does_not_know_the_password_is_not_believed() -> None:
    class Impostor(Accounts):
        def scram(self, name: str) -> tuple[ScramVerifier, ...] | None:
            kept = super().scram(name)
            assert kept is not None
            return tuple(replace(one, server_key=b"\0" * len(one.server_key)) for one in kept)

    with pytest.raises(ExchangeError, match="does not know the password"):
        talk("SCRAM-SHA-256", Credentials("ann", Secret(PASSWORD)), Impostor())


HOSTILE = {
    "our nonce cut": "r=fyko,s=QSXCR+Q6sek8bf92,i=4096",
    "nothing added to our nonce": f"r={NONCE},s=QSXCR+Q6sek8bf92,i=4096",
    "few iterations": f"r={NONCE}x,s=QSXCR+Q6sek8bf92,i=1",
    "many iterations": f"r={NONCE}x,s=QSXCR+Q6sek8bf92,i=2000000000",
    "an extension that must be known": f"m=x,r={NONCE}x,s=QSXCR+Q6sek8bf92,i=4096",
    "no salt": f"r={NONCE}x,s=,i=4096",
    "nothing": "",
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_servers(said: str) -> None:
    client = mox_sasl.client("SCRAM-SHA-256", Credentials("ann", Secret(PASSWORD)), NONCE)
    client.start()
    with pytest.raises(ExchangeError):
        client.step(said.encode("utf-8", "surrogateescape"))
    assert not client.finished


# -- hostile clients


@pytest.mark.parametrize("mechanism", [*PASSWORDS, "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "SCRAM-SHA-256-PLUS"])
@settings(max_examples=60, deadline=None)
@given(said=st.lists(st.one_of(st.binary(max_size=80), st.sampled_from([
    b"n,,n=ann,r=abcdefghijklmnopqrst", b"c=biws,r=abcdefghijklmnopqrst3rfcNHYJY1ZVvWVs7j,p=eA==", b"ann", b"ann\0ann\0x",
    b"n,a=ann,\x01auth=Bearer x\x01\x01", b"user=ann\x01auth=Bearer x\x01\x01", b"\x01", b"", b"ann " + b"0" * 32,
])), min_size=1, max_size=4))  # fmt: skip
def test_any_answers(mechanism: str, said: list[bytes]) -> None:
    server = mox_sasl.server(mechanism, ACCOUNTS, binding=BINDING, passwords=ACCOUNTS.password, external="")
    outcome: Any = server.start(said[0])
    for answer in said[1:]:
        if isinstance(outcome, CheckToken):
            outcome = server.refused()
        if not isinstance(outcome, Challenge):
            break
        outcome = server.step(answer)
    assert isinstance(outcome, Challenge | CheckPassword | CheckToken | Failure)
    if isinstance(outcome, CheckPassword):
        assert outcome.password.reveal() != PASSWORD


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None)
@given(name=TEXT, password=TEXT, mechanism=st.sampled_from(PASSWORDS))
def test_any_name_and_password(name: str, password: str, mechanism: str) -> None:
    """Whatever a user is called and has chosen: the same on both sides lets in, and nothing else does."""
    prepared = mox_sasl.prepare_name(name)
    stored = mox_sasl.prepare_password(password, fallback=True)
    accounts = Accounts((prepared,), stored)
    outcome, _ = talk(mechanism, Credentials(name, Secret(password)), accounts)
    if isinstance(outcome, CheckPassword):
        assert outcome.name == prepared
        assert mox_sasl.prepare_password(outcome.password.reveal(), fallback=True) == stored
    else:
        assert outcome == Success(prepared)
    outcome, _ = talk(mechanism, Credentials(name, Secret(password + "x")), accounts)
    assert not isinstance(outcome, Success)


def test_secrets_are_not_shown() -> None:
    verifier = mox_sasl.derive("SCRAM-SHA-256", PASSWORD, SALT)
    shown = repr([Credentials("ann", Secret(PASSWORD), token=Secret("good")), CheckPassword("ann", Secret(PASSWORD))])
    assert PASSWORD not in shown
    assert "good" not in shown
    assert hashlib.sha256(b"").hexdigest() not in repr(verifier)
    assert "stored_key" not in repr(verifier)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "CRAM-MD5"])
def test_a_name_that_nobody_has_takes_the_same_steps(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in digests, which is what takes time."""
    import hmac

    digest = hmac.digest

    def steps(name: str) -> list[int]:
        made: list[int] = []

        def counting(key: Any, message: Any, how: Any) -> bytes:
            made.append(len(message))
            return digest(key, message, how)

        client = mox_sasl.client(mechanism, Credentials(name, Secret("wrong")), NONCE)
        server = mox_sasl.server(mechanism, ACCOUNTS, passwords=ACCOUNTS.password)
        outcome = server.start(client.start())
        assert isinstance(outcome, Challenge)
        answer = client.step(outcome.data)
        monkeypatch.setattr("hmac.digest", counting)
        assert isinstance(server.step(answer), Failure)
        assert isinstance(
            mox_sasl.server(mechanism, ACCOUNTS, passwords=ACCOUNTS.password).start(client.start()), Challenge
        )
        monkeypatch.setattr("hmac.digest", digest)
        return made

    assert steps("ann") == steps("bob")
    assert steps("ann")
