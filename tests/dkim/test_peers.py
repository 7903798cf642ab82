"""What we sign verifies in opendkim, Mail::DKIM, dkimpy and rspamd, and what they sign verifies here; ARC as well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.dnstable import dns_table
from kit.processes import Running, answers, free_port, loopback, program
from mox_dkim import (
    BodyLength,
    Form,
    KeyRecord,
    KeyType,
    Policy,
    Sealer,
    Signer,
    Status,
    generate,
    sign,
    verify_chain_sync,
    verify_sync,
)
from mox_dns import Zone
from mox_message import AuthenticationResults, Content, Fields, MethodResult

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
KEY, SMALL = generate(), generate(KeyType.ED25519)
RECORDS = {
    "sel._domainkey.example.org": str(KeyRecord.of(KEY)),
    "small._domainkey.example.org": str(KeyRecord.of(SMALL)),
}
ZONE = Zone({f"{name} TXT": [text] for name, text in RECORDS.items()})

# opendkim wants a Date.  White space, folding, doubled fields, lines of dots, an end without and with empty lines: where verifiers differ.
MESSAGES = {
    "plain": b"From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello, Bob.\r\n",
    "white space": b"From:  Ann \t <ann@example.org>\r\nSubject:  a\r\n\t b  \r\n c\r\nTo: bob@example.net\r\n"
    b"Date: \tTue, 14 Nov 2023 22:13:20 +0000\r\nReceived: one\r\nReceived:\ttwo\r\n\r\n a  b\t\tc \t\r\n\t\r\n.\r\n..\r\nend \r\n\r\n \r\n\r\n",
    "an empty body": b"From: ann@example.org\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: x\r\n\r\n",
    "octets": b"From: ann@example.org\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: \xc3\xa4\r\n\r\n\xff\xfe\x80 \xe4\r\n",
    "large": b"From: ann@example.org\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: x\r\n\r\n"
    + b"a line of  text \t\r\n" * 5_000,
}
FORMS = [(header, body) for header in Form for body in Form]


def signed(message: bytes, signer: Signer) -> bytes:
    return signer.sign(Fields.parse(message), Content.of(message), now=time.time()) + message


def changed(message: bytes) -> bytes:
    """The message with another Subject."""
    return message.replace(b"\r\nSubject", b"\r\nSubject: no\r\nX-Subject", 1)


def run(command: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("peers")
    made.chmod(0o777)
    (made / "key.pem").write_bytes(KEY.pem())
    (made / "key.pem").chmod(0o644)
    (made / "records.json").write_text(json.dumps(RECORDS))
    return made


# -- opendkim


@pytest.fixture(scope="module")
def opendkim(folder: Path) -> Iterator[list[str]]:
    """opendkim-testmsg as it verifies: it asks the name server of /etc/resolv.conf, so it gets one of its own."""
    found, unshare = program("opendkim-testmsg", "opendkim-tools"), program("unshare", "util-linux")
    if os.geteuid() != 0:
        pytest.skip("opendkim-testmsg asks the system's name server; only root can give it another one")
    (address,) = loopback(1)
    (folder / "resolv.conf").write_text(f"nameserver {address}\n")
    script = 'mount --bind "$1" /etc/resolv.conf && exec "$2"'
    with dns_table(RECORDS, address, 53):
        yield [unshare, "-m", "sh", "-c", script, "sh", str(folder / "resolv.conf"), found]


@pytest.mark.parametrize("forms", FORMS, ids=lambda forms: "/".join(forms))
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_opendkim_verifies_ours(opendkim: list[str], message: bytes, forms: tuple[Form, Form]) -> None:
    signer = Signer("example.org", "sel", KEY, header_form=forms[0], body_form=forms[1])
    done = run(opendkim, signed(message, signer))
    assert done.returncode == 0, done.stderr
    assert run(opendkim, changed(signed(message, signer))).returncode != 0


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_we_verify_opendkims(folder: Path, message: bytes) -> None:
    command = [program("opendkim-testmsg", "opendkim-tools"), "-C", "-d", "example.org", "-s", "sel"]
    done = run([*command, "-k", str(folder / "key.pem")], message)
    assert done.returncode == 0, done.stderr
    # It signs with SHA-1 and has no option for another hash.
    (result,) = verify_sync(done.stdout, ZONE, policy=Policy(allow_sha1=True))
    assert result.status is Status.PASS, result.explain()
    (result,) = verify_sync(done.stdout, ZONE)
    assert result.status is Status.PERMERROR
    (result,) = verify_sync(changed(done.stdout), ZONE, policy=Policy(allow_sha1=True))
    assert result.status is Status.FAIL


# -- Mail::DKIM

PERL = r"""
use strict; use warnings; use JSON::PP; use Mail::DKIM::Verifier; use Mail::DKIM::Signer; use Mail::DKIM::DNS;
use Mail::DKIM::ARC::Verifier; use Mail::DKIM::ARC::Signer;
package Record; sub new { bless { text => $_[1] }, $_[0] } sub type { 'TXT' } sub txtdata { ($_[0]{text}) }
package main;
my ($what, $folder, @more) = @ARGV;
binmode STDIN; binmode STDOUT;
my $message = do { local $/; <STDIN> };
open my $file, '<', "$folder/records.json" or die; my $records = decode_json(do { local $/; <$file> });
{ no warnings 'redefine';
  *Mail::DKIM::DNS::query = sub { my $text = $records->{lc $_[0]}; return defined $text ? Record->new($text) : () }; }
