"""Transports and routes: as they are configured, and which of them mail takes."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

import mox_queue
from mox_dns import Zone
from mox_queue.direct import Direct
from mox_queue.submit import Submit
from moxd.config import ConfigError, read_config
from moxd.transports import Routes, Transports

STATIC = """\
hostname = "mail.example.org"

[listeners.public]
addresses = ["192.0.2.1"]
smtp = 25

[transports.relay]
kind = "submissions"
host = "smtp.relay.example"
username = "me"
password = "one and two"

[transports.near]
kind = "smtp"
host = "127.0.0.1"
port = 2525
tls = "none"

[transports.tunnel]
kind = "socks"
address = "127.0.0.1:1080"
hostname = "exit.example.org"
username = "me"
password_file = "socks.txt"

[transports.four]
kind = "direct"
ipv6 = false

[transports.never]
kind = "fail"
text = "not to them"

[[routes]]
transport = "never"
recipient_domains = ["bad.example", ".worse.example"]

[[routes]]
transport = "relay"
from_attempt = 3

[[routes]]
transport = "tunnel"
accounts = ["other"]
to_attempt = 1
"""
DOMAINS = """\
[domains."example.org"]
[domains."example.net"]
[[domains."example.net".routes]]
transport = "four"

[accounts.you]
addresses = ["you@example.org", "you@example.net"]

[[accounts.you.routes]]
transport = "near"
recipient_domains = ["near.example"]

