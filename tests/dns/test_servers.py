"""Which servers to ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns.servers import Server, SystemServers

GOOD = {
    "192.0.2.1": Server("192.0.2.1", 53),
    "192.0.2.1:5353": Server("192.0.2.1", 5353),
    "2001:db8::1": Server("2001:db8::1", 53),
    "[2001:db8::1]": Server("2001:db8::1", 53),
    "[2001:db8::1]:5353": Server("2001:db8::1", 5353),
    "fe80::1%eth0": Server("fe80::1%eth0", 53),
}


@pytest.mark.parametrize("text, server", GOOD.items())
def test_good(text: str, server: Server) -> None:
    assert Server.parse(text) == server
    assert Server.parse(str(server)) == server


@pytest.mark.parametrize("text", ["", "a.example", "192.0.2.1:0", "192.0.2.1:x", "192.0.2.1:65536", "[::1]5", "::1]"])
def test_bad(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Server.parse(text)


CONFS = {
    "silent": ("", ["127.0.0.1"], True, None, None),
    "one far away": ("nameserver 192.0.2.1", ["192.0.2.1"], False, None, None),
    "one here": ("nameserver ::1", ["::1"], True, None, None),
    "one here, one far": ("nameserver ::1\nnameserver 192.0.2.1", ["::1", "192.0.2.1"], False, None, None),
    "trusted": ("nameserver 192.0.2.1\noptions edns0 trust-ad", ["192.0.2.1"], True, None, None),
    "no more than three": ("nameserver 192.0.2.1\n" * 5, ["192.0.2.1"] * 3, False, None, None),
    "options": ("options timeout:2 attempts:9\noptions timeout:0", ["127.0.0.1"], True, 1.0, 5),
    "nonsense": ("nameserver x\nnameserver\noptions timeout:x attempts:\n# c\n;", ["127.0.0.1"], True, None, None),
}


@pytest.mark.parametrize("case", CONFS.values(), ids=CONFS.keys())
def test_resolv_conf(case: tuple[str, list[str], bool, float | None, int | None]) -> None:
    text, hosts, trust_ad, timeout, attempts = case
    read = SystemServers.parse(text)
    assert [server.host for server in read.servers] == hosts
    assert (read.trust_ad, read.timeout, read.attempts) == (trust_ad, timeout, attempts)


@given(st.text(max_size=100) | st.text("nameservoptitu:123. \n", max_size=100))
def test_any_text(text: str) -> None:
    assert SystemServers.parse(text).servers
