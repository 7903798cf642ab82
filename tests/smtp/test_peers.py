"""Against real programs: their clients send to our server, our client sends to their servers."""

from __future__ import annotations

import asyncio
import json
import os
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.processes import Running, answers, free_port, program
from kit.suites import SUITES
from mox_message import Content
from mox_smtp import (
    ENCRYPTED,
    ClientConfig,
    Delivered,
    Envelope,
    MailOptions,
    Notify,
    OriginalRecipient,
    Pkix,
    RcptOptions,
    Ret,
    Trouble,
)
from mox_smtp.aio import connect

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("smtp peers")]

MESSAGE = b"From: a@sender.test\r\nTo: b@mx.test\r\nSubject: dots\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
INTERNATIONAL = "From: jürgen@sender.test\r\nSubject: Grüße\r\n\r\nÜber alles.\r\n".encode()
BIG = b"Subject: big\r\n\r\n" + b"".join(b"%d " % n + b"x" * 70 + b"\r\n" for n in range(40_000))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that servers can reach which have given up root."""
    with tempfile.TemporaryDirectory(prefix="mox-peers-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


# -- our server, their clients


@dataclass
class Ours:
    """`python -m mox_smtp serve-sink`, running."""

    port: int
    folder: Path
    certificate: Path
    running: Running

    def wait(self, count: int) -> list[tuple[bytes, dict[str, Any]]]:
        """The messages once there are so many, with their envelopes."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if len(list(self.folder.glob("*.eml"))) >= count:
                break
            time.sleep(0.05)
        names = sorted(self.folder.glob("*.eml"), key=lambda path: int(path.stem))
        assert len(names) == count, self.running.output
        return [(path.read_bytes(), json.loads(path.with_suffix(".json").read_text())) for path in names]


@contextmanager
def ours(folder: Path, *options: str, tls: bool = True) -> Iterator[Ours]:
    pytest.importorskip("cryptography", reason="cryptography is not installed: no certificate for TLS")
    from kit.certificates import make

    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    port = free_port()
    certificate, key = make("localhost", names=["localhost", "127.0.0.1"]).write(folder)
    command = [sys.executable, "-m", "mox_smtp", "serve-sink", "--listen", f"127.0.0.1:{port}", "--refuse", "no"]
    command += ["--directory", str(folder / "mail"), *options]
    if tls:
        command += ["--certificate", str(certificate), "--key", str(key)]
    running = Running(command, folder, "sink", {**os.environ, "SMTP_PASSWORD": "pencil"})
    try:
        running.wait_until(lambda: answers(port))
        yield Ours(port, folder / "mail", certificate, running)
    finally:
        running.kill()


def run(*command: str, said: bytes = b"", env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, input=said, capture_output=True, timeout=60, env=env)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout.decode()


def test_smtplib(tmp_path: Path) -> None:
    with ours(tmp_path) as sink:
        context = ssl.create_default_context(cafile=str(sink.certificate))
        with smtplib.SMTP("localhost", sink.port, timeout=20) as client:
            client.starttls(context=context)
            refused = client.sendmail(
                "a@sender.test", ["b@mx.test", "no@mx.test"], MESSAGE, ["RET=HDRS"], ["NOTIFY=NEVER"]
            )
            assert list(refused) == ["no@mx.test"]
            client.sendmail("jürgen@sender.test", ["ü@mx.test"], INTERNATIONAL, ["SMTPUTF8", "BODY=8BITMIME"])
            client.sendmail("", ["b@mx.test"], BIG)
        (first, facts), (second, _), (third, _) = sink.wait(3)
        assert (first, second, third) == (MESSAGE, INTERNATIONAL, BIG)
        assert facts["tls"].startswith("TLS")
        assert facts["to"] == [{"path": "b@mx.test", "parameters": "NOTIFY=NEVER"}]


@pytest.mark.parametrize("tls", [("-tls",), ("-tlsc",), ()], ids=["STARTTLS", "TLS", "clear"])
@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
def test_swaks(tmp_path: Path, tls: tuple[str, ...], auth: str) -> None:
    swaks = program("swaks", "swaks")
    implicit = ["--tls"] if tls == ("-tlsc",) else []
    with ours(tmp_path, "--user", "ann", *implicit, tls=bool(tls)) as sink:
        common = [swaks, "--server", f"127.0.0.1:{sink.port}", "--from", "a@sender.test", "--to", "b@mx.test", *tls]
        said = run(*common, "--auth", auth, "--auth-user", "ann", "--auth-password", "pencil", "--pipeline")
        assert " 235 " in said
        wrong = subprocess.run(
            [*common, "--auth", auth, "--auth-user", "ann", "--auth-password", "x"], capture_output=True
        )
        assert wrong.returncode == 28
        ((_, facts),) = sink.wait(1)
        assert facts["authenticated"]
        assert bool(facts["tls"]) == bool(tls)