my $arc = $what =~ /^arc/;
if ($what =~ /verify/) {
    my $dkim = $arc ? Mail::DKIM::ARC::Verifier->new : Mail::DKIM::Verifier->new;
    $dkim->PRINT($message); $dkim->CLOSE;
    my @each = $arc ? () : map { $_->result } $dkim->signatures;
    print join(' ', $dkim->result, @each);
} else {
    my %as = (Algorithm => 'rsa-sha256', Domain => 'example.org', Selector => 'sel', KeyFile => "$folder/key.pem");
    my $dkim = $arc ? Mail::DKIM::ARC::Signer->new(%as, Chain => $more[0], SrvId => 'mx.example.org')
                    : Mail::DKIM::Signer->new(%as, Method => $more[0]);
    $dkim->PRINT($message); $dkim->CLOSE;
    print map { "$_\r\n" } $arc ? $dkim->as_strings : $dkim->signature->as_string;
}
"""


@pytest.fixture(scope="module")
def perl(folder: Path) -> list[str]:
    found = program("perl", "perl")
    if run([found, "-MMail::DKIM::ARC::Signer", "-e1"], b"").returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("Mail::DKIM is not installed (Debian package libmail-dkim-perl)")
        pytest.skip("Mail::DKIM is not installed (Debian package libmail-dkim-perl)")
    return [found, "-e", PERL]


def perl_says(perl: list[str], folder: Path, what: str, data: bytes, *more: str) -> str:
    done = run([*perl, what, str(folder), *more], data)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("latin-1")


@pytest.mark.parametrize("forms", FORMS, ids=lambda forms: "/".join(forms))
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_mail_dkim_verifies_ours(perl: list[str], folder: Path, message: bytes, forms: tuple[Form, Form]) -> None:
    ours = signed(message, Signer("example.org", "sel", KEY, header_form=forms[0], body_form=forms[1]))
    assert perl_says(perl, folder, "verify", ours) == "pass pass"
    assert perl_says(perl, folder, "verify", changed(ours)) == "fail fail"


@pytest.mark.parametrize("method", ["relaxed/relaxed", "simple/simple", "relaxed", "simple/relaxed"])
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_we_verify_mail_dkims(perl: list[str], folder: Path, message: bytes, method: str) -> None:
    field = perl_says(perl, folder, "sign", message, method).encode("latin-1")
    (result,) = verify_sync(field + message, ZONE)
    assert result.status is Status.PASS, result.explain()
    (result,) = verify_sync(field + changed(message), ZONE)
    assert result.status is Status.FAIL


FOUND = AuthenticationResults("mx.example.org", (MethodResult("spf", "pass"),))


def sealed(message: bytes) -> bytes:
    """The message with one more set of ours."""
    chain = verify_chain_sync(message, ZONE)
    sealer = Sealer("example.org", "sel", KEY)
    return sealer.seal(Fields.parse(message), Content.of(message), FOUND, chain, now=time.time()) + message


def test_arc_with_mail_dkim(perl: list[str], folder: Path) -> None:
    """A chain of three sets, every second one by the other: both find it good."""
    message = MESSAGES["plain"]
    message = sealed(message)
    assert perl_says(perl, folder, "arc-verify", message) == "pass"
    theirs = b"Authentication-Results: mx.example.org; arc=pass\r\n" + message
    message = perl_says(perl, folder, "arc-sign", theirs, "pass").encode("latin-1") + message
    chain = verify_chain_sync(message, ZONE)
    assert (chain.status, len(chain.hops)) == ("pass", 2), chain.explain()
    message = sealed(message)
    assert perl_says(perl, folder, "arc-verify", message) == "pass"
    chain = verify_chain_sync(message, ZONE)
    assert (chain.status, chain.instance) == ("pass", 3)
    assert perl_says(perl, folder, "arc-verify", changed(message)) == "fail"


# -- dkimpy

DKIMPY = """
import json, sys, dkim
what, folder, data = sys.argv[1], sys.argv[2], sys.stdin.buffer.read()
records = json.load(open(folder + "/records.json"))
def dns(name, timeout=5):
    text = records.get(name.decode().rstrip("."))
    return text and text.encode()
