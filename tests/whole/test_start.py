"""What can be wrong at the start: one clear sentence each, a status that scripts can use, and nothing half started."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kit.disks import small_disk
from kit.server import configure, free_ports

pytestmark = [pytest.mark.xdist_group("start"), pytest.mark.timeout(60)]


# As other users: everything is imported before, because they may not be able to read Python's own folders.
_AS_NOBODY = """
import os, sys
import moxd.app, moxd.cli, moxd.config, moxd.tls.contexts, moxd.cli.serve
from moxd.preload import preload
preload()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(moxd.cli.run(sys.argv[1:]))
"""


def run(
    *arguments: str, env: dict[str, str] | None = None, before: Callable[[], None] | None = None, nobody: bool = False
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(["-c", _AS_NOBODY] if nobody else ["-m", "moxd"]), *arguments],
        capture_output=True,
        text=True,
        timeout=40,
        env={**os.environ, **(env or {})},
        preexec_fn=before,
        stdin=subprocess.DEVNULL,
    )


def sentence(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The one sentence on standard error."""
    assert done.returncode == status, (done.returncode, done.stderr, done.stdout)
    assert "Traceback" not in done.stderr, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("moxd: ")]
    assert len(said) == 1, done.stderr
    assert "serving" not in done.stderr
    return said[0]


@pytest.fixture
def folder(public: Path) -> Path:
    made = public / "moxd"
    configure(made, dns="127.0.0.1:53")
    return made


def change(folder: Path, old: str, new: str, name: str = "moxd.toml") -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


# -- configuration


def test_no_configuration(tmp_path: Path) -> None:
    done = run("serve", "--config", str(tmp_path / "nowhere"))
    assert done.returncode == 78
    assert f"{tmp_path}/nowhere/moxd.toml: cannot be read (No such file or directory)" in done.stderr
    assert "--config" in done.stderr


def test_every_error_at_once_with_its_place(folder: Path) -> None:
    (folder / "moxd.toml").write_text(
        """\
hostname = "mx..mox.test"
worker = 2
log_level = "loud"
postmaster = "nobody"

[dns]
servers = ["resolver.example"]

[listeners.all]
addresses = ["localhost"]
smtp = 70000
imap = 143.5
"""
    )
    (folder / "domains.toml").write_text(
        """\
[domains."mox.test"]
separator = "x"

[domains."mox.test".dkim.selectors.test]
key = "nowhere.pem"

[accounts.You]
addresses = ["you@mox.test"]

[accounts.other]
addresses = ["you@mox.test", "other@elsewhere.test", "nothing"]
"""
    )
    for command in (("serve",), ("config", "check")):
        done = run(*command, "--config", str(folder))
        assert done.returncode == 78
        for place in (
            "moxd.toml:1: hostname: ", "moxd.toml:2: worker: there is no such setting", "moxd.toml:3: log_level: ",
            "moxd.toml:7: dns.servers.0: ", "moxd.toml:10: listeners.all.addresses.0: ", "moxd.toml:11: listeners.all.smtp: ",
            "domains.toml:2: domains.mox.test.separator: ",
            "domains.toml:5: domains.mox.test.dkim.selectors.test.key: ", "domains.toml:7: accounts.You: ",
            "domains.toml:11: accounts.other.addresses: 'you@mox.test' already belongs",
            "domains.toml:11: accounts.other.addresses: 'other@elsewhere.test': there is no [domains.",
            "domains.toml:11: accounts.other.addresses: 'nothing' has no @",
        ):  # fmt: skip
            assert place in done.stderr, (place, done.stderr)
        assert "Traceback" not in done.stderr
    listed = json.loads(run("config", "check", "--json", "--config", str(folder)).stdout)
    assert listed["ok"] is False
    assert {"file", "line", "setting", "text"} == listed["problems"][0].keys()
    assert len(listed["problems"]) >= 13


def test_toml_that_is_none(folder: Path) -> None:
    (folder / "moxd.toml").write_text('hostname = "mx.mox.test"\n[listeners\n')
    done = run("serve", "--config", str(folder))
    assert done.returncode == 78
    assert "moxd.toml:2: not valid TOML" in done.stderr
    (folder / "moxd.toml").write_bytes(b'hostname = "\xff"\n')
    done = run("serve", "--config", str(folder))
    assert done.returncode == 78
    assert "save it as UTF-8" in done.stderr


def test_certificates_and_keys_that_are_none(folder: Path) -> None:
    good = (folder / "tls/server-key.pem").read_text()
    (folder / "tls/server-key.pem").write_text("no key")
    assert "both must be PEM files that belong together" in sentence(run("serve", "--config", str(folder)), 74)
    (folder / "tls/server-key.pem").write_text(good)
    (folder / "dkim.pem").write_text("no key")
    assert "dkim.pem is not an unencrypted private key" in sentence(run("serve", "--config", str(folder)), 74)