@pytest.mark.parametrize("auth", ["plain", "scram-sha-256", "login"])
def test_msmtp(tmp_path: Path, auth: str) -> None:
    msmtp = program("msmtp", "msmtp")
    if f"{auth} " not in run(msmtp, "--version").lower().replace("\n", " ") + " ":
        pytest.skip(f"this msmtp has no {auth}")
    with ours(tmp_path, "--user", "ann") as sink:
        config = tmp_path / "msmtprc"
        config.write_text(
            f"account default\nhost localhost\nport {sink.port}\ntls on\ntls_starttls on\n"
            f"tls_trust_file {sink.certificate}\nauth {auth}\nuser ann\npassword pencil\nfrom a@sender.test\n"
        )
        config.chmod(0o600)
        run(
            msmtp,
            "-C",
            str(config),
            "-N",
            "failure,delay",
            "-R",
            "hdrs",
            "b@mx.test",
            said=MESSAGE.replace(b"\r\n", b"\n"),
        )
        ((message, facts),) = sink.wait(1)
        assert as_sent(message, MESSAGE)
        assert facts["authenticated"]
        assert facts["to"][0]["parameters"].lower() == "notify=failure,delay"
        assert "RET=HDRS" in facts["parameters"].upper()


def test_curl(tmp_path: Path) -> None:
    curl = program("curl", "curl")
    with ours(tmp_path, "--user", "ann") as sink:
        path = tmp_path / "message"
        path.write_bytes(MESSAGE)
        run(
            curl, "-sS", "--ssl-reqd", "--cacert", str(sink.certificate), f"smtp://localhost:{sink.port}", "-u", "ann:pencil",
            "--mail-from", "a@sender.test", "--mail-rcpt", "b@mx.test", "--upload-file", str(path),
        )  # fmt: skip
        ((message, facts),) = sink.wait(1)
        assert message == MESSAGE
        assert facts["authenticated"]


def test_smtp_source(tmp_path: Path) -> None:
    source = program("smtp-source", "postfix")
    with ours(tmp_path, tls=False) as sink:
        run(source, "-4", "-s", "5", "-m", "50", "-l", "20000", "-r", "3", "-t", "b@mx.test", f"127.0.0.1:{sink.port}")
        found = sink.wait(50)
        assert all(len(facts["to"]) == 3 for _, facts in found)
        assert {len(message) for message, _ in found} != set()


@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
def test_postfix_relays_to_us(folder: Path, lmtp: bool) -> None:
    from kit.certificates import make
    from kit.postfix import postfix

    certificate, key = make("mx.postfix.test", names=["mx.postfix.test"]).write(folder)
    with ours(folder / "ours", *(["--lmtp"] if lmtp else [])) as sink:
        where = f"{'lmtp:inet:' if lmtp else 'smtp:'}[127.0.0.1]:{sink.port}"
        more = f"default_transport = {where}\nlmtp_tls_security_level = may\n"
        with postfix(
            folder / "postfix", address="127.0.0.17", host="mx.postfix.test", domain="postfix.test", nameserver=None,
            certificate=certificate, key=key, extra=more,
        ):  # fmt: skip
            with smtplib.SMTP("127.0.0.17", 25, timeout=20) as client:
                client.ehlo()
                client.sendmail(
                    "a@sender.test", ["b@mx.test", "no@mx.test"], MESSAGE, ["RET=HDRS", "ENVID=id+3D1"],
                    ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;old@mx.test"],
                )  # fmt: skip
                client.sendmail("jürgen@sender.test", ["ü@mx.test"], INTERNATIONAL, ["SMTPUTF8", "BODY=8BITMIME"])
            found = sink.wait(3)  # two, and a notice that one recipient was refused
            by_sender = {facts["from"]: (message, facts) for message, facts in found}
            message, facts = by_sender["a@sender.test"]
            assert as_sent(message, MESSAGE)
            assert facts["tls"].startswith("TLS")
            assert "RET=HDRS" in facts["parameters"]
            assert "ENVID=id+3D1" in facts["parameters"]
            (to,) = facts["to"]
            assert to["path"] == "b@mx.test"
            assert set(to["parameters"].split()) == {"NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;old@mx.test"}
            message, facts = by_sender["jürgen@sender.test"]
            assert as_sent(message, INTERNATIONAL)
            assert "SMTPUTF8" in facts["parameters"]