[accounts.other]
addresses = ["other@example.org"]
"""


def write(folder: Path, static: str = STATIC, domains: str = DOMAINS, secret: bytes = b"three\n") -> Path:
    (folder / "moxd.toml").write_text(static)
    (folder / "domains.toml").write_text(domains)
    (folder / "socks.txt").write_bytes(secret)
    return folder


def due(domain: str, account: str = "you", attempts: int = 0, transport: str = "") -> mox_queue.Due:
    return mox_queue.Due(
        1, 1, f"x@{domain}", domain, f"x@{domain}", "", "", transport, "", attempts, False, "you@example.org", account,
        0.0, False, False, mox_queue.TlsWish.DEFAULT, "", "", "",
    )  # fmt: skip


# (recipient's domain, account, attempts so far, sender's domain, chosen by hand) -> transport
CHOICES = {
    "nothing matches": (("some.example", "you", 0, "example.org", ""), "direct"),
    "a global route": (("bad.example", "you", 0, "example.org", ""), "never"),
    "only that domain": (("x.bad.example", "you", 0, "example.org", ""), "direct"),
    "and all below": (("x.worse.example", "you", 0, "example.org", ""), "never"),
    "the account's first": (("near.example", "you", 5, "example.net", ""), "near"),
    "then the domain's": (("bad.example", "you", 0, "example.net", ""), "four"),
    "an account of a global route": (("some.example", "other", 0, "example.org", ""), "tunnel"),
    "its first attempt only": (("some.example", "other", 1, "example.org", ""), "direct"),
    "from the third attempt on": (("some.example", "you", 2, "example.org", ""), "relay"),
    "by hand before all": (("bad.example", "you", 0, "example.net", "relay"), "relay"),
    "notices have no account": (("some.example", "", 0, "", ""), "direct"),
}


@pytest.mark.parametrize("asked, want", CHOICES.values(), ids=CHOICES)
def test_which_transport(tmp_path: Path, asked: tuple[str, str, int, str, str], want: str) -> None:
    domain, account, attempts, sender, by_hand = asked
    routes = Routes(read_config(write(tmp_path)))
    assert routes.choose(due(domain, account, attempts, by_hand), sender) == want


def test_couriers_are_made_of_transports(tmp_path: Path) -> None:
    config = read_config(write(tmp_path))
    direct = partial(Direct, resolver=Zone({}), clock=lambda: 0.0, now=lambda: 0.0, random=random.Random(1))
    transports = Transports(config, Zone({}), direct)
    assert isinstance(transports.courier("direct"), Direct)
    assert isinstance(transports.courier("relay"), Submit)
    lanes = {name: transports.courier(name).lane("a.example") for name in ("direct", "relay", "near", "tunnel", "four")}
    assert len(set(lanes.values())) == 5, "connections of one way are not used for another"
    assert transports.courier("relay").lane("a.example") == transports.courier("relay").lane("b.example")
    assert transports.refuses("never")
    assert transports.refuses("fail")
    assert transports.courier("gone") is transports.courier("gone")
    assert "no transport 'gone'" in repr(vars(transports.courier("gone")))


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    config = read_config(write(tmp_path))
    assert "one and two" not in f"{config!r}{config}"
    assert "three" not in f"{config!r}{config}"
    tunnel = config.static.transports["tunnel"]
    assert tunnel.password.reveal() == "three"  # type: ignore[union-attr]


WRONG = {
    "no kind": ('kind = "direct"\n', "", "moxd.toml:26: transports.four: add its kind"),
    "unknown kind": ('"direct"', '"carrier"', "moxd.toml:26: transports.four: this kind is not known"),
    "no host": ('host = "127.0.0.1"\n', "", "moxd.toml:13: transports.near.host: this setting is needed; add it"),
    "a setting of another kind": ("ipv6 = false", 'host = "x.example"', "moxd.toml:28: transports.four.host: there is no such setting"),
    "half a login": ('password = "one and two"\n', "", "moxd.toml:10: transports.relay.username: has no password"),
    "a password for nobody": ('username = "me"\npassword = ', "password = ", "moxd.toml:7: transports.relay: has a password but no username"),
    "two passwords": ('password = "one', 'password_file = "socks.txt"\npassword = "one', "transports.relay.password: is given twice"),
    "no such file": ('"socks.txt"', '"nowhere.txt"', "moxd.toml:24: transports.tunnel.password_file: "),
    "no port": ('"127.0.0.1:1080"', '"127.0.0.1"', "moxd.toml:21: transports.tunnel.address: '127.0.0.1' has no port"),
    "no family": ("ipv6 = false", "ipv6 = false\nipv4 = false", "moxd.toml:26: transports.four: has both ipv4 and ipv6 switched off"),
    "a name that is built in": ("transports.four", "transports.direct", "moxd.toml:26: transports.direct: 'direct' is built in"),
    "a route to nowhere": ('transport = "relay"', 'transport = "relais"', "moxd.toml:39: routes.1.transport: there is no [transports.relais]"),
    "a route of nobody": ('["other"]', '["others"]', "moxd.toml:44: routes.2.accounts: there is no account 'others'"),
    "attempts upside down": ("from_attempt = 3", "from_attempt = 3\nto_attempt = 2", "moxd.toml:41: routes.1.to_attempt: comes before from_attempt 3"),
    "no attempt": ("from_attempt = 3", "from_attempt = 0", "moxd.toml:40: routes.1.from_attempt: "),
    "no domain": ('"bad.example"', '"bad example"', "moxd.toml:36: routes.0.recipient_domains.0: 'bad example' is not a domain name"),
}  # fmt: skip


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(folder)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("old, new, want", WRONG.values(), ids=WRONG)
def test_each_problem_has_its_place(tmp_path: Path, old: str, new: str, want: str) -> None:
    assert old in STATIC
    found = problems(write(tmp_path, STATIC.replace(old, new, 1)))
    assert any(want in problem for problem in found), found


def test_problems_of_routes_in_domains(tmp_path: Path) -> None:
    wrong = DOMAINS.replace('transport = "four"', 'transport = "for"\naccounts = ["me"]').replace('"near"', '"far"')
    found = problems(write(tmp_path, domains=wrong))
    assert [problem.split(": ", 2)[:2] for problem in found] == [
        ["domains.toml:5", "domains.example.net.routes.0.accounts"],
        ["domains.toml:4", "domains.example.net.routes.0.transport"],
        ["domains.toml:11", "accounts.you.routes.0.transport"],
    ]


def test_a_password_file_has_one_line(tmp_path: Path) -> None:
    for secret in (b"", b"one\ntwo\n", b"\xff\n"):
        found = problems(write(tmp_path, secret=secret))
        assert any("must have the password in its only line" in problem for problem in found)


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    """It can be copied as it is."""
    readme = Path(__file__).parents[2] / "apps" / "moxd" / "README.md"
    (example,) = [one for one in readme.read_text().split("```toml\n")[1:] if "[transports.relay]" in one]
    static = STATIC.split("[transports", 1)[0] + example.partition("```")[0]
    (tmp_path / "relay.password").write_text("one and two\n")
    plain = DOMAINS.replace('"four"', '"relay"').replace('"near"', '"relay"')
    config = read_config(write(tmp_path, static, plain))
    assert set(config.static.transports) == {"relay", "tunnel", "four", "never"}
    assert len(config.static.routes) == 2
