"""The web of a moxd: settings for mail programs, MTA-STS policies; submission and IMAP by ALPN on its port."""

from __future__ import annotations

import http.client
import imaplib
import json
import plistlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from xml.etree import ElementTree

import pytest

import mox_mtasts
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import newest, trusting, until

pytestmark = [pytest.mark.xdist_group("web"), pytest.mark.timeout(90)]
NAMES = ("mox.test", "autoconfig.mox.test", "autodiscover.mox.test", "mta-sts.mox.test")
POLICY = """
[domains."mox.test".mta_sts]
mx = ["MX.mox.test", "*.mx.mox.test"]
max_age = 604800
"""
OUTLOOK = """<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>{}</EMailAddress>
<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
</Request></Autodiscover>"""


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers and the web"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    folder = tmp_path_factory.mktemp("web") / "moxd"
    with stub_dns({}) as dns:
        extra = "connections_per_minute = 0"
        ports = configure(folder, dns=dns, web=True, names=NAMES, workers=request.param, extra=extra)
        with (folder / "domains.toml").open("a") as file:
            file.write(POLICY)
        with moxd(folder, ports) as running:
            yield running


class Connected(http.client.HTTPSConnection):
    """To the server's address, whatever the host is called."""

    def __init__(self, server: Moxd, host: str) -> None:
        super().__init__(host, server.ports["https"], timeout=20, context=trusting(server))
        self._address = (server.address, server.ports["https"])

    def connect(self) -> None:
        self.sock = self._context.wrap_socket(  # type: ignore[attr-defined]
            socket.create_connection(self._address, 20), server_hostname=self.host
        )


def ask(
    server: Moxd, host: str, path: str, *, method: str = "GET", body: str | bytes | None = None
) -> tuple[int, str, bytes]:
    """(status, content type, body)"""
    connection = Connected(server, host)
    try:
        connection.request(method, path, body, {"Content-Type": "text/xml"} if body else {})
        response = connection.getresponse()
        assert response.getheader("server") is None
        return response.status, response.getheader("content-type", ""), response.read()
    finally:
        connection.close()


# -- settings


@pytest.mark.parametrize(
    "host, path",
    [
        ("autoconfig.mox.test", "/mail/config-v1.1.xml?emailaddress=you%40mox.test"),
        ("mox.test", "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=you%40mox.test"),
        ("localhost", "/mail/config-v1.1.xml?emailaddress=you%40mox.test"),
    ],
)
def test_thunderbird_finds_its_settings(server: Moxd, host: str, path: str) -> None:
    status, kind, body = ask(server, host, path)
    assert (status, kind) == (200, "text/xml; charset=utf-8")
    root = ElementTree.fromstring(body)
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    provider = root[0]
    assert [one.text for one in provider.findall("domain")] == ["mox.test"]
    found = [
        (one.tag, one.get("type"), one.findtext("hostname"), int(one.findtext("port", "0")), one.findtext("socketType"))
        for one in provider
        if one.tag.endswith("Server")
    ]
    ports = server.ports
    assert found == [
        ("incomingServer", "imap", "mx.mox.test", ports["imaps"], "SSL"),
        ("outgoingServer", "smtp", "mx.mox.test", ports["submissions"], "SSL"),
        ("incomingServer", "imap", "mx.mox.test", ports["imap"], "STARTTLS"),
        ("outgoingServer", "smtp", "mx.mox.test", ports["submission"], "STARTTLS"),
        ("incomingServer", "imap", "mx.mox.test", ports["https"], "SSL"),
        ("outgoingServer", "smtp", "mx.mox.test", ports["https"], "SSL"),
    ]
    assert {one.text for one in root.iter("username")} == {"you@mox.test"}


def test_without_an_address_there_is_a_placeholder(server: Moxd) -> None:
    body = ask(server, "autoconfig.mox.test", "/mail/config-v1.1.xml")[2]
    assert {one.text for one in ElementTree.fromstring(body).iter("username")} == {"%EMAILADDRESS%"}


