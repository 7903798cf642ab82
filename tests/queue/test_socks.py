"""SOCKS5, step by step and with a real proxy."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mox_sasl
from kit.processes import Running, answers, free_port, program
from kit.script_host import script_host
from mox_dns import Zone
from mox_message import Content
from mox_queue import Attempt, Batch, Proxy, Recipient, Result
from mox_queue.direct import Direct
from mox_queue.socks import SocksError, Step, negotiate
from mox_smtp.client import Timeouts

ME = mox_sasl.Credentials("me", mox_sasl.Secret("secret"))


def play(steps: object, *answers: bytes) -> list[bytes]:
    """What is sent, given these answers."""
    sent, step = [], next(steps)  # type: ignore[call-overload]
    for answer in answers:
        sent.append(step.send)
        assert len(answer) == step.octets
        try:
            step = steps.send(answer)  # type: ignore[attr-defined]
        except StopIteration:
            return sent
    raise AssertionError("it wants more")


def test_rfc_1928() -> None:
    """RFC 1928 3, 4 and 6"""
    assert play(negotiate("192.0.2.1", 25), b"\5\0", b"\5\0\0\1", b"\xc0\0\2\2\4\1") == [
        b"\5\1\0", b"\5\1\0\1\xc0\0\2\1\0\x19", b"",
    ]  # fmt: skip


def test_ipv6_and_a_reply_with_a_name() -> None:
    sent = play(negotiate("2001:db8::1", 2525), b"\5\0", b"\5\0\0\3", b"\7", b"proxy.x\4\1")
    assert sent[1] == b"\5\1\0\4\x20\1\r\xb8" + bytes(11) + b"\1\x09\xdd"


def test_rfc_1929() -> None:
    """RFC 1929 2"""
    assert play(negotiate("192.0.2.1", 25, ME), b"\5\2", b"\1\0", b"\5\0\0\4", bytes(18))[:2] == [
        b"\5\2\0\2", b"\1\2me\6secret",
    ]  # fmt: skip


WRONG = {
    "another version": ((None, b"\4\0"), "it does not speak SOCKS5"),
    "HTTP": ((None, b"HT"), "it does not speak SOCKS5"),
    "wants a login": ((None, b"\5\xff"), "it wants a login"),
    "wants a login that was not offered": ((None, b"\5\2"), "it wants a login"),
    "wants another login": ((ME, b"\5\1"), "it wants another login than we have"),
    "refuses the login": ((ME, b"\5\2", b"\1\1"), "it refuses the username or password"),
    "refused": ((None, b"\5\0", b"\5\5\0\1"), "connection refused"),
    "rules": ((None, b"\5\0", b"\5\2\0\1"), "its rules do not allow the connection"),
    "unknown reply": ((None, b"\5\0", b"\5\x63\0\1"), "reply 99"),
    "unknown address": ((None, b"\5\0", b"\5\0\0\x09"), "its reply has an address of kind 9"),
    "forgets its version": ((None, b"\5\0", b"\0\0\0\1"), "it does not speak SOCKS5"),
}


@pytest.mark.parametrize("asked, want", WRONG.values(), ids=WRONG)
def test_what_proxies_refuse(asked: tuple[mox_sasl.Credentials | None, *tuple[bytes, ...]], want: str) -> None:
    credentials, *answers = asked
    with pytest.raises(SocksError, match=want):
        play(negotiate("192.0.2.1", 25, credentials), *answers)


@given(st.binary(min_size=0, max_size=600), st.booleans())
def test_nothing_a_proxy_says_breaks_it(data: bytes, login: bool) -> None:
    steps = negotiate("192.0.2.1", 25, ME if login else None)
    step: Step = next(steps)
    try:
        while len(data) >= step.octets:
            answer, data = data[: step.octets], data[step.octets :]
            step = steps.send(answer)
    except (SocksError, StopIteration):
        pass


@pytest.mark.parametrize("address, port", [("mx.example", 25), ("", 25), ("192.0.2.1", 0), ("192.0.2.1", 65536)])
def test_only_addresses_and_ports(address: str, port: int) -> None:
    with pytest.raises(ValueError, match=r"port|address"):
        next(negotiate(address, port))


@pytest.mark.parametrize("name, password", [("", "x"), ("x", ""), ("x" * 256, "x"), ("x", "é" * 128)])
def test_logins_that_do_not_fit(name: str, password: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 octets"):
        next(negotiate("192.0.2.1", 25, mox_sasl.Credentials(name, mox_sasl.Secret(password))))


# -- a real one


@contextlib.contextmanager
def microsocks(folder: Path, *options: str) -> Iterator[int]:
    port = free_port()
    running = Running(
        [program("microsocks", "microsocks"), "-i", "127.0.0.1", "-p", str(port), *options], folder, "socks"
    )
    try:
        running.wait_until(lambda: answers(port))
        yield port
    finally:
        running.kill()


ZONE = {"a.test MX": ["10 mx.a.test."], "mx.a.test A": ["127.0.0.1"], "mx.a.test AAAA": ["::1"]}


def deliver(proxy: Proxy | None, port: int = 0, **more: object) -> tuple[Attempt, list[str]]:
    """One message to a@a.test; what became of it, and what the host was told."""
    with script_host() as host:

        async def main() -> Attempt:
            courier = Direct(
                hostname="exit.test", resolver=Zone(ZONE), clock=time.monotonic, now=time.time,
                random=random.Random(1), port=port or host.port, timeouts=Timeouts(connect=5), proxy=proxy, dane=False,
                **more,  # type: ignore[arg-type]
            )  # fmt: skip
            batch = Batch(
                1, "b@b.test", (Recipient("a@a.test", "a.test"),), "a.test", Content.of(b"Subject: x\r\n\r\nx\r\n"),
                False, False, 0.0, 1,
            )  # fmt: skip
            found = await courier.deliver(batch)
            courier.close()
            return found["a@a.test"]

        return asyncio.run(main()), [line for _, line in host.heard]


def test_through_a_real_proxy(tmp_path: Path) -> None:
    with microsocks(tmp_path, "-u", "me", "-P", "secret") as port:
        attempt, seen = deliver(Proxy("127.0.0.1", port, ME), families=(4,))
    assert attempt.result is Result.DELIVERED, attempt
    assert seen[0] == "EHLO exit.test"


def test_a_wrong_password_waits_and_says_why(tmp_path: Path) -> None:
    with microsocks(tmp_path, "-u", "me", "-P", "other") as port:
        attempt, seen = deliver(Proxy("127.0.0.1", port, ME), families=(4,))
    assert attempt.result is Result.LATER
    assert "it refuses the username or password" in attempt.text
    assert "secret" not in attempt.text
    assert seen == []


def test_a_host_that_the_proxy_does_not_reach(tmp_path: Path) -> None:
    with microsocks(tmp_path) as port:
        attempt, _ = deliver(Proxy("127.0.0.1", port), free_port(), families=(4,))
    assert attempt.result is Result.LATER
    assert "connection refused" in attempt.text


def test_no_proxy_there() -> None:
    attempt, _ = deliver(Proxy("127.0.0.1", free_port()), families=(4,))
    assert attempt.result is Result.LATER
    assert "cannot be reached" in attempt.text


def test_families() -> None:
    attempt, seen = deliver(None, families=(4,))
    assert attempt.result is Result.DELIVERED
    assert "IPv6 is switched off" in str(attempt.steps)
    attempt, seen = deliver(None, families=())
    assert attempt.result is Result.LATER
    assert "no address for mx.a.test that may be called" in attempt.text
    assert seen == []
