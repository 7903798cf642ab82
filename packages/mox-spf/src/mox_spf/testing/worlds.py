"""Worlds for SPF: a client, a sender, and what DNS says, as mox_dns.Zone takes it.  Needs hypothesis."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

DOMAINS = ("a.example", "b.example", "c.b.example", "xn--bcher-kva.example")
CLIENTS = ("192.0.2.9", "198.51.100.7", "2001:db8::9", "::ffff:192.0.2.9")
FAILURES = ("TIMEOUT", "SERVFAIL", "BOGUS")

_NAMES = st.sampled_from(
    [*DOMAINS, "%{d}", "%{p}.x.example", "%{l}.a.example", "%{ir}.%{v}.%{d2}", "%{h}", "%{lr-}.%{o}"]
)
_LENGTHS = st.sampled_from(["", "/24", "//64", "/0", "/24//48", "/32//128"])
_NETWORKS = st.sampled_from(["ip4:192.0.2.0/24", "ip4:198.51.100.7", "ip6:2001:db8::/32", "ip4:0.0.0.0/0", "ip6:::/0"])
_TERMS = st.one_of(
    _NETWORKS,
    st.sampled_from(["all", "a", "mx", "ptr", "x=%{d}"]),
    st.builds("{}:{}".format, st.sampled_from(["include", "exists", "ptr"]), _NAMES),
    st.builds("{}:{}{}".format, st.sampled_from(["a", "mx"]), _NAMES, _LENGTHS),
)
_DIRECTIVES = st.builds("{}{}".format, st.sampled_from(["", "", "-", "~", "?", "+"]), _TERMS)
_MODIFIERS = st.builds("{}={}".format, st.sampled_from(["redirect", "exp"]), _NAMES)
_RECORDS = st.lists(_DIRECTIVES | _MODIFIERS, max_size=6).map(lambda terms: " ".join(["v=spf1", *terms]).encode())
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "TXT": st.lists(_RECORDS, min_size=1, max_size=1) | st.lists(_RECORDS | st.binary(max_size=30), max_size=2),
    "A": st.lists(st.sampled_from(["192.0.2.9", "192.0.2.200", "198.51.100.7"]), max_size=3, unique=True),
    "AAAA": st.lists(st.sampled_from(["2001:db8::9", "2001:db8:1::1"]), max_size=2, unique=True),
    "MX": st.lists(st.sampled_from([f"{n} {name}" for n, name in enumerate(DOMAINS)] + ["0 ."]), max_size=12),
}


class World(NamedTuple):
    """One question of check_host(); `records` for mox_dns.Zone."""

    ip: str
    mail_from: str
    helo: str
    records: dict[str, Any]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Small zones in which includes, macros, limits, mistakes and failures meet."""
    records: dict[str, Any] = {}
    for name in DOMAINS:
        for type, values in _VALUES.items():
            if draw(st.integers(0, 19)) == 0:
                records[f"{name} {type}"] = draw(st.sampled_from(FAILURES))
            elif drawn := draw(values):
                records[f"{name} {type}"] = drawn
    records["9.2.0.192.in-addr.arpa PTR"] = draw(st.lists(st.sampled_from(DOMAINS), max_size=3, unique=True))
    sender = draw(st.sampled_from(["", "u@", "strong-bad@", "a b@", "ü@"]))
    mail_from = sender + draw(st.sampled_from(DOMAINS)) if sender else ""
    return World(draw(st.sampled_from(CLIENTS)), mail_from, draw(st.sampled_from(DOMAINS)), records)
