"""Generated worlds for SPF, and some for DMARC: small zones in which records go right and wrong in many ways."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from kit.spf_suites import Case

COUNT = 500
NAMES = ("a.example", "b.example", "c.example", "d.a.example", "none.example")
DOMAINS = (
    *NAMES,
    "%{d}",
    "%{o}",
    "%{d2}",
    "%{l}.a.example",
    "%{ir}.%{v}.x.example",
    "%{h}",
    "%{lr-}.%{d}",
    "%{i}._s.%{d2}",
)
CLIENTS = ("192.0.2.9", "198.51.100.77", "2001:db8::9", "2001:db8:1:2::77")
SENDERS = ("u", "strong-bad", "a.b+c", "postmaster")
ODD = 500
ODD_SENDERS = ("@", "", "u@", "a b@", '"q@q"@', "U.V@", "%{d}@", "x@y@", "u+%@", "nobody", "-@", "a..b@", "a=b/c,d_e@")
ODD_DOMAINS = (
    "a.example",
    "A.Example",
    "b.example",
    "b.example.",
    "c.example",
    "d.a.example",
    "example",
    "x..example",
    "alias.example",
)
ODD_CLIENTS = (*("192.0.2.9", "198.51.100.77", "2001:db8::9"), "::ffff:192.0.2.9", "2001:DB8:1:2::77", "0.0.0.0", "::")
ODD_HELOS = ("a.example", "B.EXAMPLE", "[192.0.2.9]", "localhost", "c.example.", "x y", "mail-out_1.example", "")
ODD_TERMS = (
    *(
        "a:A.EXAMPLE",
        "include:b.example.",
        "a:b.example./24",
        "mx:alias.example",
        "a:alias.example",
        "include:alias.example",
    ),
    *("ptr:EXAMPLE.", "ptr:a.example", "-ptr:none.example", "exists:%{L}.%{d}", "exists:%{S}.x.example", "a:%{D}"),
    *(
        "a:%{d1r}.example",
        "a:%{l2r+-}.a.example",
        "mx:%{h}",
        "mx:%{o2}",
        "exists:%{i2r}.%{v}.arpa",
        "exists:%{p}.x.example",
    ),
    *(
        "include:%{d9}",
        "a:%{dr}",
        "exists:%%.a.example",
        "exists:x%_y.a.example",
        "exists:x%-y.a.example",
        "A",
        "MX:A.example",
    ),
    *(
        "IP4:192.0.2.9",
        "ip4:192.0.2.9/32",
        "ip4:198.51.100.77/0",
        "ip6:2001:DB8::/32",
        "ip6:::192.0.2.9",
        "a/32//128",
        "?a",
    ),
    *(
        "a:x/y.example",
        "a:x/24.example/24",
        "exists:_x.a.example",
        "exp-x=a",
        "redirect.x=a",
        "default=x",
        "x=%{z",
        "x=%{c}",
        "x=%",
    ),
    *(
        f"exists:{'x' * 63}.a.example",
        f"exists:{'x' * 64}.a.example",
        f"a:{'y.' * 130}example",
        "exists:%{l}%{l}%{l}.a.example",
    ),
)
EXPLANATIONS = (
    *(
        "go away",
        "%{s} is not %{o}'s: %{i} %{v}",
        "%{S} %{L} %{d2}",
        "%{c} and %{h}",
        "%{r}",
        "100%%%_%-",
        "%{ir}",
        "%{p}",
    ),
    *("%{x}", "%", "%{d", "", "a\tb", "gr\xc3\xbc\xc3\x9fe", "%{d1r}", "%{lr+-}", "two  spaces "),
)
NETWORKS = (
    *("ip4:192.0.2.0/24", "ip4:192.0.2.9", "ip4:198.51.100.64/27", "ip4:203.0.113.1", "ip4:0.0.0.0/0"),
    *("ip6:2001:db8::/32", "ip6:2001:db8::9", "ip6:2001:db8:1::/48", "ip6:::/0", "ip6:::ffff:192.0.2.9"),
)
LENGTHS = ("", "", "", "/24", "/0", "//64", "/24//48", "/32//128")
MISTAKES = (
    *(
        "oops",
        "ip4:1.2.3",
        "ip4:192.0.2.9/33",
        "a/024",
        "include",
        "all:x",
        "exists:",
        "-redirect=a.example",
        "ip6:::1%1",
    ),
    *("a:example", "mx//129", "ptr/24", "exists:%{x}.example", "exists:%{d0}.a.example", "redirect:a.example", "a:%"),
    *("ip4:192.0.2.01", "ip4", "include:a..example", "a:.example", "mx:a.example/", "a:%{d}x", "ip4:192.0.2.0/024"),
)


def cases(draw: random.Random) -> Iterator[tuple[str, Case]]:
    """COUNT checks, each in a world of its own."""
    for number in range(COUNT):
        records = world(draw)
        sender = f"{draw.choice(SENDERS)}@{draw.choice(NAMES[:4])}" if draw.random() < 0.9 else ""
        yield f"{number:03}", Case(draw.choice(CLIENTS), sender, draw.choice(NAMES[:4]), (), None, records)


def odd_cases(draw: random.Random) -> Iterator[tuple[str, Case]]:
    """ODD checks with unusual senders, greetings, names, aliases and explanations."""
    for number in range(ODD):
        records = odd_world(draw)
        sender, domain = draw.choice(ODD_SENDERS), draw.choice(ODD_DOMAINS)
        sender += domain if sender.endswith("@") else ""
        yield f"odd {number:03}", Case(draw.choice(ODD_CLIENTS), sender, draw.choice(ODD_HELOS), (), None, records)


def odd_world(draw: random.Random) -> dict[str, Any]:
    """As `world`, with terms, texts and names that seldom occur."""
    records = world(draw)
    for name in draw.sample(NAMES[:4], 2):
        terms = [draw.choice(ODD_TERMS) for _ in range(draw.randint(1, 3))]
        if draw.random() < 0.5:
            terms.append(
                f"exp={draw.choice(('e.example', 'f.example', '%{l}.e.example', 'none.example', 'g.example'))}"
            )
        terms.append(draw.choice(["-all", "-all", "~all", "redirect=a.example", "redirect=%{l}.e.example", ""]))
        texts = [" ".join(["v=spf1", *terms]).strip()]
        if draw.random() < 0.2:
            texts.append(
                draw.choice(["v=spf10 all", "v=spf2 -all", "hello", "", "v=spf1", "V=SPF1 -all", " v=spf1 -all"])
            )
        records[f"{name} TXT"] = texts
    records["e.example TXT"] = [draw.choice(EXPLANATIONS)]
    records["f.example TXT"] = draw.choice([["one", "two"], ["see %{h} or %{o}"], ["%{c} %{r}"], ["a%"]])
    records["g.example TXT"] = "TIMEOUT"
    records["alias.example CNAME"] = [draw.choice(["a.example", "b.example", "none.example"])]
    if draw.random() < 0.3:
        records["a.example MX"] = ["0 ."]
    return records


def world(draw: random.Random) -> dict[str, Any]:
    """What DNS says about a few names."""
    records: dict[str, Any] = {}
    for name in NAMES[:4]:
        if draw.random() < 0.9:
            records[f"{name} TXT"] = [record(draw) for _ in range(2 if draw.random() < 0.04 else 1)]
        if draw.random() < 0.7:
            records[f"{name} A"] = draw.sample(["192.0.2.9", "192.0.2.77", "198.51.100.80", "203.0.113.5"], 2)
        if draw.random() < 0.4:
            records[f"{name} AAAA"] = draw.sample(["2001:db8::9", "2001:db8:1:2::1", "2001:db8:f::1"], 1)
        if draw.random() < 0.5:
            hosts = draw.sample(NAMES, draw.randint(1, 3))
            records[f"{name} MX"] = [f"{10 * number} {host}" for number, host in enumerate(hosts)]
        if draw.random() < 0.03:
            records[f"{name} {draw.choice(['TXT', 'A', 'MX'])}"] = draw.choice(["TIMEOUT", "SERVFAIL"])
    for client in ("9.2.0.192.in-addr.arpa", "77.100.51.198.in-addr.arpa"):
        if draw.random() < 0.5:
            records[f"{client} PTR"] = draw.sample(NAMES[:4], draw.randint(1, 2))
    return records


def record(draw: random.Random) -> str:
    """A record, seldom with a mistake."""
    terms = [term(draw) for _ in range(draw.randint(0, 5))]
    if draw.random() < 0.07:
        terms.insert(draw.randint(0, len(terms)), draw.choice(MISTAKES))
    ending = draw.random()
    if ending < 0.75:
        terms.append(draw.choice(["-all", "~all", "?all", "all", "-ALL"]))
    elif ending < 0.9:
        terms.append(f"redirect={draw.choice(DOMAINS)}")
    return draw.choice([" ", "  "] if draw.random() < 0.05 else [" "]).join(["v=spf1", *terms])


def term(draw: random.Random) -> str:
    """A term that is right."""
    sign = draw.choice(["", "", "", "", "-", "~", "?", "+"])
    kind = draw.choices(["ip", "a", "mx", "include", "exists", "ptr", "modifier"], [8, 4, 3, 4, 2, 1, 1])[0]
    if kind == "ip":
        return sign + draw.choice(NETWORKS)
    if kind in ("a", "mx"):
        target = f":{draw.choice(DOMAINS)}" if draw.random() < 0.6 else ""
        return f"{sign}{kind}{target}{draw.choice(LENGTHS)}"
    if kind == "ptr":
        return sign + kind + (f":{draw.choice(NAMES)}" if draw.random() < 0.5 else "")
    if kind == "modifier":
        return draw.choice(["moo=%{d}", "x.y-z=", "Unknown=a%%b"])
    return f"{sign}{kind}:{draw.choice(DOMAINS)}"


def dmarc_cases() -> Iterator[tuple[str, dict[str, Any], str, dict[str, str]]]:
    """From domains, records and passes that meet or miss."""
    records_of = {
        "strict": "v=DMARC1; p=reject; adkim=s; aspf=s",
        "relaxed": "v=DMARC1; p=quarantine",
        "subdomain policy": "v=DMARC1; p=none; sp=reject",
        "no such name": "v=DMARC1; p=reject; sp=none; np=quarantine",
        "no policy but reports": "v=DMARC1; rua=mailto:a@example.com",
        "a policy nobody knows": "v=DMARC1; p=maybe; rua=mailto:a@example.com",
        "not a record": "v=DMARC2; p=reject",
        "test mode": "v=DMARC1; p=reject; t=y",
        "spaces": "v = DMARC1 ; p = reject ;",
        "unknown tags": "v=DMARC1; p=reject; x=1; pct=50; ri=86400",
        "lower case version": "v=dmarc1; p=reject",
        "p not second": "v=DMARC1; sp=none; p=reject",
        "a tag twice": "v=DMARC1; p=reject; p=none",
    }
    passes_of = {
        "nothing passes": {},
        "the same domain by DKIM": {"dkim": "example.com"},
        "the same domain by SPF": {"spf": "example.com"},
        "below by DKIM": {"dkim": "mail.example.com"},
        "another domain": {"dkim": "example.net", "spf": "example.org"},
    }
    for what, text in records_of.items():
        for means, passes in passes_of.items():
            for author in ("example.com", "news.example.com", "ex-ample.com"):
                top = "ex-ample.com" if author == "ex-ample.com" else "example.com"
                yield f"{what}, {means}, {author}", {f"_dmarc.{top} TXT": [text]}, author, passes
