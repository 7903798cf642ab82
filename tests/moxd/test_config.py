from __future__ import annotations

from pathlib import Path

import pytest

from moxd.config import ConfigError, read_config, read_domains

STATIC = """\
hostname = "mail.example.org"
data = "data"

[listeners.public]
addresses = ["192.0.2.1"]
smtp = 25
"""
DOMAINS = """\
[domains."example.org"]

[accounts.you]
addresses = ["you@example.org", "@example.org"]
"""


def write(folder: Path, static: str = STATIC, domains: str = DOMAINS) -> Path:
    (folder / "moxd.toml").write_text(static)
    (folder / "domains.toml").write_text(domains)
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(folder)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_good_configuration_is_read(tmp_path: Path) -> None:
    config = read_config(write(tmp_path))
    assert config.static.listeners["public"].ports() == {"smtp": 25}
    assert config.data == tmp_path / "data"
    assert config.domains.accounts["you"].addresses == ("you@example.org", "@example.org")


WRONG = {
    "unknown setting": (
        STATIC + "smpt = 26\n",
        DOMAINS,
        "moxd.toml:7: listeners.public.smpt: there is no such setting; correct its name or remove the line",
    ),
    "setting missing": (
        STATIC.replace('hostname = "mail.example.org"\n', ""),
        DOMAINS,
        "moxd.toml: hostname: this setting is needed; add it",
    ),
    "not TOML": (STATIC + "x = \n", DOMAINS, "moxd.toml:7: not valid TOML: Invalid value (at line 7, column 5)"),
    "no such port": (
        STATIC.replace("25", "70000"),
        DOMAINS,
        "moxd.toml:6: listeners.public.smtp: input should be less than or equal to 65535",
    ),
    "login without TLS": (
        STATIC + "imap = 143\n",
        DOMAINS,
        "moxd.toml:4: listeners.public: people log in here, so it needs tls = { certificate = …, key = … }",
    ),
    "one port twice": (
        STATIC + 'imaps = 25\ntls = { certificate = "moxd.toml", key = "moxd.toml" }\n',
        DOMAINS,
        "moxd.toml:7: listeners.public.imaps: 192.0.2.1 port 25 is already used by public.smtp; choose another port",
    ),
    "not an address of ours": (
        STATIC,
        DOMAINS.replace('"@example.org"', '"x@example.net"'),
        "domains.toml:4: accounts.you.addresses: 'x@example.net': there is no [domains.'example.net']; add it, or correct the address",
    ),
    "address twice": (
        STATIC,
        DOMAINS + '[accounts.other]\naddresses = ["YOU@example.org"]\n',
        "domains.toml:6: accounts.other.addresses: 'YOU@example.org' already belongs to account 'you'; an address leads to one account",
    ),
    "separator in address": (
        STATIC,
        DOMAINS.replace('"you@example.org"', '"a+b@example.org"'),
        "domains.toml:4: accounts.you.addresses: 'a+b@example.org' contains the separator '+'; such addresses already reach the part before it",
    ),
    "address of an IP literal": (
        STATIC,
        DOMAINS.replace('"you@example.org"', '"you@[192.0.2.1]"'),
        "'you@[192.0.2.1]' names an IP address; accounts have addresses of the domains in this file",
    ),
    "account name": (
        STATIC,
        DOMAINS.replace("accounts.you", "accounts.'../x'"),
        "domains.toml:3: accounts.../x: account names have 1 to 64 of a-z 0-9 . _ - and do not begin with a dot",
    ),
    "postmaster nobody": (
        'postmaster = "boss"\n' + STATIC,
        DOMAINS,
        "moxd.toml:1: postmaster: there is no account 'boss' in domains.toml; name one that exists",
    ),
    "DNS server": (
        'dns = { servers = ["dns.example"] }\n' + STATIC,
        DOMAINS,
        "moxd.toml:1: dns.servers.0: 'dns.example' is not an IP address",
    ),
    "not a domain": (
        STATIC,
        DOMAINS.replace('domains."example.org"', 'domains."exa mple.org"').replace(
            '"you@example.org", "@example.org"', '"a@b"'
        ),
        "'exa mple.org' is not a domain name",
    ),
}


@pytest.mark.parametrize("static, domains, want", WRONG.values(), ids=WRONG)
def test_each_problem_has_its_place_and_what_to_do(tmp_path: Path, static: str, domains: str, want: str) -> None:
    assert any(want in problem for problem in problems(write(tmp_path, static, domains))), problems(tmp_path)


def test_every_problem_of_both_files_at_once(tmp_path: Path) -> None:
    found = problems(write(tmp_path, STATIC + "smpt = 26\nworkers = 0\n", DOMAINS + "x = 1\n"))
    assert len(found) == 3


def test_files_that_are_not_there(tmp_path: Path) -> None:
    found = problems(tmp_path)
    assert [problem.split(":")[0] for problem in found] == ["moxd.toml", "domains.toml"]
    assert all("create it or name another folder with --config" in problem for problem in found)


def test_domains_are_read_again_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    config = read_config(write(tmp_path))
    write(tmp_path, domains=DOMAINS + '[accounts.two]\naddresses = ["two@example.org"]\n')
    assert "two" in read_domains(config).domains.accounts
    write(tmp_path, domains="[domains")
    with pytest.raises(ConfigError):
        read_domains(config)