def test_exim_relays_to_us(folder: Path) -> None:
    """By BDAT, which few senders speak."""
    from kit.smtp_peers import exim

    (folder / "exim").mkdir()
    with ours(folder / "ours") as sink, exim(folder / "exim", sink.port) as peer:
        with smtplib.SMTP("127.0.0.1", peer.port, timeout=20) as client:
            client.ehlo()
            client.sendmail("a@sender.test", ["b@ours.test"], MESSAGE, ["RET=HDRS"], ["NOTIFY=FAILURE"])
            client.sendmail("a@sender.test", ["b@ours.test"], BIG)
            client.sendmail("jürgen@sender.test", ["b@ours.test"], INTERNATIONAL, ["SMTPUTF8", "BODY=8BITMIME"])
        found = sink.wait(3)
        for message in (MESSAGE, BIG, INTERNATIONAL):
            assert any(as_sent(one, message) for one, _ in found)
        assert all(facts["tls"].startswith("TLS") for _, facts in found)
        assert any("RET=HDRS" in facts["parameters"] for _, facts in found)
        assert any("NOTIFY=FAILURE" in facts["to"][0]["parameters"] for _, facts in found)
        assert all(facts["bdat"] for _, facts in found)


# -- our client, their servers


def deliver(
    port: int, messages: list[tuple[Envelope, bytes]], *, address: str = "127.0.0.1", change: Callable[[Any], None] | None = None,
    **config: Any,
) -> list[Delivered]:  # fmt: skip
    """All over one connection."""

    async def talk() -> list[Delivered]:
        options = ClientConfig("client.test", **{"trust": ENCRYPTED, **config})
        connection = await connect([address], "localhost", options, port=port)
        async with connection:
            if change is not None:
                change(connection.client)
            found = [await connection.deliver(envelope, Content.of(message)) for envelope, message in messages]
            await connection.quit()
        return found

    return asyncio.run(talk())


def codes(delivered: Delivered) -> list[int]:
    return [reply.code for reply in delivered.replies.values()]


DSN = MailOptions(ret=Ret.FULL, envid="our+id")
WISHES = {"b@mx.test": RcptOptions(frozenset({Notify.FAILURE}), OriginalRecipient("rfc822", "first@mx.test"))}


def envelopes(*recipients: str) -> list[tuple[Envelope, bytes]]:
    """A message with wishes and a refused recipient, an international one, a big one."""
    return [
        (Envelope("a@sender.test", recipients, options=DSN, rcpt_options=WISHES), MESSAGE),
        (Envelope.of("", recipients[:1], Content.of(INTERNATIONAL)), INTERNATIONAL),
        (Envelope("a@sender.test", recipients[:1]), BIG),
    ]


def as_sent(delivered: bytes, sent: bytes) -> bool:
    """The same body, and every field that was sent; servers add fields, and keep lines with LF."""
    head, _, body = delivered.replace(b"\r\n", b"\n").partition(b"\n\n")
    sent_head, _, sent_body = sent.replace(b"\r\n", b"\n").partition(b"\n\n")
    return body.rstrip(b"\n") == sent_body.rstrip(b"\n") and set(sent_head.split(b"\n")) <= set(head.split(b"\n"))


def came(messages: Callable[[], list[bytes]], count: int) -> list[bytes]:
    """What was delivered, with LF, once there is so much."""
    end = time.monotonic() + 20
    while len(messages()) < count and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.1)
    return [message.replace(b"\r\n", b"\n") for message in messages()]


@pytest.mark.parametrize("chunking", [True, False], ids=["BDAT", "DATA"])
def test_postfix_takes_what_we_send(folder: Path, chunking: bool) -> None:
    from kit.certificates import make
    from kit.postfix import postfix

    certificate, key = make("localhost", names=["localhost"]).write(folder)
    with postfix(
        folder / "postfix", address="127.0.0.18", host="mx.postfix.test", domain="mx.test", nameserver=None,
        certificate=certificate, key=key,
    ) as peer:  # fmt: skip
        trust = Pkix(("localhost",), str(certificate))
        found = deliver(25, envelopes("b@mx.test", "c@mx.test"), address="127.0.0.18", chunking=chunking, trust=trust)
        assert [codes(one) for one in found] == [[250, 250], [250], [250]], found
        assert found[0].dsn
        assert found[0].tls_result is not None
        assert found[0].tls_result.proof.means == "pkix"
        said = "\n".join(found[0].transcript)
        assert "RET=FULL ENVID=our+2Bid" in said
        assert ("BDAT" in said) == chunking
        messages = came(peer.messages, 3)
        for message in (MESSAGE, INTERNATIONAL, BIG):
            assert any(as_sent(one, message) for one in messages)


