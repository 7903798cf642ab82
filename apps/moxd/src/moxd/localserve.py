"""A complete mail server on this machine only: for trying, and for people who develop something that sends mail."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import mox_dkim
import mox_dns
import mox_store
from mox_dkim.key import private_key
from moxd import app
from moxd.config import Account, Config, Dkim, Domain, Domains, Listener, Selector, Static, Tls
from moxd.login import generate_password, make_credentials
from moxd.tls import certificates, dkim_keys

ACCOUNT = "mox"
ADDRESS = "mox@localhost"
PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "http": 80, "https": 443}
HIGHEST = 65535 - max(PORTS.values())


def default_data() -> Path:
    """$MOXD_DATA, else the user's data folder (XDG Base Directory)."""
    if named := os.environ.get("MOXD_DATA"):
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "moxd" / "localserve"


def _addresses() -> tuple[str, ...]:
    """Loopback, both families where the machine has both."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return ("127.0.0.1",)
    return ("127.0.0.1", "::1")


def configuration(folder: Path, ports_from: int, workers: int, log_level: str, files: certificates.Files) -> Config:
    """The configuration that localserve runs with."""
    listener = Listener(
        addresses=_addresses(),
        submissions_on_https=True,
        imaps_on_https=True,
        tls=Tls(certificate=files.certificate, key=files.key),
        **{name: port + ports_from for name, port in PORTS.items()},  # type: ignore[arg-type]  # their names are ports
    )
    static = Static(
        hostname="localhost",
        data=folder / "data",
        workers=workers,
        log_level=log_level,  # type: ignore[arg-type]  # argparse has checked it
        postmaster=ACCOUNT,
        connections_per_minute=0,
        slow_seconds=0,
        listeners={"local": listener},
    )
    selector = Selector(key=folder / "dkim" / "local.pem")
    domains = Domains(
        domains={"localhost": Domain(dkim=Dkim(selectors={"local": selector}))},
        accounts={ACCOUNT: Account(addresses=(ADDRESS, "@localhost"))},
    )
    return Config(folder, static, domains)


def zone(key: dkim_keys.DkimKey) -> mox_dns.Zone:
    """What DNS would say of localhost: mail from here passes every check."""
    record = mox_dkim.KeyRecord.of(private_key(key))
    return mox_dns.Zone(
        {
            "localhost A": ["127.0.0.1"],
            "localhost AAAA": ["::1"],
            "localhost MX": ["10 localhost"],
            "localhost TXT": ["v=spf1 a -all"],
            "_dmarc.localhost TXT": ["v=DMARC1; p=reject"],
            "local._domainkey.localhost TXT": [str(record)],
            f"{ip_address('127.0.0.1').reverse_pointer} PTR": ["localhost"],
            f"{ip_address('::1').reverse_pointer} PTR": ["localhost"],
        }
    )


def password(folder: Path, config: Config) -> str:
    """The account's password: made at first start, kept readable for its owner only."""
    path = folder / "password"
    if path.exists():
        return path.read_text().strip()
    value = generate_password(secrets.choice)
    store = mox_store.Store(config.data / "accounts", clock=time.time)
    try:
        credentials = make_credentials(value, secrets.token_bytes(16))
        with store.open(ACCOUNT).write() as tx:
            tx.set_credential("password", credentials.to_text())
    finally:
        store.close()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
    return value


def welcome(config: Config, secret: str, ca: Path) -> str:
    """What a person reads, and the three lines to type next."""
    listener = config.static.listeners["local"]
    return f"""\
moxd localserve: a mail server for this machine, data in {config.folder}

account:  {ADDRESS}
password: {secret}

SMTP {listener.smtp}   \
submission {listener.submission} (STARTTLS), {listener.submissions} (TLS)   \
IMAP {listener.imap} (STARTTLS), {listener.imaps} (TLS)
HTTP {listener.http}   HTTPS {listener.https} (submission and IMAP by ALPN, too); a mail program finds its settings at
https://localhost:{listener.https}/mail/config-v1.1.xml?emailaddress={ADDRESS}

send one:     swaks --server localhost:{listener.submission} -tls --auth PLAIN --auth-user {ADDRESS} \
--auth-password {secret} --from {ADDRESS} --to {ADDRESS}
read one:     curl --cacert {ca} --user {ADDRESS}:{secret} 'imaps://localhost:{listener.imaps}/Inbox;MAILINDEX=*'
trust the CA: {ca}

Everything sent is delivered to {ADDRESS}.  Addresses that fail on purpose: temperror@ permerror@ timeout@ 452@ 550@ …
Ctrl-C stops it."""


def run(folder: Path, ports_from: int, workers: int, log_level: str) -> int:
    """Serves until Ctrl-C.  Raises what app.serve raises, and OSError for the folder."""
    from moxd.cli.serve import StartError

    if not 0 <= ports_from <= HIGHEST:
        raise StartError(f"--ports-from is 0 to {HIGHEST}")
    if workers < 1:
        raise StartError("--workers is at least 1")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names: list[certificates.Name] = ["localhost", ip_address("127.0.0.1"), ip_address("::1")]
    files = certificates.ensure(folder / "tls", names, datetime.now(UTC))
    config = configuration(folder, ports_from, workers, log_level, files)
    key = dkim_keys.ensure(config.domains.domains["localhost"].dkim.selectors["local"].key)
    app.prepare(config)
    secret = password(folder, config)
    answers = zone(key)
    text = welcome(config, secret, files.ca)
    options = app.Options(magic=True, all_local=True, resolver=lambda: answers)
    status = app.serve(config, options, lambda: print(text, flush=True))
    print("stopped", file=sys.stderr)
    return status