if what == "verify":
    one = dkim.DKIM(data)
    count = sum(name.lower() == b"dkim-signature" for name, _ in one.headers)
    print([one.verify(idx=n, dnsfunc=dns) for n in range(count)])
elif what == "arc":
    print(dkim.arc_verify(data, dnsfunc=dns)[0].decode())
else:
    forms = tuple(part.encode() for part in sys.argv[3].split("/"))
    made = dkim.sign(data, b"sel", b"example.org", open(folder + "/key.pem", "rb").read(), canonicalize=forms)
    sys.stdout.buffer.write(made)
"""


@pytest.fixture(scope="module")
def dkimpy() -> list[str]:
    """A Python that has dkimpy: this one, one named by MOX_BENCH_PEERS, or the environment of `nox -s compare`."""
    for python in (
        sys.executable,
        os.environ.get("MOX_BENCH_PEERS", ""),
        str(ROOT / ".nox" / "compare" / "bin" / "python"),
    ):
        if python and shutil.which(python) and run([python, "-c", "import dkim, authres"], b"").returncode == 0:
            return [python, "-c", DKIMPY]
    pytest.skip("no Python with dkimpy: run `nox -s compare` once, or set MOX_BENCH_PEERS to one that has it")


@pytest.mark.parametrize("forms", FORMS[::3], ids=lambda forms: "/".join(forms))
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_dkimpy_and_we(dkimpy: list[str], folder: Path, message: bytes, forms: tuple[Form, Form]) -> None:
    ours = signed(message, Signer("example.org", "sel", KEY, header_form=forms[0], body_form=forms[1]))
    assert run([*dkimpy, "verify", str(folder)], ours).stdout == b"[True]\n"
    assert run([*dkimpy, "verify", str(folder)], changed(ours)).stdout == b"[False]\n"
    made = run([*dkimpy, "sign", str(folder), "/".join(forms)], message)
    assert made.returncode == 0, made.stderr
    (result,) = verify_sync(made.stdout + message, ZONE)
    assert result.status is Status.PASS, result.explain()


def test_arc_with_dkimpy(dkimpy: list[str], folder: Path) -> None:
    message = sealed(sealed(MESSAGES["plain"]))
    assert run([*dkimpy, "arc", str(folder)], message).stdout == b"pass\n"
    assert run([*dkimpy, "arc", str(folder)], changed(message)).stdout == b"fail\n"


# -- rspamd

RSPAMD = """\
options {{
  pidfile = "{folder}/rspamd.pid"; filters = "dkim"; tempdir = "{folder}"; dynamic_conf = "{folder}/dynamic";
  dns {{ nameserver = ["127.0.0.1:{dns}"]; timeout = 10s; retransmits = 5; }}
  url_tld = "/usr/share/rspamd/effective_tld_names.dat"; control_socket = "{folder}/control.sock mode=0600";
  history_file = ""; cache_file = "{folder}/cache"; hs_cache_dir = "{folder}/"; rrd = ""; disable_hyperscan = true;
}}
logging {{ type = "console"; level = "warning"; color = false; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
dkim {{ }}
dkim_signing {{
  sign_local = true; sign_authenticated = true; allow_hdrfrom_mismatch = true; allow_username_mismatch = true;
  use_domain = "header"; domain {{ "example.org" {{ path = "{folder}/key.pem"; selector = "sel"; }} }}
}}
modules {{ path = "/usr/share/rspamd/plugins/dkim_signing.lua"; }}
actions {{ reject = 100; }}
"""


@dataclass
class Rspamd:
    """A running rspamd."""

    port: int

    def ask(self, data: bytes, **headers: str) -> dict[str, object]:
        """What it finds in a message.  On a busy machine its worker now and then ends before it answers, and another one
        begins: it is asked again."""
        for last in (False, False, True):
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/checkv2", data, headers)
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    found: dict[str, object] = json.load(response)
                    return found
            except ConnectionError:
                if last:
                    raise
                time.sleep(2)
        raise AssertionError("not reached")


@pytest.fixture(scope="module")
def rspamd(folder: Path) -> Iterator[Rspamd]:
    found = program("rspamd", "rspamd")
    with ExitStack() as stack:
        port, room = free_port(), folder / "rspamd"
        room.mkdir(mode=0o777)
        room.chmod(0o777)
        shutil.copy(folder / "key.pem", room)
        dns = stack.enter_context(dns_table(RECORDS))
        (room / "rspamd.conf").write_text(RSPAMD.format(folder=room, dns=dns, port=port))
        running = Running([found, "-f", "-i", "-c", str(room / "rspamd.conf")], room, "rspamd")
        stack.callback(running.kill)
        running.wait_until(lambda: answers(port), 60)
        yield Rspamd(port)


def allowed(found: dict[str, object]) -> list[str]:
    symbols = found["symbols"]
    assert isinstance(symbols, dict)
    return sorted(symbols.get("R_DKIM_ALLOW", {}).get("options", []))


@pytest.mark.parametrize("message", [MESSAGES["plain"], MESSAGES["white space"], MESSAGES["large"]])
def test_rspamd_verifies_ours(rspamd: Rspamd, message: bytes) -> None:
    signers = [Signer("example.org", "sel", KEY), Signer("example.org", "small", SMALL)]
    ours = sign(Fields.parse(message), Content.of(message), signers, now=time.time()) + message
    assert allowed(rspamd.ask(ours, IP="192.0.2.1")) == ["example.org:s=sel", "example.org:s=small"]
    assert allowed(rspamd.ask(changed(ours), IP="192.0.2.1")) == []


@pytest.mark.parametrize("message", [MESSAGES["plain"], MESSAGES["white space"], MESSAGES["large"]])
def test_we_verify_rspamds(rspamd: Rspamd, message: bytes) -> None:
    found = rspamd.ask(message, IP="127.0.0.1", User="ann@example.org")
    field = f"DKIM-Signature: {found['dkim-signature']}\r\n".encode()
    (result,) = verify_sync(field + message, ZONE, policy=Policy(body_length=BodyLength.REFUSE))
    assert result.status is Status.PASS, result.explain()