@pytest.mark.parametrize("chunking", [True, False], ids=["BDAT", "DATA"])
def test_exim_takes_what_we_send(folder: Path, chunking: bool) -> None:
    from kit.smtp_peers import exim

    with exim(folder) as peer:
        found = deliver(peer.port, envelopes("b@mx.test", "no@mx.test"), chunking=chunking)
        assert [codes(one) for one in found] == [[250, 550], [250], [250]], found
        assert ("BDAT" in "\n".join(found[0].transcript)) == chunking
        assert found[0].tls
        messages = came(peer.messages, 3)
        for message in (MESSAGE, INTERNATIONAL, BIG):
            assert any(as_sent(one, message) for one in messages)


def test_chasquid_takes_what_we_send(tmp_path: Path) -> None:
    from kit.smtp_peers import chasquid

    with chasquid(tmp_path) as peer:
        found = deliver(peer.port, envelopes("ann@chasquid.test", "bob@chasquid.test"))
        assert [codes(one) for one in found] == [[250, 550], [250], [250]], found
        assert found[0].tls
        messages = came(peer.messages, 3)
        for message in (MESSAGE, INTERNATIONAL, BIG):
            assert any(as_sent(one, message) for one in messages)


def test_aiosmtpd_takes_what_we_send(tmp_path: Path) -> None:
    from kit.smtp_peers import aiosmtpd

    with aiosmtpd(tmp_path) as peer:
        found = deliver(peer.port, envelopes("b@mx.test", "no@mx.test"))
        assert [codes(one) for one in found] == [[250, 550], [250], [250]], found
        assert found[0].tls
        assert sorted(peer.messages()) == sorted([MESSAGE, INTERNATIONAL, BIG])


@pytest.mark.parametrize("lmtp", [False, True], ids=["smtp", "lmtp"])
def test_smtp_sink_takes_what_we_send(tmp_path: Path, lmtp: bool) -> None:
    from mox_smtp import CLEAR

    sink, port = program("smtp-sink", "postfix"), free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    running = Running([sink, "-4", *(["-L"] if lmtp else []), *user, f"127.0.0.1:{port}", "100"], tmp_path, "smtp-sink")
    try:
        running.wait_until(lambda: answers(port))
        found = deliver(port, envelopes("b@mx.test", "c@mx.test"), lmtp=lmtp, trust=CLEAR)
        assert [codes(one) for one in found] == [[250, 250], [553], [250]], found  # it has no SMTPUTF8
        assert [one.local for one in found] == [False, True, False]
    finally:
        running.kill()


def test_a_server_that_cannot_prove_its_name(tmp_path: Path) -> None:
    with ours(tmp_path) as sink:
        with pytest.raises(Trouble):
            deliver(sink.port, envelopes("b@mx.test"), trust=Pkix(("localhost",)))
        with pytest.raises(Trouble):
            deliver(sink.port, envelopes("b@mx.test"), trust=Pkix(("elsewhere.test",), str(sink.certificate)))
        found = deliver(
            sink.port, envelopes("b@mx.test", "no@mx.test"), trust=Pkix(("localhost",), str(sink.certificate))
        )
        assert [codes(one) for one in found] == [[250, 550], [250], [250]]


def test_real_messages_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Messages of the MIME suites, octet for octet, in one conversation with BDAT and one with DATA."""
    paths = sorted(path for path in SUITES.glob("mime-*/**/*.eml") if path.is_file())[:300]
    if not paths:
        pytest.skip(f"no mime-* suites in {SUITES}; set MOX_SUITES")
    bodies = [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n") for path in paths]
    messages = [(Envelope.of("a@sender.test", ("b@mx.test",), Content.of(body)), body) for body in bodies]
    messages = [(envelope, body) for envelope, body in messages if not envelope.binary and body.endswith(b"\r\n")]
    with ours(tmp_path) as sink:
        for chunking in (True, False):
            found = deliver(sink.port, messages, chunking=chunking)
            assert {code for one in found for code in codes(one)} == {250}
        taken = [message for message, _ in sink.wait(2 * len(messages))]
    assert taken == [body for _, body in messages] * 2