def test_nobody_learns_who_is_here(server: Moxd) -> None:
    answers = {
        ask(server, "mox.test", f"/mail/config-v1.1.xml?emailaddress={name}%40mox.test")[2].replace(name.encode(), b"")
        for name in ("you", "nobody")
    }
    assert len(answers) == 1


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
def test_outlook(server: Moxd, path: str) -> None:
    status, kind, body = ask(server, "autodiscover.mox.test", path, method="POST", body=OUTLOOK.format("you@mox.test"))
    assert (status, kind) == (200, "text/xml; charset=utf-8")
    space = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    found = [
        tuple(one.findtext(f"{space}{name}") for name in ("Type", "Server", "Port", "SSL", "LoginName"))
        for one in ElementTree.fromstring(body).iter(f"{space}Protocol")
    ]
    assert found[0] == ("IMAP", "mx.mox.test", str(server.ports["imaps"]), "on", "you@mox.test")
    assert found[1] == ("SMTP", "mx.mox.test", str(server.ports["submissions"]), "on", "you@mox.test")


@pytest.mark.parametrize(
    "body, expected",
    [
        (OUTLOOK.format("you@elsewhere.test"), 404),
        (OUTLOOK.format("nobody"), 400),
        ("no xml", 400),
        ('<!DOCTYPE a [<!ENTITY b "you@mox.test">]>' + OUTLOOK.format("&b;").partition("?>")[2], 400),
        ("<a>" * 5000, 400),
        ("x" * 100_000, 400),
    ],
    ids=["foreign domain", "no address", "no XML", "entity", "deep", "long"],
)
def test_outlook_with_something_else(server: Moxd, body: str, expected: int) -> None:
    assert ask(server, "mox.test", "/autodiscover/autodiscover.xml", method="POST", body=body)[0] == expected


def test_outlook_json(server: Moxd) -> None:
    path = "/autodiscover/autodiscover.json?Email=you%40mox.test&Protocol=AutodiscoverV1"
    status, kind, body = ask(server, "autodiscover.mox.test", path)
    assert (status, kind) == (200, "application/json")
    assert json.loads(body)["Url"] == "https://autodiscover.mox.test/autodiscover/autodiscover.xml"


def test_apple(server: Moxd) -> None:
    status, kind, body = ask(server, "mox.test", "/profile.mobileconfig?addresses=you%40mox.test&name=Y%C3%B6u")
    assert (status, kind) == (200, "application/x-apple-aspen-config")
    mail = plistlib.loads(body)["PayloadContent"][0]
    assert mail["EmailAccountName"] == "Yöu"
    assert (mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"]) == (
        "mx.mox.test", server.ports["imaps"],
    )  # fmt: skip
    assert mail["OutgoingMailServerUsername"] == "you@mox.test"


@pytest.mark.parametrize(
    "host, path",
    [
        ("mox.test", "/"),
        ("mox.test", "/.well-known/mta-sts.txt"),
        ("elsewhere.test", "/mail/config-v1.1.xml"),
        ("mox.test", "/mail/config-v1.1.xml?emailaddress=you%40elsewhere.test"),
        ("mox.test", "/../../etc/passwd"),
        ("mox.test", "/profile.mobileconfig?addresses=you%40elsewhere.test"),
    ],
)
def test_nothing_else_is_there(server: Moxd, host: str, path: str) -> None:
    connection = Connected(server, "localhost")
    connection.request("GET", path, headers={"Host": host})
    assert connection.getresponse().status == 404
    connection.close()


def test_in_the_clear_too(server: Moxd) -> None:
    connection = http.client.HTTPConnection(server.address, server.ports["http"], timeout=20)
    connection.request("GET", "/mail/config-v1.1.xml", headers={"Host": "autoconfig.mox.test"})
    assert b"clientConfig" in connection.getresponse().read()
    connection.close()


# -- MTA-STS


def test_our_own_policy_is_fetched_and_understood(server: Moxd) -> None:
    """As another server would: by name, with verified TLS."""
    wanted = mox_mtasts.Fetch("mta-sts.mox.test", (ip_address(server.address),))
    fetched = mox_mtasts.fetch_sync(wanted, context=trusting(server), port=server.ports["https"])
    assert fetched.ok, fetched
    status, kind, body = ask(server, "mta-sts.mox.test", "/.well-known/mta-sts.txt")
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    policy = mox_mtasts.Policy.parse(body)
    assert (policy.mode, policy.mx, policy.max_age) == ("enforce", ("mx.mox.test", "*.mx.mox.test"), 604800)
    assert b"\r\nmode: enforce\r\n" in body