def test_a_user_that_is_none(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root drops to another user")
    change(folder, "workers = 1", 'workers = 1\nuser = "no-such-user"')
    assert "there is no user 'no-such-user'; make one (`useradd" in sentence(run("serve", "--config", str(folder)), 77)


# -- ports


@pytest.mark.parametrize("workers", [1, 2])
def test_port_in_use(folder: Path, workers: int) -> None:
    change(folder, "workers = 1", f"workers = {workers}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = (folder / "moxd.toml").read_text()
        (folder / "moxd.toml").write_text(
            "\n".join(f"imaps = {port}" if x.startswith("imaps") else x for x in text.split("\n"))
        )
        said = sentence(run("serve", "--config", str(folder)), 69)
    assert f"port {port} of 127.0.0.1 is in use by another program; stop that one" in said


def test_localserve_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        base = taken.getsockname()[1] - 993
        said = sentence(run("localserve", "--data", str(tmp_path / "d"), "--ports-from", str(base)), 69)
    assert "is in use by another program" in said
    assert "--ports-from" in said, "localserve has no configuration: it says what can be typed"


def test_an_address_of_somebody_else(folder: Path) -> None:
    change(folder, 'addresses = ["127.0.0.1"]', 'addresses = ["192.0.2.1"]')
    assert "this machine has no address 192.0.2.1" in sentence(run("serve", "--config", str(folder)), 69)


def may_run_as_nobody() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")


def test_no_permission_for_the_data(folder: Path) -> None:
    may_run_as_nobody()
    for path in folder.glob("**/*.pem"):
        path.chmod(0o644)
    (folder / "tls").chmod(0o755)
    said = sentence(run("serve", "--config", str(folder), nobody=True), 74)
    assert "no permission to write in" in said
    assert "give it to the user that moxd runs as" in said


def test_no_permission_for_the_port(folder: Path) -> None:
    may_run_as_nobody()
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 25:
        pytest.skip("here everybody may bind port 25")
    for path in folder.glob("**/*.pem"):
        path.chmod(0o644)
    (folder / "tls").chmod(0o755)
    text = (folder / "moxd.toml").read_text()
    (folder / "moxd.toml").write_text("\n".join("smtp = 25" if x.startswith("smtp") else x for x in text.split("\n")))
    said = sentence(run("serve", "--config", str(folder), nobody=True), 69)
    assert "no permission for port 25 of 127.0.0.1; start as root" in said


def test_keys_that_may_not_be_read(folder: Path) -> None:
    may_run_as_nobody()
    done = run("serve", "--config", str(folder), nobody=True)
    assert done.returncode == 78
    assert "server-key.pem cannot be read (Permission denied)" in done.stderr


# -- disks


@pytest.mark.parametrize("size", ["4k", "16k", "64k", "200k"])
def test_full_disk(folder: Path, tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "small", size) as small:
        change(folder, 'data = "data"', f'data = "{small}/data"')
        said = sentence(run("serve", "--config", str(folder)), 74)
        assert "the disk of" in said
        assert "is full; free some space and start again" in said


@pytest.mark.parametrize("size", ["4k", "64k", "200k"])
def test_full_disk_of_localserve(tmp_path: Path, size: str) -> None:
    base = free_ports("127.0.0.1", ["one"])["one"] % 40000 + 2000
    with small_disk(tmp_path / "small", size) as small:
        said = sentence(run("localserve", "--data", str(small / "data"), "--ports-from", str(base)), 74)
        assert "is full; free some space and start again" in said


def test_files_may_not_grow(folder: Path) -> None:
    """RLIMIT_FSIZE: like a disk that is full, but for large files only."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    said = sentence(run("serve", "--config", str(folder), before=limit), 74)
    assert str(folder / "data") in said


def test_data_that_is_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    change(folder, 'data = "data"', f'data = "{tmp_path}/file"')
    assert "is not a folder" in sentence(run("serve", "--config", str(folder)), 74)
    assert "is not a folder" in sentence(run("localserve", "--data", str(tmp_path / "file")), 74)


def test_a_database_that_is_none(folder: Path) -> None:
    path = folder / "data/accounts/you/account.db"
    for name in ("account.db-wal", "account.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    path.write_bytes(b"this is no database\n" * 1000)
    said = sentence(run("serve", "--config", str(folder)), 74)
    assert "account.db" in said or "accounts/you" in said, said


# -- mistakes on the command line


@pytest.mark.parametrize(
    "arguments, hint",
    [
        ((), "COMMAND"),
        (("sevre",), "invalid choice"),
        (("localserve", "--ports-from", "70000"), "--ports-from is 0 to"),
        (("localserve", "--workers", "0"), "--workers is at least 1"),
        (("message", "explain", "x"), "13"),
        (("message", "explain", "1111111111111", "--data", "/nowhere"), "there are no data in /nowhere"),
        (("queue", "list", "--config", "/nowhere"), "/nowhere/moxd.toml"),
        (("account", "password", "you", "--config", "/nowhere"), "/nowhere/moxd.toml"),
    ],
)
def test_mistakes(arguments: Sequence[str], hint: str, tmp_path: Path) -> None:
    done = run(*arguments, env={"MOXD_DATA": str(tmp_path / "d")})
    assert done.returncode != 0
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
