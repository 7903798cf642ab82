"""What leaves moxd: limits of accounts, reverse-paths and what comes back to them, notices, routes, signatures."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mox_dkim
import mox_dns
from kit.script_host import ScriptHost, script_host
from kit.server import PASSWORD, Moxd, configure, dkim_record, moxd
from kit.stubdns import stub_dns
from kit.suitemail import suite_messages
from kit.world import id_of, newest, submit, trusting, until

pytestmark = [pytest.mark.xdist_group("outgoing"), pytest.mark.timeout(120)]

ACCOUNTS = """
suppress = true
fromid_logins = ["friend@mox.test"]

[accounts.little]
addresses = ["little@mox.test"]
recipients_per_day = 3
first_time_recipients_per_day = 2

[[accounts.little.routes]]
transport = "never"
recipient_domains = ["forbidden.test"]

[[domains."mox.test".routes]]
transport = "relay"
recipient_domains = [".relayed.test"]
"""
TRANSPORTS = """
[transports.never]
kind = "fail"
text = "little does not write there"

[transports.relay]
kind = "smtp"
host = "127.0.0.1"
port = {port}
tls = "none"
"""


@dataclass
class Set:
    """A moxd, the host that all MX records lead to, and the smarthost."""

    server: Moxd
    host: ScriptHost
    relay: ScriptHost


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Set]:
    folder = tmp_path_factory.mktemp("outgoing") / "moxd"
    records = {
        **{f"{name}.test MX": ["10 mx.other.test."] for name in ("far", "a", "b", "c", "d", "forbidden")},
        "mx.other.test A": ["127.0.0.1"],
    }
    # Nobody is in two domains at once, so that one batch is one message.
    with script_host() as host, script_host() as relay, stub_dns(records) as dns:
        ports = configure(folder, dns=dns, outgoing=host.port, give_up_hours=1, extra="connections_per_minute = 0")
        static = (folder / "moxd.toml").read_text().replace("[outgoing]", "[outgoing]\nconnections = 2")
        (folder / "moxd.toml").write_text(static + TRANSPORTS.format(port=relay.port))
        text = (folder / "domains.toml").read_text()
        you, other = text.split("[accounts.other]")
        (folder / "domains.toml").write_text(f"{you}{ACCOUNTS}\n[accounts.other]{other}")
        set_password(folder / "data", "little")
        with moxd(folder, ports) as server:
            yield Set(server, host, relay)


def set_password(data: Path, account: str) -> None:
    import os
    import time

    import mox_store
    from moxd.login import make_credentials

    store = mox_store.Store(data / "accounts", clock=time.time)
    with store.open(account).write() as tx:
        tx.set_credential("password", make_credentials(PASSWORD, os.urandom(16)).to_text())
    store.close()


def client(server: Moxd, login: str) -> smtplib.SMTP:
    made = smtplib.SMTP(server.address, server.ports["submission"], timeout=30)
    made.starttls(context=trusting(server))
    made.login(login, PASSWORD)
    return made


def mail(subject: str, sender: str = "you@mox.test") -> bytes:
    return f"From: {sender}\r\nTo: x@far.test\r\nSubject: {subject}\r\n\r\nhello\r\n".encode()


def events(server: Moxd) -> list[dict[str, Any]]:
    lines = [line for line in server.log.splitlines() if " moxd.events " in line and line.endswith("}")]
    return [json.loads(line[line.index("{") :]) for line in lines]


# -- limits


def test_an_account_sends_so_much_a_day(running: Set) -> None:
    server = running.server
    with client(server, "little@mox.test") as smtp:
        smtp.mail("little@mox.test")
        assert smtp.rcpt("one@far.test")[0] == 250
        assert smtp.rcpt("two@far.test")[0] == 250
        code, reply = smtp.rcpt("three@far.test")
        assert code == 550, "alone it is more than may be, so waiting does not help"
        assert b"5.7.1 a message to 3 first-time recipients is more than the 2" in reply
        assert smtp.data(mail("limits", "little@mox.test"))[0] == 250
        smtp.mail("little@mox.test")
        code, reply = smtp.rcpt("three@far.test")
        assert code == 452
        assert re.search(
            rb"4\.7\.1 you wrote to 2 first-time recipients within 24 hours and may to 2; .*, from \d\d:\d\d UTC on",
            reply,
        )
        assert smtp.rcpt("one@far.test")[0] == 250, "whom it knows it may write to"
        assert smtp.data(mail("limits 2", "little@mox.test"))[0] == 250
        smtp.mail("little@mox.test")
        code, reply = smtp.rcpt("two@far.test")
        assert (code, b"you wrote to 3 recipients" in reply) == (452, True)
    id = re.search(rb"\((\w{13})\)", reply)
    assert id is not None
    done = server.command("message", "explain", id[1].decode())
    assert "refuse: 452" in done.stdout
    assert (
        "limit -> refuse: recipients_per_day of account little in domains.toml (allowed=3 sent=3 wanted=1"
        in done.stdout
    )


def test_two_sessions_at_once_do_not_get_more(running: Set) -> None:
    """What was counted at RCPT is counted again when the message is queued."""
    server = running.server
    text = (server.folder / "domains.toml").read_text()
    (server.folder / "domains.toml").write_text(text.replace("recipients_per_day = 3", "recipients_per_day = 5", 1))
    server.running.process.send_signal(1)
    until(lambda: "domains read again" in server.log)
    with client(server, "little@mox.test") as one, client(server, "little@mox.test") as two:
        for smtp in (one, two):
            smtp.mail("little@mox.test")
            assert smtp.rcpt("one@far.test")[0] == 250
            assert smtp.rcpt("two@far.test")[0] == 250
        assert one.data(mail("first", "little@mox.test"))[0] == 250
        code, reply = two.data(mail("second", "little@mox.test"))
        assert code == 452, reply
        assert b"2 more must wait" in reply


# -- routes


def test_routes_of_account_and_domain(running: Set) -> None:
    server = running.server
    code, _ = submit(server, mail("by relay"), "x@deep.relayed.test")
    assert code == 250
    until(lambda: any(b"Subject: by relay" in text for text in running.relay.taken))
    assert not any(b"Subject: by relay" in text for text in running.host.taken)


def test_an_administrator_chooses_the_way(running: Set) -> None:
    server = running.server
    done = server.command("queue", "transport", "--name", "nowhere", "--to", "x@a.test")
    assert done.returncode != 0
    assert "there are: direct, fail, never, relay" in done.stderr
    assert server.command("queue", "rules", "add", "--recipient-domain", "a.test").returncode == 0
    assert submit(server, mail("by hand"), "x@a.test")[0] == 250
    assert submit(server, mail("by hand, not at all"), "y@a.test")[0] == 250
    for name, to in (("relay", "x@a.test"), ("never", "y@a.test")):
        assert server.command("queue", "transport", "--name", name, "--to", to).returncode == 0
    assert server.command("queue", "release", "--domain", "a.test").returncode == 0
    until(lambda: any(b"Subject: by hand\r\n" in text for text in running.relay.taken))
    notice = newest(server, "could not be delivered")
    assert b"550 5.7.1 little does not write there" in notice


# -- reverse-paths of their own, and what comes back


def bounce(server: Moxd, path: str, to: str, text: str = "550 5.1.1 nobody") -> None:
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as smtp:
        smtp.ehlo("mx.other.test")
        smtp.mail("")
        assert smtp.rcpt(path)[0] == 250
        code, reply = smtp.data(
            (
                "From: mailer-daemon@far.test\r\nSubject: undeliverable\r\n"
                "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
                "--b\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
                f"Reporting-MTA: dns; mx.far.test\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\n"
                f"Status: 5.1.1\r\nDiagnostic-Code: smtp; {text}\r\n\r\n--b--\r\n"
            ).encode()
        )
        assert code == 250, reply


def paths(host: ScriptHost, number: int) -> list[str]:
    said = [line for _, line in host.heard if line.startswith("MAIL FROM:<friend+")]
    return [found[1] for line in said[-number:] if (found := re.match(r"MAIL FROM:<([^>]*)>", line))]


def test_a_bounce_finds_its_recipient_and_is_remembered(running: Set) -> None:
    server, host = running.server, running.host
    before = len(host.taken)
    with client(server, "friend@mox.test") as smtp:
        smtp.sendmail("friend@mox.test", ["x@b.test", "y@b.test"], mail("told apart", "friend@mox.test"))
    until(lambda: len(host.taken) >= before + 2)
    one, two = paths(host, 2)
    assert one != two
    assert re.fullmatch(r"friend\+[a-z2-7]{24}@mox\.test", one)
    said = [line for _, line in host.heard]
    to = said[said.index(next(line for line in said if one in line)) + 1]
    victim = re.search(r"^RCPT TO:<(.*?)>", to)
    assert victim is not None
    bounce(server, one.upper().replace("MOX.TEST", "mox.test"), victim[1])
    found = until(lambda: [one for one in events(server) if one["kind"] == "failed" and one["recipient"] == victim[1]])
    assert found[0]["fromid"] == one.split("+")[1].split("@")[0]
    assert found[0]["text"] == "550 5.1.1 nobody"
    listed = server.command("queue", "suppress", "list", "--account", "you", "--json").stdout
    assert victim[1] in listed
    # The next message to it is not tried, and says why.
    assert submit(server, mail("not again"), victim[1])[0] == 250
    until(lambda: [one for one in events(server) if one["kind"] == "suppressed" and one["recipient"] == victim[1]])
    assert not any(b"Subject: not again" in text for text in host.taken)


def test_other_logins_keep_their_reverse_path(running: Set) -> None:
    server, host = running.server, running.host
    assert submit(server, mail("as it is"), "x@c.test")[0] == 250
    until(lambda: any(b"Subject: as it is" in text for text in host.taken))
    assert any(line.startswith("MAIL FROM:<you@mox.test>") for _, line in host.heard)


def test_an_id_of_the_clients_own_is_for_one_recipient(running: Set) -> None:
    with client(running.server, "friend@mox.test") as smtp:
        smtp.mail("friend+mine@mox.test")
        assert smtp.rcpt("x@c.test")[0] == 250
        code, reply = smtp.rcpt("y@c.test")
        assert code == 550
        assert b"for one recipient" in reply


# -- notices for what is delivered here


def test_success_is_told_when_asked_for(running: Set) -> None:
    """RFC 3461 4.1 to 4.4 and 5.2.3: local delivery"""
    server = running.server
    with client(server, "you@mox.test") as smtp:
        smtp.mail("you@mox.test", ["RET=HDRS", "ENVID=QQ314159"])
        assert smtp.rcpt("other@mox.test", ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Other@mox.test"])[0] == 250
        assert smtp.data(mail("told when there"))[0] == 250
    newest(server, "told when there", login="other@mox.test")
    notice = newest(server, "Your message was delivered").decode()
    assert "Original-Envelope-Id: QQ314159" in notice
    assert "Original-Recipient: rfc822;Other@mox.test" in notice
    assert "Action: delivered" in notice
    assert "Status: 2.0.0" in notice
    assert "told when there" in notice
    assert "hello" not in notice, "RET=HDRS"


def test_relayed_is_told_where_the_host_has_no_dsn(running: Set) -> None:
    """RFC 3461 5.2.2"""
    server = running.server
    with client(server, "you@mox.test") as smtp:
        smtp.mail("you@mox.test")
        assert smtp.rcpt("x@d.test", ["NOTIFY=SUCCESS"])[0] == 250
        assert smtp.data(mail("passed on"))[0] == 250
    notice = newest(server, "Your message was passed on").decode()
    assert "Action: relayed" in notice
    assert "x@d.test" in notice


def test_port_25_does_not_offer_what_it_would_not_do(running: Set) -> None:
    with smtplib.SMTP(running.server.address, running.server.ports["smtp"], timeout=30) as smtp:
        smtp.ehlo("mx.sender.test")
        assert not smtp.has_extn("DSN")


# -- signatures


def test_every_message_of_the_suites_keeps_its_signature_byte_for_byte(running: Set) -> None:
    """Submission, queue, the wire: what arrives is what was signed, and what was signed is what the client wrote."""
    server, host = running.server, running.host
    text = (server.folder / "domains.toml").read_text()
    (server.folder / "domains.toml").write_text(
        text.replace("[accounts.other]", "[accounts.other]\nfirst_time_recipients_per_day = 0\nrecipients_per_day = 0")
    )
    server.running.process.send_signal(1)
    until(lambda: server.log.count("domains read again") > text.count("recipients_per_day = 5"))
    sent: dict[str, bytes] = {}
    with client(server, "other@mox.test") as smtp:
        for number, (name, data) in enumerate(suite_messages().items()):
            own = f"X-Number: {number}\r\nFrom: other@mox.test\r\n".encode() + without_from(data)
            smtp.mail("other@mox.test", ["BODY=8BITMIME", "SMTPUTF8"])
            assert smtp.rcpt(f"n{number}@far.test")[0] == 250
            code, reply = smtp.data(own)
            if code == 250:
                sent[f"{number}"] = own
            else:  # a second From that a broken header hides from the test, not from us
                assert (code, b" From" in reply) == (550, True), (name, code, reply)
    until(lambda: sum(text.count(b"X-Number: ") > 0 for text in host.taken) >= len(sent), 60)
    zone = mox_dns.Zone({"test._domainkey.mox.test TXT": [dkim_record(server.folder)]})
    seen, wrong = set(), []
    for arrived in host.taken:
        found = re.search(rb"^X-Number: (\d+)\r\n", arrived, re.MULTILINE)
        if found is None:
            continue
        number = found[1].decode()
        seen.add(number)
        if not arrived.endswith(sent[number]):
            wrong.append((number, "changed"))
        results = [one for one in mox_dkim.verify_sync(arrived, resolver=zone) if str(one.domain) == "mox.test"]
        if [str(one.status) for one in results] != ["pass"]:
            wrong.append((number, [one.explain() for one in results]))
    assert not wrong
    used = {number for number, line in host.heard if line.startswith("RCPT TO:<n")}
    assert len(used) <= 2 + len(sent) // 100 + 1, "outgoing.connections; each is given up after a hundred messages"
    assert seen == set(sent)
    assert len(seen) > 200


def without_from(data: bytes) -> bytes:
    """The message without its From fields: it is to be ours."""
    header, blank, body = data.partition(b"\r\n\r\n")
    header = re.sub(rb"(?im)^(From|Sender|Resent-From)[ \t]*:[^\n]*(\n[ \t][^\n]*)*\n?", b"", header + b"\r\n")
    return header + (b"\r\n" + body if blank else b"")


def test_ids_lead_to_records(running: Set) -> None:
    server = running.server
    assert submit(server, mail("explained"), "other@mox.test")[0] == 250
    message = newest(server, "explained", login="other@mox.test")
    assert id_of(message)