# -- by ALPN


@contextmanager
def by_alpn(server: Moxd, *names: str) -> Iterator[ssl.SSLSocket]:
    context = trusting(server)
    if names:
        context.set_alpn_protocols(list(names))
    with (
        socket.create_connection((server.address, server.ports["https"]), 20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        yield tls


class Submission(smtplib.SMTP):
    """Over a connection that is there already."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__()
        self.sock, self.file = sock, None
        assert self.getreply()[0] == 220


def test_submission_by_alpn(server: Moxd) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "you@mox.test",
        "other@mox.test",
        f"by ALPN {server.pids()[-1]}",
    )
    message.set_content("hello")
    with by_alpn(server, "smtp") as tls:
        assert tls.selected_alpn_protocol() == "smtp"
        client = Submission(tls)
        client.ehlo("client.test")
        assert not client.has_extn("starttls")
        client.login("you@mox.test", PASSWORD)
        client.send_message(message)
        client.quit()
    stored = until(lambda: newest(server, str(message["Subject"]), login="other@mox.test"))
    assert b"ESMTPSA" in stored
    assert b"DKIM-Signature" in stored


def test_imap_by_alpn(server: Moxd) -> None:
    with by_alpn(server, "imap") as tls:
        assert tls.selected_alpn_protocol() == "imap"

        class Client(imaplib.IMAP4):
            def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
                return tls

        client = Client()
        assert "STARTTLS" not in client.capabilities
        client.login("you@mox.test", PASSWORD)
        assert client.select()[0] == "OK"
        client.logout()


def test_the_first_command_may_come_with_the_handshake(server: Moxd) -> None:
    with by_alpn(server, "imap") as tls:
        tls.sendall(b"a NOOP\r\nb LOGOUT\r\n")
        data = b""
        while more := tls.recv(4096):
            data += more
    assert b"a OK" in data
    assert b"b OK" in data


@pytest.mark.parametrize("names, chosen", [((), None), (("http/1.1",), "http/1.1"), (("h2", "http/1.1"), "http/1.1")])
def test_everybody_else_speaks_http(server: Moxd, names: tuple[str, ...], chosen: str | None) -> None:
    with by_alpn(server, *names) as tls:
        assert tls.selected_alpn_protocol() == chosen
        tls.sendall(b"GET /mail/config-v1.1.xml HTTP/1.1\r\nHost: mox.test\r\nConnection: close\r\n\r\n")
        data = b""
        while more := tls.recv(4096):
            data += more
    assert data.startswith(b"HTTP/1.1 200 ")


# -- bad input


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 1000,
        b"EHLO mail.test\r\nMAIL FROM:<>\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
        b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: mox.test\r\nContent-Length: 99999999999\r\n\r\n"
        + b"x" * 99_999,
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0",
    ],
    ids=["zeros", "SMTP", "long header", "long body", "smuggling"],
)
def test_bad_input_is_answered_and_harms_nobody(server: Moxd, sent: bytes) -> None:
    with by_alpn(server) as tls:
        tls.settimeout(30)
        data = b""
        try:
            tls.sendall(sent)
            while more := tls.recv(4096):
                data += more
        except (ConnectionError, ssl.SSLError):
            pass  # hung up on: fine
    assert not data or data.startswith(b"HTTP/1.1 4")
    assert ask(server, "mox.test", "/mail/config-v1.1.xml")[0] == 200
    assert "Traceback" not in server.log


@pytest.mark.parametrize("server", [1], indirect=True)
def test_who_says_nothing_is_hung_up_on(server: Moxd) -> None:
    with socket.create_connection((server.address, server.ports["http"]), 30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: mox.test\r\n")
        sock.settimeout(25)
        assert sock.recv(100) == b""


def test_configuration_that_cannot_be(tmp_path: Path) -> None:
    ports = configure(tmp_path, dns="127.0.0.1:53", passwords=False)
    text = (tmp_path / "moxd.toml").read_text().replace("tls =", "imaps_on_https = true\ntls =")
    (tmp_path / "moxd.toml").write_text(text)
    from moxd.config import ConfigError, read_config

    with pytest.raises(ConfigError, match="imap is wanted on the port of https, and there is none; add https = 443"):
        read_config(tmp_path)
    assert ports
