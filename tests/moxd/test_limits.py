from __future__ import annotations

from ipaddress import ip_address

from moxd.limits import Ceiling, Limiter, LoginLimits

HOST, NEIGHBOUR, FAR = ip_address("192.0.2.1"), ip_address("192.0.2.2"), ip_address("198.51.100.1")


def test_a_host_has_its_own_ceiling() -> None:
    limiter = Limiter(Ceiling(60, (2, 3, 9)))
    assert [limiter.allow(HOST, 0.0) for _ in range(3)] == [True, True, False]
    assert limiter.allow(NEIGHBOUR, 0.0), "the rack has room for one more"
    assert not limiter.allow(NEIGHBOUR, 0.0), "now the rack is full, though this host is not"
    assert limiter.allow(FAR, 0.0)


def test_a_new_window_counts_anew() -> None:
    limiter = Limiter(Ceiling(60, (1, 9, 9)))
    assert limiter.allow(HOST, 59.9)
    assert not limiter.allow(HOST, 59.99)
    assert limiter.allow(HOST, 60.0)


def test_what_was_refused_is_not_counted() -> None:
    limiter = Limiter(Ceiling(60, (1, 2, 9)))
    for _ in range(5):
        limiter.allow(HOST, 0.0)
    assert limiter.allow(NEIGHBOUR, 0.0)


def test_success_forgives_the_host_and_takes_its_share_from_the_networks() -> None:
    limits = LoginLimits()
    for _ in range(10):
        limits.failed(HOST, 0.0)
    assert not limits.would_allow(HOST, 0.0)
    limits.succeeded(HOST)
    assert limits.would_allow(HOST, 0.0)


def test_ipv6_counts_by_64() -> None:
    limiter = Limiter(Ceiling(60, (1, 9, 9)))
    assert limiter.allow(ip_address("2001:db8::1"), 0.0)
    assert not limiter.allow(ip_address("2001:db8::ffff"), 0.0)
    assert limiter.allow(ip_address("2001:db8:0:1::1"), 0.0)
